"""What a device says about its updates: strict and bounded readings of /suit/state and /status."""

from __future__ import annotations

from typing import Annotated, Literal

import cbor2
from pydantic import Field

from tinyops.device.protocol import DeviceAnswer
from tinyops.errors import DeviceError
from tinyops.suit.reasons import Reason

_Count = Annotated[int, Field(ge=0, lt=1 << 32)]
_Digest = Annotated[bytes, Field(min_length=32, max_length=32)]
_Slug = Annotated[str, Field(max_length=64)]

_NAME, _UNIT, _VALUE, _TEXT, _BASE_NAME = 0, 1, 2, 3, -2  # labels of RFC 8428
_MAX_RECORDS = 64

_REASONS = {int(reason): reason for reason in Reason}

State = Literal["idle", "downloading", "pending", "trial"]


class Want(DeviceAnswer):
    """The payload that the device waits for: bytes from `offset` on; `size` is that of the image, 0 if not told."""

    uri: Annotated[str, Field(max_length=256)]
    component: _Slug
    offset: _Count
    size: _Count


class UpdateState(DeviceAnswer):
    """GET /suit/state.

    `sequence` is that of the running model, `model` the SHA-256 of its capsule, `bank` None for the firmware's own.
    `attempt`, `manifest` (its digest) and `reason` are of the last attempt. A manifest must be above `accepted`.
    `health` inferences are left until the model on trial is confirmed; `reverted` counts models that were undone.
    """

    state: State
    reason: _Count
    sequence: _Count
    accepted: _Count
    attempt: _Count
    manifest: _Digest | None
    model: _Digest
    bank: Annotated[int, Field(ge=0, le=1)] | None
    tries: _Count
    health: _Count
    reverted: _Count
    want: Want | None

    @property
    def outcome(self) -> Reason | None:
        """The reason by name; None for a code that this version does not know."""
        return reason_of(self.reason)


def reason_of(code: int) -> Reason | None:
    """The reason with this code; None when this version knows none."""
    return _REASONS.get(code)


def read_senml(answer: bytes, where: str) -> dict[str, int | float | str]:
    """The values of a SenML pack in CBOR (RFC 8428) by name, without the base name; DeviceError when it is none."""
    try:
        records = cbor2.loads(answer)
        if not isinstance(records, list) or len(records) > _MAX_RECORDS:
            raise TypeError("is no list of records")
        return dict(_value(record) for record in records)
    except (cbor2.CBORDecodeError, TypeError, KeyError, ValueError, RecursionError) as error:
        raise DeviceError(f"the answer is no SenML: {error}", where=where) from error


def _value(record: object) -> tuple[str, int | float | str]:
    if not isinstance(record, dict) or set(record) - {_NAME, _UNIT, _VALUE, _TEXT, _BASE_NAME}:
        raise TypeError("a record is malformed")
    name, value = record[_NAME], record[_VALUE] if _VALUE in record else record[_TEXT]
    if not isinstance(name, str) or isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("a record is malformed")
    return name, value
