"""Bluetooth LE with RIOT and NimBLE: round trips of a process whose controller is bumble's, and builds for boards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.bluetooth import GattClient, channels
from tests.support.ipsp import ipsp_link
from tests.support.native_radio import NativeRadio
from tests.support.riot_builds import settings_for
from tests.support.updates import SETTINGS, V1, capsule, mismatches, pack
from tinyops.device.board import find_riot_board
from tinyops.device.build import Build
from tinyops.device.client import DeviceClient
from tinyops.device.link.ble import channel_link, gatt_link
from tinyops.device.link.framing import Datagrams
from tinyops.device.link.profile import LINKS
from tinyops.device.riot import build as riot_builder
from tinyops.device.riot.base import RiotBase
from tinyops.device.riot.build import RiotSettings, build_riot
from tinyops.device.riot.network import network_parts
from tinyops.device.riot.parts import RiotParts
from tinyops.device.update_client import UpdateClient

pytestmark = [pytest.mark.riot, pytest.mark.slow]

_MODULES = Path(__file__).resolve().parent / "modules"


@contextmanager
def radio_on_native(*modules: str) -> Iterator[None]:
    """While an application is built: native64 has Bluetooth, by a controller at its UART."""
    files = {f"modules/hci_uart/{path.name}": path.read_text() for path in (_MODULES / "hci_uart").iterdir()}
    more = RiotParts(modules=("nimble_host", "hci_uart", *modules), files=files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATURES_PROVIDED", "ble_nimble ble_nimble_netif")
        patch.setattr(riot_builder, "network_parts", lambda *of: network_parts(*of) + more)
        yield


@pytest.fixture(scope="module")
def build(riot_base: RiotBase, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Updatable, with both ways of CoAP."""
    settings = RiotSettings(riot_base, "native64", "ble-gatt")
    with radio_on_native("tinyops_l2cap"):
        folder = tmp_path_factory.mktemp("ble") / "build"
        return build_riot(V1, settings, find_riot_board("native64"), folder, name="digits", update=SETTINGS)


@contextmanager
def opened(radio: NativeRadio, kind: str) -> Iterator[DeviceClient]:
    if kind == "gatt":
        connect, link = gatt_link(lambda gone: GattClient(radio, gone), "ble:test"), LINKS["ble-gatt"]
    else:
        connect, link = channel_link(channels(radio), "ble-l2cap:test"), LINKS["ble-l2cap"]
    with DeviceClient(connect, where="test", link=link, framing=Datagrams()) as client:
        yield client


@pytest.mark.parametrize("kind", ["gatt", "l2cap"])
def test_an_update_by_nimble(build: Build, tmp_path: Path, kind: str) -> None:
    packed = pack(build, 7)
    radio = NativeRadio(build.elf, folder=tmp_path)
    with opened(radio, kind) as client:
        assert client.info().model == "digits"
        assert mismatches(client, 1) == 0
        updates = UpdateClient(client)
        result = updates.push(packed.envelope, packed.digest, packed.payload)
        assert (result.state.sequence, result.sent) == (7, len(capsule()))
        assert mismatches(client, 2) == 0
    with opened(NativeRadio(build.elf, folder=tmp_path), kind) as client:
        assert UpdateClient(client).state().sequence == 7
        assert mismatches(client, 2) == 0


@pytest.mark.parametrize("mtu", [23, 65, 247, 517])
def test_values_of_any_length(build: Build, tmp_path: Path, mtu: int) -> None:
    """NimBLE's own limit is 247; longer answers leave in many notifications, as its buffers allow."""
    with opened(NativeRadio(build.elf, mtu=mtu, folder=tmp_path), "gatt") as client:
        assert client.link.block_bytes == {23: 16, 65: 16, 247: 128, 517: 128}[mtu]
        assert mismatches(client, 1, 3) == 0


@pytest.mark.parametrize("kind", ["gatt", "l2cap"])
def test_thousands_of_messages(build: Build, tmp_path: Path, kind: str) -> None:
    with opened(NativeRadio(build.elf, folder=tmp_path), kind) as client:
        for _ in range(20):
            assert mismatches(client, 1, 100) == 0


def test_ipv6_by_nimble(riot_base: RiotBase, tmp_path: Path) -> None:
    """CoAP in UDP, in IPv6, in 6LoWPAN, in the channel of IPSP; beside it the GATT service."""
    settings = RiotSettings(riot_base, "native64", "ble-ipsp")
    with radio_on_native("tinyops_gatt"):
        made = build_riot(V1, settings, find_riot_board("native64"), tmp_path / "build", name="digits")
    radio = NativeRadio(made.elf, folder=tmp_path)
    with DeviceClient(ipsp_link(radio), where="test", link=LINKS["ble-l2cap"], framing=Datagrams()) as client:
        assert client.info().block_bytes == 512
        assert mismatches(client, 1) == 0
    with opened(NativeRadio(made.elf, folder=tmp_path), "gatt") as client:
        assert mismatches(client, 1) == 0


@pytest.mark.parametrize("name", ["nrf52840dk", "nrf52dk"])
@pytest.mark.parametrize("network", ["ble-gatt", "ble-l2cap", "ble-ipsp"])
def test_boards(riot_base: RiotBase, tmp_path: Path, name: str, network: str) -> None:
    settings = settings_for(riot_base, name, network)
    made = build_riot(V1, settings, find_riot_board(name), tmp_path / "build", name="digits")
    assert made.report["os"]["network"] == network
