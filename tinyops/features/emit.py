"""The audio front end as C: portable sources, and its constants written by Python."""

from __future__ import annotations

import textwrap
from pathlib import Path

from tinyops.features import tables

_SOURCES = Path(__file__).resolve().parent / "c"


def emit_audio_micro() -> dict[str, str]:
    """File name -> text: to_audio_micro.h, to_audio_micro.c and the constants that it includes. C99, no malloc."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(_SOURCES.glob("to_audio_micro.[ch]"))}
    return texts | {"to_audio_micro_tables.h": _tables()}


def _tables() -> str:
    edges, weights = tables.filters()
    constants = {
        "WEIGHT_BITS": tables.WEIGHT_BITS,
        "NOISE_BITS": tables.NOISE_BITS,
        "ESTIMATE_BITS": tables.ESTIMATE_BITS,
        "CORRECTION_BITS": tables.CORRECTION_BITS,
        "GAIN_SHIFT": tables.GAIN_SHIFT,
        "LOG_SCALE_BITS": tables.LOG_SCALE_BITS,
    }
    unsigned = {
        "SMOOTHING_EVEN": tables.SMOOTHING[0],
        "SMOOTHING_ODD": tables.SMOOTHING[1],
        "FLOOR": tables.FLOOR,
    }
    arrays = {
        "window": ("int16_t", tables.window()),
        "twiddles": ("int16_t", tables.twiddles()),
        "split": ("int16_t", tables.split_twiddles()),
        "edges": ("int16_t", edges),
        "weights": ("int16_t", weights),
        "gain": ("int16_t", tables.gain()),
        "log2": ("uint16_t", tables.log2_correction()),
    }
    lines = ["/* Constants of to_audio_micro.c, which alone includes this. */", "#ifndef TO_AUDIO_MICRO_TABLES_H"]
    lines += ["#define TO_AUDIO_MICRO_TABLES_H", "", "#include <stdint.h>", ""]
    lines += [f"#define TO_AUDIO_{name} {value}" for name, value in constants.items()]
    lines += [f"#define TO_AUDIO_{name} {value}u" for name, value in unsigned.items()]
    for name, (ctype, values) in arrays.items():
        body = textwrap.fill(", ".join(map(str, values.ravel())), 106, initial_indent="    ", subsequent_indent="    ")
        lines += ["", f"static const {ctype} to_audio_{name}[{values.size}] = {{", body, "};"]
    return "\n".join([*lines, "", "#endif", ""])
