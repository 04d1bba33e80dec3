"""CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV: folded biases and per-channel requantization."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinyops.graph import DType, Tensor
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, ConstantRef, Role, Value
from tinyops.lower.requantization import fold_bias, plain_bias
from tinyops.ops import conv_2d, fully_connected, transpose_conv
from tinyops.ops.fixed_point import Requantization, reduced_multiplier
from tinyops.ops.float32 import bounds, is_float
from tinyops.ops.packed import pack_int4

Array = np.ndarray[Any, Any]


def _channels(op: Lowering, weights: Array, requantization: Requantization) -> tuple[ConstantRef, ...]:
    """Folded bias, multipliers and shifts, one per channel; `weights` is int8[channels, taps]."""
    bias = op.view.optional(2)
    folded = fold_bias(op.view, weights, None if bias is None else bias.data, op.view.input(0).zero_point)
    return (op.constant("bias", Role.BIAS, folded), *_scales(op, len(weights), requantization))


def _scales(op: Lowering, channels: int, requantization: Requantization) -> tuple[ConstantRef, ConstantRef]:
    """Multipliers and shifts, one per channel."""
    multiplier = np.broadcast_to(requantization.multiplier.astype(np.int32), (channels,))
    shift = np.broadcast_to(requantization.shift.astype(np.int8), (channels,))
    return (
        op.constant("multiplier", Role.REQUANTIZATION, multiplier),
        op.constant("shift", Role.REQUANTIZATION, shift),
    )


def window_geometry(op: Lowering) -> dict[str, Value]:
    window = conv_2d.window(op.view)
    batches, in_h, in_w, in_c = op.view.input(0).shape
    _, out_h, out_w, out_c = op.view.output().shape
    return {
        "batches": batches,
        "in_h": in_h,
        "in_w": in_w,
        "in_c": in_c,
        "out_h": out_h,
        "out_w": out_w,
        "out_c": out_c,
        "kernel_h": window.rows.taps,
        "kernel_w": window.columns.taps,
        "stride_h": window.rows.stride,
        "stride_w": window.columns.stride,
        "dilation_h": window.rows.dilation,
        "dilation_w": window.columns.dilation,
        "pad_top": window.rows.before,
        "pad_left": window.columns.before,
    }


def dense_geometry(op: Lowering, units: int, depth: int) -> dict[str, Value]:
    """A dense layer as a convolution of images of one pixel."""
    sizes = ("in_h", "in_w", "out_h", "out_w", "kernel_h", "kernel_w", "stride_h", "stride_w")
    params: dict[str, Value] = dict.fromkeys((*sizes, "dilation_h", "dilation_w"), 1)
    params |= {"batches": op.view.output().elements // units, "in_c": depth, "out_c": units}
    return params | {"pad_top": 0, "pad_left": 0}


def _zero_point(op: Lowering) -> dict[str, Value]:
    return {"input_zero_point": op.view.input(0).zero_point}


def output_stage(requantization: Requantization) -> dict[str, Value]:
    return {
        "output_zero_point": requantization.zero_point,
        "activation_min": requantization.low,
        "activation_max": requantization.high,
    }


def _weights(op: Lowering) -> Array:
    """Input 1, which is constant."""
    data = op.view.input(1).data
    if data is None:
        raise ValueError(f"{op.view.name}: weights are not constant")
    return data


def _is_int16(op: Lowering) -> bool:
    return op.view.output().dtype is DType.INT16


def _has_int4(op: Lowering) -> bool:
    return op.view.input(1).dtype is DType.INT4


def _int16(
    op: Lowering, geometry: dict[str, Value], filters: Array, groups: int, requantization: Requantization
) -> list[Call]:
    """int16 activations: one kernel for all; `filters` is int8[output channels, ...]."""
    params = geometry | {"groups": groups, "activation_min": requantization.low, "activation_max": requantization.high}
    constants = _int16_constants(op, filters, op.view.optional(2), requantization)
    return [Call("to_conv2d_any_s16_c", params, (op.input(), *constants, op.output()))]


def _int16_constants(
    op: Lowering, filters: Array, bias: Tensor | None, requantization: Requantization
) -> tuple[ConstantRef, ...]:
    """Weights, bias, multipliers and shifts, the last three one per channel; `filters` is int8[channels, ...]."""
    channels = len(filters)
    start = np.zeros(channels, np.int64) if bias is None or bias.data is None else bias.data
    multiplier = np.broadcast_to(reduced_multiplier(requantization.multiplier).astype(np.int16), (channels,))
    shift = np.broadcast_to(requantization.shift.astype(np.int8), (channels,))
    return (
        op.constant("weights", Role.WEIGHTS, filters),
        op.constant("bias", Role.BIAS, start),
        op.constant("multiplier", Role.REQUANTIZATION, multiplier),
        op.constant("shift", Role.REQUANTIZATION, shift),
    )


def _int4(
    op: Lowering, geometry: dict[str, Value], filters: Array, groups: int, requantization: Requantization
) -> list[Call]:
    """int4 weights: one kernel for all; `filters` is int8[output channels, ...] of values in -8..7."""
    params = geometry | _zero_point(op) | output_stage(requantization)
    params |= {"groups": groups, "descending": int(op.output_overlaps_from_above())}
    packed = op.constant("weights", Role.WEIGHTS, pack_int4(filters))
    channels = _channels(op, filters.reshape(len(filters), -1), requantization)
    return [Call("to_conv2d_any_s4_c", params, (op.input(), packed, *channels, op.output()))]


@rule("CONV_2D")
def conv(op: Lowering) -> list[Call]:
    weights = _weights(op)
    requantization = conv_2d.requantization(op.view)
    if _is_int16(op):
        return _int16(op, window_geometry(op), weights, conv_2d.groups(op.view), requantization)
    if _has_int4(op):
        return _int4(op, window_geometry(op), weights, conv_2d.groups(op.view), requantization)
    params = window_geometry(op) | _zero_point(op) | output_stage(requantization)
    params |= {"groups": conv_2d.groups(op.view), "descending": int(op.output_overlaps_from_above())}
    kernel = "to_conv2d_1x1_s8_c" if conv_2d.is_pointwise(op.view) else "to_conv2d_any_s8_c"
    packed = op.constant("weights", Role.WEIGHTS, weights)
    channels = _channels(op, weights.reshape(len(weights), -1), requantization)
    return [Call(kernel, params, (op.input(), packed, *channels, op.output()))]


@rule("DEPTHWISE_CONV_2D")
def depthwise(op: Lowering) -> list[Call]:
    weights = _weights(op)
    requantization = conv_2d.requantization(op.view)
    if _is_int16(op):  # a group per input channel
        return _int16(op, window_geometry(op), np.moveaxis(weights[0], 2, 0), op.view.input(0).shape[3], requantization)
    if _has_int4(op):
        return _int4(op, window_geometry(op), np.moveaxis(weights[0], 2, 0), op.view.input(0).shape[3], requantization)
    params = window_geometry(op) | _zero_point(op) | output_stage(requantization)
    params |= {"depth_multiplier": op.view.attrs.depth_multiplier}
    packed = op.constant("weights", Role.WEIGHTS, weights)
    channels = _channels(op, weights.reshape(-1, weights.shape[3]).T, requantization)
    return [Call("to_depthwise_conv2d_any_s8_c", params, (op.input(), packed, *channels, op.output()))]


def _dense_per_channel(op: Lowering, weights: Array, requantization: Requantization) -> list[Call]:
    params = dense_geometry(op, *weights.shape) | _zero_point(op) | output_stage(requantization)
    params |= {"groups": 1, "descending": 0}
    packed = op.constant("weights", Role.WEIGHTS, weights)
    channels = _channels(op, weights, requantization)
    return [Call("to_conv2d_1x1_s8_c", params, (op.input(), packed, *channels, op.output()))]


@rule("FULLY_CONNECTED")
def dense(op: Lowering) -> list[Call]:
    weights = _weights(op)
    requantization = fully_connected.requantization(op.view)
    if _is_int16(op):
        return _int16(op, dense_geometry(op, *weights.shape), weights, 1, requantization)
    if _has_int4(op):
        return _int4(op, dense_geometry(op, *weights.shape), weights, 1, requantization)
    if len(requantization.multiplier) > 1:
        return _dense_per_channel(op, weights, requantization)
    bias = op.view.optional(2)
    folded = fold_bias(op.view, weights, None if bias is None else bias.data, op.view.input(0).zero_point)
    params: dict[str, Value] = {
        "batches": math.prod(op.view.output().shape) // len(weights),
        "in_n": weights.shape[1],
        "out_n": weights.shape[0],
        "multiplier": int(requantization.multiplier[0]),
        "shift": int(requantization.shift[0]),
    } | output_stage(requantization)
    packed = op.constant("weights", Role.WEIGHTS, weights)
    return [
        Call(
            "to_fully_connected_any_s8_c",
            params,
            (op.input(), packed, op.constant("bias", Role.BIAS, folded), op.output()),
        )
    ]


@rule("TRANSPOSE_CONV")
def transposed(op: Lowering) -> list[Call]:
    at = transpose_conv.OPERANDS
    weights = _weights(op)
    rows, columns = transpose_conv.axes(op.view)
    image, bias = op.view.input(at.values), op.view.optional(at.bias)
    params: dict[str, Value] = {
        "batches": image.shape[0],
        "in_h": rows.out,
        "in_w": columns.out,
        "in_c": image.shape[3],
        "out_h": rows.size,
        "out_w": columns.size,
        "out_c": len(weights),
        "kernel_h": rows.taps,
        "kernel_w": columns.taps,
        "stride_h": rows.stride,
        "stride_w": columns.stride,
        "pad_top": rows.before,
        "pad_left": columns.before,
    }
    if is_float(op.view):
        return _transposed_float(op, params)
    requantization = transpose_conv.requantization(op.view)
    if _is_int16(op):
        params |= {"activation_min": requantization.low, "activation_max": requantization.high}
        constants = _int16_constants(op, weights, bias, requantization)
        return [Call("to_transpose_conv_any_s16_c", params, (op.input(at.values), *constants, op.output()))]
    params |= {"input_zero_point": image.zero_point, **output_stage(requantization)}
    filters = weights.reshape(len(weights), -1)
    start = plain_bias(op.view, filters, None if bias is None else bias.data, image.zero_point)
    constants = (
        op.constant("weights", Role.WEIGHTS, weights),
        op.constant("bias", Role.BIAS, start),
        *_scales(op, len(weights), requantization),
    )
    return [Call("to_transpose_conv_any_s8_c", params, (op.input(at.values), *constants, op.output()))]


def _transposed_float(op: Lowering, params: dict[str, Value]) -> list[Call]:
    """Input 0 is the shape, so that rules by dtype do not apply."""
    at = transpose_conv.OPERANDS
    weights, bias = _weights(op), op.view.optional(at.bias)
    low, high = bounds(op.view.attrs.fused_activation_function)
    start = np.zeros(len(weights), np.float32) if bias is None or bias.data is None else bias.data
    constants = (
        op.constant("weights", Role.WEIGHTS, weights),
        op.constant("bias", Role.BIAS, start),
    )
    params |= {"activation_min": low, "activation_max": high}
    return [Call("to_transpose_conv_any_f32_c", params, (op.input(at.values), *constants, op.output()))]
