"""What float32 operators share.

References add products one after the other in float32, as TFLite Micro's kernels do. Results are compared with a
tolerance, because compilers fuse multiplications with additions and C libraries differ in exp and tanh.
"""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, OpView, Tensor
from tinyops.ops.base import Activation, Array
from tinyops.ops.fixed_point import dtype_range
from tinyops.ops.window import Window

#: Float results agree where |a - b| < TOLERANCE * max(1, |b|).
TOLERANCE = 1e-5
LARGEST = float(np.finfo(np.float32).max)
_BOUNDS = {
    Activation.NONE: (-LARGEST, LARGEST),
    Activation.RELU: (0.0, LARGEST),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
    Activation.RELU6: (0.0, 6.0),
}


def is_float(op: OpView) -> bool:
    """Whether the operator computes in float32: output 0 is of that dtype."""
    return op.output().dtype is DType.FLOAT32


def differs(got: Array, expected: Array) -> Array:
    """bool[...]: where values are not equal, or float values further apart than the tolerance."""
    unequal: Array = got != expected
    if expected.dtype != np.float32:
        return unequal
    with np.errstate(invalid="ignore"):
        distance = np.abs(got.astype(np.float64) - expected)
        close: Array = distance < TOLERANCE * np.maximum(1, np.abs(expected.astype(np.float64)))
    return unequal & ~close & ~(np.isnan(got) & np.isnan(expected))


def bounds(activation: Activation) -> tuple[float, float]:
    """Lowest and highest output under a fused activation."""
    return _BOUNDS[activation]


def activate(values: Array, activation: Activation) -> Array:
    """float32 values clamped by a fused activation; NaN stays NaN."""
    low, high = bounds(activation)
    clamped: Array = np.clip(values, np.float32(low), np.float32(high))
    return clamped


def convolution(
    window: Window, image: Array, filters: Array, groups: int, bias: Array | None, activation: Activation
) -> Array:
    """float32[batches, rows, columns, units] of filters float32[units, tap rows, tap columns, channels of a group]."""
    units, _, _, depth = filters.shape
    total = np.zeros((window.batches, window.rows.out, window.columns.out, groups, units // groups), np.float32)
    for i, j, tap in window.taps(image, 0):
        parts = tap.reshape(*tap.shape[:3], groups, depth)
        for k in range(depth):
            total += parts[..., k, None] * filters[:, i, j, k].reshape(groups, -1)
    result = total.reshape(*total.shape[:3], units)
    return activate(result if bias is None else result + bias, activation)


def dense(op: OpView, values: Array, weights: Array, bias: Array | None) -> Array:
    """float32 rows of `values` times the transpose of float32[units, depth], in the shape of output 0."""
    rows = values.reshape(-1, weights.shape[1])
    total = np.zeros((len(rows), len(weights)), dtype=np.float32)
    for x, w in zip(rows.T, weights.T, strict=True):
        total += np.multiply.outer(x, w)
    result = (total if bias is None else total + bias).reshape(op.output().shape)
    return activate(result, op.attrs.fused_activation_function)


def matmul(left: Array, right: Array) -> Array:
    """float32[..., rows, columns] of matrices [..., rows, depth] and [..., depth, columns], without an activation."""
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    total = np.zeros((*batch, left.shape[-2], right.shape[-1]), np.float32)
    for k in range(left.shape[-1]):
        total += left[..., :, k, None] * right[..., None, k, :]
    return total


def quantized(values: Array, tensor: Tensor) -> Array:
    """The integers of `tensor` for float32 values: divided in float32, ties away from zero, clamped.

    NaN gives the lowest.
    """
    low, high = dtype_range(tensor.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        quotient = (values / np.float32(tensor.scale)).astype(np.float64)
    nearest = np.copysign(np.floor(np.abs(quotient) + 0.5), quotient) + tensor.zero_point
    clamped: Array = np.clip(np.where(np.isnan(nearest), low, nearest), low, high).astype(tensor.dtype.numpy)
    return clamped


def real_values(tensor: Tensor, values: Array) -> Array:
    """float32: scale * (value - zero point) for quantized `values` of `tensor`; of floats their own value."""
    if tensor.quantization is None or values.dtype == np.float32:
        return values.astype(np.float32, copy=False)
    shape = [1] * values.ndim
    if tensor.quantization.per_channel:
        shape[tensor.quantization.axis] = -1
    scales = np.array(tensor.quantization.scales).reshape(shape)
    zero_points = np.array(tensor.quantization.zero_points).reshape(shape)
    real: Array = (scales * (values.astype(np.int64) - zero_points)).astype(np.float32)
    return real
