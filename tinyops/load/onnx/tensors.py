"""TensorProto to NumPy arrays, with every size checked against the data that is there."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tinyops.errors import ModelError
from tinyops.load.onnx.limits import MAX_NAME, MAX_RANK, MAX_TENSOR_BYTES

Array = np.ndarray[Any, Any]

#: TensorProto.DataType -> NumPy dtype of the elements that are supported.
DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.uint8),
    3: np.dtype(np.int8),
    4: np.dtype(np.uint16),
    5: np.dtype(np.int16),
    6: np.dtype(np.int32),
    7: np.dtype(np.int64),
    9: np.dtype(np.bool_),
    10: np.dtype(np.float16),
    11: np.dtype(np.float64),
    12: np.dtype(np.uint32),
    13: np.dtype(np.uint64),
}
#: TensorProto.DataType -> its name, for messages.
TYPE_NAMES = {
    **{code: dtype.name for code, dtype in DTYPES.items()},
    8: "string",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8e4m3fn",
    18: "float8e4m3fnuz",
    19: "float8e5m2",
    20: "float8e5m2fnuz",
    21: "uint4",
    22: "int4",
}
SUPPORTED = ", ".join(dtype.name for dtype in DTYPES.values())
#: Fields that hold a dtype's elements where raw_data does not; one element each.
_FIELDS = {1: "float_data", 7: "int64_data", 11: "double_data", 12: "uint64_data", 13: "uint64_data"}
_EXTERNAL = 1


def dtype_of(code: int, where: str) -> np.dtype[Any]:
    """Raises ModelError for a dtype that is not supported."""
    dtype = DTYPES.get(code)
    if dtype is None:
        raise ModelError(f"dtype {TYPE_NAMES.get(code, code)} is not supported", where=where, allowed=SUPPORTED)
    return dtype


def decode(tensor: Any, where: str, folder: Path | None) -> Array:
    """The array of a TensorProto; data in other files is read from `folder` alone."""
    dtype = dtype_of(tensor.data_type, where)
    if len(tensor.dims) > MAX_RANK:
        raise ModelError(f"{len(tensor.dims)} dimensions", where=where, allowed=f"up to {MAX_RANK}")
    shape = tuple(int(d) for d in tensor.dims)
    if any(d < 0 for d in shape):
        raise ModelError(f"shape {list(shape)} has a negative dimension", where=where)
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_TENSOR_BYTES:
        raise ModelError(
            f"shape {list(shape)} takes {size:,} bytes", where=where, allowed=f"up to {MAX_TENSOR_BYTES:,} bytes"
        )
    if tensor.data_location == _EXTERNAL:
        return _from_bytes(_external(tensor, size, where, folder), dtype, shape, where)
    if tensor.HasField("raw_data"):
        return _from_bytes(tensor.raw_data, dtype, shape, where)
    values = getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data"))
    if len(values) != math.prod(shape):
        raise ModelError(f"{len(values):,} values", where=where, allowed=f"{math.prod(shape):,}, by its shape")
    if dtype == np.float16:  # the bits, one element in each int32
        return np.array(values, dtype=np.uint16).view(np.float16).reshape(shape)
    array: Array = np.array(values).astype(dtype).reshape(shape)
    return array


def _from_bytes(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> Array:
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise ModelError(
            f"{len(data):,} bytes of data",
            where=where,
            allowed=f"{expected:,} bytes, by shape {list(shape)} and {dtype}",
        )
    if dtype.kind == "b":
        flags: Array = np.frombuffer(data, dtype=np.uint8) != 0
        return flags.reshape(shape)
    array = np.frombuffer(data, dtype=dtype.newbyteorder("<")).reshape(shape)
    return array.astype(dtype) if sys.byteorder == "big" else array.view(dtype)


def _external(tensor: Any, size: int, where: str, folder: Path | None) -> bytes:
    """`size` bytes of a file that lies in `folder` or below it, whatever links there are."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None or not location or "\0" in location:
        raise ModelError("its data lies in another file", where=where, allowed="a model that is read from its folder")
    named = repr(location[:MAX_NAME])
    try:
        root = folder.resolve()
        path = (root / location).resolve()
    except (OSError, RuntimeError) as error:  # links that lead to themselves
        raise ModelError(f"{named} cannot be read: its links have no end", where=where) from error
    if not path.is_relative_to(root):
        raise ModelError(f"its data lies outside of the model's folder: {named}", where=where)
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
    except ValueError:
        raise ModelError("offset or length of its data is no number", where=where) from None
    if offset < 0 or length != size:
        raise ModelError(
            f"{length:,} bytes of data at {offset:,}", where=where, allowed=f"{size:,} bytes, by its shape"
        )
    try:
        if not path.is_file():
            raise ModelError(f"the file of its data is missing: {named}", where=where, allowed="beside the model")
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        raise ModelError(f"{named} cannot be read: {error.strerror}", where=where) from error
    if len(data) != size:
        raise ModelError(f"{named} ends too early", where=where, allowed=f"{size:,} bytes at {offset:,}")
    return bytes(data)
