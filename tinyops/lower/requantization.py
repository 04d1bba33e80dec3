"""Constants of the int8 multiply-accumulate kernels: folded bias, and the proof that the accumulator fits."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyops.errors import ModelError
from tinyops.graph import OpView

Array = np.ndarray[Any, Any]
_INT32 = 2**31


def fold_bias(view: OpView, weights: Array, bias: Array | None, input_zero_point: int) -> Array:
    """bias - zero_point * sum(weights), int32[channels]; `weights` is int8[channels, taps].

    Kernels start from it and add x * w with x in -128..127 and, outside of the image, zero_point * w. ModelError
    unless every partial sum of every channel fits in int32, whatever the input.
    """
    w = weights.astype(np.int64)
    start = np.zeros(len(w), np.int64) if bias is None else bias.astype(np.int64)
    folded = start - input_zero_point * w.sum(axis=1)
    reach = np.abs(folded) + 128 * np.abs(w).sum(axis=1)
    if (reach >= _INT32).any():
        channel = int(reach.argmax())
        raise ModelError(
            f"the accumulator of channel {channel} can reach {int(reach[channel]):,}",
            where=f"operator {view.name} ({view.kind})",
            allowed=f"below 2^31 = {_INT32:,}: smaller biases or fewer inputs per output",
        )
    packed: Array = folded.astype(np.int32)
    return packed
