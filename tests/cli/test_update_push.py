"""tinyops update push and status, and demo --update"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Tinyops
from tests.support.udp import UdpDevice, udp_device
from tests.support.updates import OTHER, SETTINGS, V1, V2, Pack, bad_capsule, build_updatable, capsule, pack
from tinyops.device.build import Build
from tinyops.suit import Reason, cbor


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build_updatable("host", tmp_path_factory.mktemp("host") / "build")


@pytest.fixture
def device(build: Build, tmp_path: Path) -> Iterator[UdpDevice]:
    with udp_device(build.elf, "--flash", str(tmp_path / "flash")) as running:
        yield running


def write(folder: Path, update: Pack) -> Path:
    folder.mkdir()
    (folder / "manifest.suit").write_bytes(update.envelope)
    for name, content in update.payloads.items():
        (folder / name).write_bytes(content)
    return folder


def test_push_and_status(tinyops: Tinyops, build: Build, device: UdpDevice, tmp_path: Path) -> None:
    write(tmp_path / "v2", pack(build, 2))
    done = tinyops("update", "status", "--port", device.address)
    assert done.code == 0
    assert done.out.startswith("runs digits, sequence 0, part of the firmware, capsule ")
    done = tinyops("update", "push", "v2", "--port", device.address)
    assert done.code == 0
    assert done.out.splitlines()[0] == (f"sequence 2 is on {device.address}: {len(capsule()):,} bytes of payload sent")
    assert "runs digits, sequence 2, in bank 0, capsule " in done.out
    assert "on trial: 8 more inferences confirm it" in done.out
    assert "has sequence 2 already" in tinyops("update", "push", "v2", "--port", device.address).out
    ran = tinyops("run", V2, "--port", device.address, "--verify")
    assert ran.code == 0
    assert "bit-exact" in ran.out
    assert "that was not made from" not in ran.err
    assert "was not made from" in tinyops("run", V1, "--port", device.address).err
    state = tinyops("update", "status", "--port", device.address, "--report", "r.cbor", "--json").json()
    assert (state["state"], state["running"]["sequence"], state["model"]) == ("trial", 2, "digits")
    assert state["telemetry"]["sequence"] == 2
    assert 99 in cbor.decode((tmp_path / "r.cbor").read_bytes())
    done = tinyops("update", "status", "--port", device.address, "--cancel")
    assert "sequence 2, did not come to stay: the update was cancelled (cancelled)" in done.out
    assert "runs digits, sequence 0" in done.out


@pytest.mark.parametrize(
    ("name", "reason", "text", "hint"),
    [
        ("unknown key", Reason.UNKNOWN_KEY, "the key that signed is not provisioned", "tinyops keys list"),
        ("bad", Reason.SELF_TEST, "outputs differ from its golden vectors", "tinyops update inspect"),
        ("replayed", Reason.SEQUENCE_REPLAYED, "the sequence number is not above", "--sequence N"),
        ("expires", Reason.NO_CLOCK, "has no trusted time", "without --use-before"),
    ],
)
def test_refusals(
    tinyops: Tinyops, build: Build, device: UdpDevice, tmp_path: Path, name: str, reason: Reason, text: str, hint: str
) -> None:
    """Each says what happened, why, and what to do; with --json it is coded."""
    update = {
        "unknown key": lambda: pack(build, 2, signers=[OTHER]),
        "bad": lambda: pack(build, 2, bad_capsule()),
        "replayed": lambda: pack(build, 1, capsule(V1)),
        "expires": lambda: pack(build, 2, use_before=4_000_000_000),
    }[name]()
    if name == "replayed":
        tinyops("update", "push", write(tmp_path / "v2", pack(build, 1)), "--port", device.address)
        tinyops("update", "status", "--port", device.address, "--cancel")
    write(tmp_path / "pack", update)
    done = tinyops("update", "push", "pack", "--port", device.address)
    assert done.code == 1
    assert text in done.err
    assert f"({reason.slug})" in done.err
    assert hint in done.err
    if name != "bad":
        again = tinyops("update", "push", "pack", "--port", device.address, "--json")
        assert again.code == 1
        assert again.json()["reason"] == reason.slug
    shown = tinyops("update", "status", "--port", device.address)
    assert reason.text in shown.out
    assert hint in shown.out


def test_what_is_no_pack(tinyops: Tinyops, build: Build, device: UdpDevice, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    where = ("--port", device.address)
    for path, text in (("empty", "has no manifest.suit"), ("nowhere", "no such file or folder")):
        done = tinyops("update", "push", path, *where)
        assert (done.code, text in done.err) == (2, True)
    (tmp_path / "empty" / "manifest.suit").write_bytes(b"\xd8\x6b\xa2")
    assert tinyops("update", "push", "empty", *where).code == 1
    update = pack(build, 2)
    write(tmp_path / "half", Pack(update.envelope, update.digest, {}))
    done = tinyops("update", "push", "half", *where)
    assert done.code == 1
    assert "the payload model.bin is none of the files: it is missing, or was changed" in done.err
    assert tinyops("update", "push", "half").code == 2, "no device is named"
    assert tinyops("update", "push", "half", *where, "--build", "x").code == 2
    done = tinyops("update", "push", "half", "--port", "coap://127.0.0.1:9")
    assert done.code == 1
    assert "nobody is there" in done.err


def test_without_a_device(tinyops: Tinyops, build: Build, tmp_path: Path) -> None:
    write(tmp_path / "v2", pack(build, 2))
    done = tinyops("update", "push", "v2", "--build", build.folder)
    assert done.code == 0
    assert "runs digits, sequence 2" in done.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_and_run_again(
    tinyops: Tinyops, build: Build, device: UdpDevice, tmp_path: Path, number: signal.Signals
) -> None:
    write(tmp_path / "v2", pack(build, 2))
    command = [sys.executable, "-m", "tinyops", "update", "push", "v2", "--port", device.address, "--block-size", "16"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as push:
        deadline = time.monotonic() + 30
        while "wants model" not in device.said and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        push.send_signal(number)
        errors = push.communicate(timeout=20)[1].decode()
    assert push.returncode != 0
    if number == signal.SIGINT:
        assert "run the same command again" in errors
    state = tinyops("update", "status", "--port", device.address).out
    assert re.search(r"downloading model.bin for model: [0-9,]+ bytes are there", state)
    done = tinyops("update", "push", "v2", "--port", device.address)
    assert done.code == 0
    assert "the rest of an interrupted download" in done.out
    assert "runs digits, sequence 2" in done.out


def test_restart(tinyops: Tinyops, build: Build, device: UdpDevice, tmp_path: Path) -> None:
    """A payload of the same name with other content cannot be gone on with."""
    update = pack(build, 2)
    folder = write(tmp_path / "v2", Pack(update.envelope, update.digest, {"model.bin": capsule()[:5000]}))
    assert tinyops("update", "push", "v2", "--port", device.address).code == 1
    (folder / "model.bin").write_bytes(capsule())
    done = tinyops("update", "push", "v2", "--port", device.address, "--restart")
    assert done.code == 0
    assert "interrupted" not in done.out


def test_demo_on_an_emulated_board(tinyops: Tinyops, emulator: str) -> None:
    assert shutil.which("qemu-system-arm")
    done = tinyops("demo", "--update", "--images", 40, "-o", "out")
    assert done.code == 0
    assert f"digits v1 on {emulator}" in done.out
    assert done.out.count("all 400 output bytes equal TFLite Micro's") == 3
    assert "swapped in at an inference boundary, no reset" in done.out
    assert "undone: the model's outputs differ from its golden vectors (self-test); v2 runs on" in done.out
    assert re.search(r"sent as a delta of [0-9,]+ B: 2[0-9] % of the capsule", done.out)
    assert "update: confirmed: digits, sequence 2" in done.out


def test_demo_of_few_images(tinyops: Tinyops) -> None:
    done = tinyops("demo", "--update", "-b", "host", "-o", "out", "--images", 2)
    assert done.code == 0
    assert "(self-test); v2 runs on" in done.out


def test_demo_of_all_images(tinyops: Tinyops) -> None:
    result = tinyops("demo", "--update", "-b", "host", "-o", "out", "--json").json()
    assert result["v1"] == {"correct": 375, "mismatches": 0}
    assert result["v2"] == result["after_v3"] == {"correct": 377, "mismatches": 0}
    assert result["v3_refused"] == "self-test"
    assert result["delta_bytes"]["v2_to_v3"] < 0.36 * result["sent_bytes"]["v3"]["capsule"]
    assert SETTINGS.health_window == 8
