"""Geometry of the memory map: arena blocks as rectangles, steps from left to right, addresses upwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LEFT, _TOP, _BOTTOM, _HEIGHT = 76, 24, 44, 300
_STATE_WIDTH, _GAP = 84, 28
_LINE, _LETTER = 13, 6.4  # height of a label and width of its characters


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A block of memory; `label` is empty where it does not fit."""

    x: float
    y: float
    width: float
    height: float
    role: str
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A tick or a line at `at`."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class MemoryMap:
    """All in units of the drawing, `width` x `height` of them."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    blocks: tuple[Rectangle, ...]
    states: tuple[Rectangle, ...]
    state_x: float
    addresses: tuple[Mark, ...]
    steps: tuple[Mark, ...]
    peak: Mark
    bound: Mark


def draw_memory_map(report: Mapping[str, Any]) -> MemoryMap:
    """The map of a report's `plan.blocks` and `states`."""
    memory, blocks, states = report["memory"], report["plan"]["blocks"], report["states"]
    count = len(report["layers"]) + 2  # before the first layer the inputs are there, after the last the outputs
    column = max(14.0, min(72.0, 860.0 / count))
    right = _LEFT + column * count
    state_x = right + _GAP
    width = (state_x + _STATE_WIDTH if states else right) + 8
    number = {layer["name"]: str(k) for k, layer in enumerate(report["layers"], 1)}
    total: int = max(memory["arena_bytes"], memory["state_bytes"], 1)
    base = _TOP + _HEIGHT

    def height(size: float) -> float:
        return size / total * _HEIGHT

    def arena(block: Mapping[str, Any]) -> Rectangle:
        first, last = block["first_step"] + 1, min(block["last_step"] + 1, count - 1)
        title = (
            f"{block_name(block)}, {block['bytes']:,} B at {block['offset']:,}, "
            f"{step_name(block['first_step'], count - 2)} to {step_name(block['last_step'], count - 2)}"
        )
        x, y = _LEFT + first * column, base - height(block["offset"] + block["bytes"])
        free = max(last - first, 1) * column  # in its last step the next block may overlap it
        names = (block_name(block), number.get(block["layer"], "in"))
        return Rectangle(
            x,
            y,
            (last - first + 1) * column,
            _size(block, height),
            block["role"],
            _label(names, free, block, height),
            title,
        )

    def state(one: Mapping[str, Any]) -> Rectangle:
        title = f"state {one['name']}, {one['bytes']:,} B at {one['offset']:,}"
        y = base - height(one["offset"] + one["bytes"])
        label = _label((one["name"],), _STATE_WIDTH, one, height)
        return Rectangle(state_x, y, _STATE_WIDTH, _size(one, height), "state", label, title)

    skip = max(1, round(36 / column + 0.49))
    shown = [(k, "in" if k == 0 else "out" if k == count - 1 else str(k)) for k in range(count)]
    last = count - 1
    return MemoryMap(
        width=width,
        height=base + _BOTTOM,
        left=_LEFT,
        right=right,
        top=_TOP,
        bottom=base,
        blocks=tuple(map(arena, blocks)),
        states=tuple(map(state, states)),
        state_x=state_x,
        addresses=tuple(Mark(base - height(v), f"{v:,}") for v in _ticks(total)),
        steps=tuple(
            Mark(_LEFT + (k + 0.5) * column, text)
            for k, text in shown
            if k in (0, last) or (k % skip == 0 and k + skip <= last)
        ),
        peak=Mark(base - height(memory["arena_bytes"]), f"arena {memory['arena_bytes']:,} B"),
        bound=Mark(
            base - height(memory["arena_lower_bound_bytes"]), f"lower bound {memory['arena_lower_bound_bytes']:,} B"
        ),
    )


def block_name(block: Mapping[str, Any]) -> str:
    """What a person calls the block: by the layer that makes it."""
    if block["role"] == "scratch":
        return f"scratch of {block['layer']}"
    return str(block["layer"] or block["tensor"])


def step_name(step: int, layers: int) -> str:
    """Steps as the tables count them: layers from 1 on."""
    return "start" if step < 0 else "end" if step >= layers else f"layer {step + 1}"


def _size(block: Mapping[str, Any], height: Callable[[float], float]) -> float:
    """Small blocks stay visible."""
    return max(height(block["bytes"]), 0.5)


def _label(names: Sequence[str], width: float, block: Mapping[str, Any], height: Callable[[float], float]) -> str:
    """The first of `names` that fits into the block, or nothing."""
    if height(block["bytes"]) < _LINE:
        return ""
    return next((name for name in names if len(name) * _LETTER + 8 <= width), "")


def _ticks(total: int) -> Sequence[int]:
    """Multiples of a power of two from 0 to `total`, at most nine of them."""
    unit = 1 << max(0, (max(total // 8, 1) - 1).bit_length())
    return range(0, total + 1, unit)
