"""Stack use by -fstack-usage: of the functions that are in the firmware, not of all that were ever compiled."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tinyops.device.riot.stack import describe_stack

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
MODEL = "int sink(char *); int to_model(void) { char b[300]; return sink(b); } int sink(char *b) { return b[0]; }"
BIGGER = "int sink(char *); int to_%s(void) { char b[900]; return sink(b); }"


def compiled(folder: Path, name: str, source: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.c").write_text(source)
    options = ["-O1", "-fno-inline", "-ffunction-sections", "-fstack-usage", "-c", f"{name}.c"]
    subprocess.run(["gcc", *options], cwd=folder, check=True)
    return folder / f"{name}.o"


def test_functions_that_are_not_linked_do_not_count(tmp_path: Path) -> None:
    model = compiled(tmp_path / "tinyops_model", "model", MODEL)
    unused = compiled(tmp_path / "tinyops_crypto", "crypto", BIGGER % "unused")
    compiled(tmp_path / "tinyops_update", "earlier", BIGGER % "earlier")
    main = compiled(tmp_path / "app", "main", "int to_model(void); int main(void) { return to_model(); }")
    elf = tmp_path / "firmware.elf"
    subprocess.run(["gcc", "-Wl,--gc-sections", main, model, unused, "-o", elf], check=True)
    stack = describe_stack(tmp_path, "tinyops_model", elf)
    assert {frame["function"] for frame in stack["frames"]} == {"to_model", "sink"}
    assert stack["model_frame_bytes"] == stack["frames"][0]["bytes"] >= 300
