"""How TFLite's 8-bit specification quantizes an operator; an operator's class declares it as `quantization`.

Source: "LiteRT 8-bit quantization specification", and the restrictions of TFLite Micro's kernels where they are
stricter. What nothing is declared for is free: each float32 operand gets the scale and zero point of its own range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinyops.graph import DType


@dataclass(frozen=True, slots=True)
class WeightRule:
    """Constant weights, symmetric in [-127, 127], and a bias with the scale input scale * weight scale.

    `values`, `weights` and `bias` are positions of inputs, `axis` is the weights' axis of output channels.
    `per_channel` is the specification's choice; kernels take one scale per tensor too.
    """

    values: int = 0
    weights: int = 1
    bias: int | None = 2
    axis: int = 0
    per_channel: bool = True


@dataclass(frozen=True, slots=True)
class QuantizationRule:
    """What holds for the float32 operands of an operator when they become integers.

    `shared`: all of them, inputs and outputs, have one scale and zero point. `clamps`: besides, values of the input
    beyond the output's range change nothing. `outputs`: (scale, zero point) of the outputs, per dtype. `int8`:
    positions of inputs that are int8 with activations of 16 bits too. `refused`: why the operator cannot be quantized.

    Of recurrent operators: `gates` are further weights, `joined` the inputs and outputs that have one scale, and
    `cells` pairs of an input and an output that are int16 with one scale that is a power of two.
    """

    shared: bool = False
    clamps: bool = False
    outputs: Mapping[DType, tuple[float, int]] = field(default_factory=dict)
    weights: WeightRule | None = None
    int8: tuple[int, ...] = ()
    refused: str | None = None
    gates: tuple[WeightRule, ...] = ()
    joined: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    cells: tuple[tuple[int, int], ...] = ()

    @property
    def all_weights(self) -> tuple[WeightRule, ...]:
        return self.gates if self.weights is None else (self.weights, *self.gates)


FREE = QuantizationRule()
SHARED = QuantizationRule(shared=True)
CLAMPED = QuantizationRule(shared=True, clamps=True)
