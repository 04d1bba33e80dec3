"""From features of the audio front end to a model's 8-bit input, as pymicro-wakeword and our C compute it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tinyops.errors import ModelError
from tinyops.features.audio import AudioMicro
from tinyops.features.tables import CHANNELS, UNIT, Array
from tinyops.graph import DType, Tensor

__all__ = ["FeatureQuantization", "model_inputs"]

_UINT32_MAX = 2**32 - 1


@dataclass(frozen=True)
class FeatureQuantization:
    """round(feature * numerator / denominator + zero_point), ties to even, clamped to low .. high.

    The fields are those of the C struct to_audio_micro_quantization.
    """

    numerator: int
    denominator: int
    zero_point: int
    low: int
    high: int

    @classmethod
    def of(cls, tensor: Tensor) -> FeatureQuantization:
        """For the input `tensor`: numerator / denominator is UNIT / scale, exactly.

        Values beyond the dtype are clamped, as ESPHome does; NumPy's cast in pymicro-wakeword leaves them undefined.
        Raises ModelError where the tensor takes no features of 40 channels.
        """
        if tensor.dtype not in (DType.INT8, DType.UINT8) or tensor.quantization is None:
            raise ModelError(f"dtype {tensor.dtype}", where=f"input {tensor.name}", allowed="quantized int8 or uint8")
        if not tensor.elements or tensor.shape[-1] != CHANNELS:
            raise ModelError(
                f"shape {list(tensor.shape)}", where=f"input {tensor.name}", allowed=f"[.., frames, {CHANNELS}]"
            )
        ratio = Fraction(UNIT) / Fraction(tensor.scale)
        if max(ratio.numerator, ratio.denominator) > _UINT32_MAX:
            raise ModelError(f"scale {tensor.scale}", where=f"input {tensor.name}", allowed="2e-4 to 1e5")
        info = np.iinfo(tensor.dtype.numpy)
        return cls(ratio.numerator, ratio.denominator, tensor.zero_point, int(info.min), int(info.max))

    def apply(self, features: Array) -> Array:
        """int8 or uint8 of uint16 features, any shape."""
        value, rest = np.divmod(features.astype(np.int64) * self.numerator, self.denominator)
        value += self.zero_point
        value += (2 * rest > self.denominator) | ((2 * rest == self.denominator) & (value % 2 != 0))
        return np.asarray(np.clip(value, self.low, self.high), np.int8 if self.low < 0 else np.uint8)


def model_inputs(samples: Array, tensor: Tensor) -> Array:
    """Inputs [n, *tensor.shape] of a streaming model for int16 samples at 16 kHz; each takes the next frames.

    Frames that do not fill an input at the end are left out. Raises ModelError and UsageError as the parts do.
    """
    quantized = FeatureQuantization.of(tensor).apply(AudioMicro().process(samples))
    frames = tensor.elements // CHANNELS
    rows = len(quantized) // frames
    return quantized[: rows * frames].reshape(rows, *tensor.shape)
