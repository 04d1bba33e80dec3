"""The options that choose what firmware runs on: --os, --riot-base, --network; and the table [riot] of tinyops.toml."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from tinyops.cli.common import folder_of, resolve_board
from tinyops.device.board import Board, find_board, find_riot_board
from tinyops.device.project import Project
from tinyops.device.riot.base import VARIABLE, RiotBase, find_riot
from tinyops.device.riot.build import RiotSettings
from tinyops.device.riot.network import DEFAULT, networks
from tinyops.errors import MissingToolError, UsageError

F = TypeVar("F", bound=Callable[..., Any])
SYSTEMS = ("bare", "riot")


@dataclass(frozen=True, slots=True)
class OsOptions:
    """What was given on the command line; None for what was not."""

    os: str | None = None
    base: Path | None = None
    network: str | None = None

    def check(self) -> None:
        """UsageError for options of RIOT without RIOT."""
        if self.os == "bare" and (self.base or self.network):
            raise UsageError("--riot-base and --network are of firmware on RIOT", allowed="--os riot")


@dataclass(frozen=True, slots=True)
class Target:
    """A board and what its firmware runs on; without a file of tinyops for it, `board` is None."""

    name: str
    board: Board | None
    riot: RiotSettings | None


class _Network(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    name = "network"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in networks():
            self.fail(f"{value!r} is none of {', '.join(networks())}", param, ctx)
        return value


_OS = click.option(
    "--os",
    type=click.Choice(SYSTEMS),
    help="What the firmware runs on; default: that of tinyops.toml, else bare where the board can, else riot.",
)
_BASE = click.option(
    "--riot-base",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help=f"RIOT's folder; default: {VARIABLE}, else base in a table [riot] of tinyops.toml.",
)
_NETWORK = click.option(
    "--network",
    type=_Network(),
    metavar="NAME",
    help=f"How firmware on RIOT is reached, see docs/networks.md; default: {DEFAULT}, the console's serial line.",
)


def os_options(function: F) -> F:
    """Give a command the options, as the one argument `system` of type OsOptions."""

    @functools.wraps(function)
    def collected(**arguments: Any) -> Any:
        names = ("os", "riot_base", "network")
        chosen = OsOptions(*(arguments.pop(name) for name in names))
        chosen.check()
        return function(system=chosen, **arguments)

    made: Any = collected
    for option in (_NETWORK, _BASE, _OS):
        made = option(made)
    return made  # type: ignore[no-any-return]


def resolve_target(name: str | None, options: OsOptions, project: Project | None) -> Target:
    """The board and the system of a build: options before the project file, bare before RIOT where both can be."""
    wanted = options.os or ("riot" if options.base or options.network else None) or (project.os if project else None)
    chosen = name or (project.board if project else None)
    if chosen is None:
        resolve_board(None, project)  # raises
    assert chosen is not None
    folder = folder_of(project)
    board = find_riot_board(chosen, folder)
    if wanted is None:
        wanted = "riot" if _is_of_riot(chosen, board, options, project) else "bare"
    if wanted == "bare":
        board = find_board(chosen, folder, hint=_hint(options, project))
        return Target(board.name, board, None)
    riot_name = board.os.riot if board is not None else chosen
    if riot_name is None:
        raise UsageError(
            "has no name in RIOT",
            where=f"board {chosen}",
            allowed="riot = ... in the table [os] of its file",
            hint="--os bare, or --board native64, which is RIOT as a process"
            if board and board.firmware.port
            else None,
        )
    settings = RiotSettings(resolve_riot(options, project), riot_name, resolve_network(options, project))
    if board is None:
        settings.base.check_board(riot_name)
    return Target(board.name if board else chosen, board, settings)


def resolve_riot(options: OsOptions, project: Project | None) -> RiotBase:
    """RIOT's folder."""
    return find_riot(options.base, project.riot_base if project else None)


def resolve_network(options: OsOptions, project: Project | None) -> str:
    """The network's name; UsageError where that of the project file is none."""
    name = options.network or (project.network if project else None) or DEFAULT
    if name not in networks():
        where = str(project.file) if project else None
        raise UsageError(f"there is no network {name!r}", where=where, allowed=", ".join(networks()))
    return name


def _hint(options: OsOptions, project: Project | None) -> str:
    """For a board that is unknown: RIOT has more, which without RIOT are not known."""
    try:
        resolve_riot(options, project)
    except MissingToolError:
        return f"tinyops boards; boards that only RIOT has need it: --riot-base FOLDER, or export {VARIABLE}=FOLDER"
    return "tinyops boards"


def _is_of_riot(name: str, board: Board | None, options: OsOptions, project: Project | None) -> bool:
    """Whether RIOT is all that the board can run, as far as is known: by its file, else by the RIOT that is named."""
    if board is not None:
        return board.firmware.port is None and board.os.riot is not None
    try:
        return name in resolve_riot(options, project).boards()
    except MissingToolError:
        return False
