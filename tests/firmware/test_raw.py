"""Raw data through the device's front end, message by message: the fake front end of fake_model.c, sanitized."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest
from aiocoap import GET, POST
from aiocoap.numbers.codes import Code

from tests.firmware.test_protocol import SANITIZED, download, one, output, upload
from tests.support.firmware import build_fake, compiler
from tests.support.line import Line, Message, request
from tinyops.device.board import find_board
from tinyops.device.elf import memory_use

FIRST, NEXT, STEP = 301, 300, 10
RAW = np.random.default_rng(3).integers(-32768, 32768, (FIRST + 3 * NEXT, 5)).astype("<i2")
FRAMES = np.diff(RAW.astype(np.int32), axis=0).astype(np.uint8).reshape(-1, 1500)
PLAIN = bytes(1500) + struct.pack("<ii", 1, 1)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    flags = (*SANITIZED, "-DTO_FEATURES")
    return build_fake(find_board("host"), tmp_path_factory.mktemp("fake"), flags=flags)


@pytest.fixture
def line(program: Path) -> Iterator[Line]:
    with Line(program) as opened:
        yield opened


def raw(inference: int) -> bytes:
    """The steps of one inference after the other."""
    start = FIRST + (inference - 1) * NEXT if inference else 0
    return RAW[start : FIRST + inference * NEXT].tobytes()


def expected(inference: int, invocation: int) -> bytes:
    return output(invocation, FRAMES[inference].tobytes() + struct.pack("<ii", 1, 1))


def infer(line: Line, mid: int, data: bytes, *queries: str, szx: int = 6) -> bytes:
    answers = upload(line, mid, data=data, szx=szx, uri_query=("raw=1", *queries))
    return download(line, mid + 5000, "infer", POST, answers[-1])


def refusal(line: Line, mid: int, data: bytes, *queries: str, **options: Any) -> tuple[Code, str]:
    options = {"payload": data[:1024], "block1": (0, len(data) > 1024, 6), **options}
    answer = one(line.exchange(request(POST, "infer", mid, uri_query=("raw=1", *queries), **options)))
    return answer.code, answer.payload.decode()


def profile(line: Line, mid: int) -> dict[str, Any]:
    found: dict[str, Any] = cbor2.loads(one(line.exchange(request(GET, "profile", mid))).payload)
    return found


def test_info(line: Line) -> None:
    info = cbor2.loads(download(line, 1, "info", GET, one(line.exchange(request(GET, "info")))))
    front_end = {"kind": "fake", "dtype": "int16", "shape": [5], "next_bytes": 3000, "first_bytes": 3010}
    assert info["features"] == front_end
    for keys in (list(info), list(info["features"]), list(profile(line, 9))):
        assert keys == sorted(keys, key=lambda key: (len(key), key)), "not in the order of deterministic CBOR"


@pytest.mark.parametrize("szx", range(7))
def test_a_stream_in_blocks_of_any_size(line: Line, szx: int) -> None:
    for inference in range(4):
        assert infer(line, 1 + 500 * inference, raw(inference), szx=szx) == expected(inference, 7 + inference)


def test_plain_inputs_between_leave_the_stream_alone(line: Line) -> None:
    assert infer(line, 1, raw(0)) == expected(0, 7)
    assert download(line, 150, "infer", POST, upload(line, 100, data=PLAIN)[-1]) == output(8, PLAIN)
    assert infer(line, 200, raw(1)) == expected(1, 9)


@pytest.mark.parametrize("how", ["query", "resource"])
def test_reset_begins_a_new_stream(line: Line, how: str) -> None:
    assert infer(line, 1, raw(0)) == expected(0, 7)
    assert infer(line, 100, raw(1)) == expected(1, 8)
    if how == "resource":
        assert one(line.exchange(request(POST, "reset", 200))).code == Code.CHANGED
    assert infer(line, 300, raw(0), *(["reset=1"] if how == "query" else ["raw=0", "reset=0"])) == expected(0, 7)
    assert infer(line, 400, raw(1)) == expected(1, 8)


def test_a_stream_that_broke_off_must_begin_anew(line: Line) -> None:
    assert infer(line, 1, raw(0)) == expected(0, 7)
    begun = request(POST, "infer", 100, uri_query=("raw=1",), block1=(0, True, 6), payload=raw(1)[:1024])
    assert one(line.exchange(begun)).code == Code.CONTINUE
    broken = (Code.REQUEST_ENTITY_INCOMPLETE, "the stream broke off; begin anew: reset=1")
    assert refusal(line, 101, raw(1)) == broken
    assert download(line, 250, "infer", POST, upload(line, 200, data=PLAIN)[-1]) == output(8, PLAIN)
    assert refusal(line, 300, raw(1)) == broken
    assert infer(line, 400, raw(0), "reset=1") == expected(0, 7)


def test_the_rest_of_a_broken_upload_is_refused(line: Line) -> None:
    first = request(POST, "infer", 1, uri_query=("raw=1",), block1=(0, True, 6), payload=raw(0)[:1024])
    assert one(line.exchange(first)).raw == one(line.exchange(first)).raw  # repeated: taken once
    short = one(line.exchange(request(POST, "infer", 2, uri_query=("raw=1",), block1=(1, False, 6), payload=b"xyz")))
    assert (short.code, short.payload) == (Code.BAD_REQUEST, b"expected 3010 bytes of input, given 1027")
    again = refusal(line, 3, raw(0), block1=(1, True, 6))
    assert again == (Code.REQUEST_ENTITY_INCOMPLETE, "not the next block")
    assert infer(line, 100, raw(0), "reset=1") == expected(0, 7)


def test_wrong_lengths_take_nothing_of_the_stream(line: Line) -> None:
    size = f"expected {FIRST * STEP} bytes of input, given "
    assert refusal(line, 1, b"") == (Code.BAD_REQUEST, size + "0")
    assert refusal(line, 2, bytes(1000)) == (Code.BAD_REQUEST, size + "1000")
    assert refusal(line, 3, bytes(3000), size1=3000) == (Code.BAD_REQUEST, size + "3000")
    assert infer(line, 10, raw(0)) == expected(0, 7)
    size = f"expected {NEXT * STEP} bytes of input, given "
    assert refusal(line, 100, raw(0), size1=len(raw(0))) == (Code.BAD_REQUEST, size + "3010")
    assert refusal(line, 101, bytes(1000), "reset=1")[1] == f"expected {FIRST * STEP} bytes of input, given 1000"
    assert infer(line, 200, raw(1)) == expected(1, 8)


def test_too_many_bytes(line: Line) -> None:
    answer = one(upload(line, 1, data=raw(0) + b"x", uri_query=("raw=1",)))
    assert (answer.code, answer.opt.size1) == (Code.REQUEST_ENTITY_TOO_LARGE, 3010)
    assert refusal(line, 100, raw(0))[0] == Code.REQUEST_ENTITY_INCOMPLETE


def test_queries(line: Line) -> None:
    answer: Message = one(line.exchange(request(POST, "infer", 1, uri_query=("raw=2",), payload=b"x")))
    assert (answer.code, answer.payload) == (Code.BAD_REQUEST, b"unknown query; allowed: raw=1, reset=1, profile=1")
    assert infer(line, 10, raw(0), "profile=1") == expected(0, 7)
    assert profile(line, 90) == {
        "kind": "none",
        "layers": [],
        "features": None,
        "invocation": None,
        "frames_dropped": 0,
        "stack_bytes_used": 0,
    }


@pytest.mark.parametrize("name", ["qemu-cortex-m4", "qemu-riscv32"])
def test_firmware_without_a_front_end_has_nothing_of_it(name: str, tmp_path: Path) -> None:
    board = find_board(name)
    compiler(board)
    sizes = []
    for flags in ((), ("-DTO_FEATURES",)):
        folder = tmp_path / f"{len(flags)}"
        folder.mkdir()
        program = build_fake(board, folder, flags=flags)
        sizes.append(memory_use(program, board.flash, board.ram).flash_bytes)
        content = program.read_bytes()
        assert (b"raw=1" in content, b"to_device_push" in content) == (bool(flags), bool(flags))
    assert 0 < sizes[1] - sizes[0] < 1500
