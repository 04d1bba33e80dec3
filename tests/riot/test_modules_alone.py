"""Each module comes into an application by two lines, alone or with others, and leaves the rest of it alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.riot_builds import settings_for
from tinyops.device.riot.base import RiotBase
from tinyops.resources import data_dir

pytestmark = [pytest.mark.riot, pytest.mark.slow]

OWN = Path(__file__).resolve().parent / "own"
NETWORK = ("netdev_default", "auto_init_gnrc_netif", "gnrc_ipv6_default")
#: Of boards that need another one than newlib.
LIBRARY = {"hifive1b": "picolibc"}
MAKEFILE = """\
APPLICATION = alone
EXTERNAL_MODULE_DIRS += {modules} {model}
USEMODULE += {chosen}
FEATURES_REQUIRED += {features}
CFLAGS += -DCONFIG_TINYOPS_BLOCK_EXPONENT=4
include $(RIOTBASE)/Makefile.include
"""
MAIN = """\
#include <stdio.h>
#include "tinyops.h"

int main(void) {
    static const unsigned char data[1500] = {1, 2, 3}, loops[8];
    static unsigned char sum[1500], total[8];
    const void *inputs[] = {data, loops};
    void *outputs[] = {sum, total};
    for (int step = 0; step < 3; step++) {
        int result = tinyops_infer(inputs, outputs);
        printf("main: %d: %u %u %u\\n", result, sum[0], sum[2], total[4]);
    }
    tinyops_lock();
    tinyops_reset();
    tinyops_lock();
    tinyops_invoke();
    tinyops_unlock();
    printf("main: %u\\n", ((const unsigned char *)tinyops_output(1))[4]);
    tinyops_unlock();
    return 0;
}
"""


def _build(base: RiotBase, board: str, modules: Sequence[str], folder: Path) -> Path:
    settings_for(base, board)  # or skips
    places = {"modules": data_dir("firmware") / "riot" / "modules", "model": OWN / "modules"}
    (folder / "Makefile").write_text(
        MAKEFILE.format(**places, chosen=" ".join(modules), features=LIBRARY.get(board, ""))
    )
    (folder / "main.c").write_text(MAIN)
    made = subprocess.run(
        ["make", "-j2", f"RIOTBASE={base.path}", f"BINDIRBASE={folder / 'bin'}", f"BOARD={board}", "all"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return folder / "bin" / board / "alone.elf"


@pytest.mark.parametrize(
    "modules",
    [("tinyops_device",), ("tinyops_slipmux",), ("tinyops_coap", *NETWORK)],
    ids=lambda modules: modules[0],
)
def test_application_with_one_module(riot_base: RiotBase, modules: Sequence[str], tmp_path: Path) -> None:
    program = _build(riot_base, "native64", modules, tmp_path)
    tap = ["nosuchtap"] if "netdev_default" in modules else []
    process = subprocess.Popen(
        [str(program), *tap],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = ""
    try:
        for line in process.stdout:
            said += line.decode(errors="replace")
            if tap or "main: 7" in said:
                break
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if not tap:  # on a network it is tried elsewhere; frames of text may stand before its own
        assert re.findall("main: [0-9: ]+", said) == [
            "main: 0: 8 10 7",
            "main: 0: 9 11 8",
            "main: 0: 10 12 9",
            "main: 7",
        ]


@pytest.mark.parametrize("board", ["nrf52840dk", "samr21-xpro", "hifive1b"])
@pytest.mark.parametrize(
    "modules",
    [
        ("tinyops_device",),
        ("tinyops_slipmux", "tinyops_slipmux_uart"),
        ("tinyops_slipmux", "tinyops_coap", *NETWORK),
    ],
    ids=lambda modules: modules[-1] if modules[-1].startswith("tinyops") else "both",
)
def test_boards(riot_base: RiotBase, board: str, modules: Sequence[str], tmp_path: Path) -> None:
    if board == "hifive1b" and "tinyops_coap" in modules:
        pytest.skip("hifive1b has no network")
    assert _build(riot_base, board, modules, tmp_path).stat().st_size > 0
