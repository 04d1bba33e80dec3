"""BATCH_MATMUL: int8, int16 or float32 products of matrices, leading dimensions broadcast, operands constant or not.

[..., rows, depth] @ [..., depth, columns]; adj_x and adj_y say that an operand's matrices are stored transposed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.ops.access import lattice, overlap_distance, strides_of
from tinyops.ops.base import Activation, Array, Operator
from tinyops.ops.fixed_point import Requantization
from tinyops.ops.float32 import is_float, matmul
from tinyops.ops.weights import check_int64_requantization, requantize

_MAX_RANK = 5


@dataclass(frozen=True, slots=True)
class BatchMatmulAttrs:
    """Fields of TFLite's BatchMatMulOptions."""

    adj_x: bool = False
    adj_y: bool = False


@dataclass(frozen=True, slots=True)
class Matrices:
    """Both operands in elements: strides of the batch dimensions (0 where broadcast) and within a matrix."""

    batch: tuple[int, ...]
    rows: int
    depth: int
    columns: int
    x_batch: tuple[int, ...]
    x_row: int
    x_depth: int
    y_batch: tuple[int, ...]
    y_depth: int
    y_column: int


def _split(shape: tuple[int, ...], rank: int, adjoint: bool) -> tuple[tuple[int, ...], tuple[int, int], list[int]]:
    """Batch dimensions and the matrix of an operand that is no longer transposed, with all strides."""
    full = (1,) * (rank - len(shape)) + shape
    strides = list(strides_of(full))
    order = [*range(rank - 2), rank - 1, rank - 2] if adjoint else list(range(rank))
    rows, columns = (full[d] for d in order[-2:])
    return full[:-2], (rows, columns), [0 if full[d] == 1 else strides[d] for d in order]


def matrices(op: OpView) -> Matrices:
    """Raises ValueError where the shapes do not multiply."""
    rank = max(len(op.input(0).shape), len(op.input(1).shape))
    x_batch, (rows, depth), x_strides = _split(op.input(0).shape, rank, op.attrs.adj_x)
    y_batch, (y_depth, columns), y_strides = _split(op.input(1).shape, rank, op.attrs.adj_y)
    if depth != y_depth:
        raise ValueError(f"{depth} columns times {y_depth} rows")
    batch = np.broadcast_shapes(x_batch, y_batch)
    return Matrices(
        batch=batch,
        rows=rows,
        depth=depth,
        columns=columns,
        x_batch=tuple(x_strides[:-2]),
        x_row=x_strides[-2],
        x_depth=x_strides[-1],
        y_batch=tuple(y_strides[:-2]),
        y_depth=y_strides[-2],
        y_column=y_strides[-1],
    )


def requantization(op: OpView) -> Requantization:
    """From the int32 accumulators to the outputs: x scale * y scale / output scale, in double precision."""
    ratio = op.input(0).scale * op.input(1).scale / op.output().scale
    return Requantization.of([ratio], Activation.NONE, op.output())


class BatchMatmul(Operator):
    kind = "BATCH_MATMUL"
    attrs = BatchMatmulAttrs
    options = "BatchMatMulOptions"
    versions = range(1, 5)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        self.expect_dtype(op, "the input", op.input(0).dtype, DType.INT8, DType.INT16, DType.FLOAT32)
        for what, tensor in (("input 1", op.input(1)), ("the output", op.output())):
            self.expect_dtype(op, what, tensor.dtype, op.input(0).dtype)
        if not is_float(op):
            self.expect_per_tensor(op, 0, 1)
        for i in range(2):
            if not 2 <= len(op.input(i).shape) <= _MAX_RANK:
                self.refuse(op, f"input {i} has shape {list(op.input(i).shape)}", f"2 to {_MAX_RANK} dimensions")
        try:
            m = matrices(op)
            found = None if is_float(op) else requantization(op)
        except ValueError as error:
            self.refuse(op, str(error), "matrices that multiply, and a scale ratio under 2**30")
        if found is not None and op.output().dtype is DType.INT16:
            check_int64_requantization(self, op, found, m.depth * 2**30, (op.input(0), op.input(1), op.output()))
        self.expect_shape(op, (*m.batch, m.rows, m.columns))

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        x, y = inputs
        assert x is not None
        assert y is not None
        if is_float(op):
            transposed = (x.swapaxes(-1, -2) if op.attrs.adj_x else x, y.swapaxes(-1, -2) if op.attrs.adj_y else y)
            return [matmul(*transposed).reshape(op.output().shape)]
        left = x.astype(np.float64) - op.input(0).zero_point
        right = y.astype(np.float64) - op.input(1).zero_point
        left = left.swapaxes(-1, -2) if op.attrs.adj_x else left
        right = right.swapaxes(-1, -2) if op.attrs.adj_y else right
        # Exact: every partial sum is an integer under 2**47 (int16), or depth * 2**16 with a depth under 2**26.
        product = (left @ right).astype(np.int64)
        return [requantize(op, requantization(op), product)]

    def macs(self, op: OpView) -> int:
        return op.output().elements * matrices(op).depth

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        m = matrices(op)
        shape = (*m.batch, m.rows, m.columns)
        reads = []
        for strides in ((*m.x_batch, m.x_row, 0), (*m.y_batch, 0, m.y_column)):
            offsets = [np.arange(n, dtype=np.int64) * s for n, s in zip(shape, strides, strict=True)]
            reads.append(lattice(offsets).reshape(-1))
        itemsize = op.output().dtype.itemsize
        return {(i, 0): overlap_distance(lowest, 1) * itemsize for i, lowest in enumerate(reads)}
