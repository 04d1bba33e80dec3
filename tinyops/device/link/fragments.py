"""CoAP messages in GATT values: each write or notification holds one fragment of a message.

A fragment is a header byte and up to MTU - 4 bytes of the message. The header's bit 7 marks the first fragment of a
message, bit 6 the last one; bits 5 to 0 count the fragments of this direction. What does not fit together is dropped:
CoAP sends it again.
"""

from __future__ import annotations

from tinyops.device.link.slipmux import MAX_CONTENT

_FIRST, _LAST, _COUNT = 0x80, 0x40, 0x3F


class Fragmenter:
    """One direction, outgoing."""

    def __init__(self) -> None:
        self._number = 0

    def cut(self, message: bytes, size: int) -> list[bytes]:
        """The fragments of a message, of at most `size` bytes each (2 or more)."""
        parts = [message[i : i + size - 1] for i in range(0, len(message), size - 1)] or [b""]
        fragments = []
        for i, part in enumerate(parts):
            first, last = _FIRST if i == 0 else 0, _LAST if i == len(parts) - 1 else 0
            fragments.append(bytes([first | last | self._number]) + part)
            self._number = (self._number + 1) & _COUNT
        return fragments


class Reassembler:
    """One direction, incoming; `dropped` counts fragments that belong to no whole message."""

    def __init__(self) -> None:
        self.dropped = 0
        self._parts: list[bytes] = []
        self._next = 0

    def feed(self, fragment: bytes) -> bytes | None:
        """The message that a fragment completes."""
        if not fragment:
            self.dropped += 1
            return None
        header, part = fragment[0], fragment[1:]
        if header & _FIRST:
            self.dropped += len(self._parts)
            self._parts = []
        elif not self._parts or header & _COUNT != self._next:
            self.dropped += len(self._parts) + 1
            self._parts = []
            return None
        self._parts.append(part)
        self._next = ((header & _COUNT) + 1) & _COUNT
        if sum(map(len, self._parts)) > MAX_CONTENT:
            self.dropped += len(self._parts)
            self._parts = []
            return None
        if not header & _LAST:
            return None
        message, self._parts = b"".join(self._parts), []
        return message
