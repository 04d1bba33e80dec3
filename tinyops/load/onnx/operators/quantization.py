"""QuantizeLinear and DequantizeLinear, of which the pass resolve_quantization makes integer operators."""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType, Quantization
from tinyops.load.onnx.builder import Builder
from tinyops.load.onnx.node import Node
from tinyops.load.onnx.registry import importer
from tinyops.load.onnx.tensors import dtype_of
from tinyops.load.onnx.value import Array, Stored, Value

#: TensorProto.DataType: what is quantized to where neither a zero point nor output_dtype says it.
_UINT8 = 2
_RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "int32": (-(2**31), 2**31 - 1)}


def _quantization(node: Node, x: Value, dtype: str) -> Quantization:
    """Of input 1 (scale) and input 2 (zero point); int8 for uint8, with everything 128 lower."""
    scale = node.constant(1).astype(np.float32).reshape(-1)
    if node.optional(2) is None:
        zero = np.zeros(scale.shape, np.int64)
    else:
        zero = node.constant(2).astype(np.int64).reshape(-1)
    if scale.size != zero.size or not scale.size:
        node.refuse(f"{scale.size} scales and {zero.size} zero points", "one of each per channel")
    if not np.isfinite(scale).all() or (scale <= 0).any():
        node.refuse("a scale is no positive finite number")
    if node.attr_int("block_size", 0):
        node.refuse("block_size is set", "0")
    shift = 128 if dtype == "uint8" else 0
    axis = 0
    if scale.size > 1:
        axis = node.axis(node.attr_int("axis", 1), x.rank)
        if x.shape[axis] != scale.size:
            node.refuse(f"{scale.size} scales for {x.shape[axis]} channels on axis {axis}")
    return Quantization(tuple(float(s) for s in scale), tuple(int(z) - shift for z in zero), axis)


def _along(q: Quantization, values: tuple[float, ...] | tuple[int, ...], rank: int) -> Array:
    shape = [1] * rank
    if q.per_channel:
        shape[q.axis] = -1
    return np.array(values).reshape(shape) if rank else np.array(values[0])


@importer("DequantizeLinear")
def dequantize_linear(g: Builder, node: Node) -> Value:
    """int8, uint8 (held as int8), int16 and, of constants, int32; constants per axis too."""
    x = node.input()
    if x.data is not None:
        name = x.data.dtype.name
        node.only("dtype", name, *_RANGES)
        q = _quantization(node, x, name)
        data = (x.data.astype(np.int16) - 128).astype(np.int8) if name == "uint8" else x.data
        real = (data.astype(np.int64) - _along(q, q.zero_points, x.rank)) * _along(q, q.scales, x.rank)
        return g.constant(real.astype(np.float32), x.name, Stored(np.ascontiguousarray(data), q))
    if x.index is None or g.tensors[x.index].quantization is None:
        node.refuse(f"its input {x.name} does not come from QuantizeLinear", "QuantizeLinear before it, or a constant")
    return g.op("DEQUANTIZE", [x], x.shape, dtype=DType.FLOAT32)


@importer("QuantizeLinear")
def quantize_linear(g: Builder, node: Node) -> Value:
    """To int8, uint8 (held as int8) or int16, per tensor; constants per axis too."""
    x = node.input()
    name = dtype_of(node.attr_int("output_dtype", 0) or _UINT8, node.where).name
    if node.optional(2) is not None:
        name = node.constant(2).dtype.name
    node.only("dtype", name, *_RANGES)
    q = _quantization(node, x, name)
    low, high = _RANGES["int8" if name == "uint8" else name]
    if x.data is not None:
        stored = np.clip(np.rint(x.data / _along(q, q.scales, x.rank)) + _along(q, q.zero_points, x.rank), low, high)
        shift = 128 if name == "uint8" else 0
        return g.constant((stored.astype(np.int64) + shift).astype(name))
    if q.per_channel:
        node.refuse("activations are quantized per axis", "per tensor")
    return g.op("QUANTIZE", [x], x.shape, dtype=DType("int8" if name == "uint8" else name), quantization=q)
