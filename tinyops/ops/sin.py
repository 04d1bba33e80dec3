"""SIN: float32, of radians."""

from __future__ import annotations

import numpy as np

from tinyops.ops.unary import FloatFunction


class Sin(FloatFunction):
    kind = "SIN"
    function = np.sin
