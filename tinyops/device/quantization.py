"""`tinyops quantize` without its command line: load, calibrate, convert, measure, verify, report."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyops import __version__
from tinyops.cost import estimate_memory
from tinyops.cost.memory import refuse_misfit
from tinyops.device.board import Board
from tinyops.emit.golden import random_inputs
from tinyops.emit.names import identifier
from tinyops.errors import ModelError, TinyopsError, UsageError
from tinyops.features import FeatureSettings
from tinyops.graph import DType, Model
from tinyops.load import load_model, load_tflite, read_model_file
from tinyops.lower.lowering import lower
from tinyops.lower.program import Program
from tinyops.ops.base import operator
from tinyops.passes import input_permutation, output_permutation, run_passes
from tinyops.quantize import QuantizationSettings, quantize
from tinyops.quantize.calibrate import Progress, silent
from tinyops.quantize.data import DataSet, open_data
from tinyops.quantize.data_settings import DataSettings
from tinyops.quantize.evaluate import evaluate, integer_inputs
from tinyops.quantize.prepare import prepare
from tinyops.quantize.report import describe_quantization
from tinyops.quantize.sensitivity import measure_sensitivity
from tinyops.quantize.verify_file import verify_file
from tinyops.save import write_tflite

__all__ = ["QuantizedFile", "has_floats", "load_float_model", "quantize_file", "write_quantized"]

#: Held-out inputs on which the written file is compared.
_VERIFIED = 8
#: Held-out inputs on which every layer is measured by itself.
_MEASURED = 32


@dataclass(frozen=True, eq=False)
class QuantizedFile:
    """The bytes of the .tflite file, and the report about it."""

    data: bytes
    report: dict[str, Any]


def load_float_model(path: Path, shapes: Mapping[str, Sequence[int]] | None = None, *, portable: bool = True) -> Model:
    """A model as it is quantized: after the passes, channels last; one that is quantized already as it is."""
    model = run_passes(load_model(path, shapes))
    return prepare(model, portable) if has_floats(model) else model


def has_floats(model: Model) -> bool:
    """Whether there is something to quantize."""
    return any(tensor.dtype is DType.FLOAT32 for tensor in model.main.tensors)


def write_quantized(path: Path, model: Model, *, tflite_micro: bool = False) -> QuantizedFile:
    """The .tflite file of a model that is quantized already (QDQ ONNX), its ranges as they are; nothing is written."""
    written = write_tflite(model)
    tensors = [model.main.tensors[t] for t in model.main.inputs]
    verification = verify_file(written, model, random_inputs(tensors, _VERIFIED, 0), tflite_micro)
    program, problem = _lowered(written, path)
    before = read_model_file(path)
    report = {
        "tinyops": __version__,
        "model": {"source": path.name, "sha256": hashlib.sha256(before).hexdigest()},
        "sha256": hashlib.sha256(written).hexdigest(),
        "size": {"file_bytes_before": len(before), "file_bytes_after": len(written)},
        "memory": None if program is None else _memory(program),
        "verification": verification,
        "notes": ["it is quantized already: ranges are those of the file", *_notes(model)],
        "warnings": _not_in_micro(model) + _warnings(program, problem, None),
    }
    return QuantizedFile(written, report)


def quantize_file(
    path: Path,
    model: Model,
    data: DataSettings,
    settings: QuantizationSettings,
    *,
    features: FeatureSettings | None = None,
    folder: Path | None = None,
    board: Board | None = None,
    tflite_micro: bool = False,
    progress: Progress = silent,
) -> QuantizedFile:
    """Quantize `model`, that of the file `path`, for `board` or none in particular; nothing is written.

    `tflite_micro` compares what was made with TFLite Micro too. TinyopsError where the model, the data or the target
    do not allow it, or a comparison fails.
    """
    kept = _kept_float(model, settings)
    if kept and board is not None:
        _refuse_float(kept, board)
    split = open_data(model, data, features, folder)
    result = quantize(model, split.calibration, settings, progress=progress)
    written = write_tflite(result.model)
    program, problem = _lowered(written, path)
    if kept and problem is not None:
        raise UsageError(
            f"{kept[0]} cannot be kept in float32: {problem}", where=problem.where, hint=f"--layer {kept[0]}=int16"
        )
    if kept and board is not None and program is not None:
        flash, ram = (None if m is None else m.bytes for m in (board.flash, board.ram))
        refuse_misfit(program, board.name, flash, ram)
    steps = _steps(result.model, split.held_out)
    verification = verify_file(written, result.model, steps, tflite_micro)
    evaluation = evaluate(result.source, result.model, split.held_out, progress)
    sensitivity = measure_sensitivity(result, split.held_out, limit=_MEASURED, progress=progress)
    report = describe_quantization(result, split, evaluation, sensitivity, path.name, read_model_file(path), written)
    report["verification"] = verification
    report["memory"] = None if program is None else _memory(program)
    report["board"] = None if board is None else board.name
    report["notes"] = _notes(model)
    report["warnings"] += _not_in_micro(result.model) + _warnings(program, problem, board)
    return QuantizedFile(written, report)


def _kept_float(model: Model, settings: QuantizationSettings) -> list[str]:
    """Layers that compute in float32 although the others do not."""
    if settings.activations == "float32":
        return []
    return [view.name for view in model.main.views() if settings.dtype(view) is DType.FLOAT32]


def _refuse_float(kept: Sequence[str], board: Board) -> None:
    processor = board.processor
    if processor.isa != "host" and "fpu" not in processor.features:
        raise UsageError(
            f"{kept[0]} cannot be kept in float32 on {board.name}: {processor.core} has no FPU",
            allowed="layers of int8 and int16",
            hint=f"--layer {kept[0]}=int16",
        )


def _lowered(written: bytes, path: Path) -> tuple[Program | None, TinyopsError | None]:
    """The program of the written file, or why there is none."""
    name = identifier(path.stem)
    try:
        model = run_passes(load_tflite(written, name=name))
        return lower(model, name=name, digest=hashlib.sha256(written).digest(), source=path.name), None
    except ModelError as error:
        return None, error


def _steps(model: Model, data: DataSet) -> list[list[Any]]:
    return [integer_inputs(model.main, values) for values in itertools.islice(data, _VERIFIED)]


def _memory(program: Program) -> dict[str, Any]:
    need = estimate_memory(program)
    return {
        "arena_bytes": program.arena_bytes,
        "state_bytes": program.state_bytes,
        "constant_bytes": program.constant_bytes(),
        "flash_needed_bytes": need.flash_bytes,
        "ram_needed_bytes": need.ram_bytes,
        "macs": program.macs,
    }


def _notes(model: Model) -> list[str]:
    """Where the file's inputs and outputs have another order of axes than the ONNX file's."""
    found = []
    for what, ports, permutation in (
        ("input", model.main.inputs, input_permutation),
        ("output", model.main.outputs, output_permutation),
    ):
        for k, t in enumerate(ports):
            if permutation(model, k) is not None:
                tensor = model.main.tensors[t]
                found.append(
                    f"{what} {tensor.name} is {list(tensor.shape)}, channels last; the ONNX file has them first"
                )
    return found


def _not_in_micro(model: Model) -> list[str]:
    """What TFLite Micro cannot run of it."""
    found = {}
    for view in model.main.views():
        rules = operator(view.kind)
        if rules is not None and view.outputs and view.output().dtype in rules.not_in_micro:
            found[f"{view.kind} of {view.output().dtype}"] = view.name
    text = ", ".join(f"{what} ({name})" for what, name in found.items())
    return [f"TFLite Micro has no {text}: the file is for tinyops and LiteRT."] if found else []


def _warnings(program: Program | None, problem: TinyopsError | None, board: Board | None) -> list[str]:
    found = []
    if problem is not None:
        found.append(f"tinyops generates no code for it: {problem.where or ''} {problem.what}")
    if board is not None and program is not None:
        need = estimate_memory(program)
        for what, needed, memory in (("flash", need.flash_bytes, board.flash), ("RAM", need.ram_bytes, board.ram)):
            if memory is not None and needed > memory.bytes:
                found.append(f"It does not fit {board.name}: {needed:,} B of {what} needed, {memory.bytes:,} B there.")
    return found
