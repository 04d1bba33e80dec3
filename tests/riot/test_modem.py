"""LTE-M by a modem: the device dials by AT commands and speaks PPP, with the modem of tests/support/ppp_modem.py."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.coap_server import FileServer
from tests.support.ppp_modem import NETWORK, PppModem
from tests.support.updates import SETTINGS, V1, mismatches, pack
from tinyops.device.build import Build
from tinyops.device.client import DeviceClient
from tinyops.device.riot.base import find_riot
from tinyops.device.riot.build import RiotSettings, build_riot
from tinyops.device.update_client import UpdateClient
from tinyops.errors import TinyopsError

pytestmark = pytest.mark.riot


@pytest.fixture(scope="module")
def build(riot_base: object, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Firmware that dials again after a second."""
    patch = pytest.MonkeyPatch()
    patch.setenv("TINYOPS_MODEM_APN", "iot.example")
    patch.setenv("CFLAGS", "-DCONFIG_TINYOPS_MODEM_RETRY_SECONDS=1")
    settings = RiotSettings(find_riot(), "native64", "lte-m")
    try:
        folder = tmp_path_factory.mktemp("riot") / "app"
        return build_riot(V1, settings, None, folder, name="digits", update=SETTINGS)
    except TinyopsError as error:
        if "package" in str(error) or "fetch" in str(error):
            pytest.skip(f"the package lwip cannot be had: {error.what}")
        raise
    finally:
        patch.undo()


@contextlib.contextmanager
def running(build: Build, modem: PppModem, folder: Path) -> Iterator[list[str]]:
    """The device at the modem; what it has said is in the list when it has ended."""
    said: list[str] = []
    with (folder / "said").open("w+b") as log:
        process = subprocess.Popen(
            [str(build.elf), "-c", modem.port],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield said
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
            log.seek(0)
            said += log.read().decode("utf-8", "replace").splitlines()


def answers(modem: PppModem, seconds: float = 30.0) -> bool:
    """Whether the device answers a ping in time."""
    end = time.monotonic() + seconds
    with DeviceClient.open(modem.address, link="lte-m") as client:
        while time.monotonic() < end:
            if client.ping(1.0) is not None:
                return True
    return False


def test_a_signed_update_over_the_modem(build: Build, tmp_path: Path) -> None:
    packed = pack(build, 7)
    with PppModem(apn="iot.example", unregistered=2) as modem, running(build, modem, tmp_path) as said:
        assert answers(modem)
        with DeviceClient.open(modem.address, link="lte-m") as client:
            assert client.info().model == "digits"
            assert UpdateClient(client).push(packed.envelope, packed.digest, packed.payload).state.sequence == 7
            assert mismatches(client, 2) == 0
        assert modem.damaged == 0
    assert modem.commands == ["AT", 'AT+CGDCONT=1,"IP","iot.example"', *["AT+CEREG?"] * 3, "ATD*99#"]
    assert "modem: online, 10.7.0.2" in said


def test_an_update_is_fetched_over_the_modem(build: Build, tmp_path: Path) -> None:
    """As behind a mobile network: the device asks, and only its server answers."""
    packed = pack(build, 7)
    with (
        FileServer({"m": packed.envelope, **packed.payloads}) as server,
        PppModem(apn="iot.example") as modem,
        running(build, modem, tmp_path),
    ):
        assert answers(modem)
        with DeviceClient.open(modem.address, link="lte-m") as client:
            updates = UpdateClient(client)
            client.post("suit/trigger", f"coap://{NETWORK}:{server.address[1]}/m".encode())
            end = time.monotonic() + 60
            while updates.state().sequence != 7:
                assert time.monotonic() < end, updates.state()
                time.sleep(0.2)
            assert mismatches(client, 2) == 0
        assert {request.opt.uri_path for request in server.requests} >= {("m",), ("model.bin",)}


def test_it_dials_again(build: Build, tmp_path: Path) -> None:
    """A modem that refuses at first; a network that ends the connection; the device is there again each time."""
    with PppModem(apn="iot.example", unregistered=0, busy=1) as modem, running(build, modem, tmp_path) as said:
        assert answers(modem)
        assert modem.commands.count("ATD*99#") == 2
        modem.drop()
        time.sleep(2)
        assert answers(modem)
        assert modem.commands.count("ATD*99#") == 3
    assert [line for line in said if line.startswith("modem: ")] == [
        "modem: online, 10.7.0.2",
        "modem: offline",
        "modem: online, 10.7.0.2",
    ]


def test_another_access_point_is_refused_by_the_modem(build: Build, tmp_path: Path) -> None:
    with PppModem(apn="other") as modem, running(build, modem, tmp_path) as said:
        assert not answers(modem, 6.0)
        assert "ATD*99#" not in modem.commands
        assert modem.commands.count("AT") >= 2
    assert "modem: online, 10.7.0.2" not in said
