"""The receiver as devices have it: all features, all compilers, without warnings; its flash, RAM and stack."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.receiver import FIRMWARE, TESTS, WARNINGS, build_program, libraries, receiver_sources, run
from tinyops.device.board import Board, find_board
from tinyops.device.crypto import ALGORITHMS
from tinyops.suit.reasons import Reason

#: What is cryptography of our own, and counted with the libraries.
CRYPTO = {"to_aes", "to_ed25519", "to_hmac", "to_hsslms", "to_p256", "to_sha256"}
FLASH_BYTES, RAM_BYTES, STACK_BYTES = 10_000, 1_200, 640
FEATURES: list[tuple[str, ...]] = [(), *((one,) for one in ALGORITHMS), ALGORITHMS]


def tool(board: Board, name: str) -> str:
    found = shutil.which(f"{board.toolchain.name}-{name}")
    return found or pytest.skip(f"{board.toolchain.name}-{name} is not installed")


def compile_receiver(command: Sequence[str], features: Sequence[str], folder: Path) -> list[Path]:
    """Objects of the receiver's files; a warning is an error."""
    crypto = libraries(features)
    include = [f"-I{path}" for path in (FIRMWARE / "common" / "include", *crypto.include_dirs)]
    objects = []
    for path in receiver_sources():
        objects.append(folder / f"{path.stem}.o")
        run([*command, *WARNINGS, *crypto.cflags, *include, "-c", path, "-o", objects[-1]])
    return objects


@pytest.mark.parametrize("features", FEATURES, ids=lambda names: "+".join(names) or "none")
@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_host_compilers(cc: str, features: tuple[str, ...], tmp_path: Path) -> None:
    if shutil.which(cc) is None:
        pytest.skip(f"{cc} is not installed")
    compile_receiver([cc, "-O2"], features, tmp_path)


@pytest.mark.parametrize("features", [("ed25519",), ALGORITHMS], ids=["default", "all"])
@pytest.mark.parametrize("name", ["qemu-cortex-m4", "qemu-riscv32"])
def test_targets(name: str, features: tuple[str, ...], tmp_path: Path) -> None:
    board = find_board(name)
    compile_receiver([tool(board, "gcc"), *board.toolchain.flags, "-Os"], features, tmp_path)


def test_flash_ram_and_stack(tmp_path: Path) -> None:
    board = find_board("qemu-cortex-m4")
    command = [tool(board, "gcc"), *board.toolchain.flags, "-Os", "-fstack-usage"]
    objects = [path for path in compile_receiver(command, ("ed25519",), tmp_path) if path.stem not in CRYPTO]
    lines = subprocess.run([tool(board, "size"), *objects], capture_output=True, text=True, check=True).stdout
    sizes = [[int(word) for word in line.split()[:3]] for line in lines.splitlines()[1:]]
    assert len(sizes) == len(objects)
    assert 4000 < sum(text for text, _, _ in sizes) <= FLASH_BYTES
    assert all(data + bss == 0 for _, data, bss in sizes)  # no memory of its own
    frames = [line.split("\t") for path in tmp_path.glob("*.su") for line in path.read_text().splitlines()]
    assert {kind for _, _, kind in frames} == {"static"}
    assert max(int(size) for _, size, _ in frames) <= STACK_BYTES
    probe = tmp_path / "probe.c"
    probe.write_text('#include "tinyops/to_suit.h"\nchar room[sizeof(to_suit)];\n')
    run([*command, f"-I{FIRMWARE / 'common' / 'include'}", "-c", probe, "-o", tmp_path / "probe.o"])
    nm = subprocess.run([tool(board, "nm"), "-S", tmp_path / "probe.o"], capture_output=True, text=True, check=True)
    assert 0 < int(nm.stdout.split()[1], 16) <= RAM_BYTES


def test_what_is_not_compiled_in_is_unsupported(tmp_path: Path) -> None:
    cc = shutil.which("cc") or pytest.skip("no C compiler is installed")
    program = build_program(TESTS / "crypto_check.c", tmp_path / "none", cc=cc, flags=("-O1",), algorithms=())
    requests = [
        f"ed25519 {'00' * 32} {'00' * 64} 00",
        f"es256 {'00' * 64} {'00' * 64} 00",
        f"ecdh {'00' * 32} {'00' * 64}",
        f"hsslms {'00' * 60} {'00' * 100} 00",
        f"kw {'00' * 16} {'00' * 24}",
        f"ctr {'00' * 16} {'00' * 16} 00",
        f"gcm {'00' * 16} {'00' * 12} - 00 {'00' * 16}",
        f"ccm_encrypt {'00' * 16} {'00' * 13} - 00 0008",
        f"ccm_decrypt {'00' * 16} {'00' * 13} - {'00' * 9} 0008",
        f"cose_decrypt d8608440a0f680 00 - {'00' * 16} 0003",
    ]
    result = subprocess.run(
        [program], input="\n".join(requests) + "\n", capture_output=True, text=True, check=True
    ).stdout
    assert result.splitlines() == [f"{Reason.UNSUPPORTED.value} "] * len(requests)
