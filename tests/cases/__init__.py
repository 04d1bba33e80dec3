"""Small models that exercise the operators, one module per family."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from tests.cases.case import Case


@cache
def all_cases() -> tuple[Case, ...]:
    """The cases of all modules, in the order of their names."""
    found: list[Case] = []
    for module in pkgutil.iter_modules(__path__):
        if module.name != "case":
            found += importlib.import_module(f"{__name__}.{module.name}").cases()
    return tuple(found)
