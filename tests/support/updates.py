"""Updates for tests: keys, capsules of the digits models, signed manifests, a host device with a flash of its own."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tinyops.device.board import find_board
from tinyops.device.build import Build, build_firmware
from tinyops.device.client import DeviceClient
from tinyops.device.link.profile import find_link
from tinyops.device.link.stream import pipe_stream
from tinyops.device.update import UpdateKey, UpdateSettings
from tinyops.emit.capsule import build_capsule, read_capsule
from tinyops.lower.compile import CompiledModel, compile_model
from tinyops.resources import data_dir
from tinyops.suit import MODEL, Delta, Image, UpdateDescription, emit, sign
from tinyops.suit.keys import key_id
from tinyops.suit.manifest import digest_of
from tinyops.suit.registry import Algorithm

DIGITS = data_dir("models") / "digits"
V1, V2 = DIGITS / "digits.tflite", DIGITS / "v2" / "digits.tflite"

Array = np.ndarray[Any, Any]


class TestSigner:
    """An Ed25519 key made of a seed."""

    __test__ = False
    algorithm = Algorithm.ED25519

    def __init__(self, seed: int) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.kid = key_id(self.public)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


#: Provisioned: two signers and a root; OTHER is not.
SIGNER, SECOND, ROOT, OTHER = (TestSigner(seed) for seed in (1, 2, 3, 4))
SETTINGS = UpdateSettings(
    keys=(
        UpdateKey(int(Algorithm.ED25519), SIGNER.public, SIGNER.kid),
        UpdateKey(int(Algorithm.ED25519), SECOND.public, SECOND.kid),
        UpdateKey(int(Algorithm.ED25519), ROOT.public, ROOT.kid, "root"),
    )
)


#: Banks for capsules with many golden vectors.
LARGE = dataclasses.replace(SETTINGS, bank_bytes=256 << 10)
_SANITIZED = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def build_updatable(
    board: str, folder: Path, settings: UpdateSettings = SETTINGS, *, model: Path = V1, sanitized: bool = False
) -> Build:
    """Updatable firmware of the digits model."""
    found = find_board(board)
    if sanitized:
        toolchain = found.toolchain.model_copy(update={"flags": [*found.toolchain.flags, *_SANITIZED]})
        found = found.model_copy(update={"toolchain": toolchain})
    return build_firmware(model, found, folder, name="digits", update=settings)


@functools.cache
def compiled(model: Path = V2) -> CompiledModel:
    return compile_model(model, name="digits", by_structure=True)


@functools.cache
def capsule(model: Path = V2) -> bytes:
    """The capsule of a model with the default golden vectors."""
    return build_capsule(compiled(model))


@functools.cache
def bad_capsule() -> bytes:
    """A capsule whose last golden vector asks for another output than the model gives."""
    read = read_capsule(capsule(V2))
    *rest, last = read.golden
    wrong = bytes([last.outputs[0][0] ^ 1]) + last.outputs[0][1:]
    return dataclasses.replace(read, golden=(*rest, dataclasses.replace(last, outputs=(wrong,)))).encode()


@functools.cache
def long_capsule(vectors: int) -> bytes:
    """A capsule whose self-test takes a while: one golden vector, many times."""
    read = read_capsule(capsule(V2))
    return dataclasses.replace(read, golden=(read.golden[0],) * vectors).encode()


@dataclass(frozen=True)
class Pack:
    """A signed manifest and its payloads by URI."""

    envelope: bytes
    digest: bytes
    payloads: dict[str, bytes]

    def payload(self, uri: str) -> bytes:
        return self.payloads[uri]


def model_image(content: bytes, uri: str = "model.bin", **changes: Any) -> Image:
    values: dict[str, Any] = {"digest": hashlib.sha256(content).digest(), "size": len(content), "uri": uri}
    return Image(MODEL, **(values | changes))


def pack(
    build: Build,
    sequence: int,
    content: bytes | None = None,
    *,
    signers: Sequence[Any] = (SIGNER,),
    images: Sequence[Image] | None = None,
    files: dict[str, bytes] | None = None,
    deltas: Sequence[tuple[str, bytes, bytes]] = (),
    **changes: Any,
) -> Pack:
    """An update to the capsule `content`; `deltas` are (URI, base, delta), `files` further payloads.

    `changes` are to the description.
    """
    assert build.update is not None
    content = capsule() if content is None else content
    if images is None:
        from_bases = tuple(Delta(uri, hashlib.sha256(base).digest(), len(base)) for uri, base, _ in deltas)
        images = [model_image(content, deltas=from_bases)]
    values: dict[str, Any] = {
        "sequence": sequence,
        "vendor": build.update.vendor_id,
        "class_id": build.update.class_id,
        "images": tuple(images),
    }
    unsigned = emit(UpdateDescription(**(values | changes)))
    found = {"model.bin": content, **{uri: delta for uri, _, delta in deltas}, **(files or {})}
    return Pack(sign(unsigned, *signers), digest_of(unsigned.manifest).value, found)


@contextmanager
def host_device(
    build: Build,
    flash: Path | None,
    *options: str,
    console: Callable[[str], None] | None = None,
    block_size: int = 1024,
) -> Iterator[DeviceClient]:
    """The host's firmware with the flash in a file, which stays when the process is killed in the end."""
    flags = ["--flash", str(flash)] if flash else []
    with subprocess.Popen(
        [str(build.elf), *flags, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        link = find_link("serial", block_size)
        client = DeviceClient(pipe_stream(process.stdout, process.stdin), where="host", console=console, link=link)
        try:
            yield client
        finally:
            process.kill()
            client.close()


@functools.cache
def expected(version: int) -> Array:
    """What TFLite Micro makes of the test images: int8[382, 10]."""
    file = DIGITS / "test.npz" if version == 1 else DIGITS / "v2" / "outputs.npz"
    with np.load(file, allow_pickle=False) as arrays:
        outputs: Array = arrays["outputs"]
    return outputs.reshape(-1, 10)


@functools.cache
def images() -> Array:
    with np.load(DIGITS / "test.npz", allow_pickle=False) as arrays:
        inputs: Array = arrays["inputs"]
    return inputs


def mismatches(client: DeviceClient, version: int, count: int = 12) -> int:
    """Output bytes of the first `count` test images that differ from the reference of a version."""
    outputs = np.stack([client.infer([image[None]])[0].reshape(-1) for image in images()[:count]])
    return int((outputs != expected(version)[:count]).sum())
