"""Hypothesis strategies for kernel parameters and data, with extreme values."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import numpy as np
from hypothesis import strategies as st

Array = np.ndarray[Any, Any]
Params = dict[str, Any]

T = TypeVar("T")


class Draw(Protocol):
    """How a value is drawn: in composite strategies and by st.data() alike."""

    def __call__(self, strategy: st.SearchStrategy[T], /) -> T: ...


seeds = st.integers(0, 2**32 - 1)
int8s = st.integers(-128, 127)


def int8_data(draw: Draw, *shape: int) -> Array:
    """Random bytes, or nothing but the extremes, or one value."""
    rng = np.random.default_rng(draw(seeds))
    kind = draw(st.sampled_from(["random", "extremes", "constant"]))
    if kind == "random":
        return rng.integers(-128, 128, shape).astype(np.int8)
    if kind == "extremes":
        return rng.choice(np.array([-128, 127], np.int8), shape)
    return np.full(shape, draw(int8s), np.int8)


def requantization(draw: Draw, channels: int) -> tuple[Array, Array]:
    """int32 multipliers and int8 shifts: usual ones, or all that the arithmetic allows."""
    rng = np.random.default_rng(draw(seeds))
    if draw(st.booleans()):
        return rng.integers(2**30, 2**31, channels).astype(np.int32), rng.integers(-14, -4, channels).astype(np.int8)
    multipliers = np.where(rng.random(channels) < 0.3, 2**31 - 1, rng.integers(0, 2**31, channels))
    return multipliers.astype(np.int32), rng.integers(-31, 31, channels).astype(np.int8)


def bias(draw: Draw, reach: Array) -> Array:
    """int32 biases: small ones, or as large as the stated bound lets them be; reach = sum of |weights| per channel."""
    rng = np.random.default_rng(draw(seeds))
    if draw(st.booleans()):
        return rng.integers(-(2**14), 2**14, len(reach)).astype(np.int32)
    largest: Array = (2**31 - 1 - 128 * reach.astype(np.int64)) * rng.choice([-1, 1], len(reach))
    return largest.astype(np.int32)


def activation(draw: Draw) -> Params:
    low, high = sorted((draw(int8s), draw(int8s))) if draw(st.booleans()) else (-128, 127)
    return {"activation_min": low, "activation_max": high}


def _axis(draw: Draw, name: str, max_dilation: int, inside: bool) -> Params:
    kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, max_dilation))
    stride = draw(st.integers(1, 3))
    extent = (kernel - 1) * dilation + 1
    size = draw(st.integers(1, 9))
    most = extent - 1 if inside else extent + 2
    before = draw(st.integers(0, most))
    after = draw(st.integers(max(0, extent - size - before), max(most, extent - size - before)))
    return {
        f"in_{name}": size,
        f"out_{name}": (size + before + after - extent) // stride + 1,
        f"kernel_{name}": kernel,
        f"stride_{name}": stride,
        f"dilation_{name}": dilation,
        {"h": "pad_top", "w": "pad_left"}[name]: before,
    }


def window(draw: Draw, *, max_dilation: int, inside: bool) -> Params:
    """Geometry of sliding windows; inside: every window holds an element of the image."""
    return {
        "batches": draw(st.integers(1, 2)),
        **_axis(draw, "h", max_dilation, inside),
        **_axis(draw, "w", max_dilation, inside),
        **activation(draw),
    }
