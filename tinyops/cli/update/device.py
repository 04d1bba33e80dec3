"""What the verbs that talk to one device share: how to reach it, and how its state is shown."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from tinyops.cli.boot import is_riot
from tinyops.cli.common import folder_of, plain, say, this_verb
from tinyops.cli.link_options import LinkOptions, link_options
from tinyops.device.build import board_of_build, load_build
from tinyops.device.client import DeviceClient
from tinyops.device.emulator import launch
from tinyops.device.flash import IMAGE, flash_build
from tinyops.device.project import find_project
from tinyops.device.update_protocol import UpdateState
from tinyops.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """Where the device is: at `port`, or the firmware of the build in `build`, which is booted for the occasion."""

    port: str | None
    build: Path | None
    link: LinkOptions

    @property
    def place(self) -> str:
        return self.port or str(self.build)

    def connect(self) -> AbstractContextManager[DeviceClient]:
        """The connected device."""
        if self.port is not None:
            return self.link.open(self.port)
        assert self.build is not None
        report = load_build(self.build)
        board = board_of_build(report, folder_of(find_project()))
        if board.is_hardware:
            raise UsageError(
                "is hardware", where=f"board {board.name}", allowed="--port", hint=f"tinyops flash {self.build}"
            )
        if is_riot(report):
            return launch(board, self.build / "firmware.elf")
        if not (self.build / IMAGE).exists():
            flash_build(self.build, board)
        return launch(board, self.build / IMAGE)


def device_options(function: F) -> F:
    """`--port` and the like; the verb gets them as `device`."""

    @click.option(
        "--port",
        metavar="ADDRESS",
        help="The device: serial port, pty, tcp://HOST:PORT, unix:PATH, coap://HOST[:PORT], ble:ADDRESS.",
    )
    @click.option(
        "--build",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Instead of a device: boot the build in this folder, on its emulated board or the host.",
    )
    @link_options
    @functools.wraps(function)
    def wrapped(*args: Any, port: str | None, build: Path | None, link: LinkOptions, **kwargs: Any) -> Any:
        if (port is None) == (build is None):
            raise UsageError(
                "no device is named" if port is None else "both --port and --build",
                allowed="--port of a running device, or --build with the folder of a build",
                hint=f"{this_verb()} --port /dev/ttyACM0",
            )
        link.check(port)
        return function(*args, device=DeviceOptions(port, build, link), **kwargs)

    return wrapped  # type: ignore[return-value]


def state_json(state: UpdateState) -> dict[str, object]:
    """A device's state for `--json`."""
    outcome = state.outcome
    return {
        "state": state.state,
        "running": {"sequence": state.sequence, "digest": state.model.hex(), "bank": state.bank},
        "accepted_sequence": state.accepted,
        "last_attempt": {
            "sequence": state.attempt,
            "manifest": state.manifest.hex() if state.manifest else None,
            "reason": outcome.slug if outcome is not None else str(state.reason),
            "tries": state.tries,
        },
        "health_left": state.health,
        "reverted": state.reverted,
        "want": state.want.model_dump() if state.want else None,
    }


def print_state(state: UpdateState, model: str) -> None:
    """What runs, and what became of the last update."""
    bank = "part of the firmware" if state.bank is None else f"in bank {state.bank}"
    say(f"runs [bold]{plain(model)}[/], sequence {state.sequence}, {bank}, capsule {state.model.hex()[:16]}")
    if state.state == "trial":
        say(f"on trial: {state.health} more inferences confirm it, a reset before that is a used try")
    elif state.want is not None:
        want = state.want
        say(f"downloading {plain(want.uri)} for {plain(want.component)}: {want.offset:,} bytes are there")
    elif state.state == "pending":
        say("verified, and tried at the next inference boundary")
    elif state.outcome is None or state.outcome:
        text = f"{state.outcome.text} ({state.outcome.slug})" if state.outcome else f"reason {state.reason}"
        say(f"[yellow]the last update, sequence {state.attempt}, did not come to stay:[/] {plain(text)}")
    elif state.attempt:
        say("[green]confirmed[/]")
