"""What is to be written: parts of memory with their addresses, from a build's folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tinyops.device.board import Board
from tinyops.device.elf import loaded_parts
from tinyops.device.image import intel_hex
from tinyops.emit.files import write_file
from tinyops.errors import DeviceError, UsageError

_ERASED = b"\xff"
_MAX_FILE = 1 << 26
#: Where a board does not say by how much its flash is erased.
_UNIT = 4096


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes from an address on."""

    address: int
    data: bytes

    @property
    def end(self) -> int:
        return self.address + len(self.data)


def build_parts(folder: Path, report: dict[str, Any], board: Board) -> list[Part]:
    """The parts of a build: the files that its report lists as "images", else what firmware.elf loads.

    Raises UsageError for a folder without firmware and DeviceError for parts outside of the board's flash.
    """
    listed = report.get("images")
    if listed is None:
        source = folder / "firmware.elf"
        if not source.is_file():
            raise UsageError("cannot be read: no such file", where=str(source), hint=_rebuild(folder, board))
        parts = [Part(address, data) for address, data in loaded_parts(source)]
    else:
        parts = [_image(folder, entry, board) for entry in _entries(listed, folder)]
    if not any(part.data for part in parts):
        raise DeviceError("holds nothing to be written", where=str(folder), hint=_rebuild(folder, board))
    merged = merge(parts, (board.flash and board.flash.erase_bytes) or _UNIT)
    if listed is None:
        _check_inside(merged, board)
    return merged


def merge(parts: Sequence[Part], unit: int) -> list[Part]:
    """Parts by address, joined where they share an erase unit of `unit` bytes; gaps in it are as erased."""
    merged: list[Part] = []
    for part in sorted((p for p in parts if p.data), key=lambda p: p.address):
        before = merged[-1] if merged else None
        if before is not None and part.address < before.end:
            raise DeviceError(f"two parts overlap at {part.address:#010x}", allowed="parts side by side")
        if before is not None and part.address // unit <= (before.end - 1) // unit:
            gap = _ERASED * (part.address - before.end)
            merged[-1] = Part(before.address, before.data + gap + part.data)
        else:
            merged.append(part)
    return merged


def _entries(listed: object, folder: Path) -> list[dict[str, Any]]:
    if isinstance(listed, list) and listed and all(isinstance(entry, dict) for entry in listed):
        return listed
    raise UsageError('"images" is no list of files', where=str(folder / "report.json"))


def _image(folder: Path, entry: dict[str, Any], board: Board) -> Part:
    name, address = entry.get("file"), entry.get("address")
    if not isinstance(name, str) or not isinstance(address, int) or not 0 <= address < 1 << 32:
        raise UsageError(
            'an entry of "images" is unsound', where=str(folder / "report.json"), allowed='"file" and "address"'
        )
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"names {name!r}, which is not in it", where=str(folder))
        if path.stat().st_size > _MAX_FILE:
            raise UsageError("is too large", where=str(path), allowed=f"up to {_MAX_FILE:,} bytes")
        return Part(address, path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path), hint=_rebuild(folder, board)) from error


def _check_inside(parts: Sequence[Part], board: Board) -> None:
    if board.flash is None:
        return
    end = board.flash.origin + board.flash.bytes
    for part in parts:
        if part.address < board.flash.origin or part.end > end:
            raise DeviceError(
                f"{len(part.data):,} bytes at {part.address:#010x} are not in its flash",
                where=f"board {board.name}",
                allowed=f"{board.flash.origin:#010x} to {end:#010x}",
            )


def _rebuild(folder: Path, board: Board) -> str:
    return f"tinyops build MODEL --board {board.name} -o {folder}"


@contextmanager
def hex_file(parts: Sequence[Part]) -> Iterator[Path]:
    """A temporary Intel HEX file of the parts."""
    with TemporaryDirectory(prefix="tinyops-") as folder:
        path = Path(folder) / "firmware.hex"
        write_file(path, "".join(f"{line}\n" for line in intel_hex((part.address, part.data) for part in parts)))
        yield path


@contextmanager
def raw_files(parts: Sequence[Part]) -> Iterator[list[tuple[Part, Path]]]:
    """A temporary file of raw bytes for each part."""
    with TemporaryDirectory(prefix="tinyops-") as folder:
        files = [(part, Path(folder) / f"{part.address:08x}.bin") for part in parts]
        for part, path in files:
            path.write_bytes(part.data)
        yield files


def first_difference(part: Part, found: bytes) -> int | None:
    """The address of the first byte that is not as in `part`, None where all are."""
    if found == part.data:
        return None
    pairs = enumerate(zip(part.data, found, strict=False))
    return part.address + next((i for i, (a, b) in pairs if a != b), min(len(found), len(part.data)))
