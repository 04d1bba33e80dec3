"""Which layers get int4 weights, so that the weights fit a budget and the outputs suffer least.

Every layer's weights are rounded to int4 alone, and the error that this makes at the outputs is measured on
calibration data; the layers that cost least per byte saved go first (as in HAWQ-V2's ranking, with measured errors).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyops.errors import UsageError
from tinyops.graph import DType, Model, OpView
from tinyops.ops.base import Array, operator
from tinyops.ops.float32 import is_float
from tinyops.quantize.calibrate import Progress, Samples, count
from tinyops.quantize.linear import is_linear
from tinyops.quantize.settings import LayerSettings, QuantizationSettings
from tinyops.quantize.simulate import Simulation
from tinyops.quantize.spec import weight_grid

_WIDE, _NARROW = 8, 4


@dataclass(frozen=True, eq=False)
class _Choice:
    """A layer that may become int4: its weights' tensor, their int4 values as reals, and the bytes it saves."""

    name: str
    tensor: int
    values: Array
    saved: int


def fit_budget(
    model: Model, samples: Samples, settings: QuantizationSettings, progress: Progress
) -> dict[str, LayerSettings]:
    """`settings.layers` with int4 weights for as many layers as `weight_budget` asks for.

    Raises UsageError where int4 in all layers is still too much.
    """
    budget = settings.weight_budget
    assert budget is not None
    size = sum(_bytes(view, settings) for view in model.main.views())
    choices = [choice for view in model.main.views() if (choice := _choice(view, settings)) is not None]
    if size - sum(choice.saved for choice in choices) > budget:
        least = size - sum(choice.saved for choice in choices)
        raise UsageError(
            f"weights of {budget:,} bytes",
            where="weight_budget",
            allowed=f"{least:,} bytes or more: that is int4 wherever it can be",
        )
    layers = dict(settings.layers)
    if size <= budget:
        return layers
    costs = _costs(model, choices, samples, settings, progress)
    for k in sorted(range(len(choices)), key=lambda k: costs[k] / choices[k].saved):
        if size <= budget:
            break
        size -= choices[k].saved
        name = choices[k].name
        layers[name] = layers.get(name, LayerSettings()).model_copy(update={"weights": "int4"})
    return layers


def _choice(view: OpView, settings: QuantizationSettings) -> _Choice | None:
    """None where the weights are int4 already, or cannot be."""
    index, given = (view.op.inputs[1] if is_linear(view) else None), settings.layer(view)
    if index is None or not is_float(view) or settings.dtype(view) is not DType.INT8 or given.weights is not None:
        return None
    weights, rules = view.input(1), operator(view.kind)
    rule = None if rules is None else rules.quantization.weights
    if weights.data is None or rule is None or settings.weight_bits(view) != _WIDE:
        return None
    grid = weight_grid(weights.data, rule.axis if rule.per_channel else None, _NARROW, np.zeros(1))
    values = (grid.nearest(weights.data) * grid.scales).astype(np.float32)
    return _Choice(view.name, index, values, weights.elements // 2)


def _bytes(view: OpView, settings: QuantizationSettings) -> int:
    """Of the weights of a layer; biases and scales are the same either way."""
    rules = operator(view.kind)
    rule = None if rules is None else rules.quantization.weights
    if rule is None or not is_float(view) or settings.dtype(view) is DType.FLOAT32:
        return 0
    return (view.input(rule.weights).elements * settings.weight_bits(view) + 7) // 8


def _costs(
    model: Model, choices: list[_Choice], samples: Samples, settings: QuantizationSettings, progress: Progress
) -> list[float]:
    """Of each choice the error at the outputs, each output's relative to its power."""
    simulation = Simulation(model)
    errors = np.zeros((len(choices), len(simulation.targets)))
    power = np.zeros(len(simulation.targets))
    for number, _ in enumerate(simulation.runs(samples, settings.auto_samples), 1):
        power += simulation.power()
        for k, choice in enumerate(choices):
            errors[k] += simulation.error({}, {choice.tensor: choice.values})
        progress(number, count(samples, settings.auto_samples), "measuring int4 weights")
    return [float(cost) for cost in (errors / np.maximum(power, 1e-300)).sum(axis=1)]
