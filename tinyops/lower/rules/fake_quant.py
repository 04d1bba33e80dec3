"""FAKE_QUANT stands in models that are to be quantized."""

from __future__ import annotations

from tinyops.errors import ModelError
from tinyops.lower.lowering import Lowering, rule
from tinyops.lower.program import Call


@rule("FAKE_QUANT")
def fake_quant(op: Lowering) -> list[Call]:
    raise ModelError(
        "FAKE_QUANT has no generated code",
        where=f"operator {op.view.name}",
        allowed="a quantized model",
        hint="quantize it: tinyops quantize takes the ranges over",
    )
