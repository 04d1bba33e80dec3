"""CoAP over UDP: DeviceClient and the firmware as a process, IPv4 and IPv6, and a device with several peers."""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiocoap
import numpy as np
import pytest
from aiocoap import ACK, CON, GET, POST, RST
from aiocoap.numbers.codes import Code

from tests.support.firmware import build_fake
from tests.support.line import request
from tests.support.udp import Proxy, UdpDevice, straight, udp_device
from tinyops.device.board import find_board
from tinyops.device.client import DeviceClient
from tinyops.device.link.datagram import parse_coap_address
from tinyops.device.link.profile import LINKS, find_link
from tinyops.errors import DeviceError, UsageError

A = (np.arange(1500) % 251 - 125).astype(np.int8)[None]
LOOPS = np.array([1, 1], np.int32)
INPUT = A.tobytes() + struct.pack("<ii", 1, 1)
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_fake(find_board("host"), tmp_path_factory.mktemp("fake"), flags=SANITIZED)


def total(client: DeviceClient) -> list[int]:
    values: list[int] = client.infer([A, LOOPS])[1].tolist()
    return values


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", ":0"])
def test_client_and_device(program: Path, listen: str) -> None:
    with udp_device(program, listen=listen) as device:
        both = [f"coap://{host}:{device.port}" for host in ("127.0.0.1", "[::1]")]
        addresses = both if listen == ":0" else [device.address]
        for address in addresses:
            with DeviceClient.open(address) as client:
                assert client.info().model == "fake"
                client.reset()
                assert [total(client) for _ in range(3)] == [[2, 7], [2, 8], [2, 9]]


@pytest.mark.parametrize("link", sorted(LINKS))
def test_every_link_has_blocks_of_its_size(program: Path, link: str) -> None:
    with (
        udp_device(program) as device,
        Proxy(("127.0.0.1", device.port), straight) as proxy,
        DeviceClient.open(f"coap://127.0.0.1:{proxy.address[1]}", link=link) as client,
    ):
        assert total(client) == [2, 7]
    messages = [aiocoap.Message.decode(data) for _, data in proxy.log]
    assert max(len(message.payload) for message in messages) == find_link(link).block_bytes
    assert {len(m.payload) for m in messages if m.opt.block1 is not None and m.opt.block1.more} <= {
        0,
        find_link(link).block_bytes,
    }


def test_block_size_is_chosen(program: Path) -> None:
    with udp_device(program) as device, DeviceClient.open(device.address, block_size=32) as client:
        assert client.link.block_bytes == 32
        assert total(client) == [2, 7]


@pytest.mark.parametrize(("link", "size"), [("wire", None), ("udp", 100), ("udp", 2048)])
def test_unknown_links_and_block_sizes(link: str, size: int | None) -> None:
    with pytest.raises(UsageError) as caught:
        DeviceClient.open("coap://127.0.0.1", link=link, block_size=size)
    assert caught.value.allowed


def test_links_are_sensible() -> None:
    assert LINKS["serial"].block_bytes == LINKS["udp"].block_bytes == LINKS["lte-m"].block_bytes == 1024
    assert (LINKS["802154-mesh"].block_bytes, LINKS["802154"].block_bytes) == (64, 256)
    assert 512 <= LINKS["ble-l2cap"].block_bytes <= 1024
    assert LINKS["nb-iot"].block_bytes == 512
    assert LINKS["nb-iot"].ack_timeout >= 10


@pytest.mark.parametrize(
    "address",
    [
        "coap://",
        "coap:host",
        "coap://host/path",
        "coap://host?query",
        "coap://user@host",
        "coap://host:0",
        "coap://host:port",
        "coap://host:65536",
        "coap://[::1",
        "coap://[zone]",
        "coap://ho st",
        "coaps://host",
    ],
)
def test_bad_addresses(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        DeviceClient.open(address)
    assert address in str(caught.value)


def test_good_addresses() -> None:
    assert parse_coap_address("coap://node-1.example") == ("node-1.example", 5683)
    assert parse_coap_address("coap://[fe80::1]:99/") == ("fe80::1", 99)


def test_nobody_there() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with DeviceClient.open(f"coap://127.0.0.1:{port}") as client, pytest.raises(DeviceError, match="nobody is there"):
        client.reset()
    with pytest.raises(DeviceError, match="cannot be reached"):
        DeviceClient.open("coap://no-such-host.invalid")


# The device, datagram by datagram


@contextmanager
def peer(device: UdpDevice) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.connect(("127.0.0.1", device.port))
        opened.settimeout(5)
        yield opened


def receive(opened: socket.socket) -> Any:
    data = opened.recv(2048)
    message = aiocoap.Message.decode(data)
    message.raw = data
    return message


def ask(opened: socket.socket, message: Any) -> Any:
    opened.send(message.encode())
    return receive(opened)


def infer(opened: socket.socket, mid: int, size: int = 1024) -> tuple[Any, Any]:
    """Acknowledgement and response of one invocation, which stays unacknowledged."""
    parts = [INPUT[i : i + size] for i in range(0, len(INPUT), size)]
    for number, part in enumerate(parts):
        more = number < len(parts) - 1
        answer = ask(opened, request(POST, "infer", mid + number, payload=part, block1=(number, more, 6)))
    return answer, receive(opened)


def test_a_repeated_request_gets_the_same_answer_whoever_asked_between(program: Path) -> None:
    with udp_device(program) as device, peer(device) as first, peer(device) as second:
        answer, response = infer(first, 100)
        assert (answer.mtype, answer.code, response.mtype) == (ACK, Code.EMPTY, CON)
        first.send(aiocoap.Message(code=Code.EMPTY, _mtype=ACK, _mid=response.mid).encode())
        info = ask(second, request(GET, "info", 100))
        assert info.code is Code.CONTENT
        again = ask(first, request(POST, "infer", 101, payload=INPUT[1024:], block1=(1, False, 6)))
        assert (again.mtype, again.code, again.mid) == (ACK, Code.EMPTY, 101)  # acknowledged: no response again
        assert ask(second, request(GET, "info", 100)).raw == info.raw
        state = ask(second, request(POST, "reset", 101))
        assert state.code is Code.CHANGED


def test_an_old_request_that_comes_late_changes_nothing(program: Path) -> None:
    with udp_device(program) as device, peer(device) as opened:
        infer(opened, 100)
        late = request(POST, "infer", 100, payload=INPUT[:1024], block1=(0, True, 6)).encode()
        assert ask(opened, request(POST, "reset", 200)).code is Code.CHANGED
        opened.send(late)
        answer = ask(opened, request(GET, "info", 201))
        assert (answer.code, answer.mid) == (Code.CONTENT, 201)  # and nothing came before it


def test_uploads_of_two_peers_do_not_mix(program: Path) -> None:
    with udp_device(program) as device, peer(device) as first, peer(device) as second:
        half = {"payload": INPUT[:1024], "block1": (0, True, 6)}
        assert ask(first, request(POST, "infer", 1, **half)).code is Code.CONTINUE
        assert ask(second, request(POST, "infer", 1, **half)).code is Code.CONTINUE
        rest = {"payload": INPUT[1024:], "block1": (1, False, 6)}
        assert ask(first, request(POST, "infer", 2, **rest)).code is Code.REQUEST_ENTITY_INCOMPLETE
        assert ask(second, request(POST, "infer", 2, **rest)).mtype is ACK
        assert receive(second).code is Code.CHANGED
        further = ask(first, request(POST, "infer", 3, block2=(1, False, 6)))
        assert further.code is Code.REQUEST_ENTITY_INCOMPLETE


@pytest.mark.slow
def test_an_unacknowledged_response_comes_again_by_the_clock(program: Path) -> None:
    with udp_device(program) as device, peer(device) as opened:
        _, response = infer(opened, 100)
        again = receive(opened)  # after two seconds
        assert again.raw == response.raw
        opened.send(aiocoap.Message(code=Code.EMPTY, _mtype=ACK, _mid=response.mid).encode())
        opened.settimeout(4.5)
        with pytest.raises(TimeoutError):
            opened.recv(2048)


def test_a_stranger_cannot_acknowledge(program: Path) -> None:
    with udp_device(program) as device, peer(device) as opened, peer(device) as stranger:
        _, response = infer(opened, 100)
        stranger.send(aiocoap.Message(code=Code.EMPTY, _mtype=RST, _mid=response.mid).encode())
        assert receive(opened).raw == response.raw


def test_more_peers_than_there_is_room_for(program: Path) -> None:
    with udp_device(program) as device:
        for round_ in range(2):
            for _ in range(9):
                with peer(device) as opened:
                    assert ask(opened, request(POST, "reset", 7 + round_)).code is Code.CHANGED


def test_strange_datagrams(program: Path) -> None:
    with udp_device(program) as device, peer(device) as opened:
        for data in (b"", b"\x40", bytes(2000), b"\xff" * 1124, b"\x41\x01\x00\x01", bytes(65507)):
            opened.send(data)
        assert ask(opened, request(POST, "reset", 7)).mtype in (RST, ACK)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--udp"],
        ["--udp", "5683", "extra"],
        ["--nonsense", "1"],
        ["--id", "0"],
        ["--id", "zz"],
        ["--id", "00" * 33],
        ["--check-in", "0"],
        ["--check-in", "1x"],
        ["--block-size", "48"],
        ["--server", "coap://[::1]"],
    ],
)
def test_bad_arguments(program: Path, arguments: list[str]) -> None:
    ended = subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=10, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "usage: " in ended.stderr


@pytest.mark.parametrize("address", ["5683", "host", "[::1:0", "::1:0", "127.0.0.1:port", "192.0.2.1:0"])
def test_bad_listen_addresses(program: Path, address: str) -> None:
    ended = subprocess.run([str(program), "--udp", address], capture_output=True, text=True, timeout=10, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: {address}: ")
