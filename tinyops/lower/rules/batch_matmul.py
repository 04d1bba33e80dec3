"""BATCH_MATMUL: both operands by strides, so that neither is ever transposed."""

from __future__ import annotations

from tinyops.graph import DType
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Value
from tinyops.lower.requantization import check_products
from tinyops.lower.strides import lead, merge
from tinyops.ops import batch_matmul as batch_matmul_op
from tinyops.ops.fixed_point import reduced_multiplier

_BATCH_DIMS = 3


def matrix_geometry(op: Lowering) -> dict[str, Value]:
    m = batch_matmul_op.matrices(op.view)
    batch, (a_batch, b_batch) = merge(m.batch, m.x_batch, m.y_batch)
    return {
        "batch": lead(batch, _BATCH_DIMS, 1),
        "a_batch": lead(a_batch, _BATCH_DIMS, 0),
        "b_batch": lead(b_batch, _BATCH_DIMS, 0),
        "rows": m.rows,
        "depth": m.depth,
        "columns": m.columns,
        "a_row": m.x_row,
        "a_depth": m.x_depth,
        "b_depth": m.y_depth,
        "b_column": m.y_column,
    }


@rule("BATCH_MATMUL")
def batch_matmul(op: Lowering) -> list[Call]:
    requantization = batch_matmul_op.requantization(op.view)
    params = matrix_geometry(op) | {
        "multiplier": int(requantization.multiplier[0]),
        "shift": int(requantization.shift[0]),
    }
    if op.view.output().dtype is DType.INT16:
        params |= {"multiplier": int(reduced_multiplier(requantization.multiplier)[0])}
        return [Call("to_batch_matmul_any_s16_c", params, (op.input(0), op.input(1), op.output()))]
    zero_points = op.view.input(0).zero_point, op.view.input(1).zero_point
    check_products(op.view, batch_matmul_op.matrices(op.view).depth, zero_points)
    params |= {
        "a_zero_point": zero_points[0],
        "b_zero_point": zero_points[1],
        "output_zero_point": requantization.zero_point,
    }
    return [Call("to_batch_matmul_any_s8_c", params, (op.input(0), op.input(1), op.output()))]
