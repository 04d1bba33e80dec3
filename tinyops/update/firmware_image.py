"""Whole-firmware images in the formats of boot loaders: MCUboot (made by imgtool), riotboot, and raw.

Every image is taken apart again before it is returned: its payload is the firmware, its signature or checksum holds.
"""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tinyops.errors import MissingToolError, TinyopsError, UsageError
from tinyops.suit.keys import primitives
from tinyops.update.signing import Algorithm, PublicKey, Signer

MAX_FIRMWARE = 1 << 26
_EXTRA = 'pip install "tinyops[firmware]"'
_RIOT_MAGIC = 0x544F4952  # "RIOT"
_RIOT_HEADER = struct.Struct("<IIII")
_RIOT_ALIGN = 256  # of the vector table behind the header


class ImageFormat(StrEnum):
    """What the boot loader reads."""

    MCUBOOT = "mcuboot"
    RIOTBOOT = "riotboot"
    RAW = "raw"


@dataclass(frozen=True)
class ImageLayout:
    """How an image is laid out, in bytes: `header` before the firmware, its `slot` in flash, `align` of flash writes.

    `version` is MAJOR.MINOR.REVISION+BUILD for MCUboot and a number for riotboot. `start_address` is where the
    firmware, without its header, is in the address space (riotboot). `confirmed` MCUboot images are never reverted.
    """

    version: str = "0"
    header: int | None = None
    slot: int | None = None
    align: int = 4
    start_address: int | None = None
    confirmed: bool = field(default=False)


def make_image(firmware: bytes, form: ImageFormat, layout: ImageLayout, signer: Signer | None = None) -> bytes:
    """The image of `firmware` (a .bin without any header); `signer` signs MCUboot images, which need one."""
    if not 0 < len(firmware) <= MAX_FIRMWARE:
        raise TinyopsError(f"the firmware has {len(firmware):,} bytes", allowed=f"1 to {MAX_FIRMWARE:,}")
    if form is ImageFormat.MCUBOOT:
        if signer is None:
            raise UsageError("an MCUboot image is signed, and no key is named", hint="--mcuboot-key NAME")
        image = _mcuboot_image(firmware, layout, signer)
        public: PublicKey | None = signer.public
    else:
        image, public = firmware, None
        if form is ImageFormat.RIOTBOOT:
            image = _riotboot_image(firmware, layout)
    if layout.slot is not None and len(image) > layout.slot:
        raise TinyopsError(
            f"the image has {len(image):,} bytes", where=str(form), allowed=f"{layout.slot:,} bytes, the slot"
        )
    if read_image(image, form, layout, public) != firmware:
        raise TinyopsError("the image does not hold the firmware", where=str(form))
    return image


def read_image(image: bytes, form: ImageFormat, layout: ImageLayout, public: PublicKey | None = None) -> bytes:
    """The firmware in an image; TinyopsError when its structure, checksum or (with a key) signature does not hold."""
    if form is ImageFormat.MCUBOOT:
        return _read_mcuboot(image, public)
    if form is ImageFormat.RIOTBOOT:
        return _read_riotboot(image, layout.header or _RIOT_ALIGN)
    return image


# -- riotboot ------------------------------------------------------------------------------------------------------


def fletcher32(data: bytes) -> int:
    """Fletcher's checksum of 16-bit little-endian words, both sums started at 0xffff, as RIOT computes it."""
    low = high = 0xFFFF
    for (word,) in struct.iter_unpack("<H", data):
        low = (low + word) % 0xFFFF or 0xFFFF
        high = (high + low) % 0xFFFF or 0xFFFF
    return high << 16 | low


def _riotboot_image(firmware: bytes, layout: ImageLayout) -> bytes:
    header = _RIOT_ALIGN if layout.header is None else layout.header
    if header <= 0 or header % _RIOT_ALIGN:
        raise UsageError(f"a header of {header} bytes", where="riotboot", allowed=f"a multiple of {_RIOT_ALIGN}")
    if layout.start_address is None:
        raise UsageError("no start address of the firmware is named", where="riotboot", allowed="--start-address 0x...")
    if not 0 <= layout.start_address < 1 << 32 or layout.start_address % _RIOT_ALIGN:
        raise UsageError(
            f"start address {layout.start_address:#x}", where="riotboot", allowed=f"a multiple of {_RIOT_ALIGN}"
        )
    if not layout.version.isdecimal() or int(layout.version) >= 1 << 32:
        raise UsageError(f"version {layout.version!r:.40}", where="riotboot", allowed="a number below 2^32")
    fields = struct.pack("<III", _RIOT_MAGIC, int(layout.version), layout.start_address)
    return (fields + struct.pack("<I", fletcher32(fields))).ljust(header, b"\0") + firmware


def _read_riotboot(image: bytes, header: int) -> bytes:
    if len(image) <= header:
        raise TinyopsError("is too short for a riotboot image")
    magic, _, _, checksum = _RIOT_HEADER.unpack_from(image)
    if magic != _RIOT_MAGIC:
        raise TinyopsError("does not begin with RIOT", allowed="a riotboot image")
    if fletcher32(image[: _RIOT_HEADER.size - 4]) != checksum:
        raise TinyopsError("the checksum of the riotboot header is wrong")
    return image[header:]


# -- MCUboot -------------------------------------------------------------------------------------------------------


def _imgtool() -> Any:
    try:
        import imgtool.image
        import imgtool.keys
        import imgtool.version
    except ImportError as error:
        raise MissingToolError("the package imgtool is not installed", hint=_EXTRA) from error
    return imgtool


@contextmanager
def _quiet(where: str) -> Iterator[None]:
    """imgtool prints what it does, and reports with click's exceptions."""
    import click

    try:
        with redirect_stdout(io.StringIO()):
            yield
    except click.ClickException as error:
        raise TinyopsError(error.format_message(), where=where) from error
    except (ValueError, struct.error, IndexError, KeyError) as error:
        raise TinyopsError(f"is no image that imgtool can read or make: {error}", where=where) from error


def _mcuboot_image(firmware: bytes, layout: ImageLayout, signer: Signer) -> bytes:
    tool = _imgtool()
    if layout.confirmed and layout.slot is None:
        raise UsageError("a confirmed image is as large as its slot", where="mcuboot", allowed="--slot-size BYTES")
    with tempfile.TemporaryDirectory(prefix="tinyops-") as folder, _quiet("mcuboot"):
        source, target = Path(folder) / "firmware.bin", Path(folder) / "image.bin"
        source.write_bytes(firmware)
        image = tool.image.Image(
            version=tool.version.decode_version(layout.version),
            header_size=0x20 if layout.header is None else layout.header,
            pad_header=True,
            pad=layout.confirmed,
            confirm=layout.confirmed,
            align=layout.align,
            slot_size=layout.slot or 0,
        )
        image.load(str(source))
        image.create(_mcuboot_key(tool, signer.public, signer), "hash", None)
        image.save(str(target))
        return target.read_bytes()


def _mcuboot_key(tool: Any, public: PublicKey, signer: Signer | None) -> Any:
    """A key of imgtool that signs with `signer`, so that the private key may be anywhere."""
    if public.algorithm is Algorithm.ED25519:
        ed25519 = primitives("asymmetric.ed25519").Ed25519PublicKey.from_public_bytes(public.raw)
        key = tool.keys.Ed25519Public(ed25519)
        if signer is not None:
            key.sign_digest = signer.sign
        return key
    if public.algorithm is not Algorithm.ES256:
        raise UsageError(f"MCUboot does not verify {public.algorithm}", allowed="ed25519, es256")
    ec, utils = primitives("asymmetric.ec"), primitives("asymmetric.utils")
    key = tool.keys.ECDSA256P1Public(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + public.raw))

    def sign(payload: bytes) -> bytes:
        assert signer is not None
        signature = signer.sign(payload)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        der: bytes = utils.encode_dss_signature(r, s)
        return der

    if signer is not None:
        key.sign = sign
    return key


def _read_mcuboot(image: bytes, public: PublicKey | None) -> bytes:
    tool = _imgtool()
    with tempfile.TemporaryDirectory(prefix="tinyops-") as folder, _quiet("mcuboot"):
        file = Path(folder) / "image.bin"
        file.write_bytes(image)
        key = None if public is None else _mcuboot_key(tool, public, None)
        result = tool.image.Image.verify(str(file), key)[0]
    if result is not tool.image.VerifyResult.OK:
        raise TinyopsError(f"imgtool says {result.name}", where="mcuboot", allowed="an image that verifies")
    header, size = struct.unpack_from("<8xHxxI", image)
    return image[header : header + size]
