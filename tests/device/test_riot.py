"""Builds on RIOT, with a folder that answers as RIOT does: facts, packages, applications, refusals."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.fake_riot import make_fake_riot
from tinyops.device.board import find_riot_board
from tinyops.device.build import board_of_build, load_build
from tinyops.device.emulator import launch
from tinyops.device.riot import packages
from tinyops.device.riot.application import probe_application
from tinyops.device.riot.base import RiotBase, find_riot, open_riot
from tinyops.device.riot.build import RiotSettings, build_riot, copy_images, find_target
from tinyops.device.riot.doctor import diagnose_riot
from tinyops.device.riot.facts import RiotFacts, read_facts
from tinyops.device.riot.make import RiotMake
from tinyops.device.session import run_sequence
from tinyops.emit.golden import random_inputs
from tinyops.errors import MissingToolError, TinyopsError, UsageError
from tinyops.load import load_model
from tinyops.passes import run_passes
from tinyops.resources import data_dir

pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or shutil.which("cc") is None, reason="make or cc is not installed"
)
MODELS = data_dir("models")
DIGITS = MODELS / "digits" / "digits.tflite"


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RiotBase:
    monkeypatch.delenv("RIOTBASE", raising=False)
    for name in [name for name in os.environ if name.startswith(("PKG_SOURCE_LOCAL", "FAKE_"))]:
        monkeypatch.delenv(name)
    return open_riot(make_fake_riot(tmp_path / "riot"), "--riot-base")


def facts(base: RiotBase, board: str) -> RiotFacts:
    with probe_application(base, board) as make:
        return read_facts(make)


def test_riot_is_found_in_three_places(base: RiotBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert base.version == "2099.01"
    with pytest.raises(MissingToolError, match="no RIOT is named"):
        find_riot()
    assert find_riot(None, base.path).path == base.path
    other = make_fake_riot(tmp_path / "other")
    monkeypatch.setenv("RIOTBASE", str(other))
    assert find_riot(None, base.path).path == other
    assert find_riot(base.path, other).path == base.path


def test_what_is_no_checkout_is_refused(base: RiotBase, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no RIOT checkout"):
        open_riot(tmp_path, "RIOTBASE")
    with pytest.raises(UsageError, match="no such folder"):
        open_riot(tmp_path / "none", "RIOTBASE")
    (base.path / "sys" / "empty").unlink()
    (base.path / "sys").rmdir()
    with pytest.raises(UsageError, match="sys is not there"):
        open_riot(base.path, "RIOTBASE")
    with pytest.raises(UsageError, match="' ' in a path"):
        open_riot(make_fake_riot(tmp_path / "with blank"), "RIOTBASE")


def test_version_of_a_checkout_without_one(base: RiotBase) -> None:
    (base.path / "VERSION").unlink()
    assert open_riot(base.path, "RIOTBASE").version == "unknown"


def test_boards_are_riots(base: RiotBase) -> None:
    assert base.boards() == ["bare-kit", "desk-kit", "far-kit", "native64", "old-kit", "small-kit"]
    with pytest.raises(UsageError, match="has no board 'desk-kid'") as error:
        facts(base, "desk-kid")
    assert "desk-kit" in str(error.value.allowed)


def test_facts_of_a_board_without_a_file(base: RiotBase) -> None:
    found = facts(base, "desk-kit")
    assert found.flash is not None
    assert found.ram is not None
    assert (found.flash.origin, found.flash.bytes) == (0x1000, 1020 << 10)
    assert (found.ram.origin, found.ram.bytes) == (0x2000_0000, 0x40000)
    assert found.programmers == ("jlink", "openocd")
    assert "tinyops_device" in found.modules
    board = found.as_board()
    assert (board.name, board.kind, board.os.riot) == ("desk-kit", "real", "desk-kit")
    assert (board.processor.core, board.processor.isa) == ("cortex-m4", "armv7e-m")
    assert board.processor.features == ("dsp", "fpu")
    native = facts(base, "native64")
    assert native.native
    assert native.as_board().kind == "host"
    assert native.flash is None


@pytest.mark.parametrize(
    ("board", "why"),
    [
        ("old-kit", "a processor of 8 bits"),
        ("bare-kit", "does not provide what this application requires: .*periph_flashpage"),
        ("far-kit", "xtensa-none-such-gcc is not installed"),
    ],
)
def test_boards_that_cannot_be_built_for(base: RiotBase, board: str, why: str) -> None:
    with pytest.raises(TinyopsError, match=why):
        find_target(RiotSettings(base, board), None)


def test_packages(base: RiotBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> dict[str, packages.Package]:
        with probe_application(base, "desk-kit") as make:
            return {package.name: package for package in packages.find_packages(make, read_facts(make))}

    before = found()
    assert (before["cmsis"].source, before["cmsis"].remote) == (None, False)
    assert before["headers"].source == "https://host.invalid/headers"
    assert before["headers"].remote
    assert before["headers"].variable == "PKG_SOURCE_LOCAL_HEADERS"
    (base.path / "build" / "headers" / ".git").mkdir(parents=True)
    assert found()["headers"].source is None, "RIOT's rules clone anew only what is not there"


def test_dry_run_of_a_local_copy_and_of_the_cache() -> None:
    lines = "cp -a /copies/nrfx /riot/build/pkg/nrfx\n[INFO] cloning cmsis with git-cache-rs\n"
    lines += "git-cache clone --commit 12ab --sparse-add CMSIS/Core -- https://host.invalid/CMSIS /nowhere/cmsis\n"
    assert list(packages._dry_run(lines)) == [
        packages.Package("nrfx", "/copies/nrfx"),
        packages.Package("cmsis", "https://host.invalid/CMSIS"),
    ]


def test_doctor(base: RiotBase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinyops.device.riot.doctor.is_reachable", lambda _url: False)
    checks = {check.name: check for check in diagnose_riot(RiotSettings(base, "desk-kit"))}
    assert checks["RIOT"].detail.startswith("2099.01")
    assert checks["cmsis"].status == "ok"
    assert checks["headers"].status == "missing"
    assert str(checks["headers"].fix).startswith("export PKG_SOURCE_LOCAL_HEADERS=")
    monkeypatch.setattr("tinyops.device.riot.doctor.is_reachable", lambda _url: True)
    checks = {check.name: check for check in diagnose_riot(RiotSettings(base, "desk-kit"))}
    assert checks["headers"].status == "optional"
    far = {check.name: check for check in diagnose_riot(RiotSettings(base, "far-kit"))}
    assert far["xtensa-none-such-gcc"].status == "missing"
    refused = {check.name: check for check in diagnose_riot(RiotSettings(base, "bare-kit"))}
    assert "periph_flashpage" in refused["bare-kit"].detail


@pytest.mark.parametrize("name", ["digits", "speakers"])
def test_an_application_is_built_and_runs(base: RiotBase, name: str, tmp_path: Path) -> None:
    path = MODELS / name / f"{name}.tflite"
    folder = tmp_path / "build"
    build = build_riot(path, RiotSettings(base, "native64"), None, folder, name=name)
    assert {"Makefile", "main.c", "modules", "firmware.elf", "model.tflite", "report.html"} <= {
        file.name for file in folder.iterdir()
    }
    assert build.report["os"]["version"] == "2099.01"
    assert "tinyops_slipmux" in build.report["os"]["modules"]
    assert build.report["memory"]["flash_model_bytes"] > 0
    assert board_of_build(load_build(folder, "native64")) == build.board
    model = run_passes(load_model(path))
    rows = random_inputs([model.main.tensors[t] for t in model.main.inputs], 4, 0)
    with launch(build.board, build.elf) as client:
        assert run_sequence(client, rows, reference=model).mismatches == 0


def test_model_files_are_optimized_for_speed(base: RiotBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDIRBASE", "/nowhere")  # of a shell that is set up for another application
    path = MODELS / "digits" / "digits.tflite"
    build_riot(path, RiotSettings(base, "native64"), None, tmp_path / "build", name="digits")
    flags = (tmp_path / "build" / "bin" / "native64" / "flags.txt").read_text().splitlines()
    assert any(line.startswith("digits.o") for line in flags)
    assert any(line.startswith("to_conv2d") for line in flags)
    assert all(line.split()[-1] == "-O3" for line in flags)


def test_make_leaves_nothing_half_written(base: RiotBase, tmp_path: Path) -> None:
    """Neither a file that the next make would take for whole, nor a process."""
    (tmp_path / "Makefile").write_text("all: half.o\nhalf.o:\n\techo $$$$ > pid; echo half > $@; sleep 600\n")
    with pytest.raises(TinyopsError, match="make took longer than 1 s"):
        RiotMake(base, tmp_path, "native64").run(["all"], seconds=1)
    assert not (tmp_path / "half.o").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.slow
def test_another_model_takes_the_folder(base: RiotBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a build that failed, too."""
    folder = tmp_path / "build"
    (tmp_path / "said").write_text("no\n")
    monkeypatch.setenv("FAKE_OUTPUT", str(tmp_path / "said"))
    monkeypatch.setenv("FAKE_STATUS", "2")
    with pytest.raises(TinyopsError, match="RIOT's build fails"):
        build_riot(
            MODELS / "speakers" / "speakers.tflite", RiotSettings(base, "native64"), None, folder, name="speakers"
        )
    monkeypatch.delenv("FAKE_OUTPUT")
    for name in ("speakers", "digits"):
        build_riot(MODELS / name / f"{name}.tflite", RiotSettings(base, "native64"), None, folder, name=name)
    library = folder / "modules" / "tinyops_model" / "lib"
    assert (library / "digits.c").is_file()
    assert not (library / "speakers.c").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        build_riot(
            MODELS / "digits" / "digits.tflite", RiotSettings(base, "native64"), None, tmp_path / "mine", name="digits"
        )


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("ld: region `rom' overflowed by 1234 bytes\n", "rom is too small by 1,234 bytes"),
        (
            "fatal: unable to access 'https://host.invalid/x/': Could not resolve host: host.invalid\n",
            "cannot fetch a package",
        ),
        ("main.c:3:1: error: expected ';'\nmake: *** [all] Error 1\n", "main.c:3:1: error: expected ';'"),
    ],
)
def test_failures_of_riots_build(
    base: RiotBase, output: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "said").write_text(output)
    monkeypatch.setenv("FAKE_OUTPUT", str(tmp_path / "said"))
    monkeypatch.setenv("FAKE_STATUS", "2")
    path = MODELS / "speakers" / "speakers.tflite"
    with pytest.raises(TinyopsError) as error:
        build_riot(path, RiotSettings(base, "native64"), None, tmp_path / "build", name="speakers")
    assert what in error.value.what
    assert not (tmp_path / "build" / "report.json").exists()


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
def test_a_model_that_cannot_fit_is_refused_before_anything_is_written(base: RiotBase, tmp_path: Path) -> None:
    with pytest.raises(TinyopsError, match="small-kit"):
        build_riot(
            MODELS / "digits" / "digits.tflite",
            RiotSettings(base, "small-kit"),
            None,
            tmp_path / "build",
            name="digits",
        )
    assert not (tmp_path / "build").exists()


def test_a_board_goes_by_its_name_in_riot_too() -> None:
    board = find_riot_board("rpi-pico-2-arm")
    assert board is not None
    assert board.name == "rpi-pico2"
    assert find_riot_board("native64") is None


def test_manifest_for_west_names_riot() -> None:
    yaml = pytest.importorskip("yaml")
    manifest = yaml.safe_load((data_dir("firmware") / "riot" / "west.yml").read_text(encoding="utf-8"))["manifest"]
    (project,) = manifest["projects"]
    (remote,) = manifest["remotes"]
    assert (project["name"], project["remote"], remote["url-base"]) == (
        "RIOT",
        remote["name"],
        "https://github.com/RIOT-OS",
    )


def test_images_of_espressif_chips_are_those_that_riot_flashes(tmp_path: Path) -> None:
    made, folder = tmp_path / "made", tmp_path / "build"
    made.mkdir()
    folder.mkdir()
    for name in ("bootloader.bin", "partitions.bin", "tinyops.elf.bin"):
        (made / name).write_bytes(name.encode())
    flags = (
        f"--chip esp32 --port /dev/ttyUSB0 --baud 460800 --before default-reset write-flash -z --flash-mode dio "
        f"--flash-freq 40m --flash-size detect 0x1000 {made}/bootloader.bin 0x8000 {made}/partitions.bin "
        f"0x10000 {made}/tinyops.elf.bin\n"
    )
    assert copy_images(flags, folder) == [
        {"file": "bootloader.bin", "address": 0x1000},
        {"file": "partitions.bin", "address": 0x8000},
        {"file": "tinyops.elf.bin", "address": 0x10000},
    ]
    assert (folder / "partitions.bin").read_bytes() == b"partitions.bin"
    (made / "partitions.bin").unlink()
    with pytest.raises(TinyopsError, match="has not made it"):
        copy_images(flags, folder)
    with pytest.raises(TinyopsError, match="what is written where"):
        copy_images("--chip esp32", folder)
