"""A new manifest, tried on a model of a device before anybody gets it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from tinyops.errors import TinyopsError
from tinyops.suit import KEYS, SuitError
from tinyops.suit.commands import ComponentId
from tinyops.suit.encryption import Recipient
from tinyops.suit.keys import Key, Role
from tinyops.suit.receiver import Device, Place, check, receive
from tinyops.suit.registry import Algorithm

_CAPACITY = (1 << 32) - 1


@dataclass(frozen=True)
class Stage:
    """What the model of a device has: identity, keys, and the payloads by URI."""

    vendor: UUID
    class_id: UUID
    keys: Sequence[Key]
    payloads: Mapping[str, bytes]
    device: UUID | None = None

    def model(self, components: Sequence[ComponentId], slot: int | None = None) -> Device:
        """A device whose places are `components`, in which nothing is."""
        places = [
            Place(
                component,
                self.vendor.bytes,
                self.class_id.bytes,
                _CAPACITY,
                counter=number,
                roles=Role.ROOT if component == KEYS else Role.SIGNER,
                slot=slot,
            )
            for number, component in enumerate(components)
        ]
        return Device(
            places,
            self.keys,
            device_id=None if self.device is None else self.device.bytes,
            now=int(time.time()),
            fetch=self.payloads.get,
            max_envelope=1 << 24,
        )


def rehearse(
    envelope: bytes, stage: Stage, images: Mapping[ComponentId, Sequence[bytes]], recipients: Sequence[Recipient] = ()
) -> None:
    """TinyopsError unless a device accepts the envelope and then has the images, by component and slot.

    Where the payloads are encrypted for keys whose secret half is not here, the manifest alone is checked.
    """
    secrets = [
        Key(Algorithm.A128KW, r.material, r.kid or b"", Role.DECRYPT)
        for r in recipients
        if r.algorithm is Algorithm.A128KW
    ]
    stage = Stage(stage.vendor, stage.class_id, [*stage.keys, *secrets], stage.payloads, stage.device)
    slots = max(len(variants) for variants in images.values())
    for slot in range(slots):
        device = stage.model(list(images), slot if slots > 1 else None)
        if recipients and not secrets:
            refuse = refusal(envelope, device)
            if refuse is not None:
                raise TinyopsError(f"a device would refuse the update: {refuse}")
            continue
        outcome = receive(envelope, device)
        if outcome.reason:
            raise TinyopsError(f"a device would refuse the update: {outcome.reason.text} ({outcome.detail})")
        for number, variants in enumerate(images.values()):
            made = outcome.stored.get(number)
            if made is None or _digest(made) != _digest(variants[min(slot, len(variants) - 1)]):
                raise TinyopsError("a device would not have the image after the update")


def refusal(envelope: bytes, device: Device) -> str | None:
    """Why the device would refuse an envelope before it did anything; None when it would not."""
    try:
        check(envelope, device)
    except SuitError as error:
        return error.what
    return None


def _digest(image: bytes) -> bytes:
    return hashlib.sha256(image).digest()
