"""Pictures in NumPy against real and rational arithmetic, and in C against NumPy, bit for bit."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.cases import Case, check_cases
from tests.support.semihosted import TARGETS, Target
from tinyops.errors import ModelError, UsageError
from tinyops.features import pixels, read_settings
from tinyops.features.image import Image, ImageSettings
from tinyops.graph import DType, Quantization, Tensor

Array = np.ndarray[Any, Any]

_METHODS = ("nearest", "bilinear", "area")
_FORMATS = ("gray", "rgb", "bgr", "rgb565-le", "rgb565-be", "yuyv")


def _tensor(shape: tuple[int, ...], scale: float = 1, zero_point: int = 0, dtype: DType = DType.UINT8) -> Tensor:
    quantization = None if dtype is DType.FLOAT32 else Quantization((float(np.float32(scale)),), (zero_point,))
    return Tensor("x", dtype, shape, quantization)


def _image(shape: tuple[int, int, int], width: int, height: int, **table: Any) -> Image:
    """With levels as stored values where the table says nothing else."""
    tensor = table.pop("tensor", None) or _tensor((1, *shape))
    table = {"kind": "image", "width": width, "height": height, "format": "gray", "range": [0, 255]} | table
    found = read_settings(table, "test")
    assert isinstance(found, ImageSettings)
    return found.front_end(tensor)


def _random(image: Image, pictures: int, seed: int = 0) -> Array:
    """Noise, of which every third picture has the lowest and highest levels alone."""
    shape = (pictures, image.settings.height, *image.raw_shape)
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, shape)
    noise[::3] = np.where(noise[::3] < 128, 0, 255)
    return noise.astype(np.uint8).reshape(-1, *image.raw_shape)


def _cases() -> dict[str, Case]:
    rng = np.random.default_rng(11)
    cases: dict[str, Case] = {}

    def add(name: str, image: Image, pictures: int = 2) -> None:
        assert name not in cases
        cases[name] = Case(image, _random(image, pictures, len(cases)))

    sizes = [(1, 1, 1, 1), (1, 1, 7, 5), (7, 5, 1, 1), (9, 9, 9, 9), (32, 24, 16, 12), (33, 17, 8, 5)]
    sizes += [(8, 6, 21, 13), (40, 3, 3, 20), (3, 40, 20, 3), (64, 1, 5, 1), (1, 64, 1, 5), (30, 30, 20, 20)]
    for resize in _METHODS:
        for width, height, w, h in sizes:
            channels = int(rng.choice([1, 3]))
            name = f"{resize} {width}x{height} to {w}x{h}x{channels}"
            add(name, _image((h, w, channels), width, height, resize=resize, format="rgb"))
        add(f"{resize} of a wide row", _image((1, 7, 1), 4096, 1, resize=resize), 1)
        add(f"{resize} of a high column", _image((7, 1, 1), 1, 4096, resize=resize), 1)
        for format_ in _FORMATS:
            for channels in (1, 3):
                add(f"{resize} {format_} to {channels}", _image((5, 6, channels), 8, 7, resize=resize, format=format_))
        for fit in ("crop", "letterbox"):
            for crop in ([3, 2, 10, 11], [1, 0, 13, 4], [5, 1, 1, 12]):
                table = {"resize": resize, "fit": fit, "crop": crop, "format": "yuyv", "fill": [200, 100, 7]}
                add(f"{resize} {fit} {crop}", _image((7, 9, 3), 14, 13, **table))
    for full in ("limited", "full"):
        add(f"yuyv {full} bgr", _image((16, 16, 3), 16, 16, format="yuyv", yuv=full, order="bgr", resize="nearest"))
    dtypes: dict[DType, tuple[float, int]] = {
        DType.INT8: (1 / 64, -3),
        DType.UINT8: (1 / 50, 120),
        DType.INT16: (1 / 9000, 0),
        DType.FLOAT32: (1, 0),
    }
    for dtype, (scale, zero_point) in dtypes.items():
        tensor = _tensor((1, 6, 5, 3), scale, zero_point, dtype)
        imagenet = {"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}
        add(
            f"{dtype}",
            _image(
                (0, 0, 0),
                9,
                8,
                format="rgb",
                tensor=tensor,
                fit="letterbox",
                fill=77,
                order="bgr",
                range=[0, 1],
                **imagenet,
            ),
        )
        add(f"{dtype} alike", _image((0, 0, 0), 9, 8, format="rgb", tensor=tensor, range=[-1, 1]))
    add("a camera's picture", _image((96, 96, 1), 160, 120, resize="area", format="rgb565-be", fit="crop"), 1)
    cases["rounded lines"] = Case(*_rounded_lines())
    for _ in range(60):
        add(f"random {len(cases)}", _random_image(rng))
    return cases


def _random_image(rng: np.random.Generator) -> Image:
    """Any settings, any small size."""

    def pick(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    width, height, w, h = (int(x) for x in rng.integers(1, pick(4, 40), 4))
    left, top = int(rng.integers(width)), int(rng.integers(height))
    box = [left, top, int(rng.integers(1, width - left + 1)), int(rng.integers(1, height - top + 1))]
    dtype = pick(DType.INT8, DType.UINT8, DType.INT16, DType.FLOAT32)
    tensor = _tensor((1, h, w, pick(1, 3)), pick(1.0, 0.5), pick(0, 3), dtype)
    format_ = pick(*(_FORMATS if width % 2 == 0 else _FORMATS[:5]))
    return _image(
        (0, 0, 0),
        width,
        height,
        tensor=tensor,
        format=format_,
        resize=pick(*_METHODS),
        fit=pick("stretch", "crop", "letterbox"),
        order=pick("rgb", "bgr"),
        yuv=pick("limited", "full"),
        fill=[1, 20, 255],
        range=pick([0, 1], [-128, 127], [255, 0]),
        deviation=pick(1.0, 0.25),
        **({"crop": box} if pick(True, False) else {}),
    )


def _rounded_lines() -> tuple[Image, Array]:
    """Where 10 + 255 / 512 is rounded to 10.5, to 8 bits of fraction, and that to 11."""
    row = 10 + np.arange(511) % 2
    return _image((1, 256, 1), 511, 1, resize="bilinear"), row.astype(np.uint8)[None]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_c_is_the_twin(target: Target, tmp_path: Path) -> None:
    """All methods, formats, fits and dtypes over small, odd and extreme sizes; two pictures, one after the other.

    On RISC-V every third case: its emulator prints slowly.
    """
    cases = list(_cases().items())
    check_cases(dict(cases[::3] if target.name == "riscv32" else cases), target, tmp_path)


def _span(i: int, source: int, target: int) -> dict[int, Fraction]:
    """Element of the source -> its share of element `i` of the target, by the areas in common."""
    start, stop = Fraction(i * source, target), Fraction((i + 1) * source, target)
    shares = {}
    for k in range(source):
        common = min(Fraction(k + 1), stop) - max(Fraction(k), start)
        if common > 0:
            shares[k] = common / (stop - start)
    assert sum(shares.values()) == 1
    return shares


def _between(i: int, source: int, target: int) -> dict[int, float]:
    position = min(max((i + 0.5) * source / target - 0.5, 0.0), source - 1.0)
    first = math.floor(position)
    return (
        {first: 1 - (position - first), min(first + 1, source - 1): position - first}
        if position > first
        else {first: 1}
    )


def _centre(i: int, source: int, target: int) -> dict[int, int]:
    return {math.floor(Fraction(2 * i + 1, 2) * source / target): 1}


_SHARES: dict[str, Any] = {"nearest": _centre, "bilinear": _between, "area": _span}


def _resized(picture: Array, height: int, width: int, resize: str) -> list[list[list[Any]]]:
    """Real (or rational) levels of a picture [h, w, c]."""
    h, w, channels = picture.shape
    rows = [_SHARES[resize](y, h, height) for y in range(height)]
    columns = [_SHARES[resize](x, w, width) for x in range(width)]
    levels = picture.tolist()
    return [
        [
            [sum(a * b * levels[i][j][c] for i, a in row.items() for j, b in column.items()) for c in range(channels)]
            for column in columns
        ]
        for row in rows
    ]


_side = st.integers(1, 24)


@pytest.mark.parametrize("resize", ["nearest", "area"])
@settings(max_examples=25, deadline=None)
@given(w=_side, h=_side, width=_side, height=_side, colours=st.booleans(), seed=st.integers(0, 999))
def test_nearest_and_area_are_exact(
    resize: str, w: int, h: int, width: int, height: int, colours: bool, seed: int
) -> None:
    channels = 3 if colours else 1
    image = _image((height, width, channels), w, h, resize=resize, format="rgb" if colours else "gray")
    raw = _random(image, 1, seed)
    real = _resized(raw.reshape(h, w, channels), height, width, resize)
    expected = [[[math.floor(x + Fraction(1, 2)) for x in pixel] for pixel in row] for row in real]
    assert image.process(raw).tolist() == expected


@settings(max_examples=40, deadline=None)
@given(w=_side, h=_side, width=_side, height=_side, seed=st.integers(0, 999))
def test_bilinear_is_near_the_real_one(w: int, h: int, width: int, height: int, seed: int) -> None:
    image = _image((height, width, 1), w, h, resize="bilinear")
    raw = _random(image, 1, seed)
    real = np.array(_resized(raw[:, :, None], height, width, "bilinear"), float)
    assert np.abs(image.process(raw) - real).max() <= 0.506


def test_bilinear_is_seldom_off_by_one() -> None:
    """Against float64, rounded half up: 1 of 255 off in less than 0.2 % of the levels of random sizes, never more."""
    rng = np.random.default_rng(0)
    different = total = 0
    for w, h, width, height in rng.integers(20, 200, (20, 4)).tolist():
        image = _image((height, width, 1), w, h, resize="bilinear")
        raw = rng.integers(0, 256, (h, w)).astype(np.uint8)
        rows, columns = np.zeros((height, h)), np.zeros((width, w))
        for shares, source, target in ((rows, h, height), (columns, w, width)):
            for i in range(target):
                for k, share in _between(i, source, target).items():
                    shares[i, k] += share
        difference = np.abs(image.process(raw)[..., 0] - np.floor(rows @ raw @ columns.T + 0.5 + 1e-9))
        assert difference.max() <= 1
        different, total = different + int(difference.sum()), total + difference.size
    assert different / total < 0.002


def test_positions_are_rounded_to_16_bits() -> None:
    for source, target in [(5, 7), (7, 5), (4096, 1), (1, 4096), (511, 256), (320, 96), (97, 31)]:
        index, fraction = pixels.bilinear(source, target)
        real = [(Fraction(2 * i + 1, 2) * source / target - Fraction(1, 2)) * 2**16 for i in range(target)]
        expected = [min(max(math.floor(x + Fraction(1, 2)), 0), (source - 1) << 16) for x in real]
        assert ((index << 16) + fraction).tolist() == expected


def test_lines_are_rounded_half_up() -> None:
    image, raw = _rounded_lines()
    assert image.process(raw)[0, 0, 0] == 11


def test_known_levels() -> None:
    """Two pixels to four: OpenCV and TensorFlow give 0 25 75 100; a mean of a 2 x 2 picture is rounded half up."""
    two = np.array([[0, 100]], np.uint8)
    assert _image((1, 4, 1), 2, 1, resize="bilinear").process(two).ravel().tolist() == [0, 25, 75, 100]
    assert _image((1, 4, 1), 2, 1, resize="nearest").process(two).ravel().tolist() == [0, 0, 100, 100]
    assert _image((1, 3, 1), 2, 1, resize="area").process(two).ravel().tolist() == [0, 50, 100]
    square = np.array([[1, 2], [3, 4]], np.uint8)
    assert _image((1, 1, 1), 2, 2, resize="area").process(square).ravel().tolist() == [3]
    assert _image((1, 1, 1), 2, 2, resize="bilinear").process(square).ravel().tolist() == [3]
    assert _image((1, 1, 1), 2, 2, resize="nearest").process(square).ravel().tolist() == [4]


def _convert(format_: str, rows: Array, channels: int, **table: Any) -> Array:
    """Levels [rows, pixels, channels] of pixels that are not resized."""
    width = rows.shape[1] // {"gray": 1, "rgb": 3, "bgr": 3}.get(format_, 2)
    image = _image((len(rows), width, channels), width, len(rows), format=format_, resize="nearest", **table)
    return image.process(rows)


def test_every_rgb565() -> None:
    values = np.arange(1 << 16).reshape(256, 256)
    five, six = np.round(np.arange(32) * 255 / 31), np.round(np.arange(64) * 255 / 63)
    real = np.stack([five[values >> 11], six[values >> 5 & 63], five[values & 31]], -1)
    little = values.astype("<u2").view(np.uint8).reshape(256, 512)
    big = values.astype(">u2").view(np.uint8).reshape(256, 512)
    found = _convert("rgb565-le", little, 3)
    assert np.abs(found - real).max() <= 1
    assert {0, 255} <= set(found[..., 0].ravel()) & set(found[..., 1].ravel()) & set(found[..., 2].ravel())
    assert np.array_equal(found, _convert("rgb565-be", big, 3))
    assert np.array_equal(found[..., ::-1], _convert("rgb565-be", big, 3, order="bgr"))


def test_luma() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (200, 200, 3))
    rows = rgb.astype(np.uint8).reshape(200, 600)
    found = _convert("rgb", rows, 1)
    assert np.abs(found[..., 0] - rgb @ [0.299, 0.587, 0.114]).max() <= 0.502
    swapped = rgb[..., ::-1].astype(np.uint8).reshape(200, 600)
    assert np.array_equal(found, _convert("bgr", swapped, 1))
    greys = np.repeat(np.arange(256, dtype=np.uint8), 3)[None]
    assert np.array_equal(_convert("rgb", greys, 1).ravel(), np.arange(256))
    assert np.array_equal(_convert("gray", greys, 3), np.repeat(greys[:, :, None], 3, 2))


@pytest.mark.parametrize("full", [False, True])
def test_yuyv(full: bool) -> None:
    """The formulas of BT.601 in floating point."""
    rows = np.random.default_rng(2).integers(0, 256, (300, 400)).astype(np.uint8)
    rows[:100] = np.where(rows[:100] < 128, 0, 255)
    pairs = rows.reshape(300, 100, 4).astype(float)
    y = (pairs[..., [0, 2]].reshape(300, 200) - (0 if full else 16)) * (1 if full else 255 / 219)
    u, v = (np.repeat(pairs[..., k] - 128, 2, 1) * (1 if full else 255 / 224) for k in (1, 3))
    green = y - 0.114 * 1.772 / 0.587 * u - 0.299 * 1.402 / 0.587 * v
    real = np.clip(np.stack([y + 1.402 * v, green, y + 1.772 * u], -1), 0, 255)
    table = {"yuv": "full" if full else "limited"}
    assert np.abs(_convert("yuyv", rows, 3, **table) - real).max() <= 0.501
    assert np.abs(_convert("yuyv", rows, 1, **table)[..., 0] - np.clip(y, 0, 255)).max() <= 0.501


@pytest.mark.parametrize("dtype", [DType.INT8, DType.UINT8, DType.INT16])
@pytest.mark.parametrize(
    "normalization", [([0, 1], 0, 1), ([-1, 1], 0.125, 0.5), ([0, 1], 0.485, 0.229), ([255, 0], 0, 3)]
)
@pytest.mark.parametrize("scale", [1 / 255, 2 / 255, 1 / 128, 1.0, 0.5])
def test_stored_values(dtype: DType, normalization: tuple[list[float], float, float], scale: float) -> None:
    """All 256 levels: the nearest stored value of the real one, ties to even, clamped."""
    span, mean, deviation = normalization
    tensor = _tensor((1, 1, 256, 1), scale, -5 if dtype is not DType.UINT8 else 100, dtype)
    image = _image((0, 0, 0), 256, 1, tensor=tensor, range=span, mean=mean, deviation=deviation, resize="nearest")
    found = image.process(np.arange(256, dtype=np.uint8)[None]).ravel()
    assert found.dtype == dtype.numpy
    low, high, middle, distance = (Fraction(str(x)) for x in (*span, mean, deviation))
    info = np.iinfo(dtype.numpy)
    for level, stored in enumerate(found.tolist()):
        real = (low + (high - low) * level / 255 - middle) / distance / Fraction(tensor.scale) + tensor.zero_point
        if stored in (info.min, info.max):
            assert real <= info.min + Fraction(1, 2) if stored == info.min else real >= info.max - Fraction(1, 2)
            continue
        assert abs(real - stored) <= Fraction(1, 2)
        assert abs(real - stored) < Fraction(1, 2) or stored % 2 == 0


def test_float_input() -> None:
    tensor = _tensor((1, 1, 256, 3), dtype=DType.FLOAT32)
    image = _image(
        (0, 0, 0), 256, 1, tensor=tensor, range=[0, 1], mean=[0.1, 0.2, 0.3], deviation=0.5, resize="nearest"
    )
    found = image.process(np.arange(256, dtype=np.uint8)[None])
    real = (np.arange(256)[:, None] / 255 - [0.1, 0.2, 0.3]) / 0.5
    assert found.dtype == np.float32
    assert np.array_equal(found[0], real.astype(np.float32)) or np.abs(found[0] - real).max() < 1e-7


def test_letterbox_and_crop() -> None:
    """8 x 4 into 4 x 4: bars above and below, or the middle; a wide picture into a high one has bars as well."""
    picture = np.arange(32, dtype=np.uint8).reshape(4, 8) + 100
    boxed = _image((4, 4, 1), 8, 4, fit="letterbox", fill=9, resize="area").process(picture)[..., 0]
    assert (boxed[[0, 3]] == 9).all()
    assert boxed[1:3].tolist() == [[105, 107, 109, 111], [121, 123, 125, 127]]
    cropped = _image((4, 4, 1), 8, 4, fit="crop").process(picture)[..., 0]
    assert np.array_equal(cropped, picture[:, 2:6])
    high = _image((4, 4, 1), 4, 8, fit="crop").process(picture.reshape(8, 4))[..., 0]
    assert np.array_equal(high, picture.reshape(8, 4)[2:6])
    inner = _image((2, 3, 1), 8, 4, crop=[4, 1, 3, 2]).process(picture)[..., 0]
    assert np.array_equal(inner, picture[1:3, 4:7])
    pillars = _image((2, 4, 3), 2, 2, fit="letterbox", fill=[1, 2, 3], order="bgr").process(picture[:2, :2])
    assert (pillars[:, [0, 3]] == [3, 2, 1]).all()
    assert np.array_equal(pillars[:, 1:3, 0], picture[:2, :2])
    grey = _image((2, 4, 1), 2, 2, fit="letterbox", fill=[255, 0, 0]).process(picture[:2, :2])
    assert (grey[:, [0, 3]] == 76).all()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 999))
def test_rows_in_any_split_are_one_stream(data: st.DataObject, seed: int) -> None:
    w, h, width, height = (data.draw(st.integers(1, 12)) for _ in range(4))
    box = sorted(data.draw(st.lists(st.integers(0, h), min_size=2, max_size=2, unique=True)))
    table = {
        "resize": data.draw(st.sampled_from(_METHODS)),
        "fit": data.draw(st.sampled_from(["stretch", "crop", "letterbox"])),
        "format": data.draw(st.sampled_from(_FORMATS[:5])),
        "crop": [0, box[0], w, box[1] - box[0]],
    }
    image = _image((height, width, data.draw(st.sampled_from([1, 3]))), w, h, **table)
    raw = _random(image, 3, seed)
    whole = image.process(raw)
    assert len(whole) == 3 * height == image.frames_after(3 * h)
    image.reset()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    parts = [image.process(part) for part in np.split(raw, cuts)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert np.cumsum([len(part) for part in parts]).tolist() == [image.frames_after(n) for n in (*cuts, len(raw))]
    image.reset()
    image.process(raw[: len(raw) // 2])
    image.reset()
    assert np.array_equal(image.process(raw), whole)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"width": 0}, "features.width = 0"),
        ({"width": 4097}, "features.width = 4097"),
        ({"height": "240"}, "features.height = '240'"),
        ({"format": "jpeg"}, "features.format"),
        ({"format": "yuyv", "width": 5}, "must be even"),
        ({"crop": [0, 0, 9, 1]}, "not empty, of 8 x 6"),
        ({"crop": [8, 0, 0, 1]}, "not empty, of 8 x 6"),
        ({"crop": [-1, 0, 2, 1]}, "features.crop"),
        ({"crop": [0, 0, 2]}, "features.crop"),
        ({"crop": [0, 10**30, 2, 2]}, "features.crop"),
        ({"fill": 256}, "features.fill"),
        ({"fill": [0, 0]}, "features.fill"),
        ({"range": [1, 1]}, "are equal"),
        ({"range": [0, float("inf")]}, "features.range"),
        ({"mean": float("nan")}, "features.mean"),
        ({"mean": [0, 0]}, "has 2 entries"),
        ({"deviation": 0}, "features.deviation"),
        ({"deviation": [1, 1, -1]}, "features.deviation"),
        ({"resize": "cubic"}, "features.resize"),
        ({"zoom": 2}, "unknown key features.zoom"),
        ({"every": 0}, "features.every"),
    ],
)
def test_hostile_settings_are_refused(table: dict[str, Any], message: str) -> None:
    table = {"kind": "image", "width": 8, "height": 6, "format": "gray", "range": [0, 1]} | table
    with pytest.raises(UsageError) as error:
        read_settings(table, "tinyops.toml")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("tensor", "table", "message"),
    [
        (_tensor((1, 49, 40)), {}, "is no picture"),
        (_tensor((2, 8, 8, 1)), {}, "is no picture"),
        (_tensor((1, 8, 8, 2)), {}, "is no picture"),
        (_tensor((1, 0, 8, 1)), {}, "is no picture"),
        (_tensor((1, 5000, 8, 1)), {}, "is no picture"),
        (_tensor((1, 8, 8, 1), dtype=DType.INT32), {}, "dtype int32"),
        (Tensor("x", DType.INT8, (1, 8, 8, 1)), {}, "dtype int8"),
        (_tensor((1, 8, 8, 1)), {"mean": [0, 0, 0]}, "mean has 3 entries"),
        (_tensor((1, 8, 8, 3)), {"deviation": [2.0]}, "deviation has 1 entries"),
        (_tensor((1, 8, 8, 1)), {"every": 4}, "multiples of 8"),
    ],
)
def test_other_inputs_are_refused(tensor: Tensor, table: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as error:
        _image((0, 0, 0), 8, 6, tensor=tensor, **table)
    assert message in str(error.value)


@pytest.mark.parametrize("raw", [np.zeros((2, 8)), np.zeros((2, 7), np.uint8), np.zeros((1, 2, 8), np.uint8)])
def test_other_rows_are_refused(raw: Array) -> None:
    with pytest.raises(UsageError, match="raw data are"):
        _image((3, 3, 1), 8, 6).process(raw)
