"""Input and output arrays of a run: .npy and .npz files, checked against the model's ports."""

from __future__ import annotations

import io
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


def load_inputs(paths: Sequence[Path], tensors: Sequence[Tensor]) -> tuple[list[list[Array]], bool]:
    """One file per model input -> (a row of arrays per invocation, whether the files hold a sequence).

    A file's array has the input's shape, or one more leading axis: a sequence of invocations. UsageError names the
    file, what it holds and what the model takes.
    """
    if len(paths) != len(tensors):
        names = ", ".join(f"{t.name} {_describe(t.dtype.value, t.shape)}" for t in tensors)
        raise UsageError(f"{len(paths)} input files", allowed=f"{len(tensors)}, one --input for each of: {names}")
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
    accepted = f"{_describe(tensor.dtype.value, tensor.shape)}, or with one more leading axis for a sequence"
    given = _describe(str(array.dtype), array.shape)
    if array.dtype != tensor.dtype.numpy:
        hint = None
        if array.dtype.kind == "f" and tensor.quantization:
            hint = (
                f"x = np.clip(np.round(x / {tensor.scale:.9g}) + {tensor.zero_point}, -128, 127).astype(np.int8)"
            )
        raise UsageError(f"holds {given}", where=str(path), allowed=accepted, hint=hint)
    if array.shape == tensor.shape:
        return None
    if array.shape[1:] == tensor.shape and array.shape[0] > 0:
        return int(array.shape[0])
    raise UsageError(f"holds {given}", where=str(path), allowed=accepted)


def _describe(dtype: str, shape: Sequence[int]) -> str:
    return f"{dtype}{list(shape)}"


def _load(path: Path) -> Array:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError("is too large", where=str(path), allowed=f"up to {_MAX_BYTES:,} bytes")
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, MemoryError) as error:
        raise UsageError(f"cannot be read as an array: {error}", where=str(path), allowed="a .npy file") from error
    if not isinstance(loaded, np.ndarray):
        raise UsageError("holds several arrays", where=str(path), allowed="a .npy file with one array")
    return loaded


def save_outputs(path: Path, rows: Sequence[Sequence[Array]], sequence: bool) -> None:
    """Write one output to .npy, several to .npz (output_0, output_1, ...); a sequence keeps its leading axis."""
    columns = [np.stack(column) if sequence else column[0] for column in zip(*rows, strict=True)]
    buffer = io.BytesIO()
    if len(columns) == 1:
        np.save(buffer, columns[0], allow_pickle=False)
    else:
        if path.suffix != ".npz":
            raise UsageError(
                f"the model has {len(columns)} outputs", where=str(path), allowed="a name that ends in .npz"
            )
        np.savez(buffer, **{f"output_{i}": column for i, column in enumerate(columns)})  # type: ignore[arg-type]
    write_file(path, buffer.getvalue())
