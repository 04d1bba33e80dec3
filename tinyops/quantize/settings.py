"""What a person can ask of the quantizer."""

from __future__ import annotations

import enum
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tinyops.graph import DType, OpView


class Method(enum.StrEnum):
    """How the range of an activation comes from its calibration data; `auto` takes the best of the others per layer."""

    MIN_MAX = "min-max"
    MOVING_AVERAGE = "moving-average"
    PERCENTILE = "percentile"
    MSE = "mse"
    ENTROPY = "entropy"
    AUTO = "auto"


Activations = Literal["int8", "int16", "float32"]
Weights = Literal["int8", "int4"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LayerSettings(_Strict):
    """What one layer does otherwise than the rest."""

    activations: Activations | None = Field(default=None, description="dtype of its inputs and outputs")
    weights: Weights | None = Field(default=None, description="dtype of its weights")
    method: Method | None = Field(default=None, description="how the ranges of its outputs are found")


class QuantizationSettings(_Strict):
    """Settings of `quantize`; the defaults give a full-int8 model as TFLite's converter makes it, or better."""

    method: Method = Field(default=Method.MSE, description="how ranges come from calibration data")
    percentile: float = Field(default=99.99, gt=50, le=100, description="of values that `percentile` keeps")
    momentum: float = Field(default=0.95, ge=0, lt=1, description="weight of the past in `moving-average`")
    activations: Activations = Field(default="int8", description="dtype of activations")
    weights: Weights = Field(default="int8", description="dtype of weights")
    weight_budget: int | None = Field(
        default=None, ge=1, description="bytes that all weights may take; the layers that mind least become int4"
    )
    per_channel_dense: bool = Field(default=False, description="one scale per unit in FULLY_CONNECTED too")
    portable: bool = Field(default=True, description="keep to operators that TFLite Micro has: GELU in parts")
    io: Activations = Field(default="int8", description="dtype of the model's inputs and outputs")
    equalize: bool = Field(default=True, description="cross-layer equalization of weights before calibration")
    bias_correction: bool = Field(default=True, description="correct biases by the mean error on calibration data")
    adaround: bool = Field(default=True, description="adaptive rounding of weights on calibration data")
    adaround_iterations: int = Field(default=100, ge=1, le=20_000, description="steps of the optimizer per layer")
    auto_samples: int = Field(default=16, ge=1, le=4096, description="samples on which `auto` measures errors")
    refine_samples: int = Field(default=128, ge=1, le=65_536, description="samples for bias correction and AdaRound")
    layers: dict[str, LayerSettings] = Field(
        default_factory=dict, description="by name of an operator or of its output; *, ? and [] match"
    )

    def layer(self, op: OpView) -> LayerSettings:
        """The settings of an operator: the last entry of `layers` that names it wins, field by field."""
        found = LayerSettings()
        names = (op.name, *(tensor.name for tensor in op.outputs))
        for pattern, given in self.layers.items():
            if any(name == pattern or fnmatchcase(name, pattern) for name in names):
                found = found.model_copy(update=given.model_dump(exclude_none=True))
        return found

    def dtype(self, op: OpView) -> DType:
        """Of the operator's activations."""
        return DType(self.layer(op).activations or self.activations)

    def weight_bits(self, op: OpView) -> int:
        return 4 if (self.layer(op).weights or self.weights) == "int4" else 8
