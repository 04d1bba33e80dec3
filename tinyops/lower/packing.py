"""Weights and numbers of channels in the order in which the kernels of an instruction set read them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyops.lower.requantization import ShortForm

Array = np.ndarray[Any, Any]


def pack_pairs(rows: Array) -> Array:
    """int8[channels, taps] as halfwords 256 b + a + 128 of two channels: per four taps 0, 2, 1, 3. As bytes."""
    halves = _halfwords(rows, 2)
    grouped = halves.reshape(len(halves), -1, 2, 2)  # pair, step, tap // 2, tap % 2
    return np.ascontiguousarray(grouped.swapaxes(2, 3)).view(np.int8)


def pack_pairs16(rows: Array) -> Array:
    """int16, per pair of channels and four taps: 0 and 2 of the one, of the other, then 1 and 3 of both."""
    channels, taps = rows.shape
    padded = np.zeros((-(-channels // 2) * 2, -(-taps // 4) * 4), np.int16)
    padded[:channels, :taps] = rows
    grouped = padded.reshape(len(padded) // 2, 2, -1, 2, 2)  # pair, channel, step, tap // 2, tap % 2
    return np.ascontiguousarray(grouped.transpose(0, 2, 4, 1, 3))


def _halfwords(rows: Array, unit: int) -> Array:
    """int16[channels / 2, taps]: 256 b + a + 128 of channels a and b; both counts rounded up, taps to four."""
    channels, taps = rows.shape
    padded = np.zeros((-(-channels // unit) * unit, -(-taps // 4) * 4), np.int32)
    padded[:channels, :taps] = rows
    return (256 * padded[1::2] + padded[0::2] + 128).astype(np.int16)


def pack_channels(form: ShortForm, *, joined: bool) -> Array:
    """int32[pairs, 8]: two biases, then of each channel multiplier, addend and right shift.

    Where the weights of a pair are `joined` in halfwords, the first bias has 256 times the second added.
    """
    columns = (form.bias, form.multiplier, form.addend, form.shift)
    count = -(-len(form.bias) // 2) * 2
    padded = [np.concatenate([column, np.zeros(count - len(column), np.int64)]) for column in columns]
    if joined:
        padded[0][0::2] += 256 * padded[0][1::2]
    bias, *rest = (column.reshape(-1, 2) for column in padded)
    return np.concatenate([bias, *(np.stack([r[:, k] for r in rest], axis=1) for k in range(2))], axis=1).astype(
        np.int32
    )


def pack_quads(rows: Array) -> Array:
    """int8[channels, taps] as halfwords 256 b + a + 128 of two channels: per four channels and four taps those of the
    taps 0 and 2 of the first two, of the next two, then of the taps 1 and 3.
    """
    halves = _halfwords(rows, 4)
    grouped = halves.reshape(len(halves) // 2, 2, -1, 2, 2)  # quad, pair, step, tap // 2, tap % 2
    return np.ascontiguousarray(grouped.transpose(0, 2, 4, 1, 3)).view(np.int8)
