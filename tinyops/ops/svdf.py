"""SVDF: layer of filters over time (of a singular value decomposition); int8 with a state of int8 or int16, or float32.

Inputs: values [batches, features], feature weights [filters, features], time weights [filters, memory], bias [units],
state [batches, filters * memory]; filters = units * rank. Outputs: [batches, units] and the state's new value. The
fused activation is not applied, as in TFLite Micro's integer SVDF.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView, Tensor
from tinyops.ops.base import Activation, Array, Operator
from tinyops.ops.fixed_point import dtype_range, multiply_by_quantized_multiplier, quantize_multiplier, wrap32
from tinyops.ops.float32 import activate, is_float, matmul
from tinyops.ops.quantization import QuantizationRule
from tinyops.ops.weights import exact_matmul

VALUES, FEATURE, TIME, BIAS, STATE = range(5)
#: TFLite Micro's bound of |state scale * time scale - bias scale|.
_BIAS_SCALE_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class SvdfAttrs:
    """Fields of TFLite's SVDFOptions."""

    rank: int
    fused_activation_function: Activation = Activation.NONE


def multipliers(op: OpView) -> tuple[tuple[int, int], tuple[int, int]]:
    """(multiplier, shift) of the feature and of the time stage; the ratios are computed in float32."""
    scale = {i: np.float32(op.input(i).scale) for i in (VALUES, FEATURE, TIME, STATE)}
    with np.errstate(over="ignore"):
        feature = scale[VALUES] * scale[FEATURE] / scale[STATE]
        time = scale[STATE] * scale[TIME] / np.float32(op.output().scale)
    return quantize_multiplier(float(feature)), quantize_multiplier(float(time))


def _float(op: OpView, values: Array, feature: Array, time: Array, bias: Array, state: Array) -> list[Array]:
    """The output and the state's next value."""
    moved = np.roll(state, -1, axis=1).reshape(len(state), *time.shape)
    moved[:, :, -1] = matmul(values, feature.T)
    filtered = matmul(moved[:, :, None], time[:, :, None]).reshape(len(state), -1, op.attrs.rank)
    total = np.broadcast_to(bias, filtered.shape[:2])
    for k in range(op.attrs.rank):
        total = total + filtered[:, :, k]
    return [activate(total, op.attrs.fused_activation_function), moved.reshape(state.shape)]


class Svdf(Operator):
    kind = "SVDF"
    attrs = SvdfAttrs
    options = "SVDFOptions"
    quantization = QuantizationRule(refused="no ranges of its inner tensors are calibrated")
    versions = range(1, 5)
    variables = (STATE,)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 5, outputs=2)
        self._check_dtypes(op)
        self._check_shapes(op)
        if is_float(op):
            return
        try:
            multipliers(op)
        except ValueError as error:
            self.refuse(op, str(error), "scales that give ratios under 2**30")
        bias = op.input(BIAS)
        exact = float(np.float32(op.input(STATE).scale) * np.float32(op.input(TIME).scale))
        given = 0.0 if bias.quantization is None else bias.quantization.scales[0]
        if abs(given - exact) >= _BIAS_SCALE_TOLERANCE:
            self.refuse(op, f"the bias has scale {given:g}", f"{exact:g}, state scale * time weight scale")

    def _check_dtypes(self, op: OpView) -> None:
        if op.input(VALUES).dtype is DType.FLOAT32:
            self._check_float_dtypes(op)
            return
        state = op.input(STATE).dtype
        wanted: tuple[tuple[str, Tensor, tuple[DType, ...]], ...] = (
            ("the input", op.input(VALUES), (DType.INT8, DType.FLOAT32)),
            ("the feature weights", op.input(FEATURE), (DType.INT8,)),
            ("the state", op.input(STATE), (DType.INT8, DType.INT16)),
            ("the time weights", op.input(TIME), (state,)),
            ("the bias", op.input(BIAS), (DType.INT32,)),
            ("the output", op.output(), (DType.INT8,)),
            ("the state's new value", op.output(1), (state,)),
        )
        for what, tensor, dtypes in wanted:
            self.expect_dtype(op, what, tensor.dtype, *dtypes)
        self.expect_per_tensor(op, VALUES, FEATURE, TIME, STATE)
        for i in (FEATURE, TIME, BIAS):
            self.constant(op, i)
        for i in (FEATURE, TIME):
            if op.input(i).zero_point != 0:
                self.refuse(op, f"input {i} has zero point {op.input(i).zero_point}", "symmetric weights")

    def _check_float_dtypes(self, op: OpView) -> None:
        for i, tensor in enumerate(op.inputs):
            assert tensor is not None
            self.expect_dtype(op, f"input {i}", tensor.dtype, DType.FLOAT32)
        for o, tensor in enumerate(op.outputs):
            self.expect_dtype(op, f"output {o}", tensor.dtype, DType.FLOAT32)
        for i in (FEATURE, TIME, BIAS):
            self.constant(op, i)

    def _check_shapes(self, op: OpView) -> None:
        values, feature, time = (op.input(i).shape for i in (VALUES, FEATURE, TIME))
        for i, shape in ((VALUES, values), (FEATURE, feature), (TIME, time)):
            if len(shape) != 2 or 0 in shape:
                self.refuse(op, f"input {i} has shape {list(shape)}", "two dimensions, none of them 0")
        filters, rank = feature[0], op.attrs.rank
        if rank < 1 or filters % rank:
            self.refuse(op, f"rank is {rank} for {filters} filters", "a divisor of the filter count")
        expected = {
            FEATURE: (filters, values[1]),
            TIME: (filters, time[1]),
            BIAS: (filters // rank,),
            STATE: (values[0], filters * time[1]),
        }
        for i, shape in expected.items():
            if op.input(i).shape != shape:
                self.refuse(op, f"input {i} has shape {list(op.input(i).shape)}", f"{list(shape)}, by the shape rule")
        self.expect_shape(op, (values[0], filters // rank))
        self.expect_shape(op, expected[STATE], 1)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values, feature, time, bias, state = inputs
        assert values is not None
        assert feature is not None
        assert time is not None
        assert bias is not None
        assert state is not None
        if is_float(op):
            return _float(op, values, feature, time, bias, state)
        (feature_multiplier, feature_shift), (time_multiplier, time_shift) = multipliers(op)
        low, high = dtype_range(op.input(STATE).dtype)
        products = exact_matmul(values.astype(np.int16) - op.input(VALUES).zero_point, feature.T)
        newest = multiply_by_quantized_multiplier(wrap32(products), feature_multiplier, feature_shift)
        zero = op.input(STATE).zero_point
        moved = np.concatenate([state[:, 1:], state[:, :1]], axis=1).reshape(len(state), *time.shape)
        moved[:, :, -1] = (np.clip(newest, low, high) + zero).astype(state.dtype)
        filtered = ((moved.astype(np.int64) - zero) * time).sum(axis=2)
        total = filtered.reshape(len(state), -1, op.attrs.rank).sum(axis=2) + bias
        scaled = multiply_by_quantized_multiplier(wrap32(total), time_multiplier, time_shift)
        output = np.clip(wrap32(scaled + op.output().zero_point), -128, 127).astype(np.int8)
        return [output, moved.reshape(state.shape)]

    def macs(self, op: OpView) -> int:
        return op.input(VALUES).shape[0] * (op.input(FEATURE).elements + op.input(TIME).elements)

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        """The state's new value is complete before the output is begun."""
        return {(STATE, 1): 0}
