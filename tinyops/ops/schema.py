"""How the graph's types stand in a .tflite file (schema version 3): one declaration, for the reader and for the writer.

An operator's own part of it is `Operator.options` and `Operator.attrs`.
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from functools import cache
from typing import Any

import tflite

from tinyops.graph import DType
from tinyops.ops.base import Operator

IDENTIFIER = b"TFL3"
VERSION = 3
#: dtype -> value of the schema's enumeration TensorType.
TENSOR_TYPES = {dtype: int(getattr(tflite.TensorType, dtype.name)) for dtype in DType}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an options table: its name here, that in the schema's accessors, and its Python type."""

    name: str
    accessor: str
    type: Any

    @property
    def is_vector(self) -> bool:
        return typing.get_origin(self.type) is tuple


@cache
def option_fields(definition: Operator) -> tuple[Field, ...]:
    """The fields of the operator's options table that its attributes hold."""
    hints = typing.get_type_hints(definition.attrs)
    return tuple(
        Field(f.name, "".join(part.capitalize() for part in f.name.split("_")), hints[f.name])
        for f in dataclasses.fields(definition.attrs)
    )
