"""Updates in a RIOT application: modules, defines and files of an updatable build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyops.device.board import Board, Memory
from tinyops.device.elf import elf_value, loaded_parts
from tinyops.device.firmware import BASE, PRIMITIVES
from tinyops.device.riot.base import refuse_for_make
from tinyops.device.riot.facts import RiotFacts
from tinyops.device.riot.parts import RiotParts
from tinyops.device.update import UpdateBuild, describe_update, measure_update
from tinyops.errors import TinyopsError, UsageError

#: Where an update's region is, by the module that has it there.
_MEMORIES = {"tinyops_update_flashpage": "flash", "tinyops_update_mtd": "mtd", "tinyops_update_vfs": "vfs"}
#: A write unit that is a multiple of what any driver of RIOT writes: of TO_FLASH_WRITE_MAX bytes.
_WRITE_BYTES = 32
#: The symbol at the region's start in flash, where RIOT's linker scripts are told of the region.
_REGION = "_tinyops_update_region"
#: Models whose flash is erased to zeros, by RIOT's CPU_MODEL.
_ERASED_TO_ZERO = ("stm32l0", "stm32l1")
_OWN, _CRYPTO = "tinyops_update", "tinyops_crypto"


def _is_in_place(facts: RiotFacts) -> bool:
    """Whether models are in the processor's own flash: the choice of firmware/riot/modules/tinyops_update."""
    return "periph_flashpage" in facts.provided and not facts.native


def update_board(board: Board, facts: RiotFacts) -> Board:
    """`board` with the flash that updates have: its own in units that RIOT's drivers take, or none of its own."""
    if board.flash is None or not _is_in_place(facts):
        return board.model_copy(update={"flash": None})
    flash = Memory(**board.flash.model_dump() | {"write_bytes": _WRITE_BYTES})
    return board.model_copy(update={"flash": flash})


def left_for_model(board: Board, facts: RiotFacts, build: UpdateBuild) -> tuple[int | None, int | None]:
    """Bytes of flash and of RAM, as far as they are known, beside the region: models that are not mapped are in RAM."""
    flash, ram = (None if memory is None else memory.bytes for memory in (board.flash, board.ram))
    if _is_in_place(facts):
        return None if flash is None else flash - build.region.nbytes, ram
    if ram is not None and ram <= build.region.nbytes:
        raise TinyopsError(
            f"RIOT does not write this board's flash, and {build.region.nbytes:,} B for two models and a journal are "
            f"more than its RAM has",
            where=f"board {board.name}",
            hint="--not-updatable, or another board",
        )
    return flash, None if ram is None else ram - build.region.nbytes


def update_parts(build: UpdateBuild, facts: RiotFacts) -> RiotParts:
    """What `build` adds on the board of `facts`; UsageError for folders that make would take apart."""
    region, crypto = build.region, build.crypto
    for path in (*crypto.sources, *crypto.include_dirs):
        refuse_for_make(path)
    memory = "flash" if _is_in_place(facts) else "mtd"
    module = next(module for module, name in _MEMORIES.items() if name == memory)
    defines = {"TO_UPDATE_HEALTH_INFERENCES": f"{build.settings.health_window}u"}
    if build.settings.server is not None:
        if "tinyops_coap" not in facts.modules:
            raise UsageError(
                "a server of check-ins without a network to reach it by", where="--update-server", hint="--network"
            )
        defines["CONFIG_TINYOPS_UPDATE_SERVER"] = f'\\"{build.settings.server}\\"'
        defines["CONFIG_TINYOPS_UPDATE_CHECK_IN_SECONDS"] = str(build.settings.check_in_seconds)
    return RiotParts(
        modules=(_OWN, module, *(f"{_CRYPTO}_{name}" for name in build.settings.algorithms)),
        defines=defines,
        variables={
            "TINYOPS_UPDATE_REGION_BYTES": str(region.nbytes),
            "TINYOPS_UPDATE_ERASE_BYTES": str(region.erase_bytes),
            "TINYOPS_UPDATE_WRITE_BYTES": str(region.write_bytes),
            "TINYOPS_CRYPTO_SOURCES": " ".join(str(path) for path in crypto.sources),
            "TINYOPS_CRYPTO_INCLUDES": " ".join(str(path) for path in crypto.include_dirs),
            "TINYOPS_CRYPTO_CFLAGS": " ".join(flag for flag in crypto.cflags if not flag.startswith("-DTO_CRYPTO_")),
        },
        files={"licences.txt": build.licences} if crypto.licences else {},
    )


def update_report(build: UpdateBuild, facts: RiotFacts, elf: Path, objects: Path) -> dict[str, Any]:
    """The section "update" of report.json; `objects` has a folder with the objects of each module."""
    memory = next((name for module, name in _MEMORIES.items() if module in facts.modules), None)
    if memory is None:
        raise UsageError("the application does not keep models", where=f"board {facts.board}", hint="--not-updatable")
    report = describe_update(build)
    address = elf_value(elf, _REGION) if memory == "flash" else None
    if address is not None:
        _refuse_overlap(elf, address, build.region.nbytes, facts)
    report["region"] |= {
        "memory": memory,
        "address": address,
        "erased": 0x00 if facts.cpu_model.startswith(_ERASED_TO_ZERO) else 0xFF,
    }
    parts = sorted((objects / _OWN).glob("*.o"))
    crypto = [path for path in parts if path.stem in PRIMITIVES]
    own = [path for path in parts if path.stem not in PRIMITIVES]
    foreign = sorted((objects / _CRYPTO).glob("*.o"))
    others = [path for path in sorted((objects / "tinyops_device").glob("*.o")) if path.stem in BASE]
    return report | {"code": measure_update(elf, own, [*crypto, *foreign], others)}


def _refuse_overlap(elf: Path, address: int, size: int, facts: RiotFacts) -> None:
    """TinyopsError for firmware that loads something into the region, which updates erase: a chip may start by it."""
    for start, data in loaded_parts(elf):
        if start < address + size and address < start + len(data):
            raise TinyopsError(
                f"the firmware has {len(data):,} B at {start:#010x}, where updates of the model go",
                where=f"board {facts.board}",
                allowed=f"nothing from {address:#010x} to {address + size:#010x}",
                hint="--not-updatable, or another board",
            )
