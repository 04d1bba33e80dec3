"""What a name of the ONNX graph stands for: an array that is known, or a tensor that is computed at run time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyops.graph import DType, Quantization

Array = np.ndarray[Any, Any]

#: dtypes of run-time tensors: ONNX's element types on the left are held as ours on the right.
HELD_AS = {
    "float32": DType.FLOAT32,
    "float64": DType.FLOAT32,
    "float16": DType.FLOAT32,
    "int64": DType.INT32,
    "int32": DType.INT32,
    "int16": DType.INT16,
    "int8": DType.INT8,
    "uint8": DType.UINT8,
    "bool": DType.BOOL,
}


@dataclass(frozen=True, slots=True)
class Stored:
    """The integers that DequantizeLinear made a constant of: real = scale * (q - zero point)."""

    data: Array
    quantization: Quantization


@dataclass(frozen=True, slots=True)
class GeluPart:
    """factor * (erf(x / sqrt(2)) + offset) of a GELU that is not complete yet, times x where `times_x`."""

    x: int
    factor: float = 1.0
    offset: float = 0.0
    times_x: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """`data` of a constant, else `index` of a tensor of the graph, else a `part` of a pattern."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    data: Array | None = None
    index: int | None = None
    stored: Stored | None = None
    part: GeluPart | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_constant(self) -> bool:
        return self.data is not None
