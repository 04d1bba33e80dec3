"""Strict CBOR: what cbor2 writes is read, what is not deterministic is refused with its reason."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyops.suit.cbor import MAX_DEPTH, CborError, RawKey, Reader, Tag, decode, encode
from tinyops.suit.reasons import Reason

_INTEGERS = st.integers(-(2**64), 2**64 - 1)
_LEAVES = _INTEGERS | st.binary(max_size=40) | st.text(max_size=20) | st.booleans() | st.none()
_KEYS = _INTEGERS | st.text(max_size=8) | st.binary(max_size=8) | st.lists(st.binary(max_size=4), max_size=3).map(tuple)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=12
)


def _depth(value: Any) -> int:
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    if isinstance(value, dict):
        keys = [1 for key in value if isinstance(key, tuple) and key]
        return 1 + max([*keys, *map(_depth, value.values())], default=0)
    return 0


@given(_VALUES)
def test_what_is_encoded_is_read_back(value: Any) -> None:
    if _depth(value) <= MAX_DEPTH:
        assert decode(encode(value)) == value


@given(_VALUES)
def test_cbor2_reads_the_same(value: Any) -> None:
    assert cbor2.loads(encode(value)) == value


@given(_VALUES.filter(lambda value: not isinstance(value, dict)))
def test_cbor2_writes_the_same(value: Any) -> None:
    def maps(item: Any) -> bool:
        return isinstance(item, dict) or (isinstance(item, list) and any(map(maps, item)))

    if not maps(value):
        assert cbor2.dumps(value) == encode(value)


def _error(data: bytes) -> CborError | None:
    try:
        decode(data)
    except CborError as error:
        return error
    return None


@given(st.binary(max_size=64))
def test_hostile_bytes_are_the_encoding_of_a_value_or_an_error(data: bytes) -> None:
    error = _error(data)
    if error is None:
        assert encode(decode(data)) == data
    else:
        assert error.reason in {Reason.TRUNCATED, Reason.MALFORMED_CBOR, Reason.NOT_DETERMINISTIC, Reason.NESTING}
        assert 0 <= error.offset <= len(data)


@given(_VALUES)
def test_every_truncation_is_truncated(value: Any) -> None:
    data = encode(value)
    if _depth(value) <= MAX_DEPTH:
        for size in range(len(data)):
            with pytest.raises(CborError) as caught:
                decode(data[:size])
            # Cut text may end within a character: its length is known before, so it is truncated all the same.
            assert caught.value.reason is Reason.TRUNCATED


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (b"\x18", Reason.TRUNCATED),
        (b"\x42a", Reason.TRUNCATED),
        (b"\x5b" + b"\xff" * 8, Reason.TRUNCATED),
        (b"\x9b" + b"\xff" * 8, Reason.TRUNCATED),
        (b"\xbb" + b"\xff" * 8, Reason.TRUNCATED),
        (b"\x1c", Reason.MALFORMED_CBOR),
        (b"\x1f", Reason.MALFORMED_CBOR),
        (b"\xdf", Reason.MALFORMED_CBOR),
        (b"\xff", Reason.MALFORMED_CBOR),
        (b"\xf9\x00\x00", Reason.MALFORMED_CBOR),
        (b"\xf7", Reason.MALFORMED_CBOR),
        (b"\xf8\x20", Reason.MALFORMED_CBOR),
        (b"\x61\xff", Reason.MALFORMED_CBOR),
        (b"\x63\xed\xa0\x80", Reason.MALFORMED_CBOR),
        (b"\x01\x01", Reason.MALFORMED_CBOR),
        (b"\x18\x17", Reason.NOT_DETERMINISTIC),
        (b"\x19\x00\xff", Reason.NOT_DETERMINISTIC),
        (b"\x1a\x00\x00\xff\xff", Reason.NOT_DETERMINISTIC),
        (b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff", Reason.NOT_DETERMINISTIC),
        (b"\x58\x01a", Reason.NOT_DETERMINISTIC),
        (b"\x5f\x41a\xff", Reason.NOT_DETERMINISTIC),
        (b"\x7f\x61a\xff", Reason.NOT_DETERMINISTIC),
        (b"\x9f\x01\xff", Reason.NOT_DETERMINISTIC),
        (b"\xbf\x01\x01\xff", Reason.NOT_DETERMINISTIC),
        (b"\xa2\x01\x00\x01\x00", Reason.NOT_DETERMINISTIC),
        (b"\xa2\x02\x00\x01\x00", Reason.NOT_DETERMINISTIC),
        (b"\xa2\x20\x00\x01\x00", Reason.NOT_DETERMINISTIC),
        (b"\xa2\xf5\x00\xf5\x00", Reason.NOT_DETERMINISTIC),
        (b"\x81" * MAX_DEPTH + b"\x81\x00", Reason.NESTING),
        (b"\xc1" * MAX_DEPTH + b"\xc1\x00", Reason.NESTING),
        (b"\x81" * 100_000, Reason.NESTING),
    ],
)
def test_each_fault_has_its_reason(data: bytes, reason: Reason) -> None:
    with pytest.raises(CborError) as caught:
        decode(data)
    assert caught.value.reason is reason


def test_the_deepest_allowed_nesting_is_read() -> None:
    assert encode(decode(b"\x81" * MAX_DEPTH + b"\x00")) == b"\x81" * MAX_DEPTH + b"\x00"
    assert encode(decode(b"\x81" * MAX_DEPTH + b"\x80")) == b"\x81" * MAX_DEPTH + b"\x80"


def test_true_is_not_the_key_one() -> None:
    assert decode(bytes.fromhex("a2 01 00 f5 00")) == {1: 0, RawKey(b"\xf5"): 0}


def test_headers_may_stand_in_any_order_but_not_twice() -> None:
    assert decode(b"\xa2\x20\x00\x01\x00", ordered=False) == {-1: 0, 1: 0}
    with pytest.raises(CborError):
        decode(b"\xa2\x20\x00\x20\x00", ordered=False)


def test_the_size_is_bounded() -> None:
    with pytest.raises(CborError) as caught:
        decode(b"\x41a", max_bytes=1)
    assert caught.value.reason is Reason.TOO_LARGE


def test_the_keys_of_the_final_order_are_bytewise() -> None:
    assert encode({24: 0, -1: 0, "a": 0, 2: 0}) == bytes.fromhex("a4 02 00 18 18 00 20 00 61 61 00")


@pytest.mark.parametrize("value", [1.5, 1 << 64, object(), {1, 2}])
def test_other_values_are_not_encoded(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode(value)


def test_a_reader_refuses_other_types_and_32_bit_overflow() -> None:
    for data, read in (
        (b"\x41a", Reader.uint),
        (b"\x01", Reader.byte_string),
        (b"\xf6", Reader.boolean),
        (b"\x41a", Reader.text_string),
        (b"\xa0", Reader.array),
        (b"\x80", Reader.map),
        (b"\x80", Reader.tag),
        (b"\x1a\x80\x00\x00\x00", Reader.int32),
        (b"\x3a\x80\x00\x00\x00", Reader.int32),
    ):
        with pytest.raises(CborError) as caught:
            read(Reader(data))
        assert caught.value.reason is Reason.MALFORMED_CBOR
    assert Reader(b"\x3a\x7f\xff\xff\xff").int32() == -(1 << 31)
    assert encode(Tag(107, {})) == b"\xd8\x6b\xa0"
