"""Operators on float32, and between float32 and integers."""

from __future__ import annotations

import math

import numpy as np

from tinyops.graph import DType, Tensor
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, ConstantRef, Role, Value
from tinyops.lower.rules.batch_matmul import matrix_geometry
from tinyops.lower.rules.binary import geometry
from tinyops.lower.rules.convolution import dense_geometry, window_geometry
from tinyops.lower.rules.movement import contiguous
from tinyops.lower.rules.pooling import pool_geometry
from tinyops.lower.rules.reduction import outer_and_inner, split_axes
from tinyops.lower.rules.unary import to_float
from tinyops.ops import conv_2d, resize_bilinear
from tinyops.ops.base import Activation, Array
from tinyops.ops.fixed_point import dtype_range
from tinyops.ops.float32 import bounds

#: Modes of to_binary_f32.h; GREATER and GREATER_EQUAL are LESS and LESS_EQUAL with exchanged operands.
_BINARY = {
    "ADD": 0,
    "SUB": 1,
    "MUL": 2,
    "DIV": 3,
    "MINIMUM": 4,
    "MAXIMUM": 5,
    "SQUARED_DIFFERENCE": 6,
    "PRELU": 7,
}
_COMPARISONS = {"EQUAL": 8, "NOT_EQUAL": 9, "LESS": 10, "LESS_EQUAL": 11, "GREATER": 10, "GREATER_EQUAL": 11}
#: Kernels and modes of to_unary_f32.h; GELU is that without an approximation.
_UNARY = {
    "ABS": ("to_unary_any_f32_c", 0),
    "NEG": ("to_unary_any_f32_c", 1),
    "SQUARE": ("to_unary_any_f32_c", 2),
    "FLOOR": ("to_unary_any_f32_c", 3),
    "CEIL": ("to_unary_any_f32_c", 4),
    "ROUND": ("to_unary_any_f32_c", 5),
    "HARD_SWISH": ("to_unary_any_f32_c", 6),
    "LEAKY_RELU": ("to_unary_any_f32_c", 7),
    "SQRT": ("to_sqrt_any_f32_c", 8),
    "RSQRT": ("to_sqrt_any_f32_c", 9),
    "EXP": ("to_exp_any_f32_c", 10),
    "ELU": ("to_exp_any_f32_c", 11),
    "GELU": ("to_gelu_any_f32_c", 13),
    "LOG": ("to_log_any_f32_c", 14),
    "SIN": ("to_sine_any_f32_c", 15),
    "COS": ("to_sine_any_f32_c", 16),
}
_GELU_TANH = ("to_exp_any_f32_c", 12)
#: Modes of to_reduce_any_f32_c.
_REDUCTIONS = {"SUM": 0, "MEAN": 1, "REDUCE_MAX": 2, "REDUCE_MIN": 3}
_CLAMP = {"RELU": Activation.RELU, "RELU6": Activation.RELU6, "RELU_N1_TO_1": Activation.RELU_N1_TO_1}


def _activation(op: Lowering) -> dict[str, Value]:
    """Bounds of the fused activation, if there is one."""
    low, high = bounds(getattr(op.view.attrs, "fused_activation_function", Activation.NONE))
    return {"activation_min": low, "activation_max": high}


def _weights(op: Lowering) -> Array:
    """Input 1, which is constant."""
    tensor = op.view.input(1)
    if tensor.data is None:
        raise ValueError(f"{op.view.name}: weights are not constant")
    return tensor.data


def _bias(op: Lowering, bias: Tensor | None, channels: int) -> ConstantRef:
    """float32[channels]: a constant bias, or zeros."""
    start = np.zeros(channels, np.float32) if bias is None or bias.data is None else bias.data
    return op.constant("bias", Role.BIAS, start)


def _convolution(op: Lowering, geometry: dict[str, Value], filters: Array, groups: int) -> list[Call]:
    """`filters` is float32[output channels, ...]."""
    constants = (op.constant("weights", Role.WEIGHTS, filters), _bias(op, op.view.optional(2), len(filters)))
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
    tensor, bias = op.view.input(1), op.view.optional(2)
    units, depth = tensor.shape
    if tensor.data is not None and (bias is None or bias.data is not None):
        return _convolution(op, dense_geometry(op, units, depth), _weights(op), 1)
    weights = op.input(1) if tensor.data is None else op.constant("weights", Role.WEIGHTS, _weights(op))
    start = _bias(op, bias, units) if bias is None or bias.data is not None else op.input(2)
    params = dense_geometry(op, units, depth) | {"groups": 1} | _activation(op)
    return [Call("to_conv2d_any_f32_c", params, (op.input(), weights, start, op.output()))]


def _elementwise(op: Lowering, kernel: str, mode: int, a: int = 0) -> list[Call]:
    """Of two tensors; input `a` is the kernel's first operand."""
    params = geometry(op, a=a, b=1 - a) | {"mode": mode} | _activation(op)
    return [Call(kernel, params, (op.input(a), op.input(1 - a), op.output()))]


def binary(op: Lowering) -> list[Call]:
    return _elementwise(op, "to_binary_any_f32_c", _BINARY[op.view.kind])


for _kind in _BINARY:
    rule(_kind, DType.FLOAT32)(binary)


def comparison(op: Lowering) -> list[Call]:
    a = int(op.view.kind in ("GREATER", "GREATER_EQUAL"))
    return _elementwise(op, "to_compare_any_f32_c", _COMPARISONS[op.view.kind], a)


for _kind in _COMPARISONS:
    rule(_kind, DType.FLOAT32)(comparison)


@rule("FLOOR_DIV", DType.FLOAT32)
@rule("FLOOR_MOD", DType.FLOAT32)
def modulo(op: Lowering) -> list[Call]:
    return _elementwise(op, "to_modulo_any_f32_c", 12 if op.view.kind == "FLOOR_DIV" else 13)


@rule("POW", DType.FLOAT32)
def power(op: Lowering) -> list[Call]:
    return _elementwise(op, "to_pow_any_f32_c", 0)


def unary(op: Lowering) -> list[Call]:
    approximate = getattr(op.view.attrs, "approximate", False)
    kernel, mode = _GELU_TANH if approximate else _UNARY[op.view.kind]
    alpha = float(np.float32(getattr(op.view.attrs, "alpha", 0.0)))
    params: dict[str, Value] = {"n": op.view.output().elements, "mode": mode, "alpha": alpha}
    return [Call(kernel, params, (op.input(), op.output()))]


for _kind in _UNARY:
    rule(_kind, DType.FLOAT32)(unary)


@rule("BATCH_MATMUL", DType.FLOAT32)
def batch_matmul(op: Lowering) -> list[Call]:
    return [Call("to_batch_matmul_any_f32_c", matrix_geometry(op), (op.input(0), op.input(1), op.output()))]


@rule("RESIZE_BILINEAR", DType.FLOAT32)
def bilinear(op: Lowering) -> list[Call]:
    rows, columns = resize_bilinear.float_axes(op.view)
    batches, _, _, channels = op.view.output().shape
    params: dict[str, Value] = {
        "batches": batches,
        "in_h": rows.size,
        "in_w": columns.size,
        "channels": channels,
        "out_h": rows.out,
        "out_w": columns.out,
        "scale_h": rows.scale,
        "scale_w": columns.scale,
        "half_pixel_centers": int(op.view.attrs.half_pixel_centers),
    }
    return [Call("to_resize_bilinear_any_f32_c", params, (op.input(), op.output()))]


@rule("AVERAGE_POOL_2D", DType.FLOAT32)
@rule("MAX_POOL_2D", DType.FLOAT32)
def pool(op: Lowering) -> list[Call]:
    params = pool_geometry(op) | {"largest": int(op.view.kind == "MAX_POOL_2D")} | _activation(op)
    return [Call("to_pool2d_any_f32_c", params, (op.input(), op.output()))]


@rule("L2_POOL_2D", DType.FLOAT32)
def l2_pool(op: Lowering) -> list[Call]:
    params = pool_geometry(op) | {"largest": 0} | _activation(op)
    return [Call("to_l2_pool2d_any_f32_c", params, (op.input(), op.output()))]


@rule("CUMSUM", DType.FLOAT32)
def cumsum(op: Lowering) -> list[Call]:
    attrs = op.view.attrs
    params = outer_and_inner(op) | {"exclusive": int(attrs.exclusive), "reverse": int(attrs.reverse)}
    return [Call("to_cumsum_any_f32_c", params, (op.input(), op.output()))]


@rule("ADD_N", DType.FLOAT32)
def add_n(op: Lowering) -> list[Call]:
    """The sum of the first two, to which the others are added in place."""
    params = geometry(op, a=0, b=1) | {"mode": _BINARY["ADD"]} | _activation(op)
    first, *others = (op.input(i) for i in range(len(op.view.op.inputs)))
    operands = [first, *[op.output()] * (len(others) - 1)]
    return [Call("to_binary_any_f32_c", params, (a, b, op.output())) for a, b in zip(operands, others, strict=True)]


def reduction(op: Lowering) -> list[Call]:
    params = split_axes(op) | {"mode": _REDUCTIONS[op.view.kind]}
    return [Call("to_reduce_any_f32_c", params, (op.input(), op.output()))]


for _kind in _REDUCTIONS:
    rule(_kind, DType.FLOAT32)(reduction)


@rule("ARG_MAX", DType.FLOAT32)
@rule("ARG_MIN", DType.FLOAT32)
def arg_extreme(op: Lowering) -> list[Call]:
    params = outer_and_inner(op) | {"smallest": int(op.view.kind == "ARG_MIN")}
    return [Call("to_arg_extreme_any_f32_c", params, (op.input(), op.output()))]


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


def _rows(op: Lowering) -> dict[str, Value]:
    shape = op.view.input(0).shape
    return {"rows": math.prod(shape[:-1]), "depth": shape[-1]}


@rule("SOFTMAX", DType.FLOAT32)
def softmax(op: Lowering) -> list[Call]:
    params = _rows(op) | {"beta": float(np.float32(op.view.attrs.beta))}
    return [Call("to_softmax_any_f32_c", params, (op.input(), op.output()))]


@rule("LOG_SOFTMAX", DType.FLOAT32)
def log_softmax(op: Lowering) -> list[Call]:
    return [Call("to_log_softmax_any_f32_c", _rows(op), (op.input(), op.output()))]


@rule("L2_NORMALIZATION", DType.FLOAT32)
def l2_normalization(op: Lowering) -> list[Call]:
    return [Call("to_l2_normalization_any_f32_c", _rows(op), (op.input(), op.output()))]


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


@rule("CAST", DType.FLOAT32)
def cast(op: Lowering) -> list[Call]:
    result = op.view.output()
    if result.dtype is DType.FLOAT32:
        return contiguous(op.input(), op.output(), result.nbytes)
    params: dict[str, Value] = {"n": result.elements, "output_size": result.dtype.itemsize}
    return [Call("to_truncate_any_f32_c", params, (op.input(), op.output()))]


@rule("DEQUANTIZE")
def dequantize(op: Lowering) -> list[Call]:
    return to_float(op, op.view.input(0).scale, op.view.input(0).zero_point)
