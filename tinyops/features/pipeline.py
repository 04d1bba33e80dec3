"""A front end in front of a model: raw steps in, inputs of the model out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tinyops.errors import ModelError, UsageError
from tinyops.features.base import Array, FeatureSettings, FrontEnd
from tinyops.features.quantize import FeatureQuantization
from tinyops.graph import DType, Tensor

__all__ = ["ModelFeatures", "Stream"]

#: Raw data of one inference, bounded by what block-wise transfers can carry: 2^20 blocks of 1024 bytes.
MAX_RAW_BYTES = 1 << 30


@dataclass(frozen=True)
class ModelFeatures:
    """What a model's only input is made of: `frames` frames, and `every` frames from one inference to the next.

    first_steps raw steps give the first input of a stream, next_steps more each further one.
    """

    settings: FeatureSettings
    tensor: Tensor
    frames: int
    every: int
    first_steps: int
    next_steps: int
    quantization: FeatureQuantization | None

    @classmethod
    def of(cls, settings: FeatureSettings, inputs: Sequence[Tensor]) -> ModelFeatures:
        """Raises ModelError where a model with these `inputs` cannot be fed by such a front end."""
        if len(inputs) != 1:
            names = ", ".join(tensor.name for tensor in inputs)
            raise ModelError(f"features for a model of {len(inputs)} inputs: {names}", allowed="one input")
        tensor = inputs[0]
        front_end = settings.front_end(tensor)
        frames = _frames(front_end, tensor)
        every = settings.every or frames
        unit = front_end.unit
        if unit is None and front_end.frame_dtype != tensor.dtype.numpy:
            raise ModelError(
                f"dtype {tensor.dtype}",
                where=f"input {tensor.name}",
                allowed=f"{front_end.frame_dtype} for these features",
            )
        quantization = None if unit is None else FeatureQuantization.of(unit, tensor)
        first, *others = (_steps(front_end, frames + k * every) for k in range(4))
        if any(b - a != others[0] - first for a, b in itertools.pairwise(others)):
            raise ModelError(
                f"features: {every} frames from one inference to the next do not take the same steps each time",
                allowed="another `every`",
            )
        most = max(first, others[0] - first) * int(np.prod(front_end.raw_shape)) * front_end.raw_dtype.itemsize
        if most > MAX_RAW_BYTES:
            allowed = f"up to {MAX_RAW_BYTES:,} bytes: fewer frames, or a smaller `every`"
            raise ModelError(f"features: an inference takes {most:,} bytes of raw data", allowed=allowed)
        return cls(settings, tensor, frames, every, first, others[0] - first, quantization)

    @cached_property
    def front_end(self) -> FrontEnd:
        """A twin of these features; for what it is, not for streams, which have their own."""
        return self.settings.front_end(self.tensor)

    @property
    def kind(self) -> str:
        """The kind of front end, as in tinyops.toml."""
        return str(self.settings.kind)

    @property
    def overlap(self) -> int:
        """Frames that an input has in common with the one before."""
        return max(0, self.frames - self.every)

    @property
    def constant_bytes(self) -> int:
        """Tables of the C front end."""
        fields = self.front_end.c_config().fields.values()
        return sum(table.nbytes for table in fields if isinstance(table, np.ndarray))

    @property
    def ram_bytes(self) -> int:
        """Of one stream in C, without the few counters beside its buffers and its window of frames."""
        front_end = self.front_end
        values = int(np.prod(front_end.frame_shape))
        buffers = sum(np.dtype(b.dtype).itemsize * b.length for b in front_end.c_config().buffers.values())
        frame = values * front_end.frame_dtype.itemsize if self.quantization else 0
        return buffers + frame + (self.tensor.nbytes if self.overlap else 0)

    def stream(self) -> Stream:
        """A new stream."""
        return Stream(self)

    def real(self) -> ModelFeatures:
        """The same for a float32 input: its stored values are the real values before quantization."""
        return ModelFeatures.of(self.settings, [replace(self.tensor, dtype=DType.FLOAT32, quantization=None)])


class Stream:
    """A stream of raw steps into a model; state is carried from one call to the next."""

    def __init__(self, features: ModelFeatures) -> None:
        self._features = features
        self._front_end = features.settings.front_end(features.tensor)
        self.reset()

    def reset(self) -> None:
        """Start anew."""
        self._front_end.reset()
        self._frames = np.zeros((0, *self._front_end.frame_shape), self._front_end.frame_dtype)
        self._skip = 0

    def inputs(self, raw: Array) -> Array:
        """Stored values [n, *input shape] of the n inputs that raw_dtype[steps, *raw_shape] complete."""
        wanted = self._features
        frames = np.concatenate([self._frames, self._front_end.process(raw)])
        skipped = min(self._skip, len(frames))
        self._skip -= skipped
        frames = frames[skipped:]
        count = max(0, (len(frames) - wanted.frames) // wanted.every + 1)
        taken = min(count * wanted.every, len(frames))
        self._skip += count * wanted.every - taken
        self._frames = frames[taken:]
        if wanted.quantization is not None:
            frames = wanted.quantization.apply(frames)
        rows = [frames[k * wanted.every :][: wanted.frames].reshape(wanted.tensor.shape) for k in range(count)]
        return np.stack(rows) if rows else np.zeros((0, *wanted.tensor.shape), wanted.tensor.dtype.numpy)


def _frames(front_end: FrontEnd, tensor: Tensor) -> int:
    """Frames of one input; axes of length 1 do not count."""
    values = int(np.prod(front_end.frame_shape))
    shape, frame = (tuple(n for n in axes if n != 1) for axes in (tensor.shape, front_end.frame_shape))
    frames, rest = divmod(tensor.elements, values)
    if frames and not rest and shape in ((tensor.elements,), (frames, *frame) if frames > 1 else frame):
        return frames
    allowed = ", ".join(["frames", *map(str, front_end.frame_shape)])
    raise ModelError(
        f"shape {list(tensor.shape)} cannot be made of these features",
        where=f"input {tensor.name}",
        allowed=f"[{allowed}], with axes of length 1 anywhere, or flat with a multiple of {values:,} elements",
    )


def _steps(front_end: FrontEnd, frames: int) -> int:
    """The number of steps after which there are exactly that many frames."""
    high = 1
    while front_end.frames_after(high) < frames:
        high *= 2
        if high > 1 << 40:
            raise UsageError(f"features: {frames:,} frames never come", allowed="another `every`")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if front_end.frames_after(middle) >= frames else (middle, high)
    if front_end.frames_after(high) != frames:
        raise ModelError(
            f"features: frame {frames:,}, the last one of an input, is not the last one of its step",
            allowed="another `every`, or an input of whole steps",
        )
    return high
