"""A network namespace with a lossy Ethernet segment between this process and a device that opens a tap interface.

The device (RIOT's native64) opens `tap0`, the host's side is `tap1`, and frames go between the two by a thread of this
process that loses, repeats and delays some of them. So loss concerns neighbour discovery and fragments, too, and no
traffic control of the kernel is needed. The namespace ends with the last process and descriptor in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import ipaddress
import os
import queue
import random
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import pytest

_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_TAP_WITHOUT_HEADER = 0x0002 | 0x1000
_EVERY_PROTOCOL = 3
_DEVICE_SIDE, _HOST_SIDE = "tap0", "tap1"
#: Locally administered; RIOT's native64 adds one to the address of the interface that it opens.
_DEVICE_MAC, _HOST_MAC = bytes.fromhex("020000000010"), bytes.fromhex("020000000020")


def _call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def _open_tap(name: str, *, keep: bool) -> int:
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP_WITHOUT_HEADER))
    if keep:
        fcntl.ioctl(handle, _TUNSETPERSIST, 1)
    return handle


def link_local(mac: bytes) -> str:
    """fe80::/64 with the modified EUI-64 of an Ethernet address (RFC 4291, appendix A)."""
    identifier = bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


@dataclass
class Faults:
    """What happens to frames, each way: parts of all frames that are lost, come twice, or come `delay` s later."""

    loss: float = 0.0
    duplicate: float = 0.0
    delayed: float = 0.0
    delay: float = 0.05


@dataclass
class Counts:
    passed: int = 0
    lost: int = 0
    repeated: int = 0
    late: int = 0


class TapNetwork:
    """A context; `device_tap` is the interface for the device, the addresses are link-local ones without zone.

    Sockets and processes belong to the namespace when they are made inside of `inside()`. Other threads are not
    concerned by it, but those that are started there inherit it.
    """

    device_tap = _DEVICE_SIDE
    host_interface = _HOST_SIDE
    device_address = link_local(_DEVICE_MAC[:5] + bytes([_DEVICE_MAC[5] + 1]))
    host_address = link_local(_HOST_MAC)

    def __init__(self, faults: Faults | None = None, seed: int = 1) -> None:
        self.faults = faults or Faults()
        self.counts = Counts()
        self._random = random.Random(seed)
        self._late: list[tuple[float, bool, bytes]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._relay, daemon=True)

    def __enter__(self) -> TapNetwork:
        self._outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("unshare", _CLONE_NEWNET)
        except OSError as error:
            os.close(self._outside)
            pytest.skip(f"a network namespace needs the rights of root: {error}")
        try:
            self._namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self._set_up()
        finally:
            _call("setns", self._outside, _CLONE_NEWNET)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join(5)
        self._packets.close()
        for handle in (self._host, self._namespace, self._outside):
            os.close(handle)

    def _set_up(self) -> None:
        os.close(_open_tap(_DEVICE_SIDE, keep=True))
        self._host = _open_tap(_HOST_SIDE, keep=False)
        for name in (_DEVICE_SIDE, _HOST_SIDE):
            silent = name == _DEVICE_SIDE
            settings = Path("/proc/sys/net/ipv6/conf") / name
            (settings / "disable_ipv6").write_text("1" if silent else "0")
            (settings / "accept_dad").write_text("0")
        _ip("link", "set", "lo", "up")
        for name, mac in ((_DEVICE_SIDE, _DEVICE_MAC), (_HOST_SIDE, _HOST_MAC)):
            _ip("link", "set", "dev", name, "address", mac.hex(":"), "up")
        self._packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_PROTOCOL))
        self._packets.bind((_DEVICE_SIDE, 0))
        self._packets.setblocking(False)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread is in the namespace."""
        _call("setns", self._namespace, _CLONE_NEWNET)
        try:
            yield
        finally:
            _call("setns", self._outside, _CLONE_NEWNET)

    @property
    def device(self) -> str:
        """The device's address with the zone of the host's interface."""
        return f"{self.device_address}%{_HOST_SIDE}"

    def _relay(self) -> None:
        while not self._ending.is_set():
            pause = max(0.0, min([0.05, *(due - time.monotonic() for due, _, _ in self._late)]))
            device = self._packets.fileno()
            readable, _, _ = select.select([self._host, device], [], [], pause)
            if self._host in readable:
                self._pass(True, self._read(lambda: os.read(self._host, 2048)))
            if device in readable:
                self._pass(False, self._read(self._from_device))
            self._send_late()

    def _from_device(self) -> bytes:
        frame, (_, _, kind, *_) = self._packets.recvfrom(2048)
        return b"" if kind == socket.PACKET_OUTGOING else frame

    @staticmethod
    def _read(read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except OSError:  # the device is gone
            return b""

    def _pass(self, to_device: bool, frame: bytes) -> None:
        if not frame:
            return
        faults, chance = self.faults, self._random.random
        if chance() < faults.loss:
            self.counts.lost += 1
            return
        if chance() < faults.delayed:
            self.counts.late += 1
            self._late.append((time.monotonic() + faults.delay, to_device, frame))
            return
        self._send(to_device, frame)
        if chance() < faults.duplicate:
            self.counts.repeated += 1
            self._send(to_device, frame)

    def _send_late(self) -> None:
        now = time.monotonic()
        due = [entry for entry in self._late if entry[0] <= now]
        self._late = [entry for entry in self._late if entry[0] > now]
        for _, to_device, frame in due:
            self._send(to_device, frame)

    def _send(self, to_device: bool, frame: bytes) -> None:
        self.counts.passed += 1
        with contextlib.suppress(OSError):  # a device that is off
            if to_device:
                self._packets.send(frame)
            else:
                os.write(self._host, frame)


@dataclass
class Device:
    """A firmware process on the network; `lines` are what it has said since its last start."""

    network: TapNetwork
    command: Sequence[str | Path]
    folder: Path
    lines: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> Device:
        assert self._process is None
        self.lines = []
        with self.network.inside():
            self._process = subprocess.Popen(
                [str(word) for word in self.command],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._said: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, args=(self._process, self._said), daemon=True).start()
        return self

    @staticmethod
    def _listen(process: subprocess.Popen[bytes], said: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        with process.stdout as out:
            for line in out:
                said.put(line.decode(errors="replace").rstrip("\r\n"))
        said.put(None)

    def say(self, line: str) -> None:
        """A line on the device's console."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def hear(self, text: str, seconds: float = 20) -> str:
        """The next line with `text` in it, of those that no earlier call has passed."""
        if self.hears(text, seconds):
            return self.lines[-1]
        pytest.fail(f"{text!r} was not said: {self.lines[-40:]}")

    def hears(self, text: str, seconds: float = 20) -> bool:
        """Whether such a line comes before the firmware ends, within `seconds`; then it is the last of `lines`."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self._said.get(timeout=max(0.001, end - time.monotonic()))
            except queue.Empty:
                return False
            if line is None:
                return False
            self.lines.append(line)
            if text in line:
                return True

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Power off, whatever it is doing; from any thread."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()

    def __enter__(self) -> Device:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
