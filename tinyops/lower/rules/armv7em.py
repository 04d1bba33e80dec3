"""Armv7E-M with the DSP extension: multiply-accumulates on pairs of int16, weights packed in the order of reading."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyops.graph import DType, OpView
from tinyops.lower.lowering import Fast, Lowering, Optimize, fast_rule
from tinyops.lower.packing import pack_channels, pack_pairs, pack_pairs16, pack_quads
from tinyops.lower.program import Call, Role, Value
from tinyops.lower.requantization import short_form
from tinyops.lower.rules.convolution import window_geometry
from tinyops.ops import add as add_op
from tinyops.ops import conv_2d, fully_connected
from tinyops.ops.broadcast import rescaled

Array = np.ndarray[Any, Any]

_ISA = "armv7em"
#: Weights of a dense layer, in bytes, that are no reason for code of their own where flash is short.
_SMALL_LAYER = 1024
#: Bytes of the plane of one channel, where more rows than three make it faster.
_PLANE_BYTES = 1024


@fast_rule(_ISA, "CONV_2D")
def conv(view: OpView, optimize: Optimize) -> Fast | None:
    weights = view.input(1).data
    if view.output().dtype is not DType.INT8 or weights is None or view.input(1).dtype is not DType.INT8:
        return None
    window = conv_2d.window(view)
    if conv_2d.groups(view) != 1 or window.rows.dilation != 1 or window.columns.dilation != 1:
        return None
    rows = weights.reshape(len(weights), -1)
    form = short_form(view, rows, conv_2d.requantization(view))
    if form is None:
        return None
    padded = -(-rows.shape[1] // 4) * 4
    pointwise = conv_2d.is_pointwise(view)
    wide = optimize == "speed"  # int16 weights take twice the flash
    rows_at_once = 4 if wide else 3
    scratch = rows_at_once * padded * (2 if pointwise else 3)

    def calls(op: Lowering) -> list[Call]:
        requantization = conv_2d.requantization(view)
        geometry = window_geometry(op)
        names = ("dilation_h", "dilation_w")
        params = {key: value for key, value in geometry.items() if key not in names}
        params |= {
            "input_zero_point": view.input(0).zero_point,
            "activation_min": requantization.low,
            "activation_max": requantization.high,
            "clamped": int(requantization.zero_point <= requantization.low),
            "descending": int(op.output_overlaps_from_above()),
        }
        arguments = (
            op.input(),
            op.constant("weights", Role.WEIGHTS, pack_pairs16(rows) if wide else pack_pairs(rows)),
            op.constant("channels", Role.REQUANTIZATION, pack_channels(form, joined=not wide)),
            op.scratch(DType.INT16),
            op.output(),
        )
        return [
            Call("to_conv2d_gemm16_s8_armv7em" if wide else "to_conv2d_gemm_s8_armv7em", params, arguments, outputs=2)
        ]

    return Fast(calls, scratch_bytes=scratch, descending=pointwise)


@fast_rule(_ISA, "DEPTHWISE_CONV_2D")
def depthwise(view: OpView, optimize: Optimize) -> Fast | None:
    weights = view.input(1).data
    if view.output().dtype is not DType.INT8 or weights is None or view.input(1).dtype is not DType.INT8:
        return None
    window, channels = conv_2d.window(view), view.output().shape[3]
    rows, columns = window.rows, window.columns
    if columns.size == columns.taps == 1:  # a column is a row
        rows, columns = columns, rows
    pairs = (columns.taps + columns.stride + 1) // 2
    if view.attrs.depth_multiplier != 1 or {rows.dilation, columns.dilation} != {1}:
        return None
    if columns.stride > 2 or pairs > 8:
        return None
    filters = weights.reshape(-1, channels).T
    form = short_form(view, filters, conv_2d.requantization(view))
    if form is None:
        return None
    square = (rows.taps, columns.taps) == (3, 3) and optimize != "size"
    reach = 4 if square else 2 * pairs
    last = columns.out - 1 if square else (columns.out - 1) // 2 * 2
    pitch = max(last * columns.stride + reach, columns.before + columns.size)
    pitch += pitch % 2
    height = rows.taps
    whole = (rows.out - 1) * rows.stride + rows.taps
    while height < whole and 2 * (height + rows.stride) * pitch <= _PLANE_BYTES:
        height += rows.stride
    scratch = 2 * height * pitch + (0 if square else 8 * rows.taps * pairs)

    def calls(op: Lowering) -> list[Call]:
        requantization = conv_2d.requantization(view)
        params: dict[str, Value] = {
            "batches": window.batches,
            "in_h": rows.size,
            "in_w": columns.size,
            "channels": channels,
            "out_h": rows.out,
            "out_w": columns.out,
            "kernel_h": rows.taps,
            "kernel_w": columns.taps,
            "stride_h": rows.stride,
            "stride_w": columns.stride,
            "pad_top": rows.before,
            "pad_left": columns.before,
            "plane_rows": height,
            "plane_pitch": pitch,
            "input_zero_point": view.input(0).zero_point,
            "activation_min": requantization.low,
            "activation_max": requantization.high,
            "clamped": int(requantization.zero_point <= requantization.low),
        }
        packed = np.zeros((channels, 12 if square else filters.shape[1]), np.int8)
        packed[:, : filters.shape[1]] = filters
        table = np.stack([2 * form.bias, form.multiplier, form.addend, form.shift], axis=1).astype(np.int32)
        arguments = (
            op.input(),
            op.constant("weights", Role.WEIGHTS, packed),
            op.constant("table", Role.REQUANTIZATION, table),
            op.scratch(DType.INT16),
            op.output(),
        )
        name = f"to_depthwise_conv2d_{'3x3' if square else 'window'}_s8_armv7em"
        return [Call(name, params, arguments, outputs=2)]

    return Fast(calls, scratch, overlaps={}, in_place=frozenset({(0, 0)}))


@fast_rule(_ISA, "FULLY_CONNECTED")
def dense(view: OpView, optimize: Optimize) -> Fast | None:
    weights = view.input(1).data
    if view.output().dtype is not DType.INT8 or weights is None or view.input(1).dtype is not DType.INT8:
        return None
    requantization = fully_connected.requantization(view)
    if optimize == "size" and view.input(1).nbytes < _SMALL_LAYER:
        return None
    if len(requantization.multiplier) > 1:
        return None
    form = short_form(view, weights, requantization, uniform=True)
    if form is None:
        return None
    units, depth = weights.shape

    def calls(op: Lowering) -> list[Call]:
        params: dict[str, Value] = {
            "batches": view.output().elements // units,
            "in_n": depth,
            "out_n": units,
            "multiplier": int(form.multiplier[0]),
            "addend": int(form.addend[0]),
            "shift": int(form.shift[0]),
            "activation_min": requantization.low,
            "activation_max": requantization.high,
            "clamped": int(requantization.zero_point <= requantization.low),
        }
        bias = np.zeros(-(-units // 4) * 4, np.int64)
        bias[:units] = form.bias
        bias[0::2] += 256 * bias[1::2]
        arguments = (
            op.input(),
            op.constant("weights", Role.WEIGHTS, pack_quads(weights)),
            op.constant("bias", Role.BIAS, bias.astype(np.int32)),
            op.scratch(DType.INT16),
            op.output(),
        )
        return [Call("to_fully_connected_gemv_s8_armv7em", params, arguments, outputs=2)]

    return Fast(calls, scratch_bytes=2 * -(-depth // 4) * 4)


@fast_rule(_ISA, "ADD")
@fast_rule(_ISA, "SUB")
def add(view: OpView, optimize: Optimize) -> Fast | None:
    """Both rescaled inputs by tables: of 2^20 times an int8 they are below 2^28, so that twice a sum fits in int32."""
    first, second = view.input(0), view.input(1)
    if optimize == "size":
        return None
    if view.output().dtype is not DType.INT8 or first.shape != second.shape or first.is_constant or second.is_constant:
        return None
    p = add_op.parameters(view)
    multiplier, shift = p.output[0], -p.output[1]
    addend = (1 << shift >> 1) + (view.output().zero_point << shift)
    if not 1 <= shift <= 22:
        return None
    values = np.roll(np.arange(-128, 128, dtype=np.int64), 128)
    a, b = (rescaled(t, values, p.left_shift, pair) for t, pair in zip((first, second), p.inputs, strict=True))
    tables = 2 * np.concatenate([a, b if view.kind == "ADD" else -b])

    def calls(op: Lowering) -> list[Call]:
        params: dict[str, Value] = {
            "n": view.output().elements,
            "multiplier": multiplier,
            "addend": addend,
            "shift": shift,
            "activation_min": p.low,
            "activation_max": p.high,
        }
        constant = op.constant("tables", Role.TABLE, tables.astype(np.int32))
        return [Call("to_add_table_s8_armv7em", params, (op.input(0), op.input(1), constant, op.output()))]

    return Fast(calls)
