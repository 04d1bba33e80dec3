"""The air between 802.15.4 radios of RIOT's native64, whose frames lie in UDP datagrams (ZEP): it hears all of them.

A radio is pointed here by `-z [::1]:PORT`. Each datagram is passed on to all other radios, or lost.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType

#: "EX", version 2, type 1: data; what is behind the header of 32 bytes is the frame with its FCS.
_DATA = b"EX\x02\x01"
_HEADER = 32


@dataclass(frozen=True, slots=True)
class Heard:
    """A frame on the air: when (monotonic seconds), from which radio (counted from 0 as they came), ZEP and all."""

    time: float
    radio: int
    datagram: bytes
    lost: bool

    @property
    def frame(self) -> bytes:
        """The frame of 802.15.4 with its FCS; empty for what is no data of ZEP."""
        return self.datagram[_HEADER:] if self.datagram.startswith(_DATA) else b""


class ZepAir:
    """A context; to be entered where the radios' sockets are, as a namespace has its own."""

    def __init__(self, *, loss: float = 0.0, seed: int = 1) -> None:
        self.loss = loss
        self.heard: list[Heard] = []
        self._chance = random.Random(seed)
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._socket.bind(("::1", 0))
        self._radios: list[tuple[str, int]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def address(self) -> str:
        """For the option -z of a radio."""
        return f"[::1]:{self._socket.getsockname()[1]}"

    def __enter__(self) -> ZepAir:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join(5)
        self._socket.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            readable, _, _ = select.select([self._socket], [], [], 0.05)
            if readable:
                with contextlib.suppress(OSError):  # a radio that is off
                    datagram, source, *_ = self._socket.recvfrom(2048)
                    self._pass(datagram, source[:2])

    def _pass(self, datagram: bytes, source: tuple[str, int]) -> None:
        if source not in self._radios:
            self._radios.append(source)
        lost = self._chance.random() < self.loss
        self.heard.append(Heard(time.monotonic(), self._radios.index(source), datagram, lost))
        for radio in self._radios:
            if radio != source and not lost:
                with contextlib.suppress(OSError):
                    self._socket.sendto(datagram, radio)
