"""What every kind of feature front end has: settings, a twin in Python, and the numbers that its C is given.

Data flow: raw steps -> front end -> frames -> quantization -> window of frames -> model input. A *step* is the raw
unit that the caller hands over (`hop` samples of audio, one sample of an IMU, one row of pixels), a *frame* is what a
step may yield none, one or more of. When frames come depends on the number of steps alone, never on their values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tinyops.errors import UsageError
from tinyops.graph import Tensor

__all__ = ["Array", "Audio", "Buffer", "CConfig", "FeatureSettings", "FrontEnd", "Picture", "Samples", "Source"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Audio:
    """Mono int16 samples; `rate` in Hz."""

    rate: int


@dataclass(frozen=True)
class Samples:
    """int16 samples of `columns` values each."""

    columns: int


@dataclass(frozen=True)
class Picture:
    """Pictures, one after the other, row by row.

    `encode` makes the steps of one, raw_dtype[height, *raw_shape], from uint8[height, width, channels] as files have
    it: 1 channel is grey, 3 are red, green, blue.
    """

    width: int
    height: int
    channels: int
    encode: Callable[[Array], Array] = lambda picture: picture.reshape(len(picture), -1)


#: What raw data are a recording of; decides which files can be read (tinyops/features/files.py).
Source = Audio | Samples | Picture


@dataclass(frozen=True)
class Buffer:
    """Memory for a pointer of the C state: `length` elements of an integer dtype."""

    dtype: str
    length: int


@dataclass(frozen=True, eq=False)
class CConfig:
    """How a front end is written in C.

    `prefix` is that of its functions and types: the struct `PREFIX` is the state, `PREFIX_config` its constants, and

        void PREFIX_init(const PREFIX_config *config, PREFIX *state);
        void PREFIX_push(const PREFIX_config *config, PREFIX *state, const RAW *step);
        bool PREFIX_pull(const PREFIX_config *config, PREFIX *state, FRAME *frame);

    RAW and FRAME are the C types of raw_dtype and frame_dtype; where the frames are stored values (unit None), FRAME is
    void. `files` are files of tinyops/features/c, PREFIX.h among them. `fields` are the members of PREFIX_config: an
    integer, None (NULL), or an integer array, which becomes a `static const` array of its dtype's C type, flattened
    row-major, and the member a pointer to it. `buffers` are pointer members of the state: they point to memory of
    their own, not initialized, before PREFIX_init is called, which must keep them (no memset of the whole state).
    """

    prefix: str
    files: tuple[str, ...]
    fields: Mapping[str, int | Array | None]
    buffers: Mapping[str, Buffer] = field(default_factory=dict)


class FrontEnd(ABC):
    """The twin of a front end: a stream of raw steps in, a stream of frames out; its C gives the same bits.

    raw_dtype, raw_shape: of one step. frame_dtype, frame_shape: of one frame; int16, uint16 or int32. unit: the real
    value of a frame is the integer * unit, which the framework quantizes to the model's input; None where frames are
    stored values of the input already (frame_dtype is then that of the input, float32 included).
    """

    #: Arrays of c_config that change with scale and zero point of the input.
    scaled_fields: ClassVar[tuple[str, ...]] = ()

    source: Source
    raw_dtype: np.dtype[Any]
    raw_shape: tuple[int, ...]
    frame_dtype: np.dtype[Any]
    frame_shape: tuple[int, ...]
    unit: Fraction | None

    @abstractmethod
    def reset(self) -> None:
        """Forget everything: what comes is the start of a stream."""

    @abstractmethod
    def process(self, raw: Array) -> Array:
        """frame_dtype[frames, *frame_shape] of raw_dtype[steps, *raw_shape]: the frames that these steps complete.

        Steps in any split give the same frames. Raises UsageError for other dtypes or shapes (`self.check_raw(raw)`).
        """

    @abstractmethod
    def frames_after(self, steps: int) -> int:
        """How many frames the first `steps` steps of a stream give in all; `process` gives as many."""

    @abstractmethod
    def c_config(self) -> CConfig:
        """What the C front end is made of."""

    def check_raw(self, raw: Array) -> None:
        """Raise UsageError where `raw` is no raw_dtype[steps, *raw_shape]."""
        if raw.dtype != self.raw_dtype or raw.shape[1:] != self.raw_shape or raw.ndim != 1 + len(self.raw_shape):
            shape = ", ".join(["steps", *map(str, self.raw_shape)])
            raise UsageError(f"raw data are {raw.dtype}{list(raw.shape)}", allowed=f"{self.raw_dtype}[{shape}]")


class FeatureSettings(BaseModel):
    """The table [features] of tinyops.toml; each kind adds `kind: Literal["..."]` and its own settings.

    Every field has bounds and a description: what it is, its unit, what is allowed, shown when a value is refused and
    in docs/features.md. Sequences are tuples (made of TOML's lists when the file is read). What spans several fields is
    checked in a model_validator that raises ValueError with a text for people.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    #: Where kinds are listed, a line for people; set by each kind.
    summary: ClassVar[str]

    kind: str

    every: int | None = Field(
        default=None,
        ge=1,
        le=1 << 20,
        description="frames from one inference to the next, 1 to 1048576; default: all frames of the input",
    )

    @abstractmethod
    def front_end(self, tensor: Tensor) -> FrontEnd:
        """The twin for a model's input `tensor`; most kinds need not look at it: shape and dtype are checked elsewhere.

        Raises ModelError (where=f"input {tensor.name}") when the input cannot be made with these settings.
        """
