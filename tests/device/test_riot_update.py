"""What updates add to an application of RIOT, without RIOT: where the region is, how large its units are, what is left
of the memories, modules and variables, and the section of the report."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tinyops.device.board import Board, Memory, find_board, find_riot_board
from tinyops.device.build import build_firmware, plan_updates
from tinyops.device.riot.facts import RiotFacts
from tinyops.device.riot.update import left_for_model, update_board, update_parts, update_report
from tinyops.device.update import UpdateBuild, UpdateKey, UpdateSettings
from tinyops.errors import TinyopsError, UsageError
from tinyops.lower.compile import CompiledModel, compile_model
from tinyops.resources import data_dir

DIGITS = data_dir("models") / "digits" / "digits.tflite"
RAW = bytes(range(32))
SETTINGS = UpdateSettings(
    (UpdateKey(-19, RAW, hashlib.sha256(RAW).digest()[:8]),), vendor="example.com", health_window=3
)
SERVER = "coap://[fd00::1]:5683"


@pytest.fixture(scope="module")
def compiled() -> CompiledModel:
    return compile_model(DIGITS, name="digits", by_structure=True)


def facts(
    provided: Sequence[str] = ("periph_flashpage",), modules: Sequence[str] = ("tinyops_coap",), cpu: str = "nrf52"
) -> RiotFacts:
    empty: tuple[str, ...] = ()
    return RiotFacts(
        board="some-board",
        cpu=cpu,
        cpu_model="nrf52840xxaa",
        core="cortex-m4f",
        compiler="gcc",
        prefix="arm-none-eabi-",
        packages=empty,
        modules=tuple(modules),
        provided=frozenset(provided),
        used=frozenset(),
        missing=empty,
        conflicting=empty,
        flags=empty,
        programmers=empty,
        prepares=empty,
        elf="",
        flash=None,
        ram=None,
    )


def board(erase: int | None = 4096, write: int | None = 4, flash: int = 1 << 20, ram: int = 1 << 18) -> Board:
    found = find_riot_board("nrf52840dk")
    assert found is not None
    memory = Memory(origin=0, bytes=flash, erase_bytes=erase, write_bytes=write)
    return found.model_copy(update={"flash": memory, "ram": Memory(origin=0x2000_0000, bytes=ram)})


def planned(compiled: CompiledModel, on: Board, known: RiotFacts, **changes: Any) -> UpdateBuild:
    return plan_updates(update_board(on, known), compiled, None, replace(SETTINGS, **changes), lambda _: None)


@pytest.mark.parametrize(("erase", "write"), [(4096, 4), (256, 64), (262_144, 4), (None, None)])
def test_the_units_are_those_of_the_flash_or_several_of_them(
    compiled: CompiledModel, erase: int | None, write: int | None
) -> None:
    on = board(erase, write, flash=2 << 20)
    region = planned(compiled, on, facts()).region
    assert (region.erase_bytes, region.write_bytes) == (erase or 4096, 32)
    assert region.page_bytes % region.erase_bytes == region.bank_bytes % region.erase_bytes == 0


def test_the_region_is_in_flash_where_riot_writes_it_else_in_ram(compiled: CompiledModel) -> None:
    on = board()
    for known, flash, ram in (
        (facts(), 1, 0),
        (facts(()), 0, 1),
        (facts(cpu="native"), 0, 1),  # native's flash is forgotten with the process
    ):
        build = planned(compiled, on, known)
        left = left_for_model(on, known, build)
        assert left == ((1 << 20) - flash * build.region.nbytes, (1 << 18) - ram * build.region.nbytes)
        module = "tinyops_update_flashpage" if flash else "tinyops_update_mtd"
        assert update_parts(build, known).modules == ("tinyops_update", module, "tinyops_crypto_ed25519")


def test_a_mirror_larger_than_the_ram_is_refused(compiled: CompiledModel) -> None:
    on = board(ram=16384)
    with pytest.raises(TinyopsError, match="more than its RAM has"):
        left_for_model(on, facts(()), planned(compiled, on, facts(())))


def test_banks_larger_than_the_flash_are_refused(compiled: CompiledModel) -> None:
    with pytest.raises(TinyopsError, match=r"two banks of 131,072 B"):
        planned(compiled, board(131_072, flash=1 << 19), facts())


def test_variables_have_the_sizes_of_the_plan_and_the_checked_sources(compiled: CompiledModel) -> None:
    build = planned(compiled, board(), facts(), bank_bytes=20_000)
    parts = update_parts(build, facts())
    assert parts.variables["TINYOPS_UPDATE_REGION_BYTES"] == str(2 * (4096 + 20_480)) == str(build.region.nbytes)
    assert parts.variables["TINYOPS_UPDATE_ERASE_BYTES"] == "4096"
    assert parts.variables["TINYOPS_UPDATE_WRITE_BYTES"] == "32"
    (source,) = parts.variables["TINYOPS_CRYPTO_SOURCES"].split()
    assert Path(source).name == "monocypher.c"
    assert Path(source).is_file()
    assert "TO_CRYPTO" not in parts.variables["TINYOPS_CRYPTO_CFLAGS"]
    assert parts.defines == {"TO_UPDATE_HEALTH_INFERENCES": "3u"}
    assert "Monocypher" in str(parts.files["licences.txt"])


def test_a_server_of_check_ins_needs_a_network(compiled: CompiledModel) -> None:
    build = planned(compiled, board(), facts(), server=SERVER, check_in_seconds=60)
    assert update_parts(build, facts()).defines == {
        "TO_UPDATE_HEALTH_INFERENCES": "3u",
        "CONFIG_TINYOPS_UPDATE_SERVER": f'\\"{SERVER}\\"',
        "CONFIG_TINYOPS_UPDATE_CHECK_IN_SECONDS": "60",
    }
    with pytest.raises(UsageError, match="without a network"):
        update_parts(build, facts(modules=("tinyops_slipmux",)))


@pytest.mark.parametrize(
    "server", ["coap://a", "coap://192.0.2.1", "coap://[fe80::1]", "coap://updates.example.com:61616"]
)
def test_servers(server: str) -> None:
    replace(SETTINGS, server=server).check()


@pytest.mark.parametrize(
    "server",
    [
        "",
        "a",
        "coap://",
        "coaps://a",
        "coap://a/m",
        "coap://a:0",
        "coap://a b",
        'coap://a"',
        "coap://$(a)",
        "coap://[",
        "coap://a\n",
    ],
)
def test_what_is_no_server(server: str) -> None:
    with pytest.raises(UsageError, match="no server"):
        replace(SETTINGS, server=server).check()


def test_a_report_without_a_memory_is_none(compiled: CompiledModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not keep models"):
        update_report(planned(compiled, board(), facts()), facts(), tmp_path / "none.elf", tmp_path)


def test_a_server_is_for_riot_alone(tmp_path: Path) -> None:
    settings = replace(SETTINGS, server=SERVER)
    with pytest.raises(UsageError, match="no server of check-ins"):
        build_firmware(DIGITS, find_board("host"), tmp_path / "build", name="digits", update=settings)
    assert not (tmp_path / "build").exists()
