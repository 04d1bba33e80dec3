"""The firmware's part of a pack: an image in the boot loader's format, or one for each of two slots, and deltas."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tinyops.errors import UsageError
from tinyops.suit import FIRMWARE
from tinyops.update.files import read_file
from tinyops.update.firmware_delta import InPlace, make_patch
from tinyops.update.firmware_image import MAX_FIRMWARE, ImageFormat, ImageLayout, make_image
from tinyops.update.pack import Part, Payload, worth_it
from tinyops.update.signing import Signer

IMAGE = "firmware.bin"


@dataclass(frozen=True)
class FirmwareOptions:
    """How an image is made of a firmware's .bin file. `start_addresses`: one for each file (riotboot)."""

    form: ImageFormat = ImageFormat.RAW
    layout: ImageLayout = field(default_factory=ImageLayout)
    start_addresses: tuple[int, ...] = ()
    signer: Signer | None = None
    previous: tuple[Path, ...] = ()
    in_place: InPlace | None = None


def firmware_part(files: Sequence[Path], options: FirmwareOptions) -> Part:
    """One file, or two that are linked for slot 0 and slot 1."""
    if len(files) > 2:
        raise UsageError(f"{len(files)} firmware files", allowed="one, or one for each of two slots")
    if options.start_addresses and len(options.start_addresses) != len(files):
        raise UsageError("a start address belongs to each firmware file", allowed=f"{len(files)} --start-address")
    if len(files) == 2 and options.previous:
        raise UsageError("there are no deltas of images for two slots")
    images = [_image(file, number, options) for number, file in enumerate(files)]
    deltas, skipped = _deltas(images[0], options)
    facts: dict[str, Any] = {
        "source": files[0].name,
        "format": str(options.form),
        "firmware_bytes": files[0].stat().st_size,
        "skipped_deltas": skipped,
    }
    other = Payload(f"slot-1-{IMAGE}", images[1]) if len(images) == 2 else None
    return Part(FIRMWARE, images[0], Payload(IMAGE, images[0]), deltas, facts, other)


def _image(file: Path, number: int, options: FirmwareOptions) -> bytes:
    layout = options.layout
    if options.start_addresses:
        layout = replace(layout, start_address=options.start_addresses[number])
    return make_image(read_file(file, MAX_FIRMWARE), options.form, layout, options.signer)


def _deltas(image: bytes, options: FirmwareOptions) -> tuple[tuple[Payload, ...], list[dict[str, Any]]]:
    found: dict[bytes, Payload] = {}
    skipped: list[dict[str, Any]] = []
    for path in options.previous:
        before = read_file(path / IMAGE if path.is_dir() else path, MAX_FIRMWARE)
        digest = hashlib.sha256(before).digest()
        if before == image:
            skipped.append({"from": str(path), "why": "the same image"})
            continue
        patch = make_patch(before, image, options.in_place)
        if worth_it(patch, image):
            method = "detools in-place" if options.in_place else "detools sequential"
            found[digest] = Payload(f"firmware-delta-{digest.hex()[:8]}.bin", patch, digest, len(before), method)
        else:
            share = 100 * len(patch) / len(image)
            skipped.append({"from": str(path), "why": f"it has {share:.0f} % of the whole"})
    return tuple(found.values()), skipped
