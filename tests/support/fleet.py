"""A fleet for tests: signed packs, devices that behave as they are told, and a server as a process."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tinyops.suit import MODEL, Image, UpdateDescription, class_uuid, emit, sign, vendor_uuid
from tinyops.suit.reasons import Reason
from tinyops.suit.registry import Algorithm
from tinyops.update.checkin import Checkin, Health, State

ROOT = Path(__file__).resolve().parents[2]
VENDOR = vendor_uuid("example.com")
CLASS = class_uuid(VENDOR, "board|abi|task")
FACTORY = hashlib.sha256(b"factory").digest()


@dataclass(frozen=True)
class TestKey:
    """An Ed25519 key that signs manifests."""

    __test__ = False
    seed: bytes = bytes(32)

    @property
    def algorithm(self) -> int:
        return int(Algorithm.ED25519)

    @property
    def public(self) -> bytes:
        return self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def kid(self) -> bytes:
        return hashlib.sha256(self.public).digest()[:8]

    @property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


def model(sequence: int, size: int = 5000) -> bytes:
    """Bytes that stand for a model's capsule."""
    return hashlib.shake_256(f"model {sequence}".encode()).digest(size)


def make_pack(
    folder: Path,
    sequence: int,
    *,
    content: bytes | None = None,
    class_id: uuid.UUID = CLASS,
    uri: str | None = None,
    key: TestKey | None = None,
    use_before: int | None = None,
) -> Path:
    """A pack of one model in `folder`, signed by `key`."""
    content = model(sequence) if content is None else content
    digest = hashlib.sha256(content).digest()
    image = Image(MODEL, digest, len(content), uri or f"/p/{digest.hex()[:16]}")
    update = UpdateDescription(sequence, VENDOR, class_id, (image,), use_before=use_before)
    folder.mkdir(parents=True)
    (folder / "manifest.suit").write_bytes(sign(emit(update), key or TestKey()))
    (folder / "capsule.bin").write_bytes(content)
    return folder


@dataclass
class FakeDevice:
    """What a device would say; `fate` decides what an update ends as."""

    name: str
    class_id: uuid.UUID = CLASS
    sequence: int = 0
    digest: bytes = FACTORY
    state: State = State.IDLE
    reason: Reason = Reason.OK
    attempt: int = 0
    score: int | None = None
    offered: list[str] = field(default_factory=list)

    def checkin(self) -> Checkin:
        health = None if self.score is None else Health(inferences=100, reverts=0, left=0, score=self.score)
        return Checkin(
            self.name.encode(),
            self.class_id,
            self.sequence,
            self.digest,
            self.state,
            self.reason,
            self.attempt,
            "1.0",
            None,
            health,
        )

    def installs(self, sequence: int, digest: bytes) -> None:
        self.sequence, self.digest, self.state = sequence, digest, State.IDLE
        self.attempt, self.reason = sequence, Reason.OK

    def refuses(self, sequence: int, reason: Reason) -> None:
        self.attempt, self.reason, self.state = sequence, reason, State.IDLE


def bad(checkin: Checkin, **changes: object) -> bytes:
    """A check-in with other values, encoded."""
    return replace(checkin, **changes).encode()  # type: ignore[arg-type]


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """A port that nobody uses now."""
    with socket.socket(socket.AF_INET6, kind) as probe:
        probe.bind(("::1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(
    folder: Path, *options: str, database: str | None = None, port: int | None = None
) -> Iterator[ServerProcess]:
    """`tinyops serve` as a process; it is killed at the end."""
    process = ServerProcess(folder, options, database or str(folder / "fleet.db"), port or free_port())
    process.start()
    try:
        yield process
    finally:
        process.kill()


@dataclass
class ServerProcess:
    """A server that can be killed and started again at the same port."""

    folder: Path
    options: tuple[str, ...]
    database: str
    port: int
    web_port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def uri(self) -> str:
        return f"coap://[::1]:{self.port}"

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    def start(self) -> None:
        self.web_port = self.web_port or free_port(socket.SOCK_STREAM)
        arguments = ["serve", "--listen", f"[::1]:{self.port}", "--database", self.database]
        arguments += ["--store", str(self.folder / "store"), "--web", f"127.0.0.1:{self.web_port}", *self.options]
        self.log = (self.folder / f"server-{self.port}.log").open("a+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tinyops", *arguments],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        )
        start = self.log.tell()
        for _ in range(600):
            if "ready" in self.said()[start:].split():
                return
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended: {self.said()}")
            time.sleep(0.05)
        raise AssertionError(f"the server does not start: {self.said()}")

    def said(self) -> str:
        return Path(self.log.name).read_text(encoding="utf-8")

    def kill(self) -> None:
        """SIGKILL, as kill -9 does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.log.close()
            self.process = None
