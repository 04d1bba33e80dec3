"""Updatable builds: the flash region, the generated tables, the factory capsule, the report."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import numpy as np
import pytest

from tests.features.models import TABLES, copying_model, random_raw
from tests.support.inputs import sequence
from tests.support.reference_models import own_models
from tests.support.tflm import ORACLE
from tinyops.device.board import Board, Memory, find_board
from tinyops.device.build import Build, build_firmware
from tinyops.device.elf import elf_sections, loaded_parts
from tinyops.device.emulator import launch
from tinyops.device.flash import flash_build
from tinyops.device.session import run_sequence
from tinyops.device.update import UpdateKey, UpdateRegion, UpdateSettings, class_text, emit_update_config
from tinyops.emit.capsule import read_capsule
from tinyops.errors import TinyopsError, UsageError
from tinyops.features import ModelFeatures, read_settings
from tinyops.load import load_model
from tinyops.passes import run_passes
from tinyops.resources import data_dir

DIGITS = data_dir("models") / "digits" / "digits.tflite"
ED25519 = -19


def _key(number: int, role: Any = "signer") -> UpdateKey:
    raw = bytes([number]) * 32
    return UpdateKey(ED25519, raw, hashlib.sha256(raw).digest()[:8], role)


SETTINGS = UpdateSettings((_key(1), _key(2, "root")), vendor="example.com", sequence=7)


def _board(name: str) -> Board:
    board = find_board(name)
    compiler = "gcc" if board.toolchain.name == "host" else f"{board.toolchain.name}-gcc"
    for program in (compiler, *([board.emulator.program] if board.emulator else [])):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    return board


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("m4") / "build"
    return build_firmware(DIGITS, _board("qemu-cortex-m4"), folder, name="digits", update=SETTINGS)


@pytest.mark.parametrize(
    ("erase", "write", "page", "bank"),
    [
        (4096, 4, 4096, 16384),  # 11,427 bytes and a quarter more, in whole erase units
        (256, 8, 768, 14336),
        (1024, 16, 1024, 14336),
        (65536, 32, 65536, 65536),
        (None, None, 4096, 16384),
    ],
)
def test_region_is_of_whole_erase_units(erase: int | None, write: int | None, page: int, bank: int) -> None:
    region = UpdateRegion.plan(Memory(origin=0, bytes=1 << 20, erase_bytes=erase, write_bytes=write), 11427, None)
    assert (region.page_bytes, region.bank_bytes) == (page, bank)
    assert region.nbytes == 2 * page + 2 * bank
    assert region.nbytes % region.erase_bytes == 0


def test_bank_of_a_given_size() -> None:
    assert UpdateRegion.plan(None, 1000, 9000).bank_bytes == 12288
    with pytest.raises(UsageError, match="a bank of 999 B"):
        UpdateRegion.plan(None, 1000, 999)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (UpdateSettings(()), "0 update keys"),
        (UpdateSettings(tuple(_key(k) for k in range(9))), "9 update keys"),
        (UpdateSettings((_key(1), _key(1))), "named twice"),
    ],
)
def test_settings_that_cannot_be_used(settings: UpdateSettings, text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=text):
        build_firmware(DIGITS, find_board("host"), tmp_path / "build", name="digits", update=settings)
    assert not (tmp_path / "build").exists()


def test_banks_count_before_anything_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """40,960 B of region and 11,427 B of capsule do not go into 48 KiB."""
    monkeypatch.setenv("PATH", "")
    board = find_board("qemu-cortex-m4")
    for size, text in ((49152, "two banks of 16,384 B and a journal need 40,960 B"), (57344, "at least .* of flash")):
        small = board.model_copy(update={"flash": Memory(origin=0, bytes=size, erase_bytes=4096)})
        with pytest.raises(TinyopsError, match=text):
            build_firmware(DIGITS, small, tmp_path / "build", name="digits", update=SETTINGS)
    assert not (tmp_path / "build").exists()


def test_report(built: Build) -> None:
    report = json.loads((built.folder / "report.json").read_text())
    section = report["update"]
    capsule = (built.folder / "capsule.bin").read_bytes()
    read = read_capsule(capsule)
    vendor = uuid5(NAMESPACE_DNS, "example.com")
    assert section["capsule"] == {
        "file": "capsule.bin",
        "bytes": len(capsule),
        "data_bytes": len(read.data),
        "sha256": hashlib.sha256(capsule).hexdigest(),
    }
    assert (section["vendor_id"], section["sequence"]) == (vendor.hex, 7)
    info = f"qemu-cortex-m4|{read.kernel_abi.hex()[:16]}|digits"
    assert section["class_id"] == uuid5(vendor, info).hex
    assert section["plan"] == read.plan.hex()
    assert [key["role"] for key in section["keys"]] == ["signer", "root"]
    region = section["region"]
    assert region["bytes"] == 2 * region["journal_page_bytes"] + 2 * region["bank_bytes"]
    code = section["code"]
    assert 10_000 < code["own_flash_bytes"] < 40_000
    assert 4_000 < code["crypto_flash_bytes"] < 12_000
    assert 1_000 < code["own_ram_bytes"] < 10_000
    assert report["memory"]["flash_model_bytes"] == len(capsule) + -len(capsule) % 4
    assert read.metadata["model"] == "digits.tflite"


def test_factory_capsule_is_in_the_image_and_the_region_is_not(built: Build) -> None:
    capsule, flash = (built.folder / "capsule.bin").read_bytes(), built.board.flash
    assert flash is not None
    assert built.update is not None
    parts = loaded_parts(built.elf)
    found = [address + content.find(capsule) for address, content in parts if capsule in content]
    assert len(found) == 1
    assert found[0] % 16 == 0
    start = flash.origin + flash.bytes - built.update.region.nbytes
    assert max(address + len(content) for address, content in parts) <= start
    assert all(s.load_address + s.size <= start for s in elf_sections(built.elf) if s.loaded)


def test_a_plain_build_leaves_nothing_of_an_updatable_one(tmp_path: Path) -> None:
    board = _board("host")
    build_firmware(DIGITS, board, tmp_path, name="digits", update=SETTINGS)
    assert (tmp_path / "capsule.bin").is_file()
    plain = build_firmware(DIGITS, board, tmp_path, name="digits")
    assert not [name for name in ("capsule.bin", "factory.c", "update_config.c") if (tmp_path / name).exists()]
    assert (tmp_path / "lib" / "digits_constants.c").is_file()
    assert "update" not in plain.report
    assert plain.update is None


def test_keys_and_identity_in_c(built: Build) -> None:
    assert built.update is not None
    text = emit_update_config(built.update)
    assert (built.folder / "update_config.c").read_text() == text
    for key in SETTINGS.keys:
        assert ", ".join(f"0x{byte:02x}" for byte in key.kid) in text
    assert "{ { kid_0, 8 }, key_0, 32, -19, 1 }," in text
    assert "{ { kid_1, 8 }, key_1, 32, -19, 2 }," in text
    assert ".first_sequence = 7u," in text


def test_class_names_board_kernels_and_task(built: Build) -> None:
    assert built.update is not None
    data = built.update.data
    other = replace(data, abi=bytes(32))
    texts = {
        class_text(built.board, built.compiled.program, data),
        class_text(built.board, built.compiled.program, other),
        class_text(find_board("host"), built.compiled.program, data),
    }
    assert len(texts) == 3


@pytest.mark.parametrize(("name", "kind"), [("host", "log-mel"), ("qemu-cortex-m4", "image"), ("host", "imu, ring")])
def test_front_ends_of_updatable_firmware(name: str, kind: str, tmp_path: Path) -> None:
    board = _board(name)
    table, shape, dtype = TABLES[kind]
    model = tmp_path / "copy.tflite"
    model.write_bytes(copying_model(shape, dtype))
    settings = read_settings(table, "test")
    built = build_firmware(model, board, tmp_path / "build", name="copy", features=settings, update=SETTINGS)
    features = ModelFeatures.of(settings, [port.tensor for port in built.compiled.program.inputs])
    raw = random_raw(features, 2)
    expected = features.stream().inputs(raw)
    with launch(board, built.elf) as client:
        (found,) = client.infer_raw(raw[: features.first_steps])
        assert np.array_equal(found, expected[0].ravel())
        (found,) = client.infer_raw(raw[features.first_steps :][: features.next_steps])
        assert np.array_equal(found, expected[1].ravel())


@pytest.mark.slow
@pytest.mark.parametrize("path", own_models(), ids=lambda path: path.stem)
@pytest.mark.parametrize("name", ["host", "qemu-cortex-m4", "qemu-cortex-m0plus", "qemu-cortex-m55", "qemu-riscv32"])
def test_outputs_are_those_of_tflite_micro(name: str, path: Path, tmp_path: Path) -> None:
    board = _board(name)
    model = run_passes(load_model(path))
    rows = sequence(model, path, 20)
    built = build_firmware(path, board, tmp_path, name="model", update=SETTINGS)
    with launch(board, flash_build(tmp_path, board).image) as client:
        result = run_sequence(client, rows)
        info = client.info()
    wanted = ORACLE.run(path.read_bytes(), rows, outputs=len(model.main.outputs), seconds=180)
    for got, want in zip(result.outputs, wanted, strict=True):
        for g, w in zip(got, want.outputs, strict=True):
            np.testing.assert_array_equal(g, w)
    assert info.digest == built.compiled.program.digest
    for tensor, port in zip(info.inputs, built.compiled.program.inputs, strict=True):
        assert (tensor.scale, tensor.zero_point) == (pytest.approx(port.tensor.scale), port.tensor.zero_point)
