"""The device's parsers under a fuzzer, for a bounded time, from the committed corpus."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.firmware import FAKE_MODEL
from tests.support.fuzzing import fuzz
from tinyops.device.board import find_board
from tinyops.device.firmware import firmware_sources
from tinyops.resources import data_dir


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-DTO_FEATURES",), ("-DTO_NETWORK", "-DTO_DEVICE_PEERS=3")], ids=str)
def test_fuzz_device(options: tuple[str, ...], tmp_path: Path) -> None:
    everywhere = firmware_sources(find_board("qemu-cortex-m4")).sources
    common = [path for path in everywhere if path.parent.name == "src" and path.name != "main.c"]
    flags = ['-DTINYOPS_VERSION="fuzz"', *options]
    fuzz("fuzz_device.c", [FAKE_MODEL, *common], data_dir("firmware") / "fuzz" / "corpus", tmp_path, flags)
