"""Identifiers that are valid in C and Rust."""

from __future__ import annotations

import re

_RESERVED = frozenset(
    keyword
    for line in (
        "auto break case char const continue default do double else enum extern float for goto if inline int long",
        "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while",
        "bool true false main asm typeof as crate dyn fn impl in let loop match mod move mut pub ref self super trait",
        "type unsafe use where async await",
    )
    for keyword in line.split()
)


def identifier(text: str) -> str:
    """A lower-case identifier made from any text: `KWS v2.tflite` gives `kws_v2_tflite`."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:48].rstrip("_")
    if not name or name[0].isdigit() or name in _RESERVED:
        name = f"m_{name}"[:48].rstrip("_")
    return name


def is_identifier(text: str) -> bool:
    """Whether `text` can be used as it is."""
    return bool(re.fullmatch(r"[a-z][a-z0-9_]{0,47}", text)) and text not in _RESERVED
