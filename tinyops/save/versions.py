"""Versions of TFLite's operators: which one an operator needs, and which runtime has it.

Sources: TensorFlow's compiler/mlir/lite/tools/versioning/op_version.cc and runtime_version.cc (2.23). LiteRT refuses a
version that it does not know; TFLite Micro does not look at versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tinyops.graph import DType, OpView

_I8, _I16, _I32, _I64, _U8, _F32, _BOOL, _I4 = (
    DType.INT8,
    DType.INT16,
    DType.INT32,
    DType.INT64,
    DType.UINT8,
    DType.FLOAT32,
    DType.BOOL,
    DType.INT4,
)
_8 = {_I8: 2}
_8_BOOL = {_I8: 2, _BOOL: 3}
_8_16 = {_I8: 2, _I16: 3}
_8_16_ALIKE = {_I8: 2, _I16: 2}
_8_16_LATE = {_I8: 2, _I16: 4}
_PAD = {_I8: 2, _I16: 3, _BOOL: 5}
#: Version by the dtype of the input that holds the values, the first but in _VALUES; 1 where it is not listed.
_BY_DTYPE: dict[str, dict[DType, int]] = {
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D", "TANH", "LOGISTIC", "CONCATENATION", "PACK"), _8_16),
    **dict.fromkeys(("SOFTMAX", "MEAN", "MIRROR_PAD", "REDUCE_MAX", "REDUCE_MIN", "RELU6", "RSQRT"), _8_16),
    **dict.fromkeys(("BATCH_MATMUL", "LESS", "GREATER_EQUAL"), _8_16),
    **dict.fromkeys(("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SUM", "LOG_SOFTMAX", "GREATER", "LESS_EQUAL"), _8),
    **dict.fromkeys(("SQUARED_DIFFERENCE", "SPLIT_V", "L2_NORMALIZATION"), _8),
    **dict.fromkeys(("EXP", "LOG", "SQRT"), _8_16_ALIKE),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), _8_BOOL),
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), _8_16_LATE),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _8_16_LATE),
    **dict.fromkeys(("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"), _8_16_LATE),
    **dict.fromkeys(("PAD", "PADV2"), _PAD),
    "ABS": {_I8: 2, _U8: 2, _I16: 3, _I32: 5},
    "ADD": {_I8: 2, _I16: 3, _I64: 4},
    "BROADCAST_TO": {_I8: 3, _I16: 3},
    "CONV_2D": {_I8: 3, _I16: 4},
    "DEPTHWISE_CONV_2D": {_I8: 3, _I16: 5},
    "DYNAMIC_UPDATE_SLICE": {_I16: 4},
    "EQUAL": {_I8: 2, _I16: 5},
    "FILL": {_BOOL: 2, _I8: 3, _I16: 3},
    "FLOOR_DIV": {_F32: 2, _I8: 3, _I16: 3},
    "FLOOR_MOD": {_I8: 2, _I16: 2},
    "FULLY_CONNECTED": {_I8: 4, _I16: 7},
    "GATHER": {_I8: 2, _BOOL: 3, _I16: 4},
    "GATHER_ND": {_I16: 3, _BOOL: 5},
    "LEAKY_RELU": {_I16: 2},
    "MUL": {_I8: 2, _I16: 4, _I64: 5},
    "NOT_EQUAL": {_I8: 2, _I16: 4},
    "RELU": {_I8: 2, _U8: 2, _I16: 3},
    "REVERSE_V2": {_BOOL: 2, _I8: 3},
    "SLICE": {_I8: 2, _I16: 4},
    "SPLIT": {_I8: 2, _I32: 3, _I16: 4},
    "STRIDED_SLICE": {_I8: 2, _BOOL: 3},
    "SUB": {_I8: 2, _I16: 5, _I64: 4},
    "SVDF": {_I8: 3},
    "TILE": {_I8: 3},
    "TRANSPOSE": {_I8: 2, _BOOL: 3, _I16: 5},
    "UNPACK": {_I8: 2, _U8: 2, _BOOL: 3, _I16: 4},
}
_VALUES = {"FILL": 1, "SPLIT": 1}


def required_version(view: OpView) -> int:
    """The lowest version of the operator that has the types, shapes and attributes of `view`."""
    table = _BY_DTYPE.get(view.kind, {})
    version = table.get(_dtype(view, _VALUES.get(view.kind, 0)) or DType.RESOURCE, 1)
    rule = _RULES.get(view.kind)
    return max(version, rule(view)) if rule else version


def _dtype(view: OpView, i: int) -> DType | None:
    tensor = view.optional(i)
    return None if tensor is None else tensor.dtype


def _rank(view: OpView) -> int:
    return max((len(t.shape) for t in view.inputs if t is not None), default=0)


def _per_channel(view: OpView, i: int) -> bool:
    tensor = view.optional(i)
    return tensor is not None and tensor.quantization is not None and tensor.quantization.per_channel


def _is_hybrid(view: OpView) -> bool:
    return _dtype(view, 0) is _F32 and _dtype(view, 1) in (_I8, _I4)


def _conv(view: OpView) -> int:
    image, weights = view.input(0), view.input(1)
    found = [1]
    if _is_hybrid(view):
        found.append(5 if _per_channel(view, 1) else 2)
    if weights.dtype is _I4:
        found.append(7)
    if len(image.shape) == 4 and len(weights.shape) == 4 and image.shape[3] != weights.shape[3]:
        found.append(6)
    if view.attrs.quantized_bias_type:
        found.append(8)
    return max(found)


def _depthwise(view: OpView) -> int:
    if _dtype(view, 1) is _I4:
        return 7
    if _is_hybrid(view):
        return 6 if _per_channel(view, 1) else 4
    return 2 if (view.attrs.dilation_w_factor, view.attrs.dilation_h_factor) != (1, 1) else 1


def _fully_connected(view: OpView) -> int:
    values, weights = _dtype(view, 0), _dtype(view, 1)
    found = [1]
    if weights is _I4:
        found.append(13 if values is _I16 else 10)
    if _is_hybrid(view):
        found.append(12 if _per_channel(view, 1) else 3)
    if view.attrs.quantized_bias_type:
        found.append(11)
    if len(view.op.inputs) == 2:
        found.append(6)
    if view.attrs.keep_num_dims:
        found.append(5)
    return max(found)


def _transpose_conv(view: OpView) -> int:
    if view.attrs.fused_activation_function:
        return 4
    if len(view.op.inputs) == 4 and view.op.inputs[3] is not None:
        return 3
    return 2 if _dtype(view, 1) is _I8 else 1


def _mul(view: OpView) -> int:
    a, b, out = view.input(0), view.input(1), view.output()
    if a.dtype is _I16 and a.quantization is None:
        return 7
    if None in (a.quantization, b.quantization, out.quantization) or a.dtype is _I16:
        return 1
    return 3 if a.scale * b.scale / out.scale >= 1 else 1


def _cast(view: OpView) -> int:
    types = _dtype(view, 0), view.output().dtype
    if _I4 in types:
        return 6
    return 3 if _I8 in types else 1


def _dequantize(view: OpView) -> int:
    given = _dtype(view, 0)
    if given is _I8:
        return 5 if _per_channel(view, 0) else 2
    return {_I16: 3, DType.FLOAT16: 3, _I4: 6}.get(given or _F32, 1)


def _quantize(view: OpView) -> int:
    if any(t.quantization is not None and t.quantization.per_channel for t in (view.input(0), view.output())):
        return 3
    return 2 if view.output().dtype is _I16 else 1


def _broadcast(version: int) -> Callable[[OpView], int]:
    """Broadcasting over more than four dimensions needs `version`."""

    def rule(view: OpView) -> int:
        shapes = {t.shape for t in view.inputs[:2] if t is not None}
        return version if len(shapes) > 1 and _rank(view) > 4 else 1

    return rule


def _ranks(versions: dict[int, int]) -> Callable[[OpView], int]:
    """Input 0 with more than so many dimensions -> version."""

    def rule(view: OpView) -> int:
        rank = len(view.input(0).shape)
        return max((version for most, version in versions.items() if rank > most), default=1)

    return rule


def _strided_slice(view: OpView) -> int:
    a = view.attrs
    if a.offset:
        return 8
    if a.ellipsis_mask or a.new_axis_mask:
        return 6
    return 4 if len(view.input(0).shape) > 4 else 1


def _resize(view: OpView) -> int:
    corners = view.kind == "RESIZE_NEAREST_NEIGHBOR" and view.attrs.align_corners
    return 3 if view.attrs.half_pixel_centers or corners else 1


_RULES: dict[str, Callable[[OpView], int]] = {
    "ABS": lambda v: 4 if _dtype(v, 0) is _I16 and v.input(0).quantization is None else 1,
    "ADD": lambda v: 5 if _dtype(v, 0) is _I16 and v.input(0).quantization is None else 1,
    "BATCH_TO_SPACE_ND": lambda v: 3 if len(v.input(0).shape) != 4 else 1,
    "BROADCAST_TO": lambda _: 2,
    "CAST": _cast,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEQUANTIZE": _dequantize,
    "DIV": _broadcast(2),
    "DYNAMIC_UPDATE_SLICE": lambda v: 2 if _dtype(v, 2) is _I64 else 1,
    "EMBEDDING_LOOKUP": lambda v: 4 if _dtype(v, 1) is _I4 or _per_channel(v, 1) else 1,
    "FAKE_QUANT": lambda v: 2 if v.attrs.narrow_range else 1,
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": lambda v: 6 if _dtype(v, 1) is _I16 else 5 if v.attrs.batch_dims else 1,
    "GATHER_ND": lambda v: 4 if _dtype(v, 1) is _I16 else 1,
    "GELU": lambda v: 2 if _dtype(v, 0) in (_I8, _U8) else 1,
    "MAXIMUM": _broadcast(3),
    "MINIMUM": _broadcast(3),
    "MUL": _mul,
    "PAD": _ranks({4: 4}),
    "PADV2": _ranks({4: 4}),
    "QUANTIZE": _quantize,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SELECT": lambda v: 3 if _rank(v) == 5 else 1,
    "SLICE": _ranks({4: 5}),
    "SPACE_TO_BATCH_ND": lambda v: 3 if len(v.input(0).shape) != 4 else 1,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _broadcast(3),
    "SVDF": lambda v: 2 if _is_hybrid(v) else 1,
    "TRANSPOSE": _ranks({4: 4, 5: 6, 6: 8}),
    "TRANSPOSE_CONV": _transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lambda v: 2 if _dtype(v, 0) is _F32 and _dtype(v, 2) is _I8 else 1,
}

#: First runtime of each version from 1 on; "-" where there is none.
_RUNTIMES = {
    "ABS": "1.13 2.4 2.5 2.6 2.12",
    "ADD": "1.5 1.14 2.4 2.6 2.13",
    "ADD_N": "1.14",
    "ARG_MAX": "1.9 1.14 2.9",
    "ARG_MIN": "1.9 1.14 2.9",
    "ASSIGN_VARIABLE": "2.6",
    "AVERAGE_POOL_2D": "1.5 1.14 2.3",
    "BATCH_MATMUL": "2.3 2.3 2.4 2.5",
    "BATCH_TO_SPACE_ND": "1.6 1.14 2.3 2.12",
    "BROADCAST_TO": "- 2.5 2.5",
    "CALL_ONCE": "2.5",
    "CAST": "1.5 2.7 2.8 2.9 2.12 2.15",
    "CEIL": "1.14",
    "CONCATENATION": "1.5 1.14 2.3 2.14",
    "CONV_2D": "1.5 1.14 1.14 2.3 2.4 2.9 2.11 2.15",
    "COS": "1.14",
    "CUMSUM": "2.4",
    "DEPTHWISE_CONV_2D": "1.5 1.12 1.14 2.2 2.3 2.3 2.11",
    "DEPTH_TO_SPACE": "2.1 2.5",
    "DEQUANTIZE": "1.13.1 1.14 1.15 2.2 2.7 2.18",
    "DIV": "1.6 2.3",
    "DYNAMIC_UPDATE_SLICE": "2.9 2.17 2.19 2.20",
    "ELU": "1.14",
    "EMBEDDING_LOOKUP": "1.13 1.14 1.14 2.18",
    "EQUAL": "1.14 1.14 2.3 2.13 2.21",
    "EXP": "1.7 2.12",
    "EXPAND_DIMS": "1.10",
    "FAKE_QUANT": "1.5 1.10",
    "FILL": "1.13 2.3 2.5 2.12",
    "FLOOR": "1.9",
    "FLOOR_DIV": "1.14 1.14 2.13",
    "FLOOR_MOD": "1.13 2.13",
    "FULLY_CONNECTED": "1.5 1.10 1.14 1.14 2.0 2.1 2.3 2.3 2.3 2.11 2.15 2.17 2.18",
    "GATHER": "1.6 1.14 1.15 2.4 2.5 2.13",
    "GATHER_ND": "1.14 2.3 2.5 2.13 2.16",
    "GELU": "2.9 2.9",
    "GREATER": "1.14 1.14",
    "GREATER_EQUAL": "1.14 1.14 2.13",
    "HARD_SWISH": "1.15",
    "L2_NORMALIZATION": "1.5 1.14",
    "L2_POOL_2D": "1.5",
    "LEAKY_RELU": "1.13.1 2.3",
    "LESS": "1.14 1.14 2.13",
    "LESS_EQUAL": "1.14 1.14",
    "LOG": "1.14 2.15",
    "LOGICAL_AND": "1.11",
    "LOGICAL_NOT": "1.11",
    "LOGICAL_OR": "1.11",
    "LOGISTIC": "1.14 1.14 2.3",
    "LOG_SOFTMAX": "1.14 1.14",
    "MAXIMUM": "1.14 1.14 2.3 2.3",
    "MAX_POOL_2D": "1.5 1.14 2.3",
    "MEAN": "1.6 1.14 2.4",
    "MINIMUM": "1.14 1.14 2.3 2.3",
    "MIRROR_PAD": "1.13.1 2.3 2.12",
    "MUL": "1.5 1.14 1.15 2.3 2.6 2.11 2.13",
    "NEG": "1.9",
    "NOT_EQUAL": "1.14 1.14 2.3 2.21",
    "PACK": "1.11 1.14 2.3 2.13",
    "PAD": "1.5 1.14 2.4 2.6 2.20",
    "PADV2": "1.9 1.14 2.4 2.6 2.20",
    "POW": "1.10",
    "PRELU": "1.8",
    "QUANTIZE": "1.14 1.15 2.7 2.21",
    "READ_VARIABLE": "2.6",
    "REDUCE_ALL": "2.6",
    "REDUCE_MAX": "1.11 1.14 2.5",
    "REDUCE_MIN": "1.11 1.14 2.5",
    "RELU": "1.5 2.1 2.5",
    "RELU6": "1.5 1.14 2.5",
    "RELU_0_TO_1": "2.10",
    "RELU_N1_TO_1": "1.5",
    "RESHAPE": "1.5",
    "RESIZE_BILINEAR": "1.7 1.14 2.2 2.5",
    "RESIZE_NEAREST_NEIGHBOR": "1.13.1 1.14 2.3 2.4",
    "REVERSE_V2": "1.14 2.2 2.5",
    "ROUND": "1.14",
    "RSQRT": "1.10 2.5 2.15",
    "SELECT": "1.14 1.14 2.12 2.12",
    "SELECT_V2": "2.2 2.12",
    "SHAPE": "1.10",
    "SIN": "1.9",
    "SLICE": "1.14 1.14 1.14 2.4 2.5 2.14",
    "SOFTMAX": "1.5 1.14 2.3",
    "SPACE_TO_BATCH_ND": "1.6 1.14 2.3 2.12",
    "SPACE_TO_DEPTH": "1.5 1.14",
    "SPLIT": "1.5 1.14 1.14 2.3",
    "SPLIT_V": "1.13.1 2.3",
    "SQRT": "1.10 2.21",
    "SQUARE": "1.12",
    "SQUARED_DIFFERENCE": "1.13.1 2.5",
    "SQUEEZE": "1.6 2.5",
    "STRIDED_SLICE": "1.6 1.14 2.1 2.2 2.5 2.6 2.14 2.14",
    "SUB": "1.6 1.14 2.3 2.4 2.4",
    "SUM": "1.10 1.15",
    "SVDF": "1.5 1.14 2.2 2.3",
    "TANH": "1.14 1.14 2.3",
    "TILE": "1.10.1 2.2 2.8",
    "TRANSPOSE": "1.6 1.14 1.15 2.3 2.4 2.12 2.14.4 2.22",
    "TRANSPOSE_CONV": "1.9 2.2 2.3 2.13 2.15",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "1.13.1 1.14 2.3 2.12",
    "UNPACK": "1.11 1.14 2.2 2.3",
    "VAR_HANDLE": "2.6",
    "ZEROS_LIKE": "1.12",
}


def minimum_runtime(codes: Iterable[tuple[str, int]]) -> str:
    """The first TFLite release that runs all these (operator kind, version) pairs, like "2.11.0"."""
    found = [runtime for kind, version in codes if (runtime := _runtime(kind, version))]
    return ".".join(map(str, max(found, default=(1, 5, 0))))


def _runtime(kind: str, version: int) -> tuple[int, ...] | None:
    listed = _RUNTIMES.get(kind, "").split()
    if not 0 < version <= len(listed) or listed[version - 1] == "-":
        return None
    numbers = tuple(map(int, listed[version - 1].split(".")))
    return numbers + (0,) * (3 - len(numbers))
