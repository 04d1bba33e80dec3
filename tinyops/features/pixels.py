"""Pixels of cameras as 8-bit grey or red, green, blue, in integers; and where resized ones come from.

Grey: (19595 R + 38470 G + 7471 B + 2^15) >> 16, the luma of BT.601 as Pillow rounds it. RGB565: the upper bits are
repeated in the lower ones. YUYV: the inverse of BT.601 with coefficients of 20 bits, rounded half up and clamped; the
grey of it is its luma alone, stretched to 0 to 255 where it has the range 16 to 235.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

import numpy as np

from tinyops.features.base import Array

Format = Literal["gray", "rgb", "bgr", "rgb565-le", "rgb565-be", "yuyv"]

#: Weights of red, green and blue in the luma: their sum is 2^16.
LUMA: Final = (19595, 38470, 7471)
#: Fraction bits of a position in the source, of a line of the bilinear method, and of the coefficients of YUYV.
POSITION_BITS: Final = 16
LINE_BITS: Final = 8
_LUMA_BITS: Final = 16
_YUV_BITS: Final = 20


@dataclass(frozen=True)
class Layout:
    """How the bytes of a row are read; the fields are those of the C struct to_image_config.

    `packing`: 0 bytes, 1 RGB565, 2 YUYV. `red`, `green`, `blue`: offsets of the bytes of a pixel; for RGB565 `red` is
    that of the byte with red in it. `gray`: all three are the same byte.
    """

    packing: int
    pixel_bytes: int
    red: int = 0
    green: int = 0
    blue: int = 0
    gray: bool = False


LAYOUTS: Final[dict[Format, Layout]] = {
    "gray": Layout(0, 1, gray=True),
    "rgb": Layout(0, 3, 0, 1, 2),
    "bgr": Layout(0, 3, 2, 1, 0),
    "rgb565-le": Layout(1, 2, red=1, blue=0),
    "rgb565-be": Layout(1, 2, red=0, blue=1),
    "yuyv": Layout(2, 2),
}


def yuv_coefficients(full_range: bool) -> tuple[int, ...]:
    """(offset of Y, then times 2^20: Y, V in red, U in green, V in green, U in blue) of BT.601."""
    red, blue = Fraction(299, 1000), Fraction(114, 1000)
    green = 1 - red - blue
    luma, chroma = (Fraction(1), Fraction(1)) if full_range else (Fraction(255, 219), Fraction(255, 224))
    v, u = 2 * (1 - red) * chroma, 2 * (1 - blue) * chroma
    factors = (luma, v, -u * blue / green, -v * red / green, u)
    return (0 if full_range else 16, *(round(x * 2**_YUV_BITS) for x in factors))


def decode(rows: Array, layout: Layout, yuv: tuple[int, ...], gray: bool) -> Array:
    """uint8[rows, pixels, 1 if gray else 3] of uint8[rows, bytes]; the three are red, green, blue."""
    if layout.packing == 2:
        return _decode_yuyv(rows, yuv, gray)
    pixels = rows.reshape(len(rows), -1, layout.pixel_bytes)
    if layout.gray:
        return np.repeat(pixels, 1 if gray else 3, 2)
    if layout.packing == 0:
        rgb = pixels[:, :, [layout.red, layout.green, layout.blue]]
    else:
        bits = pixels[:, :, layout.red].astype(np.int64) << 8 | pixels[:, :, layout.blue]
        red, green, blue = bits >> 11, bits >> 5 & 63, bits & 31
        expanded = [red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2]
        rgb = np.stack(expanded, -1).astype(np.uint8)
    return luma(rgb) if gray else rgb


def encode(picture: Array, format_: Format, full_range: bool) -> Array:
    """Rows uint8[height, bytes], as a camera gives them, of uint8[height, width, 1 (grey) or 3 (red, green, blue)].

    16-bit colours are cut off; of YUYV the colour of two pixels is their mean, all rounded to the nearest.
    """
    if format_ == "bgr":
        picture = picture[:, :, ::-1]
    elif format_.startswith("rgb565"):
        red, green, blue = (picture[:, :, k].astype(np.uint16) for k in range(3))
        bits = (red >> 3) << 11 | (green >> 2) << 5 | blue >> 3
        picture = bits.astype(">u2" if format_ == "rgb565-be" else "<u2").view(np.uint8)
    elif format_ == "yuyv":
        picture = _encode_yuyv(picture, full_range)
    return np.ascontiguousarray(picture).reshape(len(picture), -1)


def _encode_yuyv(picture: Array, full_range: bool) -> Array:
    rgb = picture.astype(np.float64)
    y = rgb @ np.array([0.299, 0.587, 0.114])
    u, v = ((rgb[:, :, k] - y) / span for k, span in ((2, 1.772), (0, 1.402)))
    offset, luma_scale, chroma_scale = (0.0, 1.0, 1.0) if full_range else (16.0, 219 / 255, 224 / 255)
    pairs = np.empty((len(picture), picture.shape[1] // 2, 4))
    pairs[:, :, [0, 2]] = (offset + luma_scale * y).reshape(len(picture), -1, 2)
    for k, chroma in ((1, u), (3, v)):
        pairs[:, :, k] = 128 + chroma_scale * chroma.reshape(len(picture), -1, 2).mean(2)
    return np.clip(np.round(pairs), 0, 255).astype(np.uint8)


def luma(rgb: Array) -> Array:
    """uint8[..., 1] of uint8[..., 3]."""
    weighted = rgb.astype(np.int64) @ np.array(LUMA) + (1 << (_LUMA_BITS - 1))
    levels: Array = np.asarray(weighted >> _LUMA_BITS).astype(np.uint8)
    return np.asarray(levels[..., None])


def _decode_yuyv(rows: Array, yuv: tuple[int, ...], gray: bool) -> Array:
    pairs = rows.reshape(len(rows), -1, 4).astype(np.int64)
    y = pairs[:, :, [0, 2]].reshape(len(rows), -1)
    u, v = (np.repeat(pairs[:, :, k] - 128, 2, 1) for k in (1, 3))
    offset, scale, v_red, u_green, v_green, u_blue = yuv
    base = (y - offset) * scale + (1 << (_YUV_BITS - 1))
    levels = [base] if gray else [base + v_red * v, base + u_green * u + v_green * v, base + u_blue * u]
    return np.asarray(np.clip(np.stack(levels, -1) >> _YUV_BITS, 0, 255), np.uint8)


def nearest(source: int, target: int) -> Array:
    """int64[target]: floor((i + 1/2) * source / target), the index of the source's element for each of the target's."""
    return np.asarray((2 * np.arange(target) + 1) * source // (2 * target), np.int64)


def bilinear(source: int, target: int) -> tuple[Array, Array]:
    """(index, fraction): element i lies at (i + 1/2) * source / target - 1/2, kept within the source.

    The fraction has 16 bits, rounded half up; it is 0 where the index is the last one.
    """
    position = (2 * np.arange(target, dtype=np.int64) + 1) * source - target
    fixed = ((position << POSITION_BITS) + target) // (2 * target)
    fixed = np.clip(fixed, 0, (source - 1) << POSITION_BITS)
    return fixed >> POSITION_BITS, fixed & ((1 << POSITION_BITS) - 1)


def box(x: Array, source: int, target: int, which: range) -> Array:
    """int64[len(which), ...]: sums over the spans of x[source, ...] that make the elements `which` of the target.

    An element of the source has the weight `target`, divided between the spans that it lies in; a span has the weight
    `source`.
    """
    sums = []
    for i in which:
        start, stop = i * source, (i + 1) * source
        first, last = start // target, (stop - 1) // target
        edges = np.arange(first, last + 2) * target
        weights = np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start)
        sums.append(np.tensordot(weights, x[first : last + 1].astype(np.int64), 1))
    return np.array(sums, np.int64).reshape(len(which), *x.shape[1:])
