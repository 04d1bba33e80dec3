"""A small CoAP client for tests: one UDP socket, confirmable requests, exactly the bytes that a test wants."""

from __future__ import annotations

import asyncio
import secrets
import socket
from typing import Any

from aiocoap import ACK, CON, EMPTY, GET, POST, Message
from aiocoap.numbers.optionnumbers import OptionNumber

OPTIONS = OptionNumber


def acknowledgement(message: Any) -> bytes:
    """The empty acknowledgement of a confirmable message."""
    return bytes(Message(code=EMPTY, _mtype=ACK, _mid=message.mid).encode())


class AnsweredError(Exception):
    """Not an answer of success: its code and text."""


class CoapClient:
    """Requests to one server from one port; answers are aiocoap messages."""

    def __init__(self, port: int, host: str = "::1", timeout: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._socket.settimeout(timeout)
        self._socket.connect((host, port))
        self._mid = secrets.randbelow(65536)

    def __enter__(self) -> CoapClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def encode(self, code: Any, path: str, payload: bytes = b"", **options: Any) -> bytes:
        """The bytes of a request."""
        self._mid = (self._mid + 1) & 0xFFFF
        message = Message(code=code, payload=payload, _mtype=CON, _mid=self._mid, _token=secrets.token_bytes(4))
        message.opt.uri_path = tuple(path.strip("/").split("/")) if path.strip("/") else ()
        for name, value in options.items():
            setattr(message.opt, name, value)
        return bytes(message.encode())

    def exchange(self, frame: bytes) -> Any:
        """The answer to `frame`; it is sent again when none comes."""
        token = Message.decode(frame).token
        for _ in range(4):
            self._socket.send(frame)
            try:
                while True:
                    answer = Message.decode(self._socket.recv(4096))
                    if answer.mtype == CON:
                        self._socket.send(acknowledgement(answer))
                    if answer.code != EMPTY and answer.token == token:
                        return answer
            except TimeoutError:
                continue
        raise TimeoutError

    def send(self, data: bytes) -> None:
        self._socket.send(data)

    def get(self, path: str, **options: Any) -> Any:
        return self.exchange(self.encode(GET, path, **options))

    def post(self, path: str, payload: bytes, **options: Any) -> Any:
        return self.exchange(self.encode(POST, path, payload, **{"content_format": 60} | options))

    def download(self, path: str, exponent: int = 6, start: int = 0) -> tuple[bytes, bytes]:
        """(all bytes from block `start` on, the ETag)."""
        data, number, etag = b"", start, None
        while True:
            answer = self.get(path, block2=(number, False, exponent))
            if not answer.code.is_successful():
                raise AnsweredError(f"{answer.code} {answer.payload.decode()}")
            assert etag in (None, answer.opt.etag), "the ETag changed"
            etag = answer.opt.etag
            data += answer.payload
            if not answer.opt.block2.more:
                return data, etag
            number += 1


class AsyncClient(asyncio.DatagramProtocol):
    """The same for many clients at once: one exchange at a time for each."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[Any] | None = None
        self._mid = secrets.randbelow(65536)
        self._token = b""

    @classmethod
    async def open(cls, port: int) -> AsyncClient:
        _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(cls, remote_addr=("::1", port))
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def error_received(self, exc: Exception) -> None:
        pass  # the server is not there: the request is sent again

    def datagram_received(self, data: bytes, addr: Any) -> None:
        answer = Message.decode(data)
        if answer.mtype == CON:  # a response on its own, after an empty acknowledgement
            self._transport.sendto(acknowledgement(answer))
        mine = answer.code != EMPTY and answer.token == self._token
        if mine and self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    async def request(self, code: Any, path: str, payload: bytes = b"", **options: Any) -> Any:
        self._mid = (self._mid + 1) & 0xFFFF
        self._token = self._mid.to_bytes(2, "big")
        message = Message(code=code, payload=payload, _mtype=CON, _mid=self._mid, _token=self._token)
        message.opt.uri_path = tuple(path.strip("/").split("/"))
        for name, value in options.items():
            setattr(message.opt, name, value)
        frame = bytes(message.encode())
        self._answer = asyncio.get_running_loop().create_future()
        for wait in (2.0, 4.0, 8.0, 16.0, 32.0):
            self._transport.sendto(frame)
            try:
                return await asyncio.wait_for(asyncio.shield(self._answer), wait)
            except TimeoutError:
                continue
        raise TimeoutError

    def close(self) -> None:
        self._transport.close()
