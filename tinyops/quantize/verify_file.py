"""A written file against the model that it was written from: loaded again, run, and run by TFLite Micro."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyops.errors import VerifyError
from tinyops.graph import Graph, Model, OpView, Tensor
from tinyops.load import load_tflite
from tinyops.ops.base import Array
from tinyops.ops.float32 import differs
from tinyops.ops.interpreter import Interpreter
from tinyops.passes import PASSES, run_passes
from tinyops.quantize.tflm import run_tflite_micro

__all__ = ["verify_file"]


def verify_file(data: bytes, model: Model, steps: Sequence[Sequence[Array]], tflite_micro: bool) -> dict[str, Any]:
    """What was compared, on `steps` of the model's inputs; VerifyError where anything differs.

    Integers must be equal; float32 outputs, of layers that were kept so, up to the tolerance.
    """
    loaded = run_passes(load_tflite(data, name=model.name))
    expected = run_passes(model, PASSES)
    _compare_graphs(loaded.main, expected.main)
    reference, again = Interpreter(expected), Interpreter(loaded)
    wanted = [reference.run(*step) for step in steps]
    _compare(wanted, [again.run(*step) for step in steps], "the file, loaded again,")
    if tflite_micro:
        _compare(wanted, run_tflite_micro(data, steps, len(expected.main.outputs)), "TFLite Micro")
    return {"loads_again": True, "inputs": len(steps), "tflite_micro": tflite_micro, "mismatches": 0}


def _compare(wanted: Sequence[Sequence[Array]], given: Sequence[Sequence[Array]], who: str) -> None:
    for k, (a, b) in enumerate(zip(wanted, given, strict=True)):
        for output, (x, y) in enumerate(zip(a, b, strict=True)):
            wrong = x.dtype != y.dtype or x.size != y.size or bool(differs(x.reshape(-1), y.reshape(-1)).any())
            if wrong:
                raise VerifyError(
                    f"{who} computes other values than the reference", where=f"input {k}, output {output}"
                )


def _compare_graphs(loaded: Graph, expected: Graph) -> None:
    if len(loaded.ops) != len(expected.ops):
        raise VerifyError(f"the file has {len(loaded.ops)} operators", allowed=str(len(expected.ops)))
    for ours, theirs in zip(loaded.views(), expected.views(), strict=True):
        if _operator(ours) != _operator(theirs):
            raise VerifyError("is another operator in the file", where=theirs.name)
    for indices in ("inputs", "outputs"):
        ports = [[_tensor(g.tensors[t]) for t in getattr(g, indices)] for g in (loaded, expected)]
        if ports[0] != ports[1]:
            raise VerifyError(f"the file has other {indices}")


def _operator(view: OpView) -> object:
    """Everything but names. A bias of zeros may be written where there is none."""
    constants = [
        (i, _tensor(t), t.data.tobytes())
        for i, t in enumerate(view.inputs)
        if t is not None and t.data is not None and np.any(t.data)
    ]
    return view.kind, view.attrs, [_tensor(t) for t in view.outputs], constants


def _tensor(tensor: Tensor) -> object:
    return tensor.dtype, tensor.shape, tensor.quantization
