"""The doctor: what is there is ok, what is not comes with a command."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

import pytest

from tinyops.device import doctor
from tinyops.device.board import Board
from tinyops.device.doctor import Check, diagnose


def board(**facts: object) -> Board:
    return Board.model_validate(
        {
            "name": "mine",
            "title": "Mine",
            "kind": "real",
            "processor": {"core": "cortex-m4", "isa": "armv7e-m"},
            "toolchain": {"name": "arm-none-eabi"},
            **facts,
        }
    )


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer with Python alone."""

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(importlib.metadata, "version", absent)


@pytest.mark.usefixtures("bare")
def test_everything_that_is_not_there_comes_with_a_fix() -> None:
    checks = diagnose()
    lacking = [check for check in checks if check.status in ("missing", "optional") and check.name != "serial"]
    assert {"host", "arm-none-eabi", "riscv64-unknown-elf", "pyserial", "pyocd", "openocd"} <= {c.name for c in lacking}
    assert all(check.fix for check in lacking)
    assert [check.name for check in checks if check.status == "missing"] == ["host"]
    assert str(by_name(checks)["pyserial"].fix).endswith("pip install pyserial")


def test_what_is_there_is_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "some-emulator"
    program.write_text("#!/bin/sh\necho Some emulator version 7.2.19, built today\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = by_name(diagnose(board(kind="emulated", emulator={"program": "some-emulator", "args": []})))
    assert found["Python"].status == "ok"
    assert found["some-emulator"].status == "ok"
    assert found["some-emulator"].detail.startswith("7.2.19")


@pytest.mark.usefixtures("bare")
def test_a_board_cannot_do_without_its_toolchain_and_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = board(kind="emulated", emulator={"program": "some-emulator", "args": [], "package": "emulators"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    found = by_name(diagnose(mine))
    assert found["arm-none-eabi"].status == "missing"
    assert str(found["arm-none-eabi"].fix).startswith("sudo apt-get install gcc-arm-none-eabi")
    assert found["some-emulator"] == Check(
        "Emulators", "some-emulator", "missing", "not found; runs mine", "sudo apt-get install emulators"
    )
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert by_name(diagnose(mine))["some-emulator"].fix == "apt-get install emulators"


@pytest.mark.usefixtures("bare")
def test_a_real_board_needs_one_of_its_probe_programs() -> None:
    found = by_name(diagnose(board(probe={"backends": ["openocd", "jlink"], "jlink_device": "X"})))
    assert (found["openocd"].status, found["jlink"].status) == ("missing", "optional")


def test_pyocd_without_the_pack_is_a_warning() -> None:
    pytest.importorskip("pyocd")
    for target, status in (("nrf52840", "ok"), ("other_chip", "warning")):
        check = by_name(diagnose(board(probe={"backends": ["pyocd"], "pyocd_target": target})))["pyocd"]
        assert check.status == status
    assert check.fix == "pyocd pack install other_chip"


def test_a_port_that_may_not_be_opened_names_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = tmp_path / "ttyACM0"
    port.write_text("")
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(doctor, "_group_of", lambda _: "dialout")
    check = doctor._access("Serial ports", str(port), port, "serial port")
    assert check.status == "warning"
    assert check.fix == "sudo usermod -aG dialout $USER, then log in again"


def test_python_version_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10))
    assert diagnose()[0].status == "missing"
