"""Golden vectors: inputs and the outputs that the NumPy reference gives for them, state carried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyops.graph import DType, Model, Tensor
from tinyops.ops.interpreter import Interpreter

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Golden:
    """`inputs[step][i]` and `outputs[step][o]`: arrays of the model's ports; step 0 starts from the initial state."""

    inputs: tuple[tuple[Array, ...], ...]
    outputs: tuple[tuple[Array, ...], ...]

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


def make_golden(model: Model, steps: int = 4, seed: int = 0) -> Golden:
    """Seeded random inputs with their reference outputs."""
    inputs = random_inputs([model.main.tensors[t] for t in model.main.inputs], steps, seed)
    outputs = reference_outputs(model, inputs)
    return Golden(tuple(map(tuple, inputs)), tuple(map(tuple, outputs)))
