"""A small CoAP server on UDP for tests: files in blocks with entity tags, check-ins, and no state but a record."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable
from typing import Any

import aiocoap
import cbor2
from aiocoap import ACK, CON, GET, NON, POST, RST
from aiocoap.numbers.codes import Code


class FileServer:
    """Serves `files` (path -> content, which may be changed at any time) and answers POST /checkin.

    `answer` makes the answer to a check-in of its content; `requests` are all requests, `checkins` the contents of
    the check-ins, each once however often the datagram came. `host` is the IPv4 or IPv6 address to serve at, `port` 0
    any that is free.
    """

    def __init__(self, files: dict[str, bytes] | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self.files = files if files is not None else {}
        self.answer: Callable[[dict[int, Any]], dict[int, Any]] = lambda _: {2: 3600}
        self.checkins: list[dict[int, Any]] = []
        self.requests: list[Any] = []
        self.refuse: Callable[[Any], Code | None] = lambda _: None
        self._seen: dict[tuple[Any, int, bytes], bytes] = {}
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self._socket.settimeout(0.05)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self.uri = f"coap://{f'[{host}]' if ':' in host else host}:{self.address[1]}"
        self._ending = threading.Event()
        self._arrived = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(5)
        self._socket.close()

    def wait_for(self, condition: Callable[[dict[int, Any]], bool], seconds: float = 60) -> dict[int, Any]:
        """The first check-in, of before or to come, with a content for which the condition holds."""
        with self._arrived:
            found = self._arrived.wait_for(lambda: any(map(condition, self.checkins)), seconds)
            assert found, f"no such check-in: {self.checkins}"
            return next(content for content in self.checkins if condition(content))

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                data, client = self._socket.recvfrom(2048)
                message = aiocoap.Message.decode(data)
            except (TimeoutError, aiocoap.error.Error, ValueError, IndexError):
                continue
            if message.mtype not in (CON, NON):
                continue
            if not message.code.is_request():
                if message.mtype is CON:
                    self._socket.sendto(aiocoap.Message(code=Code.EMPTY, _mtype=RST, _mid=message.mid).encode(), client)
                continue
            key = (client, message.mid, message.token)
            if key not in self._seen:
                with self._arrived:
                    answer = self._serve(message)
                    self._arrived.notify_all()
                answer.mtype, answer.mid, answer.token = ACK, message.mid, message.token
                self._seen[key] = answer.encode()
            self._socket.sendto(self._seen[key], client)

    def _serve(self, request: Any) -> Any:
        self.requests.append(request)
        refused = self.refuse(request)
        path = "/".join(request.opt.uri_path)
        if refused is not None:
            return aiocoap.Message(code=refused)
        if request.code is POST and path == "checkin":
            content = cbor2.loads(request.payload)
            self.checkins.append(content)
            return aiocoap.Message(code=Code.CHANGED, payload=cbor2.dumps(self.answer(content)), content_format=60)
        if request.code is not GET or path not in self.files:
            return aiocoap.Message(code=Code.NOT_FOUND)
        return self._block(request, self.files[path])

    @staticmethod
    def _block(request: Any, content: bytes) -> Any:
        number, _, szx = request.opt.block2 or (0, False, 6)
        start, end = number << (szx + 4), (number + 1) << (szx + 4)
        if start > 0 and start >= len(content):
            return aiocoap.Message(code=Code.BAD_REQUEST)
        answer = aiocoap.Message(code=Code.CONTENT, payload=content[start:end])
        answer.opt.etag = hashlib.sha256(content).digest()[:8]
        answer.opt.block2 = (number, end < len(content), szx)
        return answer
