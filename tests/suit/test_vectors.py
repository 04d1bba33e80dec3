"""The examples of the specifications: they parse, verify, and are encoded again byte for byte.

The vectors are read from ../shared (or TINYOPS_SHARED) where they are; `_equivalents` are manifests of our own of the
same shapes, which are tested everywhere.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.support.suit import CLASS, ES256, MAC, SIGNER, VENDOR, TestSigner, digest, shared_vectors
from tinyops.suit import FINAL, Algorithm, Envelope, LanguageTexts, Manifest, sign
from tinyops.suit.commands import (
    AnyCommand,
    Condition,
    Digest,
    Directive,
    RunSequence,
    SetComponentIndex,
    SetParameters,
    TryEach,
    VersionMatch,
    decode_sequence,
)
from tinyops.suit.cose import parse
from tinyops.suit.describe import describe
from tinyops.suit.emit import Unsigned
from tinyops.suit.encryption import decrypt
from tinyops.suit.keys import Key, Role
from tinyops.suit.manifest import Texts, digest_of
from tinyops.suit.registry import Command, Parameter, Section, VersionComparison

_MANIFESTS = shared_vectors() / "manifest"
_ENCRYPTED = shared_vectors() / "encryption"
# The draft's secrets: 16 and 32 times "a", and the receiver's private key.
_KEYS = (
    Key(Algorithm.A128KW, b"a" * 16, b"kid-1", Role.DECRYPT),
    Key(
        Algorithm.ECDH_ES_A128KW,
        bytes.fromhex("60fe6dd6d85d5740a5349b6f91267eeac5ba81b8cb53ee249e4b4eb102c476b3"),
        b"kid-2",
        Role.DECRYPT,
    ),
)
_MAC_KEY = Key(Algorithm.HMAC_256, b"a" * 32, b"")
_PLAINTEXT = b"This is a real firmware image."
# The signature of this example is over an earlier text of it; the manifest inside of it verifies.
_STALE = "suit-manifest-es-ecdh-dependency"


def _hex(path: Path) -> bytes:
    return bytes.fromhex("".join(path.read_text(encoding="ascii").split()))


def _examples() -> list[tuple[str, bytes]]:
    found = []
    for path in sorted(_MANIFESTS.glob("example*.txt")):
        blocks = re.findall(r"~~~\n([0-9a-f\n]+)~~~", path.read_text(encoding="utf-8"))
        found += [
            (f"{path.stem}-{number}", bytes.fromhex(text.replace("\n", ""))) for number, text in enumerate(blocks)
        ]
    return found + [(path.name.split(".")[0], _hex(path)) for path in sorted(_ENCRYPTED.glob("*.hex.signed"))]


def _ietf_key() -> Key:
    private = load_pem_private_key((_MANIFESTS / "private_key.pem").read_bytes(), None)
    assert isinstance(private, EllipticCurvePrivateKey)
    point = private.public_key().public_numbers()
    return Key(Algorithm.ESP256, point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big"), b"")


def _target(data: bytes) -> dict[int, object]:
    return {Parameter.IMAGE_DIGEST: Digest(digest(data)), Parameter.IMAGE_SIZE: len(data)}


def _equivalents() -> dict[str, tuple[Manifest, dict[Section, bytes]]]:
    identity = {Parameter.VENDOR_IDENTIFIER: VENDOR.bytes, Parameter.CLASS_IDENTIFIER: CLASS.bytes}
    checks: tuple[AnyCommand, ...] = (
        Condition(Command.VENDOR_IDENTIFIER),
        Condition(Command.CLASS_IDENTIFIER),
    )
    match = Condition(Command.IMAGE_MATCH)
    simple = (SetParameters({**identity, **_target(b"image")}), *checks)
    fetch: tuple[AnyCommand, ...] = (
        SetParameters({Parameter.URI: "http://example.com/file.bin"}),
        Directive(Command.FETCH, 2),
        match,
    )

    def slots(*values: dict[int, object]) -> TryEach:
        return TryEach(
            tuple(
                (
                    SetParameters({Parameter.COMPONENT_SLOT: slot}),
                    Condition(Command.COMPONENT_SLOT, 5),
                    SetParameters(value),
                )
                for slot, value in enumerate(values)
            )
        )

    texts = Texts({"en-US": LanguageTexts({1: "description"}, {(b"\x00",): {3: "example.com", 5: "a demonstration"}})})
    severed_install = Manifest(2, ((b"\x00",),), sequences={Section.INSTALL: fetch}).plain()[Section.INSTALL]
    install, validate, invoke = Section.INSTALL, Section.VALIDATE, Section.INVOKE
    run: tuple[AnyCommand, ...] = (Directive(Command.INVOKE, 2),)
    return {
        "secure boot": (Manifest(0, ((b"\x00",),), simple, {validate: (match,), invoke: run}), {}),
        "download": (Manifest(1, ((b"\x00",),), simple, {validate: (match,), install: fetch}), {}),
        "severed": (
            Manifest(
                2,
                ((b"\x00",),),
                simple,
                {validate: (match,), invoke: run, install: digest_of(severed_install)},
                reference_uri="https://example.com/m",
                text=digest_of(texts.encode()),
            ),
            {Section.INSTALL: severed_install, Section.TEXT: texts.encode()},
        ),
        "a and b": (
            Manifest(
                3,
                ((b"\x00",),),
                (SetParameters(identity), slots(_target(b"a"), _target(b"bb")), *checks),
                {
                    validate: (match,),
                    install: (slots({Parameter.URI: "http://a"}, {Parameter.URI: "http://b"}), *fetch[1:]),
                },
            ),
            {},
        ),
        "load": (
            Manifest(
                4,
                ((b"\x00",), (b"\x02",), (b"\x01",)),
                (SetComponentIndex(0), *simple),
                {
                    validate: (SetComponentIndex(True), match),
                    Section.LOAD: (
                        SetComponentIndex(2),
                        SetParameters({Parameter.SOURCE_COMPONENT: 0, Parameter.SOFT_FAILURE: False}),
                        Directive(Command.COPY, 2),
                    ),
                    Section.PAYLOAD_FETCH: (SetComponentIndex((0, 1)), *fetch),
                    install: (RunSequence((SetComponentIndex(0), Directive(Command.SWAP))),),
                },
            ),
            {},
        ),
        "update management": (
            Manifest(
                5,
                ((b"model",), (b"a", b"b")),
                (
                    SetComponentIndex(0),
                    SetParameters(
                        {
                            Parameter.USE_BEFORE: 1 << 33,
                            Parameter.VERSION: VersionMatch(VersionComparison.GREATER_EQUAL, (1, 2, -2)),
                            -257: [1, "custom"],
                        }
                    ),
                    Condition(Command.USE_BEFORE),
                    Condition(Command.VERSION),
                ),
                {install: (SetComponentIndex(0), TryEach((fetch, None)))},
                component_id=(b"main",),
                set_version=(1, 3, -1, 4),
                coswid=b"\xa0",
                text=texts,
                dependencies={1: (b"other",), 2: None},
            ),
            {},
        ),
    }


@pytest.mark.parametrize("name", _equivalents())
@pytest.mark.parametrize("signer", [SIGNER, ES256, MAC], ids=["ed25519", "esp256", "hmac"])
def test_manifests_of_every_shape_round_trip_and_verify(name: str, signer: TestSigner) -> None:
    manifest, severed = _equivalents()[name]
    data = sign(Unsigned(manifest.encode(), FINAL, severed, {"#payload": b"bytes"}), signer)
    envelope = Envelope.decode(data)
    assert envelope.encode() == data
    assert envelope.model() == manifest
    assert envelope.model().encode() == envelope.manifest
    assert envelope.severed == severed
    (block,) = [part for item in envelope.blocks() for part in parse(item)]
    assert signer.key().verify(block.to_be_signed(envelope.authentication[0]), block.signature)
    table = describe(data, [signer.key()])
    assert (table["verdict"], table["sequence"]) == ("authentic", manifest.sequence_number)
    assert describe(envelope.without(*severed).encode(), [signer.key()])["verdict"] == "authentic"


@pytest.mark.parametrize(("name", "data"), _examples(), ids=[name for name, _ in _examples()])
def test_the_examples_of_the_drafts_round_trip_and_verify(name: str, data: bytes) -> None:
    envelope = Envelope.decode(data)
    assert envelope.encode() == data
    assert envelope.model().encode() == envelope.manifest
    assert envelope.digest() == digest_of(envelope.manifest)
    model = envelope.model()
    for section, content in envelope.severed.items():
        member = model.text if section is Section.TEXT else model.sequences[section]
        assert member == digest_of(content)
        if section is not Section.TEXT:
            decode_sequence(content)
    for message in envelope.blocks():
        for block in parse(message):
            key = _MAC_KEY if block.algorithm == Algorithm.HMAC_256 else _ietf_key()
            good = key.verify(block.to_be_signed(envelope.authentication[0]), block.signature)
            assert good == (name != _STALE)
    for payload in envelope.payloads.values():
        assert describe(payload, [_ietf_key()])["verdict"] == "authentic"


@pytest.mark.parametrize(
    "path", sorted(_ENCRYPTED.glob("encrypted-payload-*.hex")), ids=[p.stem for p in sorted(_ENCRYPTED.glob("e*.hex"))]
)
def test_the_encrypted_examples_decrypt(path: Path) -> None:
    info = _hex(path.with_name(path.name.replace("encrypted-payload", "suit-encryption-info")))
    assert decrypt(_hex(path), info, _KEYS) == _PLAINTEXT


@pytest.mark.parametrize(
    ("name", "data"),
    [example for example in _examples() if example[0].startswith("suit-manifest")],
    ids=[name for name, _ in _examples() if name.startswith("suit-manifest")],
)
def test_the_manifests_with_encrypted_content_carry_what_decrypts(name: str, data: bytes) -> None:
    found = 0
    for command in Envelope.decode(data).model().sequences[Section.INSTALL]:  # type: ignore[union-attr]
        if isinstance(command, SetParameters) and Parameter.ENCRYPTION_INFO in command.values:
            content = command.values.get(Parameter.CONTENT, _hex(_ENCRYPTED / "encrypted-payload-aes-kw-aes-gcm.hex"))
            assert decrypt(content, command.values[Parameter.ENCRYPTION_INFO], _KEYS) == _PLAINTEXT
            found += 1
    assert found == 1
