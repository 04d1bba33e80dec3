"""CEIL: float32."""

from __future__ import annotations

import numpy as np

from tinyops.ops.unary import FloatFunction


class Ceil(FloatFunction):
    kind = "CEIL"
    function = np.ceil
