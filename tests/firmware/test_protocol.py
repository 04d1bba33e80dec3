"""The device's side of the protocol, message by message, in a sanitized host process with the fake model: the host's
firmware, and RIOT's module for serial lines on a stand-in for RIOT."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiocoap
import cbor2
import pytest
from aiocoap import ACK, CON, GET, NON, POST, PUT, RST
from aiocoap.numbers.codes import Code

from tests.support.firmware import build_fake
from tests.support.line import Line, Message, request
from tests.support.riot_modules import build_line
from tinyops.device.board import find_board
from tinyops.device.link.slipmux import encode_coap, encode_text

INPUT = bytes(range(250)) * 6 + struct.pack("<ii", 1, 1)
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module", params=["host", "riot", "riot-uart"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fake")
    if request.param == "host":
        return build_fake(find_board("host"), folder, flags=SANITIZED)
    return build_line(folder / request.param, uart=request.param == "riot-uart")


@pytest.fixture
def line(program: Path) -> Iterator[Line]:
    with Line(program) as opened:
        yield opened


def one(messages: list[Message]) -> Message:
    assert len(messages) == 1, messages
    return messages[0]


def blocks(data: bytes, size: int) -> list[tuple[int, bool, bytes]]:
    return [(n, (n + 1) * size < len(data), data[n * size : (n + 1) * size]) for n in range(-(-len(data) // size))]


def upload(line: Line, mid: int, *, szx: int = 6, data: bytes = INPUT, **options: Any) -> list[Message]:
    """Send inputs in blocks; the answers to the last one."""
    for number, more, part in blocks(data, 16 << szx):
        answers = line.exchange(
            request(POST, "infer", mid + number, block1=(number, more, szx), payload=part, **options)
        )
        if more:
            assert (one(answers).code, answers[0].opt.block1) == (Code.CONTINUE, (number, True, szx))
    return answers


def output(invocation: int, data: bytes = INPUT) -> bytes:
    total = sum(struct.unpack("<ii", data[1500:]))
    return bytes((value + invocation) & 255 for value in data[:1500]) + struct.pack("<ii", total, invocation)


def download(line: Line, mid: int, path: str, code: Code, first: Message) -> bytes:
    """The whole body, of whose answer `first` is the first block."""
    body, block2 = first.payload, first.opt.block2
    while block2 is not None and block2.more:
        mid += 1
        follow = request(code, path, mid, block2=(block2.block_number + 1, False, block2.size_exponent))
        answer = one(line.exchange(follow))
        assert answer.opt.block2.block_number == block2.block_number + 1
        body += answer.payload
        block2 = answer.opt.block2
    return bytes(body)


def test_greeting(line: Line) -> None:
    assert line.send(b"") == []
    assert line.texts[0].startswith("tinyops ")
    assert line.texts[0].endswith("model fake, 3040 B arena\n")


@pytest.mark.parametrize("szx", range(7))
def test_info_in_blocks_of_any_size(line: Line, szx: int) -> None:
    first = one(line.exchange(request(GET, "info", block2=(0, False, szx))))
    assert (first.mtype, first.code, first.mid, first.token) == (ACK, Code.CONTENT, 1, b"t")
    body = download(line, 1, "info", GET, first)
    assert first.opt.size2 == (len(body) if len(body) > 16 << szx else None)
    info = cbor2.loads(body)
    assert info["model"] == "fake"
    assert (info["arena_bytes"], info["state_bytes"], info["block_bytes"], info["protocol"]) == (3040, 4, 1024, 1)
    assert info["digest"][:5] == b"\xc0\xdb\xdc\xdd\x0a"
    assert info["inputs"][0] == {
        "name": "a",
        "dtype": "int8",
        "shape": [1, 1500],
        "scale": 0.5,
        "zero_point": -3,
        "bytes": 1500,
    }
    assert info["outputs"][1]["name"] == "total"
    assert [op for _, op in info["layers"]] == ["ADD", "CUSTOM", "NONE", "ADD"]
    for keys in (list(info), list(info["inputs"][0])):
        assert keys == sorted(keys, key=lambda key: (len(key), key)), "not in the order of deterministic CBOR"


@pytest.mark.parametrize("szx", range(7))
def test_infer_in_blocks_of_any_size(line: Line, szx: int) -> None:
    ack, response = upload(line, 1, szx=szx, block2=(0, False, szx))
    last = -(-len(INPUT) // (16 << szx))
    assert (ack.mtype, ack.code, ack.mid) == (ACK, Code.EMPTY, last)
    assert (response.mtype, response.code, response.token) == (CON, Code.CHANGED, b"t")
    assert response.opt.block1 == (last - 1, False, szx)
    assert response.opt.content_format == 42
    assert download(line, last, "infer", POST, response) == output(7)


def test_state_is_carried_and_reset(program: Path, line: Line) -> None:
    for step, invocation in enumerate((7, 8, 9)):
        assert download(line, 10, "infer", POST, upload(line, 100 * step)[1]) == output(invocation)
    assert download(line, 400, "infer", POST, upload(line, 300, uri_query=("reset=1",))[1]) == output(7)
    assert one(line.exchange(request(POST, "reset", 500))).code == Code.CHANGED
    assert download(line, 700, "infer", POST, upload(line, 600, uri_query=("profile=1", "reset=0"))[1]) == output(7)
    profile = cbor2.loads(one(line.exchange(request(GET, "profile", 800))).payload)
    stack = profile.pop("stack_bytes_used")
    assert 0 < stack < 100_000 if program.name.startswith("riot") else stack == 0
    assert profile == {"kind": "none", "layers": [], "invocation": None, "frames_dropped": 0}


def test_a_repeated_request_runs_nothing_twice(line: Line) -> None:
    message = request(POST, "infer", 2, block1=(1, False, 6), payload=INPUT[1024:])
    line.exchange(request(POST, "infer", 1, block1=(0, True, 6), payload=INPUT[:1024]))
    ack, response = line.exchange(message)
    again_ack, again = line.exchange(message)  # the response was not acknowledged: it comes again
    assert again_ack.raw == ack.raw
    assert again.raw == response.raw
    assert line.exchange(aiocoap.Message(code=Code.EMPTY, _mtype=ACK, _mid=response.mid)) == []
    assert one(line.exchange(message)).raw == ack.raw  # the acknowledged one comes no more
    other = request(GET, "info", 3)
    assert one(line.exchange(other)).raw == one(line.exchange(other)).raw
    assert download(line, 9, "infer", POST, upload(line, 20)[1]) == output(8)


def test_a_repeated_block_is_stored_once(line: Line) -> None:
    first = request(POST, "infer", 1, block1=(0, True, 6), payload=INPUT[:1024])
    assert one(line.exchange(first)).raw == one(line.exchange(first)).raw
    _, response = line.exchange(request(POST, "infer", 2, block1=(1, False, 6), payload=INPUT[1024:]))
    assert download(line, 3, "infer", POST, response) == output(7)


def test_an_unacknowledged_response_comes_again_on_a_ping(line: Line) -> None:
    _, response = upload(line, 1)
    ping = aiocoap.Message(code=Code.EMPTY, _mtype=CON, _mid=77)
    reset, again = line.exchange(ping)
    assert (reset.mtype, reset.mid) == (RST, 77)
    assert again.raw == response.raw
    line.exchange(aiocoap.Message(code=Code.EMPTY, _mtype=RST, _mid=response.mid ^ 1))  # of another message
    assert len(line.exchange(ping)) == 2
    line.exchange(aiocoap.Message(code=Code.EMPTY, _mtype=ACK, _mid=response.mid))
    assert one(line.exchange(ping)).mtype is RST


def test_non_confirmable_requests(line: Line) -> None:
    answer = one(line.exchange(request(GET, "profile", 1, mtype=NON)))
    assert (answer.mtype, answer.code) == (NON, Code.CONTENT)
    line.exchange(request(POST, "infer", 2, mtype=NON, block1=(0, True, 6), payload=INPUT[:1024]))
    last = request(POST, "infer", 3, mtype=NON, block1=(1, False, 6), payload=INPUT[1024:])
    assert one(line.exchange(last)).mtype is NON
    assert line.exchange(last) == []  # a duplicate


REFUSED = {
    "unknown path": (request(GET, "nothing"), Code.NOT_FOUND),
    "longer path": (request(GET, "info/more"), Code.NOT_FOUND),
    "path of a prefix": (request(GET, "inf"), Code.NOT_FOUND),
    "wrong method": (request(POST, "info"), Code.METHOD_NOT_ALLOWED),
    "unknown method": (request(PUT, "infer", payload=INPUT[:9]), Code.METHOD_NOT_ALLOWED),
    "content format": (request(POST, "infer", payload=b"x", content_format=0), Code.UNSUPPORTED_CONTENT_FORMAT),
    "accept": (request(GET, "info", accept=40), Code.NOT_ACCEPTABLE),
    "accept of infer": (request(POST, "infer", payload=b"x", accept=60), Code.NOT_ACCEPTABLE),
    "critical option": (request(GET, "info", if_match=[b"1"]), Code.BAD_OPTION),
    "block behind the end": (request(GET, "info", block2=(99, False, 6)), Code.BAD_REQUEST),
    "reserved block size": (request(GET, "info", block2=(0, False, 7)), Code.BAD_REQUEST),
    "unknown query": (request(POST, "infer", payload=INPUT[:9], uri_query=("rest=1",)), Code.BAD_REQUEST),
    "query where none is": (request(GET, "info", uri_query=("reset=1",)), Code.BAD_REQUEST),
    "too many queries": (request(POST, "infer", uri_query=("reset=1",) * 5), Code.BAD_OPTION),
    "payload of a reset": (request(POST, "reset", payload=b"1"), Code.BAD_REQUEST),
    "block out of sequence": (
        request(POST, "infer", block1=(1, True, 6), payload=bytes(1024)),
        Code.REQUEST_ENTITY_INCOMPLETE,
    ),
    "no outputs to continue": (request(POST, "infer", block2=(1, False, 6)), Code.REQUEST_ENTITY_INCOMPLETE),
    "short block": (request(POST, "infer", block1=(0, True, 6), payload=bytes(1000)), Code.BAD_REQUEST),
    "long block": (request(POST, "infer", block1=(0, False, 0), payload=bytes(17)), Code.BAD_REQUEST),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(line: Line, case: str) -> None:
    message, code = REFUSED[case]
    answer = one(line.exchange(message))
    assert (answer.mtype, answer.mid, answer.token, answer.code) == (ACK, 1, b"t", code)
    assert answer.payload.decode().isprintable()
    assert answer.payload


@pytest.mark.parametrize("given", [0, 1, 1000, 1024])
def test_wrong_length_says_both(line: Line, given: int) -> None:
    answer = one(line.exchange(request(POST, "infer", payload=bytes(given))))
    assert answer.code == Code.BAD_REQUEST
    assert answer.payload.decode() == f"expected 1508 bytes of input, given {given}"


def test_wrong_length_in_blocks(line: Line) -> None:
    for mid, length, code, text in (
        (100, 1507, Code.BAD_REQUEST, "expected 1508 bytes of input, given 1507"),
        (200, 1509, Code.REQUEST_ENTITY_TOO_LARGE, "expected 1508 bytes of input, given at least 1509"),
        (300, 2048, Code.REQUEST_ENTITY_TOO_LARGE, "expected 1508 bytes of input, given at least 2048"),
    ):
        answer = one(upload(line, mid, data=bytes(length)))
        assert (answer.code, answer.payload.decode()) == (code, text)
        assert answer.opt.size1 == (1508 if code == Code.REQUEST_ENTITY_TOO_LARGE else None)
        rest = one(line.exchange(request(POST, "infer", mid + 50, block1=(2, False, 6), payload=b"x")))
        assert rest.code == Code.REQUEST_ENTITY_INCOMPLETE
    declared = request(POST, "infer", 400, block1=(0, True, 6), size1=1 << 30, payload=bytes(1024))
    assert one(line.exchange(declared)).payload.decode().endswith("given 1073741824")


def test_a_block_of_another_transfer_is_out_of_sequence(line: Line) -> None:
    line.exchange(request(POST, "infer", 1, block1=(0, True, 6), payload=INPUT[:1024]))
    other = request(POST, "infer", 2, block1=(1, False, 6), payload=INPUT[1024:], uri_query=("reset=1",))
    assert one(line.exchange(other)).code == Code.REQUEST_ENTITY_INCOMPLETE
    _, response = line.exchange(request(POST, "infer", 3, block1=(1, False, 6), payload=INPUT[1024:]))
    assert response.code == Code.CHANGED


def test_outputs_are_gone_when_new_inputs_come(line: Line) -> None:
    upload(line, 1)
    line.exchange(request(POST, "infer", 11, block1=(0, True, 6), payload=INPUT[:1024]))
    answer = one(line.exchange(request(POST, "infer", 12, block2=(1, False, 6))))
    assert answer.code == Code.REQUEST_ENTITY_INCOMPLETE


MALFORMED = {
    "token of 9 bytes": b"\x49\x01\x12\x34123456789",
    "token of 15 bytes": b"\x4f\x01\x12\x34123456789012345",
    "token behind the end": b"\x48\x01\x12\x34123",
    "option behind the end": b"\x40\x01\x12\x34\xb9inf",
    "reserved delta": b"\x40\x01\x12\x34\xf1i",
    "reserved length": b"\x40\x01\x12\x34\xbfi",
    "extended delta missing": b"\x40\x01\x12\x34\xd0",
    "extended length missing": b"\x40\x01\x12\x34\xbe\x00",
    "option number over 65535": b"\x40\x01\x12\x34\xe0\xff\xff\xe0\xff\xff",
    "marker without payload": b"\x40\x01\x12\x34\xff",
    "empty message with token": b"\x41\x00\x12\x34t",
    "response out of nowhere": b"\x40\x45\x12\x34",
    "reserved class": b"\x40\x20\x12\x34",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_messages_are_reset(line: Line, case: str) -> None:
    raw = MALFORMED[case]
    answer = one(line.send(encode_coap(raw)))
    assert (answer.mtype, answer.code, answer.mid) == (RST, Code.EMPTY, 0x1234)
    assert line.send(encode_coap(bytes([raw[0] | 0x10]) + raw[1:])) == []  # non-confirmable: ignored


@pytest.mark.parametrize("raw", [b"", b"\x40", b"\x40\x01\x12", b"\x80\x01\x12\x34", b"\x00\x00\x00\x00"])
def test_what_is_no_message_is_ignored(line: Line, raw: bytes) -> None:
    assert line.send(encode_coap(raw)) == []


def test_unknown_options(line: Line) -> None:
    elective = b"\x41\x01\x00\x01t\xb4info\xd1\xf2x"  # 11 and 11 + 13 + 242 = 266
    assert one(line.send(encode_coap(elective))).code == Code.CONTENT
    critical = elective.replace(b"\x00\x01t", b"\x00\x02t").replace(b"\xd1\xf2x", b"\xd1\xf3x")
    answer = one(line.send(encode_coap(critical)))
    assert (answer.code, answer.payload) == (Code.BAD_OPTION, b"not understood: option 267")
    repeated = b"\x41\x01\x00\x03t\xb4info\x61\x3c\x01\x3c"  # Accept twice
    assert one(line.send(encode_coap(repeated))).code == Code.BAD_OPTION
    long_uint = b"\x41\x01\x00\x04t\xb4info\x63\x00\x00\x3c"  # Accept of three bytes
    assert one(line.send(encode_coap(long_uint))).code == Code.BAD_OPTION


def test_damaged_frames_are_dropped_and_counted(line: Line) -> None:
    good = encode_coap(request(GET, "info").encode())
    bad = bytearray(good)
    bad[5] ^= 1
    noise = bytes(bad) + b"\xc0\xa9" + bytes(3000) + b"\xc0" + b"\xc0\xa9\xdb\x01\xc0" + b"\xc0\x45ip\xc0" + good[:9]
    assert line.send(noise + b"\xc0") == []
    assert line.send(encode_text(b"text for the device") + b"\xc0\xc0") == []
    assert one(line.send(good)).code == Code.CONTENT
    assert cbor2.loads(one(line.exchange(request(GET, "profile", 2))).payload)["frames_dropped"] == 5
