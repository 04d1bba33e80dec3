"""The device's judge of capsules, with sanitizers: good ones run, every hostile one has its coded reason."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.capsules import build_tool, judge, updatable
from tests.support.reference_models import own_models
from tinyops.emit.capsule import Capsule, GoldenVector, read_capsule, recorded_vectors
from tinyops.emit.data_section import NumberRange
from tinyops.resources import data_dir
from tinyops.suit.reasons import Reason

DIGITS = data_dir("models") / "digits" / "digits.tflite"
_HEADER = 208
_GOLDEN_COUNT, _BYTES, _DATA_BYTES, _GOLDEN_BYTES, _METADATA_BYTES = 6, 8, 12, 16, 20
_ARENA, _STATE, _COUNTS, _ZEROS, _ABI, _PLAN, _DIGEST, _NAME = 24, 28, 32, 34, 48, 80, 112, 144
_PORT = 40


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tool(DIGITS, tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def good() -> bytes:
    return updatable(DIGITS)[2]


def _with(capsule: bytes, offset: int, form: str, *values: float) -> bytes:
    changed = bytearray(capsule)
    struct.pack_into("<" + form, changed, offset, *values)
    return bytes(changed)


def _reasons(tool: Path, capsules: list[bytes]) -> list[Reason]:
    return [Reason(verdict.reason) for verdict in judge(tool, capsules)]


@pytest.mark.parametrize("path", own_models(), ids=lambda path: path.stem)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_factory_capsules_pass(path: Path, compiler: str, tmp_path: Path) -> None:
    program = build_tool(path, tmp_path, compiler=compiler)
    compiled, _, capsule = updatable(path)
    (verdict,) = judge(program, [capsule])
    assert (verdict.reason, verdict.tested) == (Reason.OK, Reason.OK)
    assert (verdict.name, verdict.digest) == ("model", compiled.program.digest)
    tensors = [port.tensor for port in (*compiled.program.inputs, *compiled.program.outputs)]
    assert verdict.scales == tuple((pytest.approx(t.scale, rel=1e-8), t.zero_point) for t in tensors)


def test_truncated_everywhere(tool: Path, good: bytes) -> None:
    lengths = [*range(_HEADER + 2 * _PORT + 32), *range(_HEADER + 2 * _PORT + 32, len(good), 97)]
    verdicts = _reasons(tool, [good[:n] for n in lengths])
    assert set(verdicts) == {Reason.TRUNCATED}


def test_of_a_shortened_capsule_that_says_so(tool: Path, good: bytes) -> None:
    """The size in the header is right, and still something is missing."""
    lengths = [*range(_HEADER, _HEADER + 2 * _PORT + 40), *range(len(good) - 200, len(good))]
    verdicts = _reasons(tool, [_with(good[:n], _BYTES, "I", n) for n in lengths])
    assert Reason.OK not in verdicts
    assert Reason.TRUNCATED not in verdicts


def test_longer_than_it_says(tool: Path, good: bytes) -> None:
    assert (
        _reasons(tool, [good + b"\0", good + bytes(5000), _with(good + b"\0", _BYTES, "I", len(good) + 1)])
        == [Reason.CAPSULE_MALFORMED] * 3
    )


def _header_mutants(good: bytes) -> Iterator[tuple[bytes, Reason]]:
    malformed, plan, bounds = Reason.CAPSULE_MALFORMED, Reason.CAPSULE_PLAN, Reason.CAPSULE_BOUNDS
    yield b"TOC2" + good[4:], malformed
    yield _with(good, 4, "H", 2), malformed
    yield _with(good, _GOLDEN_COUNT, "H", 0), Reason.CAPSULE_GOLDEN_MISSING
    yield _with(good, _GOLDEN_COUNT, "H", 1), malformed
    yield _with(good, _GOLDEN_COUNT, "H", 0xFFFF), malformed
    yield _with(good, _BYTES, "I", 0xFFFFFFFF), Reason.TRUNCATED
    yield _with(good, _BYTES, "I", 0), malformed
    for value in (0, 1, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFF):
        yield _with(good, _DATA_BYTES, "I", value), plan
        yield _with(good, _GOLDEN_BYTES, "I", value), malformed
        yield _with(good, _METADATA_BYTES, "I", value), malformed
        yield _with(good, _ARENA, "I", value), plan
        yield _with(good, _STATE, "I", value or 4), plan
    yield _with(good, _COUNTS, "B", 0), plan
    yield _with(good, _COUNTS, "B", 255), plan
    yield _with(good, _COUNTS + 1, "B", 2), plan
    for at in range(_ZEROS, _ABI):
        yield _with(good, at, "B", 1), malformed
    for at in range(_ABI, _PLAN):
        yield _with(good, at, "B", good[at] ^ 1), Reason.CAPSULE_ABI
    for at in range(_PLAN, _DIGEST):
        yield _with(good, at, "B", good[at] ^ 0x80), plan
    yield _with(good, _NAME, "64s", b"a" * 64), malformed
    yield _with(good, _NAME, "B", 0), malformed
    yield _with(good, _NAME, "B", 0x1F), malformed
    yield _with(good, _NAME, "B", 0x7F), malformed
    yield _with(good, _NAME + 63, "B", ord("x")), malformed
    for port in (_HEADER, _HEADER + _PORT):
        for offset, form, values in ((0, "B", (0, 2, 3, 8, 255)), (1, "B", (0, 9, 255)), (2, "H", (1,))):
            for value in values:
                yield _with(good, port + offset, form, value), plan
        for offset in (4, 8):
            for value in (0x7FFFFFFF, 0xFFFFFFFF, 3):
                yield _with(good, port + offset, "I", value), plan
        for axis in range(8):
            yield _with(good, port + 24 + 2 * axis, "H", 77), plan
        for scale in (0.0, -1.0, float("nan"), float("inf"), float("-inf")):
            yield _with(good, port + 12, "f", scale), bounds
        for zero_point in (-129, 128, 2**31 - 1, -(2**31)):
            yield _with(good, port + 16, "i", zero_point), bounds
        for tolerance in (1e-3, -1.0, float("nan"), float("inf")):
            yield _with(good, port + 20, "f", tolerance), bounds


def test_every_field_of_the_header(tool: Path, good: bytes) -> None:
    mutants = list(_header_mutants(good))
    verdicts = judge(tool, [capsule for capsule, _ in mutants])
    assert [Reason(v.reason) for v in verdicts] == [reason for _, reason in mutants]


def test_every_byte_between_sections_is_zero(tool: Path, good: bytes) -> None:
    read = read_capsule(good)
    five = replace(read, golden=(*read.golden, read.golden[0])).encode()
    golden = read.data_offset + len(read.data)
    end = golden + -golden % 16 + 5 * (8 + 12)
    places = range(end, end + -end % 16)
    assert len(places) == 12
    assert _reasons(tool, [five]) == [Reason.OK]
    assert set(_reasons(tool, [_with(five, at, "B", 1) for at in places])) == {Reason.CAPSULE_MALFORMED}


def test_every_byte_of_the_structure_counts(tool: Path, good: bytes) -> None:
    _, data, _ = updatable(DIGITS)
    start = read_capsule(good).data_offset
    places = [start + at + k for at, size in data.spans for k in range(size)]
    assert len(places) > 500
    assert set(_reasons(tool, [_with(good, at, "B", good[at] ^ 1) for at in places])) == {Reason.CAPSULE_PLAN}


def _outside(good: bytes, start: int, number: NumberRange) -> Iterator[bytes]:
    form = {1: "b", 2: "h", 4: "i"}[number.size]
    limit = 1 << (8 * number.size - 1)
    for index in {0, number.count - 1}:
        at = start + number.offset + index * number.size
        for value in {number.low - 1, -limit} | {number.high + 1, limit - 1}:
            if -limit <= value < limit and not number.low <= value <= number.high:
                yield _with(good, at, form, value)


def test_every_number_out_of_range(tool: Path, good: bytes) -> None:
    _, data, _ = updatable(DIGITS)
    start = read_capsule(good).data_offset
    mutants = [mutant for number in data.ranges for mutant in _outside(good, start, number)]
    assert len(mutants) > len(data.ranges)
    assert set(_reasons(tool, mutants)) == {Reason.CAPSULE_BOUNDS}


def test_other_numbers_are_accepted_and_fail_the_self_test(tool: Path, good: bytes) -> None:
    """Weights that are all zero make other outputs than the golden ones."""
    compiled, data, _ = updatable(DIGITS)
    read = read_capsule(good)
    changed = bytearray(read.data)
    for constant in compiled.program.constants:
        if constant.role == "weights":
            at = data.constants[constant.name]
            changed[at : at + constant.nbytes] = bytes(constant.nbytes)
    (verdict,) = judge(tool, [replace(read, data=bytes(changed)).encode()])
    assert (verdict.reason, verdict.tested) == (Reason.OK, Reason.SELF_TEST)
    assert (verdict.vector, verdict.output) == (0, 0)


def test_the_self_test_tells_where_it_differs(tool: Path, good: bytes) -> None:
    read = read_capsule(good)
    mutants, wanted = [], []
    for vector, golden in enumerate(read.golden):
        for element in range(len(golden.outputs[0])):
            output = bytearray(golden.outputs[0])
            output[element] ^= 1
            vectors = (*read.golden[:vector], replace(golden, outputs=(bytes(output),)), *read.golden[vector + 1 :])
            mutants.append(replace(read, golden=vectors).encode())
            wanted.append((Reason.SELF_TEST, vector, 0, element))
    verdicts = judge(tool, mutants)
    assert [(v.tested, v.vector, v.output, v.element) for v in verdicts] == wanted


def test_golden_vectors_of_recorded_inputs(tool: Path, good: bytes) -> None:
    compiled, _, _ = updatable(DIGITS)
    with np.load(DIGITS.parent / "test.npz", allow_pickle=False) as arrays:
        images = arrays["inputs"][:20]
    vectors = recorded_vectors(compiled.model, [[image.reshape(1, 8, 8, 1)] for image in images])
    (verdict,) = judge(tool, [replace(read_capsule(good), golden=vectors).encode()])
    assert (verdict.reason, verdict.tested) == (Reason.OK, Reason.OK)


def _golden_mutants(read: Capsule) -> Iterator[bytes]:
    capsule = read.encode()
    end = read.data_offset + len(read.data)
    start = end + -end % 16
    for at, value in ((0, 2), (0, 255), (1, 0), (1, 2), (2, 1), (3, 1)):
        yield _with(capsule, start + at, "B", value)
    yield _with(capsule, start, "B", 0)  # inputs as bytes, which are not there
    yield _with(capsule, start + 8 + 10, "B", 1)  # padding


def test_malformed_golden_vectors(tool: Path, good: bytes) -> None:
    read = read_capsule(good)
    recorded = replace(read, golden=(GoldenVector((bytes(10),), (bytes(64),), starts=True),))
    mutants = [*_golden_mutants(read), _with(recorded.encode(), len(recorded.encode()) - 0, "0s", b"")]
    encoded = recorded.encode()
    end = recorded.data_offset + len(recorded.data)
    mutants[-1] = _with(encoded, end + -end % 16 + 4, "I", 1)  # a seed that has no meaning
    assert set(_reasons(tool, mutants)) == {Reason.CAPSULE_MALFORMED}


def test_a_capsule_at_an_odd_place_is_refused(tmp_path: Path) -> None:
    """The tool's memory is aligned; here the capsule is given at every other place."""
    source = tmp_path / "places.c"
    source.write_text(
        '#include <stdlib.h>\n#include <string.h>\n#include "tinyops/to_capsule.h"\n'
        "int main(void) {\n    const to_capsule_plan *p = to_device_model.plan;\n"
        "    uint8_t *m = aligned_alloc(16, (p->factory_bytes + 31) / 16 * 16);\n"
        "    for (int i = 0; i < 16; i++) {\n        memcpy(m + i, p->factory, p->factory_bytes);\n"
        "        to_reason wanted = i == 0 ? TO_REASON_OK : TO_REASON_CAPSULE_MALFORMED;\n"
        "        if (to_capsule_verify(p, m + i, p->factory_bytes) != wanted) return 1;\n    }\n"
        "    free(m);\n    return 0;\n}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.support.capsules.TOOL", source)
        program = build_tool(DIGITS, tmp_path)
    assert judge(program, []) == []


def test_random_changes_never_harm(tool: Path, good: bytes) -> None:
    """Whatever is accepted runs; Python and C agree on what is well-formed."""
    rng = np.random.default_rng(5)
    mutants = []
    (metadata,) = struct.unpack_from("<I", good, _METADATA_BYTES)
    for _ in range(2000):
        changed = bytearray(good)
        for at in rng.integers(0, len(good) - metadata, rng.integers(1, 4)):
            changed[at] = rng.integers(0, 256)
        mutants.append(bytes(changed))
    for mutant, verdict in zip(mutants, judge(tool, mutants), strict=True):
        if verdict.reason == Reason.OK:
            assert read_capsule(mutant).encode() == mutant
