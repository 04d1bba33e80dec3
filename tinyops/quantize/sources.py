"""Where samples come from: arrays side by side, or a folder of files that a feature front end reads.

A source has *units* (rows, or files), each with a label or none. A unit gives one sample, or, as a long recording
does, several; the parts of one recording are never split between calibration and test.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinyops.errors import UsageError
from tinyops.ops.base import Array
from tinyops.quantize.arrays import CsvTable, NpyRows, NpzRows, Rows, open_npz, read_lines

__all__ = ["Labels", "Source", "array_source", "file_source"]

_MAX_FILES = 1_000_000
_MAX_CLASSES = 10_000
_LABEL_NAMES = ("labels", "label", "y")
_INPUT_NAMES = ("inputs", "input", "x", "X", "images", "data")


@dataclass(frozen=True, eq=False)
class Labels:
    """Class numbers int64[units]; `classes` are their names, if they have any."""

    numbers: Array
    classes: tuple[str, ...] | None = None


class Source(ABC):
    """`read` gives (unit, one array per model input) for the units asked for; it can be called again and again."""

    where: str
    units: int
    labels: Labels | None
    #: Whether every unit is one sample.
    one_each: bool
    #: Whether arrays are the model's inputs already, with every pre-processing done.
    finished: bool
    notes: list[str]

    @abstractmethod
    def read(self, units: Sequence[int]) -> Iterator[tuple[int, tuple[Array, ...]]]: ...


@dataclass(eq=False)
class _Arrays(Source):
    where: str
    rows: tuple[Rows, ...]
    labels: Labels | None
    notes: list[str] = field(default_factory=list)
    one_each: bool = True
    finished: bool = False

    @property
    def units(self) -> int:  # type: ignore[override]
        return self.rows[0].shape[0]

    def read(self, units: Sequence[int]) -> Iterator[tuple[int, tuple[Array, ...]]]:
        ascending = sorted(units)
        readers = [rows.read(ascending) for rows in self.rows]
        for unit, *values in zip(ascending, *readers, strict=True):
            yield unit, tuple(values)


def array_source(path: Path, inputs: Sequence[str], labels: str | None, classes: Sequence[str] | None) -> Source:
    """A .npz, .npy or .csv file for a model with inputs of these names."""
    notes: list[str] = []
    named = None if labels == "none" else labels
    rows: tuple[Rows, ...]
    if path.suffix.lower() == ".npz":
        arrays = open_npz(path)
        found = _npz_labels(path, {k: v for k, v in arrays.items() if k not in inputs}, labels)
        rows = _npz_inputs(path, {k: v for k, v in arrays.items() if v is not found}, inputs)
        values = None if found is None else found.whole()
    else:
        if len(inputs) != 1:
            allowed = f"an .npz file with the arrays {', '.join(inputs)}"
            raise UsageError(f"holds one array for {len(inputs)} inputs", where=str(path), allowed=allowed)
        if path.suffix.lower() == ".csv":
            is_file = named is not None and Path(named).is_file()
            table = CsvTable(path, None if is_file else named)
            rows, values = (table,), None if table.labels is None else np.array(table.labels)
        else:
            rows, values = (NpyRows(path),), None
    if named is not None and values is None:
        values = _label_file(Path(named))
    units = rows[0].shape[0]
    for other in rows[1:]:
        if other.shape[0] != units:
            what = f"{other.shape[0]:,} samples, and {units:,} of {inputs[0]}"
            raise UsageError(what, where=other.where, allowed="as many for each input")
    where = str(path) if named is None or not Path(named).is_file() else named
    return _Arrays(str(path), rows, _labels(values, units, classes, where, notes), notes)


def _npz_labels(path: Path, arrays: Mapping[str, NpzRows], labels: str | None) -> NpzRows | None:
    if labels == "none":
        return None
    if labels is not None:
        if labels not in arrays and not Path(labels).is_file():
            raise UsageError(f"has no array {labels!r:.80}", where=str(path), allowed=", ".join(list(arrays)[:8]))
        return arrays.get(labels)
    return next((arrays[name] for name in _LABEL_NAMES if name in arrays and len(arrays[name].shape) == 1), None)


def _npz_inputs(path: Path, arrays: Mapping[str, NpzRows], inputs: Sequence[str]) -> tuple[NpzRows, ...]:
    """By the inputs' names; that of a single input may have a usual name, or be the only array."""
    missing = [name for name in inputs if name not in arrays]
    if not missing:
        return tuple(arrays[name] for name in inputs)
    if len(inputs) == 1:
        usual = [name for name in _INPUT_NAMES if name in arrays] or list(arrays)
        if len(usual) == 1 or usual[0] in _INPUT_NAMES:
            return (arrays[usual[0]],)
    what = f"has no array for input {missing[0]}: {', '.join(list(arrays)[:8])}"
    raise UsageError(what, where=str(path), allowed=f"the arrays {', '.join(inputs)}")


def _label_file(path: Path) -> Array:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return NpyRows(path).whole()
    if suffix == ".npz":
        arrays = open_npz(path)
        if len(arrays) != 1:
            raise UsageError(f"holds {len(arrays)} arrays", where=str(path), allowed="one array of labels")
        return next(iter(arrays.values())).whole()
    if suffix not in (".csv", ".txt"):
        raise UsageError(
            "is no file of labels", where=str(path), allowed=".npy, .npz, or .csv and .txt of a label a line"
        )
    return np.array([line.strip('" ') for line in read_lines(path)])


def _labels(
    values: Array | None, units: int, classes: Sequence[str] | None, where: str, notes: list[str]
) -> Labels | None:
    if values is None:
        return None
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (units,):
        raise UsageError(f"labels {list(values.shape)} for {units:,} samples", where=where, allowed="one for each")
    if values.dtype.kind == "U":
        try:
            values = values.astype(np.int64)
        except ValueError:
            return _named([str(value) for value in values], classes, where)
    if values.dtype.kind == "f" and (values != np.round(values)).any():
        notes.append("the labels are no class numbers, and not used: the report measures the outputs' error")
        return None
    numbers = values.astype(np.int64)
    if numbers.min() < 0:
        raise UsageError(f"label {numbers.min()}", where=where, allowed="class numbers from 0 on, or names")
    return Labels(numbers, tuple(classes) if classes else None)


def _named(names: Sequence[str], classes: Sequence[str] | None, where: str) -> Labels:
    known = list(classes) if classes else sorted(set(names))
    if len(known) > _MAX_CLASSES:
        raise UsageError(f"{len(known):,} classes", where=where, allowed=f"up to {_MAX_CLASSES:,}")
    number = {name: k for k, name in enumerate(known)}
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UsageError(f"class {unknown[0]!r:.80}", where=where, allowed=f"one of classes: {', '.join(known[:20])}")
    return Labels(np.array([number[name] for name in names], np.int64), tuple(known))


#: A file -> the samples in it.
FileReader = Callable[[Path], Iterator[tuple[Array, ...]]]


@dataclass(eq=False)
class _Files(Source):
    where: str
    paths: tuple[Path, ...]
    reader: FileReader
    labels: Labels | None
    one_each: bool
    finished: bool
    notes: list[str] = field(default_factory=list)

    @property
    def units(self) -> int:  # type: ignore[override]
        return len(self.paths)

    def read(self, units: Sequence[int]) -> Iterator[tuple[int, tuple[Array, ...]]]:
        for unit in units:
            for sample in self.reader(self.paths[unit]):
                yield unit, sample


def file_source(
    path: Path,
    suffixes: Sequence[str],
    reader: FileReader,
    labels: str | None,
    classes: Sequence[str] | None,
    *,
    one_each: bool,
    finished: bool,
) -> Source:
    """The files with one of `suffixes` in a folder (subfolders are classes), or a single one."""
    where, notes = str(path), list[str]()
    found, names, others = ([path], list[str | None]([None]), 0) if path.is_file() else _walk(path, suffixes)
    if not found:
        raise UsageError(
            "holds no data", where=where, allowed=", ".join(suffixes) + " files, in it or in its subfolders"
        )
    if others:
        notes.append(f"{others:,} files of other kinds in {path.name} are left out")
    result: Labels | None = None
    if labels is not None and labels != "none":
        result = _listed(Path(labels), path, found, classes)
    elif labels is None and all(name is not None for name in names):
        result = _named([str(name) for name in names], classes, where)
    return _Files(where, tuple(found), reader, result, one_each, finished, notes)


def _walk(folder: Path, suffixes: Sequence[str]) -> tuple[list[Path], list[str | None], int]:
    """The files in order, the subfolder that each is in, and how many others there are."""
    found: list[Path] = []
    others = 0

    def refuse(error: OSError) -> None:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(error.filename or folder)) from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if name.startswith("."):
                continue
            if Path(name).suffix.lower() in suffixes:
                found.append(Path(place) / name)
            else:
                others += 1
        if len(found) > _MAX_FILES:
            raise UsageError("holds too many files", where=str(folder), allowed=f"up to {_MAX_FILES:,}")
    found.sort()
    parts = [path.relative_to(folder).parts for path in found]
    return found, [part[0] if len(part) > 1 else None for part in parts], others


def _listed(table: Path, folder: Path, found: Sequence[Path], classes: Sequence[str] | None) -> Labels:
    """Labels of files by a table of `file,label` lines."""
    if table.suffix.lower() not in (".csv", ".txt"):
        raise UsageError("is no table of labels", where=str(table), allowed="a .csv file of lines FILE,LABEL")
    given = {}
    for line in read_lines(table):
        name, comma, label = line.rpartition(",")
        if not comma:
            raise UsageError(f"line {line[:60]!r}", where=str(table), allowed="lines FILE,LABEL")
        given[name.strip().strip('"')] = label.strip().strip('"')
    names = [path.relative_to(folder).as_posix() if folder.is_dir() else path.name for path in found]
    missing = [name for name in names if name not in given]
    if missing:
        raise UsageError(f"has no label of {missing[0]}", where=str(table), allowed="a line for every file")
    values = np.array([given[name] for name in names])
    result = _labels(values, len(names), classes, str(table), [])
    assert result is not None
    return result
