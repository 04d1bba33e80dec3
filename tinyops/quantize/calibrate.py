"""Run the float32 model over the samples and observe every activation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized

import numpy as np

from tinyops.errors import ModelError, UsageError
from tinyops.graph import DType, Graph, Model
from tinyops.ops.base import Array
from tinyops.ops.interpreter import Interpreter
from tinyops.quantize.observer import Observer

#: Per sample one array per graph input, of its dtype and shape; can be iterated again and again.
Samples = Iterable[Sequence[Array]]
#: Called with the number of units done, of how many (None: unknown), and of what.
Progress = Callable[[int, int | None, str], None]


def silent(done: int, total: int | None, what: str) -> None:
    """A Progress that tells nobody."""


def count(samples: Samples, limit: int | None = None) -> int | None:
    """How many of the samples are taken; `limit` where their number is not known."""
    if not isinstance(samples, Sized):
        return limit
    return len(samples) if limit is None else min(len(samples), limit)


def checked(graph: Graph, samples: Samples, limit: int | None = None) -> Iterator[Sequence[Array]]:
    """The samples, the first `limit` of them; UsageError for a wrong shape or dtype, NaN, or none at all."""
    number = 0
    for number, sample in enumerate(samples, 1):
        where = f"calibration sample {number}"
        if len(sample) != len(graph.inputs):
            raise UsageError(f"{len(sample)} arrays", where=where, allowed=f"{len(graph.inputs)}, one per model input")
        for index, value in zip(graph.inputs, sample, strict=True):
            tensor = graph.tensors[index]
            given = np.asarray(value)
            if given.shape != tensor.shape or given.dtype != tensor.dtype.numpy:
                raise UsageError(
                    f"{given.dtype}{list(given.shape)} for input {tensor.name}",
                    where=where,
                    allowed=f"{tensor.dtype}{list(tensor.shape)}",
                )
            if tensor.dtype is DType.FLOAT32 and not np.isfinite(given).all():
                raise UsageError(f"NaN or infinity in input {tensor.name}", where=where, allowed="finite values")
        yield sample
        if number == limit:
            return
    if not number:
        raise UsageError("no calibration samples", allowed="at least one; 100 or more that are like real inputs")


def observed(graph: Graph) -> list[int]:
    """The float32 activations: inputs of the graph and results of operators."""
    results = [t for op in graph.ops for t in op.outputs]
    return [t for t in dict.fromkeys((*graph.inputs, *results)) if graph.tensors[t].dtype is DType.FLOAT32]


def calibrate(
    model: Model, samples: Samples, *, momentum: float = 0.95, progress: Progress = silent
) -> dict[int, Observer]:
    """Tensor index -> what was observed. State is carried from one sample to the next, and its start is observed."""
    graph = model.main
    interpreter = Interpreter(model)
    observers = {t: Observer(momentum) for t in observed(graph)}
    for number, sample in enumerate(checked(graph, samples), 1):
        with np.errstate(over="ignore", invalid="ignore"):
            interpreter.run(*(np.asarray(value) for value in sample))
        for t, observer in observers.items():
            values = interpreter.tensors[t]
            if not np.isfinite(values).all():
                raise ModelError(
                    "computes NaN or infinity from a finite calibration sample",
                    where=f"tensor {graph.tensors[t].name}, sample {number}",
                    allowed="finite float32 activations",
                )
            observer.update(values)
        progress(number, count(samples), "calibrating")
    for op in graph.ops:
        if op.kind == "READ_STATE" and op.outputs[0] in observers:
            observers[op.outputs[0]].update(model.states[op.attrs.state].initial)
    return observers
