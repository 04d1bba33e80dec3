"""`tinyops flash`: the flash image is what the board boots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

ERASE_BYTES = 4096  # boards/qemu-cortex-m4.toml


def test_image_is_whole_erase_units(tinyops: Any, digits: Path, emulator: str) -> None:
    assert tinyops("build", digits, "-b", emulator).code == 0
    done = tinyops("flash", "-b", emulator, "--json")
    firmware = Path(f"build/{emulator}/firmware.bin").read_bytes()
    assert done.json() == {
        "board": emulator,
        "image": f"build/{emulator}/flash.img",
        "bytes": len(firmware),
        "verified": True,
    }
    image = Path(f"build/{emulator}/flash.img").read_bytes()
    assert len(image) % ERASE_BYTES == 0
    assert len(image) - len(firmware) < ERASE_BYTES
    assert image[: len(firmware)] == firmware
    assert set(image[len(firmware) :]) <= {0xFF}


def test_run_boots_exactly_the_image(tinyops: Any, digits: Path, emulator: str) -> None:
    """Another name of the model, patched into the image, is what the device then says; the image stays as it is."""
    assert tinyops("build", digits, "-b", emulator, "-o", "b").code == 0
    assert tinyops("flash", "b").code == 0
    image = Path("b/flash.img")
    np.save("x.npy", np.full((1, 8, 8, 1), 5, np.int8))
    assert tinyops("run", "b", "-i", "x.npy", "-o", "before.npy").code == 0
    digest = bytes.fromhex(json.loads(Path("b/report.json").read_text())["model"]["sha256"])
    content = image.read_bytes()
    assert content.count(digest) == 1
    patched = content.replace(digest, bytes(32))
    image.write_bytes(patched)
    done = tinyops("run", "b", "-i", "x.npy", "-o", "after.npy")
    assert done.code == 0
    assert "was not made from b/model.tflite" in done.err
    np.testing.assert_array_equal(np.load("before.npy"), np.load("after.npy"))
    assert image.read_bytes() == patched
    assert tinyops("flash", "b").code == 0
    assert image.read_bytes() == content


def test_the_host_has_an_image_too(tinyops: Any, host_build: Path) -> None:
    done = tinyops("flash", host_build)
    assert "host: " in done.out
    assert "and verified" in done.out
    assert (host_build / "flash.img").read_bytes() == (host_build / "firmware.elf").read_bytes()
    assert tinyops("run", host_build, "--verify").code == 0


def test_an_image_is_made_where_there_is_none(tinyops: Any, host_build: Path) -> None:
    assert not (host_build / "flash.img").exists()
    assert tinyops("run", host_build, "--verify").code == 0
    assert (host_build / "flash.img").exists()


def test_options_of_real_boards_are_refused_for_images(tinyops: Any, host_build: Path) -> None:
    for option in (
        ["--probe", "1"],
        ["--all"],
        ["--erase"],
        ["--recover"],
        ["--backend", "pyocd"],
        ["--model-bank", "x"],
    ):
        done = tinyops("flash", host_build, *option)
        assert (done.code, f"{option[0]}: is for real boards alone" in done.err) == (2, True), done.err
    assert not (host_build / "flash.img").exists()


def test_firmware_beyond_the_flash(tinyops: Any, digits: Path, emulator: str) -> None:
    assert tinyops("build", digits, "-b", emulator, "-o", "b").code == 0
    with Path("b/firmware.bin").open("ab") as file:
        file.truncate(4_194_305)
    done = tinyops("flash", "b")
    assert done.code == 1
    assert "firmware of 4,194,305 bytes" in done.err
    assert "4,194,304 bytes of flash" in done.err
    assert not Path("b/flash.img").exists()


def test_folders_without_build(tinyops: Any, host_build: Path, digits: Path) -> None:
    Path("empty").mkdir()
    cases = {
        ("empty",): "holds no finished build",
        ("nowhere",): "nowhere: no such folder",
        (str(digits),): "is a file",
        (str(host_build), "-b", "qemu-cortex-m3"): "was built for host",
        ("-b", "host"): "build/host: no such folder",
        (): "FOLDER, or --board NAME",
    }
    for arguments, text in cases.items():
        done = tinyops("flash", *arguments)
        assert (done.code, text in done.err) == (2, True), done.err
    (host_build / "firmware.elf").unlink()
    gone = tinyops("flash", host_build)
    assert (gone.code, "firmware.elf: cannot be read" in gone.err) == (2, True)


def test_damaged_reports(tinyops: Any, host_build: Path) -> None:
    for text in ("", "[]", "3", '{"board": []}', '{"board": {"name": ["host"]}}', "[" * 100_000, "\x00"):
        (host_build / "report.json").write_text(text)
        done = tinyops("flash", host_build)
        assert (done.code, "holds no finished build" in done.err) == (2, True), text[:20]
