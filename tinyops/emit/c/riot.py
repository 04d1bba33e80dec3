"""The RIOT module `tinyops_model`: the generated library with what joins it to the firmware; and applications of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinyops import __version__
from tinyops.emit.c.library import (
    emit_binding,
    emit_factory,
    emit_library,
    library_sources,
    render_template,
)
from tinyops.emit.data_section import DataSection
from tinyops.emit.golden import Golden
from tinyops.features import ModelFeatures
from tinyops.kernels import needs_libm
from tinyops.lower.program import Program
from tinyops.resources import data_dir

MODULE = "tinyops_model"
#: The files that are compiled beside the library.
BINDING, FACTORY = "binding.c", "factory.c"
_FOLDER = "riot-model"
#: Modules of tinyops that an application may choose, as the README says.
_MODULES = {
    "tinyops_slipmux": "requests over the console's serial line, or with `tinyops_slipmux_uart` over one of its own",
    "tinyops_coap": "CoAP resources in gcoap, for the application's IPv6 network",
    "tinyops_gatt": "CoAP over Bluetooth LE's GATT, for hosts without 6LoWPAN",
    "tinyops_l2cap": "CoAP over Bluetooth LE's L2CAP channels",
    "tinyops_suit_storage": "storage of models for RIOT's own SUIT module",
}


def emit_riot_model(
    program: Program,
    features: ModelFeatures | None = None,
    *,
    data: DataSection | None = None,
    capsule: bytes | None = None,
    files: Mapping[str, str | bytes] | None = None,
    defines: Mapping[str, str] | None = None,
) -> dict[str, str | bytes]:
    """Path below the module's folder -> content.

    With `data` and `capsule` the model can be updated. `files` are more of the module's files; those that end in .c
    and lie in no folder are compiled. `defines` are macros for every C file of the application ("": without a value).
    """
    own: dict[str, str | bytes] = {BINDING: emit_binding(program, features, data=data, capsule=capsule)}
    if capsule is not None:
        own[FACTORY] = emit_factory(program, capsule)
    own |= files or {}
    context: dict[str, Any] = {
        "own": [name for name in own if name.endswith(".c") and "/" not in name],
        "sources": library_sources(program, features, data=data),
        "wrapping": sorted(data.wrapping) if data else [],
        "defines": ({"TO_FEATURES": ""} if features else {}) | dict(defines or {}),
        "libm": needs_libm(program.kernels),
        "tinyops": __version__,
    }
    made = {f"lib/{path}": text for path, text in emit_library(program, features=features, data=data).items()}
    for name in ("Makefile", "Makefile.include", "Makefile.dep"):
        made[name] = render_template(f"{_FOLDER}/{name}.j2", program, context)
    return own | made


def emit_riot_tree(
    program: Program, golden: Golden, features: ModelFeatures | None = None, *, with_modules: bool = False
) -> dict[str, str | bytes]:
    """Path -> content of a folder for the user's own RIOT application: the module, an example with `golden`, README.

    With `with_modules` it has copies of all modules of tinyops and of the C code that these compile, so that it needs
    nothing else than RIOT.
    """
    context: dict[str, Any] = {
        "with_modules": with_modules,
        "modules": str(data_dir("firmware").resolve() / "riot" / "modules"),
        "described": list(_MODULES.items()),
        "network": "",
        "libm": needs_libm(program.kernels),
        "folder": program.name,
    }
    files: dict[str, str | bytes] = {
        f"modules/{MODULE}/{path}": text for path, text in emit_riot_model(program, features).items()
    }
    for path, template in (
        ("example/Makefile", "example.mk"),
        ("example/main.c", "main.c"),
        ("example/golden.h", "golden.h"),
    ):
        files[path] = render_template(f"{_FOLDER}/{template}.j2", program, context, golden=golden)
    files["README.md"] = render_template(f"{_FOLDER}/README.md.j2", program, context, features=features, golden=golden)
    files["LICENSE"] = render_template("LICENSE.j2", program, context)
    return files | (_copies() if with_modules else {})


def _copies() -> dict[str, str | bytes]:
    """firmware/riot/modules and firmware/common, which the modules find beside their own folder."""
    firmware = data_dir("firmware")
    found: dict[str, str | bytes] = {}
    for source, target in ((firmware / "riot" / "modules", "modules"), (firmware / "common", "common")):
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found[f"{target}/{path.relative_to(source).as_posix()}"] = path.read_bytes()
    return found


def emit_riot_application(
    program: Program,
    *,
    board: str,
    firmware: str,
    variables: Mapping[str, str],
    modules: Sequence[str] = (),
    packages: Sequence[str] = (),
    features: Sequence[str] = (),
    stack_usage: bool = False,
) -> str:
    """The application's Makefile, which takes the rest from firmware/riot/app/Makefile below the folder `firmware`."""
    context = {
        "board": board,
        "firmware": firmware,
        "variables": dict(variables),
        "modules": list(modules),
        "packages": list(packages),
        "features": list(features),
        "stack_usage": stack_usage,
    }
    return render_template(f"{_FOLDER}/application.mk.j2", program, context)
