"""The device's journal, banks and delta decoder in this process (tests/firmware/storage_tool.c by ctypes)."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from tinyops.resources import data_dir

TOOL = Path(__file__).resolve().parent.parent / "firmware" / "storage_tool.c"
FACTORY = 0xFF
SEQUENCES = 4


class State(IntEnum):
    EMPTY, DOWNLOAD, PENDING, TRY, CONFIRMED, REVERTED = range(6)


class JournalResult(IntEnum):
    OK, FLASH, LAYOUT, LOWERED = range(4)


class BanksResult(IntEnum):
    OK, FLASH, LAYOUT, BUSY, STATE, SIZE, OFFSET, DIGEST, TRIES_USED, LOWERED = range(10)


class DeltaResult(IntEnum):
    OK, MALFORMED, BASE, SIZE, SHORT, OUTPUT = range(6)


class Cut(IntEnum):
    NEVER, BEFORE, TORN, AFTER = range(4)


class Image(ctypes.Structure):
    _fields_ = (("bytes", ctypes.c_uint32), ("sequence", ctypes.c_uint32), ("digest", ctypes.c_uint8 * 32))


class Record(ctypes.Structure):
    _fields_ = (
        ("generation", ctypes.c_uint32),
        *((name, ctypes.c_uint8) for name in ("state", "bank", "tries", "reason", "confirmed", "flags")),
        ("sequences", ctypes.c_uint32 * SEQUENCES),
        ("attempt", ctypes.c_uint32),
        ("revoked", ctypes.c_uint32),
        ("offset", ctypes.c_uint32),
        ("images", Image * 2),
        ("manifest", ctypes.c_uint8 * 32),
    )

    def values(self) -> tuple[Any, ...]:
        """Everything but the generation, and without the bytes between the fields."""
        plain = (self.state, self.bank, self.tries, self.reason, self.confirmed, self.flags, self.attempt, self.revoked)
        return (*plain, self.offset, *self.sequences, *map(bytes, self.images), bytes(self.manifest))


@functools.cache
def library() -> ctypes.CDLL:
    """The compiled tool, with undefined behaviour fatal."""
    compiler = shutil.which("gcc") or shutil.which("clang") or pytest.skip("neither gcc nor clang is installed")
    firmware = data_dir("firmware")
    names = ("to_journal.c", "to_banks.c", "to_delta.c", "to_sha256.c")
    sources = [TOOL, firmware / "host" / "flash_file.c", *(firmware / "common" / "src" / name for name in names)]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "storage.so"
        flags = ["-std=c99", "-O1", "-g", "-fPIC", "-shared", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
        sanitize = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
        include = [f"-I{firmware / part}" for part in ("common/include", "host")]
        command = [compiler, *flags, *sanitize, *include, *map(str, sources), "-o", str(target)]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr
        loaded = ctypes.CDLL(str(target))
    loaded.device_new.restype = ctypes.c_void_p
    for name in ("device_content", "banks_memory"):
        getattr(loaded, name).restype = ctypes.POINTER(ctypes.c_uint8)
    for name in ("journal_newest", "banks_record"):
        getattr(loaded, name).restype = ctypes.POINTER(Record)
    for name in ("device_violations", "slot_bytes", "banks_bytes", "banks_offset"):
        getattr(loaded, name).restype = ctypes.c_uint32
    loaded.device_operations.restype = ctypes.c_uint64
    loaded.banks_running.restype = ctypes.c_uint8
    return loaded


class Device:
    """A flash with two journal pages and two banks; `call("banks_begin", ...)` is the C function of that name."""

    def __init__(
        self,
        page: int,
        bank: int,
        *,
        erase: int = 256,
        write: int = 4,
        erased: int = 0xFF,
        path: Path | None = None,
    ) -> None:
        self.bytes, self.page, self.bank_bytes = 2 * (page + bank), page, bank
        error = ctypes.create_string_buffer(300)
        self._handle = library().device_new(
            None if path is None else str(path).encode(),
            *map(ctypes.c_uint32, (self.bytes, erase)),
            ctypes.c_uint16(write),
            ctypes.c_uint8(erased),
            ctypes.c_uint32(page),
            error,
            ctypes.c_uint32(len(error)),
        )
        if not self._handle:
            raise OSError(error.value.decode())

    def close(self) -> None:
        if self._handle:
            library().device_free(ctypes.c_void_p(self._handle))
            self._handle = None

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, name: str, *arguments: Any) -> Any:
        return getattr(library(), name)(ctypes.c_void_p(self._handle), *arguments)

    def banks(self, name: str, *arguments: Any) -> BanksResult:
        return BanksResult(self.call(f"banks_{name}", *arguments))

    @property
    def content(self) -> ctypes.Array[ctypes.c_uint8]:
        """The flash itself: what is changed here is damage."""
        address = ctypes.addressof(self.call("device_content").contents)
        return (ctypes.c_uint8 * self.bytes).from_address(address)

    @property
    def violations(self) -> int:
        return int(self.call("device_violations"))

    @property
    def record(self) -> Record:
        return Record.from_buffer_copy(self.call("banks_record").contents)

    @property
    def newest(self) -> Record:
        return Record.from_buffer_copy(self.call("journal_newest").contents)

    @property
    def running(self) -> int:
        return int(self.call("banks_running"))

    @property
    def offset(self) -> int:
        return int(self.call("banks_offset"))

    def image(self, bank: int, size: int) -> bytes:
        return bytes(self.call("banks_memory", ctypes.c_uint8(bank))[:size])

    def append(self, record: Record) -> JournalResult:
        return JournalResult(self.call("journal_append", ctypes.byref(record)))

    def open_journal(self) -> JournalResult:
        return JournalResult(self.call("journal_open"))

    def open(self) -> BanksResult:
        """As after a reset."""
        self.call("device_power_on")
        return self.banks("open")

    def cut(self, cut: Cut, at: int, torn: int = 0, seed: int = 1) -> None:
        self.call("device_cut", cut, ctypes.c_uint64(at), torn, ctypes.c_uint64(seed))

    def begin(self, manifest: bytes, sequence: int, size: int) -> BanksResult:
        return self.banks("begin", manifest, ctypes.c_uint32(sequence), ctypes.c_uint32(size))

    def write(self, offset: int, data: bytes) -> BanksResult:
        return self.banks("write", ctypes.c_uint32(offset), data, ctypes.c_uint32(len(data)))

    def finish(self, image: bytes) -> BanksResult:
        return self.banks("finish", hashlib.sha256(image).digest())

    def pending(self, sequences: Sequence[int]) -> BanksResult:
        return self.banks("pending", (ctypes.c_uint32 * SEQUENCES)(*sequences))

    def revoke(self, keys: int, sequences: Sequence[int]) -> BanksResult:
        return self.banks("revoke", ctypes.c_uint32(keys), (ctypes.c_uint32 * SEQUENCES)(*sequences))


def decode_delta(base: bytes, delta: bytes, *, limit: int = 1 << 22, piece: int = 1 << 20) -> tuple[DeltaResult, bytes]:
    """What the device's decoder says, and the bytes that it handed over."""
    out = ctypes.create_string_buffer(max(limit, 1))
    taken, digest = ctypes.c_uint32(), ctypes.create_string_buffer(32)
    result = library().delta_decode(
        base, ctypes.c_uint32(len(base)), hashlib.sha256(base).digest(), delta, ctypes.c_uint32(len(delta)),
        ctypes.c_uint32(piece), out, ctypes.c_uint32(limit), ctypes.byref(taken), digest,
    )  # fmt: skip
    made = out.raw[: taken.value]
    if result == DeltaResult.OK:
        assert digest.raw == hashlib.sha256(made).digest()
    return DeltaResult(result), made
