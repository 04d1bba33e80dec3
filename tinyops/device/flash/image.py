"""An emulated board's flash: a file, written in whole erase units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinyops.device.board import Board
from tinyops.emit.files import write_file
from tinyops.errors import DeviceError, UsageError

IMAGE = "flash.img"
_ERASED = b"\xff"


@dataclass(frozen=True)
class Flashed:
    """What was written: the image file and the firmware's bytes in it."""

    image: Path
    bytes: int


def flash_build(folder: Path, board: Board) -> Flashed:
    """Write the firmware of the build in `folder` to `board` and read it back.

    Raises UsageError for a real board, which has no image, and DeviceError when the firmware is larger than the
    flash or reads back differently.
    """
    if board.kind == "real":
        raise UsageError(
            "has no flash image: it is a real board",
            where=f"board {board.name}",
            allowed="host and the qemu- boards",
            hint=f"tinyops flash {folder}",
        )
    source = folder / ("firmware.elf" if board.kind == "host" else "firmware.bin")
    try:
        firmware = source.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot be read: {error.strerror}",
            where=str(source),
            hint=f"tinyops build MODEL --board {board.name} -o {folder}",
        ) from error
    image = folder / IMAGE
    write_file(image, _padded(firmware, board))
    if board.kind == "host":
        image.chmod(0o755)
    if image.read_bytes()[: len(firmware)] != firmware:
        raise DeviceError("reads back differently", where=str(image), hint="is the disk full?")
    return Flashed(image, len(firmware))


def _padded(firmware: bytes, board: Board) -> bytes:
    """The firmware, filled with the erased value up to a whole erase unit; a host program stays as it is."""
    if board.kind == "host" or board.flash is None:
        return firmware
    if len(firmware) > board.flash.bytes:
        raise DeviceError(
            f"firmware of {len(firmware):,} bytes",
            where=f"board {board.name}",
            allowed=f"{board.flash.bytes:,} bytes of flash",
        )
    unit = board.flash.erase_bytes or 1
    return firmware + _ERASED * (-len(firmware) % unit)
