"""The operators of these tests are known to the planner while the tests of this folder run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plan.graphs import OPERATORS
from tinyops.ops import base


@pytest.fixture(autouse=True, scope="module")
def operators() -> Iterator[None]:
    base.supported()
    base._registry.update(OPERATORS)
    yield
    for kind in OPERATORS:
        del base._registry[kind]
