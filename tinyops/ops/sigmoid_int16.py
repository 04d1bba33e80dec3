"""Sigmoid and tanh on int16, by TFLite's table with linear interpolation (reference/integer_ops/logistic.h, tanh.h).

Both take a scaled input: the real value times 3 * 2**12. Outputs are Q0.15.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyops.ops.base import Array

_VALUES = """
    0 683 1365 2045 2725 3401 4075 4745 5412 6073 6730 7381 8026 8664 9296 9920 10536 11144 11743 12334 12915
    13487 14049 14601 15143 15675 16196 16707 17207 17696 18174 18641 19097 19543 19977 20401 20813 21215 21606
    21987 22357 22717 23066 23406 23735 24055 24365 24665 24956 25239 25512 25776 26032 26280 26520 26751 26975
    27191 27400 27602 27797 27985 28167 28342 28511 28673 28831 28982 29128 29268 29404 29534 29660 29781 29898
    30010 30118 30222 30322 30418 30511 30600 30686 30768 30847 30923 30997 31067 31135 31200 31262 31322 31380
    31436 31489 31540 31589 31637 31682 31726 31768 31808 31846 31884 31919 31953 31986 32018 32048 32077 32105
    32132 32158 32182 32206 32229 32251 32271 32292 32311 32329 32347 32364 32381 32396 32411 32426 32440 32453
    32466 32478 32490 32501 32512 32523 32533 32542 32551 32560 32569 32577 32584 32592 32599 32606 32613 32619
    32625 32631 32636 32642 32647 32652 32657 32661 32665 32670 32674 32677 32681 32685 32688 32691 32694 32697
    32700 32703 32706 32708 32711 32713 32715 32717 32720 32721 32723 32725 32727 32729 32730 32732 32733 32735
    32736 32737 32739 32740 32741 32742 32743 32744 32745 32746 32747 32748 32749 32749 32750 32751 32752 32752
    32753 32754 32754 32755 32755 32756 32756 32757 32757 32758 32758 32758 32759 32759 32760 32760 32760 32761
    32761 32761 32761 32762 32762 32762 32762 32763 32763 32763 32763 32763 32764 32764 32764 32764 32764 32764
    32765 32765 32765 32765 32765 32765 32765 32765 32766 32766 32766 32766 32766 32766 32766 32766 32766 32766
    32767
"""

#: tanh(i / 48) in Q0.15: TFLite's sigmoid_table_uint16 (common.h) less 2**15. Its last digits follow no rounding rule.
TANH_TABLE: Array = np.array(_VALUES.split(), dtype=np.int16)


@dataclass(frozen=True, slots=True)
class InputScaling:
    """From an int16 input to the functions' scaled one: (x * multiplier + half) >> shift."""

    multiplier: int
    shift: int

    def apply(self, values: Array) -> Array:
        rounding = (1 << self.shift) >> 1
        result: Array = (values.astype(np.int64) * self.multiplier + rounding) >> self.shift
        return result


def input_scaling(scale: float, power_of_two_shifts: int) -> InputScaling:
    """As TFLite Micro's LOGISTIC and TANH prepare it; ValueError where the scale is too large.

    2**-12 times 2**k is taken as an exact power of two for k < `power_of_two_shifts`.
    """
    with np.errstate(divide="ignore"):
        power = np.log(np.float32(scale)) * (np.float32(1) / np.log(np.float32(2)))
    shift = 12 + round(float(power))
    if abs(power - np.round(power)) < np.float32(1e-3) and 0 <= shift < power_of_two_shifts:
        return InputScaling(3 << shift, 0)
    multiplier, shift = scale * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        multiplier, shift = multiplier * 2, shift + 1
    if multiplier >= 32768:
        raise ValueError(f"input scale {scale:g}")
    return InputScaling(int(multiplier), shift)


def sigmoid_int16(scaled: Any) -> Array:
    """int64 values of int16 for `scaled` in int32."""
    x = np.asarray(scaled, dtype=np.int64)
    half = _interpolated(np.abs(x), 9, 0x7FFE << 9)
    result: Array = ((1 << 24) + np.where(x >= 0, half + (1 << 9), -half + (1 << 9) - 1)) >> 10
    return result


def tanh_int16(scaled: Any) -> Array:
    """int64 values of int16 for `scaled` in int32."""
    x = np.asarray(scaled, dtype=np.int64)
    magnitude = _interpolated(np.abs(x), 8, 0x7FFF << 8)
    result: Array = np.where(x >= 0, magnitude + (1 << 7), -magnitude + (1 << 7) - 1) >> 8
    return result


def _interpolated(magnitude: Array, bits: int, saturated: int) -> Array:
    """The table at magnitude / 2**bits with `bits` more fractional bits; `saturated` beyond its end."""
    index = np.minimum(magnitude >> bits, 254)
    low, high = (TANH_TABLE[i].astype(np.int64) for i in (index, index + 1))
    inside = (low << bits) + (magnitude & ((1 << bits) - 1)) * (high - low)
    return np.where(magnitude >> bits >= 255, saturated, inside)
