"""From a model file to a Program, in one call: load -> passes -> plan -> lower."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tinyops.graph import Model
from tinyops.load import load_model, read_model_file
from tinyops.lower.lowering import Optimize, lower
from tinyops.lower.program import Program
from tinyops.passes import run_passes

#: Seconds that no plan of a model for a microcontroller takes.
_PATIENCE = 600.0


@dataclass(frozen=True, eq=False)
class CompiledModel:
    """A model after the passes, and the program that runs it."""

    source: Path
    model: Model
    program: Program


def compile_model(
    source: Path,
    *,
    name: str,
    isa: str = "c",
    optimize: Optimize = "portable",
    seconds: float = 2.0,
    by_structure: bool = False,
) -> CompiledModel:
    """Compile a model file; `name` is a C identifier and `seconds` bounds the memory planner's search.

    `isa` and `optimize` choose the kernels, see lower().

    `by_structure` is for updatable firmware and its capsules, see lower(); then the clock bounds nothing in practice,
    so that a busy computer finds the same plan.
    """
    if by_structure:
        seconds = max(seconds, _PATIENCE)
    digest = hashlib.sha256(read_model_file(source)).digest()
    model = run_passes(load_model(source))
    program = lower(
        model,
        name=name,
        digest=digest,
        source=source.name,
        isa=isa,
        optimize=optimize,
        seconds=seconds,
        by_structure=by_structure,
    )
    return CompiledModel(source, model, program)
