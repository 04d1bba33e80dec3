"""Golden vectors: inputs and the outputs that the NumPy reference gives for them, state carried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyops.features import ModelFeatures
from tinyops.graph import DType, Model, Tensor
from tinyops.ops.interpreter import Interpreter

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Golden:
    """`inputs[step][i]` and `outputs[step][o]`: arrays of the model's ports; step 0 starts from the initial state.

    `raw_outputs[inference][o]` are those of `random_raw` through a front end, from the initial state as well.
    """

    inputs: tuple[tuple[Array, ...], ...]
    outputs: tuple[tuple[Array, ...], ...]
    raw_outputs: tuple[tuple[Array, ...], ...] = ()

    @property
    def steps(self) -> int:
        return len(self.inputs)


def random_inputs(tensors: Sequence[Tensor], steps: int, seed: int) -> list[list[Array]]:
    """Seeded inputs over the whole range of each dtype; the first two steps are the smallest and largest values."""
    rng = np.random.default_rng(seed)
    sequence: list[list[Array]] = []
    for step in range(steps):
        row: list[Array] = []
        for tensor in tensors:
            dtype = tensor.dtype.numpy
            if tensor.dtype is DType.BOOL:
                row.append(np.full(tensor.shape, bool(step)) if step < 2 else rng.random(tensor.shape) < 0.5)
                continue
            if tensor.dtype is DType.FLOAT32:
                row.append(rng.standard_normal(tensor.shape).astype(dtype))
                continue
            low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
            if step < 2:
                row.append(np.full(tensor.shape, (low, high)[step], dtype))
            else:
                row.append(rng.integers(low, high, tensor.shape, dtype=dtype, endpoint=True))
        sequence.append(row)
    return sequence


def reference_outputs(model: Model, inputs: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """What the NumPy reference computes for a sequence of invocations that starts from the initial state."""
    interpreter = Interpreter(model)
    return [interpreter.run(*row) for row in inputs]


def linear_congruential(seed: int, count: int) -> Array:
    """uint32[count]: x * 1664525 + 1013904223 (mod 2^32), again and again from the seed on."""
    values = np.empty(count, np.uint32)
    factor, summand, known = 1664525, 1013904223, 1
    values[:1] = (seed * factor + summand) % 2**32
    while known < len(values):
        # `factor` and `summand` lead over `known` elements at once.
        part = values[: len(values) - known][:known]
        values[known : 2 * known] = part * np.uint32(factor) + np.uint32(summand)
        factor, summand = factor * factor % 2**32, (factor + 1) * summand % 2**32
        known *= 2
    return values


def random_raw(features: ModelFeatures, steps: int) -> Array:
    """raw_dtype[steps, *raw_shape]: upper bits of the linear congruential generator that the generated tests have."""
    shape, dtype = features.front_end.raw_shape, features.front_end.raw_dtype
    values = linear_congruential(1, steps * int(np.prod(shape)))
    return (values >> np.uint32(16)).astype(dtype).reshape(steps, *shape)


def make_golden(model: Model, steps: int = 4, seed: int = 0, *, features: ModelFeatures | None = None) -> Golden:
    """Seeded random inputs with their reference outputs; with `features` two inferences of random raw data as well."""
    inputs = random_inputs([model.main.tensors[t] for t in model.main.inputs], steps, seed)
    outputs = reference_outputs(model, inputs)
    raw_outputs: list[list[Array]] = []
    if features is not None:
        raw = random_raw(features, features.first_steps + features.next_steps)
        raw_outputs = reference_outputs(model, [[row] for row in features.stream().inputs(raw)])
    return Golden(tuple(map(tuple, inputs)), tuple(map(tuple, outputs)), tuple(map(tuple, raw_outputs)))
