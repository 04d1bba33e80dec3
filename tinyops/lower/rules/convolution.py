"""CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED: folded biases and per-channel requantization."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, ConstantRef, Role, Value
from tinyops.lower.requantization import fold_bias
from tinyops.ops import conv_2d, fully_connected
from tinyops.ops.fixed_point import Requantization

Array = np.ndarray[Any, Any]


def _channels(op: Lowering, weights: Array, requantization: Requantization) -> tuple[ConstantRef, ...]:
    """Folded bias, multipliers and shifts, one per channel; `weights` is int8[channels, taps]."""
    channels = len(weights)
    bias = op.view.optional(2)
    folded = fold_bias(op.view, weights, None if bias is None else bias.data, op.view.input(0).zero_point)
    multiplier = np.broadcast_to(requantization.multiplier.astype(np.int32), (channels,))
    shift = np.broadcast_to(requantization.shift.astype(np.int8), (channels,))
    return (
        op.constant("bias", Role.BIAS, folded),
        op.constant("multiplier", Role.REQUANTIZATION, multiplier),
        op.constant("shift", Role.REQUANTIZATION, shift),
    )


def _geometry(op: Lowering) -> dict[str, Value]:
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
        "input_zero_point": op.view.input(0).zero_point,
    }


def output_stage(requantization: Requantization) -> dict[str, Value]:
    return {
        "output_zero_point": requantization.zero_point,
        "activation_min": requantization.low,
        "activation_max": requantization.high,
    }


def _weights(op: Lowering) -> Array:
    data = op.view.input(1).data
    if data is None:
        raise ValueError(f"{op.view.name}: weights are not constant")
    return data


@rule("CONV_2D")
def conv(op: Lowering) -> list[Call]:
    weights = _weights(op)
    requantization = conv_2d.requantization(op.view)
    params = _geometry(op) | output_stage(requantization) | {"descending": int(op.output_overlaps_from_above())}
    kernel = "to_conv2d_1x1_s8_c" if conv_2d.is_pointwise(op.view) else "to_conv2d_any_s8_c"
    packed = op.constant("weights", Role.WEIGHTS, weights)
    channels = _channels(op, weights.reshape(len(weights), -1), requantization)
    return [Call(kernel, params, (op.input(), packed, *channels, op.output()))]


@rule("DEPTHWISE_CONV_2D")
def depthwise(op: Lowering) -> list[Call]:
    weights = _weights(op)
    requantization = conv_2d.requantization(op.view)
    params = _geometry(op) | {"depth_multiplier": op.view.attrs.depth_multiplier} | output_stage(requantization)
    packed = op.constant("weights", Role.WEIGHTS, weights)
    channels = _channels(op, weights.reshape(-1, weights.shape[3]).T, requantization)
    return [Call("to_depthwise_conv2d_any_s8_c", params, (op.input(), packed, *channels, op.output()))]


@rule("FULLY_CONNECTED")
def dense(op: Lowering) -> list[Call]:
    weights = _weights(op)
    requantization = fully_connected.requantization(op.view)
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
