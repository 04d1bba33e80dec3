"""Every operator case as generated C, all in one program per target: outputs equal TFLite Micro's.

Where TFLite Micro has no kernel, they equal those of the NumPy references.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.cases import all_cases
from tests.support.case_programs import run_cases
from tests.support.semihosted import CORTEX_M4, TARGETS, Target
from tinyops.load import load_tflite
from tinyops.lower import Optimize
from tinyops.ops.base import operator


def test_names_are_unique_identifiers() -> None:
    names = [case.name for case in all_cases()]
    assert [name for name, n in Counter(names).items() if n > 1] == []
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9_]{0,47}", name)] == []


def test_operators_say_what_tflite_micro_lacks() -> None:
    """No case compares such an operator with it."""
    lacking = {True: set[str](), False: set[str]()}
    for case in all_cases():
        for view in load_tflite(case.model, name=case.name).main.views():
            rules = operator(view.kind)
            if rules is not None and view.outputs and view.output().dtype in rules.not_in_micro:
                lacking[case.numpy].add(view.kind)
    assert lacking[False] == set()
    assert lacking[True] >= {"EXP", "GELU", "LOG", "NEG", "POW", "RELU_N1_TO_1", "SELECT", "SQRT", "TILE"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "isa", "optimize"),
    [*((target, "c", "portable") for target in TARGETS), (CORTEX_M4, "armv7em", "balanced")],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_all_cases(target: Target, isa: str, optimize: Optimize, tmp_path: Path) -> None:
    target.require()
    cases = all_cases()
    outcome = run_cases(cases, target, tmp_path, isa=isa, optimize=optimize)
    assert outcome.failed == []
    assert len(outcome.passed) == len(cases), outcome.printed
