"""Stack use of functions, as the compiler tells it (-fstack-usage)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tinyops.device.elf import elf_symbols

_LINE = re.compile(r"^(?P<place>.*):(?P<line>\d+):\d+:(?P<name>[^\t]+)\t(?P<bytes>\d+)\t(?P<kind>[a-z,]+)$")
_LISTED = 10


def describe_stack(objects: Path, model: str, elf: Path) -> dict[str, Any]:
    """The section "stack" of report.json, of the .su files below `objects`; sizes in bytes, of one call each.

    Functions that are not in `elf` do not count: what the linker left out, and what an earlier build has left there.
    "model_frame_bytes" is the largest of the module `model`; "frames" are the largest of all our modules.
    "unbounded" names functions whose frame has no bound that the compiler knows.
    """
    linked = {symbol.name.partition(".")[0] for symbol in elf_symbols(elf) if symbol.kind == "function"}
    frames: list[dict[str, Any]] = []
    unbounded: list[str] = []
    for path in sorted(objects.glob("tinyops_*/*.su")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            found = _LINE.match(line)
            if not found or found["name"].partition(".")[0] not in linked:
                continue
            name, module = found["name"], path.parent.name
            frames.append({"function": name, "module": module, "bytes": int(found["bytes"])})
            if "dynamic" in found["kind"] and "bounded" not in found["kind"]:
                unbounded.append(name)
    frames.sort(key=lambda frame: (-frame["bytes"], frame["function"]))
    return {
        "kind": "-fstack-usage",
        "model_frame_bytes": max((f["bytes"] for f in frames if f["module"] == model), default=0),
        "frames": frames[:_LISTED],
        "unbounded": unbounded,
    }
