"""Importers: a model file becomes a Graph. Files are hostile: everything is bounded and checked here."""

from __future__ import annotations

from pathlib import Path

from tinyops.errors import ModelError, TinyopsError
from tinyops.graph import Model
from tinyops.load.tflite import MAX_FILE_BYTES, load_tflite

__all__ = ["MAX_FILE_BYTES", "load_model", "load_tflite", "read_model_file"]

_ONNX_HINT = "convert it to an int8 .tflite with the tool that made it"


def read_model_file(path: Path) -> bytes:
    """The bytes of a model file; refused when it is missing, a folder, empty or over the size limit."""
    try:
        if path.is_dir():
            raise ModelError("is a folder", where=str(path), allowed="a .tflite file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelError(f"file of {size:,} bytes", where=str(path), allowed=f"up to {MAX_FILE_BYTES:,} bytes")
        data = path.read_bytes()
    except FileNotFoundError:
        near = sorted(str(p) for p in path.parent.glob("*.tflite"))[:3] if path.parent.is_dir() else []
        raise ModelError(
            "no such file", where=str(path), allowed="one of " + ", ".join(near) if near else None
        ) from None
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if not data:
        raise ModelError("is empty", where=str(path), allowed="a .tflite file")
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


def load_model(path: Path) -> Model:
    """Load a model file by its content; the model is named after the file."""
    data = read_model_file(path)
    if data[4:8] != b"TFL3":
        if path.suffix == ".onnx":
            raise ModelError(
                "ONNX models are not supported yet", where=str(path), allowed=".tflite, int8", hint=_ONNX_HINT
            )
        raise ModelError(
            f"not a TensorFlow Lite model{_looks_like(data)}: the file identifier TFL3 is missing",
            where=str(path),
            allowed="a .tflite file",
        )
    try:
        return load_tflite(data, name=path.stem)
    except TinyopsError as error:
        error.where = f"{path}: {error.where}" if error.where else str(path)
        raise
