"""CoAP over Bluetooth LE, on bumble's local link: GATT and L2CAP, up to whole updates of real firmware."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.ble_device import build_ble_device
from tests.support.bluetooth import GattClient, Radio, channels
from tests.support.updates import SETTINGS, build_updatable, capsule, mismatches, pack
from tinyops.device.build import Build
from tinyops.device.client import DeviceClient
from tinyops.device.link import ble
from tinyops.device.link.address import find_target
from tinyops.device.link.ble import channel_link, gatt_link
from tinyops.device.link.fragments import Fragmenter, Reassembler
from tinyops.device.link.framing import Datagrams
from tinyops.device.link.l2cap import pack_address
from tinyops.device.link.profile import LINKS
from tinyops.device.update_client import UpdateClient
from tinyops.errors import DeviceError, UsageError


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build_updatable("host", tmp_path_factory.mktemp("ble") / "build", SETTINGS, sanitized=True)


@pytest.fixture(scope="module")
def device(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The firmware with tinyops' modules for NimBLE, sanitized."""
    return build_ble_device(build, tmp_path_factory.mktemp("ble-device"))


@contextmanager
def opened(radio: Radio, kind: str) -> Iterator[DeviceClient]:
    if kind == "gatt":
        connect = gatt_link(lambda gone: GattClient(radio, gone), "ble:test")
    else:
        connect = channel_link(channels(radio), "ble-l2cap:test")
    link = LINKS["ble-gatt" if kind == "gatt" else "ble-l2cap"]
    with DeviceClient(connect, where="test", link=link, framing=Datagrams()) as client:
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gatt", "l2cap"])
def test_an_update_by_radio(build: Build, device: Path, tmp_path: Path, kind: str) -> None:
    packed = pack(build, 7)
    radio = Radio(device, str(tmp_path / "flash"))
    with opened(radio, kind) as client:
        assert client.info().model == "digits"
        assert mismatches(client, 1) == 0
        updates = UpdateClient(client)
        result = updates.push(packed.envelope, packed.digest, packed.payload)
        assert (result.state.sequence, result.sent) == (7, len(capsule()))
        assert mismatches(client, 2) == 0
        assert updates.state().state == "idle"


@pytest.mark.slow
@pytest.mark.parametrize(("mtu", "block"), [(23, 16), (65, 16), (247, 128), (517, 256)])
def test_blocks_are_as_large_as_the_mtu_allows(device: Path, mtu: int, block: int) -> None:
    radio = Radio(device, mtu=mtu)
    with opened(radio, "gatt") as client:
        assert client.link.block_bytes == block
        assert mismatches(client, 1, 3) == 0
        if mtu > 64:
            before = radio.fragments
            client.reset()
            assert radio.fragments - before <= 2  # the acknowledgement of the last response, and the request


@pytest.mark.slow
def test_fragments_that_are_lost(device: Path) -> None:
    """GATT loses none, but what lies below may drop a notification: CoAP asks again."""
    chance = random.Random(2)
    radio = Radio(device, mtu=65)
    with opened(radio, "gatt") as client:
        client.info()
        radio.lose = lambda _: chance.random() < 0.03
        assert mismatches(client, 1, 2) == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gatt", "l2cap"])
def test_a_device_that_goes_away(device: Path, kind: str) -> None:
    radio = Radio(device)
    with opened(radio, kind) as client:
        client.reset()
        assert radio.central is not None
        connection = next(iter(radio.peripheral.connections.values()))
        future = asyncio.run_coroutine_threadsafe(connection.disconnect(), client._loop)
        future.result(10)
        with pytest.raises(DeviceError, match="disconnected"):
            client.reset()


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nobody:
        async def connect(self) -> None:
            raise OSError("not found")

    connect = gatt_link(lambda _: Nobody(), "ble:00:00:00:00:00:00")  # type: ignore[arg-type,return-value]
    with pytest.raises(DeviceError, match="cannot connect: not found") as caught:
        DeviceClient(connect, framing=Datagrams())
    assert caught.value.hint


@pytest.mark.parametrize(
    "address",
    [
        "ble:",
        "ble:x",
        "ble:00:11:22:33:44",
        "ble:00:11:22:33:44:5g",
        "ble-l2cap:",
        "ble-l2cap:6e40-0001",
        "ble://00:11:22:33:44:55",
    ],
)
def test_bad_addresses(address: str) -> None:
    with pytest.raises(UsageError):
        find_target(address)


def test_good_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_target("ble:00:11:22:33:44:55").link == "ble-gatt"
    assert find_target("ble:6E400001-B5A3-F393-E0A9-E50E24DCCA9E").link == "ble-gatt"
    if sys.platform == "linux":
        monkeypatch.setattr(ble.socket, "AF_BLUETOOTH", 31, raising=False)
        assert find_target("ble-l2cap:00:11:22:33:44:55").link == "ble-l2cap"
    monkeypatch.setattr(ble.sys, "platform", "darwin")
    with pytest.raises(UsageError, match="cannot be opened on this system"):
        find_target("ble-l2cap:00:11:22:33:44:55")


def test_socket_addresses() -> None:
    packed = pack_address(bytes.fromhex("554433221100"), 0xC0, 1)
    assert packed == (31).to_bytes(2, sys.byteorder) + bytes.fromhex("c000 554433221100 0000 01 00")


@pytest.mark.parametrize("size", [2, 20, 62, 244, 514])
def test_fragments(size: int) -> None:
    chance = random.Random(size)
    fragmenter, reassembler = Fragmenter(), Reassembler()
    for length in [0, 1, size - 2, size - 1, size, 1100, 2048]:
        message = chance.randbytes(length)
        *parts, last = fragmenter.cut(message, size)
        assert all(len(part) == size for part in parts)
        assert [reassembler.feed(part) for part in parts] == [None] * len(parts)
        assert reassembler.feed(last) == message
    assert reassembler.dropped == 0


def test_fragments_that_do_not_fit_together() -> None:
    fragmenter, reassembler = Fragmenter(), Reassembler()
    first, second = (fragmenter.cut(bytes([n]) * 50, 20) for n in range(2))
    for part in (b"", first[1], first[0], first[2], first[0], first[1]):
        assert reassembler.feed(part) is None
    assert [reassembler.feed(part) for part in second] == [None, None, bytes([1]) * 50]
    assert reassembler.dropped == 6
    endless = Fragmenter().cut(bytes(100_000), 200)
    assert not any(reassembler.feed(part) for part in endless)


def test_noise() -> None:
    chance = random.Random(4)
    reassembler = Reassembler()
    for _ in range(5000):
        message = reassembler.feed(chance.randbytes(chance.randrange(0, 30)))
        assert message is None or len(message) <= 2048
