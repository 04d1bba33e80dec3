"""Slipmux (draft-bormann-t2trg-slipmux): CoAP messages beside console text on one serial line.

A frame is SLIP-encoded (RFC 1055) and starts with its type: 0x0A is text for people, 0xA9 a CoAP message with the
FCS-16 of RFC 1662 behind it, least significant byte first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

_END, _ESC, _ESC_END, _ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
_TEXT, _COAP = 0x0A, 0xA9
_FCS_START, _FCS_GOOD = 0xFFFF, 0xF0B8

#: The longest content of a frame that is accepted, in bytes.
MAX_CONTENT = 2048


class Kind(Enum):
    """What a frame holds. NOISE is text outside of frames, such as a boot loader's."""

    TEXT = "text"
    COAP = "coap"
    NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, unescaped, without type and FCS."""

    kind: Kind
    content: bytes


def _fcs_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x8408 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _fcs_table()


def fcs(data: bytes, value: int = _FCS_START) -> int:
    """FCS-16 of RFC 1662 (C.2), before the final complement."""
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value


def encode_coap(message: bytes) -> bytes:
    """The frame of a CoAP message, as it goes on the line."""
    body = bytes([_COAP]) + message
    return _escape(body + (fcs(body) ^ 0xFFFF).to_bytes(2, "little"))


def encode_text(text: bytes) -> bytes:
    """The frame of console text, as it goes on the line."""
    return _escape(bytes([_TEXT]) + text)


def _escape(body: bytes) -> bytes:
    body = body.replace(bytes([_ESC]), bytes([_ESC, _ESC_ESC])).replace(bytes([_END]), bytes([_ESC, _ESC_END]))
    return bytes([_END]) + body + bytes([_END])


def _unescape(raw: bytes) -> bytes | None:
    """None when an escape is of anything but END and ESC."""
    first, *parts = raw.split(bytes([_ESC]))
    whole = bytearray(first)
    for part in parts:
        if not part or part[0] not in (_ESC_END, _ESC_ESC):
            return None
        whole.append(_END if part[0] == _ESC_END else _ESC)
        whole += part[1:]
    return bytes(whole)


class Decoder:
    """Frames out of a stream of bytes, in bounded memory; `dropped` counts those that were damaged or oversize."""

    def __init__(self) -> None:
        self.dropped = 0
        self._raw = bytearray()
        self._oversize = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes."""
        frames = []
        *ends, rest = data.split(bytes([_END]))
        for part in ends:
            self._append(part)
            frame = self._take()
            if frame is not None:
                frames.append(frame)
        self._append(rest)
        return frames

    def _append(self, part: bytes) -> None:
        if len(self._raw) + len(part) > 2 * (MAX_CONTENT + 3):  # every byte may be escaped
            self._oversize = True
            self._raw.clear()
        elif not self._oversize:
            self._raw += part

    def _take(self) -> Frame | None:
        raw, oversize = bytes(self._raw), self._oversize
        self._raw.clear()
        self._oversize = False
        if not raw and not oversize:
            return None
        body = None if oversize else _unescape(raw)
        frame = None if body is None else _frame(body)
        if frame is None:
            self.dropped += 1
        return frame


def _frame(body: bytes) -> Frame | None:
    if body[0] == _TEXT and len(body) - 1 <= MAX_CONTENT:
        return Frame(Kind.TEXT, body[1:])
    if body[0] == _COAP:
        whole = 3 <= len(body) <= MAX_CONTENT + 3 and fcs(body) == _FCS_GOOD
        return Frame(Kind.COAP, body[1:-2]) if whole else None
    if len(body) <= MAX_CONTENT and all(byte in b"\t\r\n\x1b" or 0x20 <= byte < 0x7F for byte in body):
        return Frame(Kind.NOISE, body)
    return None
