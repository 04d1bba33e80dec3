"""How messages lie in what a link carries."""

from __future__ import annotations

from typing import Protocol

from tinyops.device.link.slipmux import MAX_CONTENT, Decoder, Frame, Kind, encode_coap


class Framing(Protocol):
    """Both directions of one link; `dropped` counts what was damaged or oversize."""

    dropped: int

    def encode(self, message: bytes) -> bytes: ...

    def feed(self, data: bytes) -> list[Frame]: ...


class Slipmux(Decoder):
    """A byte stream with CoAP messages and console text."""

    def encode(self, message: bytes) -> bytes:
        return encode_coap(message)


class Datagrams:
    """One CoAP message in each datagram."""

    def __init__(self) -> None:
        self.dropped = 0

    def encode(self, message: bytes) -> bytes:
        return message

    def feed(self, data: bytes) -> list[Frame]:
        if not data or len(data) > MAX_CONTENT:
            self.dropped += 1
            return []
        return [Frame(Kind.COAP, data)]
