"""DeviceClient: over every kind of line, over a bad line, and against a hostile device."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import pty
import random
import socket
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiocoap
import cbor2
import numpy as np
import pytest
from aiocoap.numbers.codes import Code

from tests.support.firmware import build_fake
from tinyops.device import client as client_module
from tinyops.device.board import find_board
from tinyops.device.client import DeviceClient
from tinyops.device.link.profile import LINKS
from tinyops.device.link.slipmux import Decoder, Kind, encode_coap, encode_text
from tinyops.device.link.stream import Connect, Receiver, Stream, open_address, pipe_stream
from tinyops.errors import DeviceError, UsageError

A = (np.arange(1500) % 251 - 125).astype(np.int8)[None]
LOOPS = np.array([1, 1], np.int32)
QUICK = dataclasses.replace(LINKS["serial"], ack_timeout=0.05, max_retransmit=8)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_fake(find_board("host"), tmp_path_factory.mktemp("fake"))


@contextmanager
def process(
    program: Path, stdin: Any = subprocess.PIPE, stdout: Any = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([str(program)], stdin=stdin, stdout=stdout, bufsize=0) as started:
        try:
            yield started
        finally:
            started.kill()


def check_steps(client: DeviceClient, steps: int = 3) -> None:
    client.reset()
    for step in range(steps):
        total, count = client.infer([A, LOOPS])[1].tolist()
        assert (total, count) == (2, 7 + step)


def test_over_a_pty(program: Path) -> None:
    leader, follower = pty.openpty()
    tty.setraw(follower)
    try:
        with process(program, leader, leader), DeviceClient.open(os.ttyname(follower)) as client:
            assert client.info().model == "fake"
            check_steps(client)
    finally:
        os.close(leader)
        os.close(follower)


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_over_a_socket(family: str, program: Path, tmp_path: Path) -> None:
    address = ("127.0.0.1", 0) if family == "tcp" else os.path.relpath(tmp_path / "s")
    with socket.socket(socket.AF_INET if family == "tcp" else socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(1)
        name = f"tcp://127.0.0.1:{listener.getsockname()[1]}" if family == "tcp" else f"unix:{address}"
        with DeviceClient.open(name) as client:
            accepted, _ = listener.accept()
            with accepted, process(program, accepted.fileno(), accepted.fileno()):
                check_steps(client)


def test_info(program: Path) -> None:
    with process(program) as device, DeviceClient(pipe_stream(device.stdout, device.stdin)) as client:  # type: ignore[arg-type]
        info = client.info()
        assert [(t.name, t.dtype, t.shape, t.bytes) for t in info.inputs] == [
            ("a", "int8", (1, 1500), 1500),
            ("loops", "int32", (2,), 8),
        ]
        assert (info.inputs[0].scale, info.inputs[0].zero_point) == (0.5, -3)
        assert info.digest[0] == 0xC0
        assert client.console_text.startswith("tinyops ")
        unsigned, wide = A.astype(np.uint8), LOOPS.astype(np.int64)
        wrongs: list[list[Any]] = [[A], [A, LOOPS, LOOPS], [A[0], LOOPS], [unsigned, LOOPS], [A, wide]]
        for wrong in wrongs:
            with pytest.raises(DeviceError):
                client.infer(wrong)
    with pytest.raises(DeviceError, match="closed"):
        client.reset()


# A bad line


class BadLine:
    """Loses, repeats or damages frames on their way in both directions."""

    def __init__(self, connect: Connect, spoil: Callable[[str, bytes], list[bytes]]) -> None:
        self.connect = connect
        self.spoil = spoil
        self.decoder = Decoder()

    async def __call__(self, receiver: Receiver) -> Stream:
        self.receiver = receiver
        self.stream = await self.connect(self)
        return self

    def write(self, data: bytes) -> None:
        for part in self.spoil("out", data):
            self.stream.write(part)

    def close(self) -> None:
        self.stream.close()

    def received(self, data: bytes) -> None:
        for frame in self.decoder.feed(data):
            encode = encode_coap if frame.kind is Kind.COAP else encode_text
            for part in self.spoil("in", encode(frame.content)):
                self.receiver.received(part)

    def ended(self, reason: str) -> None:
        self.receiver.ended(reason)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_PING_SECONDS", 0.1)


def damaged(frame: bytes, position: int) -> bytes:
    position = 2 + position % (len(frame) - 3)
    byte = frame[position] ^ 0x01
    return frame[:position] + bytes([byte]) + frame[position + 1 :]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("direction", ["in", "out"])
@pytest.mark.parametrize("fault", ["lose", "repeat", "damage"])
@pytest.mark.parametrize("nth", range(4))
def test_each_frame_of_an_invocation_may_be_spoiled(program: Path, direction: str, fault: str, nth: int) -> None:
    """Frame `nth` of the second invocation: whatever happens to it, the model runs exactly once."""
    counting = False
    seen = 0

    def spoil(way: str, frame: bytes) -> list[bytes]:
        nonlocal seen
        if not counting or way != direction:
            return [frame]
        seen += 1
        if seen != nth + 1:
            return [frame]
        return {"lose": [], "repeat": [frame, frame], "damage": [damaged(frame, 5)]}[fault]

    with process(program) as device:
        line = BadLine(pipe_stream(device.stdout, device.stdin), spoil)  # type: ignore[arg-type]
        with DeviceClient(line, link=QUICK) as client:
            assert client.infer([A, LOOPS])[1].tolist() == [2, 7]
            counting = True
            sums, total = client.infer([A, LOOPS])
            counting = False
            assert total.tolist() == [2, 8]
            assert np.array_equal(sums, A + np.int8(8))
            assert client.infer([A, LOOPS])[1].tolist() == [2, 9]
    assert seen > nth


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("seed", range(3))
def test_a_line_that_spoils_one_frame_in_ten(program: Path, seed: int) -> None:
    chance = random.Random(seed)

    def spoil(way: str, frame: bytes) -> list[bytes]:
        fate = chance.random()
        if fate < 0.04:
            return []
        if fate < 0.07:
            return [frame, frame]
        return [damaged(frame, chance.randrange(4096))] if fate < 0.1 else [frame]

    with process(program) as device:
        line = BadLine(pipe_stream(device.stdout, device.stdin), spoil)  # type: ignore[arg-type]
        with DeviceClient(line, link=QUICK) as client:
            check_steps(client, 25)


# A hostile device

Answer = Callable[[Any], list[bytes]]


class FakeDevice:
    """Answers each request with the frames that a function makes of it."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.decoder = Decoder()
        self.sent = 0

    async def __call__(self, receiver: Receiver) -> Stream:
        self.receiver = receiver
        self.loop = asyncio.get_running_loop()
        return self

    def write(self, data: bytes) -> None:
        for frame in self.decoder.feed(data):
            message = aiocoap.Message.decode(frame.content)
            if message.code.is_request():
                for raw in self.answer(message):
                    self.sent += len(raw)
                    self.loop.call_soon(self.receiver.received, raw)

    def close(self) -> None: ...


def respond(message: Any, payload: bytes, code: Any = Code.CONTENT, **options: Any) -> list[bytes]:
    answer = aiocoap.Message(code=code, payload=payload, _mtype=aiocoap.ACK, _mid=message.mid, _token=message.token)
    for name, value in options.items():
        setattr(answer.opt, name, value)
    return [encode_coap(answer.encode())]


TENSOR = {"name": "x", "dtype": "int8", "shape": [2], "scale": 1.0, "zero_point": 0, "bytes": 2}
INFO = {
    "protocol": 1,
    "version": "1",
    "model": "m",
    "digest": bytes(32),
    "arena_bytes": 1,
    "state_bytes": 0,
    "block_bytes": 1024,
    "counter": "none",
    "inputs": [TENSOR],
    "outputs": [TENSOR],
    "layers": [["l", "ADD"]],
}

FRONT_END = {"kind": "imu", "dtype": "int16", "shape": [3], "first_bytes": 24, "next_bytes": 12}


def serve(payload: bytes) -> DeviceClient:
    return DeviceClient(FakeDevice(lambda message: respond(message, payload)))


def test_the_fake_device_is_understood() -> None:
    with serve(cbor2.dumps(INFO)) as client:
        assert client.info().layers == (("l", "ADD"),)


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in INFO.items() if name != key}


BAD_INFO = {
    "not CBOR": b"\xff\xff",
    "nothing": b"",
    "truncated": cbor2.dumps(INFO)[:-1],
    "trailing bytes": cbor2.dumps(INFO) + b"\x00",
    "an array": cbor2.dumps([1]),
    "a length of 2^64 - 1": b"\x5b" + b"\xff" * 8,
    "deep nesting": b"\x81" * 900 + b"\x00",
    "a broken tag": b"\xc0\x63abc",
    "another protocol": cbor2.dumps(INFO | {"protocol": 2}),
    "no protocol": cbor2.dumps(without("protocol")),
    "a key missing": cbor2.dumps(without("digest")),
    "a key too many": cbor2.dumps(INFO | {"more": 1}),
    "a short digest": cbor2.dumps(INFO | {"digest": b"1"}),
    "a text for a number": cbor2.dumps(INFO | {"arena_bytes": "1"}),
    "a bool for a number": cbor2.dumps(INFO | {"arena_bytes": True}),
    "a negative size": cbor2.dumps(INFO | {"arena_bytes": -1}),
    "no inputs": cbor2.dumps(INFO | {"inputs": []}),
    "sizes that disagree": cbor2.dumps(INFO | {"inputs": [TENSOR | {"bytes": 3}]}),
    "a huge tensor": cbor2.dumps(INFO | {"outputs": [TENSOR | {"shape": [65535] * 8}]}),
    "an unknown dtype": cbor2.dumps(INFO | {"inputs": [TENSOR | {"dtype": "object"}]}),
    "a scale that is no number": cbor2.dumps(INFO | {"inputs": [TENSOR | {"scale": float("nan")}]}),
    "a layer of one text": cbor2.dumps(INFO | {"layers": [["l"]]}),
    "an unknown counter": cbor2.dumps(INFO | {"counter": "cycles"}),
    "a front end that is no map": cbor2.dumps(INFO | {"features": [1]}),
    "a front end without a key": cbor2.dumps(INFO | {"features": {k: FRONT_END[k] for k in list(FRONT_END)[1:]}}),
    "a front end of an unknown dtype": cbor2.dumps(INFO | {"features": FRONT_END | {"dtype": "float64"}}),
    "a front end without a shape": cbor2.dumps(INFO | {"features": FRONT_END | {"shape": []}}),
    "steps of nothing": cbor2.dumps(INFO | {"features": FRONT_END | {"shape": [0]}}),
    "part of a step": cbor2.dumps(INFO | {"features": FRONT_END | {"next_bytes": 13}}),
    "inferences of nothing": cbor2.dumps(INFO | {"features": FRONT_END | {"first_bytes": 0}}),
    "a huge step": cbor2.dumps(INFO | {"features": FRONT_END | {"shape": [1 << 23] * 8}}),
}


@pytest.mark.parametrize("case", BAD_INFO)
def test_bad_info_is_refused(case: str) -> None:
    with serve(BAD_INFO[case]) as client, pytest.raises(DeviceError, match=r"malformed|protocol version") as caught:
        client.info()
    assert "/info" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_front_end_is_understood() -> None:
    with serve(cbor2.dumps(INFO | {"features": FRONT_END})) as client:
        features = client.info().features
        assert features is not None
        assert (features.kind, features.shape, features.step_bytes) == ("imu", (3,), 6)
        assert [features.steps(first=True), features.steps(first=False)] == [4, 2]


def test_an_answer_without_end_is_cut_off() -> None:
    def answer(message: Any) -> list[bytes]:
        number = message.opt.block2.block_number if message.opt.block2 else 0
        return respond(message, bytes(1024), block2=(number, True, 6))

    device = FakeDevice(answer)
    with DeviceClient(device) as client, pytest.raises(DeviceError, match="more than it has to answer"):
        client.info()
    assert device.sent < 2 << 20


def test_an_answer_of_another_length() -> None:
    def answer(message: Any) -> list[bytes]:
        return respond(message, cbor2.dumps(INFO) if message.opt.uri_path == ("info",) else b"123", Code.CHANGED)

    with DeviceClient(FakeDevice(answer)) as client, pytest.raises(DeviceError, match="answered 3 bytes"):
        client.infer([np.zeros(2, np.int8)])


def test_an_error_of_the_device_is_shown() -> None:
    device = FakeDevice(lambda message: respond(message, b"expected 5", Code.BAD_REQUEST))
    with DeviceClient(device) as client, pytest.raises(DeviceError, match=r"4\.00.*expected 5"):
        client.reset()


@pytest.mark.usefixtures("quick")
def test_silence_ends_in_an_error() -> None:
    with DeviceClient(FakeDevice(lambda _: []), link=dataclasses.replace(QUICK, answer_seconds=0.3)) as client:
        for _ in range(2):
            start = time.monotonic()
            with pytest.raises(DeviceError, match="no answer") as caught:
                client.reset()
            assert time.monotonic() - start < 3
        assert caught.value.hint


@pytest.mark.usefixtures("quick")
def test_noise_is_survived() -> None:
    chance = random.Random(1)

    def answer(message: Any) -> list[bytes]:
        return [
            b"boot: ok\r\n",
            b"\xc0",
            chance.randbytes(5000),
            b"\xc0",
            encode_coap(b"\x40"),
            *respond(message, b"", Code.CHANGED),
        ]

    with DeviceClient(FakeDevice(answer)) as client:
        client.reset()
        assert "boot: ok" in client.console_text


def test_a_line_that_closes(program: Path) -> None:
    with process(program) as device, DeviceClient(pipe_stream(device.stdout, device.stdin)) as client:  # type: ignore[arg-type]
        client.reset()
        threading.Timer(0.2, device.kill).start()
        start = time.monotonic()
        with pytest.raises(DeviceError, match="connection ended"):  # noqa: PT012
            while time.monotonic() - start < 10:
                client.reset()
        assert time.monotonic() - start < 5
        with pytest.raises(DeviceError, match="connection ended"):
            client.reset()


@pytest.mark.parametrize("address", ["", "tcp://", "tcp://host", "tcp://host:port", "tcp://host:99999"])
def test_bad_addresses(address: str) -> None:
    with pytest.raises(UsageError):
        open_address(address)


@pytest.mark.parametrize("address", ["/dev/no-such-port", "unix:/no/such/socket", "tcp://127.0.0.1:1"])
def test_nobody_there(address: str) -> None:
    with pytest.raises(DeviceError, match=r"cannot (be opened|connect)") as caught:
        DeviceClient.open(address)
    assert address in str(caught.value)
    assert caught.value.hint
