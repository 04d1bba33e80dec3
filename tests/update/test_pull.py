"""Updates that the device fetches: check-ins, triggers, resumption, on the host's firmware over UDP."""

from __future__ import annotations

import dataclasses
import hashlib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiocoap
import cbor2
import pytest
from aiocoap import POST
from aiocoap.numbers.codes import Code

from tests.support.coap_server import FileServer
from tests.support.line import request
from tests.support.udp import UdpDevice, udp_device
from tests.support.updates import (
    LARGE,
    OTHER,
    bad_capsule,
    build_updatable,
    capsule,
    long_capsule,
    mismatches,
    model_image,
    pack,
)
from tinyops import __version__
from tinyops.device.build import Build
from tinyops.device.client import DeviceClient
from tinyops.device.update import UpdateKey
from tinyops.device.update_client import UpdateClient
from tinyops.errors import DeviceError
from tinyops.suit import FIRMWARE, Image
from tinyops.suit.encryption import Recipient, encrypt
from tinyops.suit.keys import Key, Role
from tinyops.suit.reasons import Reason
from tinyops.suit.registry import Algorithm

pytestmark = pytest.mark.slow

ID = b"\x01\x02\x03"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build_updatable("host", tmp_path_factory.mktemp("pull") / "build", LARGE, sanitized=True)


@contextmanager
def device(build: Build, flash: Path, server: FileServer | None, *arguments: str) -> Iterator[UdpDevice]:
    options = ["--flash", str(flash), "--id", ID.hex(), "--ack-timeout", "100", *arguments]
    if server is not None:
        options += ["--server", server.uri, "--check-in", "3600"]
    with udp_device(build.elf, *options) as running:
        yield running


def offer(server: FileServer, packed: Any) -> None:
    """Every device that has not tried this update is told of it, once."""
    server.files |= {"manifest": packed.envelope, **packed.payloads}
    sequence = 7
    server.answer = lambda content: {2: 3600} if content[7] == sequence else {1: "manifest", 2: 3600}


def test_a_check_in_says_what_runs(build: Build, tmp_path: Path) -> None:
    assert build.update is not None
    with FileServer() as server, device(build, tmp_path / "flash", server):
        content = server.wait_for(lambda _: True)
    assert content[1] == ID
    assert content[2] == build.update.class_id.bytes
    assert content[4] == __import__("hashlib").sha256(build.update.capsule).digest()
    assert {key: content[key] for key in (3, 5, 6, 7, 8, 9)} == {3: 0, 5: "idle", 6: 0, 7: 0, 8: __version__, 9: 1}
    assert content[11] == {1: 0, 2: 0, 3: 0}
    assert len(server.requests) == 1
    assert server.requests[0].opt.content_format == 60


@pytest.mark.parametrize("block", [16, 64, 1024])
def test_an_update_is_fetched_and_runs(build: Build, tmp_path: Path, block: int) -> None:
    with FileServer() as server:
        offer(server, pack(build, 7))
        with device(build, tmp_path / "flash", server, "--block-size", str(block)) as running:
            content = server.wait_for(lambda content: content[3] == 7)
            assert (content[5], content[6], content[7]) == ("trial", 0, 7)
            assert cbor2.loads(content[10])
            with DeviceClient.open(running.address) as client:
                assert mismatches(client, 2) == 0
            assert server.wait_for(lambda content: content[5] == "idle" and content[3] == 7)[6] == 0
    blocks = [m.opt.block2 for m in server.requests if m.opt.uri_path == ("model.bin",)]
    assert [b.block_number for b in blocks] == list(range(-(-len(capsule()) // block)))
    assert {b.size_exponent for b in blocks} == {block.bit_length() - 5}
    assert len(server.checkins) == 3


def test_an_encrypted_update_is_fetched(tmp_path: Path) -> None:
    """The ciphertext has more bytes than the image that the manifest tells the size of."""
    secret = Key(Algorithm.A128KW, b"k" * 16, b"kw", Role.DECRYPT)
    decrypt = UpdateKey(int(secret.algorithm), secret.material, secret.kid, "decrypt")
    settings = dataclasses.replace(LARGE, keys=(*LARGE.keys, decrypt), algorithms=("ed25519", "aes"))
    build = build_updatable("host", tmp_path / "build", settings, sanitized=True)
    ciphertext, info = encrypt(capsule(), [Recipient(secret.algorithm, secret.material, secret.kid)])
    assert len(ciphertext) > len(capsule())
    with FileServer() as server:
        image = model_image(capsule(), encryption_info=info)
        offer(server, pack(build, 7, images=[image], files={"model.bin": ciphertext}))
        with device(build, tmp_path / "flash", server):
            assert server.wait_for(lambda content: content[7] == 7)[3] == 7


def test_a_model_that_waits_for_a_restart_is_reported(build: Build, tmp_path: Path) -> None:
    """It came with other firmware; until that runs the server hears that the update is there."""
    place = tmp_path / "firmware"
    place.write_bytes(b"old firmware")
    new = b"new firmware"
    firmware = Image(FIRMWARE, hashlib.sha256(new).digest(), len(new), uri="firmware.bin")
    with FileServer() as server:
        both = [model_image(capsule()), firmware]
        offer(server, pack(build, 7, images=both, files={"firmware.bin": new}))
        with device(build, tmp_path / "flash", server, "--firmware", str(place)):
            waiting = server.wait_for(lambda content: content[7] == 7)
            assert (waiting[3], waiting[5]) == (0, "pending")
        assert place.read_bytes() == new
        with device(build, tmp_path / "flash", server, "--firmware", str(place)):
            assert server.wait_for(lambda content: content[3] == 7)[5] == "trial"


def test_a_bad_model_is_undone_and_reported(build: Build, tmp_path: Path) -> None:
    with FileServer() as server:
        offer(server, pack(build, 7, bad_capsule()))
        with device(build, tmp_path / "flash", server) as running:
            content = server.wait_for(lambda content: content[7] == 7)
            with DeviceClient.open(running.address) as client:
                assert mismatches(client, 1) == 0
    assert (content[5], content[6]) == ("idle", Reason.SELF_TEST)
    assert content[11][2] == 1


def test_an_unknown_key_is_reported(build: Build, tmp_path: Path) -> None:
    with FileServer() as server:
        offer(server, pack(build, 7, signers=[OTHER]))
        server.answer = lambda content: {1: "manifest"} if not content[6] else {2: 3600}
        with device(build, tmp_path / "flash", server):
            content = server.wait_for(lambda content: content[6] != 0)
    assert (content[3], content[6]) == (0, Reason.UNKNOWN_KEY)


def test_a_payload_that_is_not_there(build: Build, tmp_path: Path) -> None:
    with FileServer() as server:
        offer(server, pack(build, 7))
        del server.files["model.bin"]
        with device(build, tmp_path / "flash", server):
            content = server.wait_for(lambda content: content[6] != 0)
    assert (content[5], content[6]) == ("idle", Reason.PAYLOAD_MISSING)


def test_a_server_that_is_busy_is_asked_again(build: Build, tmp_path: Path) -> None:
    busy = iter([None, None, None, Code.SERVICE_UNAVAILABLE, *[None] * 9999])
    with FileServer() as server:
        offer(server, pack(build, 7))
        server.refuse = lambda _: next(busy)
        with device(build, tmp_path / "flash", server):
            server.wait_for(lambda content: content[3] == 7)
    offsets = [m.opt.block2.block_number for m in server.requests if m.opt.uri_path == ("model.bin",)]
    assert offsets == sorted(offsets)  # it went on where it was
    assert len(offsets) == len(set(offsets)) + 1


def test_a_trigger(build: Build, tmp_path: Path) -> None:
    packed = pack(build, 7)
    with (
        FileServer({"m": packed.envelope, **packed.payloads}) as server,
        device(build, tmp_path / "flash", None) as running,
        DeviceClient.open(running.address) as client,
    ):
        client.post("suit/trigger", f"{server.uri}/m".encode())
        wait_until(lambda: UpdateClient(client).state().sequence == 7)
        for uri in (b"coaps://h/", b"http://h", b"coap://" + b"h" * 200):
            with pytest.raises(DeviceError, match="unsupported"):
                client.post("suit/trigger", uri)
        assert mismatches(client, 2) == 0
    assert server.checkins == []


def test_one_pull_at_a_time(build: Build, tmp_path: Path) -> None:
    with FileServer() as server:
        server.refuse = lambda _: Code.SERVICE_UNAVAILABLE
        with device(build, tmp_path / "flash", None) as running, DeviceClient.open(running.address) as client:
            client.post("suit/trigger", f"{server.uri}/m".encode())
            with pytest.raises(DeviceError, match="busy"):
                client.post("suit/trigger", f"{server.uri}/m".encode())


def test_a_download_goes_on_after_a_reset(build: Build, tmp_path: Path) -> None:
    """The server falls silent in the middle, and the device is killed: it fetches the rest alone."""
    content = long_capsule(2000)
    silent_from = 20 * 1024
    with FileServer() as server:
        offer(server, pack(build, 7, content))
        server.refuse = lambda m: (
            Code.SERVICE_UNAVAILABLE if m.opt.block2 and m.opt.block2.start >= silent_from else None
        )
        with device(build, tmp_path / "flash", server):
            wait_until(lambda: any(server.refuse(m) for m in list(server.requests)))
        before = len(server.requests)
        server.refuse = lambda _: None
        with device(build, tmp_path / "flash", server):
            server.wait_for(lambda content: content[3] == 7)
    again = [m.opt.block2.start for m in server.requests[before:] if m.opt.uri_path == ("model.bin",)]
    assert again[0] == 0  # it must begin as what is stored does
    assert 0 < silent_from - again[1] <= 4096  # the last erase unit is begun anew
    assert again[1:] == list(range(again[1], len(content), 1024))


def test_a_payload_that_changes_is_begun_anew(build: Build, tmp_path: Path) -> None:
    content = long_capsule(2000)
    with FileServer() as server:
        packed = pack(build, 7, content)
        offer(server, packed)
        server.files["model.bin"] = bytes(len(content))
        changed_at = 30 * 1024

        def change(message: Any) -> None:
            if message.opt.block2 is not None and message.opt.block2.start >= changed_at:
                server.files["model.bin"] = content

        server.refuse = change
        with device(build, tmp_path / "flash", server):
            server.wait_for(lambda content: content[3] == 7)


def test_check_ins_as_often_as_the_server_says(build: Build, tmp_path: Path) -> None:
    with FileServer() as server:
        server.answer = lambda _: {2: 1}
        with device(build, tmp_path / "flash", server):
            time.sleep(3.5)
    assert 3 <= len(server.checkins) <= 5


def test_an_inference_that_was_left_alone_holds_nothing_up(build: Build, tmp_path: Path) -> None:
    """Nobody asks for anything any more: a new model is tried nevertheless, and the server hears of it."""
    with FileServer() as server:
        server.answer = lambda _: {2: 3600}
        with device(build, tmp_path / "flash", server) as running:
            server.wait_for(lambda _: True)
            begun = request(POST, "infer", 1, block1=(0, True, 0), payload=bytes(16))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(10)
                client.connect(("127.0.0.1", running.port))
                client.send(begun.encode())
                assert aiocoap.Message.decode(client.recv(2048)).code == Code.CONTINUE
                packed = pack(build, 7)
                server.files |= {"manifest": packed.envelope, **packed.payloads}
                client.send(request(POST, "suit/trigger", 2, payload=b"/manifest").encode())
                assert aiocoap.Message.decode(client.recv(2048)).code == Code.CHANGED
            server.wait_for(lambda content: content[3] == 7)


@pytest.mark.parametrize(
    "answer",
    [b"", b"\xff", b"\xa1\x01", b"\xa0" * 200, cbor2.dumps({1: 5}), cbor2.dumps({1: "http://h/"}), b"\xbf\xff"],
)
def test_strange_answers_to_a_check_in(build: Build, tmp_path: Path, answer: bytes) -> None:
    with FileServer() as server:
        server.answer = lambda _: {2: 3600}
        original = cbor2.dumps
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.support.coap_server.cbor2.dumps", lambda value: answer if value else original(value))
            with device(build, tmp_path / "flash", server) as running:
                server.wait_for(lambda _: True)
                with DeviceClient.open(running.address) as client:
                    assert client.info().model == "digits"
    assert len(server.checkins) >= 1


def wait_until(condition: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)
