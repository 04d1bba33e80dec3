"""The slipmux codec: round trips, damage, bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyops.device.link.slipmux import MAX_CONTENT, Decoder, Frame, Kind, encode_coap, encode_text, fcs

SPECIAL = st.sampled_from([0xC0, 0xDB, 0xDC, 0xDD, 0x0A, 0xA9])
CONTENT = st.lists(SPECIAL | st.integers(0, 255), max_size=200).map(bytes)


def test_fcs_is_that_of_x25() -> None:
    assert fcs(b"123456789") ^ 0xFFFF == 0x906E  # the check value of CRC-16/X-25


def test_frame_of_the_draft() -> None:
    assert encode_text(b"Hi\n") == b"\xc0\x0aHi\n\xc0"
    assert encode_coap(b"\xc0\xdb")[:6] == b"\xc0\xa9\xdb\xdc\xdb\xdd"


@given(st.lists(st.tuples(st.sampled_from([Kind.COAP, Kind.TEXT]), CONTENT), max_size=8), st.data())
def test_round_trip_in_any_pieces(frames: list[tuple[Kind, bytes]], data: st.DataObject) -> None:
    line = b"".join(encode_coap(c) if kind is Kind.COAP else encode_text(c) for kind, c in frames)
    decoder = Decoder()
    got: list[Frame] = []
    while line:
        cut = data.draw(st.integers(1, len(line)))
        got += decoder.feed(line[:cut])
        line = line[cut:]
    assert got == [Frame(kind, content) for kind, content in frames]
    assert decoder.dropped == 0


@given(CONTENT, st.data())
def test_a_flipped_bit_never_gives_another_message(content: bytes, data: st.DataObject) -> None:
    line = bytearray(encode_coap(content))
    position = data.draw(st.integers(0, len(line) - 1))
    line[position] ^= 1 << data.draw(st.integers(0, 7))
    got = [frame.content for frame in Decoder().feed(bytes(line)) if frame.kind is Kind.COAP]
    assert got in ([], [content])  # an END more or less leaves the frame whole


@given(st.binary(max_size=5000))
def test_any_bytes_are_survived(noise: bytes) -> None:
    decoder = Decoder()
    for frame in decoder.feed(noise):
        assert len(frame.content) <= MAX_CONTENT
    decoder.feed(b"\xc0")
    assert decoder.feed(encode_coap(b"after")) == [Frame(Kind.COAP, b"after")]


def test_text_before_the_first_frame_is_noise() -> None:
    frames = Decoder().feed(b"boot loader v1\r\n" + encode_coap(b"\x40\x00\x00\x01"))
    assert frames == [Frame(Kind.NOISE, b"boot loader v1\r\n"), Frame(Kind.COAP, b"\x40\x00\x00\x01")]


@pytest.mark.parametrize(
    "damaged", [b"\xa9\xdb", b"\xa9\xdb\x00", b"\xa9", b"\xa9\x01\x02", b"\x00\x01", b"\x45\x00\x01"]
)
def test_damaged_and_unknown_frames_are_counted(damaged: bytes) -> None:
    decoder = Decoder()
    assert decoder.feed(b"\xc0" + damaged + b"\xc0") == []
    assert decoder.dropped == 1


def test_oversize_frames_are_dropped_in_bounded_memory() -> None:
    decoder = Decoder()
    for _ in range(1000):
        assert decoder.feed(b"\xa9" * 4096) == []
    assert len(decoder._raw) <= 2 * (MAX_CONTENT + 3)
    assert decoder.feed(b"\xc0" + encode_coap(b"next")) == [Frame(Kind.COAP, b"next")]
    assert decoder.dropped == 1
    assert decoder.feed(encode_coap(bytes(MAX_CONTENT)))[0].content == bytes(MAX_CONTENT)
    assert decoder.feed(encode_coap(bytes(MAX_CONTENT + 1))) == []
