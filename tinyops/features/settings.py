"""The kinds of feature front ends: where a new one is registered, and how a table [features] is read."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from tinyops.errors import UsageError
from tinyops.features.audio import AudioMicroSettings
from tinyops.features.base import FeatureSettings
from tinyops.features.image import ImageSettings
from tinyops.features.imu import ImuSettings
from tinyops.features.mel import LogMelSettings, MfccSettings

__all__ = ["KINDS", "load_settings", "read_settings"]

_MAX_BYTES = 1 << 20

#: Kind -> its settings.
KINDS: Mapping[str, type[FeatureSettings]] = {
    get_args(settings.model_fields["kind"].annotation)[0]: settings
    for settings in (AudioMicroSettings, LogMelSettings, MfccSettings, ImuSettings, ImageSettings)
}


def read_settings(table: object, where: str) -> FeatureSettings:
    """The settings that a table [features] holds; UsageError names the key and what is allowed. `where`: the file."""
    if not isinstance(table, Mapping):
        raise UsageError("features is no table", where=where, allowed='[features] with kind = "..."')
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        what = f"features.kind = {kind!r:.80} is no kind of front end" if "kind" in table else "features has no kind"
        raise UsageError(what, where=where, allowed=", ".join(f'kind = "{name}"' for name in KINDS))
    settings = KINDS[kind]
    try:
        return settings.model_validate(_tuples(table))
    except ValidationError as error:
        raise _unfit(settings, error, where) from None


def load_settings(path: Path) -> FeatureSettings:
    """The settings in a TOML file: its table [features]; other keys, as a tinyops.toml has, are not looked at."""
    where = str(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError("is too large", where=where, allowed=f"up to {_MAX_BYTES:,} bytes")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError("no such file", where=where) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"cannot be read: {error}", where=where, allowed="a TOML file") from error
    if "features" not in content:
        raise UsageError("has no table [features]", where=where, allowed='[features] with kind = "..."')
    return read_settings(content["features"], where)


def _tuples(value: object) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return value


def _unfit(settings: type[FeatureSettings], error: ValidationError, where: str) -> UsageError:
    first = error.errors(include_url=False)[0]
    fields = settings.model_fields
    if not first["loc"]:
        return UsageError(f"features: {first['msg'].removeprefix('Value error, ')}", where=where)
    key = str(first["loc"][0])
    if key not in fields:
        near = difflib.get_close_matches(key, fields, n=1)
        hint = f"{near[0]} = ..." if near else None
        return UsageError(f"unknown key features.{key}", where=where, allowed=", ".join(fields), hint=hint)
    allowed = fields[key].description
    if first["type"] == "missing" and len(first["loc"]) == 1:
        return UsageError(f"features has no {key}", where=where, allowed=allowed)
    return UsageError(f"features.{key} = {first['input']!r:.80} cannot be used", where=where, allowed=allowed)
