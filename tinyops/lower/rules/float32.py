"""Operators on float32, and between float32 and integers."""

from __future__ import annotations

import math

import numpy as np

from tinyops.graph import DType
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Role, Value
from tinyops.lower.rules.binary import geometry
from tinyops.lower.rules.convolution import dense_geometry, window_geometry
from tinyops.lower.rules.pooling import pool_geometry
from tinyops.lower.rules.reduction import split_axes
from tinyops.ops import conv_2d
from tinyops.ops.base import Activation, Array
from tinyops.ops.fixed_point import dtype_range
from tinyops.ops.float32 import bounds, real_values

#: Modes of to_binary_any_f32_c.
_BINARY = {"ADD": 0, "SUB": 1, "MUL": 2}
_CLAMP = {"RELU": Activation.RELU, "RELU6": Activation.RELU6, "RELU_N1_TO_1": Activation.RELU_N1_TO_1}


def _activation(op: Lowering) -> dict[str, Value]:
    low, high = bounds(op.view.attrs.fused_activation_function)
    return {"activation_min": low, "activation_max": high}


def _weights(op: Lowering) -> Array:
    """Input 1 as float32; of a hybrid model it is int8."""
    tensor = op.view.input(1)
    if tensor.data is None:
        raise ValueError(f"{op.view.name}: weights are not constant")
    return real_values(tensor, tensor.data)


def _convolution(op: Lowering, geometry: dict[str, Value], filters: Array, groups: int) -> list[Call]:
    """`filters` is float32[output channels, ...]."""
    bias = op.view.optional(2)
    start = np.zeros(len(filters), np.float32) if bias is None or bias.data is None else bias.data
    constants = (op.constant("weights", Role.WEIGHTS, filters), op.constant("bias", Role.BIAS, start))
    params = geometry | {"groups": groups} | _activation(op)
    return [Call("to_conv2d_any_f32_c", params, (op.input(), *constants, op.output()))]


@rule("CONV_2D", DType.FLOAT32)
def conv(op: Lowering) -> list[Call]:
    return _convolution(op, window_geometry(op), _weights(op), conv_2d.groups(op.view))


@rule("DEPTHWISE_CONV_2D", DType.FLOAT32)
def depthwise(op: Lowering) -> list[Call]:
    """A group per input channel."""
    return _convolution(op, window_geometry(op), _weights(op).transpose(3, 1, 2, 0), op.view.input(0).shape[3])


@rule("FULLY_CONNECTED", DType.FLOAT32)
def dense(op: Lowering) -> list[Call]:
    weights = _weights(op)
    return _convolution(op, dense_geometry(op, *weights.shape), weights, 1)


@rule("ADD", DType.FLOAT32)
@rule("SUB", DType.FLOAT32)
@rule("MUL", DType.FLOAT32)
def binary(op: Lowering) -> list[Call]:
    params = geometry(op, a=0, b=1) | {"mode": _BINARY[op.view.kind]} | _activation(op)
    return [Call("to_binary_any_f32_c", params, (op.input(0), op.input(1), op.output()))]


@rule("AVERAGE_POOL_2D", DType.FLOAT32)
@rule("MAX_POOL_2D", DType.FLOAT32)
def pool(op: Lowering) -> list[Call]:
    params = pool_geometry(op) | {"largest": int(op.view.kind == "MAX_POOL_2D")} | _activation(op)
    return [Call("to_pool2d_any_f32_c", params, (op.input(), op.output()))]


@rule("MEAN", DType.FLOAT32)
def mean(op: Lowering) -> list[Call]:
    return [Call("to_mean_any_f32_c", split_axes(op), (op.input(), op.output()))]


@rule("RELU", DType.FLOAT32)
@rule("RELU6", DType.FLOAT32)
@rule("RELU_N1_TO_1", DType.FLOAT32)
def clamp(op: Lowering) -> list[Call]:
    low, high = bounds(_CLAMP[op.view.kind])
    params: dict[str, Value] = {"n": op.view.output().elements, "low": low, "high": high}
    return [Call("to_clamp_any_f32_c", params, (op.input(), op.output()))]


@rule("LOGISTIC", DType.FLOAT32)
@rule("TANH", DType.FLOAT32)
def sigmoid(op: Lowering) -> list[Call]:
    params: dict[str, Value] = {"n": op.view.output().elements, "is_tanh": int(op.view.kind == "TANH")}
    return [Call("to_sigmoid_any_f32_c", params, (op.input(), op.output()))]


@rule("SOFTMAX", DType.FLOAT32)
def softmax(op: Lowering) -> list[Call]:
    shape = op.view.input(0).shape
    params: dict[str, Value] = {
        "rows": math.prod(shape[:-1]),
        "depth": shape[-1],
        "beta": float(np.float32(op.view.attrs.beta)),
    }
    return [Call("to_softmax_any_f32_c", params, (op.input(), op.output()))]


@rule("QUANTIZE", DType.FLOAT32)
def quantize(op: Lowering) -> list[Call]:
    tensor = op.view.output()
    low, high = dtype_range(tensor.dtype)
    params: dict[str, Value] = {
        "n": tensor.elements,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
        "low": low,
        "high": high,
        "output_size": tensor.dtype.itemsize,
    }
    return [Call("to_quantize_any_f32_c", params, (op.input(), op.output()))]


@rule("DEQUANTIZE")
def dequantize(op: Lowering) -> list[Call]:
    tensor = op.view.input(0)
    params: dict[str, Value] = {
        "n": tensor.elements,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
        "mask": 255 if tensor.dtype is DType.UINT8 else -1,
        "input_size": tensor.dtype.itemsize,
    }
    return [Call("to_dequantize_any_f32_c", params, (op.input(), op.output()))]
