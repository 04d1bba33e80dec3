"""Updates over a network that loses, repeats, delays, reorders, damages and forges datagrams: pushed and fetched.

A seeded proxy on the loopback stands between the device and whom it talks to. Whatever it does, the device ends on the
new model or on the old one, works, and can be updated afterwards.

Frames: an exchange is at least a request and its answer, so the ideal for a pack with blocks of b bytes is

    2 * (ceil(envelope / b) + ceil(payload / b) + other requests)

where the other requests are the check-ins of a fetched update (two: before and after), and for a pushed one the
questions for the device's state (four: before, what it wants, whether it wants more, after the trial). Measured are all
datagrams that either side puts on the wire, at the proxy, with lost ones, retransmissions, separate acknowledgements
and pings.
"""

from __future__ import annotations

import dataclasses
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiocoap
import pytest
from aiocoap import ACK, CON, RST
from aiocoap.numbers.codes import Code

from tests.support.coap_server import FileServer
from tests.support.udp import Fate, Proxy, UdpDevice, mixed, straight, udp_device
from tests.support.updates import LARGE, Pack, build_updatable, capsule, long_capsule, mismatches, pack
from tinyops.device.build import Build
from tinyops.device.client import DeviceClient
from tinyops.device.link.address import find_target
from tinyops.device.link.profile import LINKS
from tinyops.device.update_client import Pushed, UpdateClient, UpdateError
from tinyops.errors import DeviceError
from tinyops.suit.reasons import Reason

pytestmark = pytest.mark.slow

BLOCK = 1024
ACK_TIMEOUT_MS = 60
BLOCKS = range(-(-len(capsule()) // BLOCK))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build_updatable("host", tmp_path_factory.mktemp("network") / "build", LARGE, sanitized=True)


@contextmanager
def fetching(
    build: Build,
    flash: Path,
    packed: Pack,
    fate: Fate,
    ack_timeout_ms: int = ACK_TIMEOUT_MS,
    prepare: Callable[[FileServer], None] = lambda _: None,
) -> Iterator[tuple[FileServer, Proxy, UdpDevice]]:
    """A device that checks in with a server behind the proxy, and is told of the update until it runs."""
    with FileServer({"manifest": packed.envelope, **packed.payloads}) as server:
        prepare(server)
        server.answer = lambda content: {2: 3600} if content[3] == 7 else {1: "manifest", 2: 1}
        with Proxy(server.address, fate) as proxy:
            where = ["--server", f"coap://127.0.0.1:{proxy.address[1]}", "--check-in", "1"]
            with udp_device(
                build.elf, "--flash", str(flash), "--ack-timeout", str(ack_timeout_ms), "--id", "01", *where
            ) as device:
                yield server, proxy, device


@contextmanager
def pushing(
    device: UdpDevice, fate: Fate, ack_timeout: float = ACK_TIMEOUT_MS / 1000
) -> Iterator[tuple[DeviceClient, Proxy]]:
    with Proxy(("127.0.0.1", device.port), fate) as proxy:
        target = find_target(f"coap://127.0.0.1:{proxy.address[1]}")
        link = dataclasses.replace(LINKS["udp"], ack_timeout=ack_timeout, answer_seconds=30.0)
        with DeviceClient(target.connect, link=link, framing=target.framing()) as client:
            yield client, proxy


def push(client: DeviceClient, packed: Pack) -> Pushed:
    return UpdateClient(client).push(packed.envelope, packed.digest, packed.payload)


def check_version(device: UdpDevice, version: int) -> None:
    with DeviceClient.open(device.address) as client:
        assert mismatches(client, version) == 0


FAULTS: dict[str, dict[str, float]] = {
    "loss": {"loss": 0.05},
    "heavy loss": {"loss": 0.2},
    "duplication": {"twice": 0.3},
    "reordering": {"late": 0.4, "twice": 0.1},
    "everything": {"loss": 0.05, "twice": 0.05, "late": 0.1},
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fetched_update_comes_through(build: Build, tmp_path: Path, fault: str, seed: int) -> None:
    with fetching(build, tmp_path / "flash", pack(build, 7), mixed(seed, **FAULTS[fault])) as (server, _, device):
        server.wait_for(lambda content: content[3] == 7 and content[6] == 0)
        check_version(device, 2)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", FAULTS)
def test_a_pushed_update_comes_through(build: Build, tmp_path: Path, fault: str, seed: int) -> None:
    packed = pack(build, 7)
    with udp_device(build.elf, "--flash", str(tmp_path / "flash")) as device:
        with pushing(device, mixed(seed, **FAULTS[fault])) as (client, _):
            for _ in range(5):
                try:
                    result = push(client, packed)
                    break
                except UpdateError:
                    raise
                except DeviceError:  # five losses in a row: what a person would do is to run it again
                    continue
            assert result.state.sequence == 7
        check_version(device, 2)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_datagrams_do_no_harm(build: Build, tmp_path: Path, seed: int) -> None:
    """Without checksums of the layer below; a damaged block is found by the image's digest."""
    with fetching(build, tmp_path / "flash", pack(build, 7), mixed(seed, damage=0.05)) as (server, proxy, device):
        time.sleep(4)
        proxy.fate = straight
        server.wait_for(lambda content: content[3] == 7)
        check_version(device, 2)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_pushes_do_no_harm(build: Build, tmp_path: Path, seed: int) -> None:
    packed = pack(build, 7)
    with udp_device(build.elf, "--flash", str(tmp_path / "flash")) as device:
        with pushing(device, mixed(seed, damage=0.05)) as (client, _), suppress(DeviceError):
            push(client, packed)
        with pushing(device, straight) as (client, _):
            with suppress(UpdateError):  # of bytes that were damaged before
                push(client, packed)
            push(client, packed)
        check_version(device, 2)


def block_number(data: bytes) -> int | None:
    """Of a request for, or with, a block of the payload."""
    try:
        message = aiocoap.Message.decode(data)
    except (aiocoap.error.Error, ValueError, IndexError):
        return None
    if not message.code.is_request() or message.opt.uri_path not in (("model.bin",), ("suit", "payload")):
        return None
    block = message.opt.block2 or message.opt.block1
    return None if block is None else int(block.block_number)


class Stall:
    """From the request for a block on nothing goes through, until `over` is set."""

    def __init__(self, block: int) -> None:
        self.block = block
        self.begun = False
        self.over = False

    def __call__(self, way: str, number: int, data: bytes) -> list[tuple[float, bytes]]:
        self.begun |= way == "out" and block_number(data) == self.block
        return [(0.0, data)] if self.over or not self.begun else []


def wait_until(condition: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_stall_at_each_block_of_a_fetch(build: Build, tmp_path: Path, block: int) -> None:
    stall = Stall(block)
    with fetching(build, tmp_path / "flash", pack(build, 7), stall) as (server, proxy, device):
        wait_until(lambda: stall.begun)
        time.sleep(3)  # longer than all retransmissions
        stall.over = True
        server.wait_for(lambda content: content[3] == 7)
        check_version(device, 2)
        asked = [block_number(data) for way, data in proxy.log if way == "out" and block_number(data) is not None]
    served = [m.opt.block2.block_number for m in server.requests if m.opt.uri_path == ("model.bin",)]
    assert sorted(set(served)) == list(BLOCKS)
    assert len(served) <= len(BLOCKS) + 1  # it went on where it was
    assert asked.count(block) > 1


@pytest.mark.parametrize("block", BLOCKS)
def test_a_stall_at_each_block_of_a_push(build: Build, tmp_path: Path, block: int) -> None:
    packed = pack(build, 7)
    stall = Stall(block)
    with udp_device(build.elf, "--flash", str(tmp_path / "flash")) as device:
        with pushing(device, stall) as (client, _), pytest.raises(DeviceError, match="no answer"):
            push(client, packed)
        with pushing(device, straight) as (client, _):
            result = push(client, packed)
        assert result.resumed
        assert result.sent == len(capsule()) - block * BLOCK
        check_version(device, 2)


@pytest.mark.parametrize("block", BLOCKS[1:])
def test_an_entity_tag_that_changes_at_each_block_of_a_fetch(build: Build, tmp_path: Path, block: int) -> None:
    """Up to the block the payload is another one: the device throws that away, and begins anew by itself."""
    content = capsule()

    def prepare(server: FileServer) -> None:
        server.files["model.bin"] = bytes(len(content))

        def change(message: Any) -> None:
            if message.opt.block2 is not None and message.opt.block2.block_number == block:
                server.files["model.bin"] = content

        server.refuse = change

    with fetching(build, tmp_path / "flash", pack(build, 7), straight, prepare=prepare) as (server, _, device):
        server.wait_for(lambda content: content[3] == 7)
        check_version(device, 2)
        assert "etag-changed" in device.said
    served = [m.opt.block2.block_number for m in server.requests if m.opt.uri_path == ("model.bin",)]
    assert served == [*range(block + 1), *BLOCKS]


@pytest.mark.parametrize("block", BLOCKS[1:])
def test_an_entity_tag_that_changes_at_each_block_of_a_push(build: Build, tmp_path: Path, block: int) -> None:
    packed = pack(build, 7)
    right = packed.payloads["model.bin"]
    sent: list[int] = []
    with udp_device(build.elf, "--flash", str(tmp_path / "flash")) as device:
        with pushing(device, straight) as (client, _):
            original = client.put_block

            def change(path: str, payload: bytes, at: tuple[int, bool, int], **options: Any) -> Any:
                if path == "suit/payload" and at[0] == block:
                    options["etag"] = b"another"
                sent.append(at[0])
                return original(path, payload, at, **options)

            client.put_block = change  # type: ignore[method-assign]
            with pytest.raises(UpdateError) as caught:
                push(client, packed)
            assert caught.value.reason is Reason.ETAG_CHANGED
            client.put_block = original  # type: ignore[method-assign]
            assert push(client, packed).sent == len(right)
        check_version(device, 2)


def forged(data: bytes, kind: Any, shift: int) -> bytes:
    """An empty message with the id of a request, or one near to it."""
    mid = ((data[2] << 8 | data[3]) + shift) & 0xFFFF
    raw: bytes = aiocoap.Message(code=Code.EMPTY, _mtype=kind, _mid=mid).encode()
    return raw


@pytest.mark.parametrize("kind", [RST, ACK])
def test_forged_resets_and_acknowledgements(build: Build, tmp_path: Path, kind: Any) -> None:
    """With wrong ids from the right address, and with right ids from a wrong address."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
        fetching(build, tmp_path / "flash", pack(build, 7), straight) as (server, proxy, device),
    ):

        def fate(way: str, number: int, data: bytes) -> list[tuple[float, bytes]]:
            if way == "out":
                stranger.sendto(forged(data, kind, 0), ("127.0.0.1", device.port))
                proxy.inject(forged(data, kind, 1))
                proxy.inject(forged(data, kind, -1))
                proxy.inject(forged(data, kind, 0x8000))
            return [(0.01, data)]

        proxy.fate = fate
        server.wait_for(lambda content: content[3] == 7)
        check_version(device, 2)
    payload = [m for m in server.requests if m.opt.uri_path == ("model.bin",)]
    assert len(payload) == len(BLOCKS)  # nothing was asked twice


def test_resets_that_are_forged_well_only_delay(build: Build, tmp_path: Path) -> None:
    """From the right address with the right id, as somebody on the way can: the device tries again where it was."""
    chance = random.Random(5)
    with fetching(build, tmp_path / "flash", pack(build, 7), straight) as (server, proxy, device):

        def fate(way: str, number: int, data: bytes) -> list[tuple[float, bytes]]:
            if way == "out" and chance.random() < 0.15:
                proxy.inject(forged(data, RST, 0))
            return [(0.01, data)]

        proxy.fate = fate
        server.wait_for(lambda content: content[3] == 7)
        check_version(device, 2)


def test_forged_resets_of_a_push(build: Build, tmp_path: Path) -> None:
    packed = pack(build, 7)
    with udp_device(build.elf, "--flash", str(tmp_path / "flash")) as device:
        with pushing(device, straight) as (client, proxy):

            def fate(way: str, number: int, data: bytes) -> list[tuple[float, bytes]]:
                if way == "out" and data[0] >> 4 & 3 == CON.value:
                    return [(0.0, forged(data, RST, 0x8000)), (0.0, data)]
                return [(0.0, data)]

            proxy.fate = fate
            assert push(client, packed).sent == len(capsule())
        check_version(device, 2)


def ideal_frames(packed: Pack, others: int) -> int:
    payload = packed.payloads["model.bin"]
    return 2 * (-(-len(packed.envelope) // BLOCK) + -(-len(payload) // BLOCK) + others)


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Without sanitizers, so that the self-test of the large pack takes less than any time-out."""
    return build_updatable("host", tmp_path_factory.mktemp("swift") / "build", LARGE)


@pytest.fixture(scope="module")
def large(swift: Build) -> Pack:
    content = long_capsule(2000)
    assert 50_000 <= len(content) <= 55_000
    return pack(swift, 7, content)


@pytest.mark.parametrize(("loss", "factor"), [(0.0, 1.05), (0.05, 1.3)])
@pytest.mark.parametrize("seed", range(3))
def test_frames_of_a_fetched_model_of_50_kb(
    swift: Build, large: Pack, tmp_path: Path, loss: float, factor: float, seed: int
) -> None:
    with fetching(swift, tmp_path / "flash", large, mixed(seed, loss=loss), 500 if loss else 5000) as (
        server,
        proxy,
        _,
    ):
        server.wait_for(lambda content: content[3] == 7)
        time.sleep(0.1)
        frames = sum(proxy.frames.values())
    ideal = ideal_frames(large, 2)
    assert ideal <= frames <= factor * ideal
    assert loss == 0 or frames > ideal


@pytest.mark.parametrize(("loss", "factor"), [(0.0, 1.05), (0.05, 1.3)])
@pytest.mark.parametrize("seed", range(3))
def test_frames_of_a_pushed_model_of_50_kb(
    swift: Build, large: Pack, tmp_path: Path, loss: float, factor: float, seed: int
) -> None:
    with (
        udp_device(swift.elf, "--flash", str(tmp_path / "flash")) as device,
        pushing(device, mixed(seed, loss=loss), ack_timeout=0.5 if loss else 5.0) as (client, proxy),
    ):
        push(client, large)
        frames = sum(proxy.frames.values())
    ideal = ideal_frames(large, 4)
    assert ideal <= frames <= factor * ideal
    assert loss == 0 or frames > ideal
