"""Deltas of firmware images by detools, which has decoders in C for boot loaders and applications.

Sequential patches need both images side by side; in-place patches rebuild an image inside of the memory that holds
the old one. Both are compressed with heatshrink, and applied again here before they are returned.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType

from tinyops.errors import MissingToolError, TinyopsError, UsageError

_COMPRESSION = "heatshrink"


class PatchKind(StrEnum):
    """How the device applies a patch."""

    SEQUENTIAL = "sequential"
    IN_PLACE = "in-place"


@dataclass(frozen=True)
class InPlace:
    """The memory that an in-place patch works in, and its erase unit, in bytes."""

    memory: int
    segment: int


def _detools() -> ModuleType:
    try:
        import detools
    except ImportError as error:
        raise MissingToolError(
            "the package detools is not installed", hint='pip install "tinyops[firmware]"'
        ) from error
    module: ModuleType = detools
    return module


def make_patch(old: bytes, new: bytes, in_place: InPlace | None = None) -> bytes:
    """A patch from `old` to `new`: sequential, or in place. TinyopsError when the memory does not suffice."""
    detools = _detools()
    options = {"patch_type": str(PatchKind.SEQUENTIAL), "compression": _COMPRESSION}
    sizes: dict[str, int] = {}
    if in_place is not None:
        if in_place.segment <= 0 or in_place.memory % in_place.segment:
            raise UsageError(
                f"{in_place.memory:,} bytes of memory", where="in-place patch", allowed="a multiple of the erase unit"
            )
        if in_place.memory < max(len(old), len(new)):
            raise UsageError(
                f"{in_place.memory:,} bytes of memory", where="in-place patch", allowed="room for either image"
            )
        options["patch_type"] = str(PatchKind.IN_PLACE)
        sizes = {"memory_size": in_place.memory, "segment_size": in_place.segment}
    made = io.BytesIO()
    try:
        detools.create_patch(io.BytesIO(old), io.BytesIO(new), made, **options, **sizes)
    except detools.Error as error:
        raise TinyopsError(f"detools cannot make the patch: {error}") from error
    patch = made.getvalue()
    if apply_patch(old, patch, in_place) != new:
        raise TinyopsError("the patch does not give the new image")
    return patch


def apply_patch(old: bytes, patch: bytes, in_place: InPlace | None = None) -> bytes:
    """The image that a patch makes of `old`; TinyopsError for a patch that is none, or of another image."""
    detools = _detools()
    try:
        if in_place is None:
            made = io.BytesIO()
            detools.apply_patch(io.BytesIO(old), io.BytesIO(patch), made)
            return _not_empty(made.getvalue())
        memory = io.BytesIO(old.ljust(in_place.memory, b"\xff"))
        size = detools.apply_patch_in_place(memory, io.BytesIO(patch))
        return _not_empty(memory.getvalue()[:size])
    except (detools.Error, ValueError, OSError, EOFError, IndexError) as error:
        raise TinyopsError(f"the patch cannot be applied: {error}") from error


def _not_empty(image: bytes) -> bytes:
    if not image:
        raise ValueError("it makes an empty image")
    return image
