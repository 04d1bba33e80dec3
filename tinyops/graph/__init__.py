"""The intermediate representation: tensors, quantization, operators, state, verifier."""

from tinyops.graph.types import DType, Graph, Model, Op, OpView, Quantization, State, Tensor
from tinyops.graph.verify import verify

__all__ = [
    "DType",
    "Graph",
    "Model",
    "Op",
    "OpView",
    "Quantization",
    "State",
    "Tensor",
    "verify",
]
