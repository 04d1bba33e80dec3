"""The server as devices see it: over UDP on the loopback, killed, restarted, and sent what no device sends."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiocoap
import pytest

from tests.support.coap_client import CoapClient
from tests.support.fleet import ROOT, FakeDevice, ServerProcess, free_port, make_pack, model, server
from tests.support.postgres import binaries, cluster
from tests.update.test_checkin import hostile
from tinyops.update import audit, bundles, campaign, registry
from tinyops.update.checkin import Checkin, parse_answer
from tinyops.update.cohort import Cohort
from tinyops.update.database import open_database
from tinyops.update.gates import Gates
from tinyops.update.keystore import Keystore
from tinyops.update.store import Store
from tinyops.update.tables import Assignment, AuditEntry, Bundle

ME = "tester"
ETAG = 8


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keystore:
    keystore = Keystore(tmp_path_factory.mktemp("keys") / "keys")
    keystore.generate("ci")
    keystore.generate("old")
    return keystore


def pack(folder: Path, sequence: int, keys: Keystore, **more: object) -> bundles.Pack:
    made = make_pack(folder, sequence, key=keys.signer(keys.get("ci")), **more)  # type: ignore[arg-type]
    return bundles.read_pack(made, keys, time.time())


def fleet(folder: Path, keys: Keystore, devices: int, sequence: int = 2, url: str | None = None, **gates: float) -> str:
    """A database with devices and a rollout in one wave; returns its place."""
    where = url or str(folder / "fleet.db")
    database = open_database(where, create=True)
    bundle = bundles.publish(
        database, Store(folder / "store"), pack(folder / f"v{sequence}", sequence, keys), time.time(), ME
    )
    with database.write() as session:
        registry.add(session, [registry.NewDevice(f"d{k}") for k in range(devices)], time.time(), ME)
    with database.write() as session:
        found = session.get(Bundle, bundle.id)
        assert found is not None
        plan = campaign.Plan(Cohort(), Gates(**gates), canary=1, waves=(50.0, 100.0))
        campaign.create(session, "r", found, plan, time.time(), ME)
        campaign.start(session, "r", time.time(), ME)
    database.close()
    return where


@pytest.fixture
def running(tmp_path: Path, keys: Keystore) -> Iterator[ServerProcess]:
    fleet(tmp_path, keys, 1)
    with server(tmp_path) as process:
        yield process


@pytest.fixture
def client(running: ServerProcess) -> Iterator[CoapClient]:
    with CoapClient(running.port) as opened:
        yield opened


def path_of(sequence: int) -> str:
    return f"p/{hashlib.sha256(model(sequence)).hexdigest()[:16]}"


# -- files ----------------------------------------------------------------------------------------------------------


def test_aiocoap_gets_the_whole_update(running: ServerProcess, tmp_path: Path) -> None:
    async def run() -> None:
        context = await aiocoap.Context.create_client_context()
        device = FakeDevice("d0")
        request = aiocoap.Message(
            code=aiocoap.POST, uri=f"{running.uri}/checkin", payload=device.checkin().encode(), content_format=60
        )
        answer = await context.request(request).response
        assert answer.code == aiocoap.CHANGED
        path = parse_answer(answer.payload).manifest
        manifest = await context.request(aiocoap.Message(code=aiocoap.GET, uri=f"{running.uri}{path}")).response
        assert manifest.payload == (tmp_path / "v2" / "manifest.suit").read_bytes()
        payload = await context.request(aiocoap.Message(code=aiocoap.GET, uri=f"{running.uri}/{path_of(2)}")).response
        assert payload.payload == model(2)
        assert payload.opt.etag == hashlib.sha256(model(2)).digest()[:ETAG]
        await context.shutdown()

    asyncio.run(run())


@pytest.mark.parametrize("exponent", range(7))
def test_every_block_size(client: CoapClient, exponent: int) -> None:
    data, etag = client.download(path_of(2), exponent)
    assert data == model(2)
    assert etag == hashlib.sha256(data).digest()[:ETAG]


def test_any_block_at_any_time(client: CoapClient) -> None:
    numbers = list(range(-(-5000 // 64)))
    random.Random(1).shuffle(numbers)
    for number in numbers:
        answer = client.get(path_of(2), block2=(number, False, 2))
        assert answer.payload == model(2)[64 * number : 64 * number + 64]
        assert tuple(answer.opt.block2) == (number, number < numbers[-1] or 64 * number + 64 < 5000, 2)


def test_etag_validates(client: CoapClient) -> None:
    etag = client.get(path_of(2)).opt.etag
    assert client.get(path_of(2), etags=[etag]).code == aiocoap.VALID
    assert client.get(path_of(2), etags=[b"other"]).code == aiocoap.CONTENT
    assert client.get(path_of(2), etags=[etag], block2=(1, False, 6)).payload == model(2)[1024:2048]


@pytest.mark.parametrize(
    ("path", "options", "code"),
    [
        ("p/0000000000000000", {}, aiocoap.NOT_FOUND),
        ("b/0000000000000000/manifest.suit", {}, aiocoap.NOT_FOUND),
        ("b/../../etc/passwd", {}, aiocoap.NOT_FOUND),
        ("%00", {}, aiocoap.NOT_FOUND),
        ("x" * 200, {}, aiocoap.NOT_FOUND),
        ("", {}, aiocoap.NOT_FOUND),
        (path_of(2), {"block2": (5, False, 6)}, aiocoap.BAD_REQUEST),
        (path_of(2), {"block2": (1 << 20, False, 6)}, aiocoap.BAD_REQUEST),
        (path_of(2), {"block2": (0, False, 7)}, aiocoap.BAD_OPTION),
        (path_of(2), {"block2": (0, True, 6)}, aiocoap.BAD_OPTION),
        (path_of(2), {"accept": 60}, aiocoap.NOT_ACCEPTABLE),
        (path_of(2), {"uri_query": ("a=b",)}, aiocoap.BAD_OPTION),
        ("checkin", {}, aiocoap.METHOD_NOT_ALLOWED),
    ],
)
def test_requests_that_get_an_error(client: CoapClient, path: str, options: dict[str, object], code: object) -> None:
    assert client.get(path, **options).code == code


def test_discovery(client: CoapClient) -> None:
    assert b"</checkin>" in client.get(".well-known/core").payload


# -- check-ins ------------------------------------------------------------------------------------------------------


def test_hostile_senders_get_errors_and_devices_go_on(client: CoapClient) -> None:
    for data in hostile().values():
        answer = client.post("checkin", data[:1200])
        assert answer.code == aiocoap.BAD_REQUEST, data
    chance = random.Random(3)
    good = client.encode(aiocoap.POST, "checkin", FakeDevice("d0").checkin().encode(), content_format=60)
    for _ in range(300):
        data = bytearray(good if chance.random() < 0.7 else secrets.token_bytes(chance.randrange(1, 200)))
        for _ in range(3):
            data[chance.randrange(len(data))] = chance.randrange(256)
        client.send(bytes(data))
    with CoapClient(int(client._socket.getpeername()[1])) as device:
        assert device.post("checkin", FakeDevice("d0").checkin().encode()).code == aiocoap.CHANGED


def test_unknown_devices_are_told_how_to_be_added(client: CoapClient) -> None:
    answer = client.post("checkin", FakeDevice("stranger").checkin().encode())
    assert answer.code == aiocoap.FORBIDDEN
    assert b"tinyops device add stranger" in answer.payload


def test_a_check_in_in_blocks(client: CoapClient) -> None:
    device = FakeDevice("d0").checkin()
    body = Checkin(**{**_fields(device), "report": bytes(500)}).encode()
    parts = [body[k : k + 64] for k in range(0, len(body), 64)]
    for number, part in enumerate(parts[:-1]):
        assert client.post("checkin", part, block1=(number, True, 2)).code == aiocoap.CONTINUE
    answer = client.post("checkin", parts[-1], block1=(len(parts) - 1, False, 2))
    assert answer.code == aiocoap.CHANGED
    assert parse_answer(answer.payload).manifest
    assert client.post("checkin", parts[1], block1=(1, True, 2)).code == aiocoap.REQUEST_ENTITY_INCOMPLETE
    assert client.post("checkin", parts[0][:-1], block1=(0, True, 2)).code == aiocoap.BAD_REQUEST


def _fields(checkin: Checkin) -> dict[str, object]:
    return {name: getattr(checkin, name) for name in Checkin.__dataclass_fields__}


def test_too_many_check_ins_of_a_device_are_put_off(client: CoapClient) -> None:
    codes = [client.post("checkin", FakeDevice("d0").checkin().encode()).code for _ in range(40)]
    assert codes[:10] == [aiocoap.CHANGED] * 10
    assert codes[-1] == aiocoap.TOO_MANY_REQUESTS


# -- restarts -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kill_and_restart_in_the_middle(tmp_path: Path, keys: Keystore) -> None:
    """Killed again and again: every device gets the update once, and downloads go on at the block where they were."""
    fleet(tmp_path, keys, 12)
    devices = [FakeDevice(f"d{k}") for k in range(12)]
    chance = random.Random(5)
    offered: list[str] = []
    with server(tmp_path, "--interval", "1s") as process:
        for _ in range(60):
            for device in devices:
                with CoapClient(process.port, timeout=2.0) as client:
                    answer = client.post("checkin", device.checkin().encode())
                    if answer.code != aiocoap.CHANGED:
                        assert answer.code == aiocoap.TOO_MANY_REQUESTS
                        continue
                    manifest = parse_answer(answer.payload).manifest
                    if manifest is None:
                        continue
                    assert device.sequence == 0, "it has that already"
                    offered.append(device.name)
                    first = b"".join(client.get(path_of(2), block2=(number, False, 4)).payload for number in range(7))
                    if chance.random() < 0.5:
                        process.kill()
                        process.start()
                    rest, _ = client.download(path_of(2), 4, start=7)
                    assert first + rest == model(2)
                    device.installs(2, hashlib.sha256(model(2)).digest())
            if _state(tmp_path) == "finished":
                break
            time.sleep(0.6)
    assert _state(tmp_path) == "finished"
    assert sorted(offered) == sorted(device.name for device in devices)
    database = open_database(str(tmp_path / "fleet.db"))
    with database.read() as session:
        audit.verify(audit.entries(session))
        opened = [entry.details for entry in session.query(AuditEntry).filter_by(action="wave open")]
        assert len(opened) == len(set(opened)) == 3
    database.close()


def _state(folder: Path) -> str:
    database = open_database(str(folder / "fleet.db"))
    with database.read() as session:
        state = campaign.find(session, "r").state
    database.close()
    return state


def test_sigterm_ends_it_cleanly(running: ServerProcess) -> None:
    assert running.process is not None
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=20) == 0
    assert "ended" in running.said()
    assert "Traceback" not in running.said()


def test_a_paused_rollout_puts_downloads_off_and_an_aborted_one_ends_them(
    client: CoapClient, running: ServerProcess
) -> None:
    database = open_database(running.database)
    assert client.get(path_of(2)).code == aiocoap.CONTENT
    with database.write() as session:
        campaign.pause(session, "r", time.time(), ME)
    time.sleep(1.1)
    answer = client.get(path_of(2), block2=(2, False, 6))
    assert answer.code == aiocoap.SERVICE_UNAVAILABLE
    assert answer.opt.max_age == 60
    with database.write() as session:
        campaign.resume(session, "r", time.time(), ME)
    time.sleep(1.1)
    assert client.get(path_of(2)).code == aiocoap.CONTENT
    with database.write() as session:
        campaign.abort(session, "r", time.time(), ME)
    time.sleep(1.1)
    assert client.get(path_of(2), block2=(2, False, 6)).code == aiocoap.NOT_FOUND
    database.close()


def test_another_fleet_at_the_same_port_is_noticed(tmp_path: Path) -> None:
    """aiocoap binds with SO_REUSEPORT: both would get some of the devices."""
    port = free_port()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = ServerProcess(tmp_path / "one", (), str(tmp_path / "one" / "f.db"), port)
    two = ServerProcess(tmp_path / "two", (), str(tmp_path / "two" / "f.db"), port)
    one.start()
    try:
        with pytest.raises(AssertionError, match=rf"error: \[::1\]:{port}: cannot listen: .*in use"):
            two.start()
        assert "--share-port" in two.said()
        shared = ServerProcess(tmp_path / "one", ("--share-port",), one.database, port)
        shared.start()
        shared.kill()
    finally:
        one.kill()


def test_the_port_is_taken(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        web = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tinyops", "serve", "--database", str(tmp_path / "f.db")),
                *("--web", web, "--listen", "[::1]:0"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=False,
        )
    assert done.returncode == 1
    assert f"error: {web}: cannot listen: " in done.stderr
    assert "--no-web" in done.stderr


# -- PostgreSQL -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(binaries() is None, reason="PostgreSQL is not installed")
def test_three_servers_on_one_postgresql(tmp_path: Path, keys: Keystore) -> None:
    """Devices come to any of three servers, one is killed: each wave opens once, each device gets the update once."""
    from contextlib import ExitStack

    with cluster() as url:
        fleet(tmp_path, keys, 30, url=url)
        devices = [FakeDevice(f"d{k}") for k in range(30)]
        chance = random.Random(11)
        offered: list[str] = []
        with ExitStack() as stack:
            servers = [stack.enter_context(server(tmp_path, "--interval", "1s", database=url)) for _ in range(3)]
            for turn in range(40):
                if turn == 3:
                    servers[0].kill()
                if turn == 6:
                    servers[0].start()
                offered += _round(devices, [one for one in servers if one.process], chance)
                if all(device.sequence == 2 for device in devices) and turn > 8:
                    break
                time.sleep(0.7)
            time.sleep(2.5)
        database = open_database(url)
        with database.read() as session:
            assert campaign.find(session, "r").state == "finished"
            audit.verify(audit.entries(session))
            opened = [entry.details for entry in session.query(AuditEntry).filter_by(action="wave open")]
            assert len(opened) == len(set(opened)) == 3
            assert session.query(AuditEntry).filter_by(action="rollout finish").count() == 1
            assert {part.status for part in session.query(Assignment)} == {"succeeded"}
        database.close()
        assert sorted(offered) == sorted(device.name for device in devices)


def _round(devices: list[FakeDevice], servers: list[ServerProcess], chance: random.Random) -> list[str]:
    """Every device checks in with one of the servers, all at once; those that were offered the update take it."""
    from concurrent.futures import ThreadPoolExecutor

    def one(device: FakeDevice, port: int) -> str | None:
        with CoapClient(port, timeout=3.0) as client:
            answer = client.post("checkin", device.checkin().encode())
            if answer.code != aiocoap.CHANGED or parse_answer(answer.payload).manifest is None:
                return None
            data, _ = client.download(path_of(2))
            device.installs(2, hashlib.sha256(data).digest())
            return device.name

    ports = [chance.choice(servers).port for _ in devices]
    with ThreadPoolExecutor(10) as pool:
        return [name for name in pool.map(one, devices, ports) if name]
