"""What an update is, independent of the dialect that says it: the object that the emitters turn into a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import NAMESPACE_DNS, UUID, uuid5

from tinyops.suit.commands import ComponentId, VersionMatch
from tinyops.suit.manifest import LanguageTexts

MODEL: ComponentId = (b"model",)
FIRMWARE: ComponentId = (b"firmware",)
KEYS: ComponentId = (b"keys",)


def vendor_uuid(domain: str) -> UUID:
    """The vendor identifier of a DNS domain."""
    return uuid5(NAMESPACE_DNS, domain)


def class_uuid(vendor: UUID, info: str) -> UUID:
    """The class identifier of `info` (for a model: "board|kernel-abi|task") within a vendor."""
    return uuid5(vendor, info)


@dataclass(frozen=True, slots=True)
class Delta:
    """A patch that makes the image out of the one with `base_digest` (SHA-256) and `base_size` bytes."""

    uri: str
    base_digest: bytes
    base_size: int
    encryption_info: bytes | None = None


@dataclass(frozen=True, slots=True)
class SlotImage:
    """What to install when the component's free slot is number `slot`: images linked for their place."""

    slot: int
    digest: bytes
    size: int
    uri: str


@dataclass(frozen=True, slots=True)
class Image:
    """One component of an update.

    `digest` (SHA-256) and `size` are those of the installed image: of the plaintext when it is encrypted, of the
    result when a delta is used. It comes from `uri` (a URI of "#name" is the payload of that name in the
    envelope), or it is `content`, written by the manifest itself, or it depends on the slot: then `slots` say
    digest, size and URI. `encryption_info` is an encoded SUIT_Encryption_Info (`tinyops.suit.encryption`).
    `vendor` and `class_id` default to those of the update; `invoke` starts the component after installation.
    """

    component: ComponentId
    digest: bytes = b""
    size: int = 0
    uri: str | None = None
    content: bytes | None = None
    deltas: tuple[Delta, ...] = ()
    encryption_info: bytes | None = None
    vendor: UUID | None = None
    class_id: UUID | None = None
    slots: tuple[SlotImage, ...] = ()
    invoke: bool = False


@dataclass(frozen=True, slots=True)
class UpdateDescription:
    """An update.

    `use_before` is a Unix time in seconds, `device` limits the update to one device, `manifest_component` names
    the sequence counter (None: the device's first), `set_version` is the version that it brings and
    `requires_version` what must be installed before. `payloads` are the integrated payloads by their "#name";
    `coswid` is an encoded CoSWID tag (`tinyops.suit.coswid`). Texts and CoSWID are severed into the envelope,
    where a server may drop them.
    """

    sequence: int
    vendor: UUID
    class_id: UUID
    images: tuple[Image, ...]
    device: UUID | None = None
    use_before: int | None = None
    reference_uri: str | None = None
    manifest_component: ComponentId | None = None
    set_version: tuple[int, ...] | None = None
    requires_version: VersionMatch | None = None
    texts: Mapping[str, LanguageTexts] = field(default_factory=dict)
    coswid: bytes | None = None
    payloads: Mapping[str, bytes] = field(default_factory=dict)
