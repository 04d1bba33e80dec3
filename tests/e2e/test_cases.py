"""Every operator case as generated C, all in one program per target: outputs equal TFLite Micro's.

Where TFLite Micro has no kernel, they equal those of the NumPy references.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.cases import all_cases
from tests.cases.case import Case
from tests.support.semihosted import TARGETS, Target
from tests.support.tflm import ORACLE
from tinyops.device.board import Toolchain
from tinyops.device.toolchain import Unit, compile_objects, find_toolchain, link
from tinyops.emit.c import emit_library
from tinyops.emit.files import write_file, write_files
from tinyops.emit.golden import Golden, random_inputs
from tinyops.kernels import kernel_files
from tinyops.load import load_tflite
from tinyops.lower import lower
from tinyops.ops.base import operator
from tinyops.ops.interpreter import Interpreter
from tinyops.passes import run_passes

_STEPS = 3
_FLAGS = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-ffunction-sections", "-fdata-sections")
_TOOLCHAINS = {"host": "host", "cortex-m4": "arm-none-eabi", "riscv32": "riscv64-unknown-elf"}


def test_names_are_unique_identifiers() -> None:
    names = [case.name for case in all_cases()]
    assert [name for name, n in Counter(names).items() if n > 1] == []
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9_]{0,47}", name)] == []


def test_operators_say_what_tflite_micro_lacks() -> None:
    """No case compares such an operator with it."""
    lacking = {True: set[str](), False: set[str]()}
    for case in all_cases():
        for view in load_tflite(case.model, name=case.name).main.views():
            rules = operator(view.kind)
            if rules is not None and view.outputs and view.output().dtype in rules.not_in_micro:
                lacking[case.numpy].add(view.kind)
    assert lacking[False] == set()
    assert lacking[True] >= {"EXP", "GELU", "LOG", "NEG", "POW", "RELU_N1_TO_1", "SELECT", "SQRT", "TILE"}


@cache
def _library(case: Case) -> tuple[dict[str, str], tuple[str, ...]]:
    """The files of the case's library and test, whose golden vectors are the oracle's; and its kernels."""
    model = run_passes(load_tflite(case.model, name=case.name))
    inputs = random_inputs([model.main.tensors[t] for t in model.main.inputs], _STEPS, seed=len(case.name))
    if case.numpy:
        interpreter = Interpreter(model)
        wanted = [interpreter.run(*step) for step in inputs]
    else:
        wanted = [step.outputs for step in ORACLE.run(case.model, inputs, outputs=len(model.main.outputs))]
    outputs = tuple(tuple(np.asarray(o) for o in step) for step in wanted)
    program = lower(model, name=case.name, digest=bytes(32))
    return emit_library(program, Golden(tuple(map(tuple, inputs)), outputs)), program.kernels


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


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_all_cases(target: Target, tmp_path: Path) -> None:
    target.require()
    cases = all_cases()
    units: list[Unit] = []
    kernels: set[str] = set()
    for case in cases:
        files, used = _library(case)
        kernels.update(used)
        folder = tmp_path / case.name
        write_files(folder, files)
        write_file(folder / f"unity_{case.name}.c", _unity(case))
        units.append(Unit(folder / f"unity_{case.name}.c", (f"-I{folder}", f"-I{folder}/kernels")))
    units += [Unit(path) for path in kernel_files(sorted(kernels)) if path.suffix == ".c"]
    write_file(tmp_path / "driver.c", _driver([case.name for case in cases]))
    units.append(Unit(tmp_path / "driver.c"))
    toolchain = find_toolchain(Toolchain.model_validate({"name": _TOOLCHAINS[target.name], "flags": target.flags}))
    objects = compile_objects(toolchain, units, tmp_path / "obj", flags=_FLAGS).objects
    program = tmp_path / "cases"
    link(toolchain, objects, program, flags=["-Wl,--gc-sections", *target.link_flags(tmp_path)], libraries=["-lm"])
    run = target.run(program)
    printed = run.stdout + run.stderr
    failed = re.findall(r"(\w+): \d+ invocations, .*: FAILED", printed)
    passed = re.findall(r"(\w+): \d+ invocations, 0 mismatching (?:byte|value)s: passed", printed)
    assert failed == []
    assert len(passed) == len(cases), printed[-1000:]
    assert run.returncode == 0
