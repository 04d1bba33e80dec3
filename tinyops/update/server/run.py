"""Run the server: CoAP, the web page, and the engine of campaigns, in one process until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyops.device.link.oscore import protect_site, release
from tinyops.errors import MissingToolError, UsageError
from tinyops.update.database import FleetError
from tinyops.update.registry import device_name
from tinyops.update.server.coap import DEVICE_CLAIM, FleetSite, advance_forever, start_coap
from tinyops.update.server.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """HOST:PORT, with brackets around the host if it is an IPv6 address; UsageError for anything else."""
        host, separator, port = text.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not separator or not bare or (":" in bare) != (bare != host) or not port.isdecimal() or int(port) > 65535:
            raise UsageError(f"{text[:80]!r} is no address", allowed="HOST:PORT, such as [::]:5683 or 127.0.0.1:8080")
        return cls(bare, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def serve(
    fleet: Fleet,
    coap: Address,
    web: Address | None,
    token: str | None,
    note: Callable[[str], None],
    oscore: Sequence[Path] = (),
    *,
    share_port: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM. `note` gets lines for people, "ready" when all is up.

    With `oscore`, folders of security contexts, devices must protect their check-ins with one of them. FleetError when
    another process has the UDP port; `share_port` lets the system divide the devices among those that have it.
    """
    if not share_port:
        _refuse_port_in_use(coap)
    asyncio.run(_serve(fleet, coap, web, token, note, oscore))


async def _serve(
    fleet: Fleet,
    coap: Address,
    web: Address | None,
    token: str | None,
    note: Callable[[str], None],
    oscore: Sequence[Path],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, stop.set)
    page = _listen(web) if web is not None else None
    site: Any = FleetSite(fleet)
    site = protect_site(site, oscore, required=[("checkin",)], claim=_claim) if oscore else site
    context = await start_coap(site, coap.host, coap.port)
    note(f"coap://{coap}")
    tasks = [asyncio.create_task(advance_forever(fleet, note))]
    server = None
    if page is not None and web is not None:
        server = _web_server(fleet, web, token)
        tasks.append(asyncio.create_task(server.serve(sockets=[page])))
        note(f"http://{web}" + ("" if token else "  (read-only: no --web-token-file)"))
    note("ready")
    ends = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([ends, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {ends}:
            task.result()  # raises what ended it
    finally:
        if server is not None:
            server.should_exit = True
        tasks[0].cancel()
        ends.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await context.shutdown()
        for credentials in site.server_credentials.values() if oscore else ():
            release(credentials)
        fleet.close()


def _claim(device: bytes) -> str:
    return DEVICE_CLAIM + device_name(device)


def _refuse_port_in_use(address: Address) -> None:
    """aiocoap binds with SO_REUSEPORT, which two servers of different fleets would not notice."""
    with contextlib.suppress(socket.gaierror):  # told by who binds
        family, kind, _, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            try:
                probe.bind(place)
            except OSError as error:
                raise FleetError(
                    f"cannot listen: {_short(error)}",
                    where=str(address),
                    hint="another --listen; or --share-port, for several servers of one fleet",
                ) from error


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except (OSError, OverflowError) as error:
        raise FleetError(
            f"cannot listen: {_short(error)}", where=str(address), hint="--web 127.0.0.1:8081, or --no-web"
        ) from error


def _short(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).split(" (while")[0]


def _web_server(fleet: Fleet, address: Address, token: str | None) -> Any:
    try:
        import uvicorn

        from tinyops.update.server.web import make_app
    except ImportError as error:
        raise MissingToolError(
            "uvicorn and starlette are not installed", hint="pip install 'tinyops[update]', or --no-web"
        ) from error

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # the signals are this module's

    config = uvicorn.Config(
        make_app(fleet, address.host, token),
        log_level="error",
        access_log=False,
        lifespan="off",
        server_header=False,
        limit_concurrency=64,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=2,
        ws="none",
    )
    return Server(config)
