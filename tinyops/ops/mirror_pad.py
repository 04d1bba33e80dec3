"""MIRROR_PAD: constant paddings that mirror the input with (SYMMETRIC) or without (REFLECT) its edge."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinyops.graph import OpView
from tinyops.ops.access import strides_of
from tinyops.ops.base import Array
from tinyops.ops.movement import Rearrangement
from tinyops.ops.pad import check_paddings, paddings

_MAX_RANK = 6


class MirrorPadMode(enum.IntEnum):
    """TFLite schema values."""

    REFLECT = 0
    SYMMETRIC = 1


@dataclass(frozen=True, slots=True)
class MirrorPadAttrs:
    """Fields of TFLite's MirrorPadOptions."""

    mode: MirrorPadMode = MirrorPadMode.REFLECT


class MirrorPad(Rearrangement):
    kind = "MIRROR_PAD"
    attrs = MirrorPadAttrs
    options = "MirrorPadOptions"
    versions = range(1, 4)

    def check(self, op: OpView) -> None:
        self.expect_arity(op, 2)
        check_paddings(self, op, _MAX_RANK)
        mode = op.attrs.mode
        for axis, (n, pair) in enumerate(zip(op.input(0).shape, paddings(op), strict=True)):
            most = n - 1 if mode is MirrorPadMode.REFLECT else n
            if max(pair) > most:
                self.refuse(op, f"paddings {list(pair)} on axis {axis}", f"0 to {most} for mode {mode.name}")

    def offsets(self, op: OpView) -> list[Array]:
        mode: Literal["reflect", "symmetric"] = "reflect" if op.attrs.mode is MirrorPadMode.REFLECT else "symmetric"
        shape = op.input(0).shape
        return [
            np.pad(np.arange(n, dtype=np.int64), pair, mode=mode) * step
            for n, pair, step in zip(shape, paddings(op), strides_of(shape), strict=True)
        ]
