"""Values narrower than a byte: two's complement int4, two per byte, the first in the low half, row by row.

That is the layout of TFLite's INT4 buffers; an odd count leaves the last high half 0.
"""

from __future__ import annotations

import numpy as np

from tinyops.graph import DType
from tinyops.ops.base import Array


def pack_int4(values: Array) -> Array:
    """uint8[(n + 1) // 2] of n values in -8..7, in C order."""
    flat = values.reshape(-1).astype(np.uint8) & 15
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    packed: Array = flat[0::2] | flat[1::2] << 4
    return packed


def unpack_int4(packed: Array, elements: int) -> Array:
    """int8[elements] in -8..7 of uint8[(elements + 1) // 2]."""
    halves = np.stack([packed << 4, packed & 0xF0], axis=-1).astype(np.uint8).view(np.int8)
    values: Array = (halves >> 4).reshape(-1)[:elements]
    return values


def pack(dtype: DType, values: Array) -> bytes:
    """The bytes of a constant in a file, little-endian."""
    if dtype is DType.INT4:
        return pack_int4(values).tobytes()
    return np.ascontiguousarray(values, dtype=dtype.numpy.newbyteorder("<")).tobytes()
