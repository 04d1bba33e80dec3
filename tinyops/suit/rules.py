"""Rules that make a manifest acceptable to every receiver that we know; the emitters refuse what breaks them."""

from __future__ import annotations

from uuid import UUID

from tinyops.suit.errors import AuthoringError
from tinyops.suit.registry import Dialect, DialectName
from tinyops.suit.update import Image, UpdateDescription

MAX_URI = 127
MAX_REFERENCE_URI = 255
MAX_COMPONENTS = 4
MAX_COMPONENT_PARTS = 4
MAX_COMPONENT_BYTES = 31
MAX_DELTAS = 3
MAX_CONTENT = 512
MAX_U32 = (1 << 32) - 1
RIOT_MANIFEST_BYTES = 640


def _demand(holds: bool, what: str, where: str, allowed: str) -> None:
    if not holds:
        raise AuthoringError(what, where=where, allowed=allowed)


def check_description(update: UpdateDescription, dialect: Dialect) -> None:
    """Raise `AuthoringError` naming the field that breaks a rule."""
    _demand(0 < update.sequence <= MAX_U32, f"sequence number {update.sequence}", "sequence", "1 to 2^32 - 1")
    _demand(
        0 < len(update.images) <= MAX_COMPONENTS, f"{len(update.images)} images", "images", f"1 to {MAX_COMPONENTS}"
    )
    components = [image.component for image in update.images]
    _demand(len(set(components)) == len(components), "a component twice", "images", "each component once")
    for number, image in enumerate(update.images):
        _check_image(update, image, f"images[{number}]")
    if update.use_before is not None:
        _demand(0 < update.use_before < 1 << 63, str(update.use_before), "use_before", "a Unix time in seconds")
    if update.reference_uri is not None:
        _check_uri(update.reference_uri, "reference_uri", MAX_REFERENCE_URI)
    if update.manifest_component is not None:
        _check_component(update.manifest_component, "manifest_component")
    for name, version in (("set_version", update.set_version), ("requires_version", _required(update))):
        _demand(version is None or 0 < len(version) <= 4, str(version), name, "one to four numbers")
    used = {image.uri for image in update.images}
    used |= {delta.uri for image in update.images for delta in image.deltas}
    used |= {slot.uri for image in update.images for slot in image.slots}
    for payload in update.payloads:
        _demand(payload.startswith("#") and len(payload) > 1, repr(payload), "payloads", 'names such as "#model"')
        _demand(payload in used, f"{payload} is not used by an image", "payloads", "payloads that an image's uri names")
    if dialect.name is DialectName.RIOT_LEGACY:
        _check_riot(update)


def _required(update: UpdateDescription) -> tuple[int, ...] | None:
    return None if update.requires_version is None else update.requires_version.version


def _check_image(update: UpdateDescription, image: Image, where: str) -> None:
    _check_component(image.component, f"{where}.component")
    identifiers = {"vendor": image.vendor or update.vendor, "class_id": image.class_id or update.class_id}
    for name, identifier in identifiers.items():
        _demand(isinstance(identifier, UUID) and identifier.int != 0, str(identifier), f"{where}.{name}", "a UUID")
    if image.slots:
        _check_slots(update, image, where)
        return
    _check_target(image.digest, image.size, where)
    if image.content is not None:
        _demand(image.uri is None and not image.deltas, "both content and a URI", where, "one source")
        length = len(image.content)
        _demand(0 < length <= MAX_CONTENT, f"{length} bytes", f"{where}.content", f"1 to {MAX_CONTENT}")
        fits = length == image.size or image.encryption_info is not None
        _demand(fits, f"{image.size} for {length} bytes of content", f"{where}.size", "the length of content")
        return
    _check_payload(update, image.uri, f"{where}.uri")
    _demand(len(image.deltas) <= MAX_DELTAS, f"{len(image.deltas)} deltas", f"{where}.deltas", f"up to {MAX_DELTAS}")
    for number, delta in enumerate(image.deltas):
        here = f"{where}.deltas[{number}]"
        _check_target(delta.base_digest, delta.base_size, f"{here}.base")
        _demand(delta.base_digest != image.digest, "the delta's base is the image itself", here, "another image")
        _check_payload(update, delta.uri, f"{here}.uri")


def _check_target(digest: bytes, size: int, where: str) -> None:
    _demand(len(digest) == 32, f"{len(digest)} bytes", f"{where}.digest", "a SHA-256 of 32 bytes")
    _demand(0 < size <= MAX_U32, f"{size} bytes", f"{where}.size", "1 to 2^32 - 1")


def _check_payload(update: UpdateDescription, uri: str | None, where: str) -> None:
    if uri is None:
        raise AuthoringError("no source of the image", where=where, allowed="uri, content or slots")
    _check_uri(uri, where, MAX_URI)
    if uri.startswith("#"):
        _demand(uri in update.payloads, f"no payload {uri}", where, "a name in `payloads`")


def _check_slots(update: UpdateDescription, image: Image, where: str) -> None:
    alone = not (image.digest or image.size or image.uri or image.content or image.deltas or image.encryption_info)
    _demand(alone, "slots beside another source", where, "slots alone")
    numbers = [slot.slot for slot in image.slots]
    _demand(2 <= len(numbers) <= 4 and len(set(numbers)) == len(numbers), f"slots {numbers}", where, "2 to 4 of them")
    for slot in image.slots:
        here = f"{where} slot {slot.slot}"
        _demand(0 <= slot.slot <= MAX_U32, str(slot.slot), here, "0 to 2^32 - 1")
        _check_target(slot.digest, slot.size, here)
        _check_payload(update, slot.uri, f"{here}.uri")


def _check_component(component: tuple[bytes, ...], where: str) -> None:
    _demand(0 < len(component) <= MAX_COMPONENT_PARTS, f"{len(component)} parts", where, f"1 to {MAX_COMPONENT_PARTS}")
    for part in component:
        _demand(
            0 < len(part) <= MAX_COMPONENT_BYTES, f"{len(part)} bytes", where, f"parts of 1 to {MAX_COMPONENT_BYTES}"
        )
        _demand(part not in {b".", b".."} and b"/" not in part, repr(part), where, "names, no paths")


def _check_uri(uri: str, where: str, limit: int) -> None:
    _demand(0 < len(uri.encode()) <= limit, f"{len(uri.encode())} bytes", where, f"1 to {limit} bytes")
    _demand(uri.isascii() and uri.isprintable() and " " not in uri, repr(uri), where, "a URI in ASCII")


def _check_riot(update: UpdateDescription) -> None:
    where = str(DialectName.RIOT_LEGACY)
    unsaid = {
        "device": update.device,
        "use_before": update.use_before,
        "manifest_component": update.manifest_component,
        "set_version": update.set_version,
        "requires_version": update.requires_version,
        "coswid": update.coswid,
        "texts": update.texts,
        "payloads": update.payloads,
        "reference_uri": update.reference_uri,
    }
    for name, value in unsaid.items():
        _demand(not value, f"{name} cannot be said", where, "leave it out, or use the dialect final")
    for number, image in enumerate(update.images):
        here = f"{where} images[{number}]"
        _demand(image.encryption_info is None, "encryption", here, "plaintext images")
        _demand(image.content is None, "content in the manifest", here, "an image at a URI")
        _demand(not image.deltas, "deltas (RIOT checks an image only after its download)", here, "full images")
        _demand(not image.invoke, "invoke", here, "RIOT boots the new slot by itself")
