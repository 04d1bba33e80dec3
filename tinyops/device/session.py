"""A run: a sequence of invocations on a device, compared with the reference, with counts per layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyops.device.client import DeviceClient
from tinyops.errors import DeviceError
from tinyops.graph import Model
from tinyops.ops.float32 import differs
from tinyops.ops.interpreter import Interpreter

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class LayerCount:
    """Instructions of one layer in one invocation; None where the board counts none."""

    name: str
    op: str
    instructions: int | None


@dataclass(frozen=True)
class Mismatch:
    """A value that differs from the reference: `index` into the output's flat array."""

    invocation: int
    output: int
    index: int
    got: float
    expected: float


@dataclass(frozen=True, eq=False)
class RunResult:
    """`outputs[step][o]`; `instructions` of one invocation; `mismatches` is None when nothing was compared."""

    outputs: list[list[Array]]
    instructions: int | None
    kind: str | None
    layers: list[LayerCount]
    mismatches: int | None
    first_mismatch: Mismatch | None = None


def run_sequence(
    client: DeviceClient,
    inputs: Sequence[Sequence[Array]],
    *,
    reference: Model | None = None,
    profile: bool = True,
    advance: Callable[[], None] = lambda: None,
) -> RunResult:
    """Run `inputs` from the initial state on, state carried; compare with `reference` where it is given.

    Layers are counted in one more invocation of the first input, from the initial state, after the others.
    """
    interpreter = Interpreter(reference) if reference is not None else None
    outputs: list[list[Array]] = []
    mismatches = 0
    first: Mismatch | None = None
    instructions: int | None = None
    for step, row in enumerate(inputs):
        got = client.infer(row, reset=step == 0)
        outputs.append(got)
        if step == 0 and profile:
            instructions = client.profile().invocation
        if interpreter is not None:
            count, found = _compare(step, got, interpreter.run(*row))
            mismatches += count
            first = first or found
        advance()
    layers, kind = _count_layers(client, inputs[0]) if profile else ([], None)
    return RunResult(outputs, instructions, kind, layers, None if interpreter is None else mismatches, first)


def _compare(step: int, got: Sequence[Array], expected: Sequence[Array]) -> tuple[int, Mismatch | None]:
    """How many values differ, floats by more than the tolerance, and the first of them.

    DeviceError when the outputs are not even of one form.
    """
    forms, wanted = (", ".join(f"{a.dtype}{list(a.shape)}" for a in arrays) for arrays in (got, expected))
    if forms != wanted:
        raise DeviceError(f"the device answered {forms}", allowed=f"{wanted}, as the reference")
    count, first = 0, None
    for output, (g, e) in enumerate(zip(got, expected, strict=True)):
        differing = np.flatnonzero(differs(g, e))
        if first is None and differing.size:
            k = int(differing[0])
            first = Mismatch(step, output, k, g.flat[k].item(), e.flat[k].item())
        count += differing.size
    return count, first


def _count_layers(client: DeviceClient, row: Sequence[Array]) -> tuple[list[LayerCount], str | None]:
    info = client.info()
    client.infer(row, reset=True, profile=True)
    counts = client.profile()
    client.reset()
    if counts.kind == "none" or not counts.layers:
        return [LayerCount(name, op, None) for name, op in info.layers], None
    if len(counts.layers) != len(info.layers):
        raise DeviceError(
            f"the device counted {len(counts.layers)} layers", allowed=f"{len(info.layers)}, as it says in /info"
        )
    return [LayerCount(name, op, n) for (name, op), n in zip(info.layers, counts.layers, strict=True)], counts.kind
