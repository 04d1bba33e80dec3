"""Signed updates end to end: a running device gets a new model, refuses what it must, and says why."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.update_devices import StopError, push, refused, settle, start, stop_at_once
from tests.support.updates import (
    OTHER,
    ROOT,
    SETTINGS,
    V1,
    V2,
    Pack,
    bad_capsule,
    capsule,
    mismatches,
    model_image,
    pack,
)
from tinyops.device.build import Build
from tinyops.device.update_client import UpdateClient, UpdateError
from tinyops.emit.capsule import build_capsule, read_capsule
from tinyops.lower.compile import compile_model
from tinyops.resources import data_dir
from tinyops.suit import Image, Reason, cbor
from tinyops.update.delta import encode_delta

HEALTH = SETTINGS.health_window


def test_v2_runs_and_a_bad_v3_is_undone(board: Build) -> None:
    heard: list[str] = []
    with start(board, heard.append) as client:
        updates = UpdateClient(client)
        assert mismatches(client, 1) == 0
        name, digest = client.info().model, client.info().digest
        result = push(client, pack(board, 2))
        assert (result.new, result.resumed, result.sent) == (True, False, len(capsule(V2)))
        assert (result.state.state, result.state.sequence, result.state.health) == ("trial", 2, HEALTH)
        assert result.state.model == hashlib.sha256(capsule(V2)).digest()
        assert (client.info().model, client.info().digest) == (name, hashlib.sha256(V2.read_bytes()).digest())
        assert client.info().digest != digest
        assert mismatches(client, 2, HEALTH - 1) == 0
        assert updates.state().state == "trial"
        assert mismatches(client, 2, 1) == 0
        state = updates.state()
        assert (state.state, state.outcome, state.accepted, state.attempt) == ("idle", Reason.OK, 2, 2)
        assert mismatches(client, 2, 382 if board.board.name == "host" else 40) == 0

        assert refused(client, pack(board, 3, bad_capsule())) is Reason.SELF_TEST
        assert mismatches(client, 2) == 0
        state = updates.state()
        assert (state.sequence, state.accepted, state.attempt, state.reverted) == (2, 3, 3, 1)
        status = updates.status()
        assert (status["state"], status["reason"], status["sequence"]) == ("idle", "self-test", 2)
        assert refused(client, pack(board, 3)) is Reason.SEQUENCE_REPLAYED
        assert refused(client, pack(board, 1, capsule(V1))) is Reason.SEQUENCE_REPLAYED, "a downgrade"
        assert push(client, pack(board, 4, capsule(V1))).state.state == "trial"
        assert mismatches(client, 1) == 0
    said = "".join(heard)
    for text in (
        "update: self-test passed, on trial: digits, sequence 2",
        "update: confirmed: digits, sequence 2",
        "update: golden vector 3, output 0: value 0 differs",
        "update: the new model is undone: self-test",
        "update: manifest refused: sequence-replayed",
    ):
        assert text in said


def test_the_report_is_a_suit_report(board: Build) -> None:
    with start(board) as client:
        updates = UpdateClient(client)
        assert updates.report() is None
        update = pack(board, 2, reference_uri="coap://example.com/m/2")
        push(client, update)
        report: Any = cbor.decode(updates.report() or b"")
        assert report[99] == ["coap://example.com/m/2", [-16, update.digest]]
        assert report[4][7] == 12, "the outcome of the trial is not known yet"
        mismatches(client, 2, HEALTH)
        report = cbor.decode(updates.report() or b"")
        assert report[4] is True
        (claims,) = report[3]
        assert claims[0] == [b"model"]
        assert cbor.decode(claims[3]) == [-16, hashlib.sha256(capsule(V2)).digest()]
        refused(client, pack(board, 3, class_id=uuid.uuid4()))
        report = cbor.decode(updates.report() or b"")
        assert (report[4][5], report[4][7]) == (Reason.CLASS_MISMATCH, 10)
        assert report[4][6][:4] == [[], 3, report[4][6][2], 0], (
            "in the shared sequence (a part of common), at component 0"
        )


def test_sizes(board: Build) -> None:
    """What updates take on Cortex-M4: 24 KiB of flash and 8 KiB of RAM, with the stack, beside the cryptography."""
    code = board.report["update"]["code"]
    assert code["own_ram_bytes"] > 2000
    if board.board.name != "qemu-cortex-m4":
        return
    assert 16 << 10 < code["own_flash_bytes"] <= 24 << 10
    with start(board) as client:
        push(client, pack(board, 2, reference_uri="coap://example.com/m/2"))
        assert mismatches(client, 2, HEALTH) == 0
        refused(client, pack(board, 3, signers=[OTHER]))
        assert code["own_ram_bytes"] + client.profile().stack_bytes_used <= 8 << 10


def flipped(update: Pack, at: int) -> Pack:
    envelope = bytearray(update.envelope)
    envelope[at] ^= 1
    return Pack(bytes(envelope), update.digest, update.payloads)


def with_payload(update: Pack, content: bytes) -> Pack:
    return Pack(update.envelope, update.digest, dict.fromkeys(update.payloads, content))


def motions_capsule() -> bytes:
    model = data_dir("models") / "motions" / "motions.tflite"
    return build_capsule(compile_model(model, name="digits", by_structure=True))


def changed_capsule(**changes: Any) -> bytes:
    return replace(read_capsule(capsule()), **changes).encode()


def of_other_board(build: Build) -> Pack:
    assert build.update is not None
    return pack(build, 2, class_id=uuid.uuid5(build.update.vendor_id, "another-board|0|digits"))


_Make = Callable[[Build], Pack]
REFUSALS: dict[str, tuple[Reason, _Make]] = {
    "wrong key": (Reason.UNKNOWN_KEY, lambda build: pack(build, 2, signers=[OTHER])),
    "broken signature": (Reason.BAD_SIGNATURE, lambda build: flipped(pack(build, 2), 75)),
    "changed manifest": (Reason.MANIFEST_DIGEST, lambda build: flipped(pack(build, 2), -10)),
    "root key": (Reason.UNAUTHORIZED, lambda build: pack(build, 2, signers=[ROOT])),
    "other vendor": (Reason.VENDOR_MISMATCH, lambda build: pack(build, 2, vendor=uuid.uuid4())),
    "other board": (Reason.CLASS_MISMATCH, of_other_board),
    "other device": (Reason.DEVICE_MISMATCH, lambda build: pack(build, 2, device=uuid.uuid4())),
    "expires, no clock": (Reason.NO_CLOCK, lambda build: pack(build, 2, use_before=4_000_000_000)),
    "large envelope": (Reason.TOO_LARGE, lambda build: Pack(pack(build, 2).envelope + bytes(1024), b"", {})),
    "truncated envelope": (
        Reason.TRUNCATED,
        lambda build: Pack(pack(build, 2).envelope[:-7], pack(build, 2).digest, {}),
    ),
    "large model": (
        Reason.SLOT_TOO_SMALL,
        lambda build: pack(build, 2, bytes(1 << 20)),
    ),
    "truncated payload": (Reason.IMAGE_SIZE, lambda build: with_payload(pack(build, 2), capsule()[:-1])),
    "empty payload": (Reason.IMAGE_SIZE, lambda build: with_payload(pack(build, 2), b"")),
    "long payload": (Reason.IMAGE_SIZE, lambda build: with_payload(pack(build, 2), capsule() + b"\0")),
    "changed payload": (
        Reason.IMAGE_DIGEST,
        lambda build: with_payload(pack(build, 2), capsule()[:-20] + b"\1" + capsule()[-19:]),
    ),
    "other kernels": (Reason.CAPSULE_ABI, lambda build: pack(build, 2, motions_capsule())),
    "other structure": (Reason.CAPSULE_PLAN, lambda build: pack(build, 2, changed_capsule(plan=bytes(32)))),
    "no golden vectors": (Reason.CAPSULE_GOLDEN_MISSING, lambda build: pack(build, 2, changed_capsule(golden=()))),
    "no capsule": (Reason.CAPSULE_MALFORMED, lambda build: pack(build, 2, bytes(2000))),
    "capsule cut short": (Reason.TRUNCATED, lambda build: pack(build, 2, capsule()[:-16])),
    "delta for another base": (
        Reason.DELTA_BASE,
        lambda build: with_payload(pack(build, 2), encode_delta(capsule(V2)[:-16] + bytes(16), capsule(V2))),
    ),
    "delta that claims much": (
        Reason.IMAGE_SIZE,
        lambda build: with_payload(pack(build, 2), huge_delta(build)),
    ),
    "malformed delta": (
        Reason.DELTA_MALFORMED,
        lambda build: with_payload(pack(build, 2), encode_delta(factory(build), capsule(V2))[:-4]),
    ),
    "unknown component": (
        Reason.COMPONENT_UNKNOWN,
        lambda build: pack(build, 2, images=[Image((b"radio",), bytes(32), 5, uri="r.bin")]),
    ),
}


def factory(build: Build) -> bytes:
    assert build.update is not None
    return build.update.capsule


def huge_delta(build: Build) -> bytes:
    delta = bytearray(encode_delta(factory(build), capsule(V2)))
    delta[12:16] = (0xFFFFFFFF).to_bytes(4, "little")
    return bytes(delta)


def test_refusals(board: Build) -> None:
    """Each on its own: coded, and the device runs on as if nothing had been."""
    with start(board) as client:
        for number, (name, (reason, make)) in enumerate(REFUSALS.items()):
            assert refused(client, make(board)) is reason, name
            if number % 2:
                settle(client, board)
        settle(client, board)
        assert mismatches(client, 1) == 0
        assert push(client, pack(board, 2)).state.state == "trial"
        assert mismatches(client, 2) == 0


def test_equal_sequence(board: Build) -> None:
    with start(board) as client:
        update = pack(board, 2)
        push(client, update)
        assert not push(client, update).new, "while it is on trial"
        mismatches(client, 2, HEALTH)
        assert not push(client, update).new, "the device has it already"
        assert refused(client, pack(board, 2, capsule(V1))) is Reason.SEQUENCE_REPLAYED


def test_a_trial_comes_before_the_next_update(board: Build) -> None:
    with start(board) as client:
        push(client, pack(board, 2))
        with pytest.raises(UpdateError) as error:
            push(client, pack(board, 3, capsule(V1)))
        assert error.value.reason is Reason.BUSY
        assert UpdateClient(client).state().state == "trial"
        state = UpdateClient(client).cancel()
        assert (state.state, state.outcome, state.bank) == ("idle", Reason.CANCELLED, None)
        assert mismatches(client, 1) == 0
        push(client, pack(board, 3))
        assert mismatches(client, 2) == 0


def test_delta(board: Build) -> None:
    with start(board) as client:
        update = pack(board, 2, deltas=[("d.bin", factory(board), encode_delta(factory(board), capsule(V2)))])
        result = push(client, update)
        assert result.sent == len(update.payloads["d.bin"]) != len(capsule(V2))
        assert mismatches(client, 2) == 0
        back = pack(board, 3, capsule(V1), deltas=[("d.bin", factory(board), b"")])
        assert push(client, back).sent == len(capsule(V1)), "no delta from what runs: the whole"
        assert mismatches(client, 1) == 0


def test_integrated_payload(host: Build, tmp_path: Path) -> None:
    small = bytes(300)  # stored at once, and no capsule
    with start(host) as client:
        update = pack(host, 2, small, images=[model_image(small, uri="#m")], payloads={"#m": small})
        assert refused(client, update) is Reason.CAPSULE_MALFORMED
        assert push(client, pack(host, 2)).new


def test_rate_limit(board: Build) -> None:
    with start(board) as client:
        seen = []
        for _ in range(16):
            with pytest.raises(UpdateError) as error:
                push(client, pack(board, 2, signers=[OTHER]))
            seen.append(error.value.reason is Reason.RATE_LIMITED)
        #       three free ones, then pauses of 2, 4, 8 attempts
        assert seen == [False] * 3 + [True] * 2 + [False] + [True] * 4 + [False] + [True] * 5
        for _ in range(3):
            with pytest.raises(UpdateError, match="too many attempts"):
                push(client, pack(board, 2))
        assert push(client, pack(board, 2)).state.state == "trial"


def test_resumed_without_a_reset(board: Build) -> None:
    """The host was interrupted, the device was not."""
    update = pack(board, 2)
    with start(board) as client:

        def stop(name: str, done: int, total: int) -> None:
            if name != "manifest" and done >= 5 * 1024:
                raise StopError

        with pytest.raises(StopError):
            push(client, update, progress=stop)
        result = push(client, update)
        assert result.resumed
        assert result.sent == len(capsule()) - 5 * 1024
        assert mismatches(client, 2) == 0


def test_another_update_takes_the_place_of_an_unfinished_one(board: Build) -> None:
    with start(board) as client:
        first = pack(board, 2, capsule(V1))
        with pytest.raises(StopError):
            push(client, Pack(first.envelope, first.digest, {}), progress=stop_at_once)
        result = push(client, pack(board, 2))
        assert not result.resumed
        assert mismatches(client, 2) == 0
