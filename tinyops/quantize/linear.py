"""Operators with constant weights as matrix products, which rounding and bias correction work on.

Per group of channels, outputs [rows, units] = inputs [rows, depth] @ weights [depth, units] + bias, before the fused
activation. Rows are pixels or batches; depth runs over taps and the input channels of the group.
"""

from __future__ import annotations

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.base import Array
from tinyops.ops.conv_2d import window


def is_linear(op: OpView) -> bool:
    return op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def input_matrix(op: OpView, values: Array) -> Array:
    """float64[groups, rows, depth] of real input values, of which 0 is the padding."""
    if op.kind == "FULLY_CONNECTED":
        return values.reshape(1, -1, op.input(1).shape[1]).astype(np.float64)
    taps = np.stack([tap for _, _, tap in window(op).taps(values, 0)]).astype(np.float64)
    count, channels = len(taps), values.shape[3]
    taken = 1 if op.kind == "DEPTHWISE_CONV_2D" else op.input(1).shape[3]
    split = taps.reshape(count, -1, channels // taken, taken)
    return split.transpose(2, 1, 0, 3).reshape(channels // taken, -1, count * taken)


def weight_matrix(op: OpView, weights: Array) -> Array:
    """[groups, depth, units] of weights as the operator stores them."""
    groups, depth, units = matrix_shape(op)
    if op.kind == "DEPTHWISE_CONV_2D":
        return weights.reshape(depth, groups, units).transpose(1, 0, 2)
    return weights.reshape(groups, units, depth).transpose(0, 2, 1)


def stored_weights(op: OpView, matrix: Array) -> Array:
    """The inverse of `weight_matrix`."""
    shape = op.input(1).shape
    order = (1, 0, 2) if op.kind == "DEPTHWISE_CONV_2D" else (0, 2, 1)
    return np.ascontiguousarray(matrix.transpose(order)).reshape(shape)


def matrix_shape(op: OpView) -> tuple[int, int, int]:
    """(groups, depth, units of a group)."""
    shape = op.input(1).shape
    if op.kind == "FULLY_CONNECTED":
        return 1, shape[1], shape[0]
    if op.kind == "DEPTHWISE_CONV_2D":
        groups = op.input(0).shape[3]
        return groups, shape[1] * shape[2], shape[3] // groups
    groups = op.input(0).shape[3] // shape[3]
    return groups, shape[1] * shape[2] * shape[3], shape[0] // groups
