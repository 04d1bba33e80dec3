"""From frames of a feature front end to stored values of a model's input, as the generated C computes them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tinyops.errors import ModelError
from tinyops.features.base import Array
from tinyops.graph import DType, Tensor

__all__ = ["FeatureQuantization"]

_MAX = 2**31 - 1
_DTYPES = (DType.INT8, DType.UINT8, DType.INT16, DType.FLOAT32)


@dataclass(frozen=True)
class FeatureQuantization:
    """round(frame * numerator / denominator + zero_point), ties to even, clamped to the range of `dtype`.

    Of float32 it is float32(frame) * float32(numerator / denominator). numerator and denominator are at most 2^31 - 1,
    so that the product with a frame of 32 bits stays below 2^62.
    """

    dtype: DType
    numerator: int
    denominator: int
    zero_point: int

    @classmethod
    def of(cls, unit: Fraction, tensor: Tensor) -> FeatureQuantization:
        """For frames that are worth `unit` each and the input `tensor`.

        numerator / denominator is unit / scale, or the nearest fraction of numbers that small. Raises ModelError where
        the tensor is neither float32 nor quantized int8, uint8 or int16, or the scale is out of any proportion.
        """
        where = f"input {tensor.name}"
        if tensor.dtype not in _DTYPES or (tensor.dtype is not DType.FLOAT32 and tensor.quantization is None):
            quantized = "" if tensor.quantization else ", not quantized"
            allowed = "float32, or quantized int8, uint8 or int16"
            raise ModelError(f"features for dtype {tensor.dtype}{quantized}", where=where, allowed=allowed)
        real = tensor.dtype is DType.FLOAT32
        ratio = unit if real else unit / Fraction(tensor.scale)
        if not Fraction(1, _MAX) <= ratio <= _MAX:
            allowed = f"{float(unit) / _MAX:.1g} to {float(unit) * _MAX:.1g}"
            raise ModelError(f"scale {tensor.scale} for features", where=where, allowed=allowed)
        nearest = ratio.limit_denominator(min(_MAX, int(_MAX / ratio)))
        return cls(tensor.dtype, nearest.numerator, nearest.denominator, 0 if real else tensor.zero_point)

    @property
    def factor(self) -> np.float32:
        """What a frame is multiplied by for a float32 input."""
        return np.float32(self.numerator / self.denominator)

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest stored value."""
        info = np.iinfo(self.dtype.numpy)
        return int(info.min), int(info.max)

    def apply(self, frames: Array) -> Array:
        """Stored values of frames: the input's dtype, the frames' shape.

        Values beyond the dtype are clamped, as ESPHome does; NumPy's cast in pymicro-wakeword leaves them undefined.
        """
        if self.dtype is DType.FLOAT32:
            return np.asarray(frames.astype(np.float32) * self.factor)
        value, rest = np.divmod(frames.astype(np.int64) * self.numerator, self.denominator)
        value += self.zero_point
        value += (2 * rest > self.denominator) | ((2 * rest == self.denominator) & (value % 2 != 0))
        return np.asarray(np.clip(value, *self.limits), self.dtype.numpy)
