"""The device's CoAP client (to_fetch) against aiocoap's server, and against one that answers as no server should."""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiocoap
import aiocoap.resource
import pytest
from aiocoap import ACK, CON, GET, NON, POST, RST
from aiocoap.numbers.codes import Code

from tests.support.firmware import compiler
from tinyops.device.board import find_board
from tinyops.device.firmware import firmware_sources

SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
BODY = random.Random(7).randbytes(70_000)


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    board = find_board("host")
    firmware = firmware_sources(board)
    wanted = ("to_coap.c", "to_text.c", "to_uri.c", "to_fetch.c", "udp.c")
    sources = [str(path) for path in firmware.sources if path.name in wanted]
    host = next(path.parent for path in firmware.sources if path.name == "udp.c")
    program = tmp_path_factory.mktemp("fetch") / "fetch"
    includes = [f"-I{path}" for path in (*firmware.include_dirs, host)]
    source = Path(__file__).resolve().parents[1] / "firmware" / "fetch_tool.c"
    command = [compiler(board), *firmware.cflags, "-Werror", *SANITIZED, *includes, *sources, str(source), "-o"]
    result = subprocess.run([*command, str(program)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return program


@dataclass
class Fetched:
    result: str
    code: str
    parts: int
    body: bytes


def fetch(
    tool: Path,
    uri: str,
    *,
    offset: int = 0,
    limit: int = 1 << 20,
    szx: int = 6,
    timeout: int = 50,
    payload: str | None = None,
) -> Fetched:
    target = tool.parent / "body"
    arguments = [uri, str(offset), str(limit), str(szx), str(timeout), str(target), *([payload] if payload else [])]
    ended = subprocess.run([str(tool), *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    result, code, parts = ended.stdout.splitlines()[-1].split()
    return Fetched(result, code, int(parts), target.read_bytes())


# aiocoap's server


class Body(aiocoap.resource.Resource):  # type: ignore[misc]
    """Blocks without any state, so that a client may begin in the middle."""

    async def needs_blockwise_assembly(self, request: Any) -> bool:
        return False

    async def render_get(self, request: Any) -> Any:
        body = BODY[: int(request.opt.uri_query[0].removeprefix("size="))]
        number, _, szx = request.opt.block2
        start, end = number << (szx + 4), (number + 1) << (szx + 4)
        if start > 0 and start >= len(body):
            return aiocoap.Message(code=Code.BAD_REQUEST)
        return aiocoap.Message(payload=body[start:end], etag=b"e", block2=(number, end < len(body), szx))


class Echo(aiocoap.resource.Resource):  # type: ignore[misc]
    async def render_post(self, request: Any) -> Any:
        await asyncio.sleep(0.3)  # so that the response is a separate one
        return aiocoap.Message(code=Code.CHANGED, payload=bytes(reversed(request.payload)))


@pytest.fixture(scope="module")
def aiocoap_server() -> Iterator[int]:
    started = threading.Event()
    port: list[int] = []
    loop = asyncio.new_event_loop()

    async def serve() -> Any:
        site = aiocoap.resource.Site()
        site.add_resource(("a b", "body"), Body())
        site.add_resource(("echo",), Echo())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port.append(free.getsockname()[1])
        context = await aiocoap.Context.create_server_context(
            site, bind=("127.0.0.1", port[0]), transports=["simplesocketserver"]
        )
        started.set()
        return context

    def run() -> None:
        context = loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(context.shutdown())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    yield port[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1023, 1024, 1025, 5000, 70_000])
def test_bodies_of_every_size(tool: Path, aiocoap_server: int, size: int) -> None:
    got = fetch(tool, f"coap://127.0.0.1:{aiocoap_server}/a%20b/body?size={size}")
    assert (got.result, got.code, got.body) == ("ok", "2.05", BODY[:size])
    assert got.parts == max(1, -(-size // 1024))


@pytest.mark.parametrize("szx", range(7))
def test_blocks_of_every_size(tool: Path, aiocoap_server: int, szx: int) -> None:
    got = fetch(tool, f"coap://127.0.0.1:{aiocoap_server}/a%20b/body?size=3333", szx=szx)
    assert (got.result, got.body, got.parts) == ("ok", BODY[:3333], -(-3333 // (16 << szx)))


@pytest.mark.parametrize("offset", [1, 1023, 1024, 1025, 2048, 3332])
def test_from_an_offset_on(tool: Path, aiocoap_server: int, offset: int) -> None:
    got = fetch(tool, f"coap://127.0.0.1:{aiocoap_server}/a%20b/body?size=3333", offset=offset)
    assert (got.result, got.body) == ("ok", BODY[offset:3333])


def test_an_offset_behind_the_end(tool: Path, aiocoap_server: int) -> None:
    got = fetch(tool, f"coap://127.0.0.1:{aiocoap_server}/a%20b/body?size=3333", offset=9999)
    assert (got.result, got.body) == ("refused", b"")


def test_above_the_limit(tool: Path, aiocoap_server: int) -> None:
    got = fetch(tool, f"coap://127.0.0.1:{aiocoap_server}/a%20b/body?size=3333", limit=3000)
    assert got.result == "too-large"
    assert len(got.body) <= 3000


def test_no_such_resource(tool: Path, aiocoap_server: int) -> None:
    assert fetch(tool, f"coap://127.0.0.1:{aiocoap_server}/none").code == "4.04"


def test_a_post_with_a_separate_response(tool: Path, aiocoap_server: int) -> None:
    got = fetch(tool, f"coap://127.0.0.1:{aiocoap_server}/echo", payload="abc", timeout=500)
    assert (got.result, got.code, got.body) == ("ok", "2.04", b"cba")


@pytest.mark.parametrize(
    "uri",
    [
        "coaps://h/",
        "http://h/",
        "coap://",
        "coap:///x",
        "coap://h:0/",
        "coap://h:65536/",
        "coap://h:1x/",
        "coap://u@h/",
        "coap://[::1/",
        "coap://[::1]x/",
        "coap://h/%4",
        "coap://h/%zz",
        "coap://h/a b",
        "coap://h/#f",
        "coap://h/" + "x" * 130,
        "coap://" + "h" * 64 + "/",
    ],
)
def test_bad_uris(tool: Path, uri: str) -> None:
    arguments = [uri, "0", "100", "6", "50", str(tool.parent / "body")]
    assert subprocess.run([str(tool), *arguments], capture_output=True, timeout=10, check=False).returncode == 2


# A server of datagrams

Handler = Callable[[Any], list[Any]]


class Server:
    """Answers each request with the messages, or bytes, that the handler makes of it; None pauses for 20 ms."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[Any] = []
        self.others: list[Any] = []
        self.times: list[float] = []
        self.stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.05)
        self.uri = f"coap://127.0.0.1:{self.socket.getsockname()[1]}/x"
        self.ending = False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending = True
        self.thread.join(5)
        self.socket.close()
        self.stranger.close()

    def run(self) -> None:
        while not self.ending:
            try:
                data, self.client = self.socket.recvfrom(2048)
            except TimeoutError:
                continue
            message = aiocoap.Message.decode(data)
            message.raw = data
            if not message.code.is_request():
                self.others.append(message)
                continue
            self.requests.append(message)
            self.times.append(time.monotonic())
            for answer in self.handler(message):
                if answer is None:
                    time.sleep(0.02)
                else:
                    self.socket.sendto(answer if isinstance(answer, bytes) else answer.encode(), self.client)


def respond(
    request: Any,
    payload: bytes = b"",
    code: Code = Code.CONTENT,
    *,
    mtype: Any = ACK,
    mid: int | None = None,
    token: bytes | None = None,
    **options: Any,
) -> Any:
    message = aiocoap.Message(
        code=code,
        payload=payload,
        _mtype=mtype,
        _mid=request.mid if mid is None else mid,
        _token=request.token if token is None else token,
    )
    for name, value in options.items():
        setattr(message.opt, name, value)
    return message


def block_of(request: Any, *, size: int = 5000, most: int = 6, **options: Any) -> Any:
    """The right answer."""
    asked = request.opt.block2
    szx = min(asked.size_exponent, most)
    start = asked.block_number << (asked.size_exponent + 4)
    part = BODY[start : min(size, start + (16 << szx))]
    block2 = (start >> (szx + 4), start + len(part) < size, szx)
    return respond(request, part, block2=block2, **options)


def empty(mtype: Any, mid: int) -> Any:
    return aiocoap.Message(code=Code.EMPTY, _mtype=mtype, _mid=mid & 0xFFFF)


def run(tool: Path, handler: Handler, **options: Any) -> tuple[Fetched, Server]:
    with Server(handler) as server:
        got = fetch(tool, server.uri, **options)
        time.sleep(0.1)
    return got, server


def test_ids_and_tokens_are_fresh(tool: Path) -> None:
    got, server = run(tool, lambda m: [block_of(m, size=8000)], szx=0)
    assert (got.result, got.body) == ("ok", BODY[:8000])
    assert len(server.requests) == 500
    assert len({m.token for m in server.requests}) == 500
    assert {len(m.token) for m in server.requests} == {8}
    mids = [m.mid for m in server.requests]
    assert len(set(mids)) == 500
    other = run(tool, lambda m: [block_of(m, size=100)])[1]
    assert other.requests[0].mid not in (mids[0], mids[0] + 1)
    assert {m.mtype for m in server.requests} == {CON}


def test_the_server_may_have_smaller_blocks(tool: Path) -> None:
    got, server = run(tool, lambda m: [block_of(m, most=2)])
    assert (got.result, got.body) == ("ok", BODY[:5000])
    assert server.requests[1].opt.block2.size_exponent == 2


def test_retransmission_backs_off(tool: Path) -> None:
    got, server = run(tool, lambda _: [], timeout=60)
    assert (got.result, got.body) == ("timeout", b"")
    assert len({m.raw for m in server.requests}) == 1
    assert len(server.requests) == 5
    gaps = [b - a for a, b in zip(server.times, server.times[1:], strict=False)]
    for number, gap in enumerate(gaps):
        assert 0.055 * 2**number < gap < 0.095 * 2**number + 0.06


@pytest.mark.parametrize("nth", [1, 2, 4])
def test_an_answer_to_any_retransmission_counts(tool: Path, nth: int) -> None:
    seen: dict[int, int] = {}

    def handler(message: Any) -> list[Any]:
        seen[message.mid] = seen.get(message.mid, 0) + 1
        return [block_of(message)] if seen[message.mid] > nth else []

    got, _ = run(tool, handler, timeout=20)
    assert (got.result, got.body) == ("ok", BODY[:5000])


def test_answers_that_come_twice(tool: Path) -> None:
    got, _ = run(tool, lambda m: [block_of(m), block_of(m)])
    assert (got.result, got.body) == ("ok", BODY[:5000])


@pytest.mark.parametrize("mtype", [CON, NON])
def test_separate_responses(tool: Path, mtype: Any) -> None:
    def handler(message: Any) -> list[Any]:
        mid = message.opt.block2.block_number + 1000
        answer = block_of(message, mtype=mtype, mid=mid)
        return [empty(ACK, message.mid), None, answer, answer]

    got, server = run(tool, handler)
    assert (got.result, got.body) == ("ok", BODY[:5000])
    acknowledged = [m.mid for m in server.others if m.mtype is ACK]
    assert set(acknowledged) == ({1000, 1001, 1002, 1003, 1004} if mtype is CON else set())


def test_a_response_that_never_comes(tool: Path) -> None:
    got, server = run(tool, lambda m: [empty(ACK, m.mid)])
    assert got.result == "timeout"
    assert len(server.requests) == 1


def test_what_is_spoofed_is_ignored(tool: Path) -> None:
    """Wrong ids, wrong tokens, tokens of before, another endpoint: none of it counts."""
    tokens: list[bytes] = []

    def handler(message: Any) -> list[Any]:
        wrong = bytes(8)
        for raw in (empty(RST, message.mid), block_of(message)):
            server.stranger.sendto(raw.encode(), server.client)
        spoofed = [
            empty(RST, message.mid + 1),
            empty(ACK, message.mid + 1),
            respond(message, b"spoof", token=wrong),
            respond(message, b"spoof", token=wrong, mtype=NON, mid=5),
            respond(message, b"spoof", token=message.token[:7]),
            respond(message, b"spoof", mid=(message.mid + 1) & 0xFFFF),
            *(respond(message, b"spoof", token=token, mtype=NON, mid=6) for token in tokens[-2:]),
        ]
        tokens.append(message.token)
        return [*spoofed, None, block_of(message)]

    with Server(handler) as server:
        got = fetch(tool, server.uri, timeout=500)
    assert (got.result, got.body) == ("ok", BODY[:5000])
    assert len(server.requests) == 5


def test_a_reset_ends_it(tool: Path) -> None:
    assert run(tool, lambda m: [empty(RST, m.mid)])[0].result == "reset"


@pytest.mark.parametrize("nth", range(1, 5))
@pytest.mark.parametrize("change", ["another", "none"])
def test_the_entity_changes(tool: Path, nth: int, change: str) -> None:
    def handler(message: Any) -> list[Any]:
        etag = b"old" if message.opt.block2.block_number < nth else {"another": b"new", "none": None}[change]
        return [block_of(message, **({"etag": etag} if etag else {}))]

    got, _ = run(tool, handler)
    assert (got.result, got.body) == ("etag", BODY[: nth * 1024])


def later(first: Callable[[Any], Any]) -> Handler:
    """A right first block, then what `first` makes of the request."""
    return lambda m: [block_of(m) if m.opt.block2.block_number == 0 else first(m)]


def with_option(message: Any, option: bytes) -> bytes:
    raw: bytes = message.encode()
    start = len(raw) - len(message.payload) - 1
    return raw[:start] + option + raw[start:]


BAD: dict[str, Callable[[Any], Any]] = {
    "no block": lambda m: respond(m, b"short"),
    "the block before": lambda m: respond(m, BODY[:1024], block2=(0, True, 6)),
    "the block after": lambda m: respond(m, BODY[:1024], block2=(2, True, 6)),
    "a short block and more": lambda m: respond(m, BODY[:1000], block2=(1, True, 6)),
    "an empty block and more": lambda m: respond(m, b"", block2=(1, True, 6)),
    "an empty last block": lambda m: respond(m, b"", block2=(1, False, 6)),
    "a block longer than its size": lambda m: respond(m, BODY[:200], block2=(16, False, 2)),
    "a larger block than asked for": lambda m: respond(m, BODY[:1024], block2=(0, True, 6)),
    "a success of another kind": lambda m: respond(m, BODY[:1024], Code.CHANGED, block2=(1, True, 6)),
    "a reserved class": lambda m: respond(m, BODY[:1024], Code(0x65), block2=(1, True, 6)),
    "an unknown critical option": lambda m: with_option(block_of(m), b"\xd1\x1f\x01"),  # 23 + 13 + 31 = 67
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_answers_end_it(tool: Path, name: str) -> None:
    got, _ = run(tool, later(BAD[name]), szx=5 if "larger" in name else 6)
    assert (got.result, got.body[:512]) == ("malformed", BODY[:512])


@pytest.mark.parametrize("code", [Code.NOT_FOUND, Code.SERVICE_UNAVAILABLE, Code.REQUEST_ENTITY_INCOMPLETE])
def test_errors_in_the_middle(tool: Path, code: Code) -> None:
    got, _ = run(tool, later(lambda m: respond(m, b"text", code)))
    assert (got.result, got.code, got.body) == ("refused", code.dotted, BODY[:1024])


def test_an_echo_is_returned_once(tool: Path) -> None:
    """RFC 9175: the server asks whether the request is fresh."""

    def handler(message: Any) -> list[Any]:
        if message.opt.echo == b"challenge":
            return [block_of(message)]
        return [respond(message, b"", Code.UNAUTHORIZED, echo=b"challenge")]

    got, server = run(tool, handler)
    assert (got.result, got.body) == ("ok", BODY[:5000])
    assert [m.opt.echo for m in server.requests] == [None, *[b"challenge"] * 5]
    again, server = run(tool, lambda m: [respond(m, b"", Code.UNAUTHORIZED, echo=b"another")])
    assert (again.result, again.code, len(server.requests)) == ("refused", "4.01", 2)


def test_more_without_an_end(tool: Path) -> None:
    def handler(message: Any) -> list[Any]:
        return [respond(message, BODY[:1024], block2=(message.opt.block2.block_number, True, 6))]

    got, server = run(tool, handler, limit=20_000)
    assert got.result == "too-large"
    assert len(server.requests) <= 20


def test_block_numbers_end(tool: Path) -> None:
    """Blocks of 16 bytes do not reach further than 16 MiB."""
    assert run(tool, lambda m: [block_of(m)], offset=1 << 24, limit=1 << 25, szx=0)[0].result == "malformed"


def test_noise(tool: Path) -> None:
    chance = random.Random(3)

    def handler(message: Any) -> list[Any]:
        good = block_of(message).encode()
        noise = [chance.randbytes(chance.randrange(1, 60)) for _ in range(5)]
        flipped = bytearray(good)
        flipped[chance.randrange(12)] ^= 1 << chance.randrange(8)  # the header or the token
        cut = good[: chance.randrange(12)]
        return [*noise, bytes(flipped), cut, None, good]

    got, _ = run(tool, handler, timeout=500)
    assert got.result in ("ok", "reset")  # one flipped bit makes a reset of an acknowledgement's header
    assert BODY.startswith(got.body)


def test_options_of_a_request(tool: Path) -> None:
    asked: list[Any] = []

    def handler(message: Any) -> list[Any]:
        asked.append(message)
        return [respond(message, b"", Code.NOT_FOUND)]

    with Server(handler) as server:
        port = server.uri.split(":")[2].split("/")[0]
        for path in ("", "/", "/a//b/", "/a%2Fb?x=%26&y", "?q"):
            fetch(tool, f"coap://localhost:{port}{path}", offset=64, szx=2)
    options = [(m.opt.uri_host, m.opt.uri_path, m.opt.uri_query) for m in asked]
    assert options == [
        ("localhost", (), ()),
        ("localhost", (), ()),
        ("localhost", ("a", "", "b", ""), ()),
        ("localhost", ("a/b",), ("x=&", "y")),
        ("localhost", (), ("q",)),
    ]
    assert {(m.opt.block2.block_number, m.opt.block2.size_exponent, m.code) for m in asked} == {(1, 2, GET)}
    assert POST not in {m.code for m in asked}
