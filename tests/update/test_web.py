"""The web page: what it shows, who may act on it, and how it looks in a real browser."""

from __future__ import annotations

import http.client
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.browser import Page, browser, program
from tests.support.fleet import CLASS, FakeDevice, ServerProcess, server
from tests.update.test_campaign import ME, digest_of, publish, says
from tinyops.suit.reasons import Reason
from tinyops.update import campaign, registry
from tinyops.update.advance import advance
from tinyops.update.cohort import Cohort
from tinyops.update.database import Database, open_database
from tinyops.update.gates import Gates
from tinyops.update.tables import AuditEntry, Bundle

TOKEN = "correct horse battery staple"
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet with a finished rollout, one that its canary stopped, one that waits for approval, and a draft."""
    folder = tmp_path_factory.mktemp("web")
    database = open_database(str(folder / "fleet.db"), create=True)
    now = time.time() - 600
    devices = [FakeDevice(f"hall-{k:02}") for k in range(24)]
    with database.write() as session:
        new = [registry.NewDevice(device.name, str(CLASS), "host", ("hall",)) for device in devices]
        registry.add(session, [*new, registry.NewDevice("0x3c7363726970743e")], now, ME)
    for name, sequence, approve in (("first", 2, False), ("bad", 3, False), ("careful", 4, True)):
        _begin(database, name, sequence, approve, now)
        for turn in range(8):
            for device in devices:
                if says(database, device, now + turn) == sequence:
                    if name == "bad":
                        device.refuses(sequence, Reason.SELF_TEST)
                    else:
                        device.installs(sequence, digest_of(sequence))
                    says(database, device, now + turn + 0.2)
            advance(database, now + turn + 0.5)
        now += 100
    publish(database, 5)
    with database.write() as session:
        session.add(AuditEntry(number=10_000, time="2026", actor=EVIL, action=EVIL, details="{}", previous="", hash=""))
    database.close()
    return folder


def _begin(database: Database, name: str, sequence: int, approve: bool, now: float) -> None:
    bundle = publish(database, sequence, now)
    with database.write() as session:
        found = session.get(Bundle, bundle)
        assert found is not None
        plan = campaign.Plan(Cohort(("hall",)), Gates(), canary=1, waves=(25.0, 100.0), approve=approve)
        campaign.create(session, name, found, plan, now, ME)
        campaign.start(session, name, now, ME)


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[ServerProcess]:
    (folder / "token").write_text(TOKEN + "\n")
    (folder / "token").chmod(0o600)
    with server(folder, "--web-token-file", str(folder / "token")) as process:
        yield process


class Visitor:
    """A browser without eyes: keeps its cookie, follows nothing."""

    def __init__(self, running: ServerProcess) -> None:
        self.port = running.web_port
        self.cookie: str | None = None

    def request(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if form is not None:
            names |= {"Content-Type": "application/x-www-form-urlencoded"}
        if self.cookie:
            names["Cookie"] = self.cookie
        connection.request(method, path, urlencode(form) if form is not None else None, names)
        answer = connection.getresponse()
        self.headers = answer.headers
        if answer.headers.get("Set-Cookie"):
            self.set_cookie = answer.headers["Set-Cookie"]
            self.cookie = self.set_cookie.split(";")[0]
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def log_in(self) -> str:
        """Log in; returns the form token."""
        assert self.request("POST", "/login", {"token": TOKEN})[0] == 303
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.request("GET", "/")[1])
        assert found is not None
        return found[1]


@pytest.fixture
def visitor(running: ServerProcess) -> Visitor:
    return Visitor(running)


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "shows"),
    [
        ("/", ["hall", "first", "finished", "bad", "paused", "success is 0 % (0 of 1)", "careful", "held"]),
        ("/devices", ["25 devices", "hall-00", "0x3c7363726970743e", "self-test"]),
        ("/devices?tag=hall&text=-1&state=idle", ["10 devices", "hall-10", "hall-19"]),
        ("/devices?page=999999", ["25 devices", "hall-00"]),
        ("/devices/hall-00", ["runs sequence", "2: ok|4: ok|first", str(CLASS)]),
        ("/rollouts/bad", ["paused", "reverted", "self-test", "success is 0 %", "canary", "25 %"]),
        ("/rollouts/first", ["finished", "succeeded", "24"]),
        ("/log", ["wave open", "rollout hold", "rollout pause"]),
        ("/login", ["password"]),
    ],
)
def test_pages(visitor: Visitor, path: str, shows: list[str]) -> None:
    status, text = visitor.request("GET", path)
    assert status == 200
    for part in shows:
        assert any(choice in text for choice in part.split("|")), part
    assert "csrf" not in text, "only for who has logged in"
    assert EVIL not in text
    policy = visitor.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert visitor.headers["X-Content-Type-Options"] == "nosniff"
    assert visitor.headers["Cache-Control"] == "no-store"


def test_nothing_is_loaded_from_elsewhere(visitor: Visitor) -> None:
    for path in ("/", "/devices", "/devices/hall-00", "/rollouts/bad", "/log", "/login", "/style.css"):
        text = visitor.request("GET", path)[1]
        assert not re.search(r"https?://|src=|@import|url\(", text), path
        assert "<script" not in text
        assert "style=" not in text


def test_text_of_others_is_escaped(visitor: Visitor) -> None:
    text = visitor.request("GET", "/log")[1]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    for path in (f"/devices?text={EVIL}&tag={EVIL}&state={EVIL}", f"/devices/{EVIL}", f"/rollouts/{EVIL}"):
        assert EVIL not in visitor.request("GET", path.replace("<", "%3C").replace(">", "%3E"))[1]


@pytest.mark.parametrize(
    "path", ["/nothing", "/devices/nothing", "/devices/%00", "/rollouts/nothing", "/../etc/passwd", "/static/x", "/b/x"]
)
def test_what_is_not_there(visitor: Visitor, path: str) -> None:
    status, text = visitor.request("GET", path)
    assert status == 404
    assert "Not possible" in text
    assert "Traceback" not in text


_QUERIES = ["page=-1", "page=x", "page=99999999999", "page=%D9%A1", "text=" + "a" * 5000, "text=%25_\\"]


@pytest.mark.parametrize("query", _QUERIES)
def test_odd_queries(visitor: Visitor, query: str) -> None:
    assert visitor.request("GET", f"/devices?{query}")[0] == 200


def test_other_host_names_are_refused(visitor: Visitor) -> None:
    """A page of another site whose name resolves to this computer gets nothing (DNS rebinding)."""
    assert visitor.request("GET", "/", Host="evil.example")[0] == 400
    assert visitor.request("GET", "/", Host="localhost")[0] == 200


# -- acting ------------------------------------------------------------------------------------------------------------


def state_of(folder: Path, name: str) -> str:
    database = open_database(str(folder / "fleet.db"))
    with database.read() as session:
        state = campaign.find(session, name).state
    database.close()
    return state


def test_without_a_session_nothing_can_be_done(visitor: Visitor, folder: Path) -> None:
    for action in ("pause", "approve", "abort"):
        assert visitor.request("POST", f"/rollouts/careful/{action}", {"csrf": "0" * 64})[0] == 403
    assert visitor.request("POST", "/logout", {})[0] == 403
    assert state_of(folder, "careful") == "held"


def test_a_session_needs_the_form_token_and_a_page_of_this_server(visitor: Visitor, folder: Path) -> None:
    csrf = visitor.log_in()
    path = "/rollouts/careful/abort"
    here = f"http://127.0.0.1:{visitor.port}"
    assert visitor.request("POST", path, {})[0] == 403
    assert visitor.request("POST", path, {"csrf": "0" * 64})[0] == 403
    assert visitor.request("POST", path, {"csrf": "ä" * 64})[0] == 403
    assert visitor.request("POST", path, {"csrf": csrf}, Origin="http://evil.example")[0] == 403
    assert visitor.request("POST", path, {"csrf": csrf}, Origin="null")[0] == 403
    assert visitor.request("POST", path, {"csrf": csrf}, Sec_Fetch_Site="cross-site")[0] == 403
    assert visitor.request("POST", path, {"csrf": csrf, "more": "x" * 5000})[0] == 403
    assert visitor.request("POST", "/rollouts/careful/explode", {"csrf": csrf}, Origin=here)[0] == 404
    assert visitor.request("GET", path)[0] == 404
    assert state_of(folder, "careful") == "held"


def test_actions(visitor: Visitor, folder: Path) -> None:
    csrf = visitor.log_in()
    assert "HttpOnly" in visitor.set_cookie
    assert "SameSite=strict" in visitor.set_cookie
    for action, state in (("pause", "paused"), ("resume", "running|held"), ("pause", "paused")):
        status, _ = visitor.request("POST", f"/rollouts/careful/{action}", {"csrf": csrf})
        assert status == 303
        assert visitor.headers["Location"] == "/rollouts/careful"
        assert state_of(folder, "careful") in state.split("|")
    status, text = visitor.request("POST", "/rollouts/first/pause", {"csrf": csrf})
    assert status == 409
    assert "the rollout is finished" in text
    assert visitor.request("POST", "/rollouts/careful/resume", {"csrf": csrf})[0] == 303
    log = visitor.request("GET", "/log")[1]
    assert "<td>web</td>" in log
    assert visitor.request("POST", "/logout", {"csrf": csrf})[0] == 303
    visitor.cookie = None
    assert visitor.request("POST", "/rollouts/careful/abort", {"csrf": csrf})[0] == 403


@pytest.mark.parametrize("change", [(0, "9"), (15, "x"), (-1, "x")])
def test_a_cookie_that_was_changed(visitor: Visitor, change: tuple[int, str]) -> None:
    visitor.log_in()
    assert visitor.cookie is not None
    name, _, value = visitor.cookie.partition("=")
    where, letter = change
    letters = list(value)
    letters[where] = letter if letters[where] != letter else "0"
    visitor.cookie = f"{name}={''.join(letters)}"
    assert "Log out" not in visitor.request("GET", "/")[1]


def test_guessing_the_token_is_slow(running: ServerProcess, folder: Path) -> None:
    with server(folder, "--web-token-file", str(folder / "token")) as other:
        visitor = Visitor(other)
        codes = [visitor.request("POST", "/login", {"token": f"guess {k}"})[0] for k in range(8)]
        assert codes == [403] * 5 + [429] * 3
        assert visitor.request("POST", "/login", {"token": TOKEN})[0] == 429
        assert visitor.cookie is None


def test_a_server_without_a_token_is_read_only(folder: Path) -> None:
    with server(folder) as other:
        visitor = Visitor(other)
        assert "Log in" not in visitor.request("GET", "/")[1]
        assert visitor.request("POST", "/login", {"token": ""})[0] == 404
        assert visitor.request("POST", "/rollouts/careful/abort", {"csrf": ""})[0] == 403


# -- in a browser ------------------------------------------------------------------------------------------------------

needs_browser = pytest.mark.skipif(program() is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as opened:
        yield opened


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("path", ["/", "/devices", "/devices/hall-00", "/rollouts/bad", "/log", "/login"])
def test_pages_fit_and_can_be_read(
    running: ServerProcess, page: Page, tmp_path: Path, path: str, width: int, dark: bool
) -> None:
    page.look(width, 900, dark=dark)
    page.messages.clear()
    page.open(running.web + path)
    assert page.messages == [], "nothing was refused or not found"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    assert _contrast(*colours) >= 7
    assert (_light(colours[0]) < 0.2) == dark
    assert min(_contrast(back, front) for back, front in page.evaluate(_COLOURS)) >= 4.5
    page.picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 5000


#: [background, text] of all that is written on a page.
_COLOURS = """[...document.querySelectorAll("a, p, .state, .sub, th, td, button, dt, dd, label")].map(e => {
    let back = e;
    while (getComputedStyle(back).backgroundColor === "rgba(0, 0, 0, 0)") back = back.parentElement;
    return [getComputedStyle(back).backgroundColor, getComputedStyle(e).color];
})"""


def _light(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(a: str, b: str) -> float:
    low, high = sorted((_light(a), _light(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_person_logs_in_and_stops_a_rollout(folder: Path, tmp_path: Path, scripts: bool) -> None:
    shutil.copytree(folder, tmp_path / "fleet")
    with server(tmp_path / "fleet", "--web-token-file", str(folder / "token")) as running, browser(scripts) as page:
        page.look(1280, 900)
        page.open(running.web + "/")
        page.click("Log in")
        page.type("input[name=token]", "not this one")
        page.click("Log in", "main button")
        assert "This is not the token." in page.text()
        page.type("input[name=token]", TOKEN)
        page.click("Log in", "main button")
        assert "Log out" in page.text()
        page.click("careful")
        assert "waits for approval" in page.text()
        page.click("Pause")
        assert "paused by hand" in page.text()
        page.click("Resume")
        page.click("Abort")
        assert "aborted by hand" in page.text()
        assert state_of(tmp_path / "fleet", "careful") == "aborted"
        page.click("Log out")
        assert "Log out" not in page.text()
        page.open(running.web + "/rollouts/bad")
        assert "Resume" not in page.text()


@pytest.mark.slow
@needs_browser
def test_the_page_keeps_itself_up_to_date(running: ServerProcess, folder: Path, page: Page) -> None:
    page.look(1280, 900)
    page.open(running.web + "/")
    page.evaluate("window.before = true")
    database = open_database(str(folder / "fleet.db"))
    with database.write() as session:
        registry.add(session, [registry.NewDevice("brand-new", tags=("just-now",))], time.time(), ME)
    database.close()
    assert "just-now" not in page.text()
    deadline = time.monotonic() + 25
    while "just-now" not in page.text():
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert page.evaluate("window.before") is None
