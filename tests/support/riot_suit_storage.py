"""The storage backend for RIOT's SUIT module in this process (tests/firmware/riot_suit_storage_tool.c by ctypes)."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import cbor2
import pytest

from tests.support.capsules import FLAGS, updatable, write_model
from tests.support.receiver import REASONS
from tests.support.storage import State
from tests.support.updates import V1, V2
from tinyops.emit.capsule import build_capsule, read_capsule
from tinyops.lower.compile import compile_model
from tinyops.resources import data_dir
from tinyops.suit import Reason

HERE = Path(__file__).resolve().parent
TOOL = HERE.parent / "firmware" / "riot_suit_storage_tool.c"
MODULES = data_dir("firmware") / "riot" / "modules"
ERASE, WRITE = 4096, 16
BANK = 16384
REGION = 2 * (ERASE + BANK)
AUTHENTIC, POLICY = 2 | 4, 2 | 4 | 8 | 16
OK, INVALID, SEQUENCE, SIGNATURE, DIGEST, FORBIDDEN = 0, -1, -5, -6, -7, -8
STORAGE, EXCEEDED, UNAVAILABLE = -50, -51, -52
HEALTH = 3
V1_DIGEST, V2_DIGEST = (hashlib.sha256(path.read_bytes()).digest() for path in (V1, V2))


class Status(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("accepted", "sequence", "attempt", "health_left")),
        *((name, ctypes.c_uint8) for name in ("bank", "state", "usable")),
        ("reason", ctypes.c_uint32),
    )


@functools.cache
def library(health: int) -> ctypes.CDLL:
    """The module with the first digits model, undefined behaviour fatal; `health` is the length of the window."""
    compiler = shutil.which("gcc") or shutil.which("clang") or pytest.skip("neither gcc nor clang is installed")
    firmware = data_dir("firmware")
    module = MODULES / "tinyops_suit_storage"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_model(V1, folder)
        common = [
            firmware / "common" / "src" / f"to_{part}.c" for part in ("banks", "cbor_read", "journal", "update_reasons")
        ]
        sources = [module / "storage.c", module / "trial.c", *common, firmware / "host" / "flash_file.c"]
        includes = [
            *(firmware / part for part in ("common/include", "host")),
            *(MODULES / part for part in ("tinyops_suit_storage", "tinyops_suit_storage/include", "tinyops_update")),
            MODULES / "tinyops_update" / "include",
            HERE / "riot_headers",
            folder,
            folder / "kernels",
        ]
        defines = {
            "TO_CAPSULE": 1,
            "TO_FLASH_REGION_BYTES": f"{REGION}u",
            "TO_FLASH_ERASE_BYTES": f"{ERASE}u",
            "TO_FLASH_WRITE_BYTES": f"{WRITE}u",
            "CONFIG_SUIT_COMPONENT_MAX": 2,
            "CONFIG_TINYOPS_SUIT_STORAGE_HEALTH_INFERENCES": health,
            "CONFIG_TINYOPS_SUIT_STORAGE_FIRST_SEQUENCE": 1,
        }
        target = folder / "storage.so"
        command = [
            *(compiler, "-O1", "-g", "-fPIC", "-shared", "-fsanitize=undefined", "-fno-sanitize-recover=all"),
            *(flag for flag in FLAGS if flag != "-DTO_UPDATABLE"),
            *(f"-D{key}={value}" for key, value in defines.items()),
            *(f"-I{path}" for path in includes),
            *map(str, (TOOL, *sources, *model)),
            *("-o", str(target), "-lm"),
        ]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr
        loaded = ctypes.CDLL(str(target))
    loaded.tool_model.restype = ctypes.POINTER(ctypes.c_uint8)
    loaded.tool_content.restype = ctypes.POINTER(ctypes.c_uint8)
    loaded.tool_operations.restype = ctypes.c_uint64
    return loaded


@dataclasses.dataclass
class Storage:
    """The backend on a flash of its own; there is one at a time."""

    health: int = 0

    def __post_init__(self) -> None:
        assert library(self.health).tool_new(REGION, ERASE, ctypes.c_uint16(WRITE)) == 0
        self.restart()

    def call(self, name: str, *arguments: Any) -> int:
        result = getattr(library(self.health), f"tool_{name}")(*arguments)
        assert library(self.health).tool_locked() == 0
        return int(result)

    def restart(self) -> None:
        library(self.health).tool_restart()
        self.call("init")

    def manifest(
        self,
        sequence: int,
        digest: bytes | None,
        *,
        item: bytes | None = None,
        name: bytes | None = None,
        payload: bytes | None = None,
        state: int = AUTHENTIC,
        validated: int = POLICY,
        components: int = 1,
        current: int = 0,
    ) -> None:
        """What RIOT has found in a manifest: by default an authentic one of `sequence`, with an image of `digest`."""
        if item is None:
            item = b"" if digest is None else cbor2.dumps(cbor2.dumps([2, digest]))
        if payload is None:
            payload = cbor2.dumps([2, hashlib.sha256(name or b"manifest %d" % sequence).digest()])
        numbers = (state, validated, sequence)
        library(self.health).tool_manifest(*numbers, item, len(item), payload, len(payload), components, current)

    def write(self, content: bytes, offset: int = 0) -> int:
        return self.call("write", content, ctypes.c_size_t(offset), ctypes.c_size_t(len(content)))

    def start(self, size: int) -> int:
        return self.call("start", ctypes.c_size_t(size))

    def fetch(self, content: bytes, *, block: int = 64, size: int | None = None) -> int:
        """As RIOT fetches: the first failure, or that of `finish`."""
        result = self.start(len(content) if size is None else size)
        for at in range(0, len(content), block):
            result = result or self.write(content[at : at + block], at)
        return result or self.call("finish")

    def read(self, offset: int, size: int) -> tuple[int, bytes]:
        out = ctypes.create_string_buffer(b"\xaa" * size, size)
        return self.call("read", out, ctypes.c_size_t(offset), ctypes.c_size_t(size)), out.raw

    def match(self, digest: bytes, size: int) -> int:
        """RIOT's condition image-match: reads back, then installs or erases; the backend's answers are ignored."""
        address, length = ctypes.POINTER(ctypes.c_uint8)(), ctypes.c_size_t()
        self.call("read_ptr", ctypes.byref(address), ctypes.byref(length))
        content = bytes(address[: length.value]) if length.value else b""
        if len(content) != size:
            self.call("erase")
            return EXCEEDED
        if hashlib.sha256(content).digest() != digest:
            self.call("erase")
            return DIGEST
        self.call("install")
        return OK

    def update(self, sequence: int, content: bytes, **changes: Any) -> int:
        """A whole manifest with one component, as RIOT carries it out; the result that its worker tells."""
        digest = hashlib.sha256(content).digest()
        self.manifest(sequence, digest, **changes)
        result = self.fetch(content) or self.match(digest, len(content))
        self.call("done", result)
        return result

    @property
    def status(self) -> Status:
        status = Status()
        library(self.health).tool_status(ctypes.byref(status))
        return status

    @property
    def model(self) -> bytes:
        """The digest of the model file that runs."""
        return bytes(library(self.health).tool_model()[:32])

    def shown(self) -> tuple[int, int, State, Reason]:
        status = self.status
        return status.accepted, status.sequence, State(status.state), REASONS[status.reason]


def capsule(path: Path = V2) -> bytes:
    return updatable(path)[2]


@functools.cache
def bad_capsule() -> bytes:
    """Its last golden vector asks for another output than the model gives."""
    read = read_capsule(capsule())
    *rest, last = read.golden
    wrong = bytes([last.outputs[0][0] ^ 1]) + last.outputs[0][1:]
    return dataclasses.replace(read, golden=(*rest, dataclasses.replace(last, outputs=(wrong,)))).encode()


@functools.cache
def other_capsule() -> bytes:
    """That of a model of another structure."""
    path = data_dir("models") / "motions" / "motions.tflite"
    return build_capsule(compile_model(path, name="model", by_structure=True))


def is_erased(storage: Storage, bank: int) -> bool:
    start = 2 * ERASE + bank * BANK
    content = library(storage.health).tool_content()
    return bytes(content[start : start + BANK]) == b"\xff" * BANK


def manifest_of(storage: Storage, **changes: Any) -> None:
    values: dict[str, Any] = {"sequence": 2, "digest": hashlib.sha256(capsule()).digest()}
    storage.manifest(**(values | changes))
