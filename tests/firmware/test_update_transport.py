"""The resources of updates, message by message, in a sanitized host process: what no client would send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiocoap
import cbor2
import pytest
from aiocoap import ACK, CON, GET, NON, POST, PUT, RST
from aiocoap.numbers.codes import Code

from tests.support.line import Line, Message, request
from tests.support.updates import SECOND, V1, Pack, build_updatable, capsule, pack
from tinyops.device.build import Build
from tinyops.device.link.slipmux import encode_coap
from tinyops.suit import Reason

MANIFEST, PAYLOAD = "suit/manifest", "suit/payload"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build_updatable("host", tmp_path_factory.mktemp("host"), sanitized=True)


@pytest.fixture(scope="module")
def update(build: Build) -> Pack:
    return pack(build, 2)


class Device:
    """A line with message ids that count up."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.mid = 0

    def send(self, code: Code, path: str, payload: bytes = b"", **options: Any) -> Message:
        """The answer, acknowledged where it is a message of its own."""
        self.mid += 1
        answers = self.line.exchange(request(code, path, self.mid, payload=payload, **options))
        if len(answers) == 2:
            empty, answer = answers
            assert (empty.mtype, empty.code) == (ACK, Code.EMPTY)
            self.line.exchange(aiocoap.Message(code=Code.EMPTY, _mtype=ACK, _mid=answer.mid))
            return answer
        assert len(answers) == 1, answers
        return answers[0]

    def put(self, path: str, content: bytes, number: int, szx: int = 6, **options: Any) -> Message:
        """One block of `content`."""
        size = 16 << szx
        part = content[number * size : (number + 1) * size]
        more = (number + 1) * size < len(content)
        return self.send(PUT, path, part, block1=(number, more, szx), **options)

    def put_all(self, path: str, content: bytes, szx: int = 6, start: int = 0) -> Message:
        answer = None
        for number in range(start, -(-len(content) // (16 << szx))):
            answer = self.put(path, content, number, szx)
        return answer

    def state(self) -> dict[str, Any]:
        answer = self.send(GET, "suit/state")
        assert (answer.code, answer.opt.content_format) == (Code.CONTENT, 60)
        state: dict[str, Any] = cbor2.loads(answer.payload)
        assert list(state) == sorted(state, key=lambda key: (len(key), key)), "deterministic CBOR"
        return state

    def begin(self, update: Pack) -> None:
        assert self.put_all(MANIFEST, update.envelope).code == Code.CHANGED
        assert self.state()["state"] == "downloading"

    def texts(self) -> str:
        return "".join(self.line.texts)


@pytest.fixture
def device(build: Build) -> Iterator[Device]:
    with Line(build.elf) as line:
        yield Device(line)


def refused(answer: Message, code: Code, reason: Reason) -> bool:
    return (answer.code, bytes(answer.payload)) == (code, f"reason {reason.value}: {reason.slug}".encode())


def wanted(answer: Message) -> int:
    """The offset in a 4.08."""
    assert (answer.code, answer.opt.content_format) == (Code.REQUEST_ENTITY_INCOMPLETE, 60)
    offset: int = cbor2.loads(answer.payload)
    return offset


@pytest.mark.parametrize("szx", range(7))
def test_blocks_of_any_size(device: Device, update: Pack, szx: int) -> None:
    assert device.put_all(MANIFEST, update.envelope, szx).code == Code.CHANGED
    want = device.state()["want"]
    assert want == {"uri": "model.bin", "size": len(capsule()), "offset": 0, "component": "model"}
    assert device.put_all(PAYLOAD, capsule(), szx).code == Code.CHANGED
    state = device.state()
    assert (state["state"], state["sequence"], state["want"]) == ("trial", 2, None)


def test_the_block_size_may_change(device: Device, update: Pack) -> None:
    device.begin(update)
    assert device.put(PAYLOAD, capsule(), 0, 6).code == Code.CONTINUE
    assert device.put(PAYLOAD, capsule(), 8, 3).code == Code.CONTINUE  # bytes 1024 to 1151
    assert wanted(device.put(PAYLOAD, capsule(), 1, 6)) == 1152
    assert device.put_all(PAYLOAD, capsule(), 3, 9).code == Code.CHANGED
    assert device.state()["state"] == "trial"


def test_blocks_out_of_order(device: Device, update: Pack) -> None:
    assert wanted(device.put(MANIFEST, update.envelope, 1, 4)) == 0
    assert device.put(MANIFEST, update.envelope, 0, 4).code == Code.CONTINUE
    assert device.put(MANIFEST, update.envelope, 0, 4).code == Code.CONTINUE, "begins anew"
    assert device.put_all(MANIFEST, update.envelope, 4, 1).code == Code.CHANGED
    for number in (3, 1, 11, 0xFFFFF):
        answer = device.send(PUT, PAYLOAD, bytes(1024), block1=(number, True, 6))
        assert wanted(answer) == 0
    assert device.put(PAYLOAD, capsule(), 0).code == Code.CONTINUE
    assert wanted(device.put(PAYLOAD, capsule(), 0)) == 1024, "duplicated by the client"
    assert wanted(device.put(PAYLOAD, capsule(), 2)) == 1024, "one is missing"
    assert device.put_all(PAYLOAD, capsule(), start=1).code == Code.CHANGED
    assert device.state()["sequence"] == 2


def test_a_repeated_message_is_stored_once(device: Device, update: Pack) -> None:
    device.begin(update)
    block = request(PUT, PAYLOAD, 900, block1=(0, True, 6), payload=capsule()[:1024])
    first, again = device.line.exchange(block)[0], device.line.exchange(block)[0]
    assert (first.code, first.raw) == (Code.CONTINUE, again.raw)
    assert device.state()["want"]["offset"] == 1024
    device.put_all(PAYLOAD, capsule()[:-100], start=1)  # too short, but for the last block
    assert device.state()["reason"] == Reason.IMAGE_SIZE


def test_more_blocks_than_the_image_has(device: Device, update: Pack) -> None:
    device.begin(update)
    for number in range(len(capsule()) // 1024):
        assert device.put(PAYLOAD, capsule(), number).code == Code.CONTINUE
    answer = device.send(PUT, PAYLOAD, bytes(1024), block1=(11, True, 6))
    assert refused(answer, Code.BAD_REQUEST, Reason.IMAGE_SIZE)
    assert device.send(PUT, PAYLOAD, bytes(1024), block1=(12, True, 6)).code == Code.CONFLICT
    assert device.state()["state"] == "idle"


def test_endless_manifest(device: Device) -> None:
    assert device.send(PUT, MANIFEST, bytes(1024), block1=(0, True, 6)).code == Code.CONTINUE
    answer = device.send(PUT, MANIFEST, bytes(1024), block1=(1, True, 6))
    assert refused(answer, Code.REQUEST_ENTITY_TOO_LARGE, Reason.TOO_LARGE)
    assert answer.opt.size1 == 1024
    assert wanted(device.send(PUT, MANIFEST, bytes(1024), block1=(2, True, 6))) == 0
    assert device.state()["reason"] == Reason.TOO_LARGE


def test_blocks_without_bytes(device: Device, update: Pack) -> None:
    for path in (MANIFEST, PAYLOAD):
        device.send(POST, "suit/cancel")
        if path == PAYLOAD:
            device.begin(update)
        for _ in range(3):
            answer = device.send(PUT, path, b"", block1=(0, True, 6))
            assert (answer.code, answer.payload) == (Code.BAD_REQUEST, b"payload is not of the block's size")
    assert device.state()["want"]["offset"] == 0
    for number in range(-(-len(capsule()) // 1024) - 1):
        device.put(PAYLOAD, capsule(), number)
    rest = capsule()[11 * 1024 :]
    assert len(rest) == 143
    assert device.send(PUT, PAYLOAD, rest[:128], block1=(88, True, 3)).code == Code.CONTINUE
    assert device.send(PUT, PAYLOAD, rest[128:], block1=(712, False, 0)).code == Code.CHANGED
    assert device.state()["state"] == "trial"


def test_an_empty_manifest(device: Device) -> None:
    assert refused(device.send(PUT, MANIFEST), Code.BAD_REQUEST, Reason.TRUNCATED)


def test_another_entity_tag(device: Device, update: Pack) -> None:
    device.begin(update)
    for number in range(3):
        assert device.put(PAYLOAD, capsule(), number, etag=b"12345678").code == Code.CONTINUE
    assert device.put(PAYLOAD, capsule(), 3).code == Code.CONTINUE, "it may be left out"
    assert wanted(device.put(PAYLOAD, capsule(), 2, etag=b"other")) == 4096, "an old block says nothing"
    answer = device.put(PAYLOAD, capsule(), 4, etag=b"12345679")
    assert refused(answer, Code.CONFLICT, Reason.ETAG_CHANGED)
    state = device.state()
    assert (state["state"], state["reason"]) == ("idle", Reason.ETAG_CHANGED)
    device.begin(update)
    assert device.put_all(PAYLOAD, capsule()).code == Code.CHANGED


def test_a_stalled_download_does_not_matter(device: Device, update: Pack) -> None:
    device.begin(update)
    for number in range(11):
        device.put(PAYLOAD, capsule(), number)
    for _ in range(20):
        assert device.send(POST, "infer", bytes(64)).code == Code.CHANGED
        assert device.state()["want"]["offset"] == 11 * 1024
    assert device.put(PAYLOAD, capsule(), 11).code == Code.CHANGED


def test_the_same_manifest_again(device: Device, update: Pack, build: Build) -> None:
    device.begin(update)
    device.put(PAYLOAD, capsule(), 0)
    assert device.put_all(MANIFEST, update.envelope, 5).code == Code.CHANGED
    assert device.state()["want"]["offset"] == 1024, "it goes on"
    other = pack(build, 3, capsule(V1))
    assert refused(device.put_all(MANIFEST, other.envelope, 6), Code.CONFLICT, Reason.BUSY)
    assert refused(device.send(PUT, MANIFEST, b""), Code.CONFLICT, Reason.BUSY)
    assert refused(device.send(PUT, MANIFEST, update.envelope + b"\0"), Code.CONFLICT, Reason.BUSY)
    assert device.put_all(PAYLOAD, capsule(), start=1).code == Code.CHANGED
    assert device.put_all(MANIFEST, update.envelope).code == Code.CHANGED, "while it is on trial"
    assert refused(device.put_all(MANIFEST, other.envelope), Code.CONFLICT, Reason.BUSY)
    assert device.state()["state"] == "trial"


def test_nothing_is_wanted(device: Device) -> None:
    answer = device.send(PUT, PAYLOAD, bytes(1024), block1=(0, True, 6))
    assert (answer.code, answer.payload) == (Code.CONFLICT, b"no payload is wanted")
    assert device.send(POST, "suit/cancel").code == Code.CHANGED
    assert device.state()["reason"] == Reason.OK
    assert device.send(GET, "suit/report").code == Code.NOT_FOUND


def test_cancel(device: Device, update: Pack) -> None:
    device.begin(update)
    device.put(PAYLOAD, capsule(), 0)
    assert device.send(POST, "suit/cancel").code == Code.CHANGED
    state = device.state()
    assert (state["state"], state["reason"], state["want"]) == ("idle", Reason.CANCELLED, None)
    device.begin(update)
    assert device.state()["want"]["offset"] == 0, "it was erased"


@pytest.mark.parametrize(
    ("code", "path", "options", "expected"),
    [
        (GET, MANIFEST, {}, Code.METHOD_NOT_ALLOWED),
        (POST, PAYLOAD, {}, Code.METHOD_NOT_ALLOWED),
        (PUT, "suit/state", {}, Code.METHOD_NOT_ALLOWED),
        (GET, "suit", {}, Code.NOT_FOUND),
        (GET, "suit/state/x", {}, Code.NOT_FOUND),
        (GET, "suit/states", {}, Code.NOT_FOUND),
        (GET, "suit/", {}, Code.NOT_FOUND),
        (GET, "sui/tstate", {}, Code.NOT_FOUND),
        (GET, "suit/state", {"accept": 112}, Code.NOT_ACCEPTABLE),
        (GET, "status", {"accept": 60}, Code.NOT_ACCEPTABLE),
        (GET, "suit/state", {"uri_query": ("a",)}, Code.BAD_REQUEST),
        (PUT, MANIFEST, {"uri_query": ("a",)}, Code.BAD_REQUEST),
        (PUT, MANIFEST, {"content_format": 0}, Code.UNSUPPORTED_CONTENT_FORMAT),
        (PUT, MANIFEST, {"block1": (0, True, 7), "payload": bytes(1024)}, Code.BAD_REQUEST),
        (POST, "suit/trigger", {"payload": b"coap://[::1]/m"}, Code.NOT_IMPLEMENTED),
    ],
)
def test_wrong_requests(device: Device, code: Code, path: str, options: dict[str, Any], expected: Code) -> None:
    assert device.send(code, path, **options).code == expected


def test_all_paths_are_named(device: Device) -> None:
    names = device.send(GET, "nothing").payload.decode().removeprefix("allowed: ").split(", ")
    assert {"info", "infer", "status", "suit/manifest", "suit/payload", "suit/state", "suit/trigger"} <= set(names)


@pytest.mark.parametrize("szx", range(7))
def test_bodies_in_blocks(device: Device, update: Pack, szx: int) -> None:
    device.begin(update)
    device.put_all(PAYLOAD, capsule())
    for path, read in (("suit/state", cbor2.loads), ("suit/report", cbor2.loads), ("status", cbor2.loads)):
        body, number = b"", 0
        while True:
            answer = device.send(GET, path, block2=(number, False, szx))
            body += answer.payload
            number += 1
            if not answer.opt.block2.more:
                break
        assert read(body)


def test_spoofed_and_strange_messages(device: Device, update: Pack) -> None:
    device.begin(update)
    for kind in (RST, ACK):
        for mid in (device.mid, device.mid + 1, 0xFFFF):
            device.line.exchange(aiocoap.Message(code=Code.EMPTY, _mtype=kind, _mid=mid))
    device.line.exchange(aiocoap.Message(code=Code.CHANGED, _mtype=NON, _mid=7, _token=b"t"))
    long_token = bytes([0x49, int(PUT), 0, 99]) + bytes(9)
    (reset,) = device.line.send(encode_coap(long_token))
    assert reset.mtype is RST
    flood = request(PUT, PAYLOAD, 700, block1=(0, True, 6), payload=capsule()[:1024])
    raw = flood.encode()
    head = raw[:5]  # header and token; elective options of number 2 before all others
    assert device.line.send(encode_coap(head + b"\x20" + b"\x00" * 60 + b"\x90" + raw[6:]))[0].code
    assert device.state()["want"]["offset"] in (0, 1024)
    assert device.send(PUT, PAYLOAD, bytes(16), block1=(0, True, 0), if_none_match=True).code == Code.BAD_OPTION
    start = device.state()["want"]["offset"] // 1024
    assert device.put_all(PAYLOAD, capsule(), start=start).code == Code.CHANGED


def test_a_token_may_come_again(device: Device, update: Pack) -> None:
    """All requests here have the same one: the message id tells them apart, and a confirmable one is repeated."""
    device.begin(update)
    message = request(PUT, PAYLOAD, 800, block1=(0, False, 6), payload=bytes(100))
    _, answer = device.line.exchange(message)
    assert answer.mtype is CON
    _, again = device.line.exchange(message)
    assert again.raw == answer.raw
    assert device.state()["reason"] == Reason.IMAGE_SIZE


def test_an_inference_is_finished_first(device: Device, update: Pack) -> None:
    """A new model waits for the end of the inference, and until its outputs were fetched."""
    device.begin(update)
    assert device.send(POST, "infer", bytes(16), block1=(0, True, 0)).code == Code.CONTINUE
    device.put_all(PAYLOAD, capsule())
    assert device.state()["state"] == "pending"
    for number in range(1, 4):
        answer = device.send(POST, "infer", bytes(16), block1=(number, number < 3, 0))
    assert (answer.code, len(answer.payload)) == (Code.CHANGED, 10)
    assert device.state()["state"] == "trial"


def test_an_inference_is_not_waited_for_without_end(device: Device, update: Pack) -> None:
    device.begin(update)
    assert device.send(POST, "infer", bytes(16), block1=(0, True, 0)).code == Code.CONTINUE
    device.put_all(PAYLOAD, capsule())
    assert [device.state()["state"] for _ in range(10)] == ["pending"] * 8 + ["trial"] * 2
    answer = device.send(POST, "infer", bytes(16), block1=(1, True, 0))
    assert answer.code == Code.REQUEST_ENTITY_INCOMPLETE


def test_another_inference_ends_the_first(device: Device, update: Pack) -> None:
    device.begin(update)
    assert device.send(POST, "infer", bytes(16), block1=(0, True, 0)).code == Code.CONTINUE
    device.put_all(PAYLOAD, capsule())
    assert device.send(POST, "infer", bytes(64)).code == Code.CHANGED
    state = device.state()
    assert (state["state"], state["health"]) == ("trial", 7)
    assert "self-test passed" in device.texts()


def test_signed_by_the_second_key(device: Device, build: Build) -> None:
    device.begin(pack(build, 9, signers=[SECOND]))


def test_paths_of_the_build(build: Build, tmp_path: Path) -> None:
    assert (build.folder / "capsule.bin").read_bytes() == (build.update and build.update.capsule)
