"""`tinyops completion`, and what the scripts then ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(tinyops: Any, shell: str) -> None:
    done = tinyops("completion", shell)
    assert done.code == 0
    assert f"_TINYOPS_COMPLETE={shell}_complete" in done.out
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=done.out, text=True, check=True)


def test_unknown_shell(tinyops: Any) -> None:
    done = tinyops("completion", "tcsh")
    assert (done.code, "'bash', 'zsh', 'fish'" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("tinyops in", "inspect"),
        ("tinyops boards sh", "show"),
        ("tinyops build --board qemu-cortex-m5", "qemu-cortex-m55"),
        ("tinyops boards show nrf52d", "nrf52dk"),
        ("tinyops run --ver", "--verify"),
        ("tinyops completion z", "zsh"),
    ],
)
def test_answers(words: str, wanted: str) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT),
        "_TINYOPS_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = subprocess.run([sys.executable, "-m", "tinyops"], env=environment, capture_output=True, text=True)
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == [wanted]
