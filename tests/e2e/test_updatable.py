"""Models as data: what runs from a capsule equals TFLite Micro, as what is compiled in does.

Where TFLite Micro has no kernel, outputs equal those of the NumPy references.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.cases import all_cases
from tests.cases.case import Case
from tests.quantize.networks import NETWORKS
from tests.support.semihosted import CORTEX_M0, HOST, TARGETS, Target
from tests.support.tflm import ORACLE
from tinyops.device.board import Toolchain
from tinyops.device.toolchain import Unit, compile_objects, find_toolchain, link
from tinyops.emit.c import emit_binding, emit_factory, emit_library, library_sources
from tinyops.emit.capsule import GoldenVector, build_capsule, recorded_vectors
from tinyops.emit.data_section import DataSection, lay_out
from tinyops.emit.files import write_file, write_files
from tinyops.emit.golden import random_inputs
from tinyops.kernels import kernel_files
from tinyops.load import load_tflite
from tinyops.lower import lower
from tinyops.lower.compile import CompiledModel
from tinyops.passes import run_passes
from tinyops.quantize import QuantizationSettings, quantize
from tinyops.resources import data_dir
from tinyops.save import write_tflite

_STEPS = 3
_FLAGS = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-ffunction-sections")
_WRAP = ("-fwrapv",)
_TOOLCHAINS = {
    "host": "host",
    "cortex-m4": "arm-none-eabi",
    "cortex-m0plus": "arm-none-eabi",
    "riscv32": "riscv64-unknown-elf",
}
_COMMON = data_dir("firmware") / "common"
_HOSTILE = Path(__file__).parents[1] / "support" / "hostile_numbers.c"
#: Capsules of random numbers for each case, where sanitizers watch.
_ROUNDS = 20


@cache
def _library(case: Case) -> tuple[dict[str, str], tuple[str, ...], frozenset[str]]:
    """The files of the case's library, binding and factory capsule, whose golden vectors are the oracle's; kernels.

    And those of them whose numbers may make them overflow.
    """
    model = run_passes(load_tflite(case.model, name=case.name))
    inputs = random_inputs([model.main.tensors[t] for t in model.main.inputs], _STEPS, seed=len(case.name))
    vectors = recorded_vectors(model, inputs)
    if not case.numpy:
        steps = ORACLE.run(case.model, inputs, outputs=len(model.main.outputs))
        outputs = [tuple(np.asarray(o).tobytes() for o in step.outputs) for step in steps]
        vectors = tuple(
            GoldenVector(wanted, vector.inputs, starts=vector.starts)
            for vector, wanted in zip(vectors, outputs, strict=True)
        )
    program = lower(model, name=case.name, digest=bytes(32), by_structure=True)
    data = lay_out(program)
    capsule = build_capsule(CompiledModel(Path(case.name), model, program), golden=vectors, data=data)
    files = emit_library(program, data=data)
    files["binding.c"] = emit_binding(program, data=data, capsule=capsule)
    files["factory.c"] = emit_factory(program, capsule)
    return files, program.kernels, data.wrapping


def _unity(name: str) -> str:
    """One translation unit per case, its model under the case's name."""
    return (
        f'#define to_device_model {name}_model\n#include "binding.c"\n#undef ALIGNED\n'
        f'#include "{name}.c"\n#include "factory.c"\n'
    )


def _driver(names: list[str], rounds: int) -> str:
    """Tests all models, and runs each with `rounds` capsules of random numbers."""
    declarations = "".join(f"extern to_model {name}_model;\n" for name in names)
    calls = "".join(f'    failed += test("{name}", &{name}_model);\n' for name in names)
    return (
        f'#include <stdio.h>\n#include "tinyops/to_capsule.h"\n{declarations}'
        "int hostile_numbers(const char *name, const to_model *model, unsigned rounds);\n"
        "static int test(const char *name, const to_model *model) {\n"
        "    to_capsule_difference d = {0, 0, 0};\n"
        "    const to_capsule_plan *plan = model->plan;\n"
        "    to_reason reason = to_capsule_verify(plan, plan->factory, plan->factory_bytes);\n"
        "    if (reason == 0) {\n"
        "        reason = to_capsule_self_test(model, plan->factory, &d);\n"
        "    }\n"
        '    printf("%s: %s %d, vector %d, output %d, element %u\\n", name, reason == 0 ? "passed" : "FAILED",\n'
        "           (int)reason, d.vector, d.output, (unsigned)d.index);\n"
        f"    return reason != 0 || ({rounds} > 0 && hostile_numbers(name, model, {rounds}u));\n}}\n"
        f"int main(void) {{\n    int failed = 0;\n{calls}    return failed != 0;\n}}\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("target", [*TARGETS, CORTEX_M0], ids=lambda target: target.name)
def test_all_cases(target: Target, tmp_path: Path) -> None:
    target.require()
    cases = all_cases()
    common = (f"-I{_COMMON / 'include'}", "-DTO_UPDATABLE")
    units: list[Unit] = []
    kernels: set[str] = set()
    wrapping: set[str] = set()
    for case in cases:
        files, used, wraps = _library(case)
        kernels.update(used)
        wrapping.update(wraps)
        folder = tmp_path / case.name
        write_files(folder, files)
        write_file(folder / f"unity_{case.name}.c", _unity(case.name))
        units.append(Unit(folder / f"unity_{case.name}.c", (f"-I{folder}", f"-I{folder}/kernels", *common)))
    assert len(kernels - wrapping) > 10
    sources = [path for path in kernel_files(sorted(kernels)) if path.suffix == ".c"]
    units += [Unit(path, _WRAP if path.stem in wrapping else ()) for path in sources]
    units += [Unit(_COMMON / "src" / f"{name}.c", common) for name in ("to_capsule", "to_sha256")]
    rounds = _ROUNDS if target is HOST else 0
    write_file(tmp_path / "driver.c", _driver([case.name for case in cases], rounds))
    units += [Unit(tmp_path / "driver.c", common), Unit(_HOSTILE, common)]
    flags = (*_FLAGS, *(("-fsanitize=float-cast-overflow",) if target is HOST else ()))
    toolchain = find_toolchain(Toolchain.model_validate({"name": _TOOLCHAINS[target.name], "flags": target.flags}))
    objects = compile_objects(toolchain, units, tmp_path / "obj", flags=flags).objects
    program = tmp_path / "cases"
    link(toolchain, objects, program, flags=["-Wl,--gc-sections", *target.link_flags(tmp_path)], libraries=["-lm"])
    run = target.run(program)
    printed = run.stdout + run.stderr
    assert re.findall(r"\w+: FAILED.*", printed) == []
    assert len(re.findall(r"\w+: passed", printed)) == len(cases), printed[-1000:]
    assert run.returncode == 0


@dataclass(frozen=True)
class _Retrained:
    """Two models of one structure, as files."""

    name: str
    first: bytes
    second: bytes


def _quantized(network: str, contrast: float) -> bytes:
    """A network calibrated for inputs of another range: all its scales and rescalings are others."""
    net = NETWORKS[network]()
    samples = [[x * x.dtype.type(contrast) for x in row] for row in net.samples(24)]
    settings = QuantizationSettings(adaround_iterations=20)
    return write_tflite(quantize(net.model(), samples, settings).model)


@cache
def _retrained(name: str) -> _Retrained:
    if name == "digits":
        folder = data_dir("models") / "digits"
        return _Retrained(name, (folder / "digits.tflite").read_bytes(), (folder / "v2" / "digits.tflite").read_bytes())
    return _Retrained(name, _quantized(name, 1.0), _quantized(name, 0.37))


def _compiled(file: bytes, name: str) -> tuple[CompiledModel, DataSection]:
    model = run_passes(load_tflite(file, name=name))
    program = lower(model, name=name, digest=hashlib.sha256(file).digest(), by_structure=True)
    return CompiledModel(Path(name), model, program), lay_out(program)


def _judged(file: bytes, compiled: CompiledModel) -> tuple[GoldenVector, ...]:
    """Golden vectors of TFLite Micro, on inputs that reach both ends of the range."""
    tensors = [compiled.model.main.tensors[t] for t in compiled.model.main.inputs]
    inputs = random_inputs(tensors, 6, seed=3)
    steps = ORACLE.run(file, inputs, outputs=len(compiled.model.main.outputs))
    return tuple(
        GoldenVector(
            tuple(np.asarray(o).tobytes() for o in step.outputs), tuple(x.tobytes() for x in row), starts=i == 0
        )
        for i, (row, step) in enumerate(zip(inputs, steps, strict=True))
    )


_OLD_FIRMWARE = """
#include <stdio.h>
#include "tinyops/to_capsule.h"
extern const uint32_t other_factory[];
int main(void) {
    const uint8_t *capsule = (const uint8_t *)other_factory;
    to_capsule_difference d = {0, 0, 0};
    to_reason verified = to_capsule_verify(to_device_model.plan, capsule, to_capsule_bytes(capsule));
    to_reason tested = to_capsule_self_test(&to_device_model, capsule, &d);
    to_capsule_activate(&to_device_model, capsule);
    printf("verified %d, tested %d, vector %d, element %u\\n", (int)verified, (int)tested, d.vector, (unsigned)d.index);
    printf("zero point %d\\n", (int)to_device_model.outputs[0].zero_point);
    return verified != TO_REASON_OK || tested != TO_REASON_OK;
}
"""


@pytest.mark.parametrize("name", ["digits", *sorted(NETWORKS)])
@pytest.mark.parametrize("target", [*TARGETS, CORTEX_M0], ids=lambda target: target.name)
def test_a_retrained_model_runs_in_the_old_firmware(name: str, target: Target, tmp_path: Path) -> None:
    """Its outputs equal those of TFLite Micro for its own file, bit by bit."""
    target.require()
    pair = _retrained(name)
    first, data = _compiled(pair.first, "model")
    second, other = _compiled(pair.second, "other")
    assert data.plan == other.plan
    assert data.content != other.content
    factory = build_capsule(first, data=data)
    files = emit_library(first.program, data=data)
    files["binding.c"] = emit_binding(first.program, data=data, capsule=factory)
    files["factory.c"] = emit_factory(first.program, factory)
    capsule = build_capsule(second, data=other, golden=_judged(pair.second, second))
    files["other.c"] = emit_factory(second.program, capsule)
    files["main.c"] = _OLD_FIRMWARE
    write_files(tmp_path, files)
    own = [*library_sources(first.program, data=data), "binding.c", "factory.c", "other.c", "main.c"]
    common = (f"-I{_COMMON / 'include'}", "-DTO_UPDATABLE", f"-I{tmp_path}", f"-I{tmp_path}/kernels")
    units = [Unit(tmp_path / file, common + (_WRAP if Path(file).stem in data.wrapping else ())) for file in own]
    units += [Unit(_COMMON / "src" / f"{stem}.c", common) for stem in ("to_capsule", "to_sha256")]
    toolchain = find_toolchain(Toolchain.model_validate({"name": _TOOLCHAINS[target.name], "flags": target.flags}))
    objects = compile_objects(toolchain, units, tmp_path / "obj", flags=_FLAGS).objects
    program = tmp_path / "old"
    link(toolchain, objects, program, flags=["-Wl,--gc-sections", *target.link_flags(tmp_path)], libraries=["-lm"])
    run = target.run(program)
    printed = run.stdout + run.stderr
    assert "verified 0, tested 0," in printed
    port = second.program.outputs[0].tensor
    assert f"zero point {port.zero_point if port.quantization else 0}\n" in printed
    assert run.returncode == 0
