"""Frames of 6LoWPAN: the model of docs/networks.md against what was on the air between RIOT's border router and a
device, as scapy dissects it. The recording is the beginning of an update in tests/riot/test_802154.py.
"""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import aiocoap
import pytest
from aiocoap.numbers.codes import Code

from tests.support.lowpan import (
    CARRIED,
    FRAME_MAX,
    MAC_BYTES,
    Airtime,
    Datagram,
    arrives,
    dissect,
    frames_of,
    lowpan_messages,
    read_recording,
)
from tinyops.device.link.profile import BLOCK_SIZES, LINKS

RECORDING = Path(__file__).with_name("lowpan_air.txt")


@pytest.fixture(scope="module")
def datagrams() -> list[Datagram]:
    return [datagram for datagram in dissect(read_recording(RECORDING)) if 5683 in datagram.ports]


def test_frames_are_those_of_the_model(datagrams: list[Datagram]) -> None:
    assert len(datagrams) > 60
    assert {len(datagram.frames) for datagram in datagrams} >= {1, 2}
    for datagram in datagrams:
        assert list(datagram.frames) == frames_of(len(datagram.payload), datagram.headers)


def test_messages_are_whole(datagrams: list[Datagram]) -> None:
    """Put together again they are CoAP, and the uploaded blocks follow one another."""
    messages = [aiocoap.Message.decode(datagram.payload) for datagram in datagrams]
    assert {message.code for message in messages} >= {Code.GET, Code.PUT, Code.CONTENT, Code.CONTINUE}
    uploads = [m for m in messages if m.code is Code.PUT and m.opt.uri_path == ("suit", "payload")]
    numbers = [message.opt.block1.block_number for message in uploads]
    assert sorted(set(numbers)) == list(range(len(set(numbers))))
    assert {len(message.payload) for message in uploads} == {LINKS["802154-mesh"].block_bytes}


def test_headers_are_compressed(datagrams: list[Datagram]) -> None:
    """Of 48 bytes; the host's datagrams have a flow label and a hop limit of their own."""
    assert {datagram.headers for datagram in datagrams if datagram.ports[0] == 5683} == {25}
    assert {datagram.headers for datagram in datagrams if datagram.ports[1] == 5683} == {29}


def test_repeated_and_missing_fragments() -> None:
    """Another order of events than the recording's: what is repeated counts once, what is incomplete not at all."""
    heard = read_recording(RECORDING)
    whole = list(dissect(heard))
    assert list(dissect(each for each in heard for _ in range(2))) == whole
    chance = random.Random(1)
    some = [dataclasses.replace(each, lost=chance.random() < 0.3) for each in heard]
    left = list(dissect(some))
    assert 0 < len(left) < len(whole)
    assert all(datagram in whole for datagram in left)


@pytest.mark.parametrize("headers", [25, 29, 33, 41, 48])
def test_the_model_is_consistent(headers: int) -> None:
    """RFC 4944, 5.3: fragments fit into frames, all but the last hold a multiple of 8 bytes, and none is lost."""
    for size in range(1300):
        carried = frames_of(size, headers)
        assert max(carried) <= CARRIED
        assert MAC_BYTES + max(carried) <= FRAME_MAX
        if len(carried) == 1:
            assert carried == [headers + size]
            continue
        parts = [carried[0] - 4 - headers + 48, *(each - 5 for each in carried[1:])]
        assert sum(parts) == 48 + size
        assert all(part % 8 == 0 for part in parts[:-1])
        assert frames_of(size - 1, headers) != carried


def test_block_sizes_of_the_links() -> None:
    """Why a mesh has blocks of 64 bytes, and a good hop 256: both directions of an exchange, with real messages."""
    frames = {size: sum(len(frames_of(n)) for n in lowpan_messages(size)) for size in BLOCK_SIZES}
    assert (frames[32], frames[64], frames[128]) == (2, 3, 4)
    per_byte = {size: count / size for size, count in frames.items()}
    assert per_byte[256] < per_byte[128] < per_byte[64] < per_byte[32]
    # A mesh of three hops in which one transmission of ten fails is as good with 64 bytes; one block of 1,024 would
    # be sent again and again where nothing on the way repeats frames.
    request = {size: len(frames_of(lowpan_messages(size)[0])) for size in BLOCK_SIZES}
    assert arrives(3 * request[64], 0.1, tries=1) > 0.5
    assert arrives(3 * request[1024], 0.1, tries=1) < 0.1


def test_airtime() -> None:
    """A full frame is on the air for 4.256 ms (133 bytes of 32 us), as data sheets say."""
    bare = Airtime(access=0.0, acknowledgement=0.0, spacing=0.0)
    assert bare.of([FRAME_MAX - MAC_BYTES]) == pytest.approx(4.256e-3)
    assert Airtime().of([10, 20]) > Airtime().of([30])
