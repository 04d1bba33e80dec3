"""The files of a RIOT application around a model, in a folder of their own.

    Makefile                     sets what was chosen, then includes firmware/riot/app/Makefile of tinyops
    main.c, Kconfig              copies of those of firmware/riot/app
    modules/tinyops_model/       the generated library, what joins it to the firmware, in updatable firmware the capsule
    bin/BOARD/                   RIOT's objects

What the included Makefile is told, all by `?=`: APPLICATION, BOARD, BINDIRBASE, TINYOPS (the folder firmware/ of
tinyops), TINYOPS_NETWORK, and what RiotParts.variables has. By `+=`: EXTERNAL_MODULE_DIRS with the folder modules/,
USEMODULE, USEPKG, FEATURES_REQUIRED, CFLAGS. It adds the modules of tinyops and includes RIOT's Makefile.include.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tinyops.device.riot.base import RiotBase, refuse_for_make
from tinyops.device.riot.make import RiotMake
from tinyops.device.riot.parts import RiotParts
from tinyops.emit.c.riot import MODULE, emit_riot_application, emit_riot_model
from tinyops.emit.data_section import DataSection
from tinyops.emit.files import write_files
from tinyops.errors import TinyopsError
from tinyops.features import ModelFeatures
from tinyops.lower.program import Program
from tinyops.resources import data_dir

MODULE_FOLDER = f"modules/{MODULE}"
#: Of firmware/riot/app; the Makefile is included where it is.
_COPIED = ("*.c", "*.h", "Kconfig")


def firmware_folder() -> Path:
    """The folder firmware/ of tinyops, as makefiles may name it."""
    folder = data_dir("firmware").resolve()
    refuse_for_make(folder)
    return folder


def application_sources() -> dict[str, bytes]:
    """The files of firmware/riot/app that an application has copies of."""
    folder = firmware_folder() / "riot" / "app"
    found = sorted(path for pattern in _COPIED for path in folder.glob(pattern))
    if not found:
        raise TinyopsError("there is no application for RIOT", where=str(folder), hint="reinstall tinyops")
    return {path.name: path.read_bytes() for path in found}


def application_files(
    program: Program,
    board: str,
    parts: RiotParts,
    *,
    features: ModelFeatures | None = None,
    data: DataSection | None = None,
    capsule: bytes | None = None,
) -> tuple[dict[str, str | bytes], dict[str, str | bytes]]:
    """(files of the application, files of its module), each path below its own folder -> content."""
    inside = {name: text for name, text in parts.files.items() if name.startswith(MODULE_FOLDER + "/")}
    module = emit_riot_model(
        program,
        features,
        data=data,
        capsule=capsule,
        files={name.removeprefix(MODULE_FOLDER + "/"): text for name, text in inside.items()},
        defines=parts.defines,
    )
    makefile = emit_riot_application(
        program,
        board=board,
        firmware=str(firmware_folder()),
        variables=parts.variables,
        modules=parts.modules,
        packages=parts.packages,
        features=parts.features,
        stack_usage=True,
    )
    outside = {name: text for name, text in parts.files.items() if name not in inside}
    return {**application_sources(), "Makefile": makefile, **outside}, module


@contextmanager
def probe_application(base: RiotBase, board: str, parts: RiotParts | None = None) -> Iterator[RiotMake]:
    """An application without a model, in a temporary folder: enough to ask the makefiles about a board."""
    parts = parts or RiotParts()
    lines = [
        "APPLICATION = probe",
        "BINDIRBASE = $(CURDIR)/bin",
        f"TINYOPS = {firmware_folder()}",
        *(f"{name} = {value}" for name, value in parts.variables.items()),
        "EXTERNAL_MODULE_DIRS += $(CURDIR)/modules",
        f"USEMODULE += {' '.join(parts.modules)}",
        f"USEPKG += {' '.join(parts.packages)}",
        f"FEATURES_REQUIRED += {' '.join(parts.features)}",
        "include $(TINYOPS)/riot/app/Makefile",
        "",
    ]
    with TemporaryDirectory(prefix="tinyops-riot-") as name:
        folder = Path(name).resolve()
        module = {"Makefile": "include $(RIOTBASE)/Makefile.base\n", "Makefile.dep": "USEMODULE += tinyops_device\n"}
        write_files(folder, {"Makefile": "\n".join(lines)} | {f"{MODULE_FOLDER}/{k}": v for k, v in module.items()})
        yield RiotMake(base, folder, board)
