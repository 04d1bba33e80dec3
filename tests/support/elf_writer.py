"""Small ELF files: a program of 32 bits that loads what it is told to."""

from __future__ import annotations

import struct
from collections.abc import Mapping

_HEADER = struct.Struct("<16s2H5I6H")
_PROGRAM = struct.Struct("<8I")
_SECTION = struct.Struct("<10I")
_NAMES = b"\0.text\0.names\0"


def elf(parts: Mapping[int, bytes], machine: int = 40) -> bytes:
    """An executable (for Arm, where nothing is said) with one section and one segment for each address."""
    at = _HEADER.size + _PROGRAM.size * len(parts)
    segments, sections, body = [], [_SECTION.pack(*[0] * 10)], b""
    for address, data in sorted(parts.items()):
        offset = at + len(body)
        segments.append(_PROGRAM.pack(1, offset, address, address, len(data), len(data), 5, 1))
        sections.append(_SECTION.pack(1, 1, 6, address, offset, len(data), 0, 0, 1, 0))
        body += data
    names = at + len(body)
    sections.append(_SECTION.pack(7, 3, 0, 0, names, len(_NAMES), 0, 0, 1, 0))
    body += _NAMES
    identity = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    header = _HEADER.pack(
        identity, 2, machine, 1, min(parts), _HEADER.size, at + len(body), 0,
        _HEADER.size, _PROGRAM.size, len(parts), _SECTION.size, len(sections), len(sections) - 1,
    )  # fmt: skip
    return header + b"".join(segments) + body + b"".join(sections)
