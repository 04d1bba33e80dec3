"""The compiler of the Python package ziglang: clang and LLD with headers and run time of their own.

It takes the place of a toolchain that is not installed. The flags of boards are GCC's; here they are said in zig's way.
"""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

from tinyops.device.board import Toolchain
from tinyops.device.packages import package_version
from tinyops.errors import MissingToolError

PACKAGE = "ziglang"

_CPU = re.compile(r"-mcpu=(cortex-m[a-z0-9]+)")

#: What GCC's -mcpu=CORE means beyond LLVM's model of the core: always, and with the floating-point ABI.
_IMPLIED = {"cortex-m33": ("dsp",)}
_IMPLIED_HARD = {"cortex-m55": ("mve_fp", "fp_armv8d16")}

#: GCC's names of floating-point units -> LLVM's features.
_UNITS = {
    "-mfpu=fpv4-sp-d16": "vfp4d16sp",
    "-mfpu=fpv5-sp-d16": "fp_armv8d16sp",
    "-mfpu=fpv5-d16": "fp_armv8d16",
}


def find_zig() -> tuple[Path, str] | None:
    """The zig program and its version; None where the package is not installed."""
    version = package_version(PACKAGE)
    spec = importlib.util.find_spec(PACKAGE) if version else None
    if version is None or spec is None or not spec.submodule_search_locations:
        return None
    program = Path(spec.submodule_search_locations[0]) / ("zig.exe" if os.name == "nt" else "zig")
    return (program, version) if program.is_file() else None


def serves(toolchain: Toolchain) -> bool:
    """Whether zig can take the place of `toolchain`."""
    return toolchain.name in ("host", "arm-none-eabi")


def zig_flags(toolchain: Toolchain, zig: Path) -> tuple[str, ...]:
    """What makes zig compile as `toolchain` does with its flags; MissingToolError for a flag with no counterpart."""
    if toolchain.name == "host":
        return ("cc", "-mcpu=baseline", "-fno-sanitize=undefined", *toolchain.flags)
    core, features, hard = None, [], False
    for flag in toolchain.flags:
        match = _CPU.fullmatch(flag)
        if match:
            core = match[1]
        elif flag in _UNITS:
            features.append(_UNITS[flag])
        elif flag in ("-mfloat-abi=hard", "-mfloat-abi=soft"):
            hard = flag == "-mfloat-abi=hard"
        elif flag != "-mthumb":
            raise MissingToolError(
                f"{flag} has no counterpart in zig",
                where=f"toolchain {toolchain.name}",
                allowed=", ".join(["-mcpu=cortex-m...", "-mthumb", "-mfloat-abi=hard", *_UNITS]),
            )
    if not hard:
        features.clear()
    if core is None:
        cpu: tuple[str, ...] = ()
    else:
        implied = (*_IMPLIED.get(core, ()), *(_IMPLIED_HARD.get(core, ()) if hard else ()))
        cpu = ("-mcpu=" + "+".join((core.replace("-", "_"), *implied, *features)),)
    # A freestanding target has a run time (memcpy and the like, division) but no string.h; musl's declares them.
    headers = zig.parent / "lib" / "libc" / "include"
    include = [f"-isystem{headers / name}" for name in ("generic-musl", "arm-linux-musl")]
    target = f"thumb-freestanding-eabi{'hf' if hard else ''}"
    return ("cc", "-target", target, *cpu, "-fno-sanitize=undefined", *include)


def with_libm(flags: tuple[str, ...]) -> tuple[str, ...]:
    """The flags for linking with libm: musl's, which zig builds once per processor (half a minute) and keeps.

    MissingToolError for Armv6-M, whose instructions do not suffice for musl.
    """
    if any(flag.startswith("-mcpu=cortex_m0") for flag in flags):
        raise MissingToolError(
            "zig has no libm for Armv6-M, and the model uses floating-point functions",
            hint="apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
        )
    return (*(flag.replace("freestanding-eabi", "linux-musleabi") for flag in flags), "-static")
