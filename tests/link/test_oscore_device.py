"""Devices and servers that are protected by OSCORE, as a whole: the firmware as a process, DeviceClient, aiocoap."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import json
import os
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiocoap
import aiocoap.resource
import cbor2
import pytest
from aiocoap.numbers.codes import Code

from tests.support.udp import Proxy, UdpDevice, mixed, straight, udp_device
from tests.support.updates import SETTINGS, build_updatable, mismatches, pack
from tinyops.device.build import Build
from tinyops.device.client import DeviceClient
from tinyops.device.link.address import find_target
from tinyops.device.link.oscore import make_context, protect_site, read_device, release
from tinyops.device.link.profile import LINKS
from tinyops.device.update_client import UpdateClient
from tinyops.errors import DeviceError, TinyopsError, UsageError


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    settings = dataclasses.replace(SETTINGS, algorithms=("ed25519", "aes"))
    return build_updatable("host", tmp_path_factory.mktemp("oscore") / "build", settings, sanitized=True)


@contextmanager
def protected(build: Build, folder: Path) -> Iterator[UdpDevice]:
    options = ["--oscore", str(folder / "device.oscore"), "--flash", str(folder / "flash")]
    with udp_device(build.elf, *options) as device:
        yield device


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    make_context(folder, device=b"\x01\x02")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("link", ["udp", "802154-mesh"])
def test_an_update_over_oscore(build: Build, context: Path, link: str) -> None:
    packed = pack(build, 7)
    with protected(build, context) as device, DeviceClient.open(device.address, link=link, oscore=context) as client:
        assert client.info().model == "digits"
        updates = UpdateClient(client)
        assert updates.push(packed.envelope, packed.digest, packed.payload).state.sequence == 7
        assert mismatches(client, 2) == 0
    with protected(build, context) as device, DeviceClient.open(device.address, link=link, oscore=context) as client:
        assert UpdateClient(client).state().sequence == 7  # after resets of both sides


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_an_update_over_oscore_and_a_bad_network(build: Build, context: Path, seed: int) -> None:
    """Retransmissions are the same messages; what comes again or too late is no replay that harms."""
    packed = pack(build, 7)
    fate = mixed(seed, loss=0.05, twice=0.1, late=0.1, damage=0.02)
    with protected(build, context) as device, Proxy(("127.0.0.1", device.port), fate) as proxy:
        for _ in range(8):
            target = find_target(f"coap://127.0.0.1:{proxy.address[1]}")
            link = dataclasses.replace(LINKS["udp"], ack_timeout=0.1)
            with DeviceClient(target.connect, link=link, framing=target.framing(), oscore=context) as client:
                try:
                    result = UpdateClient(client).push(packed.envelope, packed.digest, packed.payload)
                    break
                except DeviceError:  # a forged refusal, or five losses in a row: it is run again
                    continue
        assert result.state.sequence == 7
        with DeviceClient.open(device.address, oscore=context) as client:
            assert mismatches(client, 2) == 0


@pytest.mark.slow
def test_what_is_not_protected_is_refused(build: Build, context: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    make_context(other, device=b"other")
    with protected(build, context) as device:
        with DeviceClient.open(device.address) as client:
            for ask in (client.info, client.reset, UpdateClient(client).state, UpdateClient(client).cancel):
                with pytest.raises(DeviceError, match=r"4\.01.*OSCORE is required"):
                    ask()
            assert client.put_block("suit/manifest", b"x", (0, False, 6)).name == "4.01"
        with (
            DeviceClient.open(device.address, oscore=other) as client,
            pytest.raises(DeviceError, match=r"4\.00.*without protection: Decryption failed"),
        ):
            client.info()
        with DeviceClient.open(device.address, oscore=context) as client:
            assert client.info().model == "digits"


@pytest.mark.slow
def test_a_recorded_request_is_not_done_again(build: Build, context: Path) -> None:
    """Not at once, and not after a reset of the device, which forgets what it has seen."""
    with protected(build, context) as device, Proxy(("127.0.0.1", device.port), straight) as proxy:
        with DeviceClient.open(f"coap://127.0.0.1:{proxy.address[1]}", oscore=context) as client:
            client.reset()
        recorded = [data for way, data in proxy.log if way == "out" and len(data) > 10]
        assert replies(device, recorded) == {"4.01"}
    with protected(build, context) as device:
        assert replies(device, recorded) == {"2.04"}  # the challenge, protected
        with DeviceClient.open(device.address, oscore=context) as client:
            client.reset()
        assert replies(device, recorded) == {"4.01"}


def replies(device: UdpDevice, datagrams: list[bytes]) -> set[str]:
    """The codes of the answers to datagrams that come from another address."""
    codes = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.connect(("127.0.0.1", device.port))
        opened.settimeout(5)
        for data in datagrams:
            opened.send(data)
            codes.add(aiocoap.Message.decode(opened.recv(2048)).code.dotted)
    return codes


@pytest.mark.slow
def test_the_device_never_uses_a_number_twice(build: Build, context: Path) -> None:
    """Its own numbers are needed for challenges after each reset; killed at any time, it goes on above them."""
    numbers = []
    for _ in range(4):
        with protected(build, context) as device, DeviceClient.open(device.address, oscore=context) as client:
            client.reset()
        numbers.append(int((context / "device.oscore.sequence").read_text()))
    assert numbers == sorted(set(numbers))
    assert stat.S_IMODE((context / "device.oscore.sequence").stat().st_mode) == 0o600


@pytest.mark.slow
def test_contexts_are_for_their_owner_alone(build: Build, context: Path) -> None:
    files = [path for path in context.rglob("*") if path.is_file()]
    assert files
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (context, context / "client")} == {0o700}
    with pytest.raises(UsageError, match="already"):
        make_context(context)
    (context / "client" / "secret.json").chmod(0o644)
    with pytest.raises(UsageError, match="read by others"):
        DeviceClient.open("coap://127.0.0.1", oscore=context)
    (context / "device.oscore").chmod(0o640)
    command = [str(build.elf), "--udp", "127.0.0.1:0", "--oscore", str(context / "device.oscore")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (ended.returncode, "chmod 600" in ended.stderr) == (1, True)


@pytest.mark.slow
def test_one_process_at_a_time(build: Build, context: Path) -> None:
    with protected(build, context) as device, DeviceClient.open(device.address, oscore=context) as client:
        client.reset()
        with pytest.raises(DeviceError, match="in use"):
            DeviceClient.open(device.address, oscore=context)
        client.reset()


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "secret 0",
        "secret zz",
        "nonsense 00",
        "secret 00\nsecret 00",
        "secret 00\nsender 01\nrecipient 01",
    ],
)
def test_damaged_device_files(build: Build, tmp_path: Path, text: str) -> None:
    file = tmp_path / "device.oscore"
    file.write_text(text + "\n")
    file.chmod(0o600)
    command = [str(build.elf), "--udp", "127.0.0.1:0", "--oscore", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (ended.returncode, "is no security context" in ended.stderr) == (1, True), ended


@pytest.mark.parametrize("folder", ["nothing", "."])
def test_no_context(tmp_path: Path, folder: str) -> None:
    with pytest.raises(UsageError, match="holds no security context"):
        DeviceClient.open("coap://127.0.0.1", oscore=tmp_path / folder)


@pytest.mark.parametrize("device", [b"", bytes(33)])
def test_ids_that_no_device_can_have(tmp_path: Path, device: bytes) -> None:
    with pytest.raises(UsageError, match="no id of a device"):
        make_context(tmp_path / "context", device=device)
    assert not (tmp_path / "context").exists()


@pytest.mark.slow
@pytest.mark.parametrize("device", [b"\x00", b"a", b"1234567", b"12345678", bytes(32)])
def test_a_context_for_one_device(build: Build, tmp_path: Path, device: bytes) -> None:
    folder = tmp_path / "context"
    make_context(folder, device=device)
    assert read_device(folder) == device
    with protected(build, folder) as running, DeviceClient.open(running.address, oscore=folder) as client:
        assert client.info().model == "digits"
    (folder / "device").write_text("no")
    with pytest.raises(UsageError, match="names no device"):
        read_device(folder)


@pytest.mark.slow
def test_info_is_what_it_was(build: Build, context: Path) -> None:
    """Protected answers hold the same bytes: blocks inside."""
    with protected(build, context) as device, DeviceClient.open(device.address, oscore=context) as client:
        over = client.get("info")
    with udp_device(build.elf) as device, DeviceClient.open(device.address) as client:
        assert client.get("info") == over
    assert cbor2.loads(over)["model"] == "digits"


@pytest.fixture
def own_server(context: Path) -> Iterator[tuple[str, list[dict[int, Any]], list[bool]]]:
    """aiocoap's server with protected check-ins: where it is, what came, and whether it came protected."""
    forgetful = {"next-to-send": 0, "received": "unknown"}  # as after a crash: it asks for proof of freshness
    (context / "client" / "sequence.json").write_text(json.dumps(forgetful))
    (context / "client" / "sequence.json").chmod(0o600)
    checkins: list[dict[int, Any]] = []
    protection: list[bool] = []

    class Checkin(aiocoap.resource.Resource):  # type: ignore[misc]
        async def render_post(self, asked: Any) -> Any:
            checkins.append(cbor2.loads(asked.payload))
            protection.append(hasattr(asked.remote, "security_context"))
            assert asked.remote.authenticated_claims == ["0102"]
            return aiocoap.Message(code=Code.CHANGED, payload=cbor2.dumps({2: 1, 3: 1_800_000_000}))

    loop = asyncio.new_event_loop()
    started = threading.Event()
    where: list[int] = []

    async def serve() -> Any:
        inner = aiocoap.resource.Site()
        inner.add_resource(("checkin",), Checkin())
        site = protect_site(inner, [context], required=[("checkin",)])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            where.append(free.getsockname()[1])
        bind = ("127.0.0.1", where[0])
        served = await aiocoap.Context.create_server_context(site, bind=bind, transports=["simplesocketserver"])
        started.set()
        return site, served

    def run() -> None:
        site, served = loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(served.shutdown())
        for credentials in site.server_credentials.values():
            release(credentials)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    yield f"coap://127.0.0.1:{where[0]}", checkins, protection
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.mark.slow
def test_check_ins_are_protected(
    build: Build, context: Path, own_server: tuple[str, list[dict[int, Any]], list[bool]]
) -> None:
    uri, checkins, protection = own_server
    options = ["--server", uri, "--check-in", "1", "--id", "0102", "--ack-timeout", "200"]
    for _ in range(2):
        before = len(checkins)
        with udp_device(build.elf, "--oscore", str(context / "device.oscore"), *options):
            end = time.monotonic() + 20
            while len(checkins) < before + 2 and time.monotonic() < end:
                time.sleep(0.05)
        assert len(checkins) >= before + 2
    assert all(protection)
    assert {checkin[1] for checkin in checkins} == {b"\x01\x02"}
    before = len(checkins)
    with udp_device(build.elf, *options):
        time.sleep(1.5)
    assert len(checkins) == before  # without protection it is refused


@pytest.mark.slow
def test_two_contexts_of_one_device(build: Build, context: Path, tmp_path: Path) -> None:
    """Their peers have the same id: the keys tell them apart."""
    second = tmp_path / "second"
    make_context(second)
    options = [word for folder in (context, second) for word in ("--oscore", str(folder / "device.oscore"))]
    with udp_device(build.elf, *options) as device:
        for folder in (context, second, context):
            with DeviceClient.open(device.address, oscore=folder) as client:
                assert client.info().model == "digits"


def test_a_context_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TinyopsError, match="cannot be written: No space left on device"):
        make_context(tmp_path / "kitchen")
    assert not (tmp_path / "kitchen").exists()
    monkeypatch.undo()
    make_context(tmp_path / "kitchen")
    before = sorted(path.name for path in (tmp_path / "kitchen").iterdir())
    with pytest.raises(UsageError, match="is there already"):
        make_context(tmp_path / "kitchen")
    assert sorted(path.name for path in (tmp_path / "kitchen").iterdir()) == before
