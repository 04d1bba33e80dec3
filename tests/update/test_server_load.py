"""A thousand devices at once: how long they wait, and how much memory the server takes."""

from __future__ import annotations

import asyncio
import hashlib
import random
import statistics
import time
from pathlib import Path

import aiocoap
import pytest

from tests.support.coap_client import AsyncClient
from tests.support.fleet import FakeDevice, ServerProcess, model, server
from tests.update.test_server import fleet, keys
from tinyops.update import campaign
from tinyops.update.checkin import parse_answer
from tinyops.update.database import Database, open_database
from tinyops.update.keystore import Keystore
from tinyops.update.tables import Assignment

__all__ = ["keys"]
DEVICES = 1000
SECONDS_BETWEEN = 15.0
PATH = f"p/{hashlib.sha256(model(2)).hexdigest()[:16]}"


def memory(process: ServerProcess, what: str = "VmHWM") -> int:
    """Bytes of memory, by default the most that it ever had."""
    assert process.process is not None
    for line in Path(f"/proc/{process.process.pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError


class Life:
    """A device: checks in now and then, downloads what it is offered in blocks of 256 bytes."""

    def __init__(self, number: int, times: list[float], offers: list[str]) -> None:
        self.device = FakeDevice(f"d{number}")
        self.times = times
        self.offers = offers
        self.chance = random.Random(number)

    async def run(self, port: int, finished: asyncio.Event) -> None:
        client = await AsyncClient.open(port)
        await asyncio.sleep(self.chance.random() * SECONDS_BETWEEN)
        while not finished.is_set():
            answer = await self._ask(client, aiocoap.POST, "checkin", self.device.checkin().encode(), content_format=60)
            if answer.code == aiocoap.CHANGED and parse_answer(answer.payload).manifest:
                self.offers.append(self.device.name)
                await self._download(client)
                self.device.installs(2, hashlib.sha256(model(2)).digest())
            await asyncio.sleep(SECONDS_BETWEEN * (0.8 + 0.4 * self.chance.random()))
        client.close()

    async def _download(self, client: AsyncClient) -> None:
        data = b""
        while len(data) < len(model(2)):
            answer = await self._ask(client, aiocoap.GET, PATH, block2=(len(data) // 256, False, 4))
            assert answer.code == aiocoap.CONTENT
            data += answer.payload
        assert data == model(2)

    async def _ask(self, client: AsyncClient, *request: object, **options: object) -> aiocoap.Message:
        start = time.perf_counter()
        answer = await client.request(*request, **options)  # type: ignore[arg-type]
        self.times.append(time.perf_counter() - start)
        return answer


@pytest.mark.slow
def test_a_thousand_devices(tmp_path: Path, keys: Keystore) -> None:
    where = fleet(tmp_path, keys, DEVICES, reports=50.0)
    times: list[float] = []
    offers: list[str] = []

    async def run(port: int) -> None:
        finished = asyncio.Event()
        lives = [asyncio.create_task(Life(k, times, offers).run(port, finished)) for k in range(DEVICES)]
        end = time.monotonic() + 300
        while time.monotonic() < end and not _is_finished(database):
            await asyncio.sleep(1)
        finished.set()
        await asyncio.gather(*lives)

    database = open_database(where)
    with server(tmp_path, "--interval", "15s") as process:
        asyncio.run(run(process.port))
        peak = memory(process)
        assert "Traceback" not in process.said()
    assert _is_finished(database)
    with database.read() as session:
        done = session.query(Assignment).filter_by(status="succeeded").count()
    database.close()
    median, slow = statistics.median(times), statistics.quantiles(times, n=100)[98]
    print(f"{len(times)} answers, median {median * 1e3:.1f} ms, 99 % {slow * 1e3:.1f} ms, {peak >> 20} MiB")
    assert done == DEVICES
    assert sorted(offers) == sorted({f"d{k}" for k in range(DEVICES)}), "each device once"
    assert median < 0.05
    assert peak < 1 << 30


def _is_finished(database: Database) -> bool:
    with database.read() as session:
        return campaign.find(session, "r").state == "finished"


@pytest.mark.slow
def test_memory_is_bounded_under_a_flood(tmp_path: Path, keys: Keystore) -> None:
    """Requests without end, all different, from many ports, answers not waited for."""
    fleet(tmp_path, keys, 1)

    async def flood(port: int) -> None:
        clients = [await AsyncClient.open(port) for _ in range(50)]
        end = time.monotonic() + 25
        number = 0
        while time.monotonic() < end:
            for client in clients:
                number = (number + 1) & 0xFFFF
                message = aiocoap.Message(code=aiocoap.GET, _mtype=aiocoap.CON, _mid=number, _token=b"\1")
                message.opt.uri_path = tuple(PATH.split("/")) if number % 2 else (f"{number}", "x" * 200)
                message.opt.block2 = (number % 5, False, 6)
                client._transport.sendto(bytes(message.encode()))
            await asyncio.sleep(0.01)
        for client in clients:
            client.close()

    with server(tmp_path) as process:
        asyncio.run(flood(process.port))
        time.sleep(1)
        print(f"{memory(process) >> 20} MiB")
        assert memory(process) < 600 << 20
