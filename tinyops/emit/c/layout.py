"""Layouts: how one library is wrapped for the build systems that people have; a folder of templates each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tinyops.errors import TinyopsError, UsageError

_TEMPLATES = Path(__file__).resolve().parent / "templates"
DEFAULT = "plain"


class Layout(BaseModel):
    """layout.toml: where the library's files go, and what else is written. All strings are templates.

    `headers` and `sources` are folders below the library's own ("." is that one): `headers` gets NAME.h, `sources`
    the C files and kernels/. `files` maps further paths to template files, `next` is the command to type then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    summary: str
    headers: str
    sources: str
    next: str
    files: Mapping[str, str]


def read_layout(path: Path) -> Layout:
    """The layout that a file describes; TinyopsError where it is malformed."""
    try:
        return Layout.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TinyopsError(f"the layout cannot be read: {error}", where=str(path)) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise TinyopsError(f"{place}: {first['msg']}", where=str(path)) from None


@cache
def layouts() -> Mapping[str, Layout]:
    """All layouts by name, the default one first."""
    found = {path.parent.name: read_layout(path) for path in sorted(_TEMPLATES.glob("*/layout.toml"))}
    return {DEFAULT: found.pop(DEFAULT), **found}


def layout(name: str) -> Layout:
    """The layout `name`; UsageError when there is none."""
    if name not in layouts():
        raise UsageError(f"there is no layout {name}", allowed=", ".join(layouts()))
    return layouts()[name]
