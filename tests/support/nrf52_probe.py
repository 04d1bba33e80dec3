"""An nRF52840 behind a debug probe, in this process: pyOCD talks to it as to a real one.

The probe is one more class of pyOCD's debug probes. The chip has the debug port, the AHB access port, Nordic's
control access port, core registers and the flash controller, and the code of pyOCD's flash algorithm runs on an
emulated Cortex-M4 (unicorn). Flash keeps its rules: a write only where the controller allows it, to erased words.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import unicorn
from pyocd.core import exceptions
from pyocd.core.memory_interface import MemoryInterface
from pyocd.probe.aggregator import PROBE_CLASSES
from pyocd.probe.debug_probe import DebugProbe
from unicorn import arm_const as arm

FLASH_BYTES, RAM, RAM_BYTES, PAGE = 1 << 20, 0x2000_0000, 1 << 18, 4096
FICR, UICR, NVMC = 0x1000_0000, 0x1000_1000, 0x4001_E000
_PERIPHERALS, _SYSTEM, _ROM = 0x4000_0000, 0xE000_E000, 0xE00F_F000
_READY, _CONFIG, _ERASE_PAGE, _ERASE_ALL = 0x400, 0x504, 0x508, 0x50C
_WRITE, _ERASE = 1, 2
_CPUID, _AIRCR, _DFSR, _DHCSR, _DCRSR, _DCRDR, _DEMCR = 0xD00, 0xD0C, 0xD30, 0xDF0, 0xDF4, 0xDF8, 0xDFC
_C_HALT, _C_DEBUGEN, _S_REGRDY, _S_HALT, _S_RESET = 1 << 1, 1 << 0, 1 << 16, 1 << 17, 1 << 25
_CORE = (*(getattr(arm, f"UC_ARM_REG_R{i}") for i in range(13)), arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR)
_BKPT = 0xBE00
#: Offsets of the components in the ROM table (Cortex-M4: SCS, DWT, FPB) and their part numbers.
_COMPONENTS = {0xE000_E000: 0x00C, 0xE000_1000: 0x002, 0xE000_2000: 0x003}


@dataclass
class Chip:
    """The chip, and what is to go wrong with it."""

    serial: str = "simulated-0001"
    part: int = 0x52840
    locked: bool = False
    weak_address: int | None = None  # a byte of the flash that loses a bit when it is written
    dies_after: int | None = None  # accesses until the probe is unplugged
    silent: bool = False  # the chip has no power
    unopenable: str | None = None  # why the probe cannot be opened
    accesses: int = 0
    resets: int = 0
    erased_pages: list[int] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cpu = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.cpu.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
        for address, size in ((0, FLASH_BYTES), (RAM, RAM_BYTES), (FICR, PAGE), (UICR, PAGE)):
            self.cpu.mem_map(address, size)
        self.cpu.mem_write(0, b"\xff" * FLASH_BYTES)
        self.cpu.mem_write(UICR, b"\xff" * PAGE)
        for offset, word in ((0x10, PAGE), (0x14, FLASH_BYTES // PAGE), (0x100, self.part), (0x104, 0x41414630)):
            self.cpu.mem_write(FICR + offset, struct.pack("<I", word))
        self.cpu.mmio_map(_PERIPHERALS, 0x20000, self._read_peripheral, None, self._write_peripheral, None)
        self.cpu.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._flash_is_written, None, 0, FLASH_BYTES - 1)
        self.cpu.hook_add(unicorn.UC_HOOK_INTR, lambda cpu, *_: cpu.emu_stop())
        self.config = 0
        self.halted, self.running_firmware = False, True
        self.reset_seen = False
        self.registers = {_DEMCR: 0, _DCRDR: 0, _DFSR: 0}

    @property
    def flash(self) -> bytes:
        return bytes(self.cpu.mem_read(0, FLASH_BYTES))

    def erase_all(self) -> None:
        self.cpu.mem_write(0, b"\xff" * FLASH_BYTES)
        self.cpu.mem_write(UICR, b"\xff" * PAGE)
        self.erased_pages = list(range(0, FLASH_BYTES, PAGE))

    def _flash_is_written(self, _cpu: Any, _access: int, address: int, size: int, value: int, _data: Any) -> None:
        if self.config != _WRITE:
            self.violations.append(f"write at {address:#x} without the controller's leave")
        elif bytes(self.cpu.mem_read(address, size)) != b"\xff" * size and value != (1 << 8 * size) - 1:
            self.violations.append(f"write at {address:#x}, which is not erased")

    def _read_peripheral(self, _cpu: Any, offset: int, _size: int, _data: Any) -> int:
        return 1 if _PERIPHERALS + offset == NVMC + _READY else 0

    def _write_peripheral(self, _cpu: Any, offset: int, _size: int, value: int, _data: Any) -> None:
        register = _PERIPHERALS + offset - NVMC
        if register == _CONFIG:
            self.config = value
        elif register == _ERASE_PAGE:
            if self.config != _ERASE:
                self.violations.append(f"erasure of {value:#x} without the controller's leave")
            self.cpu.mem_write(value, b"\xff" * PAGE)
            self.erased_pages.append(value)
        elif register == _ERASE_ALL and value == 1:
            self.erase_all()

    # What a debugger sees.

    def read(self, address: int, size: int) -> int:
        if _SYSTEM <= address < _SYSTEM + 0xFD0:
            return self._read_system(address - _SYSTEM)
        if address >= 0xE000_0000:
            return self._read_rom(address)
        if _PERIPHERALS <= address < _PERIPHERALS + 0x20000:
            return self._read_peripheral(None, address - _PERIPHERALS, size, None)
        return int.from_bytes(self.block(address, size), "little")

    def block(self, address: int, size: int) -> bytes:
        try:
            return bytes(self.cpu.mem_read(address, size))
        except unicorn.UcError:
            raise exceptions.TransferFaultError(fault_address=address) from None

    def write(self, address: int, value: int, size: int) -> None:
        if _SYSTEM <= address < _SYSTEM + 0xFD0:
            self._write_system(address - _SYSTEM, value)
        elif _PERIPHERALS <= address < _PERIPHERALS + 0x20000:
            self._write_peripheral(None, address - _PERIPHERALS, size, value, None)
        elif address < 0xE000_0000:
            self.cpu.mem_write(address, value.to_bytes(size, "little"))

    def _read_system(self, register: int) -> int:
        if register == _CPUID:
            return 0x410FC241
        if register == _DHCSR:
            status = _C_DEBUGEN | _S_REGRDY | (_S_HALT | _C_HALT if self.halted else 0)
            status |= _S_RESET if self.reset_seen else 0
            self.reset_seen = False
            return status
        return self.registers.get(register, 0)

    def _write_system(self, register: int, value: int) -> None:
        if register == _DHCSR:
            if value & _C_HALT and value & _C_DEBUGEN:
                self.halted = True
            elif self.halted:
                self._go()
        elif register == _DCRSR:
            self._transfer(value & 0x7F, bool(value & 1 << 16))
        elif register == _DFSR:
            self.registers[_DFSR] &= ~value
        elif register == _AIRCR:
            if value & 4:
                self.reset()
        else:
            self.registers[register] = value

    def reset(self) -> None:
        self.resets += 1
        self.reset_seen, self.config = True, 0
        self.halted = bool(self.registers[_DEMCR] & 1)  # VC_CORERESET
        self.running_firmware = not self.halted

    def _transfer(self, number: int, write: bool) -> None:
        register = {15: arm.UC_ARM_REG_PC, 16: arm.UC_ARM_REG_XPSR}.get(
            number, _CORE[number] if number < 15 else arm.UC_ARM_REG_MSP if number == 17 else None
        )
        if register is None:
            return
        if write:
            self.cpu.reg_write(register, self.registers[_DCRDR])
        else:
            self.registers[_DCRDR] = int(self.cpu.reg_read(register))

    def _go(self) -> None:
        """Resume: code in RAM is the debugger's and runs to its breakpoint; code in flash is firmware and runs on."""
        start = int(self.cpu.reg_read(arm.UC_ARM_REG_PC))
        if not RAM <= start < RAM + RAM_BYTES:
            self.halted, self.running_firmware = False, True
            return
        self.cpu.emu_start(start | 1, 0xFFFF_FFFF, timeout=20_000_000)
        at = int(self.cpu.reg_read(arm.UC_ARM_REG_PC))
        assert self.block(at & ~1, 2) == struct.pack("<H", _BKPT), f"the algorithm ends at {at:#x}"
        if self.weak_address is not None:
            weak = self.cpu.mem_read(self.weak_address, 1)[0]
            self.cpu.mem_write(self.weak_address, bytes((weak & 0xFE,)))
        self.halted = True
        self.registers[_DFSR] |= 2

    def _read_rom(self, address: int) -> int:
        page, offset = address & ~0xFFF, address & 0xFFF
        if page == _ROM and offset < 0x20:
            bases = list(_COMPONENTS)
            index = offset // 4
            return ((bases[index] - _ROM) % (1 << 32)) | 3 if index < len(bases) else 0
        if offset >= 0xFD0:
            kind, part = (1, 0x4C4) if page == _ROM else (0xE, _COMPONENTS.get(page, 0))
            low, high = part & 0xFF, 0xB0 | part >> 8
            words = {
                0xFD0: 4,
                0xFE0: low,
                0xFE4: high,
                0xFE8: 0x0B,
                0xFF0: 0x0D,
                0xFF4: kind << 4,
                0xFF8: 5,
                0xFFC: 0xB1,
            }
            return words.get(offset, 0)
        return 0


class _Memory(MemoryInterface):
    """The AHB access port of the chip, as probes with memory commands have it."""

    def __init__(self, probe: SimulatedProbe) -> None:
        self._probe = probe

    def write_memory(self, addr: int, data: int, transfer_size: int = 32, **_: Any) -> None:
        self._probe.check(memory=True).write(addr, data, transfer_size // 8)

    def read_memory(self, addr: int, transfer_size: int = 32, now: bool = True, **_: Any) -> Any:
        value = self._probe.check(memory=True).read(addr, transfer_size // 8)
        return value if now else lambda: value

    def write_memory_block32(self, addr: int, data: Any, **_: Any) -> None:
        for i, word in enumerate(data):
            self._probe.check(memory=True).write(addr + 4 * i, word, 4)

    def read_memory_block32(self, addr: int, size: int, **_: Any) -> list[int]:
        return [self._probe.check(memory=True).read(addr + 4 * i, 4) for i in range(size)]

    def write_memory_block8(self, addr: int, data: Any, **_: Any) -> None:
        chip = self._probe.check(memory=True)
        chip.cpu.mem_write(addr, bytes(data))

    def read_memory_block8(self, addr: int, size: int, **_: Any) -> list[int]:
        return list(self._probe.check(memory=True).block(addr, size))


class SimulatedProbe(DebugProbe):
    """A probe at a chip."""

    chips: list[Chip] = []  # noqa: RUF012  # what is plugged in

    @classmethod
    def get_all_connected_probes(cls, *_: Any, **__: Any) -> list[Any]:
        return [cls(chip) for chip in cls.chips]

    @classmethod
    def get_probe_with_id(cls, unique_id: str, *_: Any, **__: Any) -> Any:
        return next((cls(chip) for chip in cls.chips if chip.serial == unique_id), None)

    def __init__(self, chip: Chip) -> None:
        super().__init__()
        self.chip = chip
        self._open = False
        self._status = 0

    vendor_name = property(lambda _: "Simulated")
    product_name = property(lambda _: "CMSIS-DAP")
    unique_id = property(lambda self: self.chip.serial)
    supported_wire_protocols = property(lambda _: [DebugProbe.Protocol.DEFAULT, DebugProbe.Protocol.SWD])
    wire_protocol = property(lambda _: DebugProbe.Protocol.SWD)
    is_open = property(lambda self: self._open)
    capabilities = property(lambda _: {DebugProbe.Capability.MANAGED_AP_SELECTION})

    def check(self, memory: bool = False) -> Chip:
        """Count an access, and refuse what the state of the chip forbids."""
        self.chip.accesses += 1
        if self.chip.dies_after is not None and self.chip.accesses > self.chip.dies_after:
            raise exceptions.ProbeDisconnected("the USB device is gone")
        if self.chip.silent:
            raise exceptions.TransferError("No ACK received")
        if memory and self.chip.locked:
            raise exceptions.TransferFaultError("locked")
        return self.chip

    def open(self) -> None:
        if self.chip.unopenable:
            raise exceptions.ProbeError(self.chip.unopenable)
        self._open = True

    def close(self) -> None:
        self._open = False

    def connect(self, protocol: Any = None) -> None:
        pass

    def disconnect(self) -> None:
        pass

    def set_clock(self, frequency: float) -> None:
        pass

    def reset(self) -> None:
        self.chip.reset()

    def assert_reset(self, asserted: bool) -> None:
        if not asserted:
            self.chip.reset()

    def is_reset_asserted(self) -> bool:
        return False

    def flush(self) -> None:
        pass

    def read_dp(self, addr: int, now: bool = True) -> Any:
        self.check()
        value = {0: 0x2BA01477, 4: self._status}.get(addr, 0)
        return value if now else lambda: value

    def write_dp(self, addr: int, data: int) -> None:
        self.check()
        if addr == 4:  # power-up requests are granted
            self._status = data & 0x5000_0000 | (data & 0x5000_0000) << 1

    def read_ap(self, addr: int, now: bool = True) -> Any:
        chip = self.check()
        port, register = addr >> 24, addr & 0xFC
        if port == 0:
            value = {0xFC: 0x24770011, 0xF8: _ROM | 3, 0x00: 0x2300_0012 | (0 if chip.locked else 0x40)}.get(
                register, 0
            )
        elif port == 1:
            value = {0xFC: 0x0288_0000, 0x0C: 0 if chip.locked else 1}.get(register, 0)
        else:
            value = 0
        return value if now else lambda: value

    def write_ap(self, addr: int, data: int) -> None:
        chip = self.check()
        if addr >> 24 == 1 and addr & 0xFC == 4 and data == 1:
            chip.erase_all()
            chip.locked = False

    def read_ap_multiple(self, addr: int, count: int = 1, now: bool = True) -> Any:
        values = [self.read_ap(addr) for _ in range(count)]
        return values if now else lambda: values

    def write_ap_multiple(self, addr: int, values: Any) -> None:
        for value in values:
            self.write_ap(addr, value)

    def get_memory_interface_for_ap(self, ap_address: Any) -> Any:
        return _Memory(self) if ap_address.nominal_address == 0 else None


@contextmanager
def plugged_in(*chips: Chip) -> Iterator[None]:
    """pyOCD sees these chips, and nothing else that may be at this computer."""
    before = dict(PROBE_CLASSES)
    PROBE_CLASSES.clear()
    PROBE_CLASSES["simulated"] = SimulatedProbe
    SimulatedProbe.chips = list(chips)
    try:
        yield
    finally:
        SimulatedProbe.chips = []
        PROBE_CLASSES.clear()
        PROBE_CLASSES.update(before)
