"""Check-in: what a device says to the fleet's server, and what it answers. One POST to /checkin, CBOR both ways.

Request, a map with these keys, in the deterministic encoding (RFC 8949, 4.2.1):

    1: bstr 1..32   the device
    2: bstr 16      its class (RFC 9124)
    3: uint32       sequence number of the model that runs
    4: bstr 32      SHA-256 of the model that runs
    5: tstr         its state: idle, downloading, pending, trial
    6: uint         why its last attempt ended so, see tinyops.suit.reasons; 0 is good
    7: uint32       sequence number of that attempt, 0 if there was none, or its manifest was not authentic
    8: tstr 0..64   version of the firmware
    9: uint         protocol, 1
    ? 10: bstr 0..1024   suit-report of the last attempt
    ? 11: map       health: ? 1 inferences since the start, ? 2 models undone since the start, ? 3 inferences until
                    the model on trial is confirmed (uint32 each), ? 4 score (0..1000)

Answer, a map: ? 1: tstr, path of the manifest to fetch from this server; ? 2: uint, seconds until the next check-in;
? 3: uint, seconds since 1970 (a device may believe it only over an authenticated transport).

The score is a figure of merit that a device computes of its own outputs, such as the mean confidence in thousandths.
The server compares the mean of the same devices before and after an update.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tinyops.errors import TinyopsError
from tinyops.suit import cbor

PROTOCOL = 1
MAX_BYTES = 1280
MAX_REPORT = 1024
MAX_DEVICE = 32
MAX_TEXT = 64
MAX_SCORE = 1000
_UINT32 = 2**32 - 1


class State(StrEnum):
    """What a device does about updates."""

    IDLE = "idle"
    DOWNLOADING = "downloading"
    PENDING = "pending"
    TRIAL = "trial"


class CheckinError(TinyopsError):
    """A check-in or its answer is malformed."""


@dataclass(frozen=True, slots=True)
class Health:
    """What a device counts; None where it does not."""

    inferences: int | None = None
    reverts: int | None = None
    left: int | None = None
    score: int | None = None


@dataclass(frozen=True, slots=True)
class Checkin:
    """One check-in; the fields are the keys 1 to 8, 10 and 11 above."""

    device: bytes
    class_id: uuid.UUID
    sequence: int
    digest: bytes
    state: State
    reason: int = 0
    attempt: int = 0
    firmware: str = ""
    report: bytes | None = None
    health: Health | None = None

    def encode(self) -> bytes:
        """The request's payload."""
        fields: dict[int, Any] = {
            1: self.device,
            2: self.class_id.bytes,
            3: self.sequence,
            4: self.digest,
            5: self.state.value,
            6: self.reason,
            7: self.attempt,
            8: self.firmware,
            9: PROTOCOL,
        }
        if self.report is not None:
            fields[10] = self.report
        if self.health is not None:
            health = self.health
            values = enumerate((health.inferences, health.reverts, health.left, health.score), 1)
            fields[11] = {key: value for key, value in values if value is not None}
        return cbor.encode(fields)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answers: a manifest's path or None, seconds until the next check-in, the time."""

    manifest: str | None = None
    seconds: int | None = None
    time: int | None = None

    def encode(self) -> bytes:
        """The answer's payload."""
        values = enumerate((self.manifest, self.seconds, self.time), 1)
        return cbor.encode({key: value for key, value in values if value is not None})


def parse_checkin(data: bytes) -> Checkin:
    """A check-in out of what a device sent; CheckinError when it is not exactly as above."""
    fields = _Fields(_loads(data, MAX_BYTES), required=range(1, 10), optional=(10, 11))
    if fields.uint(9, 255) != PROTOCOL:
        raise CheckinError(f"protocol {fields.uint(9, 255)} is not spoken here", allowed=str(PROTOCOL))
    return Checkin(
        device=fields.bytes(1, 1, MAX_DEVICE),
        class_id=uuid.UUID(bytes=fields.bytes(2, 16, 16)),
        sequence=fields.uint(3, _UINT32),
        digest=fields.bytes(4, 32, 32),
        state=_state(fields.text(5, MAX_TEXT)),
        reason=fields.uint(6, 255),
        attempt=fields.uint(7, _UINT32),
        firmware=fields.text(8, MAX_TEXT),
        report=fields.bytes(10, 0, MAX_REPORT) if 10 in fields.values else None,
        health=_health(fields.values[11]) if 11 in fields.values else None,
    )


def parse_answer(data: bytes) -> Answer:
    """An answer out of what a server sent; CheckinError when it is not exactly as above."""
    fields = _Fields(_loads(data, MAX_BYTES), required=(), optional=(1, 2, 3))
    values = fields.values
    return Answer(
        manifest=fields.text(1, 128) if 1 in values else None,
        seconds=fields.uint(2, _UINT32) if 2 in values else None,
        time=fields.uint(3, 2**53) if 3 in values else None,
    )


def _state(text: str) -> State:
    try:
        return State(text)
    except ValueError as error:
        raise CheckinError(f"the state {text[:20]!r} is unknown", allowed=", ".join(State)) from error


def _health(value: object) -> Health:
    fields = _Fields(value, required=(), optional=(1, 2, 3, 4))
    limits = (_UINT32, _UINT32, _UINT32, MAX_SCORE)
    return Health(*(fields.uint(k, most) if k in fields.values else None for k, most in enumerate(limits, 1)))


class _Fields:
    """A CBOR map with small integer keys, read strictly."""

    def __init__(self, value: object, required: Any, optional: tuple[int, ...]) -> None:
        if not isinstance(value, dict):
            raise CheckinError("is no CBOR map")
        self.values: dict[Any, Any] = value
        for key in required:
            if key not in value:
                raise CheckinError(f"key {key} is missing")
        for key in value:
            if type(key) is not int or (key not in required and key not in optional):
                raise CheckinError(f"the key {str(key)[:20]!r} is unknown")

    def uint(self, key: int, most: int) -> int:
        value = self.values[key]
        if type(value) is not int or not 0 <= value <= most:
            raise CheckinError(f"key {key} is no integer of 0 to {most}")
        return value

    def bytes(self, key: int, least: int, most: int) -> bytes:
        value = self.values[key]
        if type(value) is not bytes or not least <= len(value) <= most:
            raise CheckinError(f"key {key} is no byte string of {least} to {most} bytes")
        return value

    def text(self, key: int, most: int) -> str:
        value = self.values[key]
        if type(value) is not str or len(value.encode()) > most or not value.isprintable():
            raise CheckinError(f"key {key} is no text of up to {most} bytes")
        return value


def _loads(data: bytes, most: int) -> object:
    """Decode CBOR; anything but the deterministic encoding of one item is refused."""
    if len(data) > most:
        raise CheckinError(f"has {len(data)} bytes", allowed=f"up to {most} bytes")
    try:
        return cbor.decode(data, max_depth=3)
    except cbor.CborError as error:
        raise CheckinError(f"is no deterministic CBOR: {error}") from error
