"""SQUARE: float32."""

from __future__ import annotations

import numpy as np

from tinyops.ops.unary import FloatFunction


class Square(FloatFunction):
    kind = "SQUARE"
    function = np.square
