"""Deterministic CBOR (RFC 8949, section 4.2.1): the subset that SUIT and COSE need, read strictly.

cbor2 accepts indefinite lengths, longer heads than needed, duplicate keys and unsorted maps; a receiver that
trusts a signature over bytes must not. Values are int, bytes, str, bool, None, list, dict and `Tag`; map keys
that are arrays of bytes become tuples. Every error is a `CborError` with the coded reason of the first offence
in the order of the bytes, the same reason that the device gives (firmware/common, to_cbor_read).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinyops.suit.reasons import Reason

MAX_DEPTH = 8
MAX_BYTES = 1 << 24

UINT, NINT, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
_SIMPLE_VALUES: dict[int, bool | None] = {20: False, 21: True, 22: None}


class CborError(ValueError):
    """Bytes that are not the deterministic encoding of one item."""

    def __init__(self, reason: Reason, offset: int, detail: str) -> None:
        super().__init__(f"{detail} at byte {offset}")
        self.reason = reason
        self.offset = offset
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged item."""

    number: int
    value: Any


@dataclass(frozen=True, slots=True)
class RawKey:
    """A map key that is neither a number, text, bytes nor an array of bytes."""

    encoded: bytes


class Reader:
    """Reads items of `data` one after the other; `ordered` demands sorted map keys.

    The typed methods raise `malformed-cbor` for an item of another type, in the order in which a caller reads:
    the receiver gives the reasons that the device gives with the same calls.
    """

    def __init__(self, data: bytes, *, ordered: bool = True, max_depth: int = MAX_DEPTH) -> None:
        self.data = data
        self.at = 0
        self.ordered = ordered
        self.max_depth = max_depth

    def fail(self, reason: Reason, at: int, detail: str) -> CborError:
        return CborError(reason, at, detail)

    def next_major(self) -> int | None:
        """The major type of the next item; None at the end."""
        return self.data[self.at] >> 5 if self.at < len(self.data) else None

    def head(self) -> tuple[int, int]:
        """Major type and argument of the next item."""
        start = self.at
        if start >= len(self.data):
            raise self.fail(Reason.TRUNCATED, start, "the data end before an item")
        first = self.data[start]
        major, info = first >> 5, first & 31
        if major == SIMPLE and info not in _SIMPLE_VALUES:
            raise self.fail(Reason.MALFORMED_CBOR, start, "a float, a break or a simple value that is not allowed")
        if info == 31 and BYTES <= major <= MAP:
            raise self.fail(Reason.NOT_DETERMINISTIC, start, "an indefinite length")
        if info >= 28:
            raise self.fail(Reason.MALFORMED_CBOR, start, "a reserved length")
        self.at += 1
        if info < 24:
            return major, info
        size = 1 << (info - 24)
        argument = int.from_bytes(self._take(size), "big")
        if argument < (24 if size == 1 else 1 << (4 * size)):
            raise self.fail(Reason.NOT_DETERMINISTIC, start, "a length or number in more bytes than it needs")
        return major, argument

    def _typed(self, *majors: int) -> tuple[int, int]:
        start = self.at
        major, argument = self.head()
        if major not in majors:
            raise self.fail(Reason.MALFORMED_CBOR, start, "an item of another type")
        return major, argument

    def _take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise self.fail(Reason.TRUNCATED, len(self.data), "the data end within an item")
        self.at += size
        return self.data[self.at - size : self.at]

    def _text(self, size: int) -> str:
        start = self.at
        try:
            return self._take(size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.fail(Reason.MALFORMED_CBOR, start, "text that is not UTF-8") from error

    def _count(self, items: int) -> int:
        if items > len(self.data) - self.at:
            raise self.fail(Reason.TRUNCATED, len(self.data), "more items than there are bytes")
        return items

    def uint(self) -> int:
        return self._typed(UINT)[1]

    def int32(self) -> int:
        """An integer of 32 bits."""
        start = self.at
        major, argument = self._typed(UINT, NINT)
        if argument >= 1 << 31:
            raise self.fail(Reason.MALFORMED_CBOR, start, "a number of more than 32 bits")
        return argument if major == UINT else -1 - argument

    def byte_string(self) -> bytes:
        return self._take(self._typed(BYTES)[1])

    def text_string(self) -> str:
        return self._text(self._typed(TEXT)[1])

    def boolean(self) -> bool:
        start = self.at
        value = _SIMPLE_VALUES[self._typed(SIMPLE)[1]]
        if value is None:
            raise self.fail(Reason.MALFORMED_CBOR, start, "neither true nor false")
        return value

    def array(self) -> int:
        """The number of items that follow."""
        return self._count(self._typed(ARRAY)[1])

    def map(self) -> int:
        """The number of pairs that follow."""
        return self._count(2 * self._typed(MAP)[1]) // 2

    def tag(self) -> int:
        return self._typed(TAG)[1]

    def null(self) -> bool:
        """Whether the next item is null; it is passed then."""
        if self.data[self.at : self.at + 1] != b"\xf6":
            return False
        self.at += 1
        return True

    def skip(self) -> bytes:
        """The encoding of the next item, whatever it is, checked in full."""
        start = self.at
        self.item()
        return self.data[start : self.at]

    def key(self, previous: bytes) -> bytes:
        """The encoding of the next key of a map, above `previous` (empty for the first); it is not passed."""
        start = self.at
        key = self.skip()
        if previous >= key:
            raise self.fail(Reason.NOT_DETERMINISTIC, start, "map keys out of order or twice")
        self.at = start
        return key

    def done(self) -> None:
        """The end must be reached."""
        if self.at != len(self.data):
            raise self.fail(Reason.MALFORMED_CBOR, self.at, "bytes after the end")

    def item(self, depth: int = 0) -> Any:
        """The next item as a Python value."""
        start = self.at
        major, argument = self.head()
        if major == UINT:
            return argument
        if major == NINT:
            return -1 - argument
        if major == BYTES:
            return self._take(argument)
        if major == TEXT:
            return self._text(argument)
        if major == SIMPLE:
            return _SIMPLE_VALUES[argument]
        inner = 1 if major == TAG else self._count(argument * (2 if major == MAP else 1))
        if inner and depth >= self.max_depth:
            raise self.fail(Reason.NESTING, start, f"items nested deeper than {self.max_depth}")
        if major == ARRAY:
            return [self.item(depth + 1) for _ in range(argument)]
        if major == MAP:
            return self._pairs(argument, depth + 1)
        return Tag(argument, self.item(depth + 1))

    def _pairs(self, pairs: int, depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        seen: set[bytes] = set()
        last = b""
        for _ in range(pairs):
            start = self.at
            key = self.item(depth)
            encoded = self.data[start : self.at]
            if encoded in seen or (self.ordered and encoded < last):
                raise self.fail(Reason.NOT_DETERMINISTIC, start, "map keys out of order or twice")
            seen.add(encoded)
            last = encoded
            result[_hashable(key, encoded)] = self.item(depth)
        return result


def _hashable(key: Any, encoded: bytes) -> Any:
    if type(key) in (int, str, bytes):
        return key
    if type(key) is list and all(type(item) is bytes for item in key):
        return tuple(key)
    return RawKey(encoded)


def decode(data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH, ordered: bool = True) -> Any:
    """The one item that `data` encodes.

    `ordered=False` lets map keys stand in any order (but not twice), as COSE allows for its headers.
    Raises `CborError`.
    """
    if len(data) > max_bytes:
        raise CborError(Reason.TOO_LARGE, 0, f"{len(data)} bytes, more than {max_bytes}")
    reader = Reader(bytes(data), ordered=ordered, max_depth=max_depth)
    value = reader.item()
    reader.done()
    return value


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * size):
            return bytes([major << 5 | info]) + argument.to_bytes(size, "big")
    raise ValueError(f"{argument} does not fit into 64 bits")


def encode(value: Any) -> bytes:
    """The deterministic encoding; tuples are arrays. TypeError for what the subset lacks."""
    if value is None or isinstance(value, bool):
        return bytes([0xE0 | {False: 20, True: 21, None: 22}[value]])
    if isinstance(value, int):
        return _head(UINT, int(value)) if value >= 0 else _head(NINT, -1 - int(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _head(BYTES, len(value)) + bytes(value)
    if isinstance(value, str):
        text = value.encode("utf-8")
        return _head(TEXT, len(text)) + text
    if isinstance(value, (list, tuple)):
        return _head(ARRAY, len(value)) + b"".join(encode(item) for item in value)
    if isinstance(value, dict):
        pairs = sorted((encode(key), encode(item)) for key, item in value.items())
        return _head(MAP, len(pairs)) + b"".join(key + item for key, item in pairs)
    if isinstance(value, Tag):
        return _head(TAG, value.number) + encode(value.value)
    if isinstance(value, RawKey):
        return value.encoded
    raise TypeError(f"{type(value).__name__} has no encoding here")
