"""tinyops sim: a few devices without a server, and the mistakes that people make."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Tinyops
from tests.support.updates import bad_capsule, build_updatable, capsule
from tinyops.emit.capsule import read_capsule
from tinyops.update.simulation.faults import Faults
from tinyops.update.simulation.run import read_capsules, read_fleet, simulate


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_updatable("host", tmp_path_factory.mktemp("sim") / "build").folder


def _running() -> str:
    return subprocess.run(["ps", "axo", "args"], capture_output=True, text=True, check=True).stdout


def test_all_devices_answer_their_models_golden_vectors(tinyops: Tinyops, built: Path, tmp_path: Path) -> None:
    words = ("sim", built, "-n", "4", "--seconds", "1", "--folder", "devices", "--loss", "1%", "--duplicates", "5%")
    done = tinyops(*words, "--json")
    assert done.code == 0
    result = done.json()
    assert (result["devices"], result["working"], result["broken"]) == (4, 4, [])
    assert [(group["sequence"], group["devices"]) for group in result["groups"]] == [(0, 4)]
    assert str(built) not in _running()  # no process is left behind
    shown = tinyops(*words)
    assert shown.code == 0
    assert "4 of 4 devices work: their outputs are their model's reference" in shown.out


def test_damage_is_survived(tinyops: Tinyops, built: Path) -> None:
    done = tinyops("sim", built, "-n", "5", "--damage", "100%", "--damage-within", "1", "--seconds", "3", "--json")
    assert done.code == 0
    assert done.json()["damaged"] == 5
    assert done.json()["working"] == 5


def test_a_device_that_answers_wrong_is_found(built: Path, tmp_path: Path) -> None:
    settings = read_fleet(built, tmp_path / "fleet", devices=2, server=None, faults=Faults())
    known = read_capsules(built, [])
    wrong = {digest: dataclasses.replace(c, golden=read_capsule(bad_capsule()).golden) for digest, c in known.items()}
    result = simulate(settings, wrong, seconds=0.3)
    assert (result.working, len(result.broken)) == (0, 2)
    assert simulate(settings, known, seconds=0.3).working == 2


def test_an_ended_sim_leaves_no_process(built: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tinyops", "sim", built, "-n", "3", "--folder", tmp_path / "devices"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _until(lambda: _running().count(str(built / "firmware.elf")) == 3)
    process.kill()
    process.wait()
    _until(lambda: str(built / "firmware.elf") not in _running())


def _until(holds: object) -> None:
    assert callable(holds)
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "no such folder"),
        ((), "Missing argument 'BUILD'"),
        (("{build}", "--loss", "95%"), "'95%' is no share that is allowed"),
        (("{build}", "--power-cuts", "half"), "'half' is no share that is allowed"),
        (("{build}", "--server", "http://x"), "'http://x' is no server"),
        (("{build}", "--keep"), "--keep needs the folder of the earlier run"),
        (("{build}", "--capsule", "nothing.bin"), "nothing.bin: cannot be read"),
        (("{build}", "--folder", "."), "holds other files"),
        (("{build}", "-n", "0"), "0 is not in the range"),
    ],
)
def test_mistakes(tinyops: Tinyops, built: Path, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    (tmp_path / "a file").touch()
    done = tinyops("sim", *(word.format(build=built) for word in words))
    assert done.code == 2
    assert message in done.err


def test_a_build_that_is_not_updatable(tinyops: Tinyops, digits: Path) -> None:
    assert tinyops("build", digits, "--board", "host", "-o", "plain").code == 0
    done = tinyops("sim", "plain")
    assert done.code == 2
    assert "plain: is no updatable firmware for this computer" in done.err
    assert "tinyops build MODEL --board host --updatable" in done.err


def test_capsules_are_told_apart(tinyops: Tinyops, built: Path, tmp_path: Path) -> None:
    (tmp_path / "v2.bin").write_bytes(capsule())
    (tmp_path / "bad.bin").write_bytes(bad_capsule())
    done = tinyops("sim", built, "-n", "1", "--seconds", "0.3", "--capsule", "v2.bin", "--capsule", "bad.bin", "--json")
    assert done.code == 0
    assert done.json()["working"] == 1
