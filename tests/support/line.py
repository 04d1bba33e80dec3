"""A device's line at the level of single messages, for what no client would send."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiocoap
from aiocoap.numbers.codes import Code

from tinyops.device.link.slipmux import Decoder, Frame, Kind, encode_coap

Message = Any  # aiocoap has no types


class Line:
    """A firmware process of the host. The device is sequential: a probe after an input marks the end of the answers."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self._decoder = Decoder()
        self._frames: list[Frame] = []
        self._probe = 0x7000
        self.texts: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _, errors = self._process.communicate(timeout=20)  # ends the standard input, and so the firmware
        if error is None:
            assert (self._process.returncode, errors.decode()) == (0, "")

    def send(self, raw: bytes) -> list[Message]:
        """Put bytes on the line; the messages that the device answers them with."""
        self._probe += 1
        probe = bytes([0x40, Code.CONTENT, *self._probe.to_bytes(2, "big")])  # an unexpected response: it is reset
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(raw + encode_coap(probe))
        answers: list[Message] = []
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.kind is not Kind.COAP:
                    self.texts.append(frame.content.decode())
                    continue
                message = aiocoap.Message.decode(frame.content)
                if message.mtype is aiocoap.RST and message.mid == self._probe:
                    return answers
                message.raw = frame.content
                answers.append(message)
            data = self._process.stdout.read(4096)
            assert data, "the firmware has ended: " + (
                self._process.stderr.read().decode() if self._process.stderr else ""
            )
            self._frames += self._decoder.feed(data)
            assert self._decoder.dropped == 0

    def exchange(self, message: Message) -> list[Message]:
        """Send one message."""
        return self.send(encode_coap(message.encode()))


def request(
    code: Code, path: str, mid: int = 1, *, mtype: Any = aiocoap.CON, token: bytes = b"t", **options: Any
) -> Message:
    """A request; `payload` and aiocoap's option names are taken from `options`."""
    message = aiocoap.Message(code=code, payload=options.pop("payload", b""), _mtype=mtype, _mid=mid, _token=token)
    message.opt.uri_path = tuple(path.split("/"))
    for name, value in options.items():
        setattr(message.opt, name, value)
    return message
