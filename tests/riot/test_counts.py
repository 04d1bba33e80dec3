"""What emulated hardware says of its counters by itself: nothing that would pass for a measurement."""

from __future__ import annotations

from pathlib import Path

import cbor2
import pytest

from tests.support.riot_builds import need_emulator, riot_build
from tinyops.device.emulator import launch
from tinyops.device.riot.base import RiotBase
from tinyops.resources import data_dir

pytestmark = [pytest.mark.riot, pytest.mark.slow]

MODEL = data_dir("models") / "motions" / "motions.tflite"


@pytest.mark.parametrize("name", ["native64", "microbit", "hifive1b"])
def test_firmware_measures_nothing_where_it_is_emulated(riot_base: RiotBase, name: str, tmp_path: Path) -> None:
    """Before any client decides: hifive1b's mcycle counts in QEMU, and its firmware knows better."""
    build = riot_build(riot_base, name, MODEL, tmp_path / "build")
    need_emulator(build.board)
    with launch(build.board, build.elf) as client:
        info = cbor2.loads(client.get("info"))
        assert info["counter"] == "none"
        assert "clock_hz" not in info
        profile = cbor2.loads(client.get("profile"))
        assert (profile["kind"], profile["invocation"], profile["layers"]) == ("none", None, [])
        assert 0 < profile["stack_bytes_used"] < 1 << 16
