"""Run firmware without a board: as a process of this computer, in QEMU, or in unicorn where QEMU is not installed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tinyops.device.board import Board
from tinyops.device.client import DeviceClient
from tinyops.device.elf import is_elf
from tinyops.device.link.stream import Connect, pipe_stream, socket_stream
from tinyops.device.link.transport import Console
from tinyops.device.route import find_emulator
from tinyops.errors import DeviceError, UsageError

if sys.platform == "linux":
    import resource

_SIMULATOR = "tinyops.device.simulator"
QEMU_BYTES = 5 << 30  # address space; it takes 1.3 GiB, and 2 more for the memory of an MPS3
_START_SECONDS = 10.0
_SHOWN = 2000  # characters of a program's messages


@contextmanager
def launch(board: Board, image: Path, *, console: Console | None = None) -> Iterator[DeviceClient]:
    """Start `image` on an emulated board, or on the host, and connect to it.

    `image` is an ELF file, or for an emulated board what its flash holds from the origin on. `console` is called
    with the device's console texts. The program and its children are killed when the context ends, however it ends.
    Raises MissingToolError when the emulator is not installed and DeviceError when it or the link fails.
    """
    if not image.is_file():
        raise UsageError("is not there", where=str(image), hint="tinyops build")
    with tempfile.TemporaryFile() as messages:
        process: subprocess.Popen[bytes] | None = None
        client: DeviceClient | None = None
        try:
            with _signals_deferred():
                process, connect = _start(board, image, messages)
            client = DeviceClient(connect, where=f"board {board.name}", console=console, emulated=True)
            if board.kind == "real":
                _await_greeting(client)
            yield client
        except DeviceError as error:
            if process is None:
                raise
            raise _explained(error, board, process, client, messages) from error
        finally:
            if process is not None:
                _kill(process)
            if client is not None:
                client.close()


def _await_greeting(client: DeviceClient) -> None:
    """Send nothing to an operating system that starts: not all of them survive interrupts then."""
    deadline = time.monotonic() + _START_SECONDS
    while not client.console_text and time.monotonic() < deadline:
        time.sleep(0.01)


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Signals that unwind the stack wait for the end of the block: a process that was started is known by then."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handled = [number for number in signal.valid_signals() if callable(signal.getsignal(number))]
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _start(board: Board, image: Path, messages: IO[bytes]) -> tuple[subprocess.Popen[bytes], Connect]:
    if board.kind == "host":
        program = image.resolve()  # what it keeps in files, as RIOT's native boards do, is the build's
        return _start_piped([str(program)], board, messages, program.parent)
    emulator = find_emulator(board)
    if emulator.program is None:
        simulator = [sys.executable, "-P", "-m", _SIMULATOR, board.model_dump_json(), str(image.resolve())]
        return _start_piped(simulator, board, messages)
    if board.kind == "real":
        # Models of a chip's UART do not wait: a pipe holds 64 KiB, a socket a few hundred single bytes.
        command = [str(emulator.program), *_arguments(board, image, "stdio,id=link,signal=off")]
        process, connect = _start_piped(command, board, messages)
        _limit_memory(process)
        return process, connect
    return _start_qemu(emulator.program, board, image, messages)


def _start_piped(
    command: list[str], board: Board, messages: IO[bytes], folder: Path | None = None
) -> tuple[subprocess.Popen[bytes], Connect]:
    """A process with the serial line on its standard input and output, in `folder`."""
    process = _spawn(command, board, messages, pipes=True, folder=folder)
    assert process.stdin is not None
    assert process.stdout is not None
    return process, pipe_stream(process.stdout, process.stdin)


def _start_qemu(
    program: Path, board: Board, image: Path, messages: IO[bytes]
) -> tuple[subprocess.Popen[bytes], Connect]:
    """QEMU, with the serial line on one end of a socket pair: nobody else can connect, and nothing has to wait."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [str(program), *_arguments(board, image, f"socket,id=link,fd={theirs.fileno()}")]
        try:
            process = _spawn(command, board, messages, keep=theirs.fileno())
            _limit_memory(process)
            return process, socket_stream(ours)
        except BaseException:
            ours.close()
            raise


def _arguments(board: Board, image: Path, line: str) -> list[str]:
    """QEMU's arguments that make it the board; they join its serial line, and nothing else, to the chardev `line`."""
    assert board.emulator is not None
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    serial = ["-serial", "chardev:link"]
    if board.kind == "real":
        semihosting = []
    elif board.firmware.uart == "semihosting":
        semihosting[1] += ",chardev=link"
        serial = ["-serial", "none"]
    return [
        *board.emulator.args,
        "-nodefaults",
        "-display",
        "none",
        "-monitor",
        "none",
        "-chardev",
        line,
        *serial,
        *semihosting,
        "-device",
        _loader(board, image),
    ]


def _loader(board: Board, image: Path) -> str:
    path = str(image.resolve()).replace(",", ",,")
    if is_elf(image):
        return f"loader,file={path}"
    if board.flash is None:
        raise UsageError("has no flash for an image", where=f"board {board.name}", allowed="an ELF file")
    return f"loader,file={path},addr={board.flash.origin:#x},force-raw=on"


def _spawn(
    command: list[str],
    board: Board,
    messages: IO[bytes],
    *,
    pipes: bool = False,
    keep: int | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE if pipes else None
    try:
        return subprocess.Popen(
            command,
            stdin=pipe or subprocess.DEVNULL,
            stdout=pipe or messages,
            stderr=messages,
            pass_fds=() if keep is None else (keep,),
            cwd=folder,
            start_new_session=True,
            bufsize=0,
        )
    except OSError as error:
        raise DeviceError(
            f"{command[0]} cannot be started: {error.strerror}", where=f"board {board.name}", hint="tinyops build"
        ) from error


def _limit_memory(process: subprocess.Popen[bytes]) -> None:
    """Where this process is killed and cannot kill QEMU, that has lost its line and takes memory without end."""
    if sys.platform == "linux":
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_AS, (QEMU_BYTES, QEMU_BYTES))


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _explained(
    error: DeviceError, board: Board, process: subprocess.Popen[bytes], client: DeviceClient | None, messages: IO[bytes]
) -> DeviceError:
    """The error with what the program said, when it has ended."""
    try:
        status = process.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return error
    messages.seek(0, os.SEEK_END)
    messages.seek(max(0, messages.tell() - _SHOWN))
    said = (client.console_text[-_SHOWN:] if client else "") + messages.read().decode("utf-8", "replace")
    ending = f"signal {-status}" if status < 0 else f"exit status {status}"
    what = f"{error.what}\n  the program ended with {ending}" + "".join(f"\n  | {line}" for line in said.splitlines())
    return DeviceError(what, where=error.where or f"board {board.name}", allowed=error.allowed, hint=error.hint)
