"""Signed updates of RIOT firmware over a lossy network, with the device killed at random: at every restart a working
model runs, and no sequence number is lower than it was.

The firmware is RIOT's native64 with its flash in a file, which RIOT writes byte by byte: kills tear records, too.
TINYOPS_RIOT_KILLS says how often it is killed (200), TINYOPS_RIOT_SEED when.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.support.coap_server import FileServer
from tests.support.netns import Device, Faults, TapNetwork
from tests.support.update_devices import StopError
from tests.support.updates import SETTINGS, V1, V2, Pack, bad_capsule, capsule, images, mismatches, model_image, pack
from tinyops.device.build import Build
from tinyops.device.client import DeviceClient
from tinyops.device.link.datagram import udp_link
from tinyops.device.link.framing import Datagrams
from tinyops.device.link.profile import LINKS
from tinyops.device.riot.base import RiotBase
from tinyops.device.riot.build import RiotSettings, build_riot
from tinyops.device.update_client import UpdateClient
from tinyops.device.update_protocol import UpdateState
from tinyops.errors import DeviceError
from tinyops.suit import Reason

pytestmark = pytest.mark.riot

KILLS = int(os.environ.get("TINYOPS_RIOT_KILLS", "200"))
SEED = int(os.environ.get("TINYOPS_RIOT_SEED", "1"))
#: Devices beside one another, each in a namespace of its own: most of the time goes into waiting for lost frames.
DEVICES = 4
HEALTH = 2
FAULTS = Faults(loss=0.05, duplicate=0.02, delayed=0.02, delay=0.1)
FLASH_BYTES = 64 << 10
#: What the device says at the steps of an update; it is killed a moment after one of them, or at any time.
STEPS = ("wants model", "verified", "self-test passed", "confirmed")
#: Frames are lost, but the network is fast: what is lost is sent again soon.
PATIENT = replace(LINKS["udp"], ack_timeout=0.3, max_retransmit=8, answer_seconds=60.0)
HURRIED = replace(PATIENT, answer_seconds=2.0)


@pytest.fixture(scope="module")
def build(riot_base: RiotBase, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The firmware of the digits model."""
    settings = RiotSettings(riot_base, "native64", "ethernet")
    update = replace(SETTINGS, health_window=HEALTH)
    return build_riot(V1, settings, None, tmp_path_factory.mktemp("riot") / "app", name="digits", update=update)


@dataclass
class Life:
    """A device, and what is known of it: its sequence numbers, and which version of the model came with each."""

    build: Build
    folder: Path
    network: TapNetwork
    chance: random.Random
    versions: dict[int, int] = field(default_factory=lambda: {0: 1})
    accepted: int = 0
    confirmed: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    @cached_property
    def device(self) -> Device:
        flash = self.folder / "flash.bin"
        flash.write_bytes(b"\xff" * FLASH_BYTES)
        return Device(self.network, [self.build.elf, "-m", flash, self.network.device_tap], self.folder)

    @cached_property
    def server(self) -> FileServer:
        with self.network.inside():
            return FileServer(host="::")

    def client(self, link: Any = PATIENT) -> DeviceClient:
        address = f"coap://[{self.network.device}]"
        with self.network.inside():
            return DeviceClient(udp_link(address), where=address, link=link, framing=Datagrams())

    def check(self) -> UpdateState:
        """The model that runs is the one that its sequence number stands for, and no number is lower than before."""
        with self.client() as client:
            state = UpdateClient(client).state()
            assert state.accepted >= self.accepted, "the accepted sequence number became lower"
            assert self.confirmed <= state.sequence <= state.accepted, "a confirmed model was lost"
            assert state.sequence in self.versions
            assert mismatches(client, self.versions[state.sequence], HEALTH) == 0
            state = UpdateClient(client).state()
        self.accepted = state.accepted
        if state.state == "idle":
            self.confirmed = state.sequence
            self.outcomes["unknown" if state.outcome is None else state.outcome.slug] += 1
        return state

    def next_update(self) -> tuple[int, Pack]:
        """An update to the other version, now and then to one that fails its golden vectors."""
        sequence = max(self.versions) + self.chance.randint(1, 3)
        version = 3 - self.versions[self.confirmed]
        self.versions[sequence] = version
        content = bad_capsule() if self.chance.random() < 0.15 else capsule(V1 if version == 1 else V2)
        images = [model_image(content, f"/c{sequence}")]
        return sequence, pack(self.build, sequence, content, images=images, files={f"/c{sequence}": content})

    def start_update(self, client: DeviceClient, sequence: int, update: Pack, ended: threading.Event) -> None:
        """Push it block by block until `ended`, or let the device pull it."""

        def look(*_: object) -> None:
            if ended.is_set():
                raise StopError

        if self.chance.random() < 0.5:
            UpdateClient(client).push(update.envelope, update.digest, update.payload, look)
            return
        self.server.files |= {f"m{sequence}": update.envelope, f"c{sequence}": update.payloads[f"/c{sequence}"]}
        uri = f"coap://[{self.network.host_address}]:{self.server.address[1]}/m{sequence}"
        client.post("suit/trigger", uri.encode())

    def update_and_kill(self) -> None:
        """Begin an update, use the device meanwhile, and kill it: at a step, or whenever."""
        sequence, update = self.next_update()
        step = self.chance.choice([*STEPS, "any time"])
        delay = self.chance.uniform(0, 2.5) if step == "any time" else self.chance.choice([0, 0.002, 0.02, 0.1])
        ended = threading.Event()

        def kill() -> None:
            reached = step != "any time" and self.device.hears(step, 12)
            time.sleep(delay)
            self.device.kill()
            self.kills[step if reached else "any time"] += 1
            ended.set()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            with self.client(HURRIED) as client, suppress(DeviceError, StopError):
                self.start_update(client, sequence, update, ended)
                while not ended.wait(0.05):
                    client.infer([images()[0][None]], timeout=HURRIED.answer_seconds)
        finally:
            self.device.kill()  # the network was too bad, or nothing goes on
            killer.join()

    def kill_at_start(self) -> None:
        """While it opens its flash."""
        self.device.start()
        time.sleep(self.chance.uniform(0, 0.03))
        self.device.kill()
        self.kills["start"] += 1

    def live(self, kills: int) -> None:
        while self.kills.total() < kills:
            self.device.start()
            self.check()
            self.update_and_kill()
            while self.kills.total() < kills and self.chance.random() < 0.25:
                self.kill_at_start()
        self.device.start()
        self.check()
        self.finish()

    def finish(self) -> None:
        """An update that nobody disturbs, but for the network."""
        content, version = (capsule(V2), 2) if self.versions[self.confirmed] == 1 else (capsule(V1), 1)
        sequence = max(self.versions) + 1
        update = pack(self.build, sequence, content)
        self.versions[sequence] = version
        with self.client() as client:
            pushed = UpdateClient(client).push(update.envelope, update.digest, update.payload)
            assert pushed.state.sequence == sequence
        assert self.check().state == "idle"
        assert (self.confirmed, self.accepted) == (sequence, sequence)


def live_through(build: Build, folder: Path, kills: int, seed: int) -> Life:
    folder.mkdir()
    with TapNetwork(replace(FAULTS), seed) as network:
        life = Life(build, folder, network, random.Random(seed))
        with life.server:
            try:
                life.live(kills)
            except BaseException as error:
                life.device.hears("\0", 0.1)
                error.add_note(f"after {dict(life.kills)}; the device has said:\n" + "\n".join(life.device.lines))
                raise
            finally:
                life.device.kill()
    return life


@pytest.mark.slow
def test_killed_at_random(build: Build, tmp_path: Path) -> None:
    shares = [KILLS // DEVICES + (number < KILLS % DEVICES) for number in range(DEVICES)]
    with ThreadPoolExecutor(DEVICES) as pool:
        lives = [
            pool.submit(live_through, build, tmp_path / str(number), share, SEED * 1000 + number)
            for number, share in enumerate(shares)
        ]
        done = [life.result() for life in lives]
    kills = sum((life.kills for life in done), Counter())
    outcomes = sum((life.outcomes for life in done), Counter())
    lost = sum(life.network.counts.lost for life in done)
    print(f"\nkilled {dict(kills)}, outcomes {dict(outcomes)}, {lost} frames lost")
    assert kills.total() == KILLS
    if KILLS >= 100:
        assert min(kills[step] for step in (*STEPS, "any time", "start")) >= KILLS // 40, "all were reached"
        assert outcomes[Reason.OK.slug] > KILLS // 10
        assert outcomes[Reason.SELF_TEST.slug] > 0
        assert lost > KILLS
