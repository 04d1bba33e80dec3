"""What quantization cost, on held-out samples: both models side by side, as to outputs and decisions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tinyops.errors import ModelError, UsageError
from tinyops.graph import DType, Graph, Model, Tensor
from tinyops.ops.base import Array
from tinyops.ops.float32 import real_values
from tinyops.ops.interpreter import Interpreter
from tinyops.quantize.calibrate import Progress, silent
from tinyops.quantize.data import DataSet
from tinyops.quantize.sensitivity import sqnr
from tinyops.quantize.spec import quantize_values
from tinyops.quantize.statistics import Z

__all__ = ["Classification", "Evaluation", "OutputError", "evaluate", "integer_inputs"]

_MAX_CLASSES = 1000


@dataclass(eq=False)
class _ErrorSums:
    """Of a tensor over all samples: the float values' and the error's squares, and the absolute errors."""

    values: int = 0
    signal: float = 0.0
    noise: float = 0.0
    absolute: float = 0.0
    largest: float = 0.0
    samples: int = 0
    means: float = 0.0
    squares: float = 0.0

    def add(self, wanted: Array, given: Array) -> None:
        exact = wanted.astype(np.float64).reshape(-1)
        error = np.abs(given.astype(np.float64).reshape(-1) - exact)
        if not error.size:
            return
        self.values += error.size
        self.signal += float(exact @ exact)
        self.noise += float(error @ error)
        self.absolute += float(error.sum())
        self.largest = max(self.largest, float(error.max()))
        mean = float(error.mean())
        self.samples += 1
        self.means += mean
        self.squares += mean * mean


@dataclass(frozen=True)
class OutputError:
    """Of the integer model's output against the float one's. `interval`: 95 % of the mean absolute error."""

    name: str
    mean_absolute: float
    interval: tuple[float, float]
    root_mean_square: float
    largest: float
    sqnr_db: float


@dataclass(eq=False)
class Classification:
    """Counts on labelled samples; confusion[label, class said]."""

    classes: int
    both: int = 0
    float_only: int = 0
    int_only: int = 0
    neither: int = 0
    confusion_float: Array = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    confusion_int: Array = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    @property
    def samples(self) -> int:
        return self.both + self.float_only + self.int_only + self.neither


@dataclass(frozen=True, eq=False)
class Evaluation:
    """`agreement`: for how many of the samples both models say the same class; None where no output tells classes."""

    samples: int
    outputs: tuple[OutputError, ...]
    agreement: int | None
    classification: Classification | None


def evaluate(source: Model, quantized: Model, data: DataSet, progress: Progress = silent) -> Evaluation:
    """Run the float model and the integer one on `data`; state is carried from one sample to the next in both."""
    exact, ours = Interpreter(source), Interpreter(quantized)
    outputs = [_ErrorSums() for _ in source.main.outputs]
    which = _class_output(source.main)
    classes = None if which is None else max(source.main.tensors[source.main.outputs[which]].elements, 2)
    labels = data.labels if classes is not None else None
    found = None if labels is None or classes is None else _empty(classes)
    total = len(data) if hasattr(data, "__len__") else None
    agreement = samples = 0
    for values, label in data.labelled():
        samples += 1
        wanted = exact.run(*values)
        given = [
            real_values(quantized.main.tensors[t], value)
            for t, value in zip(quantized.main.outputs, ours.run(*integer_inputs(quantized.main, values)), strict=True)
        ]
        for k, sums in enumerate(outputs):
            _finite(wanted[k], source.main.tensors[source.main.outputs[k]], samples)
            sums.add(wanted[k], given[k])
        if which is not None:
            a, b = (_decide(source.main, which, values) for values in (wanted[which], given[which]))
            agreement += a == b
            if found is not None and label is not None:
                _count(found, label, a, b, data)
        progress(samples, total, "measuring")
    if not samples:
        raise UsageError("no held-out samples", where=data.source.where, allowed="at least one")
    names = [source.main.tensors[t].name for t in source.main.outputs]
    return Evaluation(
        samples,
        tuple(_summary(name, sums) for name, sums in zip(names, outputs, strict=True)),
        agreement if which is not None and (found is not None or outputs[which].values > samples) else None,
        found,
    )


def integer_inputs(graph: Graph, values: Sequence[Array]) -> list[Array]:
    """Real inputs as the integer model takes them."""
    found = []
    for t, value in zip(graph.inputs, values, strict=True):
        tensor = graph.tensors[t]
        integers = tensor.quantization is not None and value.dtype == np.float32 and tensor.dtype is not DType.FLOAT32
        if integers:
            assert tensor.quantization is not None
            value = quantize_values(value, tensor.quantization, tensor.dtype)
        found.append(value)
    return found


def _finite(values: Array, tensor: Tensor, sample: int) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ModelError("is NaN or infinity", where=f"output {tensor.name}, held-out sample {sample}")


def _class_output(graph: Graph) -> int | None:
    """The output that tells classes: the first real one that is a vector, or a single value that is the only output."""
    vectors = {}
    for k, t in enumerate(graph.outputs):
        tensor = graph.tensors[t]
        if tensor.dtype is DType.FLOAT32 and tensor.elements == max(tensor.shape, default=1):
            vectors[k] = tensor.elements
    longer = [k for k, elements in vectors.items() if elements > 1]
    if longer:
        return longer[0]
    return 0 if len(graph.outputs) == 1 and vectors else None


def _decide(graph: Graph, output: int, values: Array) -> int:
    """The largest of several values; a single one turns to class 1 at 0.5 where it is a probability, else at 0."""
    flat = values.reshape(-1)
    if flat.size > 1:
        return int(flat.argmax())
    producer = graph.producer.get(graph.outputs[output])
    probability = producer is not None and graph.ops[producer].kind == "LOGISTIC"
    return int(flat[0] > (0.5 if probability else 0.0))


def _empty(classes: int) -> Classification:
    found = Classification(classes)
    if classes <= _MAX_CLASSES:
        found.confusion_float = np.zeros((classes, classes), np.int64)
        found.confusion_int = np.zeros((classes, classes), np.int64)
    return found


def _count(found: Classification, label: int, a: int, b: int, data: DataSet) -> None:
    if label >= found.classes:
        raise UsageError(
            f"label {label}", where=data.source.where, allowed=f"0 to {found.classes - 1}, as the model's output has"
        )
    found.both += a == label and b == label
    found.float_only += a == label and b != label
    found.int_only += a != label and b == label
    found.neither += a != label and b != label
    if found.confusion_float.size:
        found.confusion_float[label, a] += 1
        found.confusion_int[label, b] += 1


def _summary(name: str, sums: _ErrorSums) -> OutputError:
    n = max(sums.samples, 1)
    mean = sums.means / n
    variance = max(sums.squares / n - mean * mean, 0.0) * n / max(n - 1, 1)
    half = Z * math.sqrt(variance / n)
    values = max(sums.values, 1)
    return OutputError(
        name,
        sums.absolute / values,
        (max(0.0, mean - half), mean + half),
        math.sqrt(sums.noise / values),
        sums.largest,
        sqnr(sums.signal, sums.noise),
    )
