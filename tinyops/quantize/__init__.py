"""Post-training quantization: float32 models to full-integer ones by TFLite's 8-bit specification."""

from tinyops.quantize.quantizer import quantize
from tinyops.quantize.result import QuantizationResult, TensorResult
from tinyops.quantize.settings import LayerSettings, Method, QuantizationSettings

__all__ = ["LayerSettings", "Method", "QuantizationResult", "QuantizationSettings", "TensorResult", "quantize"]
