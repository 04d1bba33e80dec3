"""The web page of the fleet: made on the server, without scripts, read-only for who has no token."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import jinja2
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tinyops.errors import TinyopsError
from tinyops.update import audit, campaign
from tinyops.update.server import pages
from tinyops.update.server.fleet import Fleet
from tinyops.update.server.limits import RateLimiter
from tinyops.update.server.sessions import COOKIE, SESSION_SECONDS, Sessions, read_form

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer browsers send forms with the origin "null"
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_REFRESH_SECONDS = 10
_ACTIONS: dict[str, Callable[..., Any]] = {
    "pause": campaign.pause,
    "resume": campaign.resume,
    "approve": campaign.approve,
    "abort": campaign.abort,
}
#: The actions that a rollout's state allows.
_ALLOWED = {
    campaign.RUNNING: ("pause", "abort"),
    campaign.HELD: ("approve", "pause", "abort"),
    campaign.PAUSED: ("resume", "abort"),
    campaign.DRAFT: ("abort",),
}
_ACTOR = "web"
_FOLDER = Path(__file__).parent / "templates"


def make_app(fleet: Fleet, host: str, token: str | None = None) -> Starlette:
    """The application. With a `token` people who know it can pause, resume, approve and abort rollouts.

    Bound to a loopback address it answers only requests to such an address, so that no page of another site can reach
    it by a name of its own.
    """
    web = _Web(fleet, Sessions(token) if token else None)
    routes = [
        Route("/", web.page(web.overview)),
        Route("/devices", web.page(web.devices)),
        Route("/devices/{name}", web.page(web.device)),
        Route("/rollouts/{name}", web.page(web.rollout)),
        Route("/rollouts/{name}/{action}", web.page(web.act), methods=["POST"]),
        Route("/log", web.page(web.log)),
        Route("/login", web.page(web.login), methods=["GET", "POST"]),
        Route("/logout", web.page(web.logout), methods=["POST"]),
        Route("/style.css", web.page(web.style)),
    ]
    names = ["localhost", "127.0.0.1", "[::1]", host] if _is_loopback(host) else ["*"]
    return Starlette(
        routes=routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False)],
        exception_handlers={404: web.not_found, 405: web.not_found},
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Web:
    """The pages."""

    def __init__(self, fleet: Fleet, sessions: Sessions | None) -> None:
        self._fleet = fleet
        self._sessions = sessions
        self._logins = RateLimiter(0.1, 5, entries=1024)
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self._templates.filters |= {
            "moment": _moment,
            "duration": _duration,
            "ago": self._ago,
            "path": lambda text: quote(text, safe=""),
            "describe": audit.describe,
        }

    def page(self, make: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """`make` with the headers of all pages, and errors as pages."""

        async def answer(request: Request) -> Response:
            try:
                response = await make(request)
            except TinyopsError as error:
                status = 409 if request.method == "POST" else 404
                response = self._render(request, "error.html.j2", status, what=error.what, allowed=error.allowed)
            response.headers.update(_HEADERS)
            return response

        return answer

    async def not_found(self, request: Request, _error: Exception) -> Response:
        response = self._render(request, "error.html.j2", 404, what="There is no such page.", allowed=None)
        response.headers.update(_HEADERS)
        return response

    def _render(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        session = self._sessions.of(request) if self._sessions else None
        text = self._templates.get_template(template).render(
            can_log_in=self._sessions is not None,
            csrf=self._sessions.csrf(session) if self._sessions and session else None,
            here=request.url.path,
            now=self._fleet.clock(),
            **{"refresh": None} | values,
        )
        return HTMLResponse(text, status)

    async def _read(self, function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            with self._fleet.database.read() as session:
                return function(session, *arguments)

        return await self._fleet.read(work)

    # -- pages -------------------------------------------------------------------------------------------------

    async def overview(self, request: Request) -> Response:
        values = await self._read(pages.overview, self._fleet.clock())
        return self._render(request, "overview.html.j2", refresh=_REFRESH_SECONDS, **values)

    async def devices(self, request: Request) -> Response:
        asked = {key: request.query_params.get(key, "")[:64] for key in ("text", "tag", "state")}
        values = await self._read(pages.devices, asked["text"], asked["tag"], asked["state"], _page(request))
        return self._render(request, "devices.html.j2", asked=asked, **values)

    async def device(self, request: Request) -> Response:
        values = await self._read(pages.device, request.path_params["name"])
        return self._render(request, "device.html.j2", refresh=_REFRESH_SECONDS, **values)

    async def rollout(self, request: Request) -> Response:
        values = await self._read(pages.rollout, request.path_params["name"], self._fleet.clock())
        actions = _ALLOWED.get(values["rollout"]["state"], ())
        return self._render(request, "rollout.html.j2", refresh=_REFRESH_SECONDS, actions=actions, **values)

    async def log(self, request: Request) -> Response:
        return self._render(request, "log.html.j2", **await self._read(pages.log, _page(request)))

    async def style(self, request: Request) -> Response:
        return Response(self._templates.get_template("style.css.j2").render(), media_type="text/css")

    # -- actions -------------------------------------------------------------------------------------------------

    async def login(self, request: Request) -> Response:
        if self._sessions is None:
            return self._render(request, "error.html.j2", 404, what="This server has no token.", allowed=None)
        if request.method == "GET":
            return self._render(request, "login.html.j2", wrong=False)
        if not _same_origin(request):
            return self._refused(request)
        sender = request.client.host if request.client else ""
        if not self._logins.allows(sender, time.monotonic()):
            return self._render(request, "error.html.j2", 429, what="Too many attempts; wait a minute.", allowed=None)
        form = await read_form(request)
        if form is None or not self._sessions.knows(form.get("token", "")):
            return self._render(request, "login.html.j2", 403, wrong=True)
        response = RedirectResponse("/", 303)
        response.set_cookie(
            COOKIE,
            self._sessions.new(),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def logout(self, request: Request) -> Response:
        if await self._form(request) is None:
            return self._refused(request)
        response = RedirectResponse("/", 303)
        response.delete_cookie(COOKIE)
        return response

    async def act(self, request: Request) -> Response:
        form = await self._form(request)
        action = _ACTIONS.get(request.path_params["action"])
        if form is None:
            return self._refused(request)
        if action is None:
            return await self.not_found(request, LookupError())
        name = request.path_params["name"]
        more = {"waive": True} if action is campaign.resume and form.get("waive") == "yes" else {}

        def work() -> None:
            with self._fleet.database.write() as session:
                action(session, name, self._fleet.clock(), _ACTOR, **more)

        await self._fleet.write(work)
        return RedirectResponse(f"/rollouts/{quote(name, safe='')}", 303)

    async def _form(self, request: Request) -> dict[str, str] | None:
        """The fields of a form from a person who has logged in, on a page of this server; else None."""
        session = self._sessions.of(request) if self._sessions else None
        if self._sessions is None or session is None or not _same_origin(request):
            return None
        form = await read_form(request)
        return form if form is not None and self._sessions.is_csrf(session, form.get("csrf", "")) else None

    def _refused(self, request: Request) -> Response:
        what = "You are not logged in, or the page was too old."
        return self._render(request, "error.html.j2", 403, what=what, allowed=None)

    def _ago(self, moment: float | None) -> str:
        if moment is None:
            return "never"
        seconds = max(0.0, self._fleet.clock() - moment)
        unit, size = _unit(seconds)
        return f"{seconds / size:.0f} {unit} ago"


def _same_origin(request: Request) -> bool:
    """Whether the browser says that a form is from a page of this server, or says nothing."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    return (origin is None or urlsplit(origin).netloc == request.headers.get("host")) and site in (
        "same-origin",
        "none",
    )


def _page(request: Request) -> int:
    text = request.query_params.get("page", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0


def _duration(seconds: float) -> str:
    unit, size = _unit(seconds)
    return f"{seconds / size:.4g} {unit}"


def _unit(seconds: float) -> tuple[str, int]:
    """The unit that people would use, and its seconds."""
    return next(((unit, size) for size, unit in ((86400, "d"), (3600, "h"), (60, "min")) if seconds >= size), ("s", 1))


def _moment(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if seconds is not None else "-"
