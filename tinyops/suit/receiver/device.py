"""The device that the receiver stands for: its places, keys, identity, counters and contents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tinyops.suit import cbor
from tinyops.suit.commands import ComponentId
from tinyops.suit.keys import Key, Role

MAX_ENVELOPE = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """A component of the device. `counter` is the number of its sequence counter, which several may share;
    a manifest for it must be signed with a key of one of `roles`."""

    id: ComponentId
    vendor: bytes
    class_id: bytes
    capacity: int
    counter: int = 0
    roles: Role = Role.SIGNER
    content: bytes | None = None
    slot: int | None = None
    version: tuple[int, ...] | None = None

    @property
    def encoded(self) -> bytes:
        return cbor.encode(list(self.id))


def _nothing(_uri: str) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True)
class Device:
    """`sequences` holds the last accepted number of each counter, `fetch` gives the payload at a URI, `now` is the
    trusted time in Unix seconds, `battery` the energy left in milliwatt hours, `authorized` the highest number of an
    update priority that the user allows. What is None, the device does not have."""

    places: Sequence[Place]
    keys: Sequence[Key]
    device_id: bytes | None = None
    sequences: Mapping[int, int] = field(default_factory=dict)
    now: int | None = None
    battery: int | None = None
    authorized: int | None = None
    fetch: Callable[[str], bytes | None] = _nothing
    max_envelope: int = MAX_ENVELOPE
