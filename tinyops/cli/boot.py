"""What `tinyops run` boots: a finished build, or one that is made first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinyops.cli.build import build
from tinyops.cli.common import build_folder, console, folder_of, note, plain, symbol_name
from tinyops.cli.os_options import OsOptions, Target, resolve_target
from tinyops.device.board import Board
from tinyops.device.build import board_of_build, load_build, refuse_without_port
from tinyops.device.flash import IMAGE, flash_build
from tinyops.device.flash.boards import FlashOptions, flash_board
from tinyops.device.project import Project
from tinyops.device.riot.network import DEFAULT
from tinyops.device.route import find_emulator, find_route
from tinyops.errors import UsageError
from tinyops.features import FeatureSettings


@dataclass(frozen=True, slots=True)
class Boot:
    """A build's folder, and the board where that is known before the build; `target` is None for a finished build."""

    folder: Path
    board: Board | None
    target: Target | None
    riot: bool

    def prepare(
        self, model: Path, project: Project | None, settings: FeatureSettings | None
    ) -> tuple[Board, Path | None]:
        """The board, and the image to boot on it: of firmware on RIOT the program itself, else the flash image.

        There is none for hardware, which runs what was flashed: what is built now is flashed now.
        """
        if self.board is not None and not self.riot:
            refuse_without_port(self.board)
        if self.riot:
            self._refuse_network()
        board = self.board
        if self.target is not None:
            title = f"{plain(model.name)} for {self.target.name}"
            with console.status(title) as status:
                board = build(
                    model,
                    self.target,
                    self.folder,
                    name=symbol_name(model, None, project),
                    features=settings,
                    step=lambda text: status.update(f"{title}: {text}"),
                ).board
        assert board is not None
        if not self.riot:
            refuse_without_port(board)
        self._note_route(board)
        if board.is_hardware:
            if self.target is not None:
                self._flash(board)
            return board, None
        if self.riot:
            return board, self.folder / "firmware.elf"
        if not (self.folder / IMAGE).exists():
            flash_build(self.folder, board)
        return board, self.folder / IMAGE

    def _refuse_network(self) -> None:
        """UsageError for firmware that is not reached by the board's serial port."""
        name = self.target.name if self.target is not None else load_build(self.folder)["board"]["name"]
        riot = self.target.riot if self.target is not None else None
        network = riot.network if riot is not None else load_build(self.folder).get("os", {}).get("network", DEFAULT)
        if network != DEFAULT:
            raise UsageError(
                f"is reached by its network, {network}",
                where=f"board {name}",
                allowed="--port with its address there, such as coap://[ADDRESS] or ble:ADDRESS",
                hint=f"flash it or start it, then tinyops run {self.folder} --port ADDRESS",
            )

    def _flash(self, board: Board) -> None:
        with console.status(f"flashing {board.name}"):
            (outcome,) = flash_board(self.folder, load_build(self.folder), board, FlashOptions())
        note(f"{board.name}: flashed by {outcome.backend} through {outcome.device.title} ({outcome.device.id})")

    def _note_route(self, board: Board) -> None:
        """Say so where a Python package compiles or emulates, or an emulator stands in for hardware."""
        if self.target is not None and not self.riot:
            route = find_route(board)
            if route.uses_packages:
                note(f"{board.name}: {route}")
        elif board.emulator is not None:
            emulator = find_emulator(board)
            if emulator.program is None or board.kind == "real":
                note(f"{board.name}: emulated by {emulator}")


def choose_boot(name: str | None, system: OsOptions, project: Project | None, built: Path | None) -> Boot:
    """What the options name; `built` is the folder of a finished build."""
    if built is None:
        target = resolve_target(name, system, project)
        kind = "riot" if target.riot else "bare"
        return Boot(build_folder(target.name, project, kind), target.board, target, target.riot is not None)
    if system != OsOptions():
        raise UsageError("--os, --riot-base and --network belong to a build", hint=f"tinyops build MODEL -o {built}")
    report = load_build(built, name)
    riot = is_riot(report)
    return Boot(built, board_of_build(report, folder_of(project)), None, riot)


def is_riot(report: dict[str, object]) -> bool:
    """Whether a finished build is an application of RIOT."""
    system = report.get("os")
    return isinstance(system, dict) and system.get("name") == "riot"
