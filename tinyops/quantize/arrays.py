"""Arrays in files, row by row: .npy, the arrays of an .npz, .csv. A part of a file is in memory at a time.

Files are taken for hostile: nothing is unpickled, and what is read at once is bounded.
"""

from __future__ import annotations

import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinyops.errors import TinyopsError, UsageError
from tinyops.ops.base import Array

__all__ = ["CsvTable", "NpyRows", "NpzRows", "Rows", "open_npz", "read_lines"]

MAX_ROWS = 50_000_000
_MAX_ROW_BYTES = 1 << 28
_CHUNK = 1 << 20
_MAX_LINE = 1 << 24
_MAX_ARRAYS = 1000
_NUMERIC = "biufU"


class Rows(ABC):
    """An array whose first axis is that of the samples; it can be read again and again."""

    where: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def read(self, wanted: Sequence[int]) -> Iterator[Array]:
        """The rows with these ascending indices."""

    def whole(self) -> Array:
        """All rows; for labels."""
        return np.array(list(self.read(range(self.shape[0]))))

    def _checked(self, fortran: bool = False) -> None:
        if self.dtype.hasobject:
            raise UsageError("holds Python objects", where=self.where, allowed="numbers, as numpy.save writes them")
        if self.dtype.kind not in _NUMERIC or self.dtype.itemsize > 4096:
            raise UsageError(f"holds {self.dtype}", where=self.where, allowed="numbers")
        if not self.shape:
            raise UsageError(
                "holds a single number", where=self.where, allowed="an array with an axis of samples first"
            )
        if not self.shape[0]:
            raise UsageError("is empty", where=self.where, allowed="at least one sample")
        if self.shape[0] > MAX_ROWS or self.row_bytes > _MAX_ROW_BYTES:
            what = f"{self.shape[0]:,} samples of {self.row_bytes:,} bytes"
            raise UsageError(what, where=self.where, allowed=f"up to {MAX_ROWS:,} of up to {_MAX_ROW_BYTES:,} bytes")
        if fortran and len(self.shape) > 1:
            raise UsageError(
                "is stored column by column, so that samples cannot be read one by one",
                where=self.where,
                allowed="C order",
                hint="np.savez(..., x=np.ascontiguousarray(x))",
            )

    @property
    def row_bytes(self) -> int:
        size = self.dtype.itemsize
        for length in self.shape[1:]:
            size *= length
        return size


class NpyRows(Rows):
    """A .npy file, mapped into memory."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path
        array = self._open()
        self.shape, self.dtype = array.shape, array.dtype
        self._checked()

    def _open(self) -> Array:
        try:
            return np.lib.format.open_memmap(self._path, mode="r")
        except OSError as error:
            raise _unreadable(self.where, error) from error
        except Exception as error:  # hostile bytes: numpy passes on what the tokenizer and the allocator raise
            raise _no_array(self.where, error) from error

    def read(self, wanted: Sequence[int]) -> Iterator[Array]:
        array = self._open()
        for k in wanted:
            yield np.array(array[k])


class NpzRows(Rows):
    """One array of an .npz file, decompressed as it is read."""

    def __init__(self, path: Path, entry: str) -> None:
        self.where = f"{path}: array {entry.removesuffix('.npy')[:80]}"
        self._path, self._entry = path, entry
        with self._open() as file:
            self.shape, fortran, self.dtype = _read_header(file, self.where)
        self._checked(fortran)

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        try:
            with zipfile.ZipFile(self._path) as archive, archive.open(self._entry) as file:
                yield file
        except TinyopsError:
            raise
        except OSError as error:
            raise _unreadable(self.where, error) from error
        except Exception as error:  # hostile bytes: zipfile and the decompressors raise whatever they like
            raise _no_array(self.where, error) from error

    def read(self, wanted: Sequence[int]) -> Iterator[Array]:
        size, at = self.row_bytes, 0
        with self._open() as file:
            _read_header(file, self.where)
            for k in wanted:
                _skip(file, (k - at) * size, self.where)
                at = k + 1
                yield np.frombuffer(_exactly(file, size, self.where), self.dtype).reshape(self.shape[1:]).copy()


def open_npz(path: Path) -> dict[str, NpzRows]:
    """The arrays of an .npz file by name."""
    where = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [name for name in archive.namelist() if name.endswith(".npy")]
    except OSError as error:
        raise _unreadable(where, error) from error
    except (ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"is no .npz file: {str(error)[:80]}", where=where, allowed="what numpy.savez writes"
        ) from error
    if not entries or len(entries) > _MAX_ARRAYS:
        raise UsageError(f"holds {len(entries):,} arrays", where=where, allowed=f"1 to {_MAX_ARRAYS:,}")
    return {entry.removesuffix(".npy"): NpzRows(path, entry) for entry in entries}


def _read_header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            raise UsageError(f"is of version {version[0]}.{version[1]}", where=where, allowed="1.0 and 2.0")
        shape, fortran, dtype = read(file)
    except TinyopsError:
        raise
    except Exception as error:  # hostile bytes, as above
        raise _no_array(where, error) from error
    if any(length < 0 for length in shape):
        raise UsageError(f"has the shape {shape}", where=where, allowed="lengths of 0 and more")
    return tuple(shape), bool(fortran), dtype


def _skip(file: IO[bytes], count: int, where: str) -> None:
    while count:
        count -= len(_exactly(file, min(count, _CHUNK), where))


def _exactly(file: IO[bytes], count: int, where: str) -> bytes:
    parts = []
    while count:
        part = file.read(min(count, _CHUNK))
        if not part:
            raise UsageError("ends before its last sample", where=where)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _unreadable(where: str, error: OSError) -> UsageError:
    what = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror or error}"
    return UsageError(what, where=where)


def _no_array(where: str, error: Exception) -> UsageError:
    what = "holds Python objects" if "bject" in str(error) else f"is no sound array: {str(error)[:80]}"
    return UsageError(what, where=where, allowed="numbers, as numpy.save writes them")


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a text file that are not empty."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_MAX_LINE):
                number += 1
                if len(line) == _MAX_LINE:
                    raise UsageError(f"line {number} is too long", where=str(path), allowed=f"{_MAX_LINE:,} bytes")
                if b"\0" in line:
                    raise UsageError("is no text", where=str(path), allowed="lines of numbers between commas")
                text = line.decode("utf-8-sig", "replace").strip()
                if text:
                    yield text
    except OSError as error:
        raise _unreadable(str(path), error) from error


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


class CsvTable(Rows):
    """A row of numbers per sample, float64; the first line may name the columns, and one column may hold labels."""

    def __init__(self, path: Path, labels: str | None) -> None:
        self.where = str(path)
        self._path = path
        self.dtype = np.dtype(np.float64)
        first = next(iter(read_lines(path)), None)
        if first is None:
            raise UsageError("is empty", where=self.where, allowed="a line of numbers per sample")
        cells = _cells(first)
        self._named = bool(cells) and not any(_NUMBER.fullmatch(cell) for cell in cells)
        self.names = tuple(cells) if self._named else tuple(map(str, range(len(cells))))
        if labels is not None and labels not in self.names:
            near = ", ".join(self.names[:8]) + (", ..." if len(self.names) > 8 else "")
            raise UsageError(f"has no column {labels!r:.80}", where=self.where, allowed=near)
        self.label_column = None if labels is None else self.names.index(labels)
        rows = sum(1 for _ in self._rows())
        self.shape = (rows, len(cells) - (labels is not None))
        self._checked()

    @cached_property
    def labels(self) -> list[str] | None:
        """What is in the column of labels."""
        column = self.label_column
        return None if column is None else [cells[column] for cells in self._rows()]

    def read(self, wanted: Sequence[int]) -> Iterator[Array]:
        remaining = iter(wanted)
        k = next(remaining, None)
        for number, cells in enumerate(self._rows()):
            if k is None:
                return
            if number == k:
                yield self._values(cells, number)
                k = next(remaining, None)

    def _rows(self) -> Iterator[list[str]]:
        for number, line in enumerate(read_lines(self._path)):
            if number == 0 and self._named:
                continue
            cells = _cells(line)
            if len(cells) != len(self.names):
                what = f"row {number + 1} has {len(cells)} cells"
                raise UsageError(what, where=self.where, allowed=f"{len(self.names)}, as the first")
            if number > MAX_ROWS:
                raise UsageError("has too many rows", where=self.where, allowed=f"up to {MAX_ROWS:,}")
            yield cells

    def _values(self, cells: list[str], number: int) -> Array:
        if self.label_column is not None:
            cells = cells[: self.label_column] + cells[self.label_column + 1 :]
        for column, cell in enumerate(cells):
            if not _NUMBER.fullmatch(cell):
                what = f"row {number + 1 + self._named}, column {column + 1} is {cell[:60]!r}"
                raise UsageError(what, where=self.where, allowed="a number, or a column named by labels")
        return np.array([float(cell) for cell in cells])


def _cells(line: str) -> list[str]:
    return [cell.strip().strip('"').strip() for cell in line.split(",")]
