"""Flash images of ELF programs: raw bytes and Intel HEX."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from tinyops.device.elf import loaded_parts
from tinyops.emit.files import write_file
from tinyops.errors import DeviceError

_MAX_SPAN = 1 << 28  # bytes from the first to the last
_RECORD = 16  # bytes of a data record
_DATA, _END, _UPPER_ADDRESS = 0, 1, 4


def write_image(program: Path, output: Path, form: Literal["bin", "hex"]) -> None:
    """Write what the ELF file `program` loads: raw from its first address on, gaps zero, or as Intel HEX."""
    parts = loaded_parts(program)
    if not parts:
        raise DeviceError("loads nothing", where=str(program))
    start, end = parts[0][0], max(address + len(content) for address, content in parts)
    if end - start > _MAX_SPAN:
        raise DeviceError(
            f"loads bytes that lie {end - start:,} apart", where=str(program), allowed=f"up to {_MAX_SPAN:,}"
        )
    if form == "hex":
        write_file(output, "".join(f"{line}\n" for line in intel_hex(parts)))
        return
    raw = bytearray(end - start)
    for address, content in parts:
        raw[address - start : address - start + len(content)] = content
    write_file(output, bytes(raw))


def intel_hex(parts: Iterable[tuple[int, bytes]]) -> Iterator[str]:
    """(address, bytes) of every part as records of Intel's Hexadecimal Object File Format (1988), revision A."""
    upper = 0
    for first, content in parts:
        offset = 0
        while offset < len(content):
            address = first + offset
            if address >> 16 != upper:
                upper = address >> 16
                yield _record(0, _UPPER_ADDRESS, upper.to_bytes(2, "big"))
            size = min(_RECORD, 0x10000 - (address & 0xFFFF))
            yield _record(address & 0xFFFF, _DATA, content[offset : offset + size])
            offset += size
    yield _record(0, _END, b"")


def _record(address: int, kind: int, data: bytes) -> str:
    body = bytes((len(data), address >> 8, address & 0xFF, kind)) + data
    return f":{(body + bytes((-sum(body) & 0xFF,))).hex().upper()}"
