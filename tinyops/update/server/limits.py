"""What keeps hostile senders from costing much: rates per sender, and bodies in blocks, both in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

_ENTRIES = 16_384
_BODIES = 512
_BODY_SECONDS = 60.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    time: float


class RateLimiter:
    """A token bucket for each sender; of too many senders those that were silent longest are forgotten."""

    def __init__(self, per_second: float, burst: int, entries: int = _ENTRIES) -> None:
        self.per_second = per_second
        self.burst = burst
        self._entries = entries
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def allows(self, sender: Hashable, now: float) -> bool:
        """Whether one more request of `sender` may be answered at `now`, a monotonic time in seconds."""
        bucket = self._buckets.pop(sender, None) or _Bucket(self.burst, now)
        bucket.tokens = min(self.burst, bucket.tokens + (now - bucket.time) * self.per_second)
        bucket.time = now
        self._buckets[sender] = bucket
        if len(self._buckets) > self._entries:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


@dataclass(slots=True)
class _Body:
    data: bytearray
    time: float


class BodyTooLargeError(Exception):
    """A body in blocks is over its bound."""


class OutOfOrderError(Exception):
    """A block is not the next one of its body."""


class Assembler:
    """Bodies that arrive in blocks (RFC 7959, Block1), each of at most `most` bytes and one for each sender."""

    def __init__(self, most: int, bodies: int = _BODIES) -> None:
        self.most = most
        self._bodies_kept = bodies
        self._bodies: OrderedDict[Hashable, _Body] = OrderedDict()

    def feed(self, sender: Hashable, offset: int, payload: bytes, more: bool, now: float) -> bytes | None:
        """The whole body when `payload`, at `offset`, is its end, else None."""
        body = self._bodies.pop(sender, None)
        if offset == 0 or (body is not None and now - body.time > _BODY_SECONDS):
            body = _Body(bytearray(), now) if offset == 0 else None
        if body is None or offset != len(body.data):
            raise OutOfOrderError
        if len(body.data) + len(payload) > self.most:
            raise BodyTooLargeError
        body.data += payload
        body.time = now
        if not more:
            return bytes(body.data)
        self._bodies[sender] = body
        if len(self._bodies) > self._bodies_kept:
            self._bodies.popitem(last=False)
        return None
