"""What happens to each device of a virtual fleet, drawn from one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

#: Flash operations of the recovery after a cut, in which a second cut may fall.
RECOVERY_OPERATIONS = 16
#: Bits that damage changes at most.
DAMAGED_BITS = 64
_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares from 0 to 1: of datagrams (`loss` and `duplicates`, per direction), of devices for the rest.

    `power_cuts`: the power fails in one flash operation of the next update, and for half of these devices again in the
    recovery. `damage`: bits of the flash change while the device is off.
    """

    seed: int = 1
    loss: float = 0.0
    duplicates: float = 0.0
    power_cuts: float = 0.0
    damage: float = 0.0


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one device.

    `cuts`: in which flash operation after its start the power fails, the first time, the second time. `damaged_after`
    are seconds, None for a device that stays whole; `damage` are (position in the flash from 0 to 1, bit) pairs.
    """

    identifier: bytes
    seed: int
    cuts: tuple[int, ...] = ()
    damaged_after: float | None = None
    damage: tuple[tuple[float, int], ...] = ()


def draw_fate(faults: Faults, index: int, *, operations: int, seconds: float) -> Fate:
    """The fate of device `index`, the same for the same seed.

    `operations` is how many flash operations an update takes, `seconds` the time in which damage happens.
    """
    rng = random.Random(f"tinyops {faults.seed} {index}")  # noqa: S311
    identifier, seed = rng.randbytes(8), rng.randrange(1 << 32)
    cut, again = rng.random() < faults.power_cuts, rng.random() < 0.5
    cuts = (rng.randint(1, operations), rng.randint(1, RECOVERY_OPERATIONS))
    damaged, after = rng.random() < faults.damage, rng.uniform(0, seconds)
    start, length = rng.random(), rng.choice((0.001, 0.01, 0.1))
    damage = tuple(
        (min(start + rng.random() * length, 1 - 1e-9), rng.randrange(8)) for _ in range(rng.randint(1, DAMAGED_BITS))
    )
    return Fate(
        identifier,
        seed,
        cuts[: 1 + again] if cut else (),
        after if damaged else None,
        damage if damaged else (),
    )


def arguments(faults: Faults, fate: Fate, *, starts: int, cuts: int) -> list[str]:
    """The firmware's arguments for the next start of a device, after so many starts and power cuts."""
    words = ["--id", fate.identifier.hex(), "--seed", str((fate.seed + starts) % (1 << 32))]
    for option, share in (("--loss", faults.loss), ("--duplicates", faults.duplicates)):
        if share:
            words += [option, str(round(share * _PPM))]
    if cuts < len(fate.cuts):
        words += ["--cut", str(fate.cuts[cuts])]
    return words
