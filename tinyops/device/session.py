"""A run: a sequence of invocations on a device, compared with the reference, with counts per layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyops.device.client import DeviceClient
from tinyops.device.protocol import MEASURED
from tinyops.errors import DeviceError, UsageError
from tinyops.features import ModelFeatures
from tinyops.features.files import read_raw
from tinyops.graph import Model
from tinyops.ops.float32 import differs
from tinyops.ops.interpreter import Interpreter

Array = np.ndarray[Any, Any]

#: Kind of counts -> what is counted.
UNITS: dict[str, str] = {"emulated-instructions": "instructions", MEASURED: "cycles"}


@dataclass(frozen=True)
class LayerCount:
    """Instructions, or on hardware cycles, of one layer in one invocation; None where the board counts none."""

    name: str
    op: str
    instructions: int | None
    cycles: int | None = None

    @classmethod
    def of(cls, name: str, op: str, count: int | None, kind: str) -> LayerCount:
        """A count of that kind."""
        return cls(name, op, None, count) if kind == MEASURED else cls(name, op, count)

    @property
    def count(self) -> int | None:
        """Whichever there is."""
        return self.instructions if self.cycles is None else self.cycles


@dataclass(frozen=True)
class Mismatch:
    """A value that differs from the reference: `index` into the output's flat array."""

    invocation: int
    output: int
    index: int
    got: float
    expected: float


@dataclass(frozen=True, eq=False)
class Invocation:
    """The model's `inputs`, and where the front end is to make them: the `raw` steps, which the device gets instead.

    With `first`, state and front end start anew.
    """

    inputs: Sequence[Array]
    first: bool
    raw: Array | None = None

    def send(self, client: DeviceClient, *, reset: bool, profile: bool = False) -> list[Array]:
        """The outputs of the device."""
        if self.raw is None:
            return client.infer(self.inputs, reset=reset, profile=profile)
        return client.infer_raw(self.raw, reset=reset, profile=profile)


@dataclass(frozen=True, eq=False)
class RunResult:
    """`outputs[step][o]`; `instructions` of one invocation; `mismatches` is None when nothing was compared.

    `features`: the front end in the first invocation, where the device was given raw data. On hardware there are
    `cycles` instead of instructions, the `clock_hz` that they are of, and the deepest use of the stack in bytes.
    """

    outputs: list[list[Array]]
    instructions: int | None
    kind: str | None
    layers: list[LayerCount]
    mismatches: int | None
    first_mismatch: Mismatch | None = None
    features: LayerCount | None = None
    cycles: int | None = None
    clock_hz: int | None = None
    stack_bytes_used: int | None = None

    @property
    def unit(self) -> str:
        """What is counted."""
        return UNITS.get(self.kind or "", "instructions")

    @property
    def count(self) -> int | None:
        """Instructions or cycles of one invocation, whichever there is."""
        return self.instructions if self.cycles is None else self.cycles

    @property
    def milliseconds(self) -> float | None:
        """Of one invocation, where its cycles and their clock are known."""
        return 1000 * self.cycles / self.clock_hz if self.cycles is not None and self.clock_hz else None


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
    invocations = (Invocation(row, step == 0) for step, row in enumerate(inputs))
    return _run(client, invocations, reference, profile, advance)


def run_raw(
    client: DeviceClient,
    paths: Sequence[Path],
    features: ModelFeatures,
    *,
    reference: Model | None = None,
    profile: bool = True,
    advance: Callable[[], None] = lambda: None,
) -> RunResult:
    """Run recordings through front end and model of the device; else as `run_sequence`.

    Each file is a stream of its own, which starts from the initial state. UsageError where one does not fill an input,
    DeviceError where the device's front end is not `features`.
    """
    _refuse_other_features(client, features)
    return _run(client, _raw_invocations(paths, features), reference, profile, advance)


def _raw_invocations(paths: Sequence[Path], features: ModelFeatures) -> Iterator[Invocation]:
    """The raw steps of each inference, and what the twin makes of them."""
    front_end = features.front_end
    for path in paths:
        stream, needed, count = features.stream(), features.first_steps, 0
        steps = np.zeros((0, *front_end.raw_shape), front_end.raw_dtype)
        for part in read_raw(path, front_end):
            steps = np.concatenate([steps, part])
            while len(steps) >= needed:
                raw, steps = steps[:needed], steps[needed:]
                (row,) = stream.inputs(raw)
                yield Invocation([row], count == 0, raw)
                needed, count = features.next_steps, count + 1
        if not count:
            raise UsageError(
                f"has {len(steps):,} steps of {front_end.raw_dtype}{list(front_end.raw_shape)}",
                where=str(path),
                allowed=f"{features.first_steps:,} or more: so many make the model's input",
            )


def _refuse_other_features(client: DeviceClient, features: ModelFeatures) -> None:
    found, front_end = client.info().features, features.front_end
    wanted = (features.kind, front_end.raw_shape, features.first_steps, features.next_steps)
    if found is not None and (found.kind, found.shape, found.steps(first=True), found.steps(first=False)) == wanted:
        return
    what = f"has another front end ({found.kind})" if found else "has no feature front end"
    hint = "build and flash the firmware again, with the same table [features]"
    raise DeviceError(f"the firmware {what}", where=client.where, allowed=features.kind, hint=hint)


def _run(
    client: DeviceClient,
    invocations: Iterable[Invocation],
    reference: Model | None,
    profile: bool,
    advance: Callable[[], None],
) -> RunResult:
    interpreter = Interpreter(reference) if reference is not None else None
    outputs: list[list[Array]] = []
    mismatches = 0
    start: Invocation | None = None
    first: Mismatch | None = None
    count: int | None = None
    features: LayerCount | None = None
    for step, invocation in enumerate(invocations):
        got = invocation.send(client, reset=invocation.first)
        outputs.append(got)
        if start is None:
            start = invocation
            count, features = _counts(client, invocation) if profile else (None, None)
        if interpreter is not None:
            if invocation.first:
                interpreter.reset()
            differing, found = _compare(step, got, interpreter.run(*invocation.inputs))
            mismatches += differing
            first = first or found
        advance()
    layers, kind = _count_layers(client, start) if profile and start is not None else ([], None)
    compared = None if interpreter is None else mismatches
    if kind != MEASURED:
        return RunResult(outputs, count, kind, layers, compared, first, features)
    clock, stack = client.info().clock_hz, client.profile().stack_bytes_used
    return RunResult(outputs, None, kind, layers, compared, first, features, count, clock, stack or None)


def _counts(client: DeviceClient, invocation: Invocation) -> tuple[int | None, LayerCount | None]:
    """Instructions or cycles of the model and of the front end in the invocation that was the last one."""
    counts, info = client.profile(), client.info().features
    if invocation.raw is None or info is None:
        return counts.invocation, None
    return counts.invocation, LayerCount.of("features", info.kind, counts.features, counts.kind)


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


def _count_layers(client: DeviceClient, invocation: Invocation) -> tuple[list[LayerCount], str | None]:
    info = client.info()
    invocation.send(client, reset=True, profile=True)
    counts = client.profile()
    client.reset()
    if counts.kind == "none" or not counts.layers:
        return [LayerCount(name, op, None) for name, op in info.layers], None
    if len(counts.layers) != len(info.layers):
        raise DeviceError(
            f"the device counted {len(counts.layers)} layers", allowed=f"{len(info.layers)}, as it says in /info"
        )
    pairs = zip(info.layers, counts.layers, strict=True)
    return [LayerCount.of(name, op, n, counts.kind) for (name, op), n in pairs], counts.kind


def describe_count(layer: LayerCount) -> dict[str, int | None]:
    """A layer's count for `--json`: `cycles` are there on hardware alone."""
    return {"instructions": layer.instructions} | ({} if layer.cycles is None else {"cycles": layer.cycles})


def describe_cycles(run: RunResult) -> dict[str, int | float | None]:
    """What `--json` has besides of a run on hardware."""
    if run.kind != MEASURED:
        return {}
    return {
        "cycles": run.cycles,
        "clock_hz": run.clock_hz,
        "milliseconds": run.milliseconds,
        "stack_bytes_used": run.stack_bytes_used,
    }
