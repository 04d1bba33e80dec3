"""What operators that only move elements have in common."""

from __future__ import annotations

from tinyops.graph import DType, OpView, Tensor
from tinyops.ops.base import Operator

DTYPES = (DType.INT8, DType.UINT8, DType.INT16, DType.INT32)


def check_movement(rules: Operator, op: OpView, *indices: int) -> None:
    """Inputs `indices` and all outputs have the same dtype, one of DTYPES."""
    dtype = op.input(indices[0]).dtype
    rules.expect_dtype(op, f"input {indices[0]}", dtype, *DTYPES)
    for i in indices[1:]:
        rules.expect_dtype(op, f"input {i}", op.input(i).dtype, dtype)
    for i, tensor in enumerate(op.outputs):
        rules.expect_dtype(op, f"output {i}", tensor.dtype, dtype)


def constant_ints(rules: Operator, op: OpView, i: int, count: int | None = None) -> list[int]:
    """The values of the constant int32 input `i`, of which there must be `count`."""
    rules.expect_dtype(op, f"input {i}", op.input(i).dtype, DType.INT32)
    values = [int(v) for v in rules.constant(op, i).reshape(-1)]
    if count is not None and len(values) != count:
        rules.refuse(op, f"input {i} ({op.input(i).name}) has {len(values)} values", str(count))
    return values


def ints(tensor: Tensor) -> list[int]:
    """The values of a constant that `check` has seen."""
    assert tensor.data is not None
    return [int(v) for v in tensor.data.reshape(-1)]
