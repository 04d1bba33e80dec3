"""tinyops_coap: what a client sees of long inferences, blocks, repetitions. On a stand-in for RIOT's kernel and gcoap,
and, where there is a RIOT, on native64 on a network, in an application with a resource of its own."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiocoap
import numpy as np
import pytest
from aiocoap import ACK, CON, GET, NON, POST, PUT, RST
from aiocoap.numbers.codes import Code

from tests.support.line import Message, request
from tests.support.netns import Device, TapNetwork
from tests.support.riot_builds import riot_base
from tests.support.riot_modules import build_gcoap
from tinyops.device.client import DeviceClient
from tinyops.device.riot.base import RiotBase

__all__ = ["riot_base"]

OWN = Path(__file__).resolve().parent.parent / "riot" / "own"
DATA = bytes(range(250)) * 6


def inputs(milliseconds: int) -> bytes:
    return DATA + struct.pack("<ii", milliseconds, 1)


def output(invocation: int, milliseconds: int) -> bytes:
    return bytes((value + invocation) & 255 for value in DATA) + struct.pack("<ii", milliseconds + 1, invocation)


class Peer:
    """A client at the level of single messages, at a socket that is connected to the device."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened

    def send(self, message: Message) -> None:
        self.socket.send(message.encode())

    def receive(self, seconds: float = 10) -> Message | None:
        self.socket.settimeout(seconds)
        try:
            raw = self.socket.recv(2048)
        except TimeoutError:
            return None
        message = aiocoap.Message.decode(raw)
        message.raw = raw
        return message

    def exchange(self, message: Message, seconds: float = 10) -> Message:
        self.send(message)
        answer = self.receive(seconds)
        assert answer is not None
        return answer

    def upload(self, mid: int, data: bytes, szx: int = 6, **options: Any) -> Message:
        """Send inputs in blocks; the answer to the last one."""
        size = 16 << szx
        for number in range(-(-len(data) // size)):
            part = data[number * size : (number + 1) * size]
            more = (number + 1) * size < len(data)
            message = request(POST, "infer", mid + number, block1=(number, more, szx), payload=part, **options)
            answer = self.exchange(message)
            assert not more or answer.code == Code.CONTINUE
        return answer

    def acknowledge(self, message: Message) -> None:
        self.send(aiocoap.Message(code=Code.EMPTY, _mtype=ACK, _mid=message.mid))

    def rest(self, first: Message, mid: int) -> bytes:
        """The body whose first block is `first`."""
        body = bytes(first.payload)
        while first.opt.block2 is not None and first.opt.block2.more:
            number, szx = first.opt.block2.block_number + 1, first.opt.block2.size_exponent
            first = self.exchange(request(POST, "infer", mid + number, block2=(number, False, szx)))
            body += first.payload
        return body


@dataclass
class Target:
    """A running device."""

    port: int
    host: str = "::1"
    network: TapNetwork | None = None

    @contextmanager
    def inside(self) -> Iterator[None]:
        with self.network.inside() if self.network is not None else nullcontext():
            yield

    def peer(self) -> Peer:
        """A client of its own."""
        with self.inside():
            opened = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            opened.connect(socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)[0][4])
        return Peer(opened)


@contextmanager
def run(program: Path) -> Iterator[Target]:
    """A program on the stand-in for RIOT, which must end without complaints of its sanitizers."""
    process = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    try:
        said = None
        while said is None:  # beside what the device says, perhaps in the middle of it
            line = process.stdout.readline()
            assert line, process.communicate()[1].decode()
            said = re.search(rb"listening on ([0-9]+)", line)
        yield Target(int(said[1]))
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors.decode()) == (0, "")
    finally:
        process.kill()
        process.wait()


def make_own(base: RiotBase, folder: Path, **variables: object) -> Path:
    """The application tests/riot/own as a process of RIOT's native64, with AddressSanitizer."""
    command = ["make", "-j2", f"RIOTBASE={base.path}", f"BINDIRBASE={folder}", "BOARD=native64", "all-asan"]
    given = [f"{name}={value}" for name, value in variables.items()]
    made = subprocess.run([*command, *given], cwd=OWN, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return folder / "native64" / "own.elf"


@contextmanager
def run_own(program: Path) -> Iterator[Target]:
    """The same on a network of its own."""
    with TapNetwork() as network, Device(network, [program, network.device_tap], program.parent) as device:
        device.hear("main: started")
        time.sleep(0.5)  # until it has told its address
        yield Target(5683, network.device, network)
        assert device.is_running
        while device.hears("", 0.1):
            pass
        assert not [line for line in device.lines if "ERROR" in line or "wrong" in line]


@pytest.fixture(
    scope="module", params=["addresses", "threads", pytest.param("riot", marks=[pytest.mark.riot, pytest.mark.slow])]
)
def kind_and_program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("riot")
    if request.param == "riot":
        return "riot", make_own(request.getfixturevalue("riot_base"), folder)
    return request.param, build_gcoap(folder / "device", threads=request.param == "threads")


@pytest.fixture
def target(kind_and_program: tuple[str, Path]) -> Iterator[Target]:
    kind, program = kind_and_program
    with run_own(program) if kind == "riot" else run(program) as running:
        yield running


def test_client_gets_what_the_model_computes(target: Target) -> None:
    with target.inside(), DeviceClient.open(f"coap://[{target.host}]:{target.port}") as client:
        assert client.info().model == "fake"
        data = np.frombuffer(DATA, np.uint8).reshape(client.info().inputs[0].shape)
        loops = np.array([0, 1], np.int32).reshape(client.info().inputs[1].shape)
        for invocation in (7, 8, 9):
            outputs = client.infer([data.view(client.info().inputs[0].dtype), loops])
            assert b"".join(part.tobytes() for part in outputs) == output(invocation, 0)
        assert client.profile().stack_bytes_used > 0


@pytest.mark.parametrize("szx", [0, 2, 6])
def test_blocks_of_any_size(target: Target, szx: int) -> None:
    peer = target.peer()
    assert peer.upload(1, inputs(0), szx, block2=(0, False, szx)).code == Code.EMPTY
    response = peer.receive()
    assert response is not None
    assert (response.mtype, response.code) == (CON, Code.CHANGED)
    peer.acknowledge(response)
    assert peer.rest(response, 1000) == output(7, 0)


def test_long_inference_holds_nobody_up_but_the_device(target: Target) -> None:
    """The application's own resources (here: what gcoap answers itself) go on; so do pings."""
    peer, other = target.peer(), target.peer()
    message = request(POST, "infer", 9, block1=(1, False, 6), payload=inputs(1500)[1024:])
    peer.exchange(request(POST, "infer", 8, block1=(0, True, 6), payload=inputs(1500)[:1024]))
    begun = time.monotonic()
    assert peer.exchange(message).mtype is ACK
    assert time.monotonic() - begun < 1
    assert other.exchange(request(GET, "elsewhere", 1), 1).code == Code.NOT_FOUND
    assert other.exchange(aiocoap.Message(code=Code.EMPTY, _mtype=CON, _mid=2), 1).mtype is RST
    again = peer.exchange(message, 1)  # as if the acknowledgement had been lost
    assert (again.mtype, again.code, again.mid) == (ACK, Code.EMPTY, 9)
    other.send(request(GET, "info", 3))
    assert other.receive(0.5) is None, "while an inference goes on the device does not answer"
    response = peer.receive()
    assert response is not None
    assert time.monotonic() - begun >= 1.5
    assert response.payload == output(7, 1500)[:1024]
    assert other.exchange(request(GET, "info", 3), 2).code == Code.CONTENT


def test_response_comes_again_until_it_is_acknowledged(target: Target) -> None:
    peer = target.peer()
    peer.upload(1, inputs(0))
    first, second = peer.receive(), peer.receive()
    assert first is not None
    assert second is not None
    assert first.raw == second.raw
    peer.acknowledge(second)
    assert peer.receive(2) is None
    late = peer.exchange(request(POST, "infer", 2, block1=(1, False, 6), payload=inputs(0)[1024:]))
    assert (late.mtype, late.code, late.mid) == (ACK, Code.EMPTY, 2), "not carried out again"
    assert peer.receive(0.5) is None


def test_repeated_request_is_carried_out_once(target: Target) -> None:
    peer = target.peer()
    for invocation, mid in ((7, 10), (8, 20)):
        ack = peer.upload(mid, inputs(0))
        response = peer.receive()
        assert response is not None
        peer.acknowledge(response)
        again = peer.exchange(request(POST, "infer", mid + 1, block1=(1, False, 6), payload=inputs(0)[1024:]))
        assert again.raw == ack.raw
        assert peer.rest(response, mid + 2) == output(invocation, 0)


def test_non_confirmable_requests(target: Target) -> None:
    peer = target.peer()
    assert peer.exchange(request(GET, "profile", 1, mtype=NON)).mtype is NON
    peer.exchange(request(POST, "infer", 2, mtype=NON, block1=(0, True, 6), payload=inputs(500)[:1024]))
    response = peer.exchange(request(POST, "infer", 3, mtype=NON, block1=(1, False, 6), payload=inputs(500)[1024:]))
    assert (response.mtype, response.code) == (NON, Code.CHANGED)
    assert peer.rest(response, 10) == output(7, 500)


def test_refusals_are_those_of_the_device(target: Target) -> None:
    peer = target.peer()
    assert peer.exchange(request(GET, "reset", 1)).payload == b"allowed: POST"
    assert peer.exchange(request(PUT, "info", 2)).code == Code.METHOD_NOT_ALLOWED
    assert peer.exchange(request(GET, "info", 3, accept=0)).code == Code.NOT_ACCEPTABLE
    assert peer.exchange(request(POST, "infer", 4, payload=b"short")).code == Code.BAD_REQUEST
    assert peer.exchange(request(POST, "reset", 5, payload=bytes(1200))).code == Code.REQUEST_ENTITY_TOO_LARGE


def test_clients_at_once(target: Target) -> None:
    """Each is answered what it asked, and no inference gets another's inputs or outputs."""
    failures: list[BaseException] = []

    def ask(number: int) -> None:
        try:
            peer = target.peer()
            for step in range(25):
                message = request(GET, "info", 1000 * number + step, token=bytes([number]), block2=(step % 3, False, 4))
                answer, sent = None, 0
                while answer is None or answer.mid != message.mid:  # answers to repetitions come late
                    if answer is None:
                        assert (sent := sent + 1) < 30
                        peer.send(message)
                    answer = peer.receive(1)
                assert answer.token == bytes([number])
                assert answer.opt.block2.block_number == step % 3
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 4)]
    for thread in threads:
        thread.start()
    peer = target.peer()
    for round_ in range(5):
        ack = peer.upload(100 * round_ + 1, inputs(5))
        assert ack.code == Code.EMPTY
        response = peer.receive()
        assert response is not None
        peer.acknowledge(response)
        assert peer.rest(response, 100 * round_ + 50) == output(7 + round_, 5)
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.slow
@pytest.mark.parametrize("threads", [False, True])
def test_application_shares_the_model(tmp_path: Path, threads: bool) -> None:
    """Neither a client nor the application gets the other's outputs; the application checks its own."""
    with run(build_gcoap(tmp_path / "device", threads=threads, workload=True)) as target:
        peer = target.peer()
        for round_ in range(20):
            data = inputs(round_ % 3)
            assert peer.upload(100 * round_ + 1, data).code == Code.EMPTY
            response = peer.receive()
            assert response is not None
            peer.acknowledge(response)
            body = peer.rest(response, 100 * round_ + 50)
            total, invocation = struct.unpack("<ii", body[1500:])
            assert (total, body) == (round_ % 3 + 1, output(invocation, round_ % 3))


def test_upload_that_stands_still_is_given_up(tmp_path: Path) -> None:
    with run(build_gcoap(tmp_path / "device", workload=True)) as target:
        peer = target.peer()
        first = request(POST, "infer", 1, block1=(0, True, 6), payload=inputs(0)[:1024])
        assert peer.exchange(first).code == Code.CONTINUE
        other = target.peer()
        for mid in range(10):  # above CONFIG_TINYOPS_PATIENCE_MS; others do not prolong it
            assert other.exchange(request(GET, "profile", mid)).code == Code.CONTENT
            time.sleep(0.1)
        last = request(POST, "infer", 2, block1=(1, False, 6), payload=inputs(0)[1024:])
        assert peer.exchange(last).code == Code.REQUEST_ENTITY_INCOMPLETE
        assert peer.upload(3, inputs(0)).code == Code.EMPTY


def test_small_buffers(tmp_path: Path) -> None:
    """A device of blocks of 64 bytes: larger ones are refused, and answers come in its own."""
    with run(build_gcoap(tmp_path / "device", exponent=2)) as target:
        peer = target.peer()
        assert peer.exchange(request(POST, "reset", 1, payload=bytes(1024))).code == Code.REQUEST_ENTITY_TOO_LARGE
        info = peer.exchange(request(GET, "info", 2, block2=(0, False, 6)))
        assert (info.opt.block2.size_exponent, len(info.payload)) == (2, 64)
        assert peer.upload(10, inputs(0), 2).code == Code.EMPTY
        response = peer.receive()
        assert response is not None
        peer.acknowledge(response)
        assert peer.rest(response, 1000) == output(7, 0)
