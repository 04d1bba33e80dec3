"""The project file tinyops.toml: what a bare `tinyops build` means in this folder."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinyops.errors import UsageError

FILE_NAME = "tinyops.toml"
_MAX_BYTES = 1 << 20


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]{0,47}$")
    model: str | None = None
    board: str | None = None
    os: str | None = Field(default=None, pattern=r"^(bare)$")
    build_dir: str = "build"


class Project:
    """A project file, its paths resolved against its own folder."""

    def __init__(self, file: Path, fields: _Fields) -> None:
        self.file = file
        self.name = fields.name
        self.board = fields.board
        self.os = fields.os or "bare"
        self.model = file.parent / fields.model if fields.model else None
        self.build_dir = file.parent / fields.build_dir


def find_project(start: Path | None = None) -> Project | None:
    """The nearest tinyops.toml from `start` (default: the working folder) upwards."""
    folder = (start or Path.cwd()).resolve()
    for candidate in (folder, *folder.parents):
        file = candidate / FILE_NAME
        if file.is_file():
            return load_project(file)
    return None


def load_project(file: Path) -> Project:
    """Read a project file; UsageError names the key and what is allowed."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise UsageError("is too large", where=str(file), allowed=f"up to {_MAX_BYTES:,} bytes")
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        return Project(file, _Fields.model_validate(content))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(file), allowed="a TOML file") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"{key}: {first['msg'].lower()}", where=str(file), allowed=", ".join(_Fields.model_fields)
        ) from error
