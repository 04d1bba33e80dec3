"""FLOOR: float32."""

from __future__ import annotations

import numpy as np

from tinyops.ops.unary import FloatFunction


class Floor(FloatFunction):
    kind = "FLOOR"
    function = np.floor
