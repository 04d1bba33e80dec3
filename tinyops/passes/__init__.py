"""Pure Model -> Model passes. The verifier runs after each and names the pass that broke a rule."""

from __future__ import annotations

from collections.abc import Callable

from tinyops.graph import Model, verify
from tinyops.ops import check
from tinyops.passes.fold_constants import fold_constants
from tinyops.passes.prune import prune
from tinyops.passes.resolve_state import resolve_state

Pass = Callable[[Model], Model]

PASSES: tuple[Pass, ...] = (fold_constants, resolve_state, prune)


def run_passes(model: Model, passes: tuple[Pass, ...] = PASSES) -> Model:
    """Apply `passes` in order. Raises VerifyError or ModelError naming the operator and the broken rule."""
    for apply in passes:
        model = apply(model)
        verify(model, after=apply.__name__)
        check(model)
    return model


__all__ = ["PASSES", "fold_constants", "prune", "resolve_state", "run_passes"]
