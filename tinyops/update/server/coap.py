"""The CoAP server for devices (docs/fleet.md).

    POST /checkin        see tinyops.update.checkin
    GET  /b/ID/NAME      files of published updates, also under the paths by which their manifest names them:
                         Block2, ETag, any block at any time

Nothing is kept of a download between two of its blocks: each is read from the file when it is asked for, so a device
goes on after a restart of either side, and with any server of the fleet.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import aiocoap
from aiocoap import resource
from aiocoap.numbers import ContentFormat
from aiocoap.numbers.optionnumbers import OptionNumber

from tinyops.errors import TinyopsError
from tinyops.update import bundles, offers
from tinyops.update.checkin import MAX_BYTES, Answer, CheckinError, parse_checkin
from tinyops.update.database import FleetError
from tinyops.update.registry import device_name
from tinyops.update.server.batch import CheckinQueue
from tinyops.update.server.fleet import Fleet
from tinyops.update.server.limits import Assembler, BodyTooLargeError, OutOfOrderError

#: Claims of aiocoap's security contexts that name a device.
DEVICE_CLAIM = ":device/"
_ETAG_BYTES = 8
_MAX_EXPONENT = 6
_LOOKUP_SECONDS = 1.0
_LOOKUPS = 4096
_RETRY_SECONDS = 60
#: Requests that are answered again when they are repeated; older ones are carried out again, which does no harm.
_REMEMBERED = 20_000
_KNOWN = {
    OptionNumber.URI_HOST,
    OptionNumber.URI_PORT,
    OptionNumber.URI_PATH,
    OptionNumber.ACCEPT,
    OptionNumber.BLOCK1,
    OptionNumber.BLOCK2,
}


class _RefusedError(Exception):
    """A request that gets an error for an answer."""

    def __init__(self, code: Any, text: str = "", **options: Any) -> None:
        super().__init__(text)
        self.message = aiocoap.Message(code=code, payload=text.encode()[:128])
        for name, value in options.items():
            setattr(self.message.opt, name, value)


class _Resource(resource.Resource):  # type: ignore[misc]  # aiocoap has no types
    """A resource that handles blocks itself and refuses options that it does not know."""

    async def needs_blockwise_assembly(self, request: Any) -> bool:
        return False

    async def render(self, request: Any) -> Any:
        try:
            for option in request.opt.option_list():
                if option.number.is_critical() and option.number not in _KNOWN:
                    raise _RefusedError(aiocoap.BAD_OPTION, f"option {int(option.number)} is not known here")
            return await super().render(request)
        except _RefusedError as refused:
            return refused.message
        except FleetError:  # what the database said is not for strangers
            return _RefusedError(aiocoap.SERVICE_UNAVAILABLE, "not now", max_age=_RETRY_SECONDS).message


class FileResource(_Resource):
    """The files of published updates."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self._fleet = fleet
        self._found: OrderedDict[tuple[str, ...], tuple[float, bundles.Served | None]] = OrderedDict()

    async def render_get(self, request: Any) -> Any:
        if request.opt.accept not in (None, ContentFormat.OCTETSTREAM):
            raise _RefusedError(aiocoap.NOT_ACCEPTABLE, "content format 42 only")
        served = await self._lookup(tuple(request.opt.uri_path), _address(request))
        if served is None:
            raise _RefusedError(aiocoap.NOT_FOUND, "there is no such file, or it was withdrawn")
        if not served.open:
            raise _RefusedError(aiocoap.SERVICE_UNAVAILABLE, "the rollout is paused", max_age=_RETRY_SECONDS)
        return self._block(request, served)

    def _block(self, request: Any, served: bundles.Served) -> Any:
        asked = request.opt.block2
        etag = served.digest[:_ETAG_BYTES]
        if etag in request.opt.etags and (asked is None or asked.block_number == 0):
            return aiocoap.Message(code=aiocoap.VALID, etag=etag)
        exponent = _MAX_EXPONENT if asked is None else asked.size_exponent
        if exponent > _MAX_EXPONENT or (asked is not None and asked.more):
            raise _RefusedError(aiocoap.BAD_OPTION, "Block2 of a size or with a flag that no request has")
        exponent = min(exponent, request.remote.maximum_block_size_exp)
        size = 16 << exponent
        start = 0 if asked is None else asked.block_number * (16 << asked.size_exponent)
        if start >= served.size and start > 0:
            raise _RefusedError(aiocoap.BAD_REQUEST, f"the file has {served.size} bytes")
        data = self._fleet.store.read(served.digest, start, size)
        if len(data) != min(size, served.size - start):
            raise _RefusedError(aiocoap.INTERNAL_SERVER_ERROR, "the file was cut off")
        answer = aiocoap.Message(payload=data, etag=etag, content_format=ContentFormat.OCTETSTREAM)
        more = start + len(data) < served.size
        if asked is not None or more:
            answer.opt.block2 = (start // size, more, exponent)
        if start == 0:
            answer.opt.size2 = served.size
        return answer

    async def _lookup(self, path: tuple[str, ...], address: str) -> bundles.Served | None:
        """The file at `path`; what the database said is believed for a second."""
        now = time.monotonic()
        known = self._found.get(path)
        if known is not None and known[0] > now:
            return known[1]
        if not self._fleet.per_address.allows(("file", address), now):
            raise _RefusedError(aiocoap.TOO_MANY_REQUESTS, "too many requests", max_age=_RETRY_SECONDS)

        def look() -> bundles.Served | None:
            with self._fleet.database.read() as session:
                return bundles.lookup(session, path)

        served = await self._fleet.read(look)
        if served is not None:  # what is not there is not kept, lest guessed names drive out the others
            self._found[path] = (now + _LOOKUP_SECONDS, served)
            self._found.move_to_end(path)
            if len(self._found) > _LOOKUPS:
                self._found.popitem(last=False)
        return served


class CheckinResource(_Resource):
    """Where devices check in."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self._fleet = fleet
        self._queue = CheckinQueue(fleet)
        self._bodies = Assembler(MAX_BYTES)

    async def render_post(self, request: Any) -> Any:
        now = time.monotonic()
        address = _address(request)
        if not self._fleet.per_address.allows(address, now):
            raise _RefusedError(aiocoap.TOO_MANY_REQUESTS, "too many check-ins", max_age=_RETRY_SECONDS)
        if request.opt.content_format not in (None, ContentFormat.CBOR):
            raise _RefusedError(aiocoap.UNSUPPORTED_CONTENT_FORMAT, "content format 60 only")
        if request.opt.accept not in (None, ContentFormat.CBOR):
            raise _RefusedError(aiocoap.NOT_ACCEPTABLE, "content format 60 only")
        block = request.opt.block1
        body = self._body(request, block, now)
        if body is None:
            return aiocoap.Message(code=aiocoap.CONTINUE, block1=block)
        answer = await self._check_in(body, offers.Sender(address, authenticated_device(request)), now)
        message = aiocoap.Message(code=aiocoap.CHANGED, payload=answer.encode(), content_format=ContentFormat.CBOR)
        message.opt.block1 = block
        return message

    def _body(self, request: Any, block: Any, now: float) -> bytes | None:
        """The whole body, or None as long as blocks of it are missing."""
        try:
            if block is None:
                if len(request.payload) > MAX_BYTES:
                    raise BodyTooLargeError
                return bytes(request.payload)
            if block.size_exponent > _MAX_EXPONENT or (block.more and len(request.payload) != block.size):
                raise _RefusedError(aiocoap.BAD_REQUEST, "the block is not of the size that it says")
            return self._bodies.feed(request.remote.blockwise_key, block.start, bytes(request.payload), block.more, now)
        except BodyTooLargeError:
            text = f"a check-in has at most {MAX_BYTES} bytes"
            raise _RefusedError(aiocoap.REQUEST_ENTITY_TOO_LARGE, text, size1=MAX_BYTES) from None
        except OutOfOrderError:
            raise _RefusedError(aiocoap.REQUEST_ENTITY_INCOMPLETE, "not the next block; begin again") from None

    async def _check_in(self, body: bytes, sender: offers.Sender, now: float) -> Answer:
        try:
            checkin = parse_checkin(body)
        except CheckinError as error:
            raise _RefusedError(aiocoap.BAD_REQUEST, error.what) from error
        if not self._fleet.per_device.allows(device_name(checkin.device), now):
            raise _RefusedError(aiocoap.TOO_MANY_REQUESTS, "too many check-ins", max_age=_RETRY_SECONDS)

        try:
            return await self._queue.check_in(checkin, sender)
        except offers.UnknownDeviceError as error:
            raise _RefusedError(aiocoap.FORBIDDEN, str(error)) from error
        except offers.NotAuthenticError as error:
            raise _RefusedError(aiocoap.UNAUTHORIZED, error.what) from error


def authenticated_device(request: Any) -> str | None:
    """The device that the request's security context vouches for."""
    for claim in getattr(request.remote, "authenticated_claims", ()):
        if isinstance(claim, str) and claim.startswith(DEVICE_CLAIM):
            return claim.removeprefix(DEVICE_CLAIM)
    return None


def _address(request: Any) -> str:
    """The sender's address without its port: senders choose ports freely."""
    try:
        host = str(request.remote.hostinfo)
    except Exception:  # a transport whose peer has no address
        return "unknown"
    if host.startswith("["):
        return host[1:].split("]")[0]
    return host.rsplit(":", 1)[0] if host.count(":") == 1 else host


class FleetSite(_Resource, resource.PathCapable):  # type: ignore[misc]
    """All resources of the server, to be wrapped by transport security where there is one."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self._checkin = CheckinResource(fleet)
        self._files = FileResource(fleet)

    async def render(self, request: Any) -> Any:
        path = tuple(request.opt.uri_path)
        if path == ("checkin",):
            return await self._checkin.render(request)
        if path == (".well-known", "core"):
            return await super().render(request)
        return await self._files.render(request)

    async def render_get(self, request: Any) -> Any:
        return aiocoap.Message(payload=b"</checkin>;ct=60", content_format=ContentFormat.LINKFORMAT)


class _Recent(OrderedDict[Any, Any]):
    """The requests that aiocoap remembers, for four minutes each: bounded in number as well."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        if len(self) > _REMEMBERED:
            self.popitem(last=False)

    def pop(self, key: Any, default: Any = None) -> Any:
        return super().pop(key, default)


async def start_coap(site: Any, host: str, port: int) -> Any:
    """Serve `site` at an address; returns aiocoap's context. FleetError when the address cannot be had."""
    from aiocoap import defaults, error

    udp6 = "udp6" in defaults.get_default_servertransports()
    try:
        context = await aiocoap.Context.create_server_context(
            site, bind=(host, port), transports=["udp6" if udp6 else "simplesocketserver"]
        )
    except (OSError, error.Error) as failure:
        raise FleetError(
            f"cannot listen: {failure}", where=f"{host} port {port}", hint="--listen [::]:5684, or another port"
        ) from failure
    for interface in context.request_interfaces:
        manager = getattr(interface, "token_interface", None)
        if manager is not None and hasattr(manager, "_recent_messages"):
            manager._recent_messages = _Recent()
    return context


async def advance_forever(fleet: Fleet, note: Callable[[str], None], every: float = 1.0) -> None:
    """Let campaigns go on, until cancelled. An error of the database is told, and tried again."""
    from tinyops.update.advance import advance

    told = ""
    while True:
        try:
            await fleet.write(lambda: advance(fleet.database, fleet.clock()))
            told = ""
        except TinyopsError as error:
            if str(error) != told:
                told = str(error)
                note(told)
        await asyncio.sleep(every)
