"""What a device says about itself: strict and bounded readings of its CBOR answers."""

from __future__ import annotations

import io
import math
from typing import Annotated, Any, Literal, TypeVar

import cbor2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tinyops.errors import DeviceError

PROTOCOL = 1

_Name = Annotated[str, Field(max_length=256)]
_Bytes = Annotated[int, Field(ge=0, lt=1 << 32)]
_Count = Annotated[int, Field(ge=0, lt=1 << 64)]

CounterKind = Literal["emulated-instructions", "measured-on-board", "none"]

#: The kind of cycles of a real processor; an emulator's or a process's are never of it.
MEASURED: CounterKind = "measured-on-board"


class DeviceAnswer(BaseModel):
    """What a device says: strict, nothing unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TensorInfo(DeviceAnswer):
    """An input or output: real = scale * (value - zero_point)."""

    name: _Name
    dtype: Literal["int8", "uint8", "int16", "int32", "float32"]
    shape: Annotated[tuple[Annotated[int, Field(gt=0, lt=1 << 16)], ...], Field(max_length=8)]
    scale: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    zero_point: Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)]
    bytes: _Bytes

    @model_validator(mode="after")
    def _sizes_agree(self) -> TensorInfo:
        if math.prod(self.shape) * self.numpy_dtype.itemsize != self.bytes:
            raise ValueError(f"{self.dtype}{list(self.shape)} is not {self.bytes} bytes")
        return self

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """As it goes over the line: little-endian."""
        return np.dtype(self.dtype).newbyteorder("<")


class FeatureInfo(DeviceAnswer):
    """The front end: what a raw step is, and the bytes of raw data for the first and each further inference."""

    kind: _Name
    dtype: Literal["int16", "uint8"]
    shape: Annotated[tuple[Annotated[int, Field(gt=0, lt=1 << 24)], ...], Field(min_length=1, max_length=8)]
    first_bytes: Annotated[int, Field(gt=0, lt=1 << 32)]
    next_bytes: Annotated[int, Field(gt=0, lt=1 << 32)]

    @model_validator(mode="after")
    def _whole_steps(self) -> FeatureInfo:
        if self.first_bytes % self.step_bytes or self.next_bytes % self.step_bytes:
            raise ValueError(f"steps of {self.step_bytes} bytes do not fill {self.first_bytes} and {self.next_bytes}")
        return self

    @property
    def step_bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def steps(self, first: bool) -> int:
        """Raw steps that the first, or a further, inference of a stream needs."""
        return (self.first_bytes if first else self.next_bytes) // self.step_bytes


class DeviceInfo(DeviceAnswer):
    """GET /info. `layers` are (name, op) in the order of execution, `digest` is the SHA-256 of the model file.

    `clock_hz` is the processor's clock, where cycles are counted.
    """

    protocol: Literal[1]
    version: _Name
    model: _Name
    digest: Annotated[bytes, Field(min_length=32, max_length=32)]
    arena_bytes: _Bytes
    state_bytes: _Bytes
    block_bytes: _Bytes
    counter: CounterKind
    inputs: Annotated[tuple[TensorInfo, ...], Field(min_length=1, max_length=255)]
    outputs: Annotated[tuple[TensorInfo, ...], Field(min_length=1, max_length=255)]
    layers: Annotated[tuple[tuple[_Name, _Name], ...], Field(max_length=4096)]
    features: FeatureInfo | None = None
    clock_hz: Annotated[int, Field(gt=0, lt=1 << 32)] | None = None

    def without_counts(self) -> DeviceInfo:
        """The same of a device whose counter shows nothing of worth."""
        return self.model_copy(update={"counter": "none", "clock_hz": None})


class Profile(DeviceAnswer):
    """GET /profile: instructions or cycles of the last plain invocation, and of each layer in the last profiled one.

    `features` are those of the front end, for all steps of the last inference from raw data.
    `stack_bytes_used` is the deepest use since the start (0: unknown), `frames_dropped` counts damaged frames.
    """

    kind: CounterKind
    invocation: _Count | None
    layers: Annotated[tuple[_Count, ...], Field(max_length=4096)]
    features: _Count | None = None
    stack_bytes_used: _Bytes
    frames_dropped: _Bytes

    def without_counts(self) -> Profile:
        """The same of a device whose counter shows nothing of worth."""
        return self.model_copy(update={"kind": "none", "invocation": None, "layers": (), "features": None})


_A = TypeVar("_A", bound=DeviceAnswer)


def read_answer(kind: type[_A], payload: bytes, where: str) -> _A:
    """The answer in `payload`; DeviceError when it is not exactly one well-formed document of that kind."""
    source = io.BytesIO(payload)
    try:
        document = cbor2.CBORDecoder(source).decode()
    except Exception as error:  # hostile bytes: cbor2 raises its own errors, and those of the values it makes
        raise _unfit(where, f"no CBOR: {error}") from error
    if source.tell() != len(payload) or not isinstance(document, dict):
        raise _unfit(where, "not one CBOR map")
    if kind is DeviceInfo and document.get("protocol") != PROTOCOL:
        raise DeviceError(
            f"speaks protocol version {document.get('protocol')!r}"[:80],
            where=where,
            allowed=f"version {PROTOCOL}",
            hint="build and flash the firmware again with this version of tinyops",
        )
    try:
        return kind.model_validate(_tuples(document))
    except (ValidationError, RecursionError) as error:
        text = str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            text = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        raise _unfit(where, text) from error


def _tuples(value: object) -> object:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


def _unfit(where: str, text: str) -> DeviceError:
    return DeviceError(
        f"the answer is malformed ({text[:200]})", where=where, hint="is another program's firmware on the board?"
    )
