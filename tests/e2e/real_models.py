"""Models that are not part of the project: how far each comes, and whether its outputs are TFLite Micro's.

`PYTHONPATH=. python tests/e2e/real_models.py FOLDER` prints a table of all .tflite files below FOLDER.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.inputs import sequence
from tests.support.semihosted import CORTEX_M4, HOST, Target
from tests.support.tflm import ORACLE, OracleError
from tinyops.device.board import Toolchain
from tinyops.device.toolchain import Unit, compile_objects, find_toolchain, link
from tinyops.emit.c import emit_library, library_sources
from tinyops.emit.files import write_file, write_files
from tinyops.errors import TinyopsError
from tinyops.graph import DType, Model
from tinyops.load import load_model
from tinyops.lower import lower
from tinyops.lower.program import Program
from tinyops.passes import run_passes

Array = np.ndarray[Any, Any]

STEPS = 10
FLOAT_TOLERANCE = 1e-5
_FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-ffunction-sections", "-fdata-sections")
_TOOLCHAINS = {"host": "host", "cortex-m4": "arm-none-eabi"}
_SECONDS = 300
_M4_CONSTANTS, _M4_RAM = 3_900_000, 3_900_000  # 4 MiB each on the board mps2-an386, with the program and its stack


@dataclass(frozen=True)
class Result:
    """What became of a model: its operators, the targets where its outputs match, or the reason why it does not."""

    operators: str
    matches: tuple[str, ...] = ()
    reason: str = ""
    refused: bool = False

    def __str__(self) -> str:
        return self.reason or f"equal on {', '.join(self.matches)}"


def check(path: Path, targets: Sequence[Target] = (HOST, CORTEX_M4)) -> Result:
    """Compile a model and compare all outputs of STEPS invocations with TFLite Micro, on each target it fits."""
    operators = ""
    try:
        model = load_model(path)
        operators = _operators(model)
        model = run_passes(model)
        program = lower(model, name="model", digest=hashlib.sha256(path.read_bytes()).digest())
    except TinyopsError as error:
        return Result(operators, reason=str(error).removeprefix(f"{path}: ").replace("\n", "; "), refused=True)
    inputs = _inputs(model, path)
    ports = [model.main.tensors[t] for t in model.main.inputs + model.main.outputs]
    room = 12 * path.stat().st_size + 2**22 + 2 * sum(t.nbytes for t in model.main.tensors)
    try:
        steps = ORACLE.run(path.read_bytes(), inputs, outputs=len(model.main.outputs), arena=room, seconds=_SECONDS)
    except OracleError as error:
        return Result(operators, reason=f"TFLite Micro: {_last_line(str(error))}", refused=True)
    wanted = [[np.asarray(output) for output in step.outputs] for step in steps]
    done: list[str] = []
    for target in targets:
        if target is CORTEX_M4 and not _fits(program):
            continue
        with tempfile.TemporaryDirectory() as folder:
            got = run_program(program, target, Path(folder), inputs, wanted)
        flat = [output for row in wanted for output in row]
        differing = sum(_differing(g, w) for g, w in zip(got, flat, strict=True))
        if differing:
            kinds = {t.dtype.value for t in ports}
            return Result(operators, tuple(done), f"{differing} outputs differ on {target.name} ({', '.join(kinds)})")
        done.append(target.name)
    return Result(operators, tuple(done))


def _inputs(model: Model, path: Path) -> list[list[Array]]:
    """Inputs over the whole range, but for 32-bit ones that are not quantized: indices, which stay small."""
    tensors = [model.main.tensors[t] for t in model.main.inputs]
    indices = [tensor.dtype is DType.INT32 and tensor.quantization is None for tensor in tensors]
    rows = sequence(model, path, STEPS)
    return [[np.abs(a % 64) if index else a for a, index in zip(row, indices, strict=True)] for row in rows]


def _operators(model: Model) -> str:
    counts = Counter(op.kind for graph in model.graphs for op in graph.ops)
    return ", ".join(f"{kind} x{n}" if n > 1 else kind for kind, n in counts.items())


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines[1:] if "not" in line or "!=" in line), lines[-1])


def _fits(program: Program) -> bool:
    return program.constant_bytes() < _M4_CONSTANTS and program.arena_bytes + program.state_bytes < _M4_RAM


def _differing(got: Array, wanted: Array) -> int:
    """How many elements differ; floats by more than the tolerance, relative to the output's largest value above 1."""
    if wanted.dtype.kind != "f":
        return int((got != wanted.reshape(-1)).sum())
    flat = wanted.reshape(-1).astype(np.float64)
    allowed = FLOAT_TOLERANCE * max(1.0, float(np.abs(flat).max()))
    return int((~(np.abs(got - flat) <= allowed)).sum())


def _driver(program: Program, folder: Path, steps: int) -> str:
    """A program that reads the inputs of all steps from a file and writes the outputs to another."""
    reads = "".join(
        f"        if (fread(model_input_{k}(arena.bytes), 1, MODEL_INPUT_{k}_BYTES, in) != MODEL_INPUT_{k}_BYTES) "
        "return 1;\n"
        for k in range(len(program.inputs))
    )
    writes = "".join(
        f"        if (fwrite(model_output_{k}(arena.bytes), 1, MODEL_OUTPUT_{k}_BYTES, out) != MODEL_OUTPUT_{k}_BYTES) "
        "return 1;\n"
        for k in range(len(program.outputs))
    )
    state = "state.bytes" if program.state_bytes else "NULL"
    return (
        '#include <stdio.h>\n#include <string.h>\n#include "model.h"\nstatic model_arena_t arena;\n'
        + ("static model_state_t state;\n" if program.state_bytes else "")
        + f'int main(void)\n{{\n    FILE *in = fopen("{folder}/inputs.bin", "rb");\n'
        f'    FILE *out = fopen("{folder}/outputs.bin", "wb");\n'
        f"    if (in == NULL || out == NULL) return 1;\n    model_init({state});\n"
        f"    for (int step = 0; step < {steps}; step++) {{\n        memset(arena.bytes, 0xA5, sizeof arena.bytes);\n"
        f"{reads}        model_invoke(arena.bytes, {state});\n{writes}    }}\n"
        "    return fclose(in) != 0 || fclose(out) != 0;\n}\n"
    )


def run_program(
    program: Program, target: Target, folder: Path, inputs: Sequence[Sequence[Array]], like: Sequence[Sequence[Array]]
) -> list[Array]:
    """The outputs of the generated C on a target, step after step, flat."""
    write_files(folder, emit_library(program))
    write_file(folder / "driver.c", _driver(program, folder, len(inputs)))
    (folder / "inputs.bin").write_bytes(b"".join(array.tobytes() for row in inputs for array in row))
    toolchain = find_toolchain(Toolchain.model_validate({"name": _TOOLCHAINS[target.name], "flags": target.flags}))
    include = (f"-I{folder}", f"-I{folder}/kernels")
    units = [Unit(folder / name, include) for name in (*library_sources(program), "driver.c")]
    objects = compile_objects(toolchain, units, folder / "obj", flags=_FLAGS).objects
    flags = ("-Wl,--gc-sections", *target.link_flags(folder))
    link(toolchain, objects, folder / "run", flags=flags, libraries=("-lm",))
    ran = target.run(folder / "run", seconds=_SECONDS)
    if ran.returncode:
        raise RuntimeError(f"{target.name}: exit status {ran.returncode}\n{ran.stdout}{ran.stderr}")
    data, outputs, offset = (folder / "outputs.bin").read_bytes(), [], 0
    for array in (array for row in like for array in row):
        outputs.append(np.frombuffer(data, array.dtype, array.size, offset))
        offset += array.nbytes
    return outputs


def digest(path: Path) -> str:
    """The first twelve hexadecimal digits of the file's SHA-256, by which docs/operators.md names it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def models(folder: Path) -> list[Path]:
    """All model files below a folder."""
    return sorted(folder.rglob("*.tflite"))


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python tests/e2e/real_models.py FOLDER")
    folder = Path(arguments[0])
    print("| model | SHA-256 | operators | result |\n|---|---|---|---|")
    for path in models(folder):
        try:
            result = check(path)
        except Exception as error:  # the table goes on; a failure other than a refusal is a bug, and shown as such
            result = Result("", reason=f"BUG: {type(error).__name__}: {error}".replace("\n", " ")[:400])
        print(f"| {path.relative_to(folder)} | {digest(path)} | {result.operators} | {result} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
