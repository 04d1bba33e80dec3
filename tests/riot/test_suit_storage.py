"""RIOT's own SUIT module with models in the banks of tinyops_suit_storage: manifests of the dialect riot-legacy, which
RIOT fetches over a network, on native64 with its flash in a file."""

from __future__ import annotations

import hashlib
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.coap_server import FileServer
from tests.support.netns import Device, Faults, TapNetwork
from tests.support.updates import OTHER, SIGNER, V1, V2, bad_capsule, capsule, compiled, expected, images
from tinyops.device.riot.base import RiotBase
from tinyops.device.riot.make import RiotMake
from tinyops.emit.c.riot import MODULE, emit_riot_model
from tinyops.emit.capsule import build_capsule
from tinyops.emit.data_section import lay_out
from tinyops.emit.files import write_files
from tinyops.lower.compile import compile_model
from tinyops.resources import data_dir
from tinyops.suit import FINAL, RIOT_LEGACY, Image, Reason, UpdateDescription, class_uuid, emit, sign, vendor_uuid
from tinyops.suit.registry import Dialect

pytestmark = pytest.mark.riot

APPLICATION = Path(__file__).parent / "suit_storage"
VENDOR, CLASS = "example.com", "sensor"
FLASH_BYTES = 64 << 10
KILLS = 24
#: suit_error_t, and what RIOT's fetching makes of a failure of the storage.
INVALID, UNSUPPORTED, CONDITION, REPLAYED, SIGNATURE, STORAGE = -1, -2, -4, -5, -6, -50
MODEL = (b"model",)


@pytest.fixture(scope="module")
def firmware(riot_base: RiotBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application with the first digits model, for manifests that SIGNER signs."""
    folder = tmp_path_factory.mktemp("riot")
    shutil.copytree(APPLICATION, folder / "app")
    first = compiled(V1)
    data = lay_out(first.program)
    module = emit_riot_model(first.program, data=data, capsule=build_capsule(first, data=data))
    write_files(folder / "modules" / MODULE, module)
    key = Ed25519PublicKey.from_public_bytes(SIGNER.public)
    (folder / "key.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    variables = {
        "FIRMWARE": str(data_dir("firmware")),
        "MODEL": str(folder / "modules"),
        "MEMORY": "tinyops_update_mtd",
        "BINDIRBASE": str(folder / "bin"),
        "SUIT_PUBS": str(folder / "key.pem"),
        "SUIT_VENDOR": VENDOR,
        "SUIT_CLASS": CLASS,
    }
    made = RiotMake(riot_base, folder / "app", "native64").run(
        ["all"], options=["-j2"], variables=variables, seconds=900
    )
    assert made.status == 0, made.output[-4000:]
    return folder / "bin" / "native64" / "suit_storage.elf"


@dataclass
class Sensor:
    """The device, and a server with what it is to fetch."""

    device: Device
    server: FileServer
    signer: Any = SIGNER
    dialect: Dialect = RIOT_LEGACY
    versions: dict[int, int] = field(default_factory=lambda: {0: 1})

    def restart(self) -> None:
        self.device.kill()
        self.device.start()
        self.device.hear("ready")

    def publish(self, sequence: int, content: bytes, **changes: Any) -> str:
        """The URI of the manifest."""
        root = f"coap://[{self.device.network.host_address}]:{self.server.address[1]}"
        image = Image(MODEL, digest=_sha256(content), size=len(content), uri=f"{root}/c{sequence}")
        vendor = vendor_uuid(VENDOR)
        values: dict[str, Any] = {
            "sequence": sequence,
            "vendor": vendor,
            "class_id": class_uuid(vendor, CLASS),
            "images": (image,),
        }
        envelope = sign(emit(UpdateDescription(**(values | changes)), self.dialect), self.signer)
        self.server.files |= {f"m{sequence}": envelope, f"c{sequence}": content}
        return f"{root}/m{sequence}"

    def fetch(self, uri: str) -> int:
        """RIOT's result."""
        self.device.say(f"fetch {uri}")
        return int(self.device.hear("fetched ", 90).split()[-1])

    def update(self, sequence: int, content: bytes, **changes: Any) -> int:
        return self.fetch(self.publish(sequence, content, **changes))

    def infer(self, count: int = 3) -> int:
        """The version whose reference outputs the device computes, bit for bit."""
        found = set()
        for number, image in enumerate(images()[:count]):
            self.device.say(f"infer {image.tobytes().hex()}")
            output = bytes.fromhex(self.device.hear("output ").split()[-2])
            found |= {version for version in (1, 2) if expected(version)[number].tobytes() == output} or {0}
        assert len(found) == 1, "neither the one model nor the other"
        return found.pop()

    def status(self) -> dict[str, int]:
        self.device.say("status")
        words = self.device.hear("status accepted").split()[1:]
        return {name: int(value) for name, _, value in (word.partition("=") for word in words)}


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


@pytest.fixture
def sensor(firmware: Path, tmp_path: Path) -> Iterator[Sensor]:
    (tmp_path / "flash.bin").write_bytes(b"\xff" * FLASH_BYTES)
    with TapNetwork() as network:
        with network.inside():
            server = FileServer(host="::")
        device = Device(network, [firmware, "-m", tmp_path / "flash.bin", network.device_tap], tmp_path)
        with server, device:
            device.hear("ready")
            yield Sensor(device, server)


def test_a_model_comes_by_riot_s_suit_and_stays(sensor: Sensor) -> None:
    assert sensor.infer() == 1
    assert sensor.update(2, capsule(V2)) == 0
    assert sensor.status()["sequence"] == 0, "until the next inference"
    assert sensor.infer() == 2
    status = sensor.status()
    assert (status["accepted"], status["sequence"], status["reason"]) == (2, 2, Reason.OK)
    sensor.restart()
    assert sensor.infer() == 2
    assert sensor.update(3, bad_capsule()) == 0, "RIOT knows nothing of golden vectors"
    assert sensor.infer() == 2
    status = sensor.status()
    assert (status["accepted"], status["sequence"], status["reason"]) == (3, 2, Reason.SELF_TEST)
    assert sensor.update(3, capsule(V1)) == REPLAYED
    assert sensor.update(4, capsule(V1)) == 0
    sensor.restart()
    assert sensor.infer() == 1
    assert sensor.status()["sequence"] == 4


def test_what_riot_refuses(sensor: Sensor) -> None:
    vendor = vendor_uuid(VENDOR)
    assert sensor.update(2, capsule(), vendor=vendor_uuid("other.example")) == CONDITION
    assert sensor.update(3, capsule(), class_id=class_uuid(vendor, "another")) == CONDITION
    sensor.signer = OTHER
    assert sensor.update(4, capsule()) == SIGNATURE
    sensor.signer, sensor.dialect = SIGNER, FINAL
    assert sensor.update(5, capsule()) == INVALID
    status = sensor.status()
    assert (status["accepted"], status["attempt"]) == (0, 0)
    assert sensor.infer() == 1


def _last_block(server: FileServer, sequence: int) -> None:
    """The server gives other bytes than the manifest promises."""
    content = server.files[f"c{sequence}"]
    server.files[f"c{sequence}"] = content[:-1] + bytes([content[-1] ^ 1])


def test_what_the_storage_refuses(sensor: Sensor) -> None:
    uri = sensor.publish(2, capsule())
    _last_block(sensor.server, 2)
    assert sensor.fetch(uri) < 0
    assert sensor.status()["reason"] == Reason.IMAGE_DIGEST
    uri = sensor.publish(3, capsule())
    sensor.server.files["c3"] = capsule()[:6000]
    assert sensor.fetch(uri) < 0
    assert sensor.update(4, compiled_of("motions")) < 0
    assert sensor.status()["reason"] in {Reason.CAPSULE_ABI, Reason.CAPSULE_PLAN}
    assert sensor.update(5, bytes(FLASH_BYTES)) == STORAGE
    assert sensor.status()["reason"] == Reason.SLOT_TOO_SMALL
    del sensor.server.files["c5"]
    assert sensor.infer() == 1
    assert sensor.status()["accepted"] == 0, "a failed update uses up no sequence number"
    assert sensor.update(2, capsule()) == 0
    assert sensor.infer() == 2


def compiled_of(name: str) -> bytes:
    return build_capsule(compile_model(data_dir("models") / name / f"{name}.tflite", name="digits", by_structure=True))


def test_a_component_that_is_not_the_model(sensor: Sensor) -> None:
    for component in ((b"mode", b"l"), (b"models",), (b"m",), (b"firmware",), (b"model", b"model")):
        image = Image(component, digest=_sha256(capsule()), size=len(capsule()), uri="coap://[::1]/c")
        assert sensor.update(2, capsule(), images=(image,)) == UNSUPPORTED
    assert sensor.status()["attempt"] == 0


@pytest.mark.slow
def test_killed_at_random(sensor: Sensor) -> None:
    """A kill loses neither a model nor a sequence number, wherever it is in an update."""
    chance = random.Random(3)
    sensor.device.network.faults = Faults(loss=0.02)
    versions, accepted, confirmed, done = {0: 1}, 0, 0, 0
    for number in range(KILLS):
        sequence = number + 1
        version = 3 - versions[confirmed]
        uri = sensor.publish(sequence, capsule(V1 if version == 1 else V2))
        versions[sequence] = version
        time.sleep(1.5)  # the device's address is tentative before
        sensor.device.say(f"fetch {uri}")
        step = chance.choice(["SUIT policy check OK", "Finalizing payload store", "to be tried", "fetched"])
        sensor.device.hears(step, 10)
        if step == "fetched":
            sensor.device.say(f"infer {images()[0].tobytes().hex()}")
        time.sleep(chance.choice([0, chance.uniform(0, 0.02), chance.uniform(0, 0.3)]))
        sensor.restart()
        status = sensor.status()
        assert status["usable"] == 1
        assert accepted <= status["accepted"] <= sequence
        assert confirmed <= status["sequence"] <= status["accepted"]
        accepted = status["accepted"]
        version = sensor.infer()
        confirmed = sensor.status()["sequence"]
        assert versions[confirmed] == version
        done += confirmed == sequence
    assert 0 < done < KILLS
    assert sensor.update(KILLS + 1, capsule(V1)) == 0
    assert sensor.infer() == 1
