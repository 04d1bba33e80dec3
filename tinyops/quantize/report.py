"""The report of a quantization as data: what it cost, where, and what to do about it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyops import __version__
from tinyops.graph import Graph, Model
from tinyops.quantize.data import Split
from tinyops.quantize.evaluate import Classification, Evaluation
from tinyops.quantize.result import QuantizationResult, TensorResult
from tinyops.quantize.sensitivity import Layer, Sensitivity
from tinyops.quantize.sources import Labels
from tinyops.quantize.statistics import mcnemar, paired_difference, wilson

__all__ = ["constant_bytes", "describe_quantization"]

#: Fewer samples than these say little.
_FEW = 100
_BINS = 64
_WORST = 5
#: Confusion matrices of more classes are left out.
_MAX_CONFUSION = 100


def describe_quantization(
    result: QuantizationResult,
    split: Split,
    evaluation: Evaluation,
    sensitivity: Sensitivity,
    source: str,
    before: bytes,
    after: bytes,
) -> dict[str, Any]:
    """`source` is the name of the float file, `before` and `after` are the files' bytes. Sizes are in bytes."""
    classes = split.held_out.labels.classes if split.held_out.labels is not None else None
    return {
        "tinyops": __version__,
        "model": {
            "source": source,
            "sha256": hashlib.sha256(before).hexdigest(),
            "inputs": _ports(result.model.main, result.model.main.inputs),
            "outputs": _ports(result.model.main, result.model.main.outputs),
        },
        "sha256": hashlib.sha256(after).hexdigest(),
        "data": {
            "calibration": split.calibration.source.where,
            "calibration_samples": result.samples,
            "held_out": split.description,
            "held_out_samples": evaluation.samples,
        },
        "accuracy": _accuracy(evaluation.classification),
        "confusion": _confusion(evaluation.classification, classes),
        "agreement": _proportion(evaluation.agreement, evaluation.samples),
        "outputs": [
            {
                "name": o.name,
                "mean_absolute_error": o.mean_absolute,
                "interval": list(o.interval),
                "root_mean_square_error": o.root_mean_square,
                "largest_error": o.largest,
                "sqnr_db": o.sqnr_db,
            }
            for o in evaluation.outputs
        ],
        "layers": [_layer(layer) for layer in sensitivity.layers],
        "layer_samples": sensitivity.samples,
        "worst_layers": [layer.name for layer in sensitivity.worst(_WORST)],
        "tensors": [_tensor(t) for t in result.tensors],
        "size": {
            "file_bytes_before": len(before),
            "file_bytes_after": len(after),
            "constant_bytes_before": constant_bytes(result.source),
            "constant_bytes_after": constant_bytes(result.model),
        },
        "settings": result.settings.model_dump(mode="json", exclude_none=True),
        "warnings": [
            *split.warnings,
            *_labels(split.held_out.labels, evaluation.classification),
            *_unlike(result),
            *_few(result.samples, evaluation.samples),
            *_alike(split, evaluation.samples),
        ],
    }


def constant_bytes(model: Model) -> int:
    """Bytes of all constants that operators or outputs of the model use, equal ones once each tensor."""
    return sum(
        graph.tensors[t].nbytes
        for graph in model.graphs
        for t in {t for op in graph.ops for t in op.inputs if t is not None} | set(graph.outputs)
        if graph.tensors[t].is_constant
    )


def _labels(labels: Labels | None, found: Classification | None) -> list[str]:
    """What is odd about them: a class without a folder shifts the numbers of all after it."""
    if labels is None:
        return []
    if found is None:
        return ["the labels are not used: no output of the model tells classes"]
    if labels.classes is None or len(labels.classes) == found.classes:
        return []
    names = f"the data name {len(labels.classes)} classes, the model's output tells {found.classes} apart"
    return [f"{names}: accuracy means nothing unless --classes A,B,... names all in the output's order"]


def _few(calibration: int, held_out: int) -> list[str]:
    return [
        f"{count} {name} sample{'s' * (count != 1)}: {_FEW} or more that are like real inputs say more"
        for name, count in (("calibration", calibration), ("held-out", held_out))
        if count < _FEW
    ]


def _alike(split: Split, samples: int) -> list[str]:
    """Intervals are of independent samples, which the parts of a recording are not."""
    held_out = split.held_out
    if held_out.source.one_each or samples <= len(held_out.units):
        return []
    count = f"{len(held_out.units)} recording{'s' * (len(held_out.units) != 1)}"
    return [f"{samples} held-out samples are parts of {count}, and alike: true intervals are wider"]


def _unlike(result: QuantizationResult) -> list[str]:
    """Inputs that never change, from which nothing can be learned."""
    return [
        f"input {found.name} is {found.observer.low:g} everywhere in the calibration data: no real input is"
        for found in result.tensors
        if found.index in result.source.main.inputs and found.observer.low == found.observer.high
    ]


def _ports(graph: Graph, indices: Sequence[int]) -> list[dict[str, Any]]:
    found = []
    for t in indices:
        tensor = graph.tensors[t]
        q = tensor.quantization
        found.append(
            {
                "name": tensor.name,
                "dtype": tensor.dtype.value,
                "shape": list(tensor.shape),
                "scale": None if q is None else q.scale,
                "zero_point": None if q is None else q.zero_point,
            }
        )
    return found


def _proportion(count: int | None, samples: int) -> dict[str, Any] | None:
    if count is None:
        return None
    return {"count": count, "samples": samples, "value": count / samples, "interval": list(wilson(count, samples))}


def _accuracy(found: Classification | None) -> dict[str, Any] | None:
    if found is None or not found.samples:
        return None
    n = found.samples
    return {
        "samples": n,
        "float": _proportion(found.both + found.float_only, n),
        "quantized": _proportion(found.both + found.int_only, n),
        "difference": (found.int_only - found.float_only) / n,
        "difference_interval": list(paired_difference(found.both, found.float_only, found.int_only, found.neither)),
        "float_only": found.float_only,
        "quantized_only": found.int_only,
        "mcnemar_p": mcnemar(found.float_only, found.int_only),
    }


def _confusion(found: Classification | None, classes: Sequence[str] | None) -> dict[str, Any] | None:
    if found is None or not found.samples or not 0 < len(found.confusion_float) <= _MAX_CONFUSION:
        return None
    n = found.classes
    names = list(classes or ())[:n] + [str(k) for k in range(len(classes or ()), n)]
    return {"classes": names, "float": found.confusion_float.tolist(), "quantized": found.confusion_int.tolist()}


def _layer(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "op": layer.kind,
        "output": layer.output,
        "activations": layer.activations.value,
        "weights": None if layer.weights is None else layer.weights.value,
        "sqnr_alone_db": layer.alone,
        "sqnr_weights_db": layer.alone_weights,
        "sqnr_db": layer.cumulative,
        "clipped": layer.clipped,
        "remedies": [_option(remedy) for remedy in layer.remedies],
    }


def _option(remedy: str) -> str:
    """A remedy in the words of QuantizationSettings, as an option of `tinyops quantize`."""
    if found := re.fullmatch(r'(?:weights|activations) = "(\w+)" for (.+)', remedy):
        return f"--layer '{found[2]}={found[1]}'"
    if found := re.fullmatch(r"(\w+) = true", remedy):
        return f"--{found[1].replace('_', '-')}"
    return remedy


def _tensor(tensor: TensorResult) -> dict[str, Any]:
    """Ranges and a histogram; `clipped` is the part of the values outside of the range."""
    observer = tensor.observer
    low, high = tensor.range
    total = float(observer.counts.sum()) + observer.zeros
    values, counts = observer.weighted_values()
    step = tensor.quantization.scale if tensor.quantization is not None else 0.0
    outside = counts[(values < low - step / 2) | (values > high + step / 2)].sum()
    return {
        "name": tensor.name,
        "dtype": tensor.dtype.value,
        "method": None if tensor.method is None else str(tensor.method),
        "low": low,
        "high": high,
        "observed_low": observer.low,
        "observed_high": observer.high,
        "clipped": float(outside / total) if total else 0.0,
        "histogram": _histogram(observer.low, observer.high, values, counts, observer.zeros),
    }


def _histogram(low: float, high: float, values: Any, counts: Any, zeros: int) -> dict[str, Any]:
    """Parts of all values in equal bins from `low` to `high`; zeros apart, since there are often many."""
    total = max(float(counts.sum()) + zeros, 1.0)
    if not high > low:
        return {"zeros": zeros / total, "bins": []}
    index = np.clip(((values - low) / (high - low) * _BINS).astype(int), 0, _BINS - 1)
    bins = np.bincount(index, weights=counts, minlength=_BINS) / total
    return {"zeros": zeros / total, "bins": [round(float(part), 9) for part in bins]}
