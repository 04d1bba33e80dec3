"""What the storage backend for RIOT's SUIT module refuses, whatever RIOT thinks of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import cbor2
import pytest

from tests.support.riot_suit_storage import (
    BANK,
    DIGEST,
    EXCEEDED,
    FORBIDDEN,
    INVALID,
    OK,
    POLICY,
    SEQUENCE,
    SIGNATURE,
    STORAGE,
    V1_DIGEST,
    Storage,
    capsule,
    is_erased,
    library,
    manifest_of,
    other_capsule,
)
from tests.support.storage import State
from tests.support.updates import V1
from tinyops.suit import Reason

GOOD = hashlib.sha256(capsule()).digest()


REFUSED: dict[str, tuple[int, Reason, dict[str, Any]]] = {
    "not authentic": (SIGNATURE, Reason.NO_AUTHENTICATION, {"state": 0}),
    "its digest was not compared": (SIGNATURE, Reason.NO_AUTHENTICATION, {"state": 2}),
    "only compared": (SIGNATURE, Reason.NO_AUTHENTICATION, {"state": 4}),
    "no payload": (SIGNATURE, Reason.NO_AUTHENTICATION, {"payload": b""}),
    "short payload": (SIGNATURE, Reason.NO_AUTHENTICATION, {"payload": cbor2.dumps([2, bytes(31)])}),
    "other algorithm": (SIGNATURE, Reason.NO_AUTHENTICATION, {"payload": cbor2.dumps([3, bytes(32)])}),
    "vendor not checked": (FORBIDDEN, Reason.IDENTITY_UNCHECKED, {"validated": POLICY & ~8}),
    "class not checked": (FORBIDDEN, Reason.IDENTITY_UNCHECKED, {"validated": POLICY & ~16}),
    "sequence not checked": (FORBIDDEN, Reason.IDENTITY_UNCHECKED, {"validated": POLICY & ~4}),
    "the factory's sequence": (SEQUENCE, Reason.SEQUENCE_REPLAYED, {"sequence": 1}),
    "sequence 0": (SEQUENCE, Reason.SEQUENCE_REPLAYED, {"sequence": 0}),
    "no digest": (INVALID, Reason.PARAMETER_MISSING, {"digest": None}),
    "digest of 31 bytes": (INVALID, Reason.PARAMETER_MALFORMED, {"digest": GOOD[:31]}),
    "digest of 33 bytes": (INVALID, Reason.PARAMETER_MALFORMED, {"digest": GOOD + b"\0"}),
    "empty digest": (INVALID, Reason.PARAMETER_MALFORMED, {"digest": b""}),
    "SHA-384": (INVALID, Reason.PARAMETER_MALFORMED, {"item": cbor2.dumps(cbor2.dumps([3, GOOD]))}),
    "three items": (INVALID, Reason.PARAMETER_MALFORMED, {"item": cbor2.dumps(cbor2.dumps([2, GOOD, 0]))}),
    "one item": (INVALID, Reason.PARAMETER_MALFORMED, {"item": cbor2.dumps(cbor2.dumps([2]))}),
    "not wrapped": (INVALID, Reason.PARAMETER_MALFORMED, {"item": cbor2.dumps([2, GOOD])}),
    "more than it claims": (INVALID, Reason.PARAMETER_MALFORMED, {"item": b"\x58\x24\x82\x02\x58\x20" + GOOD[:31]}),
    "of 2^64 - 1 bytes": (INVALID, Reason.PARAMETER_MALFORMED, {"item": b"\x5b" + b"\xff" * 8}),
    "behind the last component": (STORAGE, Reason.COMPONENT_UNKNOWN, {"current": 1}),
    "component 200": (STORAGE, Reason.COMPONENT_UNKNOWN, {"current": 200}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_manifests_that_bring_nothing(name: str) -> None:
    result, reason, changes = REFUSED[name]
    storage = Storage()
    manifest_of(storage, **changes)
    before = storage.call("operations")
    assert storage.start(len(capsule())) == result
    assert storage.status.reason == reason
    assert storage.write(capsule()[:64]) == STORAGE
    assert storage.call("finish") == STORAGE
    assert storage.call("install") == result
    assert storage.read(0, 64) == (EXCEEDED, bytes(64))
    storage.call("done", OK)
    assert storage.call("operations") == before
    manifest_of(storage)
    assert storage.start(len(capsule())) == OK


@pytest.mark.parametrize("size", [BANK + 1, 1 << 32, (1 << 64) - 1, 0])
def test_sizes_that_no_bank_has(size: int) -> None:
    storage = Storage()
    manifest_of(storage)
    assert storage.start(size) == EXCEEDED
    assert storage.status.reason in {Reason.SLOT_TOO_SMALL, Reason.IMAGE_SIZE}
    assert storage.call("operations") == 0


def test_another_backend_s_component() -> None:
    storage = Storage()
    manifest_of(storage)
    library(0).tool_of_other_backend()
    assert storage.start(len(capsule())) == STORAGE


WRONG: dict[str, tuple[Callable[[], bytes], int, Reason]] = {
    "one bit": (lambda: capsule()[:500] + bytes([capsule()[500] ^ 1]) + capsule()[501:], DIGEST, Reason.IMAGE_DIGEST),
    "the last byte": (lambda: capsule()[:-1] + bytes([capsule()[-1] ^ 1]), DIGEST, Reason.IMAGE_DIGEST),
    "another capsule": (lambda: capsule(V1), DIGEST, Reason.IMAGE_DIGEST),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_image_of_another_digest_is_erased(name: str) -> None:
    make, result, reason = WRONG[name]
    content = make()[: len(capsule())].ljust(len(capsule()), b"\0")
    storage = Storage()
    manifest_of(storage)
    assert storage.fetch(content) == result
    assert storage.call("install") == result, "whatever RIOT found"
    assert storage.shown() == (1, 1, State.REVERTED, reason)
    assert is_erased(storage, 0)
    assert storage.call("poll") == 0
    assert storage.model == V1_DIGEST
    assert storage.update(2, capsule()) == OK, "the sequence number was not used up"


FOREIGN: dict[str, tuple[Callable[[], bytes], Reason]] = {
    "a model of other kernels": (other_capsule, Reason.CAPSULE_ABI),
    "no capsule": (lambda: bytes(5000), Reason.CAPSULE_MALFORMED),
    "a header": (lambda: capsule()[:100], Reason.TRUNCATED),
    "half": (lambda: capsule()[:5000], Reason.TRUNCATED),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_signed_images_that_are_no_model_for_this_firmware(name: str) -> None:
    make, reason = FOREIGN[name]
    storage = Storage()
    assert storage.update(2, make()) == STORAGE
    assert storage.shown() == (1, 1, State.REVERTED, reason)
    assert is_erased(storage, 0)
