"""RESIZE_BILINEAR; RESIZE_NEAREST_NEIGHBOR is a rearrangement, see layout."""

from __future__ import annotations

from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call, Value
from tinyops.ops import resize_bilinear


@rule("RESIZE_BILINEAR")
def bilinear(op: Lowering) -> list[Call]:
    rows, columns = resize_bilinear.axes(op.view)
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
        "offset_h": rows.offset,
        "offset_w": columns.offset,
    }
    return [Call("to_resize_bilinear_any_s8_c", params, (op.input(), op.output()))]
