"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; a header that ends in ':' is of a right-aligned column."""
    rule = "|" + "|".join("---:" if cell.endswith(":") else "---" for cell in header) + "|"
    return "\n".join([_row(cell.rstrip(":") for cell in header), rule, *map(_row, rows)])


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
