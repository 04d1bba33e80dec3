"""Programs with a `main` of their own, linked without our firmware and run by QEMU's semihosting."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_CORTEX_M_START = """
extern char stack_top[], bss_start[], bss_end[];
int main(void);
void exit(int);
void initialise_monitor_handles(void);
void reset(void);
void _init(void);
void _fini(void);
void _init(void) {}
void _fini(void) {}
void reset(void) {
    *(volatile unsigned *)0xE000ED88u = 0xF00000u; /* CPACR: the FPU */
    for (char *p = bss_start; p < bss_end; p++) *p = 0;
    initialise_monitor_handles();
    exit(main());
}
__attribute__((section(".vectors"), used)) void *const vectors[2] = { stack_top, (void *)reset };
"""
_CORTEX_M_SCRIPT = """
ENTRY(reset)
stack_top = 0x20400000;
SECTIONS {
    .text 0 : { KEEP(*(.vectors)) *(.text*) *(.rodata*) }
    .data 0x20000000 : { *(.data*) }
    .bss : { bss_start = .; *(.bss*) *(COMMON) bss_end = .; end = .; __end__ = .; }
}
"""


@dataclass(frozen=True)
class Target:
    """How a program for a machine is compiled, linked and run."""

    name: str
    compiler: str
    flags: tuple[str, ...]
    qemu: tuple[str, ...] = ()

    def require(self) -> None:
        """Skip the test where the compiler or the emulator is missing."""
        for program in (self.compiler, *self.qemu[:1]):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed")

    def link_flags(self, folder: Path) -> list[str]:
        """Linker flags; files that they need are written to `folder`."""
        if self.name.startswith("cortex-m"):
            start, script = folder / "start.c", folder / "mps2.ld"
            start.write_text(_CORTEX_M_START)
            script.write_text(_CORTEX_M_SCRIPT)
            return ["-T", str(script), "-nostartfiles", str(start)]
        if self.name == "riscv32":
            region = {"flash": 0x8000_0000, "flash_size": 0x40_0000, "ram": 0x8040_0000, "ram_size": 0x40_0000}
            symbols = [f"-Wl,--defsym=__{name}={value:#x}" for name, value in region.items()]
            return ["-Wl,--defsym=__stack_size=0x4000", *symbols, "--oslib=semihost", "--crt0=hosted"]
        return []

    def run(self, program: Path, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        command = [*self.qemu, "-kernel", str(program)] if self.qemu else [str(program)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL
        )


_QEMU = ("-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native")

HOST = Target("host", "gcc", ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"))
CORTEX_M4 = Target(
    "cortex-m4",
    "arm-none-eabi-gcc",
    ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "--specs=rdimon.specs"),
    ("qemu-system-arm", "-M", "mps2-an386", *_QEMU),
)
#: The code of a Cortex-M0+, which a Cortex-M3 executes, too.
CORTEX_M0 = Target(
    "cortex-m0plus",
    "arm-none-eabi-gcc",
    ("-mcpu=cortex-m0plus", "-mthumb", "--specs=rdimon.specs"),
    ("qemu-system-arm", "-M", "mps2-an385", *_QEMU),
)
RISCV32 = Target(
    "riscv32",
    "riscv64-unknown-elf-gcc",
    ("-march=rv32imac", "-mabi=ilp32", "--specs=picolibc.specs"),
    ("qemu-system-riscv32", "-M", "virt", "-bios", "none", *_QEMU),
)
TARGETS: Sequence[Target] = (HOST, CORTEX_M4, RISCV32)
