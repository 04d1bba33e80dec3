"""What an ELF file holds: sections, symbols, and the memory that they take on a board."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tinyops.device.board import Memory
from tinyops.errors import DeviceError

_MAGIC = b"\x7fELF"
_ALLOC, _WRITE, _EXEC = 2, 1, 4  # SHF_ALLOC, SHF_WRITE, SHF_EXECINSTR


@dataclass(frozen=True, slots=True)
class Section:
    """A section; addresses and size in bytes. `load_address` is where its contents lie before start-up copies them."""

    index: int
    name: str
    address: int
    load_address: int
    size: int
    alloc: bool
    writable: bool
    executable: bool
    loaded: bool  # has contents in the file; False for .bss and other NOBITS


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function or an object; size in bytes."""

    name: str
    address: int
    size: int
    section: str
    kind: str  # "function" or "object"


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes that a program takes in flash and RAM, and of which sections they are."""

    flash_bytes: int
    ram_bytes: int
    flash_sections: dict[str, int]
    ram_sections: dict[str, int]


@contextmanager
def _elf(path: Path) -> Iterator[ELFFile]:
    try:
        with path.open("rb") as stream:
            yield ELFFile(stream)
    except OSError as error:
        raise DeviceError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (ELFError, UnicodeDecodeError, ValueError, KeyError) as error:
        raise DeviceError(f"not a sound ELF file: {error}", where=str(path)) from error


def elf_sections(path: Path) -> tuple[Section, ...]:
    """The non-empty sections of `path` in file order; DeviceError when it is no ELF file."""
    with _elf(path) as elf:
        segments = [s.header for s in elf.iter_segments("PT_LOAD")]
        found = []
        for index, section in enumerate(elf.iter_sections()):
            header = section.header
            flags = header["sh_flags"]
            if header["sh_size"] == 0 or header["sh_type"] == "SHT_NULL":
                continue
            address = header["sh_addr"]
            load = address
            for segment in segments:
                if segment["p_vaddr"] <= address < segment["p_vaddr"] + segment["p_memsz"]:
                    load = address - segment["p_vaddr"] + segment["p_paddr"]
                    break
            found.append(
                Section(
                    index=index,
                    name=section.name,
                    address=address,
                    load_address=load,
                    size=header["sh_size"],
                    alloc=bool(flags & _ALLOC),
                    writable=bool(flags & _WRITE),
                    executable=bool(flags & _EXEC),
                    loaded=header["sh_type"] != "SHT_NOBITS",
                )
            )
    return tuple(found)


def elf_symbols(path: Path) -> tuple[Symbol, ...]:
    """The functions and objects of `path` that have a size, largest first; DeviceError when it is no ELF file."""
    kinds = {"STT_FUNC": "function", "STT_OBJECT": "object"}
    found: dict[tuple[str, int], Symbol] = {}
    with _elf(path) as elf:
        names = [section.name for section in elf.iter_sections()]
        for table in elf.iter_sections():
            if not isinstance(table, SymbolTableSection):
                continue
            for symbol in table.iter_symbols():
                kind = kinds.get(symbol["st_info"]["type"])
                index = symbol["st_shndx"]
                if kind is None or symbol["st_size"] == 0 or not isinstance(index, int) or index >= len(names):
                    continue
                one = Symbol(symbol.name, symbol["st_value"], symbol["st_size"], names[index], kind)
                found[one.name, one.address] = one
    return tuple(sorted(found.values(), key=lambda s: (-s.size, s.name)))


def elf_value(path: Path, name: str) -> int | None:
    """The value of the symbol `name`, also of an absolute one; None where there is none."""
    with _elf(path) as elf:
        table = elf.get_section_by_name(".symtab")
        found = table.get_symbol_by_name(name) if isinstance(table, SymbolTableSection) else None
        return int(found[0]["st_value"]) if found else None


def is_elf(path: Path) -> bool:
    """Whether the file begins as an ELF file does."""
    with path.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def loaded_parts(path: Path) -> list[tuple[int, bytes]]:
    """(load address, contents) of the sections that a program's memory holds before its start, by address."""
    with _elf(path) as elf:
        parts = [
            (section.load_address, elf.get_section(section.index).data())
            for section in elf_sections(path)
            if section.alloc and section.loaded
        ]
    return sorted(parts)


def memory_use(path: Path, flash: Memory | None, ram: Memory | None) -> MemoryUse:
    """Bytes that the program `path` takes, by the addresses of its sections.

    Flash: what is loaded into the flash region, the initial contents of .data included. RAM: every section whose
    run-time address is in the RAM region (.data, .bss, reserved stack). Without regions (a host process) the
    sections' flags decide. A section that belongs to neither region is an error.
    """
    in_flash: dict[str, int] = {}
    in_ram: dict[str, int] = {}
    for s in elf_sections(path):
        if not s.alloc:
            continue
        stored = s.loaded and (flash is None or _inside(s.load_address, s.size, flash))
        used = s.writable if ram is None else _inside(s.address, s.size, ram)
        if not stored and not used:
            raise DeviceError(
                f"section {s.name} of {s.size} bytes at {s.address:#x} is outside of the board's memories",
                where=str(path),
                allowed=", ".join(_span(name, m) for name, m in (("flash", flash), ("RAM", ram)) if m),
            )
        if stored:
            in_flash[s.name] = in_flash.get(s.name, 0) + s.size
        if used:
            in_ram[s.name] = in_ram.get(s.name, 0) + s.size
    return MemoryUse(sum(in_flash.values()), sum(in_ram.values()), in_flash, in_ram)


def _inside(address: int, size: int, memory: Memory) -> bool:
    return memory.origin <= address and address + size <= memory.origin + memory.bytes


def _span(name: str, memory: Memory) -> str:
    return f"{name} {memory.origin:#x} to {memory.origin + memory.bytes:#x}"
