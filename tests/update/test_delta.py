"""Deltas: the encoder, its decoder in Python and the device's decoder agree, and refuse the same things."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fuzzing import fuzz
from tests.support.storage import DeltaResult, decode_delta
from tinyops.errors import TinyopsError
from tinyops.resources import data_dir
from tinyops.update.delta import apply_delta, encode_delta

HEADER = 80
MODELS = sorted(data_dir("models").rglob("*.tflite"))


def fine_tuned(old: bytes, steps: tuple[int, ...] = (-2, -1, 0, 1, 2), *, share: float = 1.0) -> bytes:
    """Every byte, or a share of them, changed by one of the steps."""
    random = np.random.default_rng(1)
    values = np.frombuffer(old, np.int8).astype(np.int16)
    change = random.choice(steps, len(values)) * (random.random(len(values)) < share)
    return bytes(np.clip(values + change, -128, 127).astype(np.int8))


def agree(old: bytes, new: bytes, piece: int = 1 << 20) -> bytes:
    delta = encode_delta(old, new)
    assert apply_delta(old, delta) == new
    assert decode_delta(old, delta, limit=len(new), piece=piece) == (DeltaResult.OK, new)
    return delta


images = st.binary(max_size=700) | st.lists(st.sampled_from([0, 1, 127, 128, 255]), max_size=700).map(bytes)


@given(images, images.filter(len), st.integers(1, 100))
def test_any_two_images(old: bytes, new: bytes, piece: int) -> None:
    agree(old, new, piece)


@given(st.lists(st.tuples(st.integers(-128, 127), st.integers(1, 300)), min_size=1, max_size=30), st.integers(0, 99))
def test_any_residuals(runs: list[tuple[int, int]], seed: int) -> None:
    old = np.random.default_rng(seed).bytes(sum(count for _, count in runs))
    residuals = [residual for residual, count in runs for _ in range(count)]
    agree(old, bytes((byte + residual) & 255 for byte, residual in zip(old, residuals, strict=True)))


def test_extremes() -> None:
    old = bytes(range(256)) * 8
    for new in (old, bytes(b ^ 128 for b in old), b"\0", old + bytes(5000), old[:1], bytes(b ^ 255 for b in old)):
        agree(old, new)
        agree(new, old)
    agree(b"", b"\xff" * 3000)


@given(st.binary(min_size=1, max_size=64), st.data())
@settings(max_examples=100)
def test_carries(start: bytes, data: st.DataObject) -> None:
    """Long runs of the likelier bit, then the other one: where a carry runs through what was written."""
    runs = data.draw(st.lists(st.tuples(st.integers(1, 2000), st.sampled_from([1, 127, 128, 255])), max_size=20))
    new = start + b"".join(bytes(count) + bytes([value]) for count, value in runs)
    agree(bytes(len(new)), new)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_fine_tuned_model_needs_a_third(path: Path) -> None:
    old = path.read_bytes()
    for steps in ((-2, -1, 0, 1, 2), (-2, -1, 1, 2)):
        new = fine_tuned(old, steps)
        assert len(agree(old, new)) <= 0.36 * len(new)
    rare = fine_tuned(old, (-1, 1), share=0.1)
    assert len(agree(old, rare)) <= 0.12 * len(rare)


def test_small_changes_need_little() -> None:
    random = np.random.default_rng(2)
    old = random.bytes(24368)
    assert len(agree(old, old)) < HEADER + 20
    last = old[:-768] + random.bytes(768)
    assert len(agree(old, last)) < HEADER + 768 + 60
    words = np.frombuffer(old, np.uint32) ^ random.integers(0, 256, len(old) // 4).astype(np.uint32)
    delta = agree(old, words.tobytes())
    assert delta[5] == 4, "words have lanes of their own"
    assert len(delta) < 0.3 * len(old)
    unrelated = agree(old, random.bytes(24368))
    assert len(unrelated) < 1.03 * len(old)


def test_large_images_are_encoded_in_seconds() -> None:
    old = np.random.default_rng(3).bytes(1 << 20)
    new = fine_tuned(old)
    started = time.process_time()
    delta = encode_delta(old, new)
    assert time.process_time() - started < 20
    assert decode_delta(old, delta) == (DeltaResult.OK, new)


OLD, NEW = bytes(range(200)), bytes(b ^ (b % 7) for b in range(220))
DELTA = encode_delta(OLD, NEW)


def both_refuse(delta: bytes, expected: DeltaResult, old: bytes = OLD, limit: int = 1000) -> None:
    result, made = decode_delta(old, delta, limit=limit, piece=7)
    assert result is expected
    assert len(made) <= limit
    with pytest.raises(TinyopsError):
        apply_delta(old, delta)


@pytest.mark.parametrize("size", [0, 1, 79, 80, 83, len(DELTA) - 1])
def test_a_truncated_delta(size: int) -> None:
    both_refuse(DELTA[:size], DeltaResult.SHORT)


@pytest.mark.parametrize("more", [b"\0", b"\xff", bytes(100)])
def test_bytes_behind_the_end(more: bytes) -> None:
    both_refuse(DELTA + more, DeltaResult.MALFORMED)


def test_bits_left_over() -> None:
    both_refuse(DELTA[:-1] + bytes([DELTA[-1] ^ 1]), DeltaResult.MALFORMED)


def test_another_base() -> None:
    both_refuse(DELTA, DeltaResult.BASE, old=OLD[:-1] + b"\0")
    both_refuse(DELTA, DeltaResult.BASE, old=OLD[:-1])
    both_refuse(DELTA, DeltaResult.BASE, old=b"")


@pytest.mark.parametrize("size", [0, 1001, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_impossible_result(size: int) -> None:
    result, made = decode_delta(OLD, DELTA[:12] + size.to_bytes(4, "little") + DELTA[16:], limit=1000)
    assert (result, made) == (DeltaResult.SIZE, b"")


def test_a_huge_claim_is_refused_in_python() -> None:
    with pytest.raises(TinyopsError, match="a result of 4,294,967,295 bytes"):
        apply_delta(OLD, DELTA[:12] + b"\xff" * 4 + DELTA[16:])


@pytest.mark.parametrize(
    ("at", "value"), [(0, ord("t")), (3, ord("2")), (4, 0), (4, 2), (5, 0), (5, 3), (5, 5), (6, 1), (7, 1)]
)
def test_a_malformed_header(at: int, value: int) -> None:
    both_refuse(DELTA[:at] + bytes([value]) + DELTA[at + 1 :], DeltaResult.MALFORMED)


def test_a_wrong_digest_is_for_the_caller() -> None:
    delta = DELTA[:48] + bytes(32) + DELTA[80:]
    with pytest.raises(TinyopsError, match="malformed"):
        apply_delta(OLD, delta)


@given(st.integers(HEADER, len(DELTA) - 1), st.integers(1, 255), st.integers(1, 40))
def test_a_damaged_stream(at: int, flipped: int, piece: int) -> None:
    """Found by the end of the stream in nearly all cases, and by the digest of the result in every case."""
    damaged = DELTA[:at] + bytes([DELTA[at] ^ flipped]) + DELTA[at + 1 :]
    result, made = decode_delta(OLD, damaged, limit=len(NEW), piece=piece)
    assert len(made) <= len(NEW)
    assert result in {DeltaResult.OK, DeltaResult.MALFORMED, DeltaResult.SHORT}
    with pytest.raises(TinyopsError):
        apply_delta(OLD, damaged)


def test_nothing_is_encoded_of_nothing() -> None:
    with pytest.raises(TinyopsError, match="an image of 0 bytes"):
        encode_delta(OLD, b"")


@pytest.mark.parametrize("level", ["-Os", "-O2"])
def test_the_decoder_is_small(level: str, tmp_path: Path) -> None:
    compiler = shutil.which("arm-none-eabi-gcc") or pytest.skip("arm-none-eabi-gcc is not installed")
    firmware, target = data_dir("firmware") / "common", tmp_path / "delta.o"
    command = [compiler, "-mcpu=cortex-m4", "-mthumb", level, "-std=c99", f"-I{firmware / 'include'}"]
    subprocess.run([*command, "-c", str(firmware / "src" / "to_delta.c"), "-o", str(target)], check=True)
    sizes = subprocess.run(["arm-none-eabi-size", str(target)], capture_output=True, text=True, check=True).stdout
    text, data, bss = map(int, sizes.splitlines()[1].split()[:3])
    assert text < 1024
    assert data == bss == 0


@pytest.mark.slow
def test_fuzz_delta(tmp_path: Path) -> None:
    firmware = data_dir("firmware")
    sources = [firmware / "common" / "src" / "to_delta.c"]
    fuzz("fuzz_delta.c", sources, firmware / "fuzz" / "corpus_delta", tmp_path, max_bytes=2048)
