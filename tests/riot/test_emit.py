"""`tinyops emit --os riot-module --with-modules`: a tree that needs nothing but RIOT."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.riot_builds import settings_for
from tinyops.device.riot.base import RiotBase
from tinyops.emit.c.riot import emit_riot_tree
from tinyops.emit.files import write_files
from tinyops.emit.golden import make_golden
from tinyops.lower.compile import compile_model
from tinyops.resources import data_dir

pytestmark = [pytest.mark.riot, pytest.mark.slow]


@pytest.mark.parametrize("name", ["speakers", "motions"])
def test_the_example_passes(riot_base: RiotBase, name: str, tmp_path: Path) -> None:
    settings_for(riot_base, "native64")
    compiled = compile_model(data_dir("models") / name / f"{name}.tflite", name=name)
    tree = emit_riot_tree(compiled.program, make_golden(compiled.model, 3), with_modules=True)
    write_files(tmp_path / "mine", tree)
    command = [shutil.which("make") or "make", "-s", "-j2", "-C", str(tmp_path / "mine" / "example")]
    variables = [f"RIOTBASE={riot_base.path}", "BOARD=native64", f"BINDIRBASE={tmp_path / 'bin'}"]
    made = subprocess.run([*command, *variables, "all"], capture_output=True, text=True, timeout=600, check=False)
    assert made.returncode == 0, made.stderr[-3000:]
    program = tmp_path / "bin" / "native64" / f"{name}_example.elf"
    process = subprocess.Popen([str(program)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = next(line for line in process.stdout if line.startswith(f"{name}: "))
    finally:
        process.kill()
        process.wait()
    assert said.strip() == f"{name}: 3 invocations, 0 mismatching bytes: passed"
