"""Reading reports that others wrote: build reports, runs and benches, checked strictly before anything uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinyops.errors import UsageError

_MAX_BYTES = 16 << 20
_MAX_ENTRIES = 20_000
_ALLOWED = "a report.json, or what `tinyops run --json` or `tinyops bench --json` wrote"

_Count = Annotated[int, Field(ge=0, le=2**53)]
_Name = Annotated[str, Field(max_length=1000)]
_Names = Annotated[list[_Name], Field(max_length=_MAX_ENTRIES)]


class _Strict(BaseModel):
    """Types are not converted; fields that are not named here are of no interest."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", protected_namespaces=())


class LayerFigures(_Strict):
    name: _Name
    op: _Name
    macs: _Count | None = None
    constant_bytes: _Count | None = None
    instructions: _Count | None = None
    cycles: _Count | None = None
    kernels: _Names | None = None


class MemoryFigures(_Strict):
    kind: _Name | None = None
    arena_bytes: _Count
    arena_lower_bound_bytes: _Count | None = None
    state_bytes: _Count
    constant_bytes: _Count
    flash_bytes: _Count | None = None
    flash_model_bytes: _Count | None = None
    flash_library_bytes: _Count | None = None
    ram_bytes: _Count | None = None


class NameAndVersion(_Strict):
    name: _Name
    version: _Name | None = None


class ModelFacts(_Strict):
    name: _Name
    sha256: _Name
    macs: _Count


_Layers = Annotated[list[LayerFigures], Field(max_length=_MAX_ENTRIES)]


class BuildReport(_Strict):
    """report.json, or what `tinyops inspect --json` gives."""

    tinyops: _Name
    model: ModelFacts
    memory: MemoryFigures
    layers: _Layers
    kernels: _Names
    board: NameAndVersion | None = None
    toolchain: NameAndVersion | None = None


class RunReport(_Strict):
    """What `tinyops run --json` gives."""

    model: _Name
    board: _Name | None
    invocations: _Count
    kind: _Name | None
    instructions: _Count | None
    cycles: _Count | None = None
    mismatches: _Count | None
    layers: _Layers


class BenchFailure(_Strict):
    error: _Name


class BenchResult(_Strict):
    """One build of a bench; what failed has none of the figures."""

    model: _Name
    board: _Name
    plan_seconds: float = Field(ge=0, le=1e6, allow_inf_nan=False)
    status: Literal["ok", "failed"]
    error: BenchFailure | None = None
    sha256: _Name | None = None
    macs: _Count | None = None
    kind: _Name | None = None
    instructions: _Count | None = None
    cycles: _Count | None = None
    mismatches: _Count | None = None
    outputs_sha256: _Name | None = None
    toolchain: NameAndVersion | None = None
    memory: MemoryFigures | None = None
    layers: _Layers = []
    kernels: _Names = []


class BenchReport(_Strict):
    """What `tinyops bench --json` gives."""

    tinyops: _Name
    seed: _Count
    results: Annotated[list[BenchResult], Field(max_length=_MAX_ENTRIES)]


Report = BuildReport | RunReport | BenchReport

#: A field that only this form has -> the form.
_FORMS: tuple[tuple[str, type[Report]], ...] = (
    ("results", BenchReport),
    ("invocations", RunReport),
    ("memory", BuildReport),
)


def read_report(path: Path) -> Report:
    """The report in `path`; UsageError for what is no sound report, or larger than 16 MiB."""
    content = _read_json(path)
    form = next((form for key, form in _FORMS if key in content), None)
    if form is None:
        raise UsageError("is no report", where=str(path), allowed=_ALLOWED)
    try:
        return form.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{key}: {first['msg']}", where=str(path), allowed=_ALLOWED) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path), allowed=_ALLOWED) from error
    if len(data) > _MAX_BYTES:
        raise UsageError("is too large", where=str(path), allowed=f"up to {_MAX_BYTES:,} bytes")
    try:
        content = json.loads(data.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:300]
        raise UsageError(f"is not JSON: {what}", where=str(path), allowed=_ALLOWED) from error
    if not isinstance(content, dict):
        raise UsageError("is no report", where=str(path), allowed=_ALLOWED)
    return content


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("an object has a key twice")
    return content
