"""Pure Model -> Model passes. The verifier runs after each and names the pass that broke a rule."""

from __future__ import annotations

from collections.abc import Callable

from tinyops.graph import Model, verify
from tinyops.ops import check
from tinyops.passes.fold_batch_norm import fold_batch_norm
from tinyops.passes.fold_constants import fold_constants
from tinyops.passes.fuse_activation import fuse_activation
from tinyops.passes.layout import input_permutation, layout, output_permutation
from tinyops.passes.prune import prune
from tinyops.passes.resolve_quantization import resolve_quantization
from tinyops.passes.resolve_state import resolve_state

Pass = Callable[[Model], Model]

PASSES: tuple[Pass, ...] = (fold_constants, resolve_state, prune)
#: What models of ONNX files need, whose operators are not TFLite's.
ONNX_PASSES: tuple[Pass, ...] = (
    resolve_quantization,
    fold_constants,
    prune,
    layout,
    fold_batch_norm,
    fuse_activation,
    prune,
)


def passes_for(model: Model) -> tuple[Pass, ...]:
    """By the format of the file that the model comes from."""
    return ONNX_PASSES if model.metadata.get("format") == "onnx" else PASSES


def run_passes(model: Model, passes: tuple[Pass, ...] | None = None) -> Model:
    """Apply `passes` in order, those of the model's format unless given.

    Raises VerifyError or ModelError naming the operator and the broken rule.
    """
    for apply in passes_for(model) if passes is None else passes:
        model = apply(model)
        verify(model, after=apply.__name__)
        check(model)
    return model


__all__ = [
    "ONNX_PASSES",
    "PASSES",
    "fold_batch_norm",
    "fold_constants",
    "fuse_activation",
    "input_permutation",
    "layout",
    "output_permutation",
    "passes_for",
    "prune",
    "resolve_quantization",
    "resolve_state",
    "run_passes",
]
