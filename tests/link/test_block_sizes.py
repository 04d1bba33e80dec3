"""Firmware whose largest block is smaller than the link's, as a radio's has it: both sides agree on the smaller one."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiocoap
import pytest
from aiocoap import CON, GET, POST
from aiocoap.numbers.codes import Code

from tests.support.firmware import build_fake
from tests.support.line import Line, Message, request
from tests.support.udp import Proxy, straight, udp_device
from tests.support.updates import SETTINGS, build_updatable, mismatches, pack
from tinyops.device.board import Board, find_board
from tinyops.device.build import Build
from tinyops.device.client import DeviceClient
from tinyops.device.emulator import launch
from tinyops.device.link.oscore import make_context
from tinyops.device.link.profile import LINKS
from tinyops.device.link.slipmux import encode_coap
from tinyops.device.update_client import UpdateClient

SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
INPUT = bytes(range(250)) * 6 + struct.pack("<ii", 1, 1)
SZX = 2
BLOCK = 16 << SZX


def small(board: Board) -> Board:
    """The host, with blocks of 64 bytes."""
    flags = [*board.toolchain.flags, f"-DTO_COAP_BLOCK_SZX={SZX}", *SANITIZED]
    return board.model_copy(update={"toolchain": board.toolchain.model_copy(update={"flags": flags})})


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_fake(small(find_board("host")), tmp_path_factory.mktemp("fake"))


@pytest.fixture
def line(program: Path) -> Iterator[Line]:
    with Line(program) as opened:
        yield opened


def one(messages: list[Message]) -> Message:
    assert len(messages) == 1, messages
    return messages[0]


def test_larger_blocks_are_refused_and_the_size_is_told(line: Line) -> None:
    for szx in range(SZX + 1, 7):
        answer = one(line.exchange(request(POST, "infer", szx, block1=(0, True, szx), payload=bytes(48))))
        assert (answer.code, answer.opt.block1.size_exponent) == (Code.REQUEST_ENTITY_TOO_LARGE, SZX)
    answer = one(line.exchange(request(POST, "infer", 99, block1=(0, True, 7), payload=bytes(48))))
    assert answer.code is Code.BAD_REQUEST


@pytest.mark.parametrize("asked", [None, *range(7)])
def test_answers_come_in_blocks_of_the_smaller_size(line: Line, asked: int | None) -> None:
    """RFC 7959, 2.4: the server may answer with smaller blocks than asked for, at the same place."""
    size = min(BLOCK, 16 << asked) if asked is not None else BLOCK
    content, number = b"", 0
    while True:
        options: dict[str, Any] = {}
        if asked is not None or number:
            exponent = size.bit_length() - 5 if number else asked
            options = {"block2": (number, False, exponent)}
        answer = one(line.exchange(request(GET, "info", number, **options)))
        assert answer.code is Code.CONTENT
        assert (answer.opt.block2.block_number, answer.opt.block2.size) == (number, size)
        assert len(answer.payload) == size if answer.opt.block2.more else len(answer.payload) <= size
        content += answer.payload
        number += 1
        if not answer.opt.block2.more:
            break
    assert answer.opt.block2.start + len(answer.payload) == len(content)
    # A client that goes on in its own, larger blocks gets the smaller block that begins at the same byte.
    again = one(line.exchange(request(GET, "info", 0x300, block2=(1, False, SZX + 1))))
    assert (again.opt.block2.block_number, again.opt.block2.size_exponent) == (2, SZX)
    assert again.payload == content[2 * BLOCK : 3 * BLOCK]


def test_behind_the_end_is_an_error(line: Line) -> None:
    for number, szx in ((0xFFFFF, 6), (0xFFFFF, 0), (1 << 16, SZX)):
        assert one(line.exchange(request(GET, "info", 1, block2=(number, False, szx)))).code is Code.BAD_REQUEST


def test_refusals_have_room(line: Line) -> None:
    answer = one(line.exchange(request(GET, "nothing", 1)))
    assert (answer.code, answer.payload.startswith(b"allowed: info, infer")) == (Code.NOT_FOUND, True)


def test_an_oversize_frame_is_dropped(line: Line) -> None:
    long_one = request(POST, "infer", 1, block1=(0, True, 6), payload=bytes(1024)).encode()
    assert line.send(encode_coap(long_one)) == []
    assert one(line.exchange(request(GET, "info", 2))).code is Code.CONTENT


@pytest.mark.parametrize("asked", range(7))
def test_outputs_in_blocks(line: Line, asked: int) -> None:
    parts = [INPUT[k : k + BLOCK] for k in range(0, len(INPUT), BLOCK)]
    for number, part in enumerate(parts):
        more = number + 1 < len(parts)
        answers = line.exchange(
            request(POST, "infer", number, block1=(number, more, SZX), payload=part, block2=(0, False, asked))
        )
        if more:
            assert one(answers).code is Code.CONTINUE
    response = answers[-1]
    assert (response.mtype, response.opt.block2.size_exponent) == (CON, min(SZX, asked))
    acknowledgement = aiocoap.Message(code=aiocoap.EMPTY, _mtype=aiocoap.ACK, _mid=response.mid)
    assert line.exchange(acknowledgement) == []
    content = response.payload
    number = 1
    while response.opt.block2.more:
        response = one(line.exchange(request(POST, "infer", 0x200 + number, block2=(number, False, min(SZX, asked)))))
        assert response.code is Code.CHANGED
        content += response.payload
        number += 1
    assert len(content) == len(INPUT)


@pytest.fixture(scope="module")
def updatable(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Updatable firmware with OSCORE and blocks of 64 bytes."""
    patch = pytest.MonkeyPatch()
    patch.setattr("tests.support.updates.find_board", lambda name: small(find_board(name)))
    settings = dataclasses.replace(SETTINGS, algorithms=("ed25519", "aes"))
    try:
        return build_updatable("host", tmp_path_factory.mktemp("small") / "build", settings)
    finally:
        patch.undo()


@pytest.mark.parametrize("link", ["udp", "802154-mesh"])
def test_a_push_adapts_to_the_device(updatable: Build, tmp_path: Path, link: str) -> None:
    """On UDP the first block is refused for its size; then no message has more than the device's buffers hold."""
    packed = pack(updatable, 7)
    with (
        udp_device(updatable.elf, "--flash", str(tmp_path / "flash")) as device,
        Proxy(("127.0.0.1", device.port), straight) as proxy,
        DeviceClient.open(f"coap://127.0.0.1:{proxy.address[1]}", link=link) as client,
    ):
        assert UpdateClient(client).push(packed.envelope, packed.digest, packed.payload).state.sequence == 7
        assert client.link.block_bytes == BLOCK
        assert client.link.ack_timeout == LINKS[link].ack_timeout
        assert mismatches(client, 2) == 0
        too_long = [len(data) for way, data in proxy.log if len(data) > BLOCK + 100]
    assert len(too_long) == (1 if link == "udp" else 0)


def test_a_push_over_the_line_adapts_to_the_device(updatable: Build) -> None:
    packed = pack(updatable, 7)
    with launch(find_board("host"), updatable.elf) as client:
        assert UpdateClient(client).push(packed.envelope, packed.digest, packed.payload).state.sequence == 7
        assert mismatches(client, 2) == 0


def test_a_protected_push_adapts_to_the_device(updatable: Build, tmp_path: Path) -> None:
    packed = pack(updatable, 7)
    context = tmp_path / "context"
    make_context(context)
    options = ["--oscore", str(context / "device.oscore"), "--flash", str(tmp_path / "flash")]
    with udp_device(updatable.elf, *options) as device, DeviceClient.open(device.address, oscore=context) as client:
        assert UpdateClient(client).push(packed.envelope, packed.digest, packed.payload).state.sequence == 7
        assert mismatches(client, 2) == 0
