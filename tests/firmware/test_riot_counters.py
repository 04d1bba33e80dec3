"""The counters of cycles: their code as compiled for Cortex-M, against models of DWT and SysTick written from Arm's
manuals; time goes on between calls alone, so that every difference is known to the cycle."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import unicorn
from unicorn import arm_const

from tinyops.device.elf import elf_sections, loaded_parts
from tinyops.resources import data_dir

ROOT = Path(__file__).resolve().parents[2]
DEVICE = data_dir("firmware") / "riot" / "modules" / "tinyops_device"
INCLUDES = (data_dir("firmware") / "common" / "include", DEVICE, ROOT / "tests" / "support" / "riot_headers")
TOOL = Path(__file__).parent / "riot_counter_tool.c"
CODE, RAM, END = 0x10000, 0x20000000, 0x1FFFE
HERTZ = 64_000_000
WRAP_24, WRAP_32 = 1 << 24, 1 << 32
FLAGS = ("-std=c99", "-Os", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-ffreestanding")


def compile_counter(name: str, core: str, target: Path) -> Path:
    compiler = shutil.which("arm-none-eabi-gcc") or pytest.skip("arm-none-eabi-gcc is not installed")
    program = target / f"{name}-{core}.elf"
    sources = [str(DEVICE / f"counter_{name}.c"), str(TOOL)]
    link = ["-nostdlib", f"-Wl,-Ttext={CODE:#x},-Tdata={RAM:#x},-etool_start", "-lgcc"]
    flags = [f"-mcpu={core}", "-mthumb", *FLAGS, *(f"-I{path}" for path in INCLUDES)]
    subprocess.run([compiler, *flags, *sources, *link, "-o", str(program)], check=True)
    return program


class Chip:
    """A processor whose time goes on when the test says so; `registers` are those of its counter."""

    def __init__(self, program: Path, registers: Any, core: int) -> None:
        self.registers = registers
        self.cpu = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.cpu.ctl_set_cpu_model(core)
        self.cpu.mem_map(CODE, 0x10000)
        self.cpu.mem_map(RAM, 0x10000)
        for address, data in loaded_parts(program):
            self.cpu.mem_write(address, data)
        assert all(s.address >= RAM for s in elf_sections(program) if s.alloc and s.writable)
        for page in (0xE0001000, 0xE000E000):
            self.cpu.mmio_map(page, 0x1000, self._read, page, self._write, page)
        listing = subprocess.run(["arm-none-eabi-nm", str(program)], check=True, capture_output=True, text=True).stdout
        self.symbols = {name: int(at, 16) for at, name in re.findall(r"^([0-9a-f]+) \w (\S+)$", listing, re.MULTILINE)}

    def _read(self, _cpu: Any, offset: int, _size: int, page: int) -> int:
        return int(self.registers.read(page + offset))

    def _write(self, _cpu: Any, offset: int, _size: int, value: int, page: int) -> None:
        self.registers.write(page + offset, value)

    def call(self, name: str) -> int:
        """The result of a function of 64 bits."""
        self.cpu.reg_write(arm_const.UC_ARM_REG_SP, RAM + 0x10000)
        self.cpu.reg_write(arm_const.UC_ARM_REG_LR, END | 1)
        self.cpu.emu_start(self.symbols[name] | 1, END, count=10_000)
        low, high = (self.cpu.reg_read(r) for r in (arm_const.UC_ARM_REG_R0, arm_const.UC_ARM_REG_R1))
        return int(high) << 32 | int(low)

    def kind(self) -> str:
        at = self.call("to_port_count_kind") & 0xFFFFFFFF
        return bytes(self.cpu.mem_read(at, 32)).split(b"\0")[0].decode()

    def hertz(self) -> int:
        return self.call("to_port_count_hertz") & 0xFFFFFFFF

    def set_clock(self, milliseconds: int) -> None:
        self.cpu.mem_write(self.symbols["tool_now_ms"], milliseconds.to_bytes(8, "little"))


class Dwt:
    """ARMv7-M Architecture Reference Manual, C1.8: CYCCNT counts while TRCENA and CYCCNTENA are set."""

    def __init__(self, *, counts: bool = True, locked: bool = False) -> None:
        self.cycles = random.Random(1).randrange(WRAP_32)
        self.counts, self.locked = counts, locked
        self.demcr = self.control = 0

    @property
    def running(self) -> bool:
        return self.counts and bool(self.demcr & 1 << 24) and bool(self.control & 1)

    def read(self, address: int) -> int:
        if address == 0xE0001004:
            if self.running:
                self.cycles += 1  # so that a test for a counter that stands still sees it move
            return self.cycles % WRAP_32
        return {0xE000EDFC: self.demcr, 0xE0001000: self.control}[address]

    def write(self, address: int, value: int) -> None:
        if address == 0xE0001FB0:
            self.locked = self.locked and value != 0xC5ACCE55
        elif address == 0xE000EDFC:
            self.demcr = value
        elif address == 0xE0001000 and not self.locked:
            self.control = value


class SysTick:
    """ARMv7-M Architecture Reference Manual, B3.3: at 0 it loads RELOAD, from 1 to 0 it asks for its interrupt."""

    def __init__(self) -> None:
        self.control, self.reload, self.value, self.pending = 0, 0x123, 0x77, 0

    def read(self, address: int) -> int:
        found = {0xE000E010: self.control, 0xE000E014: self.reload, 0xE000E018: self.value}
        return self.pending << 26 if address == 0xE000ED04 else found[address]

    def write(self, address: int, value: int) -> None:
        if address == 0xE000ED04:
            self.pending = 0 if value & 1 << 25 else self.pending
        elif address == 0xE000E010:
            self.control = value
        elif address == 0xE000E014:
            self.reload = value
        elif address == 0xE000E018:
            self.value = 0  # whatever is written
        if address == 0xE000E010 and value & 1:
            self.advance(1)  # so that a test for a counter that stands still sees it move

    def advance(self, cycles: int) -> int:
        """How often it wrapped."""
        assert self.control & 4, "the processor's clock"
        assert self.control & 1, "it runs"
        period = self.reload + 1
        position = (period - self.value) % period + cycles  # cycles since it was 0
        wraps = position // period
        self.value = -position % period
        return wraps


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("counters")


def dwt_chip(folder: Path, core: str = "cortex-m4", **options: bool) -> Chip:
    models = {"cortex-m3": "M3", "cortex-m4": "M4", "cortex-m7": "M7", "cortex-m33": "M33"}
    number = getattr(arm_const, f"UC_CPU_ARM_CORTEX_{models[core]}")
    return Chip(compile_counter("dwt", core, folder), Dwt(**options), number)


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"])
def test_dwt_counts_every_cycle(folder: Path, core: str) -> None:
    """Over wraps, too: the clock tells how many there were."""
    chip = dwt_chip(folder, core)
    assert chip.kind() == "none"
    chip.call("tool_start")
    assert (chip.kind(), chip.hertz()) == ("measured-on-board", HERTZ)
    draw = random.Random(7)
    empty = [chip.call("to_port_count") for _ in range(3)]
    assert empty[2] - empty[1] == empty[1] - empty[0] == 1  # the reading itself
    before, elapsed = empty[2], 0
    for exponent in [*range(0, 40, 3), 31, 32, 33, 20]:
        cycles = draw.randrange(1 << exponent, 2 << exponent)
        chip.registers.cycles += cycles
        elapsed += cycles
        chip.set_clock(elapsed * 1000 // HERTZ)
        after = chip.call("to_port_count")
        assert after - before == cycles + 1
        before = after


@pytest.mark.parametrize("error", [-0.03, 0.03])
def test_dwt_with_a_clock_that_errs(folder: Path, error: float) -> None:
    """As that of an internal oscillator: exact as long as it errs by less than half a wrap."""
    chip = dwt_chip(folder)
    chip.call("tool_start")
    before, now = chip.call("to_port_count"), 0.0
    for cycles in (1000, WRAP_32 - 5, WRAP_32, WRAP_32 + 5, 3 * WRAP_32, 15 * WRAP_32 + 12345):
        chip.registers.cycles += cycles
        now += cycles * 1000 / HERTZ * (1 + error)
        chip.set_clock(int(now))
        after = chip.call("to_port_count")
        assert after - before == cycles + 1
        before = after


def test_dwt_of_a_cortex_m7_is_unlocked(folder: Path) -> None:
    chip = dwt_chip(folder, "cortex-m7", locked=True)
    chip.call("tool_start")
    assert chip.kind() == "measured-on-board"


def test_dwt_without_a_counter(folder: Path) -> None:
    """As in an emulator that answers 0, or a processor that was made without it."""
    chip = dwt_chip(folder, counts=False)
    chip.call("tool_start")
    assert (chip.kind(), chip.hertz()) == ("none", 0)


@pytest.mark.parametrize("masked", [False, True], ids=["at once", "late"])
def test_systick_counts_every_cycle(folder: Path, masked: bool) -> None:
    """Over wraps whose interrupt came, and one whose interrupt is still pending."""
    program = compile_counter("systick", "cortex-m0plus", folder)
    chip = Chip(program, SysTick(), arm_const.UC_CPU_ARM_CORTEX_M0)
    assert chip.kind() == "none"
    chip.call("tool_start")
    assert (chip.kind(), chip.hertz()) == ("measured-on-board", HERTZ)
    draw = random.Random(11)
    lengths = [1, 2, WRAP_24 - 3, WRAP_24 - 2, WRAP_24 - 1, WRAP_24, WRAP_24 + 1, 3 * WRAP_24 + 17]
    lengths += [draw.randrange(1, 6 * WRAP_24) for _ in range(20)]
    before = chip.call("to_port_count")
    for cycles in lengths:
        wraps = chip.registers.advance(cycles)
        for k in range(wraps):
            if masked and k == wraps - 1:
                chip.registers.pending = 1
            else:
                chip.call("isr_systick")
        after = chip.call("to_port_count")
        assert after - before == cycles + 1  # one for the start
        assert chip.registers.pending == 0
        before = after


def test_systick_that_is_not_there(folder: Path) -> None:
    class Absent(SysTick):
        def read(self, address: int) -> int:
            return 0

    program = compile_counter("systick", "cortex-m0plus", folder)
    chip = Chip(program, Absent(), arm_const.UC_CPU_ARM_CORTEX_M0)
    chip.call("tool_start")
    assert (chip.kind(), chip.hertz()) == ("none", 0)


@pytest.mark.parametrize("name", ["mcycle", "mpccr"])
def test_riscv_counters_compile(folder: Path, name: str) -> None:
    compiler = shutil.which("riscv64-unknown-elf-gcc") or pytest.skip("riscv64-unknown-elf-gcc is not installed")
    flags = ["-march=rv32imac_zicsr", "-mabi=ilp32", *FLAGS, "-specs=picolibc.specs"]
    includes = [f"-I{path}" for path in INCLUDES]
    target = folder / f"{name}.o"
    subprocess.run(
        [compiler, *flags, *includes, "-c", str(DEVICE / f"counter_{name}.c"), "-o", str(target)], check=True
    )
    code = subprocess.run(
        ["riscv64-unknown-elf-objdump", "-d", str(target)], check=True, capture_output=True, text=True
    )
    wanted = {"mcycle": ("mcycleh", "mcycle\n", "mvendorid"), "mpccr": ("0x7e0", "0x7e1", "0x7e2")}
    for register in wanted[name]:
        assert register in code.stdout


def test_every_counter_is_chosen_by_a_processor() -> None:
    """counter.mk names each file, and no other."""
    text = (DEVICE / "counter.mk").read_text(encoding="utf-8")
    named = set(re.findall(r"TINYOPS_COUNTER := (\w+)", text))
    assert {path.stem.removeprefix("counter_") for path in DEVICE.glob("counter_*.c")} == named


@pytest.mark.parametrize(
    ("variables", "chosen"),
    [
        ({"CPU_CORE": "cortex-m4f", "CPU": "nrf52"}, "dwt"),
        ({"CPU_CORE": "cortex-m33", "CPU": "nrf9160"}, "dwt"),
        ({"CPU_CORE": "cortex-m0plus", "CPU": "samd21"}, "systick"),
        ({"CPU_CORE": "cortex-m0", "CPU": "stm32"}, "systick"),
        ({"CPU_CORE": "cortex-m0", "CPU": "nrf51"}, "none"),
        ({"CPU_CORE": "xtensa-lx6", "CPU_ARCH": "xtensa", "CPU": "esp32"}, "ccount"),
        ({"CPU_CORE": "rv32imc", "CPU_ARCH": "rv32", "CPU": "esp32"}, "mpccr"),
        ({"CPU_CORE": "rv32imac", "CPU_ARCH": "rv32", "CPU": "fe310"}, "mcycle"),
        ({"CPU": "native"}, "none"),
        ({"CPU_CORE": "cortex-m0plus", "CPU": "samd21", "TINYOPS_COUNTER": "none"}, "none"),
    ],
)
def test_counter_of_a_processor(tmp_path: Path, variables: dict[str, str], chosen: str) -> None:
    make = shutil.which("make") or pytest.skip("make is not installed")
    file = tmp_path / "Makefile"
    file.write_text(f"include {DEVICE}/counter.mk\nall: ; @echo $(SRC)\n", encoding="utf-8")
    given = [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run([make, "-s", "-f", str(file), *given], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"counter_{chosen}.c"
