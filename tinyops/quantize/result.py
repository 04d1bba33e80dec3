"""What a quantization gives: the integer model, and what is known of each of its tensors and layers."""

from __future__ import annotations

from dataclasses import dataclass

from tinyops.graph import DType, Model, Quantization
from tinyops.quantize.observer import Observer
from tinyops.quantize.ranges import Range
from tinyops.quantize.settings import Method, QuantizationSettings


@dataclass(frozen=True, eq=False)
class TensorResult:
    """An activation: what was observed in calibration, and the range that its integers cover.

    `index` is the tensor's in the source; names need not be unique.
    """

    index: int
    name: str
    dtype: DType
    method: Method | None
    range: Range
    quantization: Quantization | None
    observer: Observer


@dataclass(frozen=True, eq=False)
class QuantizationResult:
    """`source` is the float32 model as it was calibrated (constants folded, activations fused).

    Operators of `model` have the names of the source's; added conversions have others. `method` of a tensor is None
    where its operator, training or a neighbour fixed the range.
    """

    model: Model
    source: Model
    settings: QuantizationSettings
    tensors: tuple[TensorResult, ...]
    samples: int
