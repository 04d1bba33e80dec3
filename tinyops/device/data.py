"""Input and output arrays of a run: .npy and .npz files, checked against the model's ports."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyops.emit.files import write_file
from tinyops.errors import UsageError
from tinyops.graph import Tensor

Array = np.ndarray[Any, Any]
_MAX_BYTES = 1 << 30
_SAVE = 'np.save("x.npy", x)'


def load_inputs(paths: Sequence[Path], tensors: Sequence[Tensor]) -> tuple[list[list[Array]], bool]:
    """One file per model input -> (a row of arrays per invocation, whether the files hold a sequence).

    A file's array has the input's shape, or one more leading axis: a sequence of invocations. UsageError names the
    file, what it holds and what the model takes.
    """
    if len(paths) != len(tensors):
        names = ", ".join(f"{t.name} {_describe(t.dtype.value, t.shape)}" for t in tensors)
        given = f"{len(paths)} input file{'s' * (len(paths) != 1)}"
        raise UsageError(given, allowed=f"{len(tensors)}, one --input for each of: {names}")
    arrays = [_load(path) for path in paths]
    steps: set[int | None] = set()
    for path, array, tensor in zip(paths, arrays, tensors, strict=True):
        steps.add(_steps(path, array, tensor))
    if len(steps) != 1:
        raise UsageError(
            "the input files hold different numbers of invocations", allowed="the same leading axis in all"
        )
    count = steps.pop()
    if count is None:
        return [[np.ascontiguousarray(a).reshape(t.shape) for a, t in zip(arrays, tensors, strict=True)]], False
    return [
        [np.ascontiguousarray(a[k]).reshape(t.shape) for a, t in zip(arrays, tensors, strict=True)]
        for k in range(count)
    ], True


def _steps(path: Path, array: Array, tensor: Tensor) -> int | None:
    """Length of the leading axis of a sequence, or None for a single invocation."""
    if array.dtype == tensor.dtype.numpy:
        if array.shape == tensor.shape:
            return None
        if array.shape[1:] == tensor.shape and array.shape[0] > 0:
            return int(array.shape[0])
    raise UsageError(
        f"holds {_describe(str(array.dtype), array.shape)}",
        where=str(path),
        allowed=f"{_describe(tensor.dtype.value, tensor.shape)}, or with one more leading axis for a sequence",
        hint=_conversion(array, tensor),
    )


def _conversion(array: Array, tensor: Tensor) -> str | None:
    """Python that makes what the model takes of `x`, where that is plain: quantization, or another shape."""
    dtype, shape, size = tensor.dtype.numpy, tensor.shape, math.prod(tensor.shape)
    if array.dtype != dtype:
        if array.dtype.kind != "f" or not tensor.quantization:
            return None
        limits = np.iinfo(dtype)
        quantized = f"np.round(x / {tensor.scale:.9g}) {tensor.zero_point:+d}"
        return f"x = np.clip({quantized}, {limits.min}, {limits.max}).astype(np.{dtype})"
    if array.size == size:
        return f"x = x.reshape{shape}"
    if array.ndim and array.size and array.size == array.shape[0] * size:
        return f"x = x.reshape{(array.shape[0], *shape)}"
    return None


def _describe(dtype: str, shape: Sequence[int]) -> str:
    return f"{dtype}{list(shape)}"


def _load(path: Path) -> Array:
    """The array of a .npy file. Nothing is unpickled."""
    where = str(path)
    try:
        if path.is_dir():
            raise UsageError("is a folder", where=where, allowed="a .npy file")
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise UsageError(f"has {size:,} bytes", where=where, allowed=f"up to {_MAX_BYTES:,} bytes")
        data = path.read_bytes()
    except OSError as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise UsageError(what, where=where) from error
    if data.startswith(b"PK"):
        raise UsageError("is an archive of arrays", where=where, allowed="a .npy file", hint=_unpacking(path, data))
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        raise UsageError("is not a .npy file", where=where, allowed="what numpy.save writes", hint=_SAVE)
    try:
        array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # hostile bytes: numpy passes on what the tokenizer and the allocator raise
        what = "holds Python objects" if "Object arrays" in str(error) else "is damaged"
        raise UsageError(what, where=where, allowed="numbers, as numpy.save writes them", hint=_SAVE) from error
    return np.asarray(array)


def _unpacking(path: Path, data: bytes) -> str | None:
    """Python that takes the first array out of an .npz file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except (ValueError, OSError, NotImplementedError, zipfile.BadZipFile):
        return None
    return f'np.save("x.npy", np.load({path.name!r})[{names[0][:80]!r}])' if names else None


def check_output(path: Path, outputs: int) -> None:
    """Raise UsageError when a run of a model with that many outputs could not be saved to `path`."""
    if path.is_dir():
        raise UsageError("is a folder", where=str(path), allowed="a file's name")
    allowed = (".npy", ".npz") if outputs == 1 else (".npz",)
    if path.suffix not in allowed:
        raise UsageError(
            f"the model's {outputs} output{'s' * (outputs != 1)} cannot be saved under this name",
            where=str(path),
            allowed=f"a name that ends in {' or '.join(allowed)}",
            hint=f"-o {path.with_suffix(allowed[0])}",
        )
    if not path.parent.is_dir():
        raise UsageError("its folder does not exist", where=str(path), hint=f"mkdir -p {path.parent}")


def save_outputs(path: Path, rows: Sequence[Sequence[Array]], sequence: bool) -> None:
    """Write one output to .npy, or all to .npz (output_0, output_1, ...); a sequence keeps its leading axis."""
    columns = [np.stack(column) if sequence else column[0] for column in zip(*rows, strict=True)]
    buffer = io.BytesIO()
    check_output(path, len(columns))
    if path.suffix == ".npy":
        np.save(buffer, columns[0], allow_pickle=False)
    else:
        np.savez(buffer, **{f"output_{i}": column for i, column in enumerate(columns)})  # type: ignore[arg-type]
    write_file(path, buffer.getvalue())
