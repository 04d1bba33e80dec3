"""The thread of firmware on RIOT that fetches updates, compiled with declarations of our own in place of RIOT's
headers: what it sends by nanocoap_sock, what it does with the answers, and that it waits without the lock. Each case is
a process of its own. What comes of an update is tested with the receiver (tests/update, tests/e2e and tests/riot)."""

from __future__ import annotations

import ctypes
import multiprocessing
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiocoap
import cbor2
import pytest
from aiocoap import ACK, CON, NON

from tinyops.resources import data_dir

HERE = Path(__file__).resolve().parent
FIRMWARE = data_dir("firmware")
MODULES = FIRMWARE / "riot" / "modules"
FLAGS = ("-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Wconversion", "-Wundef", "-Werror")
SANITIZE = ("-fPIC", "-shared", "-fsanitize=undefined", "-fno-sanitize-recover=all")
REQUEST = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_uint8), ctypes.c_uint32, ctypes.c_char_p, ctypes.POINTER(ctypes.c_uint8)
)
SLEEP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint32)
MANIFEST, PAYLOAD = bytes(range(200)) * 3, bytes(range(251)) * 11
HERE_URI, THERE_URI = "coap://[fd00::1]/m", "coap://[fd00:0:2]:9999/p"
Serve = Callable[[Any, str], Any]
Script = Callable[["Pull"], Iterator[None]]


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("clang") or pytest.skip("neither gcc nor clang is installed")
    target = tmp_path_factory.mktemp("pull") / "pull.so"
    common = ("pull", "checkin", "fetch", "uri", "coap", "cbor", "cbor_read", "text")
    folders = (FIRMWARE / "common/include", MODULES / "tinyops_device/include", MODULES / "tinyops_update/include")
    built = subprocess.run(
        [
            *(compiler, *FLAGS, *SANITIZE, "-D_POSIX_C_SOURCE=200809L"),
            *("-DTO_UPDATABLE", "-DTO_NETWORK", '-DTINYOPS_VERSION="1.2.3"'),
            *(f"-I{folder}" for folder in (*folders, HERE.parent / "support" / "riot_headers")),
            *(str(FIRMWARE / "common" / "src" / f"to_{part}.c") for part in common),
            *(str(MODULES / "tinyops_update" / "pull.c"), str(HERE / "riot_pull_tool.c"), "-o", str(target)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return target


class Pull:
    """The thread, its server, and what the device does while it sleeps."""

    def __init__(self, tool: Path, serve: Serve) -> None:
        self._tool = ctypes.CDLL(str(tool))
        for name in ("tool_manifest", "tool_payload"):
            getattr(self._tool, name).restype = ctypes.POINTER(ctypes.c_uint8)
        self._serve = serve
        self.requests: list[tuple[Any, str]] = []
        self.slept: list[int] = []
        self.failure: BaseException | None = None

    def run(self, script: Script, uri: str = "/p", size: int = len(PAYLOAD), start: int = 0) -> None:
        steps = script(self)

        def sleep(milliseconds: int) -> int:
            self.slept.append(milliseconds)
            try:
                next(steps)
            except StopIteration:
                return 0
            except BaseException as error:  # it would be lost in C
                self.failure = error
                return 0
            return 1

        self._tool.tool_run(REQUEST(self._request), SLEEP(sleep), uri.encode(), size, start)
        if self.failure is not None:
            raise self.failure

    def _request(self, data: Any, size: int, to: bytes, answer: Any) -> int:
        request = aiocoap.Message.decode(bytes(data[:size]))
        self.requests.append((request, to.decode()))
        made = self._serve(request, to.decode())
        if made is None or isinstance(made, int):
            return made or 0
        if isinstance(made, aiocoap.Message):
            made.mtype = ACK if made.mtype is None else made.mtype
            made.mid = request.mid if made.mid is None else made.mid
            made.token = request.token
            made = made.encode()
        ctypes.memmove(answer, made, len(made))
        return len(made)

    def trigger(self, uri: str = HERE_URI) -> int:
        result: int = self._tool.tool_trigger(uri.encode())
        return result

    def call(self, name: str, *arguments: Any) -> int:
        result: int = getattr(self._tool, f"tool_{name}")(*arguments)
        return result

    def taken(self, what: str) -> bytes:
        size = ctypes.c_uint32()
        data = getattr(self._tool, f"tool_{what}")(ctypes.byref(size))
        return bytes(data[: size.value])


def block(request: Any, content: bytes) -> aiocoap.Message:
    number, _, szx = request.opt.block2
    start, end = number << (szx + 4), (number + 1) << (szx + 4)
    answer = aiocoap.Message(code=aiocoap.CONTENT, payload=content[start:end])
    answer.opt.block2 = (number, end < len(content), szx)
    answer.opt.etag = b"tag"
    return answer


def files(request: Any, _: str) -> aiocoap.Message:
    content = {("m",): MANIFEST, ("p",): PAYLOAD}.get(request.opt.uri_path)
    return aiocoap.Message(code=aiocoap.NOT_FOUND) if content is None else block(request, content)


def own_process(tool: Path, serve: Serve, script: Script, **options: Any) -> None:
    """The tool keeps its state in static memory: a process for each case, whose exit code says whether it held."""
    child = multiprocessing.get_context("fork").Process(target=lambda: Pull(tool, serve).run(script, **options))
    child.start()
    child.join(60)
    assert child.exitcode == 0


def test_a_trigger_is_followed(tool: Path) -> None:
    def script(pull: Pull) -> Iterator[None]:
        assert pull.call("priority") > 7, "behind main, once it is ready for triggers"
        assert not pull.requests
        assert pull.trigger() == 0
        yield
        assert pull.taken("manifest") == MANIFEST
        assert pull.taken("payload") == PAYLOAD
        numbers = [(request.opt.uri_path[0], request.opt.block2[0]) for request, _ in pull.requests]
        assert numbers == [("m", 0), *(("p", n) for n in range(-(-len(PAYLOAD) // 1024)))]
        assert {request.mtype for request, _ in pull.requests} == {CON}
        assert len({(request.mid, request.token) for request, _ in pull.requests}) == len(numbers)
        assert (pull.call("connections"), pull.call("open_sockets")) == (1, 1), "one socket for all"
        assert pull.call("posted") == len(numbers), "the thread that serves looks for a new model"

    own_process(tool, files, script)


def test_confirmable_and_separate_responses_are_taken(tool: Path) -> None:
    def serve(request: Any, to: str) -> aiocoap.Message:
        answer = files(request, to)
        answer.mtype, answer.mid = (CON, NON)[len(answer.payload) % 2], 7
        return answer

    def script(pull: Pull) -> Iterator[None]:
        pull.trigger()
        yield
        assert pull.taken("payload") == PAYLOAD

    own_process(tool, serve, script)


def test_an_interrupted_payload_goes_on_where_it_was(tool: Path) -> None:
    def script(pull: Pull) -> Iterator[None]:
        pull.trigger()
        yield
        asked = [request.opt.block2[0] for request, _ in pull.requests if request.opt.uri_path == ("p",)]
        assert asked == [1, 2]
        assert pull.taken("payload")[1024:] == PAYLOAD[1024:]

    own_process(tool, files, script, start=1024)


def test_another_server_gets_a_socket_of_its_own(tool: Path) -> None:
    def script(pull: Pull) -> Iterator[None]:
        pull.trigger()
        yield
        assert pull.taken("payload") == PAYLOAD
        assert [to for _, to in pull.requests] == ["[fd00::1]:5683", *["[fd00:0:2]:9999"] * 3]
        assert (pull.call("connections"), pull.call("open_sockets")) == (2, 1)

    own_process(tool, files, script, uri=THERE_URI)


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x61", b"\xc1\x45\x00\x01", b"\x60\x45\x00\x01\xff", b"\x68" + bytes(11), 0, -1],
    ids=["empty", "short", "version", "marker", "token", "silence", "unreachable"],
)
def test_no_sound_answer_is_a_further_attempt(tool: Path, answer: bytes | int) -> None:
    failed: list[int] = []

    def serve(request: Any, to: str) -> Any:
        if request.opt.uri_path == ("p",) and len(failed) < 2:
            failed.append(1)
            return answer
        return files(request, to)

    def script(pull: Pull) -> Iterator[None]:
        pull.trigger()
        for _ in range(8):
            yield
            if pull.taken("payload") == PAYLOAD:
                break
        assert pull.taken("payload") == PAYLOAD
        assert len(failed) == 2
        assert all(0 < wait <= 60_000 for wait in pull.slept)

    own_process(tool, serve, script)


def test_a_server_that_never_answers_is_given_up_and_keeps_nothing_busy(tool: Path) -> None:
    def script(pull: Pull) -> Iterator[None]:
        assert pull.trigger() == 0
        for _ in range(12):
            yield
        assert len(pull.requests) == 4
        assert pull.trigger() == 0, "it is not busy any more"
        yield
        assert len(pull.requests) == 5

    own_process(tool, lambda *_: 0, script)


def test_a_second_trigger_has_to_wait(tool: Path) -> None:
    def serve(request: Any, to: str) -> Any:
        return files(request, to) if request.opt.uri_path == ("m",) else 0

    def script(pull: Pull) -> Iterator[None]:
        pull.trigger()
        yield
        assert pull.trigger() != 0
        assert pull.trigger("coaps://[fd00::1]/m") != 0
        assert pull.trigger("/m") != 0

    own_process(tool, serve, script)


def test_a_name_may_lead_to_an_ipv4_address(tool: Path) -> None:
    def script(pull: Pull) -> Iterator[None]:
        assert pull.trigger("coap://ipv4/m") == 0
        for _ in range(6):
            yield
        assert {to for _, to in pull.requests} == {"ipv4"}

    own_process(tool, files, script)


def test_a_name_that_leads_nowhere_sends_nothing(tool: Path) -> None:
    def script(pull: Pull) -> Iterator[None]:
        assert pull.trigger("coap://unknown/m") == 0
        for _ in range(6):
            yield
        assert not pull.requests

    own_process(tool, files, script)


def test_a_server_of_check_ins_can_be_set_later(tool: Path) -> None:
    told: list[Any] = []

    def serve(request: Any, to: str) -> Any:
        if request.opt.uri_path != ("checkin",):
            return files(request, to)
        told.append(cbor2.loads(request.payload))
        answer = {2: 77} if len(told) > 1 else {1: "/m", 2: 5}
        return aiocoap.Message(code=aiocoap.CHANGED, payload=cbor2.dumps(answer), content_format=60)

    def script(pull: Pull) -> Iterator[None]:
        assert not pull.requests
        pull.call("server", b"coap://[fd00::1]")
        for _ in range(3):
            yield
        assert pull.taken("payload") == PAYLOAD
        assert (told[0][1], told[0][5], told[0][8]) == (b"\x42" * 16, "idle", "1.2.3")
        assert len(told) >= 2
        assert max(pull.slept) == 60_000, "longer periods in naps"
        known = len(told)
        pull.call("server", None)
        for _ in range(4):
            yield
        assert len(told) == known

    own_process(tool, serve, script)
