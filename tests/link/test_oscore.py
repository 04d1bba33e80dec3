"""OSCORE: the vectors of RFC 8613, and the device's code against aiocoap's, both ways."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import aiocoap
import aiocoap.resource
import pytest
from aiocoap import CON, GET, POST, oscore
from aiocoap.numbers.codes import Code
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.optiontypes import OpaqueOption

from tests.support.firmware import compiler
from tests.support.receiver import SANITIZERS, WARNINGS
from tinyops.device.board import find_board
from tinyops.device.crypto import crypto_sources
from tinyops.resources import data_dir

FILES = ("to_aes", "to_cbor", "to_coap", "to_hmac", "to_oscore", "to_sha256", "to_text")

SECRET, SALT, ID_CONTEXT = "0102030405060708090a0b0c0d0e0f10", "9e7ca92223786340", "37cbf3210017a2d3"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/firmware/oscore_tool.c, which the tests speak to line by line."""
    cc = compiler(find_board("host"))
    firmware = data_dir("firmware") / "common"
    crypto = crypto_sources(["aes"])
    folder = tmp_path_factory.mktemp("oscore")
    include = [f"-I{path}" for path in (firmware / "include", *crypto.include_dirs)]
    own = [*(firmware / "src" / f"{name}.c" for name in FILES)]
    own.append(Path(__file__).resolve().parents[1] / "firmware" / "oscore_tool.c")
    objects = []
    for number, path in enumerate((*own, *crypto.sources)):
        flags = crypto.source_cflags if path in crypto.sources else (*WARNINGS, "-DTO_OSCORE")
        objects.append(str(folder / f"{number}.o"))
        command = [cc, *flags, *SANITIZERS, *crypto.cflags, *include, "-c", str(path), "-o", objects[-1]]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
    target = folder / "oscore_tool"
    subprocess.run([cc, *SANITIZERS, *objects, "-o", str(target)], check=True)
    return target


class Tool:
    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _, errors = self._process.communicate(timeout=20)
        assert (self._process.returncode, errors) == (0, "")

    def ask(self, *words: str | bytes | int) -> list[str]:
        text = " ".join(word.hex() or "-" if isinstance(word, bytes) else str(word) for word in words)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline().split()
        assert line, self._process.stderr.read() if self._process.stderr else ""
        return line


@pytest.fixture
def tool(program: Path) -> Iterator[Tool]:
    with Tool(program) as opened:
        yield opened


# Appendix C of RFC 8613: (salt, sender, recipient, id context, sender key, recipient key, common IV)
DERIVATIONS = {
    "C.1.1": (
        *(SALT, "-", "01", "-"),
        *("f0910ed7295e6ad4b54fc793154302ff", "ffb14e093c94c9cac9471648b4f98710", "4622d4dd6d944168eefb54987c"),
    ),
    "C.1.2": (
        *(SALT, "01", "-", "-"),
        *("ffb14e093c94c9cac9471648b4f98710", "f0910ed7295e6ad4b54fc793154302ff", "4622d4dd6d944168eefb54987c"),
    ),
    "C.2.1": (
        *("-", "00", "01", "-"),
        *("321b26943253c7ffb6003b0b64d74041", "e57b5635815177cd679ab4bcec9d7dda", "be35ae297d2dace910c52e99f9"),
    ),
    "C.2.2": (
        *("-", "01", "00", "-"),
        *("e57b5635815177cd679ab4bcec9d7dda", "321b26943253c7ffb6003b0b64d74041", "be35ae297d2dace910c52e99f9"),
    ),
    "C.3.1": (
        *(SALT, "-", "01", ID_CONTEXT),
        *("af2a1300a5e95788b356336eeecd2b92", "e39a0c7c77b43f03b4b39ab9a268699f", "2ca58fb85ff1b81c0b7181b85e"),
    ),
    "C.3.2": (
        *(SALT, "01", "-", ID_CONTEXT),
        *("e39a0c7c77b43f03b4b39ab9a268699f", "af2a1300a5e95788b356336eeecd2b92", "2ca58fb85ff1b81c0b7181b85e"),
    ),
}

#: name -> (client, server, plain request without Uri-Host, protected request)
REQUESTS = {
    "C.4": (
        *("C.1.1", "C.1.2", "44015d1f00003974b3747631"),
        "44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e",
    ),
    "C.5": (
        *("C.2.1", "C.2.2", "440171c30000b932b3747631"),
        "440271c30000b932396c6f63616c686f737463091400ff4ed339a5a379b0b8bc731fffb0",
    ),
    "C.6": (
        *("C.3.1", "C.3.2", "44012f8eef9bbf7ab3747631"),
        "44022f8eef9bbf7a396c6f63616c686f73746b19140837cbf3210017a2d3ff72cd7273fd331ac45cffbe55c3",
    ),
}
HELLO = "64455d1f00003974ff48656c6c6f20576f726c6421"


def start(tool: Tool, name: str, sequence: int = 0) -> list[str]:
    return tool.ask("context", SECRET, *DERIVATIONS[name][:4], sequence)


@pytest.mark.parametrize("name", DERIVATIONS)
def test_key_derivation(tool: Tool, name: str) -> None:
    assert start(tool, name) == list(DERIVATIONS[name][4:])


@pytest.mark.parametrize("name", REQUESTS)
def test_requests(tool: Tool, name: str) -> None:
    client, server, plain, protected = REQUESTS[name]
    start(tool, client, 20)
    sealed = tool.ask("seal-request", plain)[0]
    head, body = protected[:16], protected.split("6c6f63616c686f7374")[1]
    assert sealed == head + "9" + body[1:]  # the same without Uri-Host, which is outside
    start(tool, server)
    assert tool.ask("open-request", protected) == ["ok", "01", "747631", "-"]
    assert tool.ask("open-request", protected) == ["replayed"]


def test_responses(tool: Tool) -> None:
    start(tool, "C.1.2")
    tool.ask("open-request", REQUESTS["C.4"][3])
    response = "64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106"
    assert tool.ask("seal-response", HELLO)[0] == response
    start(tool, "C.1.1", 20)
    tool.ask("seal-request", REQUESTS["C.4"][2])
    assert tool.ask("open-response", response) == ["ok", "45", "-", b"Hello World!".hex()]
    with_piv = "64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e"
    assert tool.ask("open-response", with_piv) == ["ok", "45", "-", b"Hello World!".hex()]


def test_a_response_with_a_nonce_of_its_own(tool: Tool) -> None:
    """C.8: as after a reset, when the request is not known to be fresh."""
    start(tool, "C.1.2")
    tool.ask("forget")
    assert tool.ask("open-request", REQUESTS["C.4"][3]) == ["challenge"]
    sealed = tool.ask("seal-response", HELLO)[0]
    assert sealed == "64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e"


def test_settings_that_are_refused(tool: Tool) -> None:
    for secret, sender, recipient, context in (
        ("-", "01", "02", "-"),
        (SECRET, "01", "01", "-"),
        (SECRET, "-", "-", "-"),
        (SECRET, "00" * 8, "01", "-"),
        (SECRET, "01", "00" * 8, "-"),
        (SECRET, "01", "02", "00" * 9),
    ):
        assert tool.ask("context", secret, SALT, sender, recipient, context, 0) == ["refused"]


def test_sequence_numbers_are_reserved_before_they_are_used_and_end(tool: Tool) -> None:
    start(tool, "C.1.1", 100)
    for number in range(130):
        _, next_, stored = tool.ask("seal-request", "4401000100b3747631"[:16] + "b3747631")
        assert int(next_) == 101 + number <= int(stored) <= int(next_) + 64
    start(tool, "C.1.1", (1 << 40) - 65)
    for _ in range(64):
        assert len(tool.ask("seal-request", REQUESTS["C.4"][2])) == 3
    assert tool.ask("seal-request", REQUESTS["C.4"][2]) == ["refused"]
    assert tool.ask("context", SECRET, SALT, "-", "01", "-", 1 << 40) == ["refused"]


# aiocoap


class Side(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):  # type: ignore[misc]
    """aiocoap's context in memory."""

    def __init__(self, sender: bytes, recipient: bytes, id_context: bytes | None = None) -> None:
        self.alg_aead = oscore.algorithms["AES-CCM-16-64-128"]
        self.hashfun = oscore.hashfunctions["sha256"]
        self.sender_id, self.recipient_id, self.id_context = sender, recipient, id_context
        self.derive_keys(bytes.fromhex(SALT), bytes.fromhex(SECRET))
        self.sender_sequence_number = 0
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        self.recipient_replay_window.initialize_empty()
        self.echo_recovery = None

    def post_seqnoincrease(self) -> None: ...


def message(code: Code, payload: bytes, mid: int = 7, **options: Any) -> Any:
    made = aiocoap.Message(code=code, payload=payload, _mtype=CON, _mid=mid, _token=b"tok")
    for name, value in options.items():
        setattr(made.opt, name, value)
    return made


def wire(made: Any, mid: int = 7) -> bytes:
    made.mtype, made.mid, made.token = CON, mid, b"tok"
    raw: bytes = made.encode()
    return raw


@pytest.mark.parametrize("id_context", [None, b"", b"ctx"])
@pytest.mark.parametrize("ids", [(b"\x00", b"\x01"), (b"", b"device"), (b"1234567", b"")])
@pytest.mark.parametrize("size", [0, 1, 12, 300, 1024])
def test_aiocoap_asks(tool: Tool, ids: tuple[bytes, bytes], id_context: bytes | None, size: int) -> None:
    theirs, ours = ids
    peer = Side(theirs, ours, id_context)
    context = "-" if id_context is None else id_context.hex() or "."
    tool.ask("context", SECRET, SALT, ours, theirs, context, 0)
    payload = random.Random(size).randbytes(size)
    for number in range(3):
        asked = message(POST, payload, uri_path=("infer",), uri_query=("reset=1",), block1=(number, True, 6))
        protected, binding = peer.protect(asked)
        assert tool.ask("open-request", wire(protected)) == ["ok", "02", b"infer".hex(), payload.hex() or "-"]
        sealed = bytes.fromhex(tool.ask("seal-response", wire(message(Code.CHANGED, payload, etag=b"e")))[0])
        opened, _ = peer.unprotect(aiocoap.Message.decode(sealed), binding)
        assert (opened.code, opened.payload, opened.opt.etag) == (Code.CHANGED, payload, b"e")


@pytest.mark.parametrize("id_context", [None, b"", b"ctx"])
@pytest.mark.parametrize("ids", [(b"\x00", b"\x01"), (b"", b"device"), (b"1234567", b"")])
@pytest.mark.parametrize("size", [0, 1, 300, 1000])
def test_aiocoap_answers(tool: Tool, ids: tuple[bytes, bytes], id_context: bytes | None, size: int) -> None:
    theirs, ours = ids
    peer = Side(theirs, ours, id_context)
    context = "-" if id_context is None else id_context.hex() or "."
    tool.ask("context", SECRET, SALT, ours, theirs, context, 250)
    payload = random.Random(size).randbytes(size)
    for _ in range(10):  # across 255, where the Partial IV gets longer
        sealed = bytes.fromhex(tool.ask("seal-request", wire(message(POST, payload, uri_path=("checkin",))))[0])
        opened, binding = peer.unprotect(aiocoap.Message.decode(sealed))
        assert (opened.code, opened.payload, opened.opt.uri_path) == (POST, payload, ("checkin",))
        protected, _ = peer.protect(message(Code.CHANGED, payload), binding)
        assert tool.ask("open-response", wire(protected)) == ["ok", "44", "-", payload.hex() or "-"]


def test_the_replay_window(tool: Tool) -> None:
    peer = Side(b"\x00", b"\x01")
    tool.ask("context", SECRET, SALT, "01", "00", "-", 0)
    sent = [wire(peer.protect(message(GET, b"", uri_path=("info",)))[0]) for _ in range(200)]
    seen: set[int] = set()
    highest = -1
    chance = random.Random(1)
    for _ in range(1500):
        number = max(0, min(199, highest + chance.randrange(-40, 6)))
        fresh = number not in seen and (number > highest or highest - number < 32)
        assert tool.ask("open-request", sent[number])[0] == ("ok" if fresh else "replayed"), (number, highest)
        if fresh:
            seen.add(number)
            highest = max(highest, number)
    assert highest > 150


def test_whatever_is_changed_is_noticed(tool: Tool) -> None:
    peer = Side(b"\x00", b"\x01", b"c")
    tool.ask("context", SECRET, SALT, "01", "00", b"c", 0)
    good = wire(peer.protect(message(POST, b"payload", uri_path=("reset",)))[0])
    results = set()
    for bit in range(8 * 7, 8 * len(good)):  # type, id and token are not protected
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        results.add(tool.ask("open-request", bytes(damaged))[0])
    assert results <= {"no-context", "replayed", "malformed", "decrypt", "not-coap"}
    assert {"decrypt", "malformed", "no-context"} <= results
    for length in range(len(good)):
        assert tool.ask("open-request", good[:length] or b"\x00")[0] != "ok"
    assert tool.ask("open-request", good)[0] == "ok"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        "09",
        "0914",
        "e914",
        "0600000000000000",
        "0f0102030405060708",
        "0a0014",
        "19",
        "1914",
        "19140901",
        "0114",
    ],
)
def test_malformed_options(tool: Tool, value: str) -> None:
    tool.ask("context", SECRET, SALT, "01", "-", "-", 0)
    option = bytes.fromhex(value)
    raw = b"\x40\x02\x00\x01" + bytes([0x90 | len(option)]) + option + b"\xff" + bytes(20)
    assert tool.ask("open-request", raw)[0] in ("malformed", "no-context", "decrypt")


def test_a_message_inside_that_is_none(tool: Tool) -> None:
    """Authentic, but no request: what a faulty peer could send."""
    peer = Side(b"\x00", b"\x01")
    tool.ask("context", SECRET, SALT, "01", "00", "-", 0)
    double = message(GET, b"", uri_path=("info",))
    double.opt.add_option(OpaqueOption(OptionNumber(9), b"\x09\x00"))
    assert tool.ask("open-request", wire(peer.protect(double)[0]))[0] == "decrypt"
    request = wire(peer.protect(message(GET, b"", uri_path=("info",)))[0])
    assert tool.ask("open-request", request)[0] == "ok"
