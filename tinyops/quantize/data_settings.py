"""Where data for a quantization are, and how they become inputs of the model: the table [data] of tinyops.toml."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tinyops.errors import UsageError

__all__ = ["DataSettings", "read_data_settings"]

_MAX_NUMBERS = 4096


def parse_number(value: object) -> object:
    """A number, or a fraction as text ("1/255"); ValueError for what is neither, or not finite."""
    if isinstance(value, str):
        try:
            value = float(Fraction(value.strip())) if len(value) <= 64 else math.nan
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            raise ValueError("no number") from error
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("no number")
    return float(value)


def _numbers(value: object) -> object:
    if isinstance(value, str) and "," in value:
        value = value.split(",")
    if isinstance(value, list | tuple):
        if not 1 <= len(value) <= _MAX_NUMBERS:
            raise ValueError("no numbers")
        return tuple(parse_number(item) for item in value)
    return parse_number(value)


_Real = Annotated[float, BeforeValidator(parse_number), Field(ge=-1e9, le=1e9)]
_Reals = Annotated[float | tuple[float, ...], BeforeValidator(_numbers)]


def _positive(value: float | tuple[float, ...]) -> float | tuple[float, ...]:
    if min(value if isinstance(value, tuple) else (value,)) <= 0:
        raise ValueError("not positive")
    return value


_Positive = Annotated[_Reals, AfterValidator(_positive)]


class DataSettings(BaseModel):
    """What a number x of the data becomes: (x * scale - mean) / deviation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str | None = Field(
        default=None,
        min_length=1,
        description="calibration data: .npz, .npy, .csv, a recording, or a folder of recordings, images or .npy files",
    )
    test: str | None = Field(default=None, min_length=1, description="held-out data, likewise; default: a part of path")
    labels: str | None = Field(
        default=None,
        min_length=1,
        description='name of an array (.npz) or a column (.csv), or a file (.npy, .csv, .txt); "none": no labels',
    )
    test_labels: str | None = Field(default=None, min_length=1, description="the same for test")
    classes: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] | None = Field(
        default=None,
        min_length=1,
        max_length=10_000,
        description="names of the classes in the order of the model's outputs; default: as folders and names sort",
    )
    scale: _Real | None = Field(
        default=None, description='what numbers are multiplied by: a number, or a fraction as text as "1/255"'
    )
    mean: _Reals = Field(default=0.0, description="subtracted then: one number, or one per channel")
    deviation: _Positive = Field(default=1.0, description="divided by then: one positive number, or one per channel")
    layout: Literal["nchw", "nhwc"] | None = Field(
        default=None, description='order of the data\'s axes: "nchw" or "nhwc"; default: the one that fits the model'
    )
    limit: int = Field(default=512, ge=1, le=1_000_000, description="calibration samples at most, 1 to 1000000")
    test_limit: int = Field(default=1000, ge=1, le=1_000_000, description="held-out samples at most, 1 to 1000000")
    holdout: float = Field(
        default=0.2, gt=0, lt=1, description="part of path that is held out where there is no test, between 0 and 1"
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of that choice, 0 to 4294967295")


def read_data_settings(table: object, where: str, name: Callable[[str], str] = "data.{}".format) -> DataSettings:
    """The settings of a table [data]; UsageError names the key, as `name` makes it, and what is allowed."""
    if not isinstance(table, Mapping):
        raise UsageError("data is no table", where=where, allowed='[data] with path = "..."')
    fields = DataSettings.model_fields
    try:
        return DataSettings.model_validate(_tuples(table))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        if key in fields:
            what = f"{name(key)} = {table[key]!r:.80} cannot be used"
            raise UsageError(what, where=where or None, allowed=fields[key].description) from None
        near = difflib.get_close_matches(key, fields, n=1)
        hint = f"{near[0]} = ..." if near else None
        raise UsageError(f"unknown key data.{key}", where=where, allowed=", ".join(fields), hint=hint) from None


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
