"""FULLY_CONNECTED: int8, int16 or float32 activations, weights [units, depth] with one scale or one per unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import overlap_distance
from tinyops.ops.base import Activation, Array, Operator
from tinyops.ops.fixed_point import Requantization
from tinyops.ops.float32 import dense, is_float
from tinyops.ops.quantization import QuantizationRule, WeightRule
from tinyops.ops.weights import check_ratios, check_weights, exact_matmul, requantize, scale_requantization

#: TFLite Micro's bound of |input scale * weight scale - bias scale| / output scale.
_BIAS_SCALE_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class FullyConnectedAttrs:
    """Fields of TFLite's FullyConnectedOptions; weights_format 0 is DEFAULT."""

    fused_activation_function: Activation = Activation.NONE
    weights_format: int = 0
    keep_num_dims: bool = False
    quantized_bias_type: int = 0


def requantization(op: OpView) -> Requantization:
    """The scale ratio in double precision, as in tflite-micro since 2026; older ones round its product to float32."""
    return scale_requantization(op, op.attrs.fused_activation_function)


class FullyConnected(Operator):
    kind = "FULLY_CONNECTED"
    attrs = FullyConnectedAttrs
    options = "FullyConnectedOptions"
    versions = range(1, 14)
    quantization = QuantizationRule(weights=WeightRule(per_channel=False))

    def check(self, op: OpView) -> None:
        check_weights(self, op, channel_axis=0, rank=2, floats=True, computed=True, int4=True)
        if op.attrs.weights_format != 0:
            self.refuse(op, f"weights_format is {op.attrs.weights_format}", "0 (DEFAULT)")
        self._check_scales(op)
        quantization = op.input(1).quantization
        if op.input(1).dtype is DType.INT4 and quantization is not None and quantization.per_channel:
            self.refuse(op, "the int4 weights are quantized per channel", "per tensor, as TFLite Micro computes them")
        units, depth = op.input(1).shape
        shape = op.input(0).shape
        if op.attrs.keep_num_dims:
            if not shape or shape[-1] != depth:
                self.refuse(op, f"input of shape {list(shape)}", f"last dimension {depth}, as the weights")
            self.expect_shape(op, (*shape[:-1], units))
            return
        if op.input(0).elements % depth:
            self.refuse(op, f"input of shape {list(shape)}", f"a multiple of {depth} elements, as the weights")
        self.expect_shape(op, (op.input(0).elements // depth, units))

    def _check_scales(self, op: OpView) -> None:
        check_ratios(self, op)
        bias, weights = op.optional(2), op.input(1).quantization
        if is_float(op) or bias is None or bias.dtype is DType.INT64 or weights is None or weights.per_channel:
            return
        exact = op.input(0).scale * op.input(1).scale
        given = 0.0 if bias.quantization is None else bias.quantization.scales[0]
        if abs(exact - given) / op.output().scale > _BIAS_SCALE_TOLERANCE:
            self.refuse(op, f"the bias has scale {given:g}", f"{exact:g}, input scale * weight scale")

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values, weights, bias = (*inputs, None)[:3]
        assert values is not None
        assert weights is not None
        if is_float(op):
            return [dense(op, values, weights, bias)]
        rows = values.reshape(-1, weights.shape[1]).astype(np.int16) - op.input(0).zero_point
        accumulator = exact_matmul(rows, weights.T, values.dtype == np.int16)
        if bias is not None:
            accumulator = accumulator + bias
        return [requantize(op, requantization(op), accumulator)]

    def macs(self, op: OpView) -> int:
        return op.output().elements * op.input(1).shape[1]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        units, depth = op.input(1).shape
        batches = op.output().elements // units
        reads = np.repeat(np.arange(batches, dtype=np.int64) * depth, units)
        return {(0, 0): overlap_distance(reads, 1) * op.output().dtype.itemsize}
