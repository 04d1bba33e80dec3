"""A layered drawing of a graph: ranks by longest path, order in a rank by barycenters (Sugiyama et al., 1981)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

#: More nodes than this are not drawn: nobody reads such a picture.
MAX_NODES = 800
_MAX_BENDS = 4000
_WIDTH, _HEIGHT, _COLUMN, _RANK, _MARGIN, _BEND = 176.0, 42.0, 196.0, 72.0, 12.0, 28.0
_SWEEPS = 8


@dataclass(frozen=True, slots=True)
class Node:
    """A box: what it is, its name, and the shape of what it makes."""

    x: float
    y: float
    kind: str
    heading: str
    detail: str
    title: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """Boxes of `box_width` x `box_height` and SVG paths between them, in units of the drawing."""

    width: float
    height: float
    box_width: float
    box_height: float
    nodes: tuple[Node, ...]
    paths: tuple[str, ...]


def draw_graph(report: Mapping[str, Any]) -> Drawing | None:
    """The drawing of a report's layers, inputs and outputs; None when there are more than MAX_NODES."""
    texts, edges = _elements(report)
    if len(texts) > MAX_NODES:
        return None
    ranks = _ranks(len(texts), edges)
    chains = _chains(ranks, edges)
    rows = _rows(ranks, chains, len(texts))
    neighbours = _neighbours(chains)
    _reduce_crossings(rows, neighbours)
    x = _positions(rows, neighbours, len(texts))
    left = min(x.values()) - _WIDTH / 2 - _MARGIN
    rank_of = {v: r for r, row in enumerate(rows) for v in row}
    y = {v: _MARGIN + r * _RANK for v, r in rank_of.items()}
    nodes = tuple(Node(x[v] - left - _WIDTH / 2, y[v], *text) for v, text in enumerate(texts))
    return Drawing(
        width=max(x.values()) + _WIDTH / 2 + _MARGIN - left,
        height=_MARGIN * 2 + _RANK * (len(rows) - 1) + _HEIGHT,
        box_width=_WIDTH,
        box_height=_HEIGHT,
        nodes=nodes,
        paths=tuple(_path([(x[v] - left, y[v], v >= len(texts)) for v in chain]) for chain in chains),
    )


_Text = tuple[str, str, str, str]
_Edge = tuple[int, int]


def _elements(report: Mapping[str, Any]) -> tuple[list[_Text], list[_Edge]]:
    """Nodes in a topological order - inputs, layers, outputs - and the edges between them."""
    inputs, layers, outputs = report["model"]["inputs"], report["layers"], report["model"]["outputs"]
    texts: list[_Text] = [("input", "input", _form(p["dtype"], p["shape"]), p["name"]) for p in inputs]
    edges: list[_Edge] = []

    def node(source: int) -> int:
        return source + len(inputs) if source >= 0 else -1 - source

    for k, layer in enumerate(layers):
        forms = [_form(dtype, shape) for dtype, shape in zip(layer["dtypes"], layer["output_shapes"], strict=True)]
        kind = "layer" if layer["kernels"] else "free"
        kernels = ", ".join(layer["kernels"]) or "no code: shares memory"
        title = f"{k + 1} {layer['name']}: {layer['macs']:,} MACs, {layer['constant_bytes']:,} B constants, {kernels}"
        texts.append((kind, f"{k + 1} {layer['op']}", ", ".join(forms) or "state", title))
        edges += [(node(source), node(k)) for source in dict.fromkeys(layer["inputs"])]
    for port in outputs:
        if port["layer"] is not None:
            edges.append((node(port["layer"]), len(texts)))
        texts.append(("output", "output", _form(port["dtype"], port["shape"]), port["name"]))
    return texts, edges


def _form(dtype: str, shape: Sequence[int]) -> str:
    return f"{dtype} {'x'.join(map(str, shape)) or 'scalar'}"


def _ranks(count: int, edges: Sequence[_Edge]) -> list[int]:
    """Longest path from a source; then sources go down to just above the first that reads them."""
    into: dict[int, list[int]] = {}
    out: dict[int, list[int]] = {}
    for a, b in edges:
        into.setdefault(b, []).append(a)
        out.setdefault(a, []).append(b)
    ranks = [0] * count
    for v in range(count):  # edges lead from lower to higher numbers
        ranks[v] = max((ranks[u] + 1 for u in into.get(v, ())), default=0)
    for v in range(count):
        if v not in into and v in out:
            ranks[v] = min(ranks[w] for w in out[v]) - 1
    return ranks


def _chains(ranks: Sequence[int], edges: Sequence[_Edge]) -> list[list[int]]:
    """Every edge as a chain of vertices from rank to rank; those from `len(ranks)` on are bends."""
    chains: list[list[int]] = []
    bends = len(ranks)
    for a, b in edges:
        between = ranks[b] - ranks[a] - 1
        if bends + between - len(ranks) > _MAX_BENDS:
            between = 0
        chains.append([a, *range(bends, bends + between), b])
        bends += between
    return chains


def _rows(ranks: Sequence[int], chains: Sequence[Sequence[int]], count: int) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(max(ranks, default=0) + 1)]
    for v in range(count):
        rows[ranks[v]].append(v)
    for chain in chains:
        for step, v in enumerate(chain[1:-1], 1):
            rows[ranks[chain[0]] + step].append(v)
    return rows


def _neighbours(chains: Sequence[Sequence[int]]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    up: dict[int, list[int]] = {}
    down: dict[int, list[int]] = {}
    for chain in chains:
        for a, b in pairwise(chain):
            down.setdefault(a, []).append(b)
            up.setdefault(b, []).append(a)
    return up, down


def _reduce_crossings(rows: list[list[int]], neighbours: tuple[dict[int, list[int]], dict[int, list[int]]]) -> None:
    """Sort each row by the mean place of its neighbours, downwards and upwards in turn."""
    place = {v: float(k) for row in rows for k, v in enumerate(row)}
    for sweep in range(_SWEEPS):
        near = neighbours[sweep % 2]
        for row in rows if sweep % 2 == 0 else reversed(rows):
            row.sort(key=lambda v: _mean([place[u] for u in near.get(v, ())], place[v]))
            place.update({v: float(k) for k, v in enumerate(row)})


def _positions(
    rows: Sequence[Sequence[int]], neighbours: tuple[dict[int, list[int]], dict[int, list[int]]], count: int
) -> dict[int, float]:
    """Centres: each row wants to be under (over) its neighbours and keeps its order and distances."""
    room = {v: (_COLUMN if v < count else _BEND) / 2 for row in rows for v in row}
    x: dict[int, float] = {}
    for row in rows:
        _spread(row, [0.0] * len(row), room, x)
    for sweep in range(_SWEEPS):
        near = neighbours[sweep % 2]
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_mean([x[u] for u in near.get(v, ())], x[v]) for v in row]
            _spread(row, wanted, room, x)
    return x


def _spread(row: Sequence[int], wanted: Sequence[float], room: Mapping[int, float], x: dict[int, float]) -> None:
    """Least squares under the distances: neighbours that are too close become one group, centred (isotonic)."""
    offsets, total = [], 0.0
    for k, v in enumerate(row):
        total += room[row[k - 1]] + room[v] if k else 0.0
        offsets.append(total)
    groups: list[tuple[float, int]] = []  # mean of wanted - offset, members
    for want, offset in zip(wanted, offsets, strict=True):
        groups.append((want - offset, 1))
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            (a, m), (b, n) = groups[-2:]
            groups[-2:] = [((a * m + b * n) / (m + n), m + n)]
    bases = [base for base, members in groups for _ in range(members)]
    x.update({v: base + offset for v, base, offset in zip(row, bases, offsets, strict=True)})


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _path(points: Sequence[tuple[float, float, bool]]) -> str:
    """From the bottom of the first box through the bends to the top of the last, as cubic curves."""
    x, y, _ = points[0]
    parts = [f"M{x:.1f} {y + _HEIGHT:.1f}"]
    start = y + _HEIGHT
    for to_x, to_y, bend in points[1:]:
        middle = (start + to_y) / 2
        parts.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
        x, start = to_x, to_y
        if bend:
            start = to_y + _HEIGHT
            parts.append(f"L{to_x:.1f} {start:.1f}")
    return "".join(parts)
