"""A real browser for tests: Chromium without a window, driven by its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 30


def program() -> str | None:
    """The browser of this computer, or None."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Page:
    """One tab."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._id = 0
        self.messages: list[str] = []  # what the console says: refused by the content security policy, and errors

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its result."""
        self._id += 1
        self._socket.send(json.dumps({"id": self._id, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=_SECONDS))
            self._note(answer)
            if answer.get("id") == self._id:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Log.entryAdded":
            self.messages.append(event["params"]["entry"]["text"])

    def open(self, url: str) -> None:
        """Go to `url` and wait until it is there."""
        self.command("Page.navigate", url=url)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.1)
            if self.evaluate("document.readyState") == "complete":
                return
        raise TimeoutError

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self.command("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def text(self) -> str:
        return str(self.evaluate("document.body.innerText"))

    def click(self, label: str, selector: str = "button, a") -> None:
        """Press the button or link with this text, as a mouse does, and wait for the page that follows."""
        self.evaluate("window.before = true")
        script = f"""(() => {{
            const all = [...document.querySelectorAll({json.dumps(selector)})];
            const one = all.find(e => e.innerText.trim() === {json.dumps(label)});
            if (!one) return null;
            one.scrollIntoView({{block: "center"}});
            const box = one.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()"""
        place = self.evaluate(script)
        assert place, f"there is no {label!r}: {self.text()}"
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)
        deadline = time.monotonic() + _SECONDS
        while self.evaluate("window.before"):
            assert time.monotonic() < deadline, f"nothing follows {label!r}"
            time.sleep(0.05)
        self._wait()

    def type(self, selector: str, text: str) -> None:
        """Type into a field."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.command("Input.insertText", text=text)

    def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """Size of the window, and which colours the person prefers."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(scripts: bool = True) -> Iterator[Page]:
    """A new browser with one empty page; with `scripts` false pages cannot run any."""
    from websockets.sync.client import connect

    found = program()
    assert found is not None
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        arguments = [found, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
        arguments += ["--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        process = subprocess.Popen(
            [*arguments, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            with connect(_page_address(process, Path(profile)), max_size=1 << 26, open_timeout=_SECONDS) as socket:
                page = Page(socket)
                for domain in ("Page", "Runtime", "Log"):
                    page.command(f"{domain}.enable")
                if not scripts:
                    page.command("Emulation.setScriptExecutionDisabled", value=True)
                yield page
        finally:
            process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()


def _page_address(process: subprocess.Popen[str], profile: Path) -> str:
    """The address of the first tab's DevTools."""
    from urllib.request import urlopen

    file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _SECONDS
    while not (file.exists() and re.match(r"\d+\n", file.read_text())):
        assert process.poll() is None, "the browser has ended"
        assert time.monotonic() < deadline, "the browser does not start"
        time.sleep(0.05)
    port = file.read_text().split()[0]
    while True:
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=_SECONDS) as answer:
            tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
        if tabs:
            address: str = tabs[0]["webSocketDebuggerUrl"]
            return address
        assert time.monotonic() < deadline
        time.sleep(0.05)
