"""Flash and RAM that a program cannot do without, and whether a board has them."""

from __future__ import annotations

from dataclasses import dataclass

from tinyops.errors import TinyopsError
from tinyops.features import ModelFeatures
from tinyops.lower.program import Program

#: Smallest firmware (CoAP server, driver, start-up code) and its static RAM and stack, in bytes; the linked
#: firmware is larger, so that nothing is refused here that would have fitted.
_FIRMWARE_FLASH = 6 * 1024
_FIRMWARE_RAM = 2 * 1024


@dataclass(frozen=True)
class Footprint:
    """Lower bounds in bytes, kind `modelled`, each with its largest parts (name, bytes), largest first."""

    flash_bytes: int
    ram_bytes: int
    flash_parts: tuple[tuple[str, int], ...]
    ram_parts: tuple[tuple[str, int], ...]


def estimate_memory(program: Program, features: ModelFeatures | None = None) -> Footprint:
    """What the program needs at least: constants and firmware in flash; arena, state and firmware in RAM.

    With `features` also the tables and buffers of that front end.
    """
    flash_parts = [(f"constant {c.name} ({c.role})", c.nbytes) for c in program.constants]
    flash_parts.append(("firmware", _FIRMWARE_FLASH))
    if features is not None:
        flash_parts.append((f"tables of the front end {features.kind}", features.constant_bytes))
    ram_parts = live_at_peak(program)
    ram_parts += [(f"state {s.name}", s.nbytes) for s in program.states]
    ram_parts.append(("firmware", _FIRMWARE_RAM))
    if features is not None:
        ram_parts.append((f"front end {features.kind}", features.ram_bytes))
    return Footprint(
        flash_bytes=program.constant_bytes() + _FIRMWARE_FLASH + (features.constant_bytes if features else 0),
        ram_bytes=program.arena_bytes + program.state_bytes + _FIRMWARE_RAM + (features.ram_bytes if features else 0),
        flash_parts=tuple(sorted(flash_parts, key=lambda part: -part[1])),
        ram_parts=tuple(sorted(ram_parts, key=lambda part: -part[1])),
    )


def live_at_peak(program: Program) -> list[tuple[str, int]]:
    """(name, bytes) of the tensors that are in the arena together at the step where they are largest."""
    lifetimes = program.plan.lifetimes
    steps = sorted({step for life in lifetimes.values() for step in life})
    live = [
        [(name, size) for root, name, size in program.arena_blocks if lifetimes[root][0] <= step <= lifetimes[root][1]]
        for step in steps
    ]
    return max(live, key=lambda blocks: sum(size for _, size in blocks), default=[])


def refuse_misfit(
    program: Program,
    board: str,
    flash_bytes: int | None,
    ram_bytes: int | None,
    features: ModelFeatures | None = None,
) -> None:
    """Raise TinyopsError, with the numbers and the three largest causes, when the program cannot fit."""
    need = estimate_memory(program, features)
    checks = (
        ("flash", need.flash_bytes, flash_bytes, need.flash_parts),
        ("RAM", need.ram_bytes, ram_bytes, need.ram_parts),
    )
    for what, needed, available, parts in checks:
        if available is not None and needed > available:
            causes = "; ".join(f"{name} {size:,} B" for name, size in parts[:3])
            raise TinyopsError(
                f"the model needs at least {needed:,} B of {what}, {needed - available:,} B more than there are "
                f"(largest: {causes})",
                where=f"board {board}",
                allowed=f"{available:,} B of {what}",
                hint="tinyops boards, to find one with more memory; or a smaller model",
            )
