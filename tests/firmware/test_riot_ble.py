"""tinyops' modules for NimBLE, record by record, in a sanitized process: what no well-behaved central does."""

from __future__ import annotations

import ctypes
import os
import random
import select
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import aiocoap
import cbor2
import pytest
from aiocoap import ACK, GET, POST
from aiocoap.numbers.codes import Code

from tests.support.ble_device import build_ble_device
from tests.support.line import request
from tests.support.updates import SETTINGS, build_updatable
from tinyops.device.link.fragments import Fragmenter, Reassembler
from tinyops.resources import data_dir

SERVICE = bytes.fromhex("b4912a6f5d0e3e9c8e4bf15201000a7c")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ble")
    return build_ble_device(build_updatable("host", folder / "build", SETTINGS, sanitized=True), folder)


class Device:
    """The process; `read` gives records, oldest first."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._data = b""
        self.mtu = 247
        self.identifier = 0
        self.out, self.back = Fragmenter(), Reassembler()

    def put(self, *records: tuple[str, bytes]) -> None:
        assert self.process.stdin is not None
        parts = (kind.encode() + struct.pack("<H", len(content)) + content for kind, content in records)
        self.process.stdin.write(b"".join(parts))
        self.process.stdin.flush()

    def read(self, seconds: float = 10.0) -> tuple[str, bytes] | None:
        """The next record, or None when none comes in time."""
        assert self.process.stdout is not None
        end = time.monotonic() + seconds
        while not self._whole():
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not data:
                return None
            self._data += data
        (length,) = struct.unpack_from("<H", self._data, 1)
        kind, content = chr(self._data[0]), self._data[3 : 3 + length]
        self._data = self._data[3 + length :]
        return kind, content

    def _whole(self) -> bool:
        return len(self._data) >= 3 and len(self._data) >= 3 + struct.unpack_from("<H", self._data, 1)[0]

    def expect(self, kind: str) -> bytes:
        record = self.read()
        assert record is not None, self.stop()
        assert record[0] == kind, record
        return record[1]

    def connect(self, mtu: int = 247, *, subscribed: bool = True) -> None:
        self.mtu = mtu
        self.out, self.back = Fragmenter(), Reassembler()
        self.put(("C", b""), ("M", struct.pack("<H", mtu)), ("S", bytes([subscribed])))

    def message(self, code: Code, path: str, payload: bytes = b"", **options: object) -> bytes:
        self.identifier += 1
        return bytes(request(code, path, self.identifier, payload=payload, **options).encode())

    def writes(self, message: bytes) -> list[tuple[str, bytes]]:
        return [("W", fragment) for fragment in self.out.cut(message, self.mtu - 3)]

    def answer(self) -> aiocoap.Message:
        """What the next notifications are fragments of."""
        while True:
            value = self.expect("N")
            assert len(value) <= self.mtu - 3
            message = self.back.feed(value)
            if message is not None:
                return aiocoap.Message.decode(message)

    def ask(self, code: Code, path: str, payload: bytes = b"", **options: object) -> aiocoap.Message:
        self.put(*self.writes(self.message(code, path, payload, **options)))
        return self.answer()

    def ask_channel(self, code: Code, path: str, **options: object) -> aiocoap.Message:
        """Sent again as CoAP does, since a unit that comes while others wait may be lost."""
        message = self.message(code, path, **options)
        for _ in range(5):
            self.put(("U", message))
            record = self.read(2.0)
            if record is not None:
                assert record[0] == "U", record
                return aiocoap.Message.decode(record[1])
        raise AssertionError(self.stop())

    def stop(self) -> str:
        """End it; what it has said of errors."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.stderr is not None
        text = self.process.stderr.read().decode()
        self.process.wait(10)
        return text


@pytest.fixture
def device(program: Path) -> Iterator[Device]:
    made = Device(program)
    advertised = made.expect("A")
    assert advertised == bytes([17, 7]) + SERVICE
    yield made
    errors = made.stop()
    assert made.process.returncode == 0, errors


def test_a_request(device: Device) -> None:
    device.connect()
    assert device.ask(GET, "info", block2=(0, False, 3)).code == Code.CONTENT
    assert device.ask(POST, "reset").code == Code.CHANGED


@pytest.mark.parametrize("buffers", [3, 4, 16])
def test_notifications_wait_for_buffers(device: Device, buffers: int) -> None:
    """The body of /info is 36 values at the smallest MTU; two buffers are left to what comes in."""
    device.connect(23)
    device.put(("B", bytes([buffers])))
    whole = device.ask(GET, "info", block2=(0, False, 6))
    assert whole.code == Code.CONTENT
    assert len(whole.payload) > 36 * 18
    assert cbor2.loads(whole.payload)["model"] == "digits"


def test_a_message_that_finds_no_buffers_is_lost(device: Device) -> None:
    device.connect()
    device.put(("B", bytes([2])), *device.writes(device.message(POST, "reset")))
    assert device.read(1.0) is None
    device.put(("B", bytes([16])))
    assert device.ask(POST, "reset").code == Code.CHANGED


def test_nobody_has_subscribed(device: Device) -> None:
    device.connect(subscribed=False)
    device.put(*device.writes(device.message(POST, "reset")))
    assert device.read(0.3) is None
    device.put(("S", b"\1"))
    assert device.ask(POST, "reset").code == Code.CHANGED


def test_values_that_are_refused(device: Device) -> None:
    device.put(("W", b"\xc0x"))
    assert device.expect("E") == b"\x0e"  # nobody is connected
    device.connect()
    device.put(("W", bytes(515)))
    assert device.expect("E") == b"\x0d"
    device.put(("R", b""))
    assert device.expect("E") == b"\x0e"
    device.put(("W", b""), *(("W", bytes([0x80 | n]) + bytes(500)) for n in range(9)))
    assert device.ask(POST, "reset").code == Code.CHANGED


def test_more_messages_than_wait(device: Device) -> None:
    """Some are lost; none is damaged."""
    device.connect()
    wanted = {}
    for _ in range(50):
        message = device.message(POST, "reset")
        wanted[device.identifier] = message
        device.put(*device.writes(message))
    answered = set()
    while (record := device.read(0.5)) is not None:
        message = device.back.feed(record[1])
        assert message is not None
        answer = aiocoap.Message.decode(message)
        assert (answer.mtype, answer.code) == (ACK, Code.CHANGED)
        answered.add(answer.mid)
    assert answered <= set(wanted)
    assert len(answered) >= 2
    assert device.ask(POST, "reset").code == Code.CHANGED


def test_an_answer_does_not_reach_the_next_connection(device: Device) -> None:
    for _ in range(20):
        device.connect()
        device.put(*device.writes(device.message(GET, "info", block2=(0, False, 6))), ("D", b""))
        device.connect()
        kinds = []
        while (record := device.read(0.05)) is not None:
            kinds.append(record[0])
        assert "N" not in kinds[kinds.index("A") :]
        assert device.ask(POST, "reset").code == Code.CHANGED
        device.put(("D", b""))
        device.expect("A")


def test_a_channel(device: Device) -> None:
    device.connect(subscribed=False)
    device.put(("O", b""))
    assert device.expect("O") == b"\1"
    assert device.ask_channel(POST, "reset").code == Code.CHANGED
    device.put(("U", bytes(1124)), ("U", b""))
    assert cbor2.loads(device.ask_channel(GET, "info", block2=(0, False, 6)).payload)["model"] == "digits"


def test_one_channel_at_a_time(device: Device) -> None:
    device.connect(subscribed=False)
    device.put(("O", b""))
    assert device.expect("O") == b"\1"
    device.put(("O", b""))
    assert device.expect("O") == b"\0"
    for _ in range(10):  # closed by the channel or with the connection, units that are held included
        device.put(("K", b"\0"), ("U", device.message(POST, "reset")), ("X", b""), ("O", b""))
        assert device.expect("O") == b"\1"
        device.put(("K", b"\0"), ("U", device.message(POST, "reset")), ("D", b""))
        device.expect("A")
        device.connect(subscribed=False)
        device.put(("O", b""))
        assert device.expect("O") == b"\1"
    device.put(("K", b"\1"))
    assert device.ask_channel(POST, "reset").code == Code.CHANGED


def test_a_channel_without_credits(device: Device) -> None:
    device.connect(subscribed=False)
    device.put(("O", b""), ("K", b"\0"))
    assert device.expect("O") == b"\1"
    first, second = device.message(POST, "reset"), device.message(POST, "reset")
    device.put(("U", first), ("U", second))
    assert device.read(0.2) is None
    device.put(("K", b"\1"))
    assert [aiocoap.Message.decode(device.expect("U")).mid for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("stalled", [False, True])
def test_a_message_of_which_only_a_part_has_left(device: Device, stalled: bool) -> None:
    """NimBLE has no memory in the middle of a unit: what follows would be taken for its rest."""
    device.connect(subscribed=False)
    device.put(("O", b""), ("K", bytes([0 if stalled else 2])), ("U", device.message(POST, "reset")))
    assert device.expect("O") == b"\1"
    if stalled:
        assert device.read(0.2) is None
        device.put(("K", b"\2"))
    assert device.expect("X") == b""
    device.put(("X", b""), ("K", b"\1"), ("O", b""))
    assert device.expect("O") == b"\1"
    assert device.ask_channel(POST, "reset").code == Code.CHANGED


def test_noise(device: Device) -> None:
    chance = random.Random(3)
    for _ in range(60):
        device.connect(chance.choice([23, 65, 247, 517]), subscribed=chance.random() < 0.8)
        device.put(("O", b""))
        for _ in range(chance.randrange(20)):
            kind = chance.choice("WWWUURSBK")
            if kind in "SBK":
                device.put((kind, bytes([chance.choice([0, 1, 2] if kind == "K" else [0, 1, 16])])))
            else:
                device.put((kind, chance.randbytes(chance.randrange(0, 60))))
        device.put(("X", b""), ("D", b""))
    device.put(("B", bytes([16])), ("K", b"\1"))
    device.connect()
    while (record := device.read(2.0)) is not None:
        assert record[0] in "ANEOUX"
    assert device.ask(POST, "reset").code == Code.CHANGED


# The code of fragments alone, against that of this computer's side.


class _Fragmenter(ctypes.Structure):
    _fields_ = (
        ("message", ctypes.c_char_p),
        ("length", ctypes.c_size_t),
        ("at", ctypes.c_size_t),
        ("open", ctypes.c_uint8),
        ("number", ctypes.c_uint8),
    )


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    common = data_dir("firmware") / "common"
    library = tmp_path_factory.mktemp("fragments") / "fragments.so"
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-shared", "-fPIC"]
    source = common / "src" / "to_fragments.c"
    subprocess.run([*command, f"-I{common / 'include'}", source, "-o", library], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.to_fragmenter_next.restype = ctypes.c_size_t
    loaded.to_reassembler_feed.restype = ctypes.c_void_p
    return loaded


@pytest.mark.parametrize("size", [2, 20, 62, 244, 514])
def test_both_sides_cut_alike(core: ctypes.CDLL, size: int) -> None:
    chance = random.Random(size)
    ours, theirs = Fragmenter(), _Fragmenter()
    value = ctypes.create_string_buffer(size)
    for length in [0, 1, size - 2, size - 1, size, 2 * size, 1124]:
        message = chance.randbytes(length)
        core.to_fragmenter_begin(ctypes.byref(theirs), message, ctypes.c_size_t(length))
        cut = []
        while count := core.to_fragmenter_next(ctypes.byref(theirs), value, ctypes.c_size_t(size)):
            cut.append(value.raw[:count])
        assert cut == ours.cut(message, size)


def test_both_sides_put_together_alike(core: ctypes.CDLL) -> None:
    """Fragments in order, out of order, repeated, lost, and of nonsense."""
    chance = random.Random(5)
    ours, theirs = Reassembler(), ctypes.create_string_buffer(2048)
    length = ctypes.c_size_t()
    whole = 0
    for _ in range(400):
        fragments = Fragmenter().cut(chance.randbytes(chance.randrange(0, 120)), chance.choice([2, 5, 20]))
        for _ in range(chance.randrange(3)):
            fragments.insert(chance.randrange(len(fragments) + 1), chance.randbytes(chance.randrange(4)))
        if chance.random() < 0.3:
            del fragments[chance.randrange(len(fragments))]
        if chance.random() < 0.1:
            chance.shuffle(fragments)
        for value in fragments:
            at = core.to_reassembler_feed(theirs, value, ctypes.c_size_t(len(value)), ctypes.byref(length))
            got = ctypes.string_at(at, length.value) if at is not None else None
            assert got == ours.feed(value)
            whole += got is not None
    assert whole > 100


def test_a_message_may_have_the_largest_block(core: ctypes.CDLL) -> None:
    theirs, length = ctypes.create_string_buffer(2048), ctypes.c_size_t()

    def feed(message: bytes) -> bool:
        last = None
        for value in Fragmenter().cut(message, 100):
            last = core.to_reassembler_feed(theirs, value, ctypes.c_size_t(len(value)), ctypes.byref(length))
        return last is not None

    assert feed(bytes(1124))
    assert not feed(bytes(1125))
    assert feed(bytes(1124))
