"""From a float32 model and samples of its inputs to a full-integer model, in one call."""

from __future__ import annotations

from fnmatch import fnmatchcase

from tinyops.errors import UsageError
from tinyops.graph import DType, Model, OpView, verify
from tinyops.ops import check
from tinyops.ops.base import operator
from tinyops.ops.float32 import is_float
from tinyops.quantize.auto import choose_methods
from tinyops.quantize.budget import fit_budget
from tinyops.quantize.calibrate import Progress, Samples, calibrate, silent
from tinyops.quantize.convert import convert
from tinyops.quantize.equalize import equalize
from tinyops.quantize.linear import is_linear
from tinyops.quantize.masks import bound_masks
from tinyops.quantize.observer import Observer
from tinyops.quantize.prepare import as_prepared, prepare, refuse_infinity
from tinyops.quantize.ranges import Range, find_range
from tinyops.quantize.reconstruct import reconstruct
from tinyops.quantize.result import QuantizationResult, TensorResult
from tinyops.quantize.scheme import Scheme
from tinyops.quantize.settings import Method, QuantizationSettings


def quantize(
    model: Model,
    samples: Samples,
    settings: QuantizationSettings | None = None,
    *,
    progress: Progress = silent,
) -> QuantizationResult:
    """Quantize a float32 model to TFLite's 8-bit specification.

    `samples` give per sample one array per graph input, of that input's dtype and shape; they are iterated several
    times. Raises UsageError for samples that do not fit the model, NaN or no samples, and ModelError for what has no
    integer form, with the operator's name. Interrupting it leaves nothing behind.
    """
    settings = settings or QuantizationSettings()
    source = prepare(model, settings.portable)
    _check_layers(source, settings)
    samples = as_prepared(model, source, samples)
    source = bound_masks(source, samples, settings, progress)
    refuse_infinity(source)
    if settings.equalize:
        source = equalize(source, samples, settings.per_channel_dense, settings.refine_samples, progress)
    if settings.weight_budget is not None:
        layers = fit_budget(source, samples, settings, progress)
        settings = settings.model_copy(update={"layers": layers})
    observers = calibrate(source, samples, momentum=settings.momentum, progress=progress)
    ranges: dict[int, Range] = {
        t: (float(tensor.data.min()), float(tensor.data.max()))
        for t, tensor in enumerate(source.main.tensors)
        if tensor.data is not None and tensor.data.size and tensor.data.dtype.kind == "f"
    }
    ranges.update({t: find_range(Method.MIN_MAX, observer, settings) for t, observer in observers.items()})
    scheme = Scheme(source, ranges, settings)
    methods = _methods(scheme, observers, samples, settings, progress)
    ranges.update({t: find_range(methods[t], observer, settings) for t, observer in observers.items()})
    result = convert(scheme, settings)
    if settings.adaround or settings.bias_correction:
        result = reconstruct(source, result, samples, settings, progress)
    verify(result, after="quantize")
    check(result)
    tensors = []
    for t, observer in observers.items():
        value = scheme.produced(t)
        group = scheme.group(value)
        tensors.append(
            TensorResult(
                t,
                source.main.tensors[t].name,
                value.dtype,
                None if group.fixed else methods[t],
                scheme.group_range(group),
                scheme.quantization(value),
                observer,
            )
        )
    updates = max((observer.updates for observer in observers.values()), default=0)
    return QuantizationResult(result, source, settings, tuple(tensors), updates)


def _methods(
    scheme: Scheme,
    observers: dict[int, Observer],
    samples: Samples,
    settings: QuantizationSettings,
    progress: Progress,
) -> dict[int, Method]:
    """Of each observed tensor; 16 bits have room for the extremes, so they are kept there."""
    methods = dict.fromkeys(observers, Method.MIN_MAX)
    chosen = dict.fromkeys(observers, settings.method)
    for view in scheme.graph.views():
        chosen.update(dict.fromkeys(view.op.outputs, settings.layer(view).method or settings.method))
    if Method.AUTO in chosen.values():
        methods.update(choose_methods(scheme, observers, samples, settings, progress))
    for t in observers:
        if chosen[t] is not Method.AUTO and scheme.produced(t).dtype is DType.INT8:
            methods[t] = chosen[t]
    return methods


def _check_layers(source: Model, settings: QuantizationSettings) -> None:
    """Every entry of `layers` names something; operators that were folded or fused away are gone."""
    names = [name for op in source.main.views() for name in (op.name, *(tensor.name for tensor in op.outputs))]
    for pattern in settings.layers:
        if not any(name == pattern or fnmatchcase(name, pattern) for name in names):
            raise UsageError(
                f"no layer is named {pattern!r}", where="layers", allowed=", ".join(op.name for op in source.main.ops)
            )
    for view in source.main.views():
        _check_weights(view, settings)


def _check_weights(view: OpView, settings: QuantizationSettings) -> None:
    """int4 weights are there for linear operators on int8 activations."""
    rules, dtype = operator(view.kind), settings.dtype(view)
    has_weights = rules is not None and bool(rules.quantization.all_weights) and is_float(view)
    if not has_weights or dtype is DType.FLOAT32 or settings.weight_bits(view) == 8:
        return
    if is_linear(view) and dtype is DType.INT8:
        return
    raise UsageError(
        f"weights of int4 with activations of {dtype}",
        where=f"operator {view.name} ({view.kind})",
        allowed="int4 in CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED with activations of int8; else int8",
        hint=f"--layer '{view.name}=int8'",
    )
