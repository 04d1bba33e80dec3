"""A device as an object: ask what it runs, feed it inputs, read counts."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiocoap
import aiocoap.error
import numpy as np

from tinyops.device.link.address import find_target
from tinyops.device.link.framing import Framing
from tinyops.device.link.oscore import refusal
from tinyops.device.link.profile import LINKS, LinkProfile, find_link
from tinyops.device.link.stream import Connect
from tinyops.device.link.transport import Console, LinkInterface, close_context, open_context
from tinyops.device.protocol import MEASURED, DeviceInfo, Profile, read_answer
from tinyops.errors import DeviceError

__all__ = ["Answer", "DeviceClient", "DeviceInfo", "Profile"]

Array = np.ndarray[Any, Any]
_T = TypeVar("_T")

_CONNECT_SECONDS = 30.0
_PING_SECONDS = 2.0
_MAX_INFO = 1 << 18  # bytes
_OCTETS, _CBOR = 42, 60
_CONSOLE_TEXTS = 200
_MAX_TEXT = 1 << 10


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to one message: `code` is class << 5 | detail of RFC 7252, `format` its content format."""

    code: int
    payload: bytes
    format: int | None

    @property
    def name(self) -> str:
        """Such as "4.08"."""
        return f"{self.code >> 5}.{self.code & 31:02}"


class DeviceClient:
    """A connected device. Use it as a context manager, from one thread at a time.

    `connect` opens the link, on which messages lie in slipmux frames or as `framing` says; `link` are the link's block
    size and times; with `oscore`, the folder of a security context, requests are protected. Firmware for hardware that
    is `emulated` may take the emulator's counter for one of cycles: such counts are dropped. `console` is called with
    the device's console texts, from another thread; the last of them are in `console_text`. Every failure is a
    DeviceError.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        where: str = "device",
        console: Console | None = None,
        link: LinkProfile = LINKS["serial"],
        framing: Framing | None = None,
        oscore: Path | None = None,
        emulated: bool = False,
    ) -> None:
        self.where = where
        self._emulated = emulated
        self.link = link
        self._console = console
        self._texts: deque[str] = deque(maxlen=_CONSOLE_TEXTS)
        self._info: DeviceInfo | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"link to {where}", daemon=True)
        self._thread.start()
        try:
            opening = open_context(connect, self._hear, link, framing, oscore)
            self._context, self._interface = self._call(opening, _CONNECT_SECONDS)
            self.link = self._interface.remote.profile
        except BaseException:
            self._stop_loop()
            raise

    @classmethod
    def open(
        cls,
        port: str,
        *,
        baudrate: int = 115200,
        console: Console | None = None,
        link: str | None = None,
        block_size: int | None = None,
        oscore: Path | None = None,
    ) -> Self:
        """Connect to a serial port or pty, `tcp://HOST:PORT`, `unix:PATH`, `coap://HOST[:PORT]`, or
        `ble:ADDRESS` and `ble-l2cap:ADDRESS` (Bluetooth LE).

        `link` names the kind of link in `LINKS`, by default what the address stands for; `block_size` in bytes replaces
        the link's; `oscore` is the folder of a security context that protects the requests. Raises UsageError when one
        of them is none.
        """
        target = find_target(port, baudrate=baudrate)
        profile = find_link(link or target.link, block_size)
        return cls(target.connect, where=port, console=console, link=profile, framing=target.framing(), oscore=oscore)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; closing twice is allowed."""
        if self._loop.is_closed():
            return
        try:
            self._call(close_context(self._context), _CONNECT_SECONDS)
        finally:
            self._stop_loop()

    @property
    def is_protected(self) -> bool:
        """Whether requests are protected by OSCORE."""
        return self._interface.remote.is_protected

    @property
    def console_text(self) -> str:
        """The last console texts of the device."""
        return "".join(self._texts)

    def ping(self, timeout: float | None = None) -> float | None:
        """Seconds until the device answers an empty message; None when it does not within `timeout` seconds.

        The default are two ACK time-outs of the link. Nothing is sent a second time, and OSCORE does not matter.
        """
        seconds = 2 * self.link.ack_timeout if timeout is None else timeout
        taken = self._call(self._interface.answer_time(seconds), seconds + 5)
        if taken is None and self._interface.end_reason is not None:
            raise self._failed("", aiocoap.error.NetworkError(self._interface.end_reason))
        return taken

    def info(self) -> DeviceInfo:
        """What the device runs; asked once. From then on no block is larger than the device takes it."""
        if self._info is None:
            answer = self._request(aiocoap.GET, "info", budget=_MAX_INFO, accept=_CBOR)
            info = read_answer(DeviceInfo, answer, f"{self.where}, /info")
            self._info = info.without_counts() if self._emulated and info.counter == MEASURED else info
            self.link = self._interface.remote.profile = self.link.within(info.block_bytes)
        return self._info

    def profile(self) -> Profile:
        """Counts of the last invocations, fresh from the device."""
        answer = self._request(aiocoap.GET, "profile", budget=_MAX_INFO, accept=_CBOR)
        profile = read_answer(Profile, answer, f"{self.where}, /profile")
        return profile.without_counts() if self._emulated and profile.kind == MEASURED else profile

    def forget_info(self) -> None:
        """Ask again for what the device runs, which an update has changed."""
        self._info = None

    def get(self, path: str, *, accept: int = _CBOR) -> bytes:
        """The content of a resource."""
        return self._request(aiocoap.GET, path, budget=_MAX_INFO, accept=accept)

    def post(self, path: str, payload: bytes = b"") -> bytes:
        """The answer to a POST."""
        return self._request(aiocoap.POST, path, payload=payload, budget=_MAX_INFO)

    def put_block(
        self,
        path: str,
        payload: bytes,
        block: tuple[int, bool, int],
        *,
        total: int | None = None,
        etag: bytes | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """One block (number, more, size exponent) of a PUT, and the answer to it, which may be a refusal.

        `total` is the size of the whole, told with the first block; `etag` names the content.
        """
        message = aiocoap.Message(code=aiocoap.PUT, payload=payload, transport_tuning=self.link.tuning())
        message.opt.content_format = _OCTETS
        message.opt.block1 = block
        if total is not None:
            message.opt.size1 = total
        if etag is not None:
            message.opt.etag = etag
        answer = self._send(path, message, _MAX_TEXT, timeout, blockwise=False)
        return Answer(int(answer.code), bytes(answer.payload), answer.opt.content_format)

    def reset(self) -> None:
        """Give the model's state its initial value, and the front end the start of a stream."""
        self._request(aiocoap.POST, "reset")

    def infer(
        self, inputs: Sequence[Array], *, reset: bool = False, profile: bool = False, timeout: float = 300.0
    ) -> list[Array]:
        """One invocation: the model's inputs in, its outputs out, each with the dtype and shape that `info()` gives.

        `reset` puts the state back to its initial value before; `profile` counts per layer (then `profile()` has
        new layer counts, and its plain invocation stays as it was); `timeout` is in seconds.
        """
        info = self.info()
        payload = b"".join(_payload(array, i, info) for i, array in enumerate(_all_of(inputs, info)))
        return self._infer(payload, {"reset": reset, "profile": profile}, timeout)

    def infer_raw(
        self, raw: Array, *, reset: bool = False, profile: bool = False, timeout: float = 300.0
    ) -> list[Array]:
        """One invocation from raw data, by way of the front end that `info().features` describes.

        `raw` are exactly the steps that the next inference needs: `info().features.steps(first=...)` of them, the first
        ones of a stream after a start, `reset()` or with `reset`, which begins a new stream and puts the state back.
        """
        features = self.info().features
        if features is None:
            raise DeviceError(
                "the firmware has no feature front end",
                where=self.where,
                allowed="a build of a model with a table [features] in tinyops.toml",
            )
        if raw.dtype.newbyteorder("<") != np.dtype(features.dtype).newbyteorder("<") or raw.shape[1:] != features.shape:
            shape = ", ".join(map(str, features.shape))
            raise DeviceError(
                f"raw data are {raw.dtype}{list(raw.shape)}",
                where=self._place("infer"),
                allowed=f"{features.dtype}[steps, {shape}]",
            )
        payload = raw.astype(np.dtype(features.dtype).newbyteorder("<")).tobytes()
        return self._infer(payload, {"raw": True, "reset": reset, "profile": profile}, timeout)

    def _infer(self, payload: bytes, flags: Mapping[str, bool], timeout: float) -> list[Array]:
        info = self.info()
        query = [f"{name}=1" for name, on in flags.items() if on]
        expected = sum(tensor.bytes for tensor in info.outputs)
        answer = self._request(
            aiocoap.POST, "infer", payload=payload, query=query, accept=_OCTETS, budget=expected, timeout=timeout
        )
        if len(answer) != expected:
            raise DeviceError(f"answered {len(answer)} bytes", where=self._place("infer"), allowed=f"{expected} bytes")
        outputs, offset = [], 0
        for tensor in info.outputs:
            values = np.frombuffer(answer, tensor.numpy_dtype, int(np.prod(tensor.shape)), offset)
            outputs.append(values.astype(tensor.dtype).reshape(tensor.shape))
            offset += tensor.bytes
        return outputs

    def _place(self, path: str) -> str:
        return f"{self.where}, /{path}" if path else self.where

    def _hear(self, text: str) -> None:
        self._texts.append(text)
        if self._console is not None:
            self._console(text)

    def _request(
        self,
        code: aiocoap.Code,
        path: str,
        *,
        payload: bytes = b"",
        query: Sequence[str] = (),
        accept: int | None = None,
        budget: int = 0,
        timeout: float | None = None,
    ) -> bytes:
        """The payload of a successful answer. The device may send up to about `budget` bytes."""
        message = aiocoap.Message(code=code, payload=payload, transport_tuning=self.link.tuning())
        if query:
            message.opt.uri_query = tuple(query)
        if payload:
            message.opt.content_format = _OCTETS
        if accept is not None:
            message.opt.accept = accept
        if budget > self.link.block_bytes:
            message.opt.block2 = (0, False, self.link.block_exponent)
        response = self._send(path, message, budget, timeout)
        if not response.code.is_successful():
            text = response.payload[:200].decode("utf-8", "replace")
            raise DeviceError(f"answered {response.code}" + (f": {text}" if text else ""), where=self._place(path))
        return bytes(response.payload)

    def _send(
        self, path: str, message: aiocoap.Message, budget: int, timeout: float | None = None, blockwise: bool = True
    ) -> aiocoap.Message:
        """The answer, whatever its code."""
        message.opt.uri_path = tuple(path.split("/"))
        message.remote = self._interface.remote
        # Blocks of 16 bytes have headers of up to 20, and each block of the payload has an answer; some come twice.
        self._interface.budget = 4 * (budget + len(message.payload)) + 4096
        seconds = self.link.answer_seconds if timeout is None else timeout
        exchange = _exchange(self._context, self._interface, message, seconds, self.link, blockwise)
        try:
            return self._call(exchange, seconds + 5)
        except aiocoap.error.Error as error:
            raise self._failed(path, error) from error

    def _failed(self, path: str, error: Exception) -> DeviceError:
        if self._interface.end_reason is not None:
            return DeviceError(
                f"the connection ended: {self._interface.end_reason}",
                where=self._place(path),
                hint="is the device running, at this address?",
            )
        if isinstance(error, aiocoap.error.ConRetransmitsExceeded):
            what = "no answer"
        elif (said := refusal(error)) is not None:
            return DeviceError(said, where=self._place(path), hint="--oscore FOLDER, with this device's context")
        else:
            what = f"the exchange failed: {error.args[0] if error.args else type(error).__name__}"
        return DeviceError(
            what, where=self._place(path), hint="is tinyops firmware running there, at this address and baud rate?"
        )

    def _call(self, coroutine: Coroutine[Any, Any, _T], seconds: float) -> _T:
        if self._loop.is_closed():
            coroutine.close()
            raise DeviceError("the connection is closed", where=self.where)
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(seconds)
        except (TimeoutError, FutureTimeoutError) as error:
            future.cancel()
            raise DeviceError(
                f"no answer within {seconds:.0f} s", where=self.where, hint="is tinyops firmware running there?"
            ) from error
        except BaseException:
            future.cancel()
            raise

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        if not self._loop.is_running():
            self._loop.close()


async def _exchange(
    context: aiocoap.Context,
    interface: LinkInterface,
    message: aiocoap.Message,
    timeout: float,
    link: LinkProfile,
    blockwise: bool,
) -> aiocoap.Message:
    """Send a request, and ping while its answer is awaited: see `LinkInterface.ping`."""
    if interface.end_reason is not None:
        raise aiocoap.error.NetworkError(interface.end_reason)
    pinging = asyncio.create_task(_ping(interface, max(_PING_SECONDS, 2 * link.ack_timeout)))
    deadline = asyncio.get_running_loop().call_later(
        timeout, interface.fail, aiocoap.error.NetworkError(f"no answer within {timeout:g} s")
    )
    try:
        return await context.request(message, handle_blockwise=blockwise).response
    finally:
        deadline.cancel()
        pinging.cancel()


async def _ping(interface: LinkInterface, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        interface.ping()


def _all_of(inputs: Sequence[Array], info: DeviceInfo) -> Sequence[Array]:
    if len(inputs) != len(info.inputs):
        names = ", ".join(tensor.name for tensor in info.inputs)
        raise DeviceError(
            f"{len(inputs)} inputs were given", where=f"model {info.model}", allowed=f"{len(info.inputs)}: {names}"
        )
    return inputs


def _payload(array: Array, index: int, info: DeviceInfo) -> bytes:
    tensor = info.inputs[index]
    if array.dtype.newbyteorder("<") != tensor.numpy_dtype or array.shape != tensor.shape:
        raise DeviceError(
            f"input {tensor.name!r} is {array.dtype}{list(array.shape)}",
            where=f"model {info.model}",
            allowed=f"{tensor.dtype}{list(tensor.shape)}",
        )
    return array.astype(tensor.numpy_dtype).tobytes()
