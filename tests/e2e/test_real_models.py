"""Models of others, from the folder that TINYOPS_MODELS names: equal to TFLite Micro, or refused with a reason."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import pytest

from tests.e2e.real_models import check, digest, models
from tests.support.documents import ROOT
from tests.support.semihosted import CORTEX_M4, HOST

FOLDER = os.environ.get("TINYOPS_MODELS")
_ROW = re.compile(r"^\| .* \| ([0-9a-f]{12}) \| (.*) \|$", re.MULTILINE)


@cache
def documented() -> dict[str, str]:
    """SHA-256 -> result, as docs/operators.md states them."""
    return dict(_ROW.findall((ROOT / "docs" / "operators.md").read_text(encoding="utf-8")))


def test_models_are_documented() -> None:
    equal = [result for result in documented().values() if result.startswith("equal")]
    assert len(equal) >= 15
    assert all(documented().values()), "a model without a result"


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", models(Path(FOLDER)) if FOLDER else [], ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_equals_tflite_micro(path: Path) -> None:
    HOST.require()
    CORTEX_M4.require()
    result = check(path)
    assert result.refused or not result.reason, result.reason
    assert result.reason or HOST.name in result.matches
    if stated := documented().get(digest(path)):
        assert stated.startswith("equal") == (not result.reason), f"docs/operators.md: {stated}; now: {result}"
