"""`tinyops flash` for real boards: by fake programs and a fake desk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.elf_writer import elf
from tests.support.fake_flashers import Bench
from tests.support.updates import capsule
from tests.support.usb_tree import UsbTree
from tinyops.device.flash.choose import BACKENDS
from tinyops.device.flash.journal import Journal, State
from tinyops.emit.capsule import read_capsule
from tinyops.errors import MissingToolError

FIRMWARE = {0: bytes(range(256)) * 20, 0x2000: b"data"}
PAGE, BANK = 4096, 16384


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UsbTree:
    """Nothing is attached, and no program is installed but what a Bench brings."""
    tree = UsbTree(tmp_path / "system")
    tree.use(monkeypatch)

    def missing(backend: Any) -> str:
        raise MissingToolError("is not installed", where=backend.name, hint=f"get {backend.name}")

    for name, backend in BACKENDS.items():
        if name not in ("jlink", "openocd", "uf2"):
            monkeypatch.setattr(backend, "installed", classmethod(missing))
    return tree


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(tmp_path / "bench", 0, 1 << 20, 0x52840, "683000001")
    made.install("jlink", "openocd")
    monkeypatch.setenv("PATH", f"{made.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return made


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A finished build for the nRF52840 DK that takes updates."""
    folder = tmp_path / "built"
    folder.mkdir()
    (folder / "firmware.elf").write_bytes(elf(FIRMWARE))
    read = read_capsule(capsule())
    region = {
        "bytes": 2 * (PAGE + BANK), "erase_bytes": 4096, "write_bytes": 4, "journal_page_bytes": PAGE,
        "bank_bytes": BANK,
    }  # fmt: skip
    update = {"kernel_abi": read.kernel_abi.hex(), "plan": read.plan.hex(), "region": region}
    report = {"board": {"name": "nrf52840dk"}, "model": {"name": "digits"}, "update": update}
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def plug(desk: UsbTree, *serials: str) -> None:
    for k, serial in enumerate(serials):
        desk.plug(f"1-{k + 1}", "1366:1051", serial, "J-Link", tty=f"ttyACM{k}")


def test_written_verified_and_said(tinyops: Any, desk: UsbTree, bench: Bench, build: Path) -> None:
    plug(desk, "000683000001")
    done = tinyops("flash", build)
    assert done.code == 0, done.err
    assert "nrf52840dk, SEGGER J-Link (683000001): 5,124 B written with jlink in" in done.out
    assert "s, verified" in done.out
    assert "sequence number stay; --erase removes them" in done.err
    assert bench.at(0, 5120) == FIRMWARE[0]
    assert bench.at(0x2000, 4) == b"data"


def test_as_json(tinyops: Any, desk: UsbTree, bench: Bench, build: Path) -> None:
    plug(desk, "000683000001")
    found = tinyops("flash", build, "--backend", "openocd", "--erase", "--json").json()
    (device,) = found.pop("devices")
    assert found == {"board": "nrf52840dk", "ok": True}
    assert device.pop("seconds") >= 0
    assert device == {
        "board": "nrf52840dk", "backend": "openocd", "probe": "683000001", "title": "SEGGER J-Link", "bytes": 5124,
        "verified": True, "verified_how": "read back",
    }  # fmt: skip


def test_without_verification_it_says_so(tinyops: Any, desk: UsbTree, bench: Bench, build: Path) -> None:
    plug(desk, "000683000001")
    done = tinyops("flash", build, "--no-verify")
    assert "not verified" in done.out
    assert tinyops("flash", build, "--no-verify", "--json").json()["devices"][0]["verified"] is False


@pytest.mark.parametrize(
    ("serials", "options", "code", "text"),
    [
        ((), (), 1, "board nrf52840dk: nothing is attached that can flash it"),
        (("000683000001", "000683000002"), (), 1, "2 devices can flash it"),
        (("000683000001",), ("--probe", "999"), 1, "--probe: no device matches '999'"),
        (("000683000001",), ("--backend", "esptool"), 2, "esptool does not flash it"),
        (("000683000001",), ("--backend", "nrfutil"), 1, "no program that flashes the board with it is installed"),
        (("000683000001",), ("--recover", "--backend", "jlink"), 1, "jlink: cannot unlock chips"),
    ],
)
def test_what_keeps_it_from_starting(
    tinyops: Any, desk: UsbTree, bench: Bench, build: Path, serials: Any, options: Any, code: int, text: str
) -> None:
    plug(desk, *serials)
    done = tinyops("flash", build, *options)
    assert (done.code, text in done.err) == (code, True), done.err
    assert bench.flash == b"\xff" * (1 << 20)
    assert not any(Path(word).suffix == ".jlink" for call in bench.calls for word in call)


def test_no_permission(tinyops: Any, desk: UsbTree, bench: Bench, build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = desk.plug("1-1", "1366:1051", "000683000001", "J-Link")
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode, **more: path != node and allowed(path, mode, **more))
    done = tinyops("flash", build)
    assert done.code == 1
    assert "SEGGER J-Link may not be opened by this user" in done.err
    assert 'ATTRS{idVendor}=="1366", ATTRS{idProduct}=="1051", MODE="0660", TAG+="uaccess"' in done.err


@pytest.mark.parametrize(
    ("change", "fault", "text"),
    [
        ({"chip": 0x52832}, "wrong chip", "the chip there is 0x52832, not nrf52840dk's 0x52840; nothing was written"),
        ({"fault": "locked"}, "locked", "the chip is locked"),
        ({"fault": "no chip"}, "no chip", "the chip does not answer"),
        ({"weak": 0x1001}, "verify", "reads back differently"),
        ({"fault": "tool"}, "tool", "failed:"),
    ],
)
def test_failures_by_name(
    tinyops: Any, desk: UsbTree, bench: Bench, build: Path, change: Any, fault: str, text: str
) -> None:
    plug(desk, "000683000001")
    bench.set(**change)
    done = tinyops("flash", build, "--backend", "openocd", "--json")
    assert done.code == 1
    assert text in done.err
    assert done.json()["fault"] == fault


def test_all_boards_and_one_that_fails(tinyops: Any, desk: UsbTree, bench: Bench, build: Path) -> None:
    """The second probe is not that of the bench, so its board fails: the first is done, the whole is no success."""
    plug(desk, "000683000001", "000683000002")
    done = tinyops("flash", build, "--all", "--backend", "openocd")
    assert done.code == 1
    assert "(683000001): 5,124 B written with openocd" in done.out
    assert "(683000002): failed" in done.out
    assert "1 of 2 boards" in done.out
    found = tinyops("flash", build, "--all", "--backend", "openocd", "--json")
    assert found.code == 1
    report = found.json()
    assert report["ok"] is False
    assert [device["verified"] for device in report["devices"]] == [True, False]
    assert report["devices"][1]["failed"]["fault"] == "lost"


def test_a_drive_cannot_verify(tinyops: Any, desk: UsbTree, tmp_path: Path) -> None:
    folder = tmp_path / "pico"
    folder.mkdir()
    (folder / "firmware.elf").write_bytes(elf({0x1000_0000: b"code"}))
    (folder / "report.json").write_text('{"board": {"name": "rpi-pico2"}}')
    drive = desk.mount("RP2350", "RP2350", "Raspberry Pi RP2350")
    for option, text in (
        ("--verify", "uf2: cannot verify"),
        ("--erase", "uf2: cannot erase"),
        ("--no-reset", "uf2: always starts"),
    ):
        done = tinyops("flash", folder, option)
        assert (done.code, text in done.err) == (1, True), done.err
    assert [path.name for path in drive.iterdir()] == ["INFO_UF2.TXT"]


def test_a_model_into_a_bank(tinyops: Any, desk: UsbTree, bench: Bench, build: Path) -> None:
    plug(desk, "000683000001")
    Path("new.bin").write_bytes(capsule())
    assert tinyops("flash", build).code == 0
    done = tinyops("flash", build, "--model-bank", "new.bin")
    assert done.code == 0, done.err
    assert f"{len(capsule()):,} B of the model to bank 0 written with jlink" in done.out
    assert "tries the model at its next start" in done.err
    start = (1 << 20) - 2 * (PAGE + BANK)
    assert bench.at(start + 2 * PAGE, len(capsule())) == capsule()
    newest = Journal.scan(bench.at(start, 2 * PAGE), PAGE, 4).newest
    assert (newest.state, newest.bank) == (State.PENDING, 0)
    assert bench.at(0, 5120) == FIRMWARE[0], "the firmware stays"


def test_a_model_file_becomes_a_capsule(tinyops: Any, desk: UsbTree, bench: Bench, build: Path, digits: Path) -> None:
    plug(desk, "000683000001")
    v2 = digits.parent / "v2" / "digits.tflite"
    found = tinyops("flash", build, "--model-bank", v2, "--json").json()["devices"][0]
    start = (1 << 20) - 2 * BANK
    written = read_capsule(bench.at(start, found["bytes"]))
    assert found["bank"] == 0
    assert written.data == read_capsule(capsule()).data


def test_models_that_are_refused(tinyops: Any, desk: UsbTree, bench: Bench, build: Path, speakers: Path) -> None:
    plug(desk, "000683000001")
    done = tinyops("flash", build, "--model-bank", speakers)
    assert (done.code, "another structure than the firmware" in done.err) == (2, True), done.err
    for option in ("--erase", "--recover"):
        Path("new.bin").write_bytes(capsule())
        done = tinyops("flash", build, "--model-bank", "new.bin", option)
        assert (done.code, "keeps everything else" in done.err) == (2, True), done.err
    report = json.loads((build / "report.json").read_text())
    del report["update"]
    (build / "report.json").write_text(json.dumps(report))
    done = tinyops("flash", build, "--model-bank", "new.bin")
    assert (done.code, "the firmware takes no other models" in done.err) == (2, True), done.err
    assert bench.flash == b"\xff" * (1 << 20)


def test_the_folder_of_a_build_on_riot_is_found(tinyops: Any, desk: UsbTree, bench: Bench, build: Path) -> None:
    plug(desk, "000683000001")
    assert "build/nrf52840dk-riot: no such folder" in tinyops("flash", "-b", "nrf52840dk").err
    Path("build").mkdir()
    build.rename("build/nrf52840dk-riot")
    assert tinyops("flash", "-b", "nrf52840dk").code == 0
    Path("tinyops.toml").write_text('board = "nrf52840dk"\nos = "riot"\n')
    assert tinyops("flash").code == 0
    assert "no board is called" in tinyops("flash", "-b", "nrf52840dkk").err


def test_a_board_that_only_riot_knows(tinyops: Any, desk: UsbTree, build: Path) -> None:
    report = json.loads((build / "report.json").read_text())
    facts = {
        "name": "stm32f4discovery", "title": "RIOT's stm32f4discovery", "kind": "real",
        "processor": {"core": "cortex-m4", "isa": "armv7e-m"}, "toolchain": {"name": "arm-none-eabi"},
    }  # fmt: skip
    report["board"] = {"name": "stm32f4discovery", "facts": facts}
    report["os"] = {"name": "riot", "board": "stm32f4discovery"}
    (build / "report.json").write_text(json.dumps(report))
    done = tinyops("flash", build)
    assert done.code == 2
    assert "board stm32f4discovery: no backend is known to flash it" in done.err
    assert f"make -C {build} flash-only" in done.err


def test_list(tinyops: Any, desk: UsbTree, bench: Bench) -> None:
    assert "nothing is attached" in tinyops("flash", "--list").out
    plug(desk, "000683000001")
    desk.plug("1-7", "0483:374b", "066BFF", "STM32 STLink")
    shown = tinyops("flash", "--list")
    assert shown.code == 0
    assert "683000001" in shown.out
    assert "pyocd, nrfutil, jlink, openocd" in shown.out
    for_board = tinyops("flash", "--list", "--board", "nrf52840dk")
    assert "with jlink" in for_board.out
    assert "pyocd is not installed: get pyocd" in for_board.err
    found = tinyops("flash", "--list", "--board", "nucleo-f401re", "--json").json()
    assert {d["id"]: d["backend"] for d in found["devices"]}["066BFF"] == "openocd"
    assert {"backend": "pyocd", "why": "is not installed", "fix": "get pyocd"} in found["left_out"]


def test_the_doctor_names_what_is_attached(tinyops: Any, desk: UsbTree, bench: Bench) -> None:
    plug(desk, "000683000001")
    checks = tinyops("doctor", "--board", "nrf52840dk", "--json").json()["checks"]
    found = {(check["name"], check["status"]): check["detail"] for check in checks if check["group"] == "Probes"}
    assert found["jlink", "ok"].endswith("JLinkExe")
    assert ("pyocd", "optional") in found
    details = [check["detail"] for check in checks if check["name"] == "SEGGER J-Link"]
    assert "683000001 flashes nrf52840dk with jlink" in details
