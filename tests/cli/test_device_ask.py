"""`tinyops device ping` and `info`: a device that answers, one that does not, and what is no address."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.udp import Fate, Proxy, mixed, straight, udp_device
from tinyops.device.board import find_board
from tinyops.device.build import build_firmware
from tinyops.device.client import DeviceClient
from tinyops.device.emulator import launch
from tinyops.device.link.profile import LINKS
from tinyops.resources import data_dir

MODEL = data_dir("models") / "motions" / "motions.tflite"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("motions") / "build"
    return build_firmware(MODEL, find_board("host"), folder, name="motions").elf


@contextmanager
def _behind_proxy(program: Path, fate: Fate) -> Iterator[DeviceClient]:
    with (
        udp_device(program) as device,
        Proxy(("127.0.0.1", device.port), fate) as proxy,
        DeviceClient.open(f"coap://127.0.0.1:{proxy.address[1]}") as client,
    ):
        yield client


def test_ping(tinyops: Any, program: Path) -> None:
    with udp_device(program) as device:
        done = tinyops("device", "ping", device.address, "-n", 3, "--interval", 0)
        assert done.code == 0, done.err
        lines = done.out.splitlines()
        assert [line.startswith(f"{device.address}: answered in ") for line in lines] == [True] * 3 + [False]
        assert lines[-1].startswith("3 sent, 3 answered, 0 % lost; least, median, most ")
        found = tinyops("device", "ping", device.address, "-n", 2, "--interval", 0, "--link", "802154", "--json").json()
    assert {**found, "milliseconds": None} == {
        "address": device.address,
        "link": "802154",
        "sent": 2,
        "answered": 2,
        "milliseconds": None,
    }
    assert all(0 < milliseconds < 2000 for milliseconds in found["milliseconds"])


def test_lost_pings_are_told(tinyops: Any, program: Path) -> None:
    def every_second_one(way: str, number: int, data: bytes) -> list[tuple[float, bytes]]:
        return [] if way == "out" and number % 2 else [(0.0, data)]

    with udp_device(program) as device, Proxy(("127.0.0.1", device.port), every_second_one) as proxy:
        address = f"coap://127.0.0.1:{proxy.address[1]}"
        done = tinyops("device", "ping", address, "-n", 4, "--interval", 0, "--timeout", 0.3)
    assert done.code == 0
    assert [line.partition(": ")[2][:8] for line in done.out.splitlines()[:4]] == ["answered", "no answe"] * 2
    assert "4 sent, 2 answered, 50 % lost" in done.out


def test_late_and_repeated_answers_are_not_counted_for_another_ping(program: Path) -> None:
    def late(way: str, number: int, data: bytes) -> list[tuple[float, bytes]]:
        return [(0.6, data), (0.7, data)] if way == "in" and number == 0 else straight(way, number, data)

    with _behind_proxy(program, late) as client:
        assert client.ping(0.3) is None
        taken = client.ping(2.0)
        assert taken is not None
        assert taken < 0.25
        assert client.info().model == "motions"


def test_damaged_answers_are_none(program: Path) -> None:
    with _behind_proxy(program, mixed(3, damage=1.0)) as client:
        assert [client.ping(0.1) for _ in range(8)] == [None] * 8


def test_nobody_answers(tinyops: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"coap://127.0.0.1:{silent.getsockname()[1]}"
        done = tinyops("device", "ping", address, "-n", 2, "--interval", 0, "--timeout", 0.1)
        assert (done.code, done.out.count("no answer")) == (1, 2)
        assert f"error: {address}: answered none of 2 pings" in done.err
        failed = tinyops("device", "ping", address, "-n", 1, "--timeout", 0.1, "--json")
        assert (failed.code, failed.json()["answered"]) == (1, 0)
    closed = tinyops("device", "ping", address, "-n", 9, "--interval", 0, "--timeout", 0.2)
    assert closed.code == 1
    assert "nobody is there" in closed.err


@pytest.mark.parametrize("verb", ["ping", "info"])
@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("kitchen-01", "tinyops device show kitchen-01"),
        ("coap://h/x", "is no address of a device"),
        ("tcp://host", "is no address of a device"),
        ("fd00::1", "try: coap://[fd00::1]"),
        ("[fe80::1%eth0]", "try: coap://[fe80::1%eth0]"),
        ("192.0.2.1", "try: coap://192.0.2.1"),
        ("", "empty"),
    ],
)
def test_no_addresses(tinyops: Any, verb: str, address: str, text: str) -> None:
    if os.name == "nt" and address == "kitchen-01":
        text = "cannot be opened"
    done = tinyops("device", verb, address)
    assert (done.code, text in " ".join(done.err.split())) == (2, True), done.err


def test_info(tinyops: Any, program: Path) -> None:
    with udp_device(program) as device:
        done = tinyops("device", "info", device.address, "--link", "802154-mesh")
        found = tinyops("device", "info", device.address, "--json").json()
    assert done.code == 0, done.err
    assert "input " in done.out
    assert "int8[1, 1, 100, 6]" in done.out
    assert "takes no updates" in done.out
    assert "link 802154-mesh: blocks of 64 B, ACK time-out 3 s; a ping takes " in done.out
    assert found["info"]["model"] == "motions"
    assert len(found["info"]["digest"]) == 64
    assert found["update"] is None
    assert found["link"] == {"name": "udp", "block_bytes": 1024, "ack_timeout": LINKS["udp"].ack_timeout}


def test_info_without_an_answer_is_a_failure(tinyops: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"coap://127.0.0.1:{closed.getsockname()[1]}"
    done = tinyops("device", "info", address)
    assert (done.code, "error: " in done.err) == (1, True)


def test_the_serial_line_answers_pings(program: Path) -> None:
    with launch(find_board("host"), program) as client:
        assert (client.ping() or 9) < 1


def test_pings_between_requests_and_without_end(program: Path) -> None:
    """More pings than ids that are remembered."""
    with udp_device(program) as device, DeviceClient.open(device.address) as client:
        for _ in range(200):
            assert client.ping() is not None
        client.reset()
        assert client.ping() is not None


def test_help_keeps_devices_and_the_fleet_apart(tinyops: Any) -> None:
    text = tinyops("device", "--help").out
    asks, fleet = text.split("Devices of the fleet:")
    assert [verb in asks.partition("Ask a device:")[2] for verb in ("ping", "info", "list")] == [True, True, False]
    assert [f"\n  {verb} " in fleet for verb in ("add", "list", "show", "tag", "remove")] == [True] * 5


if sys.platform == "win32":  # the firmware of the host is a POSIX program
    pytestmark = pytest.mark.skip("needs a POSIX system")
