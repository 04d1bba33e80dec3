"""Images of whole firmware: what boot loaders read, and patches between them."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from tinyops.errors import TinyopsError, UsageError
from tinyops.update.firmware_delta import InPlace, apply_patch, make_patch
from tinyops.update.firmware_image import ImageFormat, ImageLayout, fletcher32, make_image, read_image
from tinyops.update.inspection import inspect_bytes
from tinyops.update.pack_firmware import FirmwareOptions, firmware_part
from tinyops.update.signing import Algorithm, SoftwareSigner

_FIRMWARE = random.Random(1).randbytes(20_000)
_RIOT = ImageLayout("7", start_address=0x0800_2100)


def _changed() -> bytes:
    changed = bytearray(_FIRMWARE)
    changed[5000:5010] = b"helloworld"
    return bytes(changed[:9000]) + b"new code" + bytes(changed[9000:])


@pytest.fixture(scope="module", params=[Algorithm.ED25519, Algorithm.ES256])
def signer(request: pytest.FixtureRequest) -> SoftwareSigner:
    return SoftwareSigner.generate(request.param)


@pytest.mark.parametrize(
    "layout",
    [
        ImageLayout("1.2.3+4", header=512),
        ImageLayout("1.2.3", slot=65536, confirmed=True),
        ImageLayout("0.0.1", align=8),
    ],
    ids=["padded", "confirmed", "plain"],
)
def test_mcuboot_image(signer: SoftwareSigner, layout: ImageLayout) -> None:
    image = make_image(_FIRMWARE, ImageFormat.MCUBOOT, layout, signer)
    assert read_image(image, ImageFormat.MCUBOOT, layout, signer.public) == _FIRMWARE
    assert len(image) == layout.slot or not layout.confirmed
    magic, header = struct.unpack_from("<I4xH", image)
    assert magic == 0x96F3B83D
    assert header == (layout.header or 32)
    shown = inspect_bytes(image)
    assert shown["ok"]
    assert shown["version"].startswith(layout.version.partition("+")[0])


def test_mcuboot_image_that_was_changed(signer: SoftwareSigner) -> None:
    layout = ImageLayout("1.2.3")
    image = make_image(_FIRMWARE, ImageFormat.MCUBOOT, layout, signer)
    other = SoftwareSigner.generate(signer.public.algorithm)
    with pytest.raises(TinyopsError, match="INVALID_SIGNATURE"):
        read_image(image, ImageFormat.MCUBOOT, layout, other.public)
    for at in (40, 10_000, len(image) - 1, len(image) - 40):
        changed = image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]
        with pytest.raises(TinyopsError):
            read_image(changed, ImageFormat.MCUBOOT, layout, signer.public)
    for size in (0, 1, 31, 100, 20_032, len(image) - 1):
        with pytest.raises(TinyopsError):
            read_image(image[:size], ImageFormat.MCUBOOT, layout, signer.public)


def test_mcuboot_needs_a_key_that_it_verifies() -> None:
    with pytest.raises(UsageError, match="no key is named"):
        make_image(_FIRMWARE, ImageFormat.MCUBOOT, ImageLayout())
    with pytest.raises(UsageError, match="does not verify ml-dsa-44"):
        make_image(_FIRMWARE, ImageFormat.MCUBOOT, ImageLayout(), SoftwareSigner.generate(Algorithm.ML_DSA_44))


@pytest.mark.parametrize("version", ["", "x", "1.2.3.4.5", "-1", "1.2.3+x"])
def test_mcuboot_version_that_is_none(version: str) -> None:
    with pytest.raises(TinyopsError, match=r"mcuboot|version|imgtool") as caught:
        make_image(_FIRMWARE, ImageFormat.MCUBOOT, ImageLayout(version), SoftwareSigner.generate(Algorithm.ED25519))
    assert caught.value.where == "mcuboot"


@pytest.mark.parametrize(
    ("data", "checksum"), [(b"abcde\0", 0xF04FC729), (b"abcdef", 0x56502D2A), (b"abcdefgh", 0xEBE19591)]
)
def test_fletcher32(data: bytes, checksum: int) -> None:
    """The values that everyone's implementation gives."""
    assert fletcher32(data) == checksum


def test_riotboot_header() -> None:
    image = make_image(_FIRMWARE, ImageFormat.RIOTBOOT, _RIOT)
    magic, version, start, checksum = struct.unpack_from("<4s3I", image)
    assert (magic, version, start) == (b"RIOT", 7, 0x0800_2100)
    assert checksum == fletcher32(image[:12])
    assert image[16:256] == bytes(240)
    assert image[256:] == _FIRMWARE
    assert inspect_bytes(image) == {
        "kind": "riotboot image",
        "ok": True,
        "bytes": 20_256,
        "version": 7,
        "start_address": "0x08002100",
    }
    for at in range(16):
        changed = image[:at] + bytes([image[at] ^ 0x10]) + image[at + 1 :]
        with pytest.raises(TinyopsError):
            read_image(changed, ImageFormat.RIOTBOOT, _RIOT)


@pytest.mark.parametrize(
    "layout",
    [
        ImageLayout("7"),
        ImageLayout("7", start_address=0x101),
        ImageLayout("7", start_address=1 << 32),
        ImageLayout("1.2", start_address=256),
        ImageLayout(str(1 << 32), start_address=256),
        ImageLayout("7", start_address=256, header=100),
        ImageLayout("7", start_address=256, header=0),
    ],
)
def test_riotboot_layout_that_is_none(layout: ImageLayout) -> None:
    with pytest.raises(UsageError):
        make_image(_FIRMWARE, ImageFormat.RIOTBOOT, layout)


def test_an_image_fits_its_slot() -> None:
    with pytest.raises(TinyopsError, match="20,256 bytes"):
        make_image(_FIRMWARE, ImageFormat.RIOTBOOT, ImageLayout("7", start_address=256, slot=20_000))
    with pytest.raises(TinyopsError, match="0 bytes"):
        make_image(b"", ImageFormat.RAW, ImageLayout())


@pytest.mark.parametrize("in_place", [None, InPlace(65_536, 4096), InPlace(24_576, 4096)], ids=str)
def test_patch(in_place: InPlace | None) -> None:
    patch = make_patch(_FIRMWARE, _changed(), in_place)
    assert len(patch) < len(_FIRMWARE) / 2
    assert apply_patch(_FIRMWARE, patch, in_place) == _changed()


@pytest.mark.parametrize("in_place", [InPlace(65_537, 4096), InPlace(8192, 4096), InPlace(65_536, 0)], ids=str)
def test_patch_without_room(in_place: InPlace) -> None:
    with pytest.raises(TinyopsError):
        make_patch(_FIRMWARE, _changed(), in_place)


@pytest.mark.parametrize("in_place", [None, InPlace(65_536, 4096)], ids=str)
@pytest.mark.parametrize("patch", [b"", b"x", bytes(100), b"\xff" * 100, _FIRMWARE[:1000]], ids=range(5))
def test_patch_that_is_none(patch: bytes, in_place: InPlace | None) -> None:
    with pytest.raises(TinyopsError, match="cannot be applied"):
        apply_patch(_FIRMWARE, patch, in_place)


def test_patch_that_is_cut() -> None:
    patch = make_patch(_FIRMWARE, _changed())
    for size in range(0, len(patch), 7):
        with pytest.raises(TinyopsError, match="cannot be applied"):
            apply_patch(_FIRMWARE, patch[:size])


def test_part_with_a_delta(tmp_path: Path, signer: SoftwareSigner) -> None:
    old, new = tmp_path / "old.bin", tmp_path / "new.bin"
    layout = ImageLayout("1.0.0")
    old.write_bytes(make_image(_FIRMWARE, ImageFormat.MCUBOOT, layout, signer))
    new.write_bytes(_changed())
    part = firmware_part([new], FirmwareOptions(ImageFormat.MCUBOOT, layout, signer=signer, previous=(old,)))
    (delta,) = part.deltas
    assert delta.base is not None
    assert apply_patch(old.read_bytes(), delta.content) == part.image
    unrelated = tmp_path / "unrelated.bin"
    unrelated.write_bytes(random.Random(2).randbytes(20_000))
    part = firmware_part([new], FirmwareOptions(previous=(unrelated, new)))
    assert part.deltas == ()
    assert [skipped["why"].split()[0] for skipped in part.facts["skipped_deltas"]] == ["it", "the"]


def test_part_for_two_slots(tmp_path: Path) -> None:
    files = [tmp_path / "slot0.bin", tmp_path / "slot1.bin"]
    for file in files:
        file.write_bytes(_FIRMWARE)
    options = FirmwareOptions(ImageFormat.RIOTBOOT, ImageLayout("3"), (0x1100, 0x8100))
    part = firmware_part(files, options)
    assert part.other_slot is not None
    starts = [struct.unpack_from("<8xI", payload.content)[0] for payload in (part.whole, part.other_slot)]
    assert starts == [0x1100, 0x8100]
    with pytest.raises(UsageError, match="start address belongs"):
        firmware_part(files[:1], options)
    with pytest.raises(UsageError, match="3 firmware files"):
        firmware_part([*files, files[0]], FirmwareOptions())
