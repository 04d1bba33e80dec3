"""SUB: int8, int16, int32 and float32 with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.add import Add
from tinyops.ops.base import Activation


@dataclass(frozen=True, slots=True)
class SubAttrs:
    """Fields of TFLite's SubOptions; pot_scale_int16 promises LiteRT scales that are powers of two."""

    fused_activation_function: Activation = Activation.NONE
    pot_scale_int16: bool = False


class Sub(Add):
    kind = "SUB"
    attrs = SubAttrs
    options = "SubOptions"
    function = np.subtract

    def expect_activation(self, op: OpView) -> None:
        """Any."""
