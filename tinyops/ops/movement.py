"""What operators that only move elements have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tinyops.graph import DType, OpView, Tensor
from tinyops.ops.access import NEVER, lattice, overlap_distance
from tinyops.ops.base import Array, Operator
from tinyops.ops.quantization import SHARED

DTYPES = (DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.BOOL, DType.FLOAT32)
EIGHT_BITS = (DType.INT8, DType.UINT8)
_INT32 = np.iinfo(np.int32)


def check_movement(rules: Operator, op: OpView, *indices: int, name: str | None = None) -> None:
    """Inputs `indices` and all outputs have the same dtype, one of DTYPES; `name` is that of the first input."""
    dtype = op.input(indices[0]).dtype
    rules.expect_dtype(op, name or f"input {indices[0]}", dtype, *DTYPES)
    for i in indices[1:]:
        rules.expect_dtype(op, f"input {i}", op.input(i).dtype, dtype)
    for i, tensor in enumerate(op.outputs):
        rules.expect_dtype(op, f"output {i}", tensor.dtype, dtype)


def constant_ints(rules: Operator, op: OpView, i: int, count: int | None = None) -> list[int]:
    """The values of the constant int32 or int64 input `i`, of which there must be `count`, each fitting in int32."""
    values = [int(v) for v in rules.constant(op, i).reshape(-1)]
    rules.expect_dtype(op, f"input {i}", op.input(i).dtype, DType.INT32, DType.INT64)
    if count is not None and len(values) != count:
        rules.refuse(op, f"input {i} ({op.input(i).name}) has {len(values)} values", str(count))
    for value in values:
        if not _INT32.min <= value <= _INT32.max:
            rules.refuse(op, f"input {i} ({op.input(i).name}) holds {value}", "values that fit in int32")
    return values


def ints(tensor: Tensor) -> list[int]:
    """The values of a constant that `check` has seen."""
    assert tensor.data is not None
    return [int(v) for v in tensor.data.reshape(-1)]


def expect_rank(rules: Operator, op: OpView, allowed: range, i: int = 0) -> None:
    """The number of dimensions of input `i` is in `allowed`."""
    rank = len(op.input(i).shape)
    if rank not in allowed:
        few, many = allowed[0], allowed[-1]
        rules.refuse(op, f"input of {rank} dimensions", str(few) if few == many else f"{few} to {many}")


def resolved_axis(rules: Operator, op: OpView, axis: int, rank: int) -> int:
    """`axis` counted from the front; refused unless it is one of `rank` axes."""
    if not -rank <= axis < rank:
        rules.refuse(op, f"axis {axis}", f"{-rank} to {rank - 1}")
    return axis % rank


class Rearrangement(Operator):
    """Base of operators each of whose output elements is an input element known beforehand.

    The data is input 0 and the only input that is read at run time.
    """

    quantization = SHARED

    def offsets(self, op: OpView) -> list[Array]:
        """Per dimension of an index space of the output's elements in order, int64[n]: input elements to step over.

        The dimensions are the output's, or a finer division of them. Output element (i, j, ...) is input element
        offsets[0][i] + offsets[1][j] + ...
        """
        raise NotImplementedError

    def addresses(self, op: OpView) -> Array:
        """The input element that each output element copies, int64[elements] in the output's order."""
        return lattice(self.offsets(op)).reshape(-1)

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [values.reshape(-1)[self.addresses(op)].reshape(op.output().shape)]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        itemsize = op.output().dtype.itemsize
        return {(0, 0): overlap_distance(self.addresses(op) * itemsize, itemsize)}

    def view(self, op: OpView) -> Mapping[int, tuple[int, int]]:
        taken = self.addresses(op)
        if np.any(np.diff(taken) != 1):
            return {}
        return {0: (0, int(taken[0]) * op.output().dtype.itemsize)}


class SameBytes(Operator):
    """Base of operators whose output is input 0 under another shape."""

    quantization = SHARED

    def reference(self, op: OpView, inputs: Sequence[Array | None]) -> list[Array]:
        values = inputs[0]
        assert values is not None
        return [values.reshape(op.output().shape).copy()]

    def overlap(self, op: OpView) -> Mapping[tuple[int, int], int]:
        return {(0, 0): 0}

    def view(self, op: OpView) -> Mapping[int, tuple[int, int]]:
        return {0: (0, 0)}


def join_overlap(op: OpView, sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """`Operator.overlap` of an output that is made of runs: sizes[i] elements of input i for each i, over and over."""
    itemsize = op.output().dtype.itemsize
    runs = op.output().elements // sum(sizes)
    distances = {}
    for i, size in enumerate(sizes):
        start = sum(sizes[:i])
        reads = np.full((runs, sum(sizes)), NEVER, dtype=np.int64)
        reads[:, start : start + size] = np.arange(runs * size, dtype=np.int64).reshape(runs, size) * itemsize
        distances[i, 0] = overlap_distance(reads, itemsize)
        if runs > 1:  # inputs are copied one after the other: only the first is read in canonical order
            break
    return distances


def join_embed(op: OpView, sizes: Sequence[int]) -> dict[int, int]:
    """`Operator.embed` of such an output: inputs can be made in place where each gives one run."""
    if op.output().elements != sum(sizes):
        return {}
    itemsize = op.output().dtype.itemsize
    return {i: sum(sizes[:i]) * itemsize for i in range(len(sizes))}


def part_views(op: OpView, i: int, axis: int) -> dict[int, tuple[int, int]]:
    """`Operator.view` of outputs that are consecutive parts of input `i` along `axis`."""
    if math.prod(op.input(i).shape[:axis]) != 1:
        return {}
    starts = np.cumsum([0, *(tensor.nbytes for tensor in op.outputs)])
    return {o: (i, int(starts[o])) for o in range(len(op.outputs))}
