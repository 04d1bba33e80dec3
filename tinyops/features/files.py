"""Recordings of raw data in files, as steps of a front end: .wav, .npy and .npz, .csv, .png and .jpg.

Files are taken for hostile: sizes are bounded, nothing is unpickled, and only a part is in memory at a time.
"""

from __future__ import annotations

import re
import shlex
import wave
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from tinyops.errors import TinyopsError, UsageError
from tinyops.features.base import Array, Audio, FrontEnd, Picture, Samples
from tinyops.features.pipeline import ModelFeatures

__all__ = ["file_inputs", "read_raw"]

_MAX_BYTES = 1 << 30
_CHUNK_BYTES = 1 << 20
_MAX_LINE = 1 << 16
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,6}\s*")


def file_inputs(paths: Iterable[Path], features: ModelFeatures) -> Iterator[tuple[Array, Array]]:
    """A model's inputs from recordings, one after the other: (stored values, real values), both of the input's shape.

    Stored values have the input's dtype; the real ones are float32, before quantization. Each file is a stream of its
    own, and what does not fill an input at its end is left out. Raises UsageError for files that cannot be read.
    """
    stored, real = features.stream(), features.real().stream()
    for path in paths:
        stored.reset()
        real.reset()
        for raw in read_raw(path, features.front_end):
            yield from zip(stored.inputs(raw), real.inputs(raw), strict=True)


def read_raw(path: Path, front_end: FrontEnd) -> Iterator[Array]:
    """raw_dtype[steps, *raw_shape] of a recording, in parts; samples that do not fill a step at its end are left out.

    Raises UsageError, which says what the file holds and what is allowed, where it is no such recording or too short.
    """
    readers = _readers(front_end)
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError("is no recording that can be read", where=str(path), allowed=", ".join(readers))
    steps = 0
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"has {path.stat().st_size:,} bytes", where=str(path), allowed=f"up to {_MAX_BYTES:,}")
        for part in reader(path, front_end):
            steps += len(part)
            yield part
    except OSError as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror or error}"
        raise UsageError(what, where=str(path)) from error
    if not steps:
        raise UsageError("is shorter than one step", where=str(path), allowed=_step(front_end))


_Reader = Callable[[Path, FrontEnd], Iterator[Array]]


def _readers(front_end: FrontEnd) -> Mapping[str, _Reader]:
    """Suffix -> what reads such a file."""
    arrays: dict[str, _Reader] = {".npy": _read_npy, ".npz": _read_npz}
    match front_end.source:
        case Audio():
            return {".wav": _read_wav, **arrays}
        case Samples():
            return {".csv": _read_csv, **arrays}
        case Picture():
            return {".png": _read_picture, ".jpg": _read_picture, ".jpeg": _read_picture, **arrays}


def _step(front_end: FrontEnd) -> str:
    return f"steps of {front_end.raw_dtype}{list(front_end.raw_shape)}"


def _in_steps(parts: Iterable[Array], front_end: FrontEnd) -> Iterator[Array]:
    """Flat parts, cut into steps."""
    size = int(np.prod(front_end.raw_shape))
    rest = np.zeros(0, front_end.raw_dtype)
    for part in parts:
        values = np.concatenate([rest, part.reshape(-1)])
        whole = len(values) - len(values) % size
        rest = values[whole:]
        if whole:
            yield values[:whole].reshape(-1, *front_end.raw_shape)


def _read_wav(path: Path, front_end: FrontEnd) -> Iterator[Array]:
    """PCM of 16 bits, mono, at the front end's rate."""
    assert isinstance(front_end.source, Audio)
    where, rate = str(path), front_end.source.rate
    allowed = f"PCM of 16 bits, mono, {rate:,} Hz"
    with path.open("rb") as file:
        try:
            sound = wave.open(file)  # noqa: SIM115  # closed with `file`
        except (wave.Error, EOFError, RuntimeError) as error:
            reason = f": {error}" if str(error) else ""
            raise UsageError(f"is no WAV file{reason}", where=where, allowed=allowed) from error
        found = (sound.getsampwidth() * 8, sound.getnchannels(), sound.getframerate())
        if found != (16, 1, rate):
            raise UsageError(
                f"holds {found[0]} bits, {found[1]} channel{'s' * (found[1] != 1)}, {found[2]:,} Hz",
                where=where,
                allowed=allowed,
                hint=f"ffmpeg -i {shlex.quote(str(path))} -ac 1 -ar {rate} -c:a pcm_s16le out.wav",
            )
        yield from _in_steps(_wav_parts(sound, where), front_end)


def _wav_parts(sound: wave.Wave_read, where: str) -> Iterator[Array]:
    try:
        while data := sound.readframes(_CHUNK_BYTES // 2):
            if len(data) % 2:
                raise UsageError("ends within a sample", where=where)
            yield np.frombuffer(data, "<i2").astype(np.int16)
    except (wave.Error, EOFError, RuntimeError) as error:
        raise UsageError(f"is damaged: {error}", where=where) from error


def _read_npy(path: Path, front_end: FrontEnd) -> Iterator[Array]:
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # hostile bytes: numpy passes on what the tokenizer and the allocator raise
        raise _no_array(path, error) from error
    yield from _array_parts(path, array, front_end)


def _read_npz(path: Path, front_end: FrontEnd) -> Iterator[Array]:
    where = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) != 1:
                names = ", ".join(entry.filename.removesuffix(".npy")[:40] for entry in entries[:8])
                raise UsageError(f"holds {len(entries)} arrays: {names}", where=where, allowed="one, or a .npy file")
            if entries[0].file_size > _MAX_BYTES:
                size = entries[0].file_size
                raise UsageError(f"its array has {size:,} bytes", where=where, allowed=f"up to {_MAX_BYTES:,}")
            with archive.open(entries[0]) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, TinyopsError):
        raise
    except Exception as error:  # hostile bytes, as above
        raise _no_array(path, error) from error
    yield from _array_parts(path, array, front_end)


def _no_array(path: Path, error: Exception) -> UsageError:
    what = "holds Python objects" if "bject" in str(error) else f"is no array file: {str(error)[:80]}"
    return UsageError(what, where=str(path), allowed="numbers, as numpy.save writes them")


def _array_parts(path: Path, array: Array, front_end: FrontEnd) -> Iterator[Array]:
    shapes: list[tuple[int, ...]] = [front_end.raw_shape]
    names = [f"[steps, {', '.join(map(str, front_end.raw_shape))}]"]
    match front_end.source:
        case Audio():
            shapes.append(())
            names.append("[samples]")
        case Picture(width, height, channels) if front_end.raw_shape == (width * channels,):
            shapes.append((height, width, channels))
            names.append(f"[pictures, {height}, {width}, {channels}]")
        case _:
            pass
    if array.dtype != front_end.raw_dtype or array.ndim == 0 or array.shape[1:] not in shapes:
        raise UsageError(
            f"holds {array.dtype}{list(array.shape)}",
            where=str(path),
            allowed=" or ".join(f"{front_end.raw_dtype}{name}" for name in names),
        )
    if not array.size:
        return
    rows = max(1, _CHUNK_BYTES // max(1, array.nbytes // len(array)))
    yield from _in_steps((np.array(array[k : k + rows]) for k in range(0, len(array), rows)), front_end)


def _read_csv(path: Path, front_end: FrontEnd) -> Iterator[Array]:
    """A line per sample: integers between commas; a first line of names is passed over."""
    assert isinstance(front_end.source, Samples)
    columns, rows = front_end.source.columns, []
    allowed = f"{columns} integers from -32768 to 32767 between commas"
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_MAX_LINE):
            number += 1
            text = line.decode("utf-8-sig", "replace").strip()
            cells = text.split(",")
            if not text or (number == 1 and not any(_INTEGER.fullmatch(cell) for cell in cells)):
                continue
            values = [int(cell) if _INTEGER.fullmatch(cell) else 1 << 20 for cell in cells]
            if len(values) != columns or not all(-32768 <= value <= 32767 for value in values):
                raise UsageError(f"line {number} is {text[:60]!r}", where=str(path), allowed=allowed)
            rows.append(values)
            if len(rows) * columns * 2 >= _CHUNK_BYTES:
                yield np.array(rows, np.int16)
                rows = []
    if rows:
        yield np.array(rows, np.int16)


def _read_picture(path: Path, front_end: FrontEnd) -> Iterator[Array]:
    assert isinstance(front_end.source, Picture)
    where, source = str(path), front_end.source
    try:
        from PIL import Image
    except ImportError as error:
        hint = 'pip install "tinyops[images]"'
        raise UsageError("pictures are read with Pillow, which is not installed", where=where, hint=hint) from error
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            size, fits = picture.size, picture.size == (source.width, source.height)
            pixels = picture.convert("L" if source.channels == 1 else "RGB") if fits else None
    except FileNotFoundError:
        raise
    except Exception as error:  # hostile bytes: Pillow's decoders raise whatever they like
        raise UsageError(f"is no picture: {str(error)[:80]}", where=where, allowed="PNG or JPEG") from error
    if pixels is None:
        raise UsageError(
            f"has {size[0]} x {size[1]} pixels",
            where=where,
            allowed=f"{source.width} x {source.height}, as features.width and features.height say",
        )
    yield source.encode(np.asarray(pixels, np.uint8).reshape(source.height, source.width, source.channels))
