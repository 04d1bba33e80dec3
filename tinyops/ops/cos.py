"""COS: float32, of radians."""

from __future__ import annotations

import numpy as np

from tinyops.ops.unary import FloatFunction


class Cos(FloatFunction):
    kind = "COS"
    function = np.cos
