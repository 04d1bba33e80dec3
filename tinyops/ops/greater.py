"""GREATER: int8, int32 and float32 with broadcasting; the output is bool."""

from __future__ import annotations

import operator

from tinyops.ops.comparison import Comparison


class Greater(Comparison):
    kind = "GREATER"
    function = operator.gt
