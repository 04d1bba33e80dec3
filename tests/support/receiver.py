"""The device's SUIT receiver and its cryptography as host programs under sanitizers, and manifests to feed them."""

from __future__ import annotations

import functools
import hashlib
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tinyops.device.crypto import ALGORITHMS, CryptoSources, crypto_sources
from tinyops.errors import MissingToolError
from tinyops.resources import data_dir
from tinyops.suit.reasons import Reason

FIRMWARE = data_dir("firmware")
TESTS = Path(__file__).resolve().parent.parent / "firmware"
REASONS = {reason.value: reason for reason in Reason}
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror")
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_RECEIVER = ("to_aes", "to_cbor_read", "to_cose*", "to_ed25519", "to_hmac", "to_hsslms", "to_p256", "to_sha256")


def receiver_sources() -> list[Path]:
    """The receiver's files of firmware/common."""
    folder = FIRMWARE / "common" / "src"
    return [path for name in (*_RECEIVER, "to_suit*") for path in sorted(folder.glob(f"{name}.c"))]


def libraries(algorithms: Iterable[str]) -> CryptoSources:
    """The libraries for `algorithms`; the test is skipped where a program that brings them is not installed."""
    try:
        return crypto_sources(algorithms)
    except MissingToolError as error:
        pytest.skip(str(error))


def run(command: Sequence[str | Path]) -> None:
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def build_program(
    source: Path,
    program: Path,
    *,
    cc: str,
    flags: Sequence[str] = SANITIZERS,
    algorithms: Iterable[str] = ALGORITHMS,
    without: Sequence[str] = (),
) -> Path:
    """`source` with the receiver and the libraries for `algorithms`; warnings of our own code are errors.

    `without` names files of the receiver that `source` stands for.
    """
    crypto = libraries(algorithms)
    folder = program.parent / f"{program.name}.objects"
    folder.mkdir(parents=True)
    include = [f"-I{path}" for path in (FIRMWARE / "common" / "include", *crypto.include_dirs)]
    objects = []
    receiver = [path for path in receiver_sources() if path.stem not in without]
    for number, path in enumerate((source, *receiver, *crypto.sources)):
        own = crypto.source_cflags if path in crypto.sources else WARNINGS
        objects.append(folder / f"{number}.o")
        run([cc, *own, *flags, *crypto.cflags, *include, "-c", path, "-o", objects[-1]])
    run([cc, *flags, *objects, "-o", program])
    return program


@functools.cache
def host_program(name: str) -> Path:
    """`suit_check` or `crypto_check`, built once for all tests of a process."""
    cc = shutil.which("clang") or shutil.which("cc") or pytest.skip("no C compiler is installed")
    folder = Path(tempfile.mkdtemp(prefix="tinyops-receiver-"))
    source = FIRMWARE / "tools" / "suit_check.c" if name == "suit_check" else TESTS / f"{name}.c"
    return build_program(source, folder / name, cc=cc)


Request = Sequence[str | bytes | int]


def request_line(request: Request) -> str:
    """A line for crypto_check: the first item is the function, integers are two bytes."""
    name, *arguments = request
    words = [argument.to_bytes(2, "big") if isinstance(argument, int) else argument for argument in arguments]
    return " ".join([str(name), *(word.hex() or "-" for word in words if isinstance(word, bytes))])


def read_answers(text: str) -> list[tuple[Reason, bytes]]:
    answers = [line.split(" ") for line in text.splitlines()]
    return [(REASONS[int(code)], bytes.fromhex(out)) for code, out in answers]


def ask(*requests: Request) -> list[tuple[Reason, bytes]]:
    """What crypto_check answers."""
    lines = [request_line(request) for request in requests]
    result = subprocess.run(
        [str(host_program("crypto_check"))], input="\n".join(lines) + "\n", capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-4000:]
    answers = read_answers(result.stdout)
    assert len(answers) == len(requests)
    return answers


VENDOR, CLASS, DEVICE = (hashlib.sha256(name).digest()[:16] for name in (b"vendor", b"class", b"device"))
URI = "coap://host/model"
ED25519, ESP256, HSS_LMS, HMAC_256, A128KW, ECDH_ES = -19, -9, -46, 5, -3, -29
SIGNER, ROOT, DECRYPT_ROLE = 1, 2, 4


def dumps(item: Any) -> bytes:
    return cbor2.dumps(item)


def bstr(item: Any) -> bytes:
    """The item's encoding, as the content of a byte string."""
    return dumps(item)


def digest_of(data: bytes) -> bytes:
    """SUIT_Digest."""
    return dumps([-16, hashlib.sha256(data).digest()])


@dataclass
class Signer:
    """An Ed25519 key that signs; `alg` and `kid` are what it writes into the header."""

    seed: int = 1
    alg: Any = ED25519
    kid: bytes | None = None
    with_kid: bool = True

    def __post_init__(self) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"key %d" % self.seed).digest())
        self.public = self.key.public_key().public_bytes_raw()
        if self.kid is None:
            self.kid = hashlib.sha256(self.public).digest()[:8]

    def option(self, roles: int = SIGNER, *, revoked: bool = False, algorithm: int = ED25519) -> list[str]:
        assert self.kid is not None
        text = f"{self.kid.hex()}:{algorithm}:{roles}:{self.public.hex()}"
        return ["--key", text + (":revoked" if revoked else "")]

    def headers(self) -> tuple[bytes, dict[Any, Any]]:
        return dumps({1: self.alg}), {4: self.kid} if self.with_kid else {}

    def sign(self, payload: bytes) -> Any:
        """COSE_Sign1 over a detached payload."""
        protected, unprotected = self.headers()
        signature = self.key.sign(dumps(["Signature1", protected, b"", payload]))
        return cbor2.CBORTag(18, [protected, unprotected, None, signature])


SIGN = Signer()


def envelope(
    manifest: Any,
    *,
    blocks: Any = None,
    signer: Any = SIGN,
    payload: bytes | None = None,
    members: dict[Any, Any] | None = None,
    tag: int | None = 107,
) -> bytes:
    """A signed envelope around a manifest (a map, or bytes), with more `members` after it."""
    encoded = manifest if isinstance(manifest, bytes) else dumps(manifest)
    digest = payload if payload is not None else digest_of(dumps(encoded))
    items = [dumps(signer.sign(digest))] if blocks is None else blocks
    content = {2: dumps([digest, *items]), 3: encoded, **(members or {})}
    return dumps(content if tag is None else cbor2.CBORTag(tag, content))


IMAGE = b"an image of the model that is not very long"


def parameters(image: bytes = IMAGE, **more: Any) -> dict[int, Any]:
    return {1: VENDOR, 2: CLASS, 3: digest_of(image), 14: len(image)}


def shared(*commands: Any, image: bytes = IMAGE) -> list[Any]:
    """The usual shared sequence: parameters, vendor, class, and more."""
    return [20, parameters(image), 1, 15, 2, 15, *commands]


def common(sequence: Any, components: Any = ((b"model",),)) -> dict[int, Any]:
    return {2: [list(one) if isinstance(one, tuple) else one for one in components], 4: dumps(sequence)}


FETCH: list[Any] = [20, {21: URI}, 21, 2, 3, 15]


def manifest(
    install: Any = FETCH,
    *,
    sequence: Any = 2,
    version: Any = 1,
    shared_sequence: Any = None,
    components: Any = ((b"model",),),
    more: dict[int, Any] | None = None,
) -> dict[int, Any]:
    """A manifest that installs the model."""
    content: dict[int, Any] = {
        1: version,
        2: sequence,
        3: dumps(common(shared() if shared_sequence is None else shared_sequence, components)),
    }
    if install is not None:
        content[20] = dumps(install)
    content.update(more or {})
    return dict(sorted(content.items()))


@dataclass
class Outcome:
    """A line of suit_check."""

    reason: Reason
    sequence: int | None
    signer: int | None
    actions: list[str]


def component_option(
    name: bytes, *, capacity: int = 100000, counter: int = 0, roles: int = SIGNER, image: bytes | None = None
) -> list[str]:
    text = f"{dumps([name]).hex()}:{VENDOR.hex()}:{CLASS.hex()}:{capacity}:{counter}:{roles}"
    return ["--component", text + (f":{image.hex()}" if image is not None else "")]


@dataclass
class Receiver:
    """The receiver with a set of options; the defaults are a device with a model and three more components."""

    options: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=SIGN.option)
    components: list[str] = field(
        default_factory=lambda: [
            *component_option(b"model", image=b"old model"),
            *component_option(b"firmware", counter=2, image=b"old firmware"),
            *component_option(b"keys", counter=1, roles=ROOT),
            *component_option(b"spare", capacity=64, counter=3),
        ]
    )
    sequences: list[str] = field(default_factory=lambda: ["--sequence", "0:1"])
    payloads: dict[str, bytes] = field(default_factory=lambda: {URI: IMAGE})

    def run(self, *envelopes: bytes) -> list[Outcome]:
        command = [str(host_program("suit_check")), *self.keys, *self.components, *self.sequences, *self.options]
        for uri, content in self.payloads.items():
            command += ["--payload", f"{uri}:{content.hex()}"]
        data = b"".join(struct.pack(">I", len(one)) + one for one in envelopes)
        result = subprocess.run(command, input=data, capture_output=True, check=False)
        assert result.returncode == 0, result.stderr.decode()[-4000:]
        lines = [line.split(" ") for line in result.stdout.decode().splitlines()]
        assert len(lines) == len(envelopes)
        return [
            Outcome(REASONS[int(code)], None if seq == "-" else int(seq), None if by == "-" else int(by), actions)
            for code, seq, by, *actions in lines
        ]

    def one(self, data: bytes) -> Outcome:
        return self.run(data)[0]

    def reason(self, data: bytes) -> Reason:
        return self.one(data).reason
