"""A firmware process of the host on UDP, and a proxy before it that spoils datagrams by a seed."""

from __future__ import annotations

import random
import re
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LISTENING = re.compile(rb"listening on (coap://\S+)")


class UdpDevice:
    """A running device; `address` is where it listens, `said` its console text so far."""

    def __init__(self, process: subprocess.Popen[bytes], address: str) -> None:
        self.process = process
        self.address = address
        self._said = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def said(self) -> str:
        return self._said.decode("utf-8", "replace")

    def _read(self) -> None:
        assert self.process.stdout is not None
        with suppress(OSError, ValueError):  # it was closed
            while data := self.process.stdout.read(4096):
                self._said += data


@contextmanager
def udp_device(program: Path, *arguments: str, listen: str = "127.0.0.1:0") -> Iterator[UdpDevice]:
    """Start a firmware process with `--udp`; whatever it says on standard error is a failure."""
    command = [str(program), "--udp", listen, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        try:
            assert process.stdout is not None
            line = b""
            while not line.endswith(b"\n"):
                byte = process.stdout.read(1)
                assert byte, process.stderr.read().decode() if process.stderr else ""
                line += byte
            found = _LISTENING.match(line)
            assert found, line
            yield UdpDevice(process, found[1].decode())
            assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
        finally:
            process.kill()
            assert process.stderr is not None
            errors = process.stderr.read().decode()
    assert errors == ""


#: What becomes of a datagram that goes "out" to the server, or comes "in" from it: when (in seconds from now) which
#: bytes arrive. The number counts the datagrams of this direction.
Fate = Callable[[str, int, bytes], list[tuple[float, bytes]]]


def straight(way: str, number: int, data: bytes) -> list[tuple[float, bytes]]:
    """A network without faults."""
    return [(0.0, data)]


def mixed(seed: int, *, loss: float = 0.0, twice: float = 0.0, late: float = 0.0, damage: float = 0.0) -> Fate:
    """Each datagram is lost, damaged in one bit, repeated, or delayed by up to 80 ms (and so overtaken)."""
    chance = random.Random(seed)

    def fate(way: str, number: int, data: bytes) -> list[tuple[float, bytes]]:
        if chance.random() < loss:
            return []
        if chance.random() < damage:
            bit = chance.randrange(8 * len(data))
            data = data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]
        delay = chance.uniform(0.0, 0.08) if chance.random() < late else 0.0
        again = [(delay + chance.uniform(0.0, 0.2), data)] if chance.random() < twice else []
        return [(delay, data), *again]

    return fate


class Proxy:
    """A UDP proxy on loopback: each client gets a socket of its own towards the server.

    `fate` decides about each datagram; `frames` counts what was put on the wire by either side, lost datagrams too.
    """

    def __init__(self, server: tuple[str, int], fate: Fate) -> None:
        self.server = server
        self.fate = fate
        self.frames = {"out": 0, "in": 0}
        self.bytes = {"out": 0, "in": 0}
        self.log: list[tuple[str, bytes]] = []
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._front.getsockname()
        self._back: dict[tuple[str, int], socket.socket] = {}
        self._late: list[tuple[float, int, socket.socket, tuple[str, int], bytes]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(5)
        for opened in (self._front, *self._back.values()):
            opened.close()

    def inject(self, data: bytes) -> None:
        """Send bytes of one's own to every client, from the server's address as they see it."""
        for client in list(self._back):
            self._front.sendto(data, client)

    def _run(self) -> None:
        while not self._ending.is_set():
            now = time.monotonic()
            due, self._late = [e for e in self._late if e[0] <= now], [e for e in self._late if e[0] > now]
            for _, _, through, to, data in sorted(due, key=lambda e: e[:2]):
                through.sendto(data, to)
            wait = min([0.05, *(e[0] - now for e in self._late)])
            readable, _, _ = select.select([self._front, *self._back.values()], [], [], max(0.0, wait))
            for opened in readable:
                self._take(opened)

    def _take(self, opened: socket.socket) -> None:
        try:
            data, source = opened.recvfrom(2048)
        except OSError:  # ICMP: the server is not there
            return
        if opened is self._front:
            if source not in self._back:
                self._back[source] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            way, through, to = "out", self._back[source], self.server
        else:
            way, through = "in", self._front
            to = next(client for client, back in self._back.items() if back is opened)
        number = self.frames[way]
        self.frames[way] += 1
        self.bytes[way] += len(data)
        self.log.append((way, data))
        for delay, changed in self.fate(way, number, data):
            self._late.append((time.monotonic() + delay, len(self.log), through, to, changed))
