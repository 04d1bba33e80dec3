"""The project file tinyops.toml: what a bare `tinyops build` means in this folder."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinyops.errors import UsageError
from tinyops.features import read_settings

if TYPE_CHECKING:
    from tinyops.quantize.data_settings import DataSettings

FILE_NAME = "tinyops.toml"
_MAX_BYTES = 1 << 20


class UpdateTable(BaseModel):
    """The table [update]: how the firmware is updatable, see UpdateSettings. Keys are names or PEM files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[str, ...] | None = None
    vendor: str = Field(default="tinyops.example", pattern=r"^[a-z0-9.-]{1,253}$")
    sequence: int = Field(default=0, ge=0, lt=2**32 - 1)
    bank_bytes: int | None = Field(default=None, gt=0, le=1 << 28)
    health_window: int = Field(default=8, ge=0, le=255)
    algorithms: tuple[Literal["ed25519", "es256", "hsslms", "aes"], ...] | None = None
    server: str | None = None
    check_in_seconds: int = Field(default=3600, ge=1, le=30 * 86400)


class RiotTable(BaseModel):
    """The table [riot]: the folder of RIOT, from this file's folder, and how the firmware is reached."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str | None = Field(default=None, min_length=1)
    network: str | None = Field(default=None, min_length=1)


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]{0,47}$",
        description="a small letter, then small letters, digits and _, 48 at most",
    )
    model: str | None = Field(default=None, min_length=1, description="the path of a model, from this file's folder")
    board: str | None = Field(default=None, min_length=1, description="a name that `tinyops boards` lists")
    os: Literal["bare", "riot"] | None = Field(default=None, description='"bare" or "riot"')
    riot: RiotTable | None = Field(default=None, description="a table [riot] with base or network")
    build_dir: str = Field(default="build", min_length=1, description="a folder, from this file's folder")
    features: dict[str, Any] | None = Field(default=None, description='a table [features] with kind = "..."')
    data: dict[str, Any] | None = Field(default=None, description='a table [data] with path = "..."')
    update: UpdateTable | None = Field(
        default=None,
        description="a table [update] with keys, vendor, sequence, bank_bytes, health_window or algorithms",
    )


class Project:
    """A project file, its paths resolved against its own folder."""

    def __init__(self, file: Path, fields: _Fields) -> None:
        self.file = file
        self.name = fields.name
        self.board = fields.board
        self.os = fields.os
        riot = fields.riot or RiotTable()
        self.riot_base = file.parent / Path(riot.base).expanduser() if riot.base else None
        self.network = riot.network
        self.model = file.parent / fields.model if fields.model else None
        self.build_dir = file.parent / fields.build_dir
        self.features = None if fields.features is None else read_settings(fields.features, str(file))
        self.data = None if fields.data is None else _read_data(fields.data, file)
        self.update = fields.update


def _read_data(table: dict[str, Any], file: Path) -> DataSettings:
    from tinyops.quantize.data_settings import read_data_settings  # the quantizer takes time to import

    return read_data_settings(table, str(file))


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
    except ValidationError as error:
        raise _unfit(file, error) from error
    except RecursionError as error:
        raise UsageError("cannot be read: it is nested too deeply", where=str(file), allowed="a TOML file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(file), allowed="a TOML file") from error


def _unfit(file: Path, error: ValidationError) -> UsageError:
    first = error.errors()[0]
    key = str(first["loc"][0])
    fields = _Fields.model_fields
    if key in fields:
        what = f"{key} = {str(first['input'])[:80]!r} cannot be used"
        return UsageError(what, where=str(file), allowed=fields[key].description)
    near = difflib.get_close_matches(key, fields, n=1)
    hint = f"{near[0]} = ..." if near else None
    return UsageError(f"unknown key {key!r}", where=str(file), allowed=", ".join(fields), hint=hint)
