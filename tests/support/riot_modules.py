"""Programs of tinyops' modules for RIOT without RIOT: its kernel on POSIX threads, its headers in riot_headers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.firmware import FAKE_MODEL
from tinyops.resources import data_dir

HEADERS = Path(__file__).resolve().parent / "riot_headers"
_HERE = FAKE_MODEL.parent
_CORE = ("cbor", "coap", "describe", "device", "exchange", "resources", "text")
_DEVICE = ("device", "links", "port", "serve", "thread", "counter_none")
#: What Makefile.include of the modules sets, RIOT's sizes of stacks apart.
CONFIG: Mapping[str, object] = {
    "TINYOPS_VERSION": '"0"',
    "CONFIG_TINYOPS_STACK_BYTES": 4 << 20,
    "CONFIG_TINYOPS_PRIORITY": 8,
    "CONFIG_TINYOPS_PATIENCE_MS": 500,
    "CONFIG_TINYOPS_COAP_WAIT_MS": 300,
    "CONFIG_GCOAP_PDU_BUF_SIZE": 1124,
    "CONFIG_TINYOPS_UART": 1,
    "CONFIG_TINYOPS_UART_BAUD": 115200,
    "CONFIG_TINYOPS_UART_BUFFER": 8192,
    "FAKE_MODEL_SLEEPS": 1,
}
#: RIOT's own options for C; -Wconversion and -Werror are ours.
_FLAGS = ("-std=gnu11", "-g", "-O1", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wconversion", "-Werror")


def build_riot_program(
    target: Path,
    tool: str,
    *,
    sources: Sequence[str],
    defines: Mapping[str, object],
    flags: Sequence[str] = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    compiler: str = "gcc",
) -> Path:
    """Compile tinyops_device, `sources` of other modules or of the core, the fake model and tests/firmware/`tool`.c."""
    firmware = data_dir("firmware")
    modules = firmware / "riot" / "modules"
    program = shutil.which(compiler) or pytest.skip(f"{compiler} is not installed")
    files = [
        *(firmware / "common" / "src" / f"to_{name}.c" for name in _CORE),
        *(modules / "tinyops_device" / f"{name}.c" for name in _DEVICE),
        *(firmware / name for name in sources),
        *(_HERE / name for name in ("riot_threads.c", f"{tool}.c")),
        FAKE_MODEL,
    ]
    includes = [
        firmware / "common" / "include",
        modules / "tinyops_device",
        modules / "tinyops_device" / "include",
        HEADERS,
    ]
    command = [
        *(program, *_FLAGS, *flags),
        *(f"-D{name}={value}" for name, value in {**CONFIG, **defines}.items()),
        *(f"-I{path}" for path in includes),
        *map(str, files),
        *("-o", str(target), "-lpthread"),
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return target


def build_line(target: Path, *, uart: bool = False) -> Path:
    """tinyops_slipmux on standard input and output, by RIOT's or by a UART that is joined to them."""
    sources = ["common/src/to_slipmux.c", f"riot/modules/tinyops_slipmux/{'uart' if uart else 'stdio'}.c"]
    return build_riot_program(target, "riot_line_tool", sources=sources, defines={"TOOL_UART": 1} if uart else {})


def build_gcoap(target: Path, *, threads: bool = False, exponent: int = 6, workload: bool = False) -> Path:
    """tinyops_coap on UDP; with `threads` checked for data races, else for addresses and undefined behaviour.

    With `workload` a thread of the application runs the model, too.
    """
    sources = ["riot/modules/tinyops_device/console.c", "riot/modules/tinyops_coap/coap.c"]
    defines = {
        "TO_NETWORK": 1,
        "TO_NO_LINE": 1,
        "TO_DEVICE_PEERS": 2,
        "TO_COAP_BLOCK_SZX": exponent,
        "CONFIG_GCOAP_PDU_BUF_SIZE": (16 << exponent) + 100,
    } | ({"TOOL_WORKLOAD": 1} if workload else {})
    if threads:
        return build_riot_program(
            target, "riot_gcoap_tool", sources=sources, defines=defines, flags=("-fsanitize=thread",)
        )
    return build_riot_program(target, "riot_gcoap_tool", sources=sources, defines=defines)
