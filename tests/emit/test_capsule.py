"""Capsules: what is written can be read, nothing else can; models of one structure share a plan."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cases import all_cases
from tests.support.reference_models import own_models
from tinyops.emit.c import emit_library, library_sources
from tinyops.emit.capsule import (
    MAX_METADATA,
    Capsule,
    CapsuleError,
    GoldenVector,
    PortSpec,
    build_capsule,
    read_capsule,
    recorded_vectors,
    seeded_inputs,
    seeded_vectors,
)
from tinyops.emit.data_section import DataSection, lay_out
from tinyops.emit.golden import make_golden
from tinyops.errors import ModelError
from tinyops.graph import DType, Model, Tensor
from tinyops.kernels.structs import params_struct
from tinyops.load import load_tflite
from tinyops.lower import lower
from tinyops.lower.compile import CompiledModel, compile_model
from tinyops.lower.program import ConstantRef, Program
from tinyops.ops.interpreter import Interpreter
from tinyops.passes import run_passes
from tinyops.resources import data_dir
from tinyops.suit.reasons import Reason

DIGITS = data_dir("models") / "digits" / "digits.tflite"
STRUCT = params_struct("to_binary_params")


@pytest.fixture(scope="module")
def compiled() -> CompiledModel:
    return compile_model(DIGITS, name="digits", by_structure=True)


@pytest.fixture(scope="module")
def capsule(compiled: CompiledModel) -> bytes:
    return build_capsule(compiled)


def _program(model: Model, name: str = "model") -> tuple[Program, DataSection]:
    program = lower(model, name=name, by_structure=True)
    return program, lay_out(program)


def _changed(model: Model, change: Any) -> Model:
    """`change(tensor)` in place of every tensor of the main graph."""
    main = dataclasses.replace(model.main, tensors=tuple(map(change, model.main.tensors)))
    return dataclasses.replace(model, graphs=(main, *model.graphs[1:]))


@pytest.mark.parametrize("path", own_models(), ids=lambda path: path.stem)
def test_what_is_written_can_be_read(path: Path) -> None:
    compiled = compile_model(path, name="model", by_structure=True)
    encoded = build_capsule(compiled, metadata={"model": path.stem, "dataset": bytes(32), "sbom": "sbom.json"})
    read = read_capsule(encoded)
    section = lay_out(compiled.program)
    assert read.encode() == encoded
    assert (read.name, read.model_digest) == ("model", compiled.program.digest)
    assert (read.kernel_abi, read.plan, read.data) == (section.abi, section.plan, section.content)
    assert (read.arena_bytes, read.state_bytes) == (compiled.program.arena_bytes, compiled.program.state_bytes)
    assert encoded[read.data_offset :].startswith(section.content)
    assert read.data_offset % 16 == 0
    assert (read.metadata["model"], read.metadata["dataset"]) == (path.stem, bytes(32))
    for spec, port in zip(read.inputs, compiled.program.inputs, strict=True):
        assert (spec.dtype, spec.shape, spec.offset) == (port.tensor.dtype, port.tensor.shape, port.offset)
        assert (spec.scale, spec.zero_point) == (port.tensor.scale, port.tensor.zero_point)


def test_truncated_at_every_byte(capsule: bytes) -> None:
    for n in [*range(400), *range(400, len(capsule), 53)]:
        with pytest.raises(CapsuleError) as refused:
            read_capsule(capsule[:n])
        assert refused.value.reason is Reason.TRUNCATED


_REASONS = (
    Reason.TRUNCATED,
    Reason.CAPSULE_MALFORMED,
    Reason.CAPSULE_BOUNDS,
    Reason.CAPSULE_GOLDEN_MISSING,
)


def _refused(encoded: bytes) -> Reason | None:
    """Why it is refused; None when it is read, and written again as it was."""
    try:
        assert read_capsule(encoded).encode() == encoded
    except CapsuleError as error:
        return error.reason
    return None


def test_a_changed_byte_is_refused_or_kept(capsule: bytes) -> None:
    """What is read is what is written: no byte is without a meaning."""
    rng = np.random.default_rng(1)
    kept = 0
    for at in [*range(400), *range(len(capsule) - 120, len(capsule)), *rng.integers(400, len(capsule), 300)]:
        for value in (capsule[at] ^ 1, capsule[at] ^ 0xFF):
            mutant = capsule[:at] + bytes([value]) + capsule[at + 1 :]
            reason = _refused(mutant)
            kept += reason is None
            assert reason in (None, *_REASONS)
    assert kept > 300


def test_sizes_that_overflow(capsule: bytes) -> None:
    for at in (8, 12, 16, 20):
        for value in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF0):
            mutant = bytearray(capsule)
            struct.pack_into("<I", mutant, at, value)
            with pytest.raises(CapsuleError):
                read_capsule(bytes(mutant))


def test_a_shape_that_overflows(capsule: bytes) -> None:
    mutant = bytearray(capsule)
    struct.pack_into("<2B", mutant, 208, 1, 8)
    struct.pack_into("<8H", mutant, 208 + 24, *(65535,) * 8)
    with pytest.raises(CapsuleError, match="bytes are not those of its shape"):
        read_capsule(bytes(mutant))


def test_golden_vectors_are_required(compiled: CompiledModel) -> None:
    with pytest.raises(CapsuleError) as refused:
        build_capsule(compiled, golden=())
    assert refused.value.reason is Reason.CAPSULE_GOLDEN_MISSING


@pytest.mark.parametrize("name", ["", "x" * 64, "a\nb", "größe"])
def test_names(name: str, capsule: bytes) -> None:
    with pytest.raises(ModelError, match="the name"):
        dataclasses.replace(read_capsule(capsule), name=name).encode()


def test_metadata_are_bounded(compiled: CompiledModel) -> None:
    with pytest.raises(ModelError, match="of metadata"):
        build_capsule(compiled, metadata={"model": "x" * MAX_METADATA})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"scale": float("nan")}, "a scale or tolerance"),
        ({"scale": -1.0}, "a scale or tolerance"),
        ({"tolerance": 1.0}, "a scale or tolerance"),
        ({"tolerance": 1e-4}, "where there is none"),
        ({"scale": 0.0}, "where there is none"),
        ({"zero_point": 200}, "the zero point 200 of int8"),
    ],
)
def test_ports_out_of_bounds(change: dict[str, Any], text: str, capsule: bytes) -> None:
    read = read_capsule(capsule)
    port = dataclasses.replace(read.inputs[0], **change)
    with pytest.raises(CapsuleError, match=text) as refused:
        read_capsule(dataclasses.replace(read, inputs=(port,)).encode())
    assert refused.value.reason is Reason.CAPSULE_BOUNDS


def test_a_port_of_a_large_dimension_has_no_place(capsule: bytes) -> None:
    port = PortSpec(DType.INT8, (1, 70000), 0, 1.0, 0)
    with pytest.raises(ModelError, match="a port of shape"):
        dataclasses.replace(read_capsule(capsule), inputs=(port,)).encode()


def test_seeded_inputs_are_those_of_the_device() -> None:
    """One generator over all inputs, byte by byte, float by float."""
    tensors = [
        Tensor("a", DType.INT8, (3,)),
        Tensor("b", DType.FLOAT32, (2,)),
        Tensor("c", DType.BOOL, (2, 2)),
        Tensor("d", DType.INT32, (1,)),
    ]
    x, expected = 7, []

    def step() -> int:
        nonlocal x
        x = (x * 1664525 + 1013904223) % 2**32
        return x

    expected.append([step() >> 24 for _ in range(3)])
    floats = [struct.unpack("<h", struct.pack("<H", step() >> 16))[0] / 8192 for _ in range(2)]
    bools = [bool(step() >> 24 & 1) for _ in range(4)]
    word = int.from_bytes(bytes(step() >> 24 for _ in range(4)), "little", signed=True)
    a, b, c, d = seeded_inputs(tensors, 7)
    assert a.view(np.uint8).tolist() == expected[0]
    assert b.dtype == np.float32
    assert b.tolist() == floats
    assert c.reshape(-1).tolist() == bools
    assert d.tolist() == [word]


def test_vectors_carry_the_state() -> None:
    """Only the first one starts; the reference sees the same sequence."""
    case = next(case for case in all_cases() if case.name == "variable_delay")
    model = run_passes(load_tflite(case.model, name=case.name))
    vectors = seeded_vectors(model, steps=5, seed=9)
    assert [vector.starts for vector in vectors] == [True, False, False, False, False]
    tensors = [model.main.tensors[t] for t in model.main.inputs]
    interpreter = Interpreter(model)
    rows = [seeded_inputs(tensors, 9 + step) for step in range(5)]
    for vector, row in zip(vectors, rows, strict=True):
        assert vector.outputs == tuple(o.tobytes() for o in interpreter.run(*row))
    assert [v.outputs for v in recorded_vectors(model, rows)] == [v.outputs for v in vectors]


def test_floats_have_a_tolerance_and_integers_none() -> None:
    for case in all_cases():
        if case.name in ("exp_f32", "abs_0"):
            model = run_passes(load_tflite(case.model, name=case.name))
            program, data = _program(model, case.name)
            read = read_capsule(build_capsule(CompiledModel(Path(case.name), model, program), data=data))
            is_float = program.outputs[0].tensor.dtype is DType.FLOAT32
            assert (read.outputs[0].tolerance > 0) == is_float


def test_every_case_has_a_capsule_of_the_same_bytes() -> None:
    """Laying out is a function of the model; the sections cover the data without gaps or overlaps."""
    for case in all_cases():
        model = run_passes(load_tflite(case.model, name=case.name))
        program, data = _program(model)
        assert data == data
        again = lay_out(lower(model, name="other", by_structure=True))
        assert (again.content, again.plan, again.spans) == (data.content, data.plan, data.spans)
        ends = [at + size for at, size in data.spans]
        assert all(end < start for end, (start, _) in zip(ends, data.spans[1:], strict=False))
        assert all(end <= len(data.content) for end in ends)
        assert set(data.constants) == {
            ref.name
            for layer in program.layers
            for call in layer.calls
            for ref in call.arguments
            if isinstance(ref, ConstantRef)
        }


@pytest.mark.parametrize("path", own_models(), ids=lambda path: path.stem)
def test_other_weights_and_scales_are_the_same_plan(path: Path) -> None:
    """Random weights of the same shapes and tensors with other scales: numbers differ, structure does not."""
    model = compile_model(path, name="model", by_structure=True).model
    rng = np.random.default_rng(4)

    def retrained(tensor: Tensor) -> Tensor:
        data, quantization = tensor.data, tensor.quantization
        if data is not None and data.dtype == np.int8:
            data = rng.integers(-127, 128, data.shape, dtype=np.int8)
        if quantization is not None and data is not None and tensor.dtype is DType.INT8:
            scales = tuple(float(np.float32(s * rng.uniform(0.5, 0.9))) for s in quantization.scales)
            quantization = dataclasses.replace(quantization, scales=scales)
        if data is not None and data.dtype == np.int32 and data.ndim == 1 and quantization is not None:
            quantization = None
            data = rng.integers(-1000, 1000, data.shape, dtype=np.int32)
            return dataclasses.replace(tensor, data=data)
        return dataclasses.replace(tensor, data=data, quantization=quantization)

    _, before = _program(model)
    try:
        _, after = _program(_changed(model, retrained))
    except ModelError as error:
        pytest.fail(str(error))
    assert after.plan == before.plan
    assert after.content != before.content


def test_another_structure_is_another_plan() -> None:
    plans = {lay_out(compile_model(path, name="model", by_structure=True).program).plan for path in own_models()}
    assert len(plans) == len(own_models())


def test_the_scale_of_the_input_is_a_number(compiled: CompiledModel) -> None:
    index = compiled.model.main.inputs[0]
    tensors = list(compiled.model.main.tensors)
    quantization = tensors[index].quantization
    assert quantization is not None
    moved = dataclasses.replace(quantization, zero_points=(quantization.zero_points[0] + 1,))
    tensors[index] = dataclasses.replace(tensors[index], quantization=moved)
    main = dataclasses.replace(compiled.model.main, tensors=tuple(tensors))
    other = lower(dataclasses.replace(compiled.model, graphs=(main,)), name="digits", by_structure=True)
    assert lay_out(other).plan == lay_out(compiled.program).plan


def test_indices_are_structure() -> None:
    """A GATHER by other constant indices is another plan; other values in its table are not."""
    case = next(case for case in all_cases() if case.name.startswith("gather"))
    model = run_passes(load_tflite(case.model, name=case.name))
    constants = [t for t in model.main.tensors if t.data is not None and t.data.dtype == np.int32]
    if not constants:
        pytest.fail(f"{case.name} has no constant indices")

    def flipped(tensor: Tensor) -> Tensor:
        if tensor.data is None or tensor.data.dtype != np.int32:
            return tensor
        return dataclasses.replace(tensor, data=tensor.data[..., ::-1].copy())

    assert _program(model)[1].plan != _program(_changed(model, flipped))[1].plan


def test_a_shift_that_no_kernel_takes_is_refused(compiled: CompiledModel) -> None:
    layers = list(compiled.program.layers)
    i = next(i for i, layer in enumerate(layers) if layer.op == "ADD")
    call = layers[i].calls[0]
    layers[i] = dataclasses.replace(
        layers[i], calls=(dataclasses.replace(call, params={**call.params, "a_shift": -32}),)
    )
    with pytest.raises(ModelError, match=r"numbers of -32..-32 cannot be in a capsule"):
        lay_out(dataclasses.replace(compiled.program, layers=tuple(layers)))


def test_the_library_has_no_numbers(compiled: CompiledModel) -> None:
    data = lay_out(compiled.program)
    files = emit_library(compiled.program, data=data)
    assert "digits_constants.c" not in files
    assert "digits_constants.c" not in library_sources(compiled.program, data=data)
    assert "digits_constants.c" in library_sources(compiled.program)
    assert "SCALE" not in files["digits.h"]
    assert "static const" not in files["digits.c"].replace("static const char *const names", "")
    with pytest.raises(ValueError, match="in its capsule"):
        emit_library(compiled.program, make_golden(compiled.model), data=data)


def test_a_capsule_of_other_firmware_is_no_error_here(capsule: bytes) -> None:
    """Reading tells what a capsule is; whether it fits is for a device or a build to say."""
    other = dataclasses.replace(read_capsule(capsule), plan=bytes(32), kernel_abi=bytes(32))
    assert isinstance(read_capsule(other.encode()), Capsule)


def test_vectors_keep_their_kind(capsule: bytes) -> None:
    read = read_capsule(capsule)
    vector = GoldenVector((bytes(range(10)),), (bytes(64),), starts=True)
    again = read_capsule(dataclasses.replace(read, golden=(vector, *read.golden)).encode())
    assert again.golden == (vector, *read.golden)


def test_nothing_can_make_a_divisor_zero() -> None:
    """The divisor is structure, and what is added to it has to be 0."""
    cases = [case for case in all_cases() if case.name.startswith(("floor_div", "floor_mod", "div_int32"))]
    seen = 0
    for case in cases:
        program, data = _program(run_passes(load_tflite(case.model, name=case.name)))
        for i, layer in enumerate(program.layers):
            for j, call in enumerate(layer.calls):
                if call.kernel != "to_binary_any_b_c":
                    continue
                offset = data.params[i, j] + next(f.offset for f in STRUCT.fields if f.name == "b_offset")
                assert [(r.low, r.high) for r in data.ranges if r.offset == offset] == [(0, 0)], case.name
                divisor = call.arguments[1]
                assert isinstance(divisor, ConstantRef)
                at = data.constants[divisor.name]
                assert any(start <= at < start + size for start, size in data.spans), case.name
                seen += 1
    assert seen >= 2


def test_a_bias_leaves_room_for_all_products(compiled: CompiledModel) -> None:
    data = lay_out(compiled.program)
    for layer in compiled.program.layers:
        for call in layer.calls:
            if call.kernel not in ("to_conv2d_any_s8_c", "to_conv2d_1x1_s8_c", "to_depthwise_conv2d_any_s8_c"):
                continue
            weights, bias = call.arguments[1], call.arguments[2]
            assert isinstance(weights, ConstantRef)
            assert isinstance(bias, ConstantRef)
            sizes = {c.name: c.data.size for c in compiled.program.constants}
            products = sizes[weights.name] // sizes[bias.name]
            (found,) = (r for r in data.ranges if r.offset == data.constants[bias.name])
            assert found.high + products * 128 * 128 == 2**31 - 1
            assert found.low == -found.high
    assert data.wrapping == frozenset()
