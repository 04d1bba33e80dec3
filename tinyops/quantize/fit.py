"""A sample of the data becomes an input of the model: order of axes, shape, declared arithmetic, dtype."""

from __future__ import annotations

import math

import numpy as np

from tinyops.errors import UsageError
from tinyops.graph import DType, Tensor
from tinyops.ops.base import Array
from tinyops.quantize.data_settings import DataSettings

__all__ = ["InputFit"]


class InputFit:
    """For one input `tensor`; `order` is how the original model's input was transposed, if it was."""

    def __init__(self, tensor: Tensor, order: tuple[int, ...] | None, settings: DataSettings) -> None:
        self.tensor = tensor
        self.scale = 1.0 if settings.scale is None else settings.scale
        self.mean, self.deviation = (np.array(x, np.float64) for x in (settings.mean, settings.deviation))
        self.plain = self.scale == 1 and not self.mean.any() and bool((self.deviation == 1).all())
        stored = tensor.shape
        # The shapes that data may have, and how each is transposed to become the stored one.
        self.ways: list[tuple[tuple[int, ...], tuple[int, ...] | None]] = []
        if order is not None and settings.layout != "nhwc":
            inverse = np.argsort(order)
            self.ways.append((tuple(stored[k] for k in inverse), order))
        elif order is None and settings.layout == "nchw" and len(stored) == 4:
            self.ways.append(((stored[0], stored[3], stored[1], stored[2]), (0, 2, 3, 1)))
        if settings.layout != "nchw" or len(stored) != 4:
            self.ways.append((stored, None))

    def apply(self, given: Array, where: str) -> Array:
        tensor = self.tensor
        for shape, order in self.ways:
            if _without_ones(given.shape) == _without_ones(shape) or (
                given.ndim == 1 and given.size == math.prod(shape)
            ):
                value = given.reshape(shape)
                if order is not None:
                    value = np.transpose(value, order)
                return np.ascontiguousarray(self._converted(value, where))
        allowed = " or ".join(str(list(shape[1:] if shape[:1] == (1,) else shape)) for shape, _ in self.ways)
        raise UsageError(
            f"shape {list(given.shape)} for input {tensor.name}", where=where, allowed=allowed, hint=self._hint(given)
        )

    def _hint(self, given: Array) -> str | None:
        shape = self.tensor.shape
        if len(shape) == 4 and len(self.ways) == 1:
            first = (shape[0], shape[3], shape[1], shape[2])
            if _without_ones(given.shape) == _without_ones(first):
                return "--layout nchw"
        return None

    def _converted(self, value: Array, where: str) -> Array:
        tensor = self.tensor
        if value.dtype.kind not in "biuf":
            raise UsageError(f"holds {value.dtype}", where=where, allowed="numbers")
        if tensor.dtype is DType.FLOAT32:
            if not self.plain:
                value = self._scaled(value.astype(np.float64), where)
            with np.errstate(over="ignore"):
                result: Array = value.astype(np.float32)
            if not np.isfinite(result).all():
                raise UsageError(f"NaN or infinity for input {tensor.name}", where=where, allowed="finite numbers")
            return result
        with np.errstate(invalid="ignore"):
            result = value.astype(tensor.dtype.numpy)
        if (result != value).any():
            what = f"{value.dtype} values for input {tensor.name}"
            raise UsageError(what, where=where, allowed=f"values of {tensor.dtype}")
        return result

    def _scaled(self, value: Array, where: str) -> Array:
        channels = value.shape[-1] if value.ndim else 1
        for name, numbers in (("mean", self.mean), ("deviation", self.deviation)):
            if numbers.size not in (1, channels):
                what = f"{numbers.size} numbers of {name}"
                raise UsageError(what, where=where, allowed=f"1, or {channels}, one per channel")
        scaled: Array = (value * self.scale - self.mean) / self.deviation
        return scaled


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)
