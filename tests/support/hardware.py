"""A stand-in for a board with a counter of cycles: the host's firmware, at a socket, as a serial port would be."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from tinyops.device import build
from tinyops.device.board import find_board
from tinyops.device.firmware import FirmwareSources, firmware_sources

CLOCK_HZ = 64_000_000
STACK_BYTES = 1234
_COUNTER = Path(__file__).resolve().parents[1] / "firmware" / "measured_counter.c"
_WRAPPED = ("count", "count_kind", "count_hertz", "stack_used")


def build_measured(model: Path, folder: Path, **options: Any) -> build.Build:
    """The host's firmware of a model, which says that it measured cycles."""

    def sources(*arguments: Any, **named: Any) -> FirmwareSources:
        own = firmware_sources(*arguments, **named)
        wraps = [f"-Wl,--wrap=to_port_{name}" for name in _WRAPPED]
        return replace(own, sources=[*own.sources, _COUNTER], ldflags=[*own.ldflags, *wraps])

    with mock.patch.object(build, "firmware_sources", sources):
        return build.build_firmware(model, find_board("host"), folder, **{"name": "model", **options})


@contextmanager
def attached(program: Path) -> Iterator[str]:
    """The address of a board that runs `program`; each connection finds it started anew."""
    devices: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        address = str(Path(folder) / "line")
        server.bind(address)
        server.listen()

        def serve() -> None:
            while True:
                try:
                    line = server.accept()[0]
                except OSError:
                    return
                with line:
                    devices.append(subprocess.Popen([program], stdin=line, stdout=line))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"unix:{address}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=10)
            for device in devices:
                device.kill()
                device.wait()
