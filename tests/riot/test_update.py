"""Signed updates of RIOT firmware: pushed, told by a trigger and found at a check-in, kept in each of the memories that
RIOT has, over restarts. The firmware is RIOT's native64 on a tap interface."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiocoap.numbers.codes import Code

from tests.support.coap_server import FileServer
from tests.support.netns import Device, TapNetwork
from tests.support.updates import OTHER, SETTINGS, V1, V2, Pack, bad_capsule, capsule, mismatches, model_image, pack
from tinyops.device.build import Build
from tinyops.device.client import DeviceClient
from tinyops.device.link.datagram import udp_link
from tinyops.device.link.framing import Datagrams
from tinyops.device.link.profile import LINKS
from tinyops.device.riot.base import RiotBase
from tinyops.device.riot.build import RiotSettings, build_riot
from tinyops.device.riot.make import RiotMake
from tinyops.device.update_client import UpdateClient
from tinyops.device.update_protocol import UpdateState
from tinyops.suit import Reason

pytestmark = pytest.mark.riot

HEALTH = 2
FLASH_BYTES = 64 << 10
PORT = 5683
CHECK_IN_SECONDS = 2
#: The memories besides the file of RIOT's memory device, and what an application adds for them.
OTHERS = {
    "tinyops_update_vfs": "USEMODULE += vfs_default\n",
    # It is forgotten with the process.
    "tinyops_update_flashpage": "CFLAGS += -DFLASHPAGE_NUMOF=256 -DFLASHPAGE_ERASE_STATE=0x00\n",
}


def native(base: RiotBase, folder: Path, **changes: Any) -> Build:
    update = replace(SETTINGS, health_window=HEALTH, **changes)
    return build_riot(V1, RiotSettings(base, "native64", "ethernet"), None, folder, name="digits", update=update)


@pytest.fixture(scope="module")
def build(riot_base: RiotBase, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return native(riot_base, tmp_path_factory.mktemp("riot") / "app")


@pytest.fixture
def network() -> Iterator[TapNetwork]:
    with TapNetwork() as made:
        yield made


def device_of(build: Build, network: TapNetwork, folder: Path) -> Device:
    flash = folder / "flash.bin"
    flash.write_bytes(b"\xff" * FLASH_BYTES)
    return Device(network, [build.elf, "-m", flash, network.device_tap], folder)


@pytest.fixture
def device(build: Build, network: TapNetwork, tmp_path: Path) -> Iterator[Device]:
    with device_of(build, network, tmp_path) as made:
        yield made


def client(network: TapNetwork) -> DeviceClient:
    address = f"coap://[{network.device}]"
    link = replace(LINKS["udp"], ack_timeout=0.5)
    with network.inside():
        return DeviceClient(udp_link(address), where=address, link=link, framing=Datagrams())


def state_of(network: TapNetwork) -> UpdateState:
    with client(network) as asked:
        return UpdateClient(asked).state()


def state_when(network: TapNetwork, reached: str, seconds: float = 30) -> UpdateState:
    end = time.monotonic() + seconds
    while (state := state_of(network)).state != reached:
        assert time.monotonic() < end, state
        time.sleep(0.1)
    return state


def served(build: Build, network: TapNetwork, sequence: int, content: bytes, **options: Any) -> tuple[FileServer, Pack]:
    made = pack(build, sequence, content, images=[model_image(content, "/c")], files={"/c": content}, **options)
    with network.inside():
        return FileServer({"m": made.envelope, "c": content}, host="::", port=PORT), made


def trigger(network: TapNetwork, path: str = "/m", port: int = PORT) -> None:
    with client(network) as asked:
        asked.post("suit/trigger", f"coap://[{network.host_address}]:{port}{path}".encode())


def blocks(server: FileServer) -> list[int]:
    """The numbers of the payload's blocks, as they were asked for."""
    found = [request.opt.block2 for request in server.requests if request.opt.uri_path == ("c",)]
    return [0 if block is None else block[0] for block in found]


def push(build: Build, network: TapNetwork, sequence: int) -> None:
    update = pack(build, sequence, capsule(V2))
    with client(network) as asked:
        pushed = UpdateClient(asked).push(update.envelope, update.digest, update.payload)
        assert (pushed.state.state, pushed.state.sequence) == ("trial", sequence)
        assert mismatches(asked, 2, HEALTH) == 0
    assert state_of(network).state == "idle"


def test_a_pushed_model_runs_after_a_restart(build: Build, network: TapNetwork, device: Device) -> None:
    push(build, network, 7)
    for _ in range(2):
        device.kill()
        device.start()
        device.hear("update: running digits, sequence 7, bank 0")
    with client(network) as asked:
        assert mismatches(asked, 2, 5) == 0
        assert UpdateClient(asked).state().accepted == 7


@pytest.mark.slow
@pytest.mark.parametrize("memory", OTHERS)
def test_the_other_memories(
    build: Build, riot_base: RiotBase, network: TapNetwork, tmp_path: Path, memory: str
) -> None:
    """With AddressSanitizer; one with a flash that is erased to zeros, in pages of 512 bytes."""
    folder = build.folder
    makefile = folder / "Makefile"
    text = makefile.read_text()
    assert "tinyops_update_mtd" in text
    sizes = "".join(f"TINYOPS_UPDATE_{name}_BYTES = {size}\n" for name, size in (("ERASE", 1024), ("WRITE", 16)))
    makefile.write_text(
        sizes + text.replace("tinyops_update_mtd", memory).replace("include ", OTHERS[memory] + "include ")
    )
    try:
        made = RiotMake(riot_base, folder, "native64").run(
            ["all-asan"], options=["-j2"], variables={"BINDIRBASE": str(tmp_path / "bin")}, seconds=900
        )
    finally:
        makefile.write_text(text)
    assert made.status == 0, made.output[-3000:]
    (elf,) = (tmp_path / "bin" / "native64").glob("*.elf")
    device = Device(network, [elf, network.device_tap], tmp_path)
    with device:
        push(build, network, 3)
        device.kill()
        device.start()
        lasting = memory == "tinyops_update_vfs"
        device.hear(
            f"update: running digits, sequence {3 if lasting else 0}, {'bank 0' if lasting else 'of the firmware'}"
        )


def test_a_trigger_brings_an_update(build: Build, network: TapNetwork, device: Device) -> None:
    server, _ = served(build, network, 2, capsule(V2))
    with server:
        device.hear("tinyops")
        trigger(network)
        assert state_when(network, "trial").sequence == 2
    assert blocks(server) == list(range(-(-len(capsule(V2)) // 1024)))
    with client(network) as asked:
        assert mismatches(asked, 2, HEALTH) == 0
    assert state_of(network).state == "idle"


@pytest.mark.slow
def test_a_check_in_finds_an_update_and_tells_what_became_of_it(
    riot_base: RiotBase, network: TapNetwork, tmp_path: Path
) -> None:
    uri = f"coap://[{network.host_address}]:{PORT}"
    build = native(riot_base, tmp_path / "app", server=uri, check_in_seconds=CHECK_IN_SECONDS)
    server, _ = served(build, network, 4, capsule(V2))
    server.answer = lambda said: {1: "/m", 2: CHECK_IN_SECONDS} if said[3] < 4 else {2: CHECK_IN_SECONDS}
    with server, device_of(build, network, tmp_path):
        first = server.wait_for(lambda said: said[3] == 0)
        assert len(first[1]) == 16
        assert first[1][6] >> 4 == 8, "a UUID of version 8"
        server.wait_for(lambda said: (said[3], said[5]) == (4, "trial"))
        with client(network) as asked:
            assert mismatches(asked, 2, HEALTH) == 0
        told = server.wait_for(lambda said: (said[3], said[5]) == (4, "idle"))
    assert (told[6], told[11][1]) == (0, HEALTH)


def test_a_pull_goes_on_after_a_restart(build: Build, network: TapNetwork, device: Device) -> None:
    content = capsule(V2)
    server, _ = served(build, network, 2, content)
    erase = build.report["update"]["region"]["erase_bytes"]
    stalled = 2 * erase // 1024 + 1
    server.refuse = lambda asked: (
        Code.INTERNAL_SERVER_ERROR if asked.opt.block2 and asked.opt.block2.block_number >= stalled else None
    )
    with server:
        device.hear("tinyops")
        trigger(network)
        device.hear("wants model")
        while stalled not in blocks(server):
            time.sleep(0.05)
        assert state_of(network).state == "downloading"
        device.kill()
        server.refuse = lambda _: None
        server.requests.clear()
        device.start()
        device.hear("tinyops")
        trigger(network)
        assert state_when(network, "trial").sequence == 2
    assert blocks(server) == [0, *range(2 * erase // 1024, -(-len(content) // 1024))]


def test_the_device_answers_while_it_waits_for_a_server(build: Build, network: TapNetwork, device: Device) -> None:
    device.hear("tinyops")
    trigger(network, port=9)
    for _ in range(5):
        begun = time.monotonic()
        with client(network) as asked:
            assert mismatches(asked, 1, 1) == 0
        assert time.monotonic() - begun < 2
        time.sleep(0.3)
    with pytest.raises(Exception, match="busy"):
        trigger(network)


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (capsule(V2), {"signers": (OTHER,)}, Reason.UNKNOWN_KEY),
        (bad_capsule(), {}, Reason.SELF_TEST),
    ],
    ids=["key", "golden"],
)
def test_what_is_pulled_is_not_trusted(
    build: Build, network: TapNetwork, device: Device, content: bytes, options: dict[str, Any], reason: Reason
) -> None:
    server, _ = served(build, network, 2, content, **options)
    with server:
        device.hear("tinyops")
        trigger(network)
        device.hear("refused" if options else "undone")
        state = state_of(network)
        assert (state.outcome, state.sequence) == (reason, 0)
        assert bool(blocks(server)) == (not options)
    with client(network) as asked:
        assert mismatches(asked, 1, 3) == 0
