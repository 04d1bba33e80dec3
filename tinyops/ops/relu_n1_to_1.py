"""RELU_N1_TO_1: int8 and int16, with a change of scale, and float32.

TFLite Micro has no such kernel; this is TensorFlow Lite's (activations.cc, QuantizedReluX): RELU with another range.
"""

from __future__ import annotations

from tinyops.graph import DType
from tinyops.ops.base import Activation
from tinyops.ops.relu import Relu


class ReluN1To1(Relu):
    kind = "RELU_N1_TO_1"
    not_in_micro = (*DType,)
    versions = range(1, 2)
    activation = Activation.RELU_N1_TO_1
