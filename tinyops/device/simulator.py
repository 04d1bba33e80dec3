"""An emulated Cortex-M as a process of its own, on the Python package unicorn: `python -m tinyops.device.simulator`.

It stands in for QEMU where that is not installed: the same flash image, the device protocol over Arm's semihosting
(IHI 0100), a SysTick that ticks with executed instructions at the rate of the board's QEMU machine, and the exceptions
that the firmware handles. So instruction counts are exact, and equal to QEMU's for the same image. The serial line is
standard input and output.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import unicorn
from unicorn import arm_const as arm

from tinyops.device.board import Board, Memory
from tinyops.device.elf import is_elf, loaded_parts
from tinyops.device.route import UNICORN_CORES

_PAGE = 4096
_NEVER = 1 << 63
_NOWHERE = 0xFFFFFFFF  # an address that is never executed
_READ_BYTES = 4096
_MAX_TEXT = 1 << 16
_LOCKED_UP = 71  # exit status of a fault that the firmware cannot report

# The system control space of Armv6-M to Armv8-M.
_SYSTEM = 0xE000E000
_CONTROL, _RELOAD, _VALUE = 0x010, 0x014, 0x018  # SysTick
_ICSR, _AIRCR, _CFSR, _BFAR = 0xD04, 0xD0C, 0xD28, 0xD38
_RESET_KEY, _RESET_REQUEST = 0x05FA, 4
_ICSR_PENDING, _ICSR_CLEAR = 1 << 26, 1 << 25
_ENABLE, _INTERRUPT = 1, 2  # SysTick's control
_BUS_ERROR, _UNDEFINED = 0x8200, 1 << 16  # CFSR: precise data access with its address, undefined instruction
_HARD_FAULT, _BUS_FAULT, _USAGE_FAULT, _SYSTICK = 3, 5, 6, 15
_EXC_RETURN = 0xFFFFFFF9  # to thread mode, main stack, no floating-point frame
_ALIGNED = 1 << 9  # of the stacked xPSR: the frame begins one word lower

_BREAKPOINT, _EXCEPTION_RETURN = 7, 8  # QEMU's numbers, which unicorn's interrupt hook gives
_SEMIHOSTING = 0xBEAB  # bkpt 0xab
_WRITEC, _WRITE0, _READC, _EXIT_EXTENDED = 0x03, 0x04, 0x07, 0x20

_FRAME = (
    arm.UC_ARM_REG_R0,
    arm.UC_ARM_REG_R1,
    arm.UC_ARM_REG_R2,
    arm.UC_ARM_REG_R3,
    arm.UC_ARM_REG_R12,
    arm.UC_ARM_REG_LR,
)


class SysTick:
    """The timer of 24 bits. `now` is the number of executed instructions, `rate` of them to a tick as a fraction."""

    def __init__(self, rate: tuple[int, int]) -> None:
        self._instructions, self._ticks = rate
        self._control = self._reload = 0
        self._start = 0  # when it began to run
        self._before = 0  # ticks since the value was cleared, up to `_start`
        self._handled = 0  # wraps

    def _elapsed(self, now: int) -> int:
        running = (now - self._start) * self._ticks // self._instructions if self._control & _ENABLE else 0
        return self._before + running

    def _wraps(self, now: int) -> int:
        return self._elapsed(now) // (self._reload + 1) if self._reload else 0

    def pending(self, now: int) -> bool:
        return bool(self._control & _INTERRUPT) and self._wraps(now) > self._handled

    def acknowledge(self, now: int) -> None:
        self._handled = self._wraps(now)

    def deadline(self) -> int:
        """When the next interrupt becomes pending."""
        if self._control & (_ENABLE | _INTERRUPT) != _ENABLE | _INTERRUPT or not self._reload:
            return _NEVER
        ticks = (self._handled + 1) * (self._reload + 1) - self._before
        return self._start - (-ticks * self._instructions // self._ticks)

    def read(self, register: int, now: int) -> int:
        if register == _VALUE:
            return -self._elapsed(now) % (self._reload + 1)
        return self._reload if register == _RELOAD else self._control

    def write(self, register: int, value: int, now: int) -> None:
        self._before, self._start = self._elapsed(now), now
        if register == _CONTROL:
            self._control = value & 7
        elif register == _RELOAD:
            self._reload = value & 0xFFFFFF
        else:
            self._before = self._handled = 0


class _Blocks(dict[tuple[int, int], int]):
    """(address, bytes) of code -> its instructions."""

    def __init__(self, cpu: Any) -> None:
        super().__init__()
        self._cpu = cpu

    def __missing__(self, block: tuple[int, int]) -> int:
        code = bytes(self._cpu.mem_read(*block)) if block[1] else b""
        count = self[block] = sum(1 for _ in _offsets(code))
        return count


def _offsets(code: bytes) -> Iterator[int]:
    """Where the instructions begin: the first halfword tells whether one has 16 or 32 bits."""
    offset = 0
    while offset < len(code):
        yield offset
        offset += 4 if code[offset + 1] >= 0xE8 else 2


@dataclass(frozen=True)
class _Access:
    """A memory access that has no memory: `now` is the count of instructions before its own, at `pc`."""

    pc: int
    address: int
    write: bool
    value: int
    now: int

    @property
    def system(self) -> bool:
        return _SYSTEM <= self.address < _SYSTEM + _PAGE


class Machine:
    """One Cortex-M with its memories, from reset on."""

    def __init__(self, board: Board, image: Path) -> None:
        assert board.flash is not None
        assert board.ram is not None
        self._cpu = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._cpu.ctl_set_cpu_model(getattr(arm, UNICORN_CORES[board.processor.core]))
        self._faults_have_handlers = board.processor.isa != "armv6-m"
        self._map(board.flash, unicorn.UC_PROT_ALL)  # as on QEMU's boards, whose flash is RAM
        self._map(board.ram, unicorn.UC_PROT_ALL)
        for address, content in loaded_parts(image) if is_elf(image) else [(board.flash.origin, image.read_bytes())]:
            self._cpu.mem_write(address, content)
        self._vectors = board.flash.origin
        self._rate = board.firmware.instructions_per_tick
        self._blocks = _Blocks(self._cpu)
        self._count = 0  # instructions executed, all those of the current block included
        self._block = (0, 0)
        self._deadline = _NEVER
        self._accesses: list[_Access] = []  # those that stopped the emulation
        self._returning = False
        self._input = b""
        self._exit_status: int | None = None
        self._cpu.hook_add(unicorn.UC_HOOK_BLOCK, self._enter_block)
        self._cpu.hook_add(unicorn.UC_HOOK_INTR, self._interrupt)
        self._cpu.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._note_access)
        self._reset()

    def _reset(self) -> None:
        """Start at the reset vector; memories keep their content."""
        self._systick = SysTick(self._rate)
        self._registers: dict[int, int] = {}
        self._active = False  # an exception is
        self._restarting = False
        stack, reset = struct.unpack("<II", self._cpu.mem_read(self._vectors, 8))
        self._set(arm.UC_ARM_REG_PRIMASK, 0)
        self._set(arm.UC_ARM_REG_SP, stack)
        self._set(arm.UC_ARM_REG_PC, reset | 1)

    def run(self) -> int:
        """Execute until the firmware exits, or its serial line ends; the exit status."""
        while self._exit_status is None:
            if self._systick.pending(self._count) and not self._active and not self._get(arm.UC_ARM_REG_PRIMASK):
                self._systick.acknowledge(self._count)
                self._enter_exception(_SYSTICK)
            self._deadline = max(self._systick.deadline(), self._count + 1)  # where it is masked, after each block
            self._returning = False
            self._accesses.clear()
            try:
                self._cpu.emu_start(self._get(arm.UC_ARM_REG_PC) | 1, _NOWHERE)
            except unicorn.UcError as error:
                self._stopped(error)
            if self._returning:
                self._leave_exception()
            if self._restarting:
                self._reset()
        return self._exit_status

    def _map(self, memory: Memory, rights: int) -> None:
        self._cpu.mem_map(memory.origin, -(-memory.bytes // _PAGE) * _PAGE, rights)

    def _get(self, register: int) -> int:
        return int(self._cpu.reg_read(register))

    def _set(self, register: int, value: int) -> None:
        self._cpu.reg_write(register, value)

    def _word(self, address: int) -> int:
        return int.from_bytes(self._cpu.mem_read(address, 4), "little")

    # called by the emulation

    def _enter_block(self, _cpu: Any, address: int, size: int, _data: Any) -> None:
        if self._count >= self._deadline:
            self._cpu.emu_stop()  # before the block
            return
        self._block = block = (address, size)
        self._count += self._blocks[block]

    def _note_access(self, _cpu: Any, kind: int, address: int, _size: int, value: int, _data: Any) -> bool:
        pc, write = self._get(arm.UC_ARM_REG_PC), kind in (unicorn.UC_MEM_WRITE_UNMAPPED, unicorn.UC_MEM_WRITE_PROT)
        start, size = self._block
        now = self._count - self._blocks[self._block] + self._blocks[start, min(max(pc - start, 0), size)]
        self._accesses.append(_Access(pc, address, write, value & 0xFFFFFFFF, now))
        return False

    def _interrupt(self, _cpu: Any, number: int, _data: Any) -> None:
        pc = self._get(arm.UC_ARM_REG_PC)
        if number == _BREAKPOINT and int.from_bytes(self._cpu.mem_read(pc, 2), "little") == _SEMIHOSTING:
            self._set(arm.UC_ARM_REG_R0, self._semihosting())
            self._set(arm.UC_ARM_REG_PC, (pc + 2) | 1)
            return
        self._returning = number == _EXCEPTION_RETURN
        if not self._returning:
            self._lock_up(f"unexpected exception {number}")
        self._cpu.emu_stop()

    def _semihosting(self) -> int:
        operation, argument = self._get(arm.UC_ARM_REG_R0), self._get(arm.UC_ARM_REG_R1)
        if operation == _READC:
            return self._receive()
        if operation == _WRITEC:
            _send(bytes(self._cpu.mem_read(argument, 1)))
        elif operation == _WRITE0:
            _send(self._text(argument))
        elif operation == _EXIT_EXTENDED:
            self._end(self._word(argument + 4))
        else:
            self._lock_up(f"unknown semihosting operation {operation:#x}")
        return 0

    def _text(self, address: int) -> bytes:
        text = bytearray()
        while len(text) < _MAX_TEXT and (byte := self._cpu.mem_read(address + len(text), 1)) != b"\0":
            text += byte
        return bytes(text)

    def _receive(self) -> int:
        if not self._input:
            self._input = os.read(sys.stdin.fileno(), _READ_BYTES)
        if not self._input:
            self._end(0)
            return 0
        byte, self._input = self._input[0], self._input[1:]
        return byte

    def _end(self, status: int) -> None:
        self._exit_status = status
        self._cpu.emu_stop()

    def _lock_up(self, reason: str) -> None:
        sys.stderr.write(f"the processor locked up: {reason}, pc {self._get(arm.UC_ARM_REG_PC):#x}\n")
        self._end(_LOCKED_UP)

    # between runs of the emulation

    def _stopped(self, error: unicorn.UcError) -> None:
        """An instruction was not executed: it uses the system control space, or it faults.

        Unicorn stops at the access's instruction, but after a write in an IT block only some instructions later.
        """
        pc, (start, size) = self._get(arm.UC_ARM_REG_PC), self._block
        late = [access for access in self._accesses if access.pc != pc and access.write and access.system]
        if start <= pc < start + size and not (late and pc == start <= late[-1].pc < start + size):
            self._count += self._blocks[start, pc - start] - self._blocks[start, size]
        for access in late:
            self._write_system(None, access.address - _SYSTEM, 4, access.value, access.now)
        rest = [access for access in self._accesses if access not in late]
        if rest and rest[0].system:
            self._use_system()
        elif rest or not late:
            self._fault(error, rest[0].address if rest else None)

    def _fault(self, error: unicorn.UcError, address: int | None) -> None:
        self._registers |= {_CFSR: _UNDEFINED if address is None else _BUS_ERROR, _BFAR: address or 0}
        if self._active:
            self._lock_up(str(error))
        elif self._faults_have_handlers:
            self._enter_exception(_USAGE_FAULT if address is None else _BUS_FAULT)
        else:
            self._enter_exception(_HARD_FAULT)

    def _use_system(self) -> None:
        """Execute the one instruction with the system control space in place: so its time is known exactly."""
        now = self._count
        self._deadline = _NEVER
        self._cpu.mmio_map(_SYSTEM, _PAGE, self._read_system, now, self._write_system, now)
        try:
            self._cpu.emu_start(self._get(arm.UC_ARM_REG_PC) | 1, _NOWHERE, count=1)
        finally:
            self._cpu.mem_unmap(_SYSTEM, _PAGE)
        self._count = now + 1

    def _read_system(self, _cpu: Any, register: int, _size: int, now: int) -> int:
        if register in (_CONTROL, _RELOAD, _VALUE):
            return self._systick.read(register, now)
        if register == _ICSR:
            return _ICSR_PENDING if self._systick.pending(now) else 0
        return self._registers.get(register, 0)

    def _write_system(self, _cpu: Any, register: int, _size: int, value: int, now: int) -> None:
        if register in (_CONTROL, _RELOAD, _VALUE):
            self._systick.write(register, value, now)
        elif register == _ICSR:
            if value & _ICSR_CLEAR:
                self._systick.acknowledge(now)
        elif register == _AIRCR:
            self._restarting = value >> 16 == _RESET_KEY and bool(value & _RESET_REQUEST)
        else:
            self._registers[register] = value

    def _enter_exception(self, number: int) -> None:
        stack, status = self._get(arm.UC_ARM_REG_SP), self._get(arm.UC_ARM_REG_XPSR)
        status = (status | _ALIGNED) if stack & 4 else (status & ~_ALIGNED)
        frame = [self._get(register) for register in _FRAME] + [self._get(arm.UC_ARM_REG_PC), status]
        stack = (stack - 32) & ~7
        try:
            self._cpu.mem_write(stack, struct.pack("<8I", *frame))
        except unicorn.UcError:  # the stack's end is why: the handler then starts on another one
            self._registers[_BFAR] = stack
        self._active = True
        self._set(arm.UC_ARM_REG_SP, stack)
        self._set(arm.UC_ARM_REG_LR, _EXC_RETURN)
        self._set(arm.UC_ARM_REG_IPSR, number)
        self._set(arm.UC_ARM_REG_PC, self._word(self._vectors + 4 * number) | 1)

    def _leave_exception(self) -> None:
        stack = self._get(arm.UC_ARM_REG_SP)
        *general, pc, status = struct.unpack("<8I", self._cpu.mem_read(stack, 32))
        for register, value in zip(_FRAME, general, strict=True):
            self._set(register, value)
        self._active = False
        self._set(arm.UC_ARM_REG_SP, stack + 32 + (4 if status & _ALIGNED else 0))
        self._set(arm.UC_ARM_REG_XPSR, status & ~_ALIGNED)
        self._set(arm.UC_ARM_REG_PC, pc | 1)


def _send(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def main(arguments: list[str]) -> int:
    """`arguments`: the board's facts as JSON, the image (an ELF file, or what the flash holds)."""
    facts, image = arguments
    try:
        return Machine(Board.model_validate_json(facts), Path(image)).run()
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # whoever reads the line may be gone: nothing is flushed any more
