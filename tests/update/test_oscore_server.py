"""Check-ins over OSCORE with `tinyops serve`: a device may speak for itself alone, and must use its context."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.fleet import server
from tests.support.udp import udp_device
from tests.support.updates import SETTINGS, build_updatable
from tinyops.device.build import Build
from tinyops.device.link.oscore import make_context

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    settings = dataclasses.replace(SETTINGS, algorithms=("ed25519", "aes"))
    return build_updatable("host", tmp_path_factory.mktemp("served") / "build", settings)


def devices(database: str) -> dict[str, float | None]:
    """When each device was seen."""
    command = [sys.executable, "-m", "tinyops", "device", "list", "--database", database, "--json"]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    rows = listed["devices"] if isinstance(listed, dict) else listed
    return {row["id"]: row["last_seen"] for row in rows}


def wait_for(database: str, device: str) -> None:
    end = time.monotonic() + 30
    while devices(database).get(device) is None:
        assert time.monotonic() < end, devices(database)
        time.sleep(0.2)


def test_a_device_speaks_for_itself_alone(build: Build, tmp_path: Path) -> None:
    hall, kitchen = tmp_path / "hall", tmp_path / "kitchen"
    make_context(hall, device=b"hall")
    make_context(kitchen, device=b"kitchen")
    options = ["--accept-new", "--interval", "1s", "--oscore", str(hall), "--oscore", str(kitchen)]
    with server(tmp_path, *options) as running:
        where = ["--server", running.uri, "--check-in", "1", "--ack-timeout", "300"]

        def start(name: bytes, context: Path | None) -> list[str]:
            protection = ["--oscore", str(context / "device.oscore")] if context else []
            return [*where, "--id", name.hex(), *protection]

        with udp_device(build.elf, *start(b"hall", hall), listen="[::1]:0"):
            wait_for(running.database, "hall")
        with (
            udp_device(build.elf, *start(b"kitchen", hall), listen="[::1]:0"),
            udp_device(build.elf, *start(b"cellar", None), listen="[::1]:0"),
        ):
            time.sleep(4)
        assert set(devices(running.database)) == {"hall"}
        with udp_device(build.elf, *start(b"kitchen", kitchen), listen="[::1]:0"):
            wait_for(running.database, "kitchen")
        running.kill()  # at any time: the numbers it has used are on the disk
        running.start()
        before = devices(running.database)["hall"]
        with udp_device(build.elf, *start(b"hall", hall), listen="[::1]:0"):
            end = time.monotonic() + 30
            while devices(running.database)["hall"] == before:
                assert time.monotonic() < end, running.said()
                time.sleep(0.2)
