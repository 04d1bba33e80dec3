"""Pictures of a camera, row by row, cropped, resized, converted and normalized to a model's input, in integers.

Step: a row of the source, uint8[bytes]. Frame: a row [width, channels] of the input, in its stored values. In order:

1. Conversion of each pixel to grey or red, green, blue of 8 bits (tinyops/features/pixels.py).
2. `crop`, a box of the source; with fit "crop" its largest part, in the middle, of the model's aspect ratio. With fit
   "letterbox" the box keeps its aspect ratio, in the middle of the input; the rest has the colour `fill`.
   Odd pixels go to the right and below; sizes are rounded half up, at least 1.
3. `resize`, each direction by itself, rows last. Centres of pixels are at half-integers.
   nearest:  source[floor((i + 1/2) * n / m)] for element i of m made of n.
   bilinear: between the two pixels around (i + 1/2) * n / m - 1/2, edges repeated; as OpenCV's INTER_LINEAR and
             tf.image.resize without antialias. Positions have 16 bits of fraction, lines between rows 8, rounded half
             up: the level differs by at most 0.006 from the real one before it is rounded, half up as well.
   area:     the mean of the source over the output's rectangle, exactly, rounded half up. For sources larger than the
             input; the other way round it is "nearest" with the pixels mixed that an output lies across.
4. ((low + (high - low) value / 255) - mean) / deviation for `range` = (low, high), quantized to the input as all real
   values are (nearest, ties to even, clamped), by a table of the exact results for the 256 values.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tinyops.errors import ModelError
from tinyops.features import pixels
from tinyops.features.base import Array, Buffer, CConfig, FeatureSettings, FrontEnd, Picture
from tinyops.graph import DType, Tensor

__all__ = ["Image", "ImageSettings"]

_MAX_SIDE = 4096
_METHODS = ("nearest", "bilinear", "area")
_LINE_DTYPES = {"nearest": np.uint8, "bilinear": np.uint16, "area": np.uint32}

_Real = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
_Positive = Annotated[float, Field(allow_inf_nan=False, ge=1e-6, le=1e6)]
_Level = Annotated[int, Field(ge=0, le=255)]
_Side = Annotated[int, Field(ge=0, le=_MAX_SIDE)]


class ImageSettings(FeatureSettings):
    """Settings of pictures; the size and the channels (1: grey, 3: colours) that they become are those of the input."""

    summary: ClassVar[str] = "camera: crop, resize, grey or colours, normalization; rows in, rows out"

    kind: Literal["image"]
    width: int = Field(ge=1, le=_MAX_SIDE, description="pixels of a row of the source, 1 to 4096")
    height: int = Field(ge=1, le=_MAX_SIDE, description="rows of the source, 1 to 4096")
    format: pixels.Format = Field(
        description='pixels of the source: "gray", "rgb" and "bgr" have a byte for each channel, "rgb565-le" and '
        '"rgb565-be" 16 bits of which the lower or the upper byte is first, "yuyv" is YUV 4:2:2'
    )
    yuv: Literal["limited", "full"] = Field(
        default="limited",
        description='range of "yuyv": "limited" (luma 16 to 235) or "full" (0 to 255, as in JPEG); default: "limited"',
    )
    crop: tuple[_Side, _Side, _Side, _Side] | None = Field(
        default=None, description="part of the source to use: left, top, width, height in pixels; default: all"
    )
    fit: Literal["stretch", "crop", "letterbox"] = Field(
        default="stretch",
        description='where the aspect ratios differ: "stretch", "crop" (cut off what is too long), '
        '"letterbox" (all of it, with bars); default: "stretch"',
    )
    fill: _Level | tuple[_Level, _Level, _Level] = Field(
        default=0, description='colour of the bars of "letterbox": grey or (red, green, blue), 0 to 255; default: 0'
    )
    resize: Literal["nearest", "bilinear", "area"] = Field(
        default="bilinear",
        description='"nearest", "bilinear" (between the two nearest pixels in each direction) or "area" (mean of all '
        'that an output covers, best for a source much larger than the input); default: "bilinear"',
    )
    order: Literal["rgb", "bgr"] = Field(
        default="rgb", description='order of the three channels of the input: "rgb" or "bgr"; default: "rgb"'
    )
    range: tuple[_Real, _Real] = Field(
        description="real numbers that the levels 0 and 255 become, as in training: [0, 1], [-1, 1], [0, 255] or others"
    )
    mean: _Real | tuple[_Real, ...] = Field(
        default=0.0,
        description="subtracted after `range`: one number, or one per channel in the order of the input; default: 0",
    )
    deviation: _Positive | tuple[_Positive, ...] = Field(
        default=1.0, description="what is then divided by, 0.000001 to 1000000, likewise; default: 1"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.format == "yuyv" and self.width % 2:
            raise ValueError(f"width {self.width}: must be even for yuyv")
        if self.range[0] == self.range[1]:
            raise ValueError("range: the two numbers are equal")
        left, top, width, height = self.box
        if width == 0 or height == 0 or left + width > self.width or top + height > self.height:
            raise ValueError(f"crop {self.crop}: allowed: a part, not empty, of {self.width} x {self.height} pixels")
        for name in ("mean", "deviation"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) not in (1, 3):
                raise ValueError(f"{name} has {len(value)} entries, allowed: one number, or one per channel (1 or 3)")
        return self

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width, height of the part to use."""
        return self.crop or (0, 0, self.width, self.height)

    def per_channel(self, name: str, channels: int) -> list[Fraction]:
        """The setting as exact decimal numbers, one for all repeated. Raises ValueError for another number of them."""
        given = getattr(self, name)
        values = given if isinstance(given, tuple) else (given,) * channels
        if len(values) != channels:
            raise ValueError(f"{name} has {len(values)} entries, the input has {channels} channels")
        return [Fraction(str(x)) for x in values]

    def front_end(self, tensor: Tensor) -> Image:
        return Image(self, tensor)


def _half_up(numerator: int, denominator: int) -> int:
    return max(1, (2 * numerator + denominator) // (2 * denominator))


def _place(settings: ImageSettings, width: int, height: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Left, top, width, height of the crop in the source, and of what it becomes in the input of width x height."""
    left, top, w, h = settings.box
    wider = w * height > h * width
    if settings.fit == "crop":
        inner = (_half_up(h * width, height), h) if wider else (w, _half_up(w * height, width))
        inner = min(inner[0], w), min(inner[1], h)
        return (left + (w - inner[0]) // 2, top + (h - inner[1]) // 2, *inner), (0, 0, width, height)
    if settings.fit == "letterbox":
        inner = (width, _half_up(h * width, w)) if wider else (_half_up(w * height, h), height)
        inner = min(inner[0], width), min(inner[1], height)
        return settings.box, ((width - inner[0]) // 2, (height - inner[1]) // 2, *inner)
    return settings.box, (0, 0, width, height)


def _table(settings: ImageSettings, tensor: Tensor) -> Array:
    """[channels, 256] stored values of the input, or [1, 256] where all channels have the same."""
    low, high = (Fraction(str(x)) for x in settings.range)
    rows = []
    channels = tensor.shape[3]
    normalization = zip(
        settings.per_channel("mean", channels), settings.per_channel("deviation", channels), strict=True
    )
    for mean, deviation in normalization:
        real = [(low + (high - low) * level / 255 - mean) / deviation for level in range(256)]
        if tensor.dtype is DType.FLOAT32:
            rows.append(np.array([float(x) for x in real], np.float32))
            continue
        info, scale = np.iinfo(tensor.dtype.numpy), Fraction(tensor.scale)
        stored = [round(x / scale + tensor.zero_point) for x in real]
        rows.append(np.clip(np.array(stored, object), info.min, info.max).astype(tensor.dtype.numpy))
    return np.array(rows if any(not np.array_equal(row, rows[0]) for row in rows) else rows[:1])


class Image(FrontEnd):
    """Rows of a model's input, as stored values, of rows of pictures, one picture after the other."""

    scaled_fields = ("table",)

    def __init__(self, settings: ImageSettings, tensor: Tensor) -> None:
        """Raises ModelError where the input is no picture [1, height, width, 1 or 3] of quantized or float values."""
        _check_input(settings, tensor)
        _, self._height, self._width, self._channels = tensor.shape
        self.settings = settings
        self._layout = pixels.LAYOUTS[settings.format]
        self._yuv = pixels.yuv_coefficients(settings.yuv == "full")
        self._crop, self._fit = _place(settings, self._width, self._height)
        self._table = _table(settings, tensor)
        given = settings.fill if isinstance(settings.fill, tuple) else (settings.fill,) * 3
        self._fill = self._ordered(pixels.luma(np.array(given)) if self._channels == 1 else np.array(given, np.uint8))
        self._column, self._row = (_positions(settings.resize, self._crop[k], self._fit[k]) for k in (2, 3))
        self.source = Picture(
            settings.width,
            settings.height,
            1 if self._layout.gray else 3,
            lambda picture: pixels.encode(picture, settings.format, settings.yuv == "full"),
        )
        self.raw_dtype, self.raw_shape = np.dtype(np.uint8), (settings.width * self._layout.pixel_bytes,)
        self.frame_dtype, self.frame_shape = tensor.dtype.numpy, (self._width, self._channels)
        self.unit = None
        self.reset()

    def reset(self) -> None:
        self._pushed, self._pulled = 0, 0
        shape = (self._crop[3], self._fit[2], self._channels)
        self._lines = np.zeros(shape, _LINE_DTYPES[self.settings.resize])

    def process(self, raw: Array) -> Array:
        """Stored values [rows, width, channels] of uint8[steps, bytes]: the rows that these rows complete."""
        self.check_raw(raw)
        frames = [np.zeros((0, *self.frame_shape), self.frame_dtype)]
        while len(raw):
            if self._pushed == self.settings.height:
                self._pushed, self._pulled = 0, 0
            taken = min(len(raw), self.settings.height - self._pushed)
            frames.append(self._advance(raw[:taken]))
            raw = raw[taken:]
        return np.concatenate(frames)

    def frames_after(self, steps: int) -> int:
        pictures, rows = divmod(steps, self.settings.height)
        return pictures * self._height + self._rows_after(rows)

    def _rows_after(self, rows: int) -> int:
        """How many rows of the input `rows` rows of a picture give."""
        if rows == 0:
            return 0
        _, top, _, height = self._crop
        there = min(max(rows - top, 0), height)
        if self.settings.resize == "area":
            ready = there * self._fit[3] // height
        else:
            index, fraction = self._row
            ready = int(np.searchsorted(index + (fraction != 0), there))
        return self._height if ready == self._fit[3] else self._fit[1] + ready

    def _advance(self, rows: Array) -> Array:
        """The output of rows of one picture."""
        _, top, _, height = self._crop
        first = max(self._pushed, top)
        used = rows[max(first - self._pushed, 0) : max(top + height - self._pushed, 0)]
        if len(used):
            self._lines[first - top : first - top + len(used)] = self._across(used)
        self._pushed += len(rows)
        start, self._pulled = self._pulled, self._rows_after(self._pushed)
        left, top, width, height = self._fit
        levels = np.empty((self._pulled - start, *self.frame_shape), np.uint8)
        levels[:] = self._fill
        some = range(min(max(start - top, 0), height), min(max(self._pulled - top, 0), height))
        if some:
            at = some.start + top - start
            levels[at : at + len(some), left : left + width] = self._down(some)
        return np.asarray(self._table[np.arange(self._channels) % len(self._table), levels])

    def _ordered(self, rgb: Array) -> Array:
        """Channels in the order of the input."""
        return rgb[..., ::-1] if self.settings.order == "bgr" else rgb

    def _across(self, rows: Array) -> Array:
        """Lines [rows, width of the fit, channels] of the rows of the crop."""
        left, _, width, _ = self._crop
        levels = self._ordered(pixels.decode(rows, self._layout, self._yuv, self._channels == 1))
        levels = levels[:, left : left + width]
        if self.settings.resize == "area":
            sums = pixels.box(np.moveaxis(levels, 1, 0), width, self._fit[2], range(self._fit[2]))
            return np.moveaxis(sums, 0, 1)
        index, fraction = self._column
        if self.settings.resize == "nearest":
            return levels[:, index]
        one = 1 << pixels.POSITION_BITS
        after = levels[:, np.minimum(index + 1, width - 1)].astype(np.int64)
        total = levels[:, index] * (one - fraction)[:, None] + after * fraction[:, None]
        shift = pixels.POSITION_BITS - pixels.LINE_BITS
        return np.asarray((total + (1 << (shift - 1))) >> shift)

    def _down(self, which: range) -> Array:
        """Levels of rows `which` of the fit, made of lines."""
        if self.settings.resize == "area":
            size = self._crop[2] * self._crop[3]
            return (pixels.box(self._lines, self._crop[3], self._fit[3], which) + size // 2) // size
        index, fraction = (x[which.start : which.stop] for x in self._row)
        if self.settings.resize == "nearest":
            return self._lines[index]
        one, weight = 1 << pixels.POSITION_BITS, fraction[:, None, None]
        after = self._lines[np.minimum(index + 1, len(self._lines) - 1)].astype(np.int64)
        shift = pixels.POSITION_BITS + pixels.LINE_BITS
        return np.asarray((self._lines[index] * (one - weight) + after * weight + (1 << (shift - 1))) >> shift)

    def c_config(self) -> CConfig:
        resize, layout = self.settings.resize, self._layout
        fields: dict[str, int | Array | None] = {
            "height": self.settings.height,
            "packing": layout.packing,
            "pixel_bytes": layout.pixel_bytes,
            "red": layout.red,
            "green": layout.green,
            "blue": layout.blue,
            "luma": np.array(pixels.LUMA, np.int32),
            "yuv": np.array(self._yuv, np.int32) if self.settings.format == "yuyv" else None,
            "method": _METHODS.index(resize),
            "width": self._width,
            "height_out": self._height,
            "channels": self._channels,
            "fill": self._fill.astype(np.uint8),
            "red_channel": 2 if self.settings.order == "bgr" else 0,
            "table": self._table.view(np.uint32) if self._table.dtype == np.float32 else self._table,
            "table_step": 256 if len(self._table) > 1 else 0,
            "element_size": self._table.itemsize,
        }
        for name, box in (("crop", self._crop), ("fit", self._fit)):
            fields |= {f"{name}_{side}": x for side, x in zip(("left", "top", "width", "height"), box, strict=True)}
        for name, (index, fraction) in (("column", self._column), ("row", self._row)):
            fields[name] = None if resize == "area" else index.astype(np.uint16)
            fields[f"{name}_fraction"] = fraction.astype(np.uint16) if resize == "bilinear" else None
        length = self._fit[2] * self._channels
        lines = Buffer(np.dtype(_LINE_DTYPES[resize]).name, 2 * length if resize == "bilinear" else length)
        buffers = {"line": lines} | ({"sum": Buffer("uint32", length)} if resize == "area" else {})
        return CConfig("to_image", ("to_image.h", "to_image.c"), fields, buffers)


def _positions(resize: str, source: int, target: int) -> tuple[Array, Array]:
    """(index, fraction) for each element of the target; nothing for "area"."""
    if resize == "bilinear":
        return pixels.bilinear(source, target)
    index = pixels.nearest(source, target) if resize == "nearest" else np.zeros(0, np.int64)
    return index, np.zeros_like(index)


def _check_input(settings: ImageSettings, tensor: Tensor) -> None:
    where = f"input {tensor.name}"
    shape = tensor.shape
    if (
        len(shape) != 4
        or shape[0] != 1
        or shape[3] not in (1, 3)
        or not 1 <= min(shape[1:3]) <= max(shape[1:3]) <= _MAX_SIDE
    ):
        allowed = f"[1, height, width, 1 or 3], with sides of 1 to {_MAX_SIDE}"
        raise ModelError(f"shape {list(shape)} is no picture", where=where, allowed=allowed)
    quantized: Any = tensor.quantization is not None and not tensor.quantization.per_channel
    if tensor.dtype is not DType.FLOAT32 and not (tensor.dtype in (DType.INT8, DType.UINT8, DType.INT16) and quantized):
        raise ModelError(f"dtype {tensor.dtype}", where=where, allowed="float32, or int8, uint8, int16 with a scale")
    if settings.every is not None and settings.every % shape[1]:
        raise ModelError(
            f"every = {settings.every} rows", where=where, allowed=f"whole pictures, that is multiples of {shape[1]}"
        )
    for name in ("mean", "deviation"):
        try:
            settings.per_channel(name, shape[3])
        except ValueError as error:
            raise ModelError(str(error), where=where, allowed="one number, or one per channel") from error
