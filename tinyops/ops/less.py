"""LESS: int8, int32 and float32 with broadcasting; the output is bool."""

from __future__ import annotations

import operator

from tinyops.ops.comparison import Comparison


class Less(Comparison):
    kind = "LESS"
    function = operator.lt
