"""Models whose weights are narrower than their float32 activations become float32 models.

TFLite writes such weights in three ways: an operator that computes in float32 reads int8, int4 or uint8 constants with
a scale (hybrid models; LiteRT quantizes their activations at run time, here they stay float32), or a DEQUANTIZE of a
constant (float16 too), or a FAKE_QUANT of a float32 constant (from training).
"""

from __future__ import annotations

import dataclasses

from tinyops.errors import ModelError
from tinyops.graph import DType, Graph, Model, Op, OpView, Tensor
from tinyops.ops.base import operator
from tinyops.ops.float32 import real_values

_WEIGHTS = (DType.INT4, DType.INT8, DType.UINT8)
_DECODERS = ("DEQUANTIZE", "FAKE_QUANT")
#: Operators that convert between integers and float32 themselves.
_CONVERSIONS = ("DEQUANTIZE", "CAST")
#: Bytes of the float32 weights per byte of the file: eight for int4, if nothing is shared.
_GROWTH = 8


def float_weights(model: Model, file_bytes: int) -> Model:
    """Raises ModelError where tensors that share data would grow beyond what a file of so many bytes can hold."""
    rewriter = _Rewriter(_GROWTH * file_bytes)
    return dataclasses.replace(model, graphs=tuple(rewriter.graph(graph) for graph in model.graphs))


class _Rewriter:
    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit

    def graph(self, graph: Graph) -> Graph:
        tensors, ops = list(graph.tensors), []
        for op in graph.ops:
            if op.kind in _DECODERS and _all_constant(op, tensors):
                self._decode(op, graph, tensors)
            else:
                ops.append(op)
        for op in ops:
            for t in _hybrid_inputs(op, tensors):
                tensors[t] = self._as_float(tensors[t], op)
        return dataclasses.replace(graph, tensors=tuple(tensors), ops=tuple(ops))

    def _decode(self, op: Op, graph: Graph, tensors: list[Tensor]) -> None:
        """The operator's output becomes a constant."""
        rules, view = operator(op.kind), OpView(op, dataclasses.replace(graph, tensors=tuple(tensors)))
        assert rules is not None
        rules.check(view)
        self._spend(view.output(), op)
        (value,) = rules.reference(view, [view.input(0).data])
        tensors[op.outputs[0]] = dataclasses.replace(view.output(), data=value)

    def _as_float(self, tensor: Tensor, op: Op) -> Tensor:
        assert tensor.data is not None
        self._spend(tensor, op)
        data = real_values(tensor, tensor.data)
        return dataclasses.replace(tensor, dtype=DType.FLOAT32, quantization=None, data=data)

    def _spend(self, tensor: Tensor, op: Op) -> None:
        self.left -= DType.FLOAT32.stored_bytes(tensor.elements)
        if self.left < 0:
            raise ModelError(
                "weights take too much memory as float32",
                where=f"operator {op.name} ({op.kind}), tensor {tensor.name}",
                allowed=f"{self.limit:,} bytes in all, {_GROWTH} times the size of the file",
            )


def _all_constant(op: Op, tensors: list[Tensor]) -> bool:
    return bool(op.inputs) and all(t is not None and tensors[t].is_constant for t in op.inputs)


def _hybrid_inputs(op: Op, tensors: list[Tensor]) -> list[int]:
    """Constants with a scale that an operator with a float32 output reads."""
    if op.kind in _CONVERSIONS or not any(tensors[t].dtype is DType.FLOAT32 for t in op.outputs):
        return []
    present = dict.fromkeys(t for t in op.inputs if t is not None)
    return [t for t in present if _is_quantized_constant(tensors[t])]


def _is_quantized_constant(tensor: Tensor) -> bool:
    return tensor.data is not None and tensor.quantization is not None and tensor.dtype in _WEIGHTS
