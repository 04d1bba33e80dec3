"""Check-ins as bytes: what is read, what is refused, and the bounds of what is kept of senders."""

from __future__ import annotations

import random
import uuid

import cbor2
import pytest

from tests.support.fleet import FakeDevice
from tinyops.update.checkin import Answer, Checkin, CheckinError, Health, State, parse_answer, parse_checkin
from tinyops.update.server.limits import Assembler, BodyTooLargeError, OutOfOrderError, RateLimiter


def test_check_in_and_answer_survive_the_wire() -> None:
    whole = Checkin(b"\xff" * 32, uuid.uuid4(), 2**32 - 1, bytes(32), State.TRIAL, 34, 7, "v", b"r", Health(1, 2, 3, 4))
    assert parse_checkin(whole.encode()) == whole
    small = FakeDevice("d").checkin()
    assert parse_checkin(small.encode()) == small
    for answer in (Answer(), Answer("/b/0/manifest.suit", 60, 1_800_000_000)):
        assert parse_answer(answer.encode()) == answer


def hostile() -> dict[str, bytes]:
    good = FakeDevice("d0").checkin()
    fields = cbor2.loads(good.encode())

    def changed(key: object, value: object) -> bytes:
        return cbor2.dumps(fields | {key: value}, canonical=True)

    def without(key: int) -> bytes:
        return cbor2.dumps({k: v for k, v in fields.items() if k != key}, canonical=True)

    cases = {
        "empty": b"",
        "no map": b"\x80",
        "two items": good.encode() + b"\x00",
        "unknown key": changed(12, 0),
        "negative key": changed(-1, 0),
        "text key": changed("a", 0),
        "true as key 1": changed(True, 0),
        "no device": changed(1, b""),
        "long device": changed(1, bytes(33)),
        "text device": changed(1, "d0"),
        "short class": changed(2, bytes(15)),
        "negative sequence": changed(3, -1),
        "large sequence": changed(3, 2**32),
        "huge sequence": changed(3, 2**64),
        "float sequence": changed(3, 1.5),
        "true as sequence": changed(3, True),
        "short digest": changed(4, bytes(31)),
        "unknown state": changed(5, "dancing"),
        "number as state": changed(5, 0),
        "large reason": changed(6, 256),
        "control characters": changed(8, "1.0\n\x1b[31m"),
        "long version": changed(8, "v" * 65),
        "another protocol": changed(9, 2),
        "long report": changed(10, bytes(1025)),
        "null health": changed(11, None),
        "unknown health": changed(11, {9: 1}),
        "score over 1000": changed(11, {4: 1001}),
        "tagged": cbor2.dumps(cbor2.CBORTag(0, "2026-01-01")),
        "deep": b"\x81" * 500 + b"\x00",
        "huge array": b"\x9b" + b"\xff" * 8,
        "huge bytes": b"\x5b" + b"\x7f" + b"\xff" * 7,
        "indefinite": b"\xbf\x01\x41\x00\xff",
        "not sorted": b"\xa2\x02\x00\x01\x00",
        "twice": b"\xa2\x01\x00\x01\x00",
        "not shortest": b"\xa1\x18\x01\x00",
        "too long": good.encode() + bytes(2000),
        **{f"without {key}": without(key) for key in range(1, 10)},
    }
    return cases | {f"cut at {k}": good.encode()[:k] for k in range(0, len(good.encode()), 7)}


@pytest.mark.parametrize("name", hostile())
def test_a_malformed_check_in_is_refused(name: str) -> None:
    with pytest.raises(CheckinError):
        parse_checkin(hostile()[name])


def test_random_bytes_are_refused_or_a_check_in() -> None:
    good = FakeDevice("d0").checkin().encode()
    chance = random.Random(7)
    for _ in range(5000):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            parsed = parse_checkin(bytes(data))
        except CheckinError:
            continue
        assert parsed.encode() == bytes(data)


def test_rates() -> None:
    limiter = RateLimiter(1.0, 3, entries=2)
    assert [limiter.allows("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert limiter.allows("a", 1.0)
    assert not limiter.allows("a", 1.5)
    for sender in "bcd":
        assert limiter.allows(sender, 2.0)
    assert limiter.allows("a", 2.0), "the senders that were silent longest are forgotten"
    assert len(limiter._buckets) == 2


def test_bodies_are_bounded() -> None:
    bodies = Assembler(100, bodies=2)
    for sender in "abc":
        assert bodies.feed(sender, 0, bytes(64), True, 0.0) is None
    assert len(bodies._bodies) == 2
    with pytest.raises(BodyTooLargeError):
        bodies.feed("c", 64, bytes(64), True, 0.0)
    assert bodies.feed("b", 64, bytes(1), False, 1.0) == bytes(65)
    with pytest.raises(OutOfOrderError):
        bodies.feed("a", 64, bytes(1), False, 1.0)
    bodies.feed("d", 0, bytes(16), True, 0.0)
    with pytest.raises(OutOfOrderError):
        bodies.feed("d", 16, bytes(16), True, 100.0)
