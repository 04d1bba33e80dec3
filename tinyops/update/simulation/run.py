"""A virtual fleet from its first start to a summary."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tinyops.device.build import load_build
from tinyops.device.update import CAPSULE
from tinyops.emit.capsule import Capsule, read_capsule
from tinyops.errors import TinyopsError, UsageError
from tinyops.update.simulation.faults import Faults
from tinyops.update.simulation.fleet import Fleet, FleetSettings
from tinyops.update.simulation.survey import Finding, survey

MAX_DEVICES = 20_000
_TICK = 0.05
#: Seconds between two surveys while an end is waited for, at least.
_SURVEY = 2.0
_MARK = "fleet.tinyops"


@dataclass(frozen=True, eq=False)
class Simulation:
    """What became of a fleet. `seconds` are of the wall clock."""

    findings: Sequence[Finding]
    seconds: float
    starts: int
    power_cuts: int
    damaged: int
    unexpected: int
    seed: int

    @property
    def working(self) -> int:
        """Devices whose outputs are those of their model's reference."""
        return sum(finding.works is True for finding in self.findings)

    @property
    def broken(self) -> list[Finding]:
        """Devices that do not answer, or not as their model's reference."""
        return [finding for finding in self.findings if finding.state is None or finding.works is False]

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        groups = [
            {"sequence": sequence, "model": model, "state": state, "reason": reason, "devices": count}
            for (sequence, model, state, reason), count in sorted(self.groups().items())
        ]
        return {
            "devices": len(self.findings),
            "working": self.working,
            "broken": [{"device": f.device.name, "log": str(f.device.log), "error": f.error} for f in self.broken],
            "groups": groups,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "starts": self.starts,
            "power_cuts": self.power_cuts,
            "damaged": self.damaged,
            "unexpected_ends": self.unexpected,
        }

    def groups(self) -> Counter[tuple[int, str, str, str]]:
        """Devices by (sequence, first digits of the model's digest, state, reason of the last attempt)."""
        return Counter(
            (f.state.sequence, f.state.model.hex()[:12], f.state.state, _reason(f))
            for f in self.findings
            if f.state is not None
        )


def read_fleet(
    build: Path,
    folder: Path,
    *,
    devices: int,
    server: str | None,
    faults: Faults,
    check_in: int = 5,
    infer: float = 0.5,
    damage_within: float = 20.0,
) -> FleetSettings:
    """The settings of a fleet of the firmware in the build folder `build`; UsageError when it is not for this."""
    report = load_build(build)
    update = report.get("update")
    if report["board"]["name"] != "host" or not update:
        raise UsageError(
            "is no updatable firmware for this computer",
            where=str(build),
            hint=f"tinyops build MODEL --board host --updatable --update-key KEY -o {build}",
        )
    region = update["region"]
    operations = region["bank_bytes"] // region["write_bytes"] + 2 * (region["bank_bytes"] // region["erase_bytes"])
    return FleetSettings(
        build / "firmware.elf",
        folder,
        devices,
        server,
        faults,
        region["bytes"],
        operations,
        check_in,
        infer,
        damage_within,
    )


def read_capsules(build: Path, others: Sequence[Path]) -> dict[bytes, Capsule]:
    """The build's own capsule and `others` (files, or folders of packed updates), by the SHA-256 of their bytes."""
    capsules = {}
    for path in (build / CAPSULE, *others):
        file = path / CAPSULE if path.is_dir() else path
        try:
            data = file.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", where=str(file), allowed="a capsule") from error
        capsules[hashlib.sha256(data).digest()] = read_capsule(data)
    return capsules


def simulate(
    settings: FleetSettings,
    capsules: dict[bytes, Capsule],
    *,
    seconds: float | None = None,
    until: int | None = None,
    keep: bool = False,
    step: Callable[[str, int], None] = lambda _text, _done: None,
) -> Simulation:
    """Run the fleet for `seconds`, or until every device has settled about sequence number `until`, or until
    KeyboardInterrupt; then ask every device what it runs, and compare its outputs with its model's golden vectors.

    Settled is a device that runs `until` or a later one, or that has undone it, and is idle. `step` is told what
    happens, and how many devices it has happened to. The folder of an earlier fleet is removed unless `keep`.
    """
    begun = time.monotonic()
    with _claim(settings.folder, keep), Fleet(settings) as fleet:
        for count in fleet.start():
            step("switching on", count)
        try:
            _run(fleet, capsules, begun, seconds, until, step)
        except KeyboardInterrupt:
            step("ending", 0)
        asked = 0

        def advance() -> None:
            nonlocal asked
            asked += 1
            step("asking", asked)

        findings = survey(fleet.devices, capsules, probe=True, advance=advance)
        return Simulation(
            findings,
            time.monotonic() - begun,
            starts=sum(device.starts for device in fleet.devices),
            power_cuts=sum(device.power_cuts for device in fleet.devices),
            damaged=sum(device.damaged for device in fleet.devices),
            unexpected=sum(len(device.unexpected) for device in fleet.devices),
            seed=settings.faults.seed,
        )


def _run(
    fleet: Fleet,
    capsules: dict[bytes, Capsule],
    begun: float,
    seconds: float | None,
    until: int | None,
    step: Callable[[str, int], None],
) -> None:
    settled: set[int] = set()
    next_survey = begun
    while seconds is None or time.monotonic() - begun < seconds:
        fleet.step()
        if until is not None and time.monotonic() >= next_survey:
            waiting = [device for device in fleet.devices if device.index not in settled]
            for finding in survey(waiting[:256], capsules, probe=False):
                if _is_settled(finding, until):
                    settled.add(finding.device.index)
            step(f"settled about {until}", len(settled))
            next_survey = time.monotonic() + _SURVEY
            if len(settled) == len(fleet.devices) and not fleet.damage_pending():
                return
        elif until is None:
            step("running", len(fleet.devices))
        time.sleep(_TICK)


def _is_settled(finding: Finding, until: int) -> bool:
    state = finding.state
    if state is None or state.state != "idle":
        return False
    return state.sequence >= until or (state.accepted >= until and state.reason != 0)


def _reason(finding: Finding) -> str:
    assert finding.state is not None
    outcome = finding.state.outcome
    return outcome.slug if outcome is not None else str(finding.state.reason)


def _claim(folder: Path, keep: bool) -> IO[bytes]:
    """Make `folder` that of this fleet, without the files of an earlier one unless `keep`; the file locks it."""
    mark = folder / _MARK
    try:
        if folder.exists() and any(folder.iterdir()) and not mark.exists():
            raise UsageError(
                "holds other files", where=str(folder), allowed="a new or empty folder, or that of an earlier fleet"
            )
        folder.mkdir(parents=True, exist_ok=True)
        lock = mark.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise UsageError("another fleet runs there", where=str(folder), allowed="another --folder") from None
        for path in () if keep else folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        return lock
    except OSError as error:
        raise TinyopsError(f"cannot be written to: {error.strerror}", where=str(folder)) from error
