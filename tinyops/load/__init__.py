"""Importers: a model file becomes a Graph. Files are hostile: everything is bounded and checked here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tinyops.errors import ModelError, TinyopsError, UsageError
from tinyops.graph import Model
from tinyops.load.onnx import load_onnx
from tinyops.load.tflite import MAX_FILE_BYTES, load_tflite

__all__ = ["MAX_FILE_BYTES", "load_model", "load_onnx", "load_tflite", "read_model_file"]

_FILES = "a .tflite or .onnx file"
_SUFFIXES = (".tflite", ".onnx")


def read_model_file(path: Path) -> bytes:
    """The bytes of a model file; refused when it is missing, a folder, empty or over the size limit."""
    try:
        if path.is_dir():
            raise ModelError("is a folder", where=str(path), allowed=_FILES)
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelError(f"file of {size:,} bytes", where=str(path), allowed=f"up to {MAX_FILE_BYTES:,} bytes")
        data = path.read_bytes()
    except FileNotFoundError:
        near = sorted(str(p) for kind in _SUFFIXES for p in path.parent.glob(f"*{kind}"))[:3]
        raise ModelError(
            "no such file", where=str(path), allowed="one of " + ", ".join(near) if near else None
        ) from None
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if not data:
        raise ModelError("is empty", where=str(path), allowed=_FILES)
    return data


def _looks_like(data: bytes) -> str:
    """What people get instead of a model when a download goes wrong."""
    start = data[:64].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        return " but an HTML page"
    if start.startswith(b"version https://git-lfs"):
        return " but a Git LFS pointer (git lfs pull fetches the file)"
    if start.startswith(b"pk\x03\x04"):
        return " but a ZIP archive"
    return ""


def load_model(path: Path, shapes: Mapping[str, Sequence[int]] | None = None) -> Model:
    """Load a .tflite file, or an .onnx file by its name; the model is named after the file.

    `shapes` fixes the shapes of inputs that an ONNX file leaves open, by name. Raises ModelError for a file that is
    malformed or not supported, UsageError for `shapes` that do not fit the file.
    """
    data = read_model_file(path)
    is_onnx = path.suffix.lower() == ".onnx" and data[4:8] != b"TFL3"
    if shapes and not is_onnx:
        raise UsageError("shapes are fixed in .tflite files", where=str(path), allowed="no shapes")
    if data[4:8] != b"TFL3" and not is_onnx:
        raise ModelError(
            f"not a TensorFlow Lite model{_looks_like(data)}: the file identifier TFL3 is missing",
            where=str(path),
            allowed=_FILES,
        )
    try:
        if is_onnx:
            return load_onnx(data, name=path.stem, folder=path.parent, shapes=shapes)
        return load_tflite(data, name=path.stem)
    except TinyopsError as error:
        error.where = f"{path}: {error.where}" if error.where else str(path)
        raise
