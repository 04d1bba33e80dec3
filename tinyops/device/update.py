"""What makes firmware updatable: keys, identity, the flash region of banks and journal, and the generated tables."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from tinyops.device.board import Board, Memory
from tinyops.device.crypto import CryptoAlgorithm, CryptoSources, crypto_sources
from tinyops.device.elf import elf_sections, elf_symbols
from tinyops.emit.data_section import DataSection
from tinyops.errors import TinyopsError, UsageError
from tinyops.lower.program import Program
from tinyops.suit import class_uuid, vendor_uuid

Role = Literal["signer", "root", "decrypt"]

#: Of firmware/common: bytes of a journal's record, and how many a page has room for at least.
RECORD_BYTES = 160
PAGE_RECORDS = 4
MAX_KEYS = 8
#: Where a board does not tell what its flash can.
DEFAULT_ERASE_BYTES, DEFAULT_WRITE_BYTES = 4096, 4
#: A bank has room for the factory capsule and this part of it more.
SPARE = 4
ROLE_FLAGS = {"signer": 1, "root": 2, "decrypt": 4}
CAPSULE = "capsule.bin"
#: coap://HOST[:PORT]; HOST is a name, an IPv4 address or an IPv6 address in brackets, of as many bytes as devices take.
SERVER = r"coap://([a-z0-9.-]{1,63}|\[[0-9a-f:.]{2,63}\])(:[1-9][0-9]{0,4})?"
#: The name of the update's memory, which is in to_device.c.
_TEXTS = re.compile(r"\.rodata\..*str\d")
_MEMORY = re.compile(r"update(\.\d+)?")
MODEL_COMPONENT = "model"


@dataclass(frozen=True, slots=True)
class UpdateKey:
    """A public key that the firmware trusts: COSE algorithm, raw bytes, identifier."""

    algorithm: int
    raw: bytes
    kid: bytes
    role: Role = "signer"


@dataclass(frozen=True, slots=True)
class UpdateSettings:
    """How a firmware is updatable.

    `vendor` is a DNS domain, `sequence` that of the factory model: manifests must be above it. `bank_bytes` is the
    least size of a bank, `health_window` the inferences of a new model's trial. `server` (coap://HOST[:PORT]) is where
    firmware with a network of its own checks in, at first every `check_in_seconds`; it fetches its updates then.
    """

    keys: tuple[UpdateKey, ...]
    vendor: str = "tinyops.example"
    sequence: int = 0
    bank_bytes: int | None = None
    health_window: int = 8
    algorithms: tuple[CryptoAlgorithm, ...] = ("ed25519",)
    server: str | None = None
    check_in_seconds: int = 3600

    def check(self) -> None:
        """UsageError for what no firmware can be built with."""
        if not 0 < len(self.keys) <= MAX_KEYS:
            raise UsageError(
                f"{len(self.keys)} update keys",
                allowed=f"1 to {MAX_KEYS}",
                hint="tinyops keys generate NAME, then --update-key NAME",
            )
        if len({key.kid for key in self.keys}) != len(self.keys):
            raise UsageError("an update key is named twice")
        if self.server is not None and not re.fullmatch(SERVER, self.server):
            raise UsageError(f"{self.server!r} is no server of check-ins", allowed="coap://HOST[:PORT]")


@dataclass(frozen=True, slots=True)
class UpdateRegion:
    """[journal page][journal page][bank 0][bank 1], each of whole erase units, at the end of the flash."""

    erase_bytes: int
    write_bytes: int
    page_bytes: int
    bank_bytes: int

    @property
    def nbytes(self) -> int:
        return 2 * (self.page_bytes + self.bank_bytes)

    @classmethod
    def plan(cls, flash: Memory | None, capsule_bytes: int, bank_bytes: int | None) -> UpdateRegion:
        """The region of a board for capsules of `capsule_bytes`; UsageError when a bank is too small for one."""
        erase = (flash and flash.erase_bytes) or DEFAULT_ERASE_BYTES
        write = (flash and flash.write_bytes) or DEFAULT_WRITE_BYTES
        if bank_bytes is not None and bank_bytes < capsule_bytes:
            raise UsageError(
                f"a bank of {bank_bytes:,} B", where="--bank-bytes", allowed=f"{capsule_bytes:,} B or more"
            )
        slot = -(-RECORD_BYTES // write) * write + write
        bank = bank_bytes or capsule_bytes + -(-capsule_bytes // SPARE)
        return cls(erase, write, _round_up(PAGE_RECORDS * slot, erase), _round_up(bank, erase))


@dataclass(frozen=True, eq=False)
class UpdateBuild:
    """All that an updatable build knows besides its program."""

    settings: UpdateSettings
    region: UpdateRegion
    data: DataSection
    capsule: bytes
    vendor_id: UUID
    class_id: UUID
    #: Gets a line before something is brought.
    progress: Callable[[str], None] | None = None

    @cached_property
    def crypto(self) -> CryptoSources:
        """The cryptographic libraries, brought when they are first asked for."""
        return crypto_sources(self.settings.algorithms, progress=self.progress)

    @property
    def licences(self) -> str:
        """The text of the licences of these libraries."""
        parts = [
            f"{found.library} {found.version} ({found.spdx})\n\n{found.text.read_text(encoding='utf-8').strip()}\n"
            for found in self.crypto.licences
        ]
        return f"\n{'-' * 78}\n\n".join(parts)


def plan_update(
    board: Board,
    program: Program,
    settings: UpdateSettings,
    data: DataSection,
    capsule: bytes,
    progress: Callable[[str], None] | None = None,
) -> UpdateBuild:
    """Place the region and name the class of the firmware's model component."""
    settings.check()
    region = UpdateRegion.plan(board.flash, len(capsule), settings.bank_bytes)
    if board.flash is not None and region.nbytes + len(capsule) >= board.flash.bytes:
        raise TinyopsError(
            f"two banks of {region.bank_bytes:,} B and a journal need {region.nbytes:,} B of flash",
            where=f"board {board.name}",
            allowed=f"{board.flash.bytes:,} B with firmware and model",
            hint="a smaller --bank-bytes, or tinyops boards, to find one with more memory",
        )
    vendor = vendor_uuid(settings.vendor)
    class_id = class_uuid(vendor, class_text(board, program, data))
    return UpdateBuild(settings, region, data, capsule, vendor, class_id, progress)


def class_text(board: Board, program: Program, data: DataSection) -> str:
    """What the class identifier of a model component is made of: board|kernel-abi|task."""
    return f"{board.name}|{data.abi.hex()[:16]}|{program.name}"


def update_defines(build: UpdateBuild) -> list[str]:
    """Flags of the compiler for the sources of updatable firmware."""
    region = build.region
    values = {
        "TO_FLASH_REGION_BYTES": region.nbytes,
        "TO_FLASH_ERASE_BYTES": region.erase_bytes,
        "TO_FLASH_WRITE_BYTES": region.write_bytes,
        "TO_UPDATE_HEALTH_INFERENCES": build.settings.health_window,
    }
    if "hsslms" in build.settings.algorithms:
        values["TO_UPDATE_ENVELOPE_MAX"] = 4096
    return ["-DTO_UPDATABLE", *(f"-D{name}={value}u" for name, value in values.items())]


def emit_update_config(build: UpdateBuild) -> str:
    """The C file with `to_device_update`: keys and identity."""
    lines = ["/* Keys and identity of updates. */", '#include "tinyops/to_update.h"', ""]
    for i, key in enumerate(build.settings.keys):
        lines += [_array(f"kid_{i}", key.kid), _array(f"key_{i}", key.raw)]
    lines += [_array("vendor", build.vendor_id.bytes), _array("class_id", build.class_id.bytes), ""]
    lines.append(f"static const to_cose_key keys[{len(build.settings.keys)}] = {{")
    for i, key in enumerate(build.settings.keys):
        flags = ROLE_FLAGS[key.role]
        lines.append(f"    {{ {{ kid_{i}, {len(key.kid)} }}, key_{i}, {len(key.raw)}, {key.algorithm}, {flags} }},")
    lines += [
        "};",
        "",
        "const to_update_config to_device_update = {",
        "    .model = &to_device_model,",
        "    .keys = keys,",
        "    .vendor = vendor,",
        "    .class_id = class_id,",
        f"    .key_count = {len(build.settings.keys)},",
        f"    .first_sequence = {build.settings.sequence}u,",
        "};",
        "",
    ]
    return "\n".join(lines)


def describe_update(build: UpdateBuild) -> dict[str, Any]:
    """The section "update" of report.json; sizes in bytes."""
    region, settings = build.region, build.settings
    return {
        "vendor": settings.vendor,
        "vendor_id": build.vendor_id.hex,
        "class_id": build.class_id.hex,
        "component": [MODEL_COMPONENT],
        "sequence": settings.sequence,
        "health_window": settings.health_window,
        "algorithms": list(settings.algorithms),
        "libraries": [f"{found.library} {found.version} ({found.spdx})" for found in build.crypto.licences],
        "keys": [{"kid": key.kid.hex(), "algorithm": key.algorithm, "role": key.role} for key in settings.keys],
        "kernel_abi": build.data.abi.hex(),
        "plan": build.data.plan.hex(),
        "capsule": {
            "file": CAPSULE,
            "bytes": len(build.capsule),
            "data_bytes": len(build.data.content),
            "sha256": hashlib.sha256(build.capsule).hexdigest(),
        },
        "region": {
            "bytes": region.nbytes,
            "erase_bytes": region.erase_bytes,
            "write_bytes": region.write_bytes,
            "journal_page_bytes": region.page_bytes,
            "bank_bytes": region.bank_bytes,
        },
    }


def measure_update(elf: Path, own: Sequence[Path], crypto: Sequence[Path], others: Sequence[Path]) -> dict[str, Any]:
    """Bytes of what receives updates: objects of its `own`, and of `crypto`, cryptographic primitives and libraries.

    A symbol counts where an object has its name; names that the `others` have, too, are theirs, but for the update's
    memory, which the device has. Texts have no symbols: those of the objects count, before equal ones are merged.
    """
    parts = {"own": own, "crypto": crypto}
    rest = {name for path in others for name in _names(path)}
    linked = elf_symbols(elf)
    found: dict[str, Any] = {"kind": "by the symbols and texts of their objects"}
    for part, paths in parts.items():
        names = {name for path in paths for name in _names(path)} - rest
        rest |= names
        mine = [s for s in linked if s.name in names or (part == "own" and _MEMORY.fullmatch(s.name))]
        in_ram = (".bss", ".data")
        here = {s.name for s in mine}
        linked_paths = [path for path in paths if here & _names(path)]
        texts = sum(s.size for path in linked_paths for s in elf_sections(path) if _TEXTS.match(s.name))
        found[f"{part}_flash_bytes"] = texts + sum(s.size for s in mine if not s.section.startswith(".bss"))
        found[f"{part}_ram_bytes"] = sum(s.size for s in mine if s.section.startswith(in_ram))
    return found


def _names(path: Path) -> set[str]:
    return {symbol.name for symbol in elf_symbols(path) if not _MEMORY.fullmatch(symbol.name)}


def _round_up(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _array(name: str, data: Sequence[int]) -> str:
    return f"static const uint8_t {name}[{len(data)}] = {{ {', '.join(f'0x{byte:02x}' for byte in data)} }};"
