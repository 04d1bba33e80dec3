"""The method of each group of tensors that costs the least at the model's outputs, measured on calibration data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyops.graph import DType, Quantization
from tinyops.ops.base import Array
from tinyops.quantize.calibrate import Progress, Samples, count
from tinyops.quantize.observer import Observer
from tinyops.quantize.ranges import METHODS, find_range
from tinyops.quantize.scheme import Group, Scheme
from tinyops.quantize.settings import Method, QuantizationSettings
from tinyops.quantize.simulate import Simulation
from tinyops.quantize.spec import quantization_of_range

#: An error must be that much smaller for a method to replace one before it: differences below are chance.
_MARGIN = 0.98


def choose_methods(
    scheme: Scheme,
    observers: Mapping[int, Observer],
    samples: Samples,
    settings: QuantizationSettings,
    progress: Progress,
) -> dict[int, Method]:
    """Tensor -> method, for the tensors of each group that has its range from data; int16 ones take min-max."""
    groups = [g for g in scheme.groups if g.fixed is None and g.dtype is DType.INT8 and _observed(g, observers)]
    candidates = [_candidates(g, observers, settings) for g in groups]
    simulation = Simulation(scheme.model)
    power: Array = np.zeros(len(simulation.targets))
    totals: list[Array] = [np.zeros((len(found), len(simulation.targets))) for found in candidates]
    for number, _ in enumerate(simulation.runs(samples, settings.auto_samples), 1):
        power = power + simulation.power()
        for group, found, total in zip(groups, candidates, totals, strict=True):
            tensors = {value.tensor for value in group.members if value.tensor in observers}
            for row, quantization in enumerate(found):
                total[row] += simulation.error(dict.fromkeys(tensors, (quantization, group.dtype)))
        progress(number, count(samples, settings.auto_samples), "measuring methods")
    chosen: dict[int, Method] = {}
    for group, found, total in zip(groups, candidates, totals, strict=True):
        cost = (total / np.maximum(power, 1e-300)).sum(axis=1)
        methods = list(found.values())
        best = 0
        for row in range(1, len(methods)):
            if cost[row] < cost[best] * _MARGIN:
                best = row
        chosen.update(dict.fromkeys(_observed(group, observers), methods[best]))
    return chosen


def _observed(group: Group, observers: Mapping[int, Observer]) -> list[int]:
    return [t for t in sorted(group.ranged) if t in observers]


def _candidates(
    group: Group, observers: Mapping[int, Observer], settings: QuantizationSettings
) -> dict[Quantization, Method]:
    """What each method would give; of equal ones the first."""
    found: dict[Quantization, Method] = {}
    for method in METHODS:
        ranges = [find_range(method, observers[t], settings) for t in _observed(group, observers)]
        quantization = quantization_of_range(min(r[0] for r in ranges), max(r[1] for r in ranges), group.dtype)
        found.setdefault(quantization, method)
    return found
