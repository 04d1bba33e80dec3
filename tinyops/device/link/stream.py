"""Byte streams to a device: serial port or pty, TCP or Unix socket, pipes of a process."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import urlsplit

from tinyops.errors import DeviceError, MissingToolError, UsageError

_ADDRESSES = "a serial port such as /dev/ttyACM0, tcp://HOST:PORT, unix:PATH, coap://HOST[:PORT], ble:ADDRESS"
_READ = 4096


class Stream(Protocol):
    """An open byte stream."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Receiver(Protocol):
    """Who takes the bytes; both are called in the loop's thread. `ended` is called at most once."""

    def received(self, data: bytes) -> None: ...

    def ended(self, reason: str) -> None: ...


#: Opens a stream within a running loop.
Connect = Callable[[Receiver], Awaitable[Stream]]


class _Endpoint(asyncio.Protocol):
    """Adapts an asyncio transport to Receiver."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def data_received(self, data: bytes) -> None:
        self._receiver.received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._receiver.ended(str(error) if error else "the device closed the line")


class _TransportStream:
    def __init__(self, out: asyncio.WriteTransport) -> None:
        self._out = out

    def write(self, data: bytes) -> None:
        if not self._out.is_closing():
            self._out.write(data)

    def close(self) -> None:
        self._out.close()


def socket_stream(connected: socket.socket) -> Connect:
    """A connected stream socket, which the stream then owns."""

    async def connect(receiver: Receiver) -> Stream:
        connected.setblocking(False)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(lambda: _Endpoint(receiver), connected)
        return _TransportStream(transport)

    return connect


class _ReadByThread:
    """A stream that a thread reads: serial ports and pipes cannot be awaited on Windows."""

    def __init__(self, receiver: Receiver, name: str) -> None:
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _read(self) -> bytes:
        """The next bytes, possibly none; OSError when there are no more."""
        raise NotImplementedError

    def _run(self) -> None:
        reason = ""
        while not self._closing:
            try:
                data = self._read()
            except OSError as error:
                reason = str(error)
                break
            if data:
                self._in_loop(self._receiver.received, data)
        if not self._closing:
            self._in_loop(self._receiver.ended, reason)

    def _in_loop(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # the loop is closed
            self._closing = True

    def _join(self) -> None:
        self._closing = True
        self._thread.join(timeout=1)


class _PipeStream(_ReadByThread):
    def __init__(self, source: IO[bytes], sink: IO[bytes], receiver: Receiver) -> None:
        self._source = source
        self._sink = sink
        super().__init__(receiver, "pipe")

    def _read(self) -> bytes:
        data = os.read(self._source.fileno(), _READ)
        if not data:
            raise OSError("the device closed the line")
        return data

    def write(self, data: bytes) -> None:
        with suppress(OSError):  # the process has ended, as the reader will see
            while data:
                data = data[os.write(self._sink.fileno(), data) :]

    def close(self) -> None:
        self._sink.close()
        self._join()
        self._source.close()


def pipe_stream(source: IO[bytes], sink: IO[bytes]) -> Connect:
    """The pipes of a process: `source` is its standard output, `sink` its standard input."""

    async def connect(receiver: Receiver) -> Stream:
        return _PipeStream(source, sink, receiver)

    return connect


def _said(error: Exception) -> str:
    """What an error says, without the port's name once more."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)


class _SerialStream(_ReadByThread):
    def __init__(self, port: Any, receiver: Receiver) -> None:
        self._port = port
        super().__init__(receiver, "serial port")

    def _read(self) -> bytes:
        try:
            data: bytes = self._port.read(max(1, min(self._port.in_waiting, _READ)))
        except (OSError, TypeError, AttributeError) as error:  # what pyserial raises for a port that went away
            raise OSError(str(error) or "the port went away") from error
        return data

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except OSError as error:
            self._receiver.ended(str(error))

    def close(self) -> None:
        self._join()
        self._port.close()


def serial_stream(port: str, baudrate: int) -> Connect:
    """A serial port or a pty, opened for this program alone."""

    async def connect(receiver: Receiver) -> Stream:
        try:
            import serial
        except ImportError as error:
            raise MissingToolError(
                "pyserial is not installed", where=port, hint="pip install 'tinyops[serial]'"
            ) from error
        try:
            opened = serial.Serial(port, baudrate, timeout=0.1, write_timeout=10, exclusive=True)
        except (OSError, ValueError) as error:
            raise DeviceError(
                f"cannot be opened: {_said(error)}",
                where=port,
                hint="is it plugged in, and is no other program using it?",
            ) from error
        return _SerialStream(opened, receiver)

    return connect


def open_address(address: str, *, baudrate: int = 115200) -> Connect:
    """How to connect to `address`: a serial port or pty, `tcp://HOST:PORT`, or `unix:PATH`."""
    scheme, separator, rest = address.partition(":")
    if separator and scheme == "unix" and rest:
        return _connector(address, lambda loop, make: loop.create_unix_connection(make, str(Path(rest))))
    if separator and scheme == "tcp":
        try:
            parts = urlsplit(address)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or not port:
            raise UsageError("is no address of a device", where=address, allowed=_ADDRESSES)
        return _connector(address, lambda loop, make: loop.create_connection(make, host, port))
    if not address:
        raise UsageError("the address is empty", allowed=_ADDRESSES)
    if _is_ip(address):
        literal = f"[{address.strip('[]')}]" if ":" in address else address
        raise UsageError("is no address of a device", where=address, allowed=_ADDRESSES, hint=f"coap://{literal}")
    return serial_stream(address, baudrate)


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    return True


_Open = Callable[
    [asyncio.AbstractEventLoop, Callable[[], _Endpoint]], Awaitable[tuple[asyncio.Transport, asyncio.BaseProtocol]]
]


def _connector(address: str, open_: _Open) -> Connect:
    async def connect(receiver: Receiver) -> Stream:
        try:
            transport, _ = await open_(asyncio.get_running_loop(), lambda: _Endpoint(receiver))
        except OSError as error:
            raise DeviceError(
                f"cannot connect: {error}", where=address, hint="is the device or its server running?"
            ) from error
        return _TransportStream(transport)

    return connect
