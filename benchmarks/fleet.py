"""A fleet of virtual devices through two campaigns on this computer, with everything that can go wrong on the way.

Devices are processes of the real firmware (`tinyops sim`), the server is `tinyops serve`. Campaign 1 brings model v2 in
waves, while messages get lost, power fails in the middle of flash operations, flash is damaged, and the server is
killed and started again. Campaign 2 brings a v3 whose golden vectors fail: it has to stop by itself at its canary. At
the end every device must run v1 or v2 and answer that model's golden vectors.

    python -m benchmarks.fleet --devices 1000

from the repository's root, with tinyops[update] installed. The exit status is 1 when a requirement is not met. Times
are of this computer's clock: a server and all of its devices share its cores.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiocoap

from tinyops.emit.capsule import read_capsule
from tinyops.resources import data_dir

ROOT = Path(__file__).resolve().parents[1]
DIGITS = data_dir("models") / "digits"
LIMITS = {"median_ms": 50.0, "server_bytes": 1 << 30}
_CANARY = 5


class Fleet:
    """A folder with keys, builds, packs, the database and the server of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TINYOPS_KEYS": str(folder / "keys"),
            "TINYOPS_DATABASE": str(folder / "fleet" / "fleet.db"),
        }
        (folder / "fleet").mkdir()

    @property
    def uri(self) -> str:
        return f"coap://127.0.0.1:{self.port}"

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "tinyops", *map(str, words)]

    def tinyops(self, *words: object) -> str:
        """The output of a tinyops command that has to succeed."""
        done = subprocess.run(
            self.command(*words), cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"tinyops {' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *words: object) -> Any:
        return json.loads(self.tinyops(*words, "--json"))


class Server:
    """`tinyops serve` as a process that is watched, killed and started again."""

    def __init__(self, fleet: Fleet, interval: int) -> None:
        self._fleet, self._interval = fleet, interval
        self.peak_bytes = 0
        self.starts = 0
        self._log = (fleet.folder / "serve.log").open("ab")
        self.start()

    def start(self) -> None:
        command = self._fleet.command(
            "serve", "--listen", f"127.0.0.1:{self._fleet.port}", "--no-web", "--accept-new",
            "--interval", f"{self._interval}s", "--address-rate", 100_000,
        )  # fmt: skip
        self.process = subprocess.Popen(
            command, cwd=self._fleet.folder, env=self._fleet.environment, stdout=self._log, stderr=self._log
        )
        self.starts += 1
        asyncio.run(_wait_for(f"{self._fleet.uri}/checkin"))

    def kill(self) -> None:
        self.sample()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def sample(self) -> None:
        """Note the most memory that the process has had (VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status")
        words = [line.split() for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        self.peak_bytes = max(self.peak_bytes, 1024 * int(words[0][1]))

    def stop(self) -> None:
        self.sample()
        self.process.terminate()
        self.process.wait(20)


class Prober:
    """Asks the server for a small thing again and again, and keeps how long each answer took."""

    def __init__(self, uri: str) -> None:
        self.seconds: list[float] = []
        self._uri, self._end = uri, threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join(10)

    async def _run(self) -> None:
        context = await aiocoap.Context.create_client_context()
        while not self._end.is_set():
            begun = time.perf_counter()
            try:
                message = aiocoap.Message(code=aiocoap.GET, uri=self._uri)
                await asyncio.wait_for(context.request(message).response, 5)
                self.seconds.append(time.perf_counter() - begun)
            except (aiocoap.error.Error, TimeoutError):
                pass  # the server is down, which is part of the plan
            await asyncio.sleep(0.05)
        await context.shutdown()


def prepare(fleet: Fleet) -> None:
    """Key, firmware with v1, and the packs v2 and v3; v3 asks for outputs that its model does not give."""
    fleet.tinyops("keys", "generate", "fleet")
    fleet.tinyops(
        "build", DIGITS / "digits.tflite", "--board", "host", "--updatable", "--update-key", "fleet", "-o", "v1"
    )  # fmt: skip
    fleet.tinyops(
        "update", "pack", DIGITS / "v2" / "digits.tflite", "--build", "v1", "--previous", "v1", "--key", "fleet",
        "--sequence", 2, "-o", "v2",
    )  # fmt: skip
    good = read_capsule((fleet.folder / "v2" / "capsule.bin").read_bytes())
    *rest, last = good.golden
    wrong = bytes([last.outputs[0][0] ^ 1]) + last.outputs[0][1:]
    bad = dataclasses.replace(good, golden=(*rest, dataclasses.replace(last, outputs=(wrong,))))
    (fleet.folder / "bad").mkdir()
    (fleet.folder / "bad" / "capsule.bin").write_bytes(bad.encode())
    update = json.loads((fleet.folder / "v1" / "report.json").read_text())["update"]
    (fleet.folder / "bad" / "v3.yaml").write_text(
        f"""
vendor: {update["vendor_id"]}
class: {update["class_id"]}
components: [[model]]
payloads: {{capsule.bin: capsule.bin}}
shared:
  - set-component-index: 0
  - override-parameters:
      vendor-identifier: {update["vendor_id"]}
      class-identifier: {update["class_id"]}
      image-digest: {{file: capsule.bin}}
      image-size: {{file: capsule.bin}}
  - vendor-identifier
  - class-identifier
install:
  - set-component-index: 0
  - override-parameters: {{uri: v3/capsule.bin}}
  - fetch
  - image-match
"""
    )
    fleet.tinyops("update", "pack", "--description", "bad/v3.yaml", "--key", "fleet", "--sequence", 3, "-o", "v3")


def campaign(fleet: Fleet, server: Server, name: str, options: argparse.Namespace, *, kill: bool) -> dict[str, Any]:
    """Roll out the pack `name` and wait for its end; with `kill` the server is killed once in the middle of it."""
    fleet.tinyops(
        "update", "rollout", "create", name, "--name", name, "--canary", _CANARY, "--waves", options.waves,
        "--rollback", "20%", "--success", "80%", "--reports", "80%", "--start",
    )  # fmt: skip
    end = time.monotonic() + options.patience
    killed = not kill
    while time.monotonic() < end:
        server.sample()
        status: dict[str, Any] = fleet.json("update", "rollout", "status", name)
        done = sum(wave["succeeded"] + wave["reverted"] + wave["failed"] for wave in status["waves"])
        if not killed and done > status["devices"] // 5:
            server.kill()
            time.sleep(2)
            server.start()
            killed = True
        if status["state"] != "running":
            return status
        time.sleep(1)
    return status


@contextmanager
def simulated(fleet: Fleet, options: argparse.Namespace) -> Iterator[subprocess.Popen[bytes]]:
    """`tinyops sim` beside what is done in the block; then it is interrupted, and asks every device."""
    command = fleet.command(
        "sim", "v1", "-n", options.devices, "--server", fleet.uri, "--check-in", options.check_in, "--loss", "2%",
        "--duplicates", "1%", "--power-cuts", "10%", "--damage", "1%", "--damage-within", options.damage_within,
        "--infer", options.infer, "--seed", options.seed, "--capsule", "v2", "--capsule", "bad/capsule.bin",
        "--folder", "devices", "--json", "sim.json",
    )  # fmt: skip
    with (fleet.folder / "sim.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=fleet.folder, env=fleet.environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(600)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Both campaigns; the facts of the run."""
    with tempfile.TemporaryDirectory(prefix="tinyops-fleet-") as name:
        fleet = Fleet(Path(name))
        prepare(fleet)
        server = Server(fleet, options.check_in)
        try:
            with simulated(fleet, options):
                _all_there(fleet, options.devices)
                prober = Prober(f"{fleet.uri}/.well-known/core")
                begun = time.monotonic()
                second = campaign(fleet, server, "v2", options, kill=True)
                seconds = time.monotonic() - begun
                third = campaign(fleet, server, "v3", options, kill=False)
                prober.stop()
            fleet.tinyops("audit", "verify")
        finally:
            server.stop()
        simulation = json.loads((fleet.folder / "sim.json").read_text())
    return {
        "devices": options.devices,
        "campaign_seconds": round(seconds, 1),
        "v2": second,
        "v3": third,
        "simulation": simulation,
        "server": {
            "peak_bytes": server.peak_bytes,
            "starts": server.starts,
            "probes": len(prober.seconds),
            "median_ms": round(1000 * statistics.median(prober.seconds), 2),
            "p99_ms": round(1000 * statistics.quantiles(prober.seconds, n=100)[98], 2),
        },
    }


def failures(result: dict[str, Any]) -> list[str]:
    """What is not as it has to be."""
    simulation, server = result["simulation"], result["server"]
    waves = result["v2"]["waves"]
    facts = {
        "every device works": simulation["working"] == result["devices"],
        "every device runs v1 or v2": {group["sequence"] for group in simulation["groups"]} <= {0, 2},
        "campaign v2 has finished": result["v2"]["state"] == "finished",
        "all but the damaged were updated": sum(wave["succeeded"] for wave in waves)
        >= result["devices"] - simulation["damaged"],
        "v3 was paused": result["v3"]["state"] == "paused",
        "v3 reached the canary alone": sum(w["offered"] + w["succeeded"] + w["reverted"] for w in result["v3"]["waves"])
        <= _CANARY,
        "the server was killed and came back": server["starts"] == 2,
        "the server's memory": server["peak_bytes"] < LIMITS["server_bytes"],
        "the server's median": server["median_ms"] < LIMITS["median_ms"],
        "no process ended for another reason than a power cut": simulation["unexpected_ends"] == 0,
    }
    return [name for name, holds in facts.items() if not holds]


def _all_there(fleet: Fleet, devices: int) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if len(fleet.json("device", "list")) >= devices:
            return
        time.sleep(1)
    raise SystemExit("not all devices have checked in")


async def _wait_for(uri: str) -> None:
    context = await aiocoap.Context.create_client_context()
    for _ in range(100):
        try:
            await asyncio.wait_for(context.request(aiocoap.Message(code=aiocoap.GET, uri=uri)).response, 0.5)
            break
        except (aiocoap.error.Error, TimeoutError):
            await asyncio.sleep(0.1)
    await context.shutdown()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--check-in", type=int, default=10, help="seconds")
    parser.add_argument("--infer", type=float, default=1.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--waves", default="5,25,50,100", help="per cent")
    parser.add_argument("--damage-within", type=float, default=200, help="seconds")
    parser.add_argument("--patience", type=float, default=900, help="seconds for one campaign")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = run(options)
    text = json.dumps(result, indent=2)
    if options.json:
        options.json.write_text(text + "\n")
    print(text)
    missed = failures(result)
    print("\n".join(f"not met: {name}" for name in missed) or "all requirements are met", file=sys.stderr)
    raise SystemExit(bool(missed))


if __name__ == "__main__":
    main()
