"""Data for a quantization: files become inputs of the model, some to calibrate with, others to measure on.

Nothing that is measured on was calibrated with. Data are read again each time, a part at a time, so that memory does
not grow with them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from tinyops.errors import MissingToolError, UsageError
from tinyops.features import FeatureSettings, ModelFeatures
from tinyops.features.base import Audio, Picture, Samples
from tinyops.features.files import file_inputs
from tinyops.features.image import ImageSettings
from tinyops.graph import Model, Tensor
from tinyops.ops.base import Array
from tinyops.passes import input_permutation
from tinyops.quantize.arrays import NpyRows
from tinyops.quantize.data_settings import DataSettings
from tinyops.quantize.fit import InputFit
from tinyops.quantize.sources import FileReader, Labels, Source, array_source, file_source

__all__ = ["DataSet", "Split", "open_data"]

_ARRAYS = (".npz", ".npy", ".csv")
_IMAGES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, eq=False)
class DataSet:
    """Samples of the model's inputs, read again each time that it is iterated."""

    source: Source
    units: tuple[int, ...]
    limit: int
    fits: tuple[InputFit, ...]

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        """Per sample one array per model input, of its dtype and shape."""
        for values, _ in self.labelled():
            yield values

    def labelled(self) -> Iterator[tuple[tuple[Array, ...], int | None]]:
        """The samples, each with its class number."""
        labels = self.source.labels
        numbers = None if labels is None else labels.numbers
        for count, (unit, values) in enumerate(self.source.read(self.units)):
            if count == self.limit:
                return
            if not self.source.finished:
                where = f"{self.source.where}, sample {unit + 1}"
                values = tuple(fit.apply(value, where) for fit, value in zip(self.fits, values, strict=True))
            yield values, None if numbers is None else int(numbers[unit])

    @property
    def labels(self) -> Labels | None:
        return self.source.labels


class _SizedDataSet(DataSet):
    """A unit is a sample, so that the number of samples is known."""

    def __len__(self) -> int:
        return min(self.limit, len(self.units))


@dataclass(frozen=True, eq=False)
class Split:
    """`calibration` and `held_out` have no unit in common; `description` says where the held-out data are from."""

    calibration: DataSet
    held_out: DataSet
    description: str
    warnings: tuple[str, ...]


def open_data(
    model: Model, settings: DataSettings, features: FeatureSettings | None = None, folder: Path | None = None
) -> Split:
    """The data that `settings` name (paths from `folder`) for a model after its passes.

    Raises UsageError for data that do not fit the model, cannot be read, are empty or too few to be split.
    """
    base = folder or Path()
    if settings.path is None:
        raise UsageError("no data are named", allowed="--data FILE or FOLDER, or path = ... in [data] of tinyops.toml")
    opener = _Opener(model, settings, features, base)
    source = opener.open(base / settings.path, settings.labels)
    test = source if settings.test is None else _opened_test(opener, settings, source, base)
    chosen = _order(model, source, settings.seed)
    if test is source:
        count = _held_out_units(source, settings.holdout)
        chosen, test_units = chosen[:-count], chosen[-count:]
        what = "samples" if source.one_each else "recordings"
        how = "the last ones" if model.states else f"chosen with seed {settings.seed}"
        description = f"{count:,} of {source.units:,} {what} of {Path(settings.path).name}, {how}"
    else:
        test_units = _order(model, test, settings.seed)
        description = f"{Path(settings.test or '').name}, data of their own"
    calibration = opener.data_set(source, chosen, settings.limit)
    held_out = opener.data_set(test, test_units, settings.test_limit)
    warnings = dict.fromkeys((*source.notes, *test.notes))
    return Split(calibration, held_out, description, tuple(warnings))


def _order(model: Model, source: Source, seed: int) -> Array:
    """Units in the order in which they are chosen: at random, but as they come for a model with state."""
    if model.states:
        return np.arange(source.units)
    return np.random.default_rng(seed).permutation(source.units)


def _held_out_units(source: Source, part: float) -> int:
    if source.units < 2:
        raise UsageError(
            "one sample cannot be split" if source.one_each else "one recording cannot be split",
            where=source.where,
            allowed="more, or data of their own to measure on: --test",
        )
    return min(max(1, round(part * source.units)), source.units - 1)


def _opened_test(opener: _Opener, settings: DataSettings, source: Source, base: Path) -> Source:
    """The data of their own to measure on; a name for labels holds for both."""
    path = base / (settings.test or "")
    if path.resolve() == (base / (settings.path or "")).resolve():
        raise UsageError("is the calibration data", where=str(path), allowed="other data, or none to split these")
    labels = settings.test_labels
    if labels is None and settings.labels is not None and not (base / settings.labels).is_file():
        labels = settings.labels
    return _same_classes(opener.open(path, labels), source)


def _same_classes(test: Source, source: Source) -> Source:
    """Class names of both must mean the same numbers."""
    ours, theirs = (None if s.labels is None else s.labels.classes for s in (source, test))
    if ours is None or theirs is None or ours == theirs:
        return test
    unknown = sorted(set(theirs) - set(ours))
    if unknown:
        what = f"class {unknown[0]!r:.80} is not in the calibration data"
        raise UsageError(what, where=test.where, allowed=", ".join(ours[:20]))
    assert test.labels is not None
    numbers = np.array([ours.index(name) for name in theirs], np.int64)[test.labels.numbers]
    test.labels = Labels(numbers, ours)
    return test


class _Opener:
    def __init__(self, model: Model, settings: DataSettings, features: FeatureSettings | None, base: Path) -> None:
        self.settings, self.features, self.base = settings, features, base
        graph = model.main
        self.tensors = [graph.tensors[t] for t in graph.inputs]
        self.orders = [input_permutation(model, k) for k in range(len(graph.inputs))]
        self.usual_layout = "nchw" if model.metadata.get("format") == "onnx" else "nhwc"

    def open(self, path: Path, labels: str | None) -> Source:
        if not path.exists():
            raise UsageError("no such file or folder", where=str(path))
        named = None if labels is None else self._labels(labels)
        suffix = path.suffix.lower()
        recording = suffix == ".csv" and self.features is not None and self.features.kind == "imu"
        if path.is_file() and suffix in _ARRAYS and not recording:
            source = array_source(path, [t.name for t in self.tensors], named, self.settings.classes)
            return self._checked(source)
        suffixes, reader, one_each, finished = self._files(path)
        if path.is_file() and suffix not in suffixes:
            allowed = ", ".join(dict.fromkeys((*_ARRAYS, *suffixes)))
            raise UsageError("is no data that can be read", where=str(path), allowed=f"{allowed}, or a folder")
        source = file_source(path, suffixes, reader, named, self.settings.classes, one_each=one_each, finished=finished)
        return self._checked(source)

    def data_set(self, source: Source, units: Array, limit: int) -> DataSet:
        """`limit` of the units, chosen by their order; of long recordings as many as are needed."""
        chosen = units[:limit].tolist()
        kind = _SizedDataSet if source.one_each else DataSet
        ordered = sorted(chosen) if source.one_each else chosen
        fits = tuple(
            InputFit(tensor, order, self.settings, channels_first=self._channels_first(tensor, order))
            for tensor, order in zip(self.tensors, self.orders, strict=True)
        )
        return kind(source, tuple(ordered), limit, fits)

    def _labels(self, labels: str) -> str:
        """A file's path from the base folder, or a name as it is."""
        path = self.base / labels
        return str(path) if path.is_file() else labels

    def _checked(self, source: Source) -> Source:
        """The first sample fits."""
        next(iter(self.data_set(source, np.arange(1), 1)), None)
        return source

    def _files(self, path: Path) -> tuple[tuple[str, ...], FileReader, bool, bool]:
        """(suffixes, reader, whether a file is a sample, whether it comes finished) of the files in a folder."""
        suffixes = _suffixes_in(path)
        if self.features is not None:
            return self._recordings(self.features, suffixes)
        if any(suffix in suffixes for suffix in _IMAGES):
            return self._recordings(self._image_settings(path), suffixes)
        if ".npy" in suffixes:
            if len(self.tensors) != 1:
                raise UsageError(f"files for {len(self.tensors)} inputs", where=str(path), allowed="one .npz file")
            return (".npy",), _whole_array, True, False
        if ".wav" in suffixes or ".csv" in suffixes:
            kind = 'kind = "log-mel", "mfcc" or "audio-micro"' if ".wav" in suffixes else 'kind = "imu"'
            raise UsageError(
                "recordings need a front end",
                where=str(path),
                allowed=f"a table [features] with {kind} in tinyops.toml, or --features FILE",
            )
        allowed = f"a folder of {', '.join((*_IMAGES, '.wav', '.csv', '.npy'))}, or {', '.join(_ARRAYS)}"
        raise UsageError("holds no data that can be read", where=str(path), allowed=allowed)

    def _recordings(
        self, features: FeatureSettings, found: Collection[str]
    ) -> tuple[tuple[str, ...], FileReader, bool, bool]:
        tensor = self._features_tensor(features)
        if isinstance(features, ImageSettings) and any(suffix in found for suffix in _IMAGES):
            pictures = _Pictures(features, tensor)

            def read_picture(path: Path) -> Iterator[tuple[Array, ...]]:
                for value in pictures.read(path):
                    yield (self._stored(value),)

            return _IMAGES, read_picture, True, True
        model_features = ModelFeatures.of(features, [tensor])
        own = {Audio: ".wav", Samples: ".csv", Picture: ".png"}[type(model_features.front_end.source)]
        suffix = next((s for s in (own, ".npy", ".npz") if s in found), own)

        def read(path: Path) -> Iterator[tuple[Array, ...]]:
            for _, real in file_inputs([path], model_features):
                yield (self._stored(real),)

        return (suffix,), read, False, True

    def _features_tensor(self, features: FeatureSettings) -> Tensor:
        """The input as a front end makes it: channels last."""
        if len(self.tensors) != 1:
            raise UsageError(f"a front end for {len(self.tensors)} inputs", allowed="a model with one input")
        tensor = self.tensors[0]
        if isinstance(features, ImageSettings) and self._channels_first(tensor, self.orders[0]):
            n, c, h, w = tensor.shape
            tensor = replace(tensor, shape=(n, h, w, c))
        return tensor

    def _channels_first(self, tensor: Tensor, order: tuple[int, ...] | None) -> bool:
        """Whether the model takes pictures with their channels first, although the passes put them last if they can."""
        if len(tensor.shape) != 4 or order is not None:
            return False
        first, last = (tensor.shape[axis] in (1, 3) for axis in (1, 3))
        return first and (not last or (self.settings.layout or self.usual_layout) == "nchw")

    def _stored(self, value: Array) -> Array:
        tensor = self.tensors[0]
        if value.shape != tensor.shape:
            value = np.ascontiguousarray(np.moveaxis(value, -1, 1))
        return value

    def _image_settings(self, path: Path) -> ImageSettings:
        """The front end of pictures where none is declared: what [data] says of numbers."""
        if self.settings.scale is None:
            raise UsageError(
                "what do pixels of 0 to 255 become?",
                where=str(path),
                allowed='--scale 1/255 (0 to 1), --scale 1 (0 to 255), or a table [features] with kind = "image"',
            )
        tensor = self.tensors[0]
        channels = tensor.shape[1] if self._channels_first(tensor, self.orders[0]) else tensor.shape[-1]
        return ImageSettings(
            kind="image",
            width=1,
            height=1,
            format="gray" if channels == 1 else "rgb",
            range=(0.0, 255 * self.settings.scale),
            mean=self.settings.mean,
            deviation=self.settings.deviation,
        )


def _whole_array(path: Path) -> Iterator[tuple[Array, ...]]:
    rows = NpyRows(path)
    yield (rows.whole(),)


def _suffixes_in(path: Path) -> set[str]:
    """Of the files in a folder and its subfolders, or of a file."""
    if path.is_file():
        return {path.suffix.lower()}
    found: set[str] = set()
    for k, file in enumerate(path.rglob("*")):
        if k > 2_000_000:
            break
        if not file.name.startswith("."):
            found.add(file.suffix.lower())
    return found


class _Pictures:
    """Picture files of any size, by the front end `image` for each size."""

    def __init__(self, settings: ImageSettings, tensor: Tensor) -> None:
        self._settings, self._tensor = settings, tensor
        self._features = lru_cache(maxsize=16)(self._of_size)

    def _of_size(self, width: int, height: int) -> ModelFeatures:
        table = self._settings.model_dump() | {"width": width, "height": height}
        try:
            settings = ImageSettings.model_validate(table)
        except ValueError as error:
            raise UsageError(
                f"a picture of {width} x {height} pixels does not go with the front end: {_message(error)}",
                allowed="1 to 4096 pixels each way, of which features.crop is a part",
            ) from None
        return ModelFeatures.of(settings, [self._tensor])

    def read(self, path: Path) -> Iterator[Array]:
        width, height = _picture_size(path)
        try:
            features = self._features(width, height)
        except UsageError as error:
            error.where = error.where or str(path)
            raise
        for _, real in file_inputs([path], features):
            yield real


def _message(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return error.errors()[0]["msg"].removeprefix("Value error, ")
    return str(error)


def _picture_size(path: Path) -> tuple[int, int]:
    try:
        from PIL import Image
    except ImportError as error:
        hint = 'pip install "tinyops[images]"'
        raise MissingToolError("pictures are read with Pillow, which is not installed", hint=hint) from error
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            width, height = picture.size
    except Exception as error:  # hostile bytes: Pillow's decoders raise whatever they like
        raise UsageError(f"is no picture: {str(error)[:80]}", where=str(path), allowed="PNG or JPEG") from error
    return width, height
