"""EQUAL: int8, int32, float32 and bool with broadcasting; the output is bool."""

from __future__ import annotations

import operator

from tinyops.graph import DType
from tinyops.ops.comparison import Comparison


class Equal(Comparison):
    kind = "EQUAL"
    function = operator.eq
    dtypes = (DType.INT8, DType.INT32, DType.FLOAT32, DType.BOOL)
