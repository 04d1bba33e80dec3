"""A loaded model becomes the plain float32 graph that is calibrated."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence, Sized

import numpy as np

from tinyops.errors import ModelError, UsageError
from tinyops.graph import DType, Graph, Model, Quantization, Tensor
from tinyops.ops.base import Activation, Array
from tinyops.ops.fake_quant import FakeQuantAttrs, nudged
from tinyops.ops.float32 import quantized
from tinyops.ops.reduction import ReducerAttrs
from tinyops.passes import Pass, fold_batch_norm, fuse_activation, input_permutation, passes_for, prune, run_passes
from tinyops.quantize.calibrate import Samples
from tinyops.quantize.decompose import decompose, decompose_finer
from tinyops.quantize.spec import quantization_of_range

_BITS = 8


def prepare(model: Model, portable: bool = True) -> Model:
    """Constants and batch normalization folded, activations fused, what training learned at the tensors.

    With `portable` operators that TFLite Micro lacks are replaced. A float32 tensor of the result has a quantization
    where FAKE_QUANT, QUANTIZE or DEQUANTIZE gave it one. Raises UsageError where there is nothing to quantize.
    """
    if not any(tensor.dtype is DType.FLOAT32 for tensor in model.main.tensors):
        raise UsageError("the model has no float32 tensors: it is quantized already", where=f"model {model.name}")
    parts: Pass = decompose if portable else decompose_finer
    ours = (parts, fold_batch_norm, fuse_activation, _mean_of_whole_images, _learned, prune)
    return run_passes(model, (*passes_for(model), *ours))


def refuse_infinity(model: Model) -> None:
    """ModelError for an infinite constant that an operator reads."""
    for tensor in (model.main.tensors[t] for t in model.main.consumers):
        if tensor.data is not None and tensor.data.dtype.kind == "f" and np.isinf(tensor.data).any():
            raise ModelError(
                "the constant holds infinity, which no integer stands for",
                where=f"tensor {tensor.name}",
                allowed="finite numbers; infinity only in a mask, added or selected right before a softmax",
            )


def as_prepared(model: Model, source: Model, samples: Samples) -> Samples:
    """The samples of `model`'s inputs in the order of dimensions and the dtype that `source`, by `prepare`, takes."""
    axes = [
        None if input_permutation(model, k) else input_permutation(source, k) for k in range(len(source.main.inputs))
    ]
    tensors = [source.main.tensors[t] for t in source.main.inputs]
    given = [model.main.tensors[t].dtype for t in model.main.inputs]
    if any(axes) or any(tensor.dtype is not dtype for tensor, dtype in zip(tensors, given, strict=True)):
        kind = _SizedPrepared if isinstance(samples, Sized) else _Prepared
        return kind(samples, axes, tensors)
    return samples


class _Prepared:
    def __init__(self, samples: Samples, axes: Sequence[tuple[int, ...] | None], tensors: Sequence[Tensor]) -> None:
        self.samples, self.axes, self.tensors = samples, axes, tensors

    def __iter__(self) -> Iterator[Sequence[Array]]:
        for sample in self.samples:
            if len(sample) == len(self.axes):
                yield [self._one(k, np.asarray(value)) for k, value in enumerate(sample)]
            else:
                yield sample

    def _one(self, k: int, value: Array) -> Array:
        axes, tensor = self.axes[k], self.tensors[k]
        if axes is not None and len(axes) == value.ndim:
            value = value.transpose(axes)
        if value.dtype == np.float32 and tensor.dtype is not DType.FLOAT32 and np.isfinite(value).all():
            value = quantized(value, tensor)
        return value


class _SizedPrepared(_Prepared):
    def __len__(self) -> int:
        assert isinstance(self.samples, Sized)
        return len(self.samples)


def _mean_of_whole_images(model: Model) -> Model:
    """AVERAGE_POOL_2D over whole images becomes MEAN, whose result may have a scale of its own.

    Means of a large window lie in a much smaller range than what they are taken of.
    """
    return dataclasses.replace(model, graphs=tuple(_as_means(graph) for graph in model.graphs))


def _as_means(graph: Graph) -> Graph:
    ops, tensors = list(graph.ops), list(graph.tensors)
    for k, view in enumerate(graph.views()):
        if view.kind != "AVERAGE_POOL_2D" or view.output().dtype is not DType.FLOAT32:
            continue
        a = view.attrs
        whole = (a.filter_height, a.filter_width) == view.input(0).shape[1:3] and view.output().shape[1:3] == (1, 1)
        if whole and a.fused_activation_function is Activation.NONE:
            axes = np.array([1, 2], dtype=np.int32)
            tensors.append(Tensor(f"{view.name}/axes", DType.INT32, (2,), data=axes))
            inputs = (view.op.inputs[0], len(tensors) - 1)
            attrs = ReducerAttrs(keep_dims=True)
            ops[k] = dataclasses.replace(view.op, kind="MEAN", inputs=inputs, attrs=attrs, version=1)
    return dataclasses.replace(graph, tensors=tuple(tensors), ops=tuple(ops))


def _learned(model: Model) -> Model:
    """FAKE_QUANT gives its input a quantization and goes; DEQUANTIZE and QUANTIZE give theirs to the float32 side."""
    return dataclasses.replace(model, graphs=tuple(_mark(graph) for graph in model.graphs))


def _mark(graph: Graph) -> Graph:
    tensors = list(graph.tensors)
    instead: dict[int, int] = {}
    for op in graph.ops:
        given = None if not op.inputs or op.inputs[0] is None else instead.get(op.inputs[0], op.inputs[0])
        if given is None:
            continue
        if op.kind == "FAKE_QUANT":
            instead[op.outputs[0]] = given
            _give(tensors, given, _of_fake_quant(op.attrs))
        elif op.kind == "DEQUANTIZE" and tensors[given].dtype is DType.INT8:
            _give(tensors, op.outputs[0], tensors[given].quantization)
        elif op.kind == "QUANTIZE" and tensors[op.outputs[0]].dtype is DType.INT8:
            _give(tensors, given, tensors[op.outputs[0]].quantization)
    ops = tuple(
        dataclasses.replace(op, inputs=tuple(None if t is None else instead.get(t, t) for t in op.inputs))
        for op in graph.ops
        if op.kind != "FAKE_QUANT"
    )
    outputs = tuple(instead.get(t, t) for t in graph.outputs)
    return dataclasses.replace(graph, tensors=tuple(tensors), ops=ops, outputs=outputs)


def _give(tensors: list[Tensor], t: int, quantization: Quantization | None) -> None:
    """The first one stays."""
    tensor = tensors[t]
    if tensor.dtype is DType.FLOAT32 and tensor.data is None and tensor.quantization is None:
        tensors[t] = dataclasses.replace(tensor, quantization=quantization)


def _of_fake_quant(attrs: FakeQuantAttrs) -> Quantization:
    """int8: the same steps, where there are no more than 8 bits of them."""
    n = nudged(attrs)
    if attrs.num_bits > _BITS:
        return quantization_of_range(float(n.low), float(n.high), DType.INT8)
    return Quantization((float(n.scale),), (-128 - round(float(n.low) / float(n.scale)),))
