"""Signed updates over 6LoWPAN: a device on native64, RIOT's border router beside it, and the air between them heard.

What was on the air is dissected by scapy and compared with the model of tests/support/lowpan.py: the model's tables are
in docs/networks.md. TINYOPS_RECORD_AIR=1 writes the recording that tests/link/test_lowpan.py reads without RIOT.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import aiocoap
import pytest

from tests.support.lowpan import Datagram, dissect, frames_of, write_recording
from tests.support.netns import Device, TapNetwork
from tests.support.updates import SETTINGS, V1, mismatches, pack
from tests.support.zep_air import ZepAir
from tinyops.device.build import Build
from tinyops.device.client import DeviceClient
from tinyops.device.link.profile import LINKS
from tinyops.device.riot.base import find_riot
from tinyops.device.riot.build import RiotSettings, build_riot
from tinyops.device.update_client import UpdateClient

pytestmark = pytest.mark.riot

RECORDING = Path(__file__).resolve().parents[1] / "link" / "lowpan_air.txt"
_RECORDED = 200  # frames
_HOST, _ROUTER, _MESH = "fd00:7::1", "fd00:7::2", "fd00:7:1::/64"
_EUI, _ADDRESS = "02:00:00:00:00:00:00:2a", "fd00:7:1::2a"
#: What the device's own build has, too: see firmware/riot/app/radio.mk.
_PACED = "-DCONFIG_IEEE802154_DEFAULT_ACK_REQ=0 -DCONFIG_GNRC_NETIF_MIN_WAIT_AFTER_SEND_US=15000"


@pytest.fixture(scope="module")
def build(riot_base: object, tmp_path_factory: pytest.TempPathFactory) -> Build:
    settings = RiotSettings(find_riot(), "native64", "802154")
    return build_riot(V1, settings, None, tmp_path_factory.mktemp("riot") / "app", name="digits", update=SETTINGS)


@pytest.fixture(scope="module")
def router(riot_base: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RIOT's border router, which announces a prefix on the radio."""
    base, folder = find_riot().path, tmp_path_factory.mktemp("router")
    found = [*base.glob("examples/**/*border_router/Makefile")]
    if not found:
        pytest.skip("this RIOT has no example of a border router")
    settings = {
        "BOARD": "native64",
        "BINDIRBASE": str(folder),
        "ENABLE_DNS": "0",
        "PREFIX_CONF": "static",
        "IPV6_ADDR": _ROUTER,
        "IPV6_PREFIX": _MESH,
        "IPV6_DEFAULT_ROUTER": "fe80::1",
    }
    words = [f"{name}={value}" for name, value in settings.items()]
    command = ["make", "-C", str(found[0].parent), *words, "all"]
    made = subprocess.run(command, env=os.environ | {"CFLAGS": _PACED}, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-2000:]
    (program,) = folder.glob("native64/*.elf")
    return program


@contextlib.contextmanager
def mesh(build: Build, router: Path, folder: Path, loss: float = 0.0) -> Iterator[tuple[TapNetwork, ZepAir]]:
    """The network, with a route from here to the device, which has its address."""
    with TapNetwork() as network:
        with network.inside():
            for words in (("addr", "add", f"{_HOST}/64"), ("addr", "add", "fe80::1/64")):
                subprocess.run(["ip", *words, "dev", network.host_interface, "nodad"], check=True)
            subprocess.run(["ip", "-6", "route", "add", _MESH, "via", _ROUTER], check=True)
            air = ZepAir(loss=loss)
        with air:
            first = Device(network, [router, network.device_tap, "-z", air.address], folder)
            node = Device(network, [build.elf, "-z", air.address, "-U", _EUI], folder)
            with first, node:
                with network.inside():
                    wait_for_address(air)
                yield network, air


def wait_for_address(air: ZepAir) -> None:
    """Until the router has answered the device, and the device a ping."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with DeviceClient.open(f"coap://[{_ADDRESS}]", link="802154") as client:
            if client.ping(1.0) is not None:
                return
    pytest.fail(f"no answer; {len(air.heard)} frames were on the air")


def on_the_air(air: ZepAir) -> list[Datagram]:
    """The datagrams of CoAP."""
    return [datagram for datagram in dissect(air.heard) if 5683 in datagram.ports]


@pytest.mark.parametrize("link", ["802154", "802154-mesh"])
def test_a_signed_update_over_6lowpan(build: Build, router: Path, tmp_path: Path, link: str) -> None:
    packed = pack(build, 7)
    with mesh(build, router, tmp_path) as (network, air):
        with network.inside():
            client = DeviceClient.open(f"coap://[{_ADDRESS}]", link=link)
        with client:
            assert client.info().model == "digits"
            assert UpdateClient(client).push(packed.envelope, packed.digest, packed.payload).state.sequence == 7
            assert mismatches(client, 2) == 0
        sent = on_the_air(air)
    if os.environ.get("TINYOPS_RECORD_AIR") and link == "802154-mesh":
        write_recording(RECORDING, air.heard[:_RECORDED])
    check_frames(sent, LINKS[link].block_bytes)
    assert len(sent) > 2 * len(packed.payloads["model.bin"]) // LINKS[link].block_bytes


def check_frames(sent: list[Datagram], block_bytes: int) -> None:
    """All datagrams are what the model says, and no message has a larger block than the link's."""
    assert sent
    for datagram in sent:
        assert list(datagram.frames) == frames_of(len(datagram.payload), datagram.headers), datagram
        message = aiocoap.Message.decode(datagram.payload)
        assert len(message.payload) <= block_bytes
    full = [d for d in sent if len(aiocoap.Message.decode(d.payload).payload) == block_bytes]
    assert full
    most = max(len(datagram.frames) for datagram in full)
    assert most == (2 if block_bytes == 64 else 4)


def test_a_signed_update_with_loss_on_the_air(build: Build, router: Path, tmp_path: Path) -> None:
    """Of the frames 3 % are lost, and nothing but CoAP sends them again."""
    packed = pack(build, 7)
    with mesh(build, router, tmp_path, loss=0.03) as (network, air):
        with network.inside():
            client = DeviceClient.open(f"coap://[{_ADDRESS}]", link="802154-mesh")
        with client:
            assert UpdateClient(client).push(packed.envelope, packed.digest, packed.payload).state.sequence == 7
            assert mismatches(client, 2) == 0
        assert any(heard.lost for heard in air.heard)
