"""ROUND: float32 to the nearest integer, ties to even."""

from __future__ import annotations

import numpy as np

from tinyops.ops.unary import FloatFunction


class Round(FloatFunction):
    kind = "ROUND"
    function = np.rint
