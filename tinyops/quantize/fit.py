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
    """For one input `tensor`; `order` is how the original model's input was transposed, if it was.

    `channels_first` says that the tensor has its channels before rows and columns.
    """

    def __init__(
        self, tensor: Tensor, order: tuple[int, ...] | None, settings: DataSettings, *, channels_first: bool = False
    ) -> None:
        self.tensor = tensor
        self.channels_first = channels_first
        self.scale = 1.0 if settings.scale is None else settings.scale
        self.mean, self.deviation = (np.array(x, np.float64) for x in (settings.mean, settings.deviation))
        self.plain = self.scale == 1 and not self.mean.any() and bool((self.deviation == 1).all())
        stored = tensor.shape
        # The shapes that data may have, and how each is transposed to become the stored one.
        self.ways: list[tuple[tuple[int, ...], tuple[int, ...] | None]] = []
        if order is not None and settings.layout != "nhwc":
            inverse = np.argsort(order)
            self.ways.append((tuple(stored[k] for k in inverse), order))
        as_stored = settings.layout is None or len(stored) != 4 or (settings.layout == "nchw") == channels_first
        if order is None and not as_stored:
            self.ways.append(self._other_layout())
        if as_stored:
            self.ways.append((stored, None))

    def _other_layout(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shape of data whose channels are where those of the tensor are not, and how they are transposed."""
        n, a, b, c = self.tensor.shape
        return ((n, b, c, a), (0, 3, 1, 2)) if self.channels_first else ((n, c, a, b), (0, 2, 3, 1))

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
        if len(shape) == 4 and len(self.ways) == 1 and self.ways[0][1] is None:
            other, _ = self._other_layout()
            if _without_ones(given.shape) == _without_ones(other):
                return f"--layout {'nhwc' if self.channels_first else 'nchw'}"
        if given.ndim == 1 and given.size == math.prod(shape) + 1:
            return "--labels COLUMN, if one of the numbers is the label"
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
        axis = 1 if self.channels_first else -1
        channels = value.shape[axis] if value.ndim else 1
        spread = []
        for name, numbers in (("mean", self.mean), ("deviation", self.deviation)):
            if numbers.size not in (1, channels):
                allowed = "1" if channels == 1 else f"1, or {channels}, one per channel"
                raise UsageError(f"{numbers.size} numbers of {name}", where=where, allowed=allowed)
            spread.append(numbers.reshape(-1, 1, 1) if self.channels_first else numbers)
        mean, deviation = spread
        scaled: Array = (value * self.scale - mean) / deviation
        return scaled


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)
