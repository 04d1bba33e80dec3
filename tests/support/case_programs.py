"""Generated C of many small models in one program, whose outputs are compared with those of the reference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tests.cases.case import Case
from tests.support.semihosted import Target
from tests.support.tflm import ORACLE
from tinyops.device.board import Toolchain
from tinyops.device.toolchain import Unit, compile_objects, find_toolchain, link
from tinyops.emit.c import emit_library
from tinyops.emit.files import write_file, write_files
from tinyops.emit.golden import Golden, random_inputs
from tinyops.kernels import library_texts
from tinyops.load import load_tflite
from tinyops.lower import Optimize, lower
from tinyops.ops.interpreter import Interpreter
from tinyops.passes import run_passes

_STEPS = 3
_FLAGS = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-ffunction-sections", "-fdata-sections")
_TOOLCHAINS = {"host": "host", "cortex-m4": "arm-none-eabi", "riscv32": "riscv64-unknown-elf"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Names of the cases that passed and failed, and how often each kernel is called in all of them."""

    passed: list[str]
    failed: list[str]
    calls: dict[str, int]
    printed: str


@cache
def _library(case: Case, isa: str, optimize: Optimize) -> tuple[dict[str, str], tuple[str, ...]]:
    """The files of the case's library and test, whose golden vectors are the oracle's; and its kernels."""
    model = run_passes(load_tflite(case.model, name=case.name))
    inputs = random_inputs([model.main.tensors[t] for t in model.main.inputs], _STEPS, seed=len(case.name))
    if case.numpy:
        interpreter = Interpreter(model)
        wanted = [interpreter.run(*step) for step in inputs]
    else:
        wanted = [step.outputs for step in ORACLE.run(case.model, inputs, outputs=len(model.main.outputs))]
    outputs = tuple(tuple(np.asarray(o) for o in step) for step in wanted)
    program = lower(model, name=case.name, digest=bytes(32), isa=isa, optimize=optimize)
    return emit_library(program, Golden(tuple(map(tuple, inputs)), outputs)), tuple(
        call.kernel for layer in program.layers for call in layer.calls
    )


def _unity(case: Case) -> str:
    """One translation unit per case, its `main` under the case's name."""
    name = case.name
    return (
        f"#define main {name}_main\nint {name}_main(void);\n"
        f'#include "{name}_constants.c"\n#undef ALIGNED\n#include "{name}.c"\n#include "test/test_{name}.c"\n'
    )


def _driver(names: list[str]) -> str:
    declarations = "".join(f"int {name}_main(void);\n" for name in names)
    calls = "".join(f"    failed += {name}_main();\n" for name in names)
    return f"{declarations}int main(void) {{\n    int failed = 0;\n{calls}    return failed != 0;\n}}\n"


def run_cases(
    cases: Sequence[Case], target: Target, folder: Path, *, isa: str = "c", optimize: Optimize = "portable"
) -> Outcome:
    """Build all cases into one program for `target` and run it there."""
    units: list[Unit] = []
    calls: dict[str, int] = {}
    for case in cases:
        files, used = _library(case, isa, optimize)
        for name in used:
            calls[name] = calls.get(name, 0) + 1
        own = folder / case.name
        write_files(own, files)
        write_file(own / f"unity_{case.name}.c", _unity(case))
        units.append(Unit(own / f"unity_{case.name}.c", (f"-I{own}", f"-I{own}/kernels")))
    texts = library_texts(calls)
    write_files(folder / "kernels", texts)
    units += [Unit(folder / "kernels" / file) for file in texts if file.endswith(".c")]
    write_file(folder / "driver.c", _driver([case.name for case in cases]))
    units.append(Unit(folder / "driver.c"))
    toolchain = find_toolchain(Toolchain.model_validate({"name": _TOOLCHAINS[target.name], "flags": target.flags}))
    objects = compile_objects(toolchain, units, folder / "obj", flags=_FLAGS).objects
    program = folder / "cases"
    link(toolchain, objects, program, flags=["-Wl,--gc-sections", *target.link_flags(folder)], libraries=["-lm"])
    run = target.run(program)
    printed = run.stdout + run.stderr
    failed = re.findall(r"(\w+): \d+ invocations, .*: FAILED", printed)
    passed = re.findall(r"(\w+): \d+ invocations, 0 mismatching (?:byte|value)s: passed", printed)
    assert (run.returncode == 0) == (not failed and len(passed) == len(cases)), printed[-1000:]
    return Outcome(passed, failed, calls, printed[-1000:])
