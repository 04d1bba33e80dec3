"""Recurrent layers in parts."""

from __future__ import annotations

from collections.abc import Iterator

from tests.cases.case import Case
from tests.ops import test_gru


def cases() -> Iterator[Case]:
    yield Case("gru_step", test_gru.step().build()[1])
    yield Case("gru_unrolled", test_gru.unrolled(4).build()[1])
