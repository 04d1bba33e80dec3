"""GREATER_EQUAL: int8, int32 and float32 with broadcasting; the output is bool."""

from __future__ import annotations

import operator

from tinyops.ops.comparison import Comparison


class GreaterEqual(Comparison):
    kind = "GREATER_EQUAL"
    function = operator.ge
