"""The storage backend for RIOT's SUIT module, called as RIOT calls it: when a model comes to run, what is kept through
power cuts and damage. With RIOT itself it is tried in tests/riot."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence

import pytest

from tests.support.riot_suit_storage import (
    BANK,
    DIGEST,
    ERASE,
    EXCEEDED,
    HEALTH,
    OK,
    SEQUENCE,
    STORAGE,
    UNAVAILABLE,
    V1_DIGEST,
    V2_DIGEST,
    WRITE,
    Storage,
    bad_capsule,
    capsule,
    is_erased,
    library,
    manifest_of,
)
from tests.support.storage import FACTORY, Cut, State
from tests.support.updates import V1, V2
from tinyops.suit import Reason

GOOD = hashlib.sha256(capsule()).digest()


def test_an_update_is_tried_between_inferences_and_then_runs() -> None:
    storage = Storage()
    assert (storage.shown(), storage.model) == ((1, 1, State.EMPTY, Reason.OK), V1_DIGEST)
    assert storage.call("poll") == 0
    assert storage.update(2, capsule()) == OK
    assert (storage.shown(), storage.model) == ((2, 1, State.PENDING, Reason.OK), V1_DIGEST)
    assert storage.call("poll") == 1
    assert (storage.shown(), storage.model) == ((2, 2, State.CONFIRMED, Reason.OK), V2_DIGEST)
    assert storage.call("poll") == 0
    storage.restart()
    assert (storage.shown(), storage.model) == ((2, 2, State.CONFIRMED, Reason.OK), V2_DIGEST)
    assert storage.update(3, capsule(V1)) == OK
    storage.restart()
    assert storage.model == V2_DIGEST
    assert storage.call("poll") == 1
    assert (storage.shown(), storage.model) == ((3, 3, State.CONFIRMED, Reason.OK), V1_DIGEST)
    assert storage.status.bank == 1
    assert storage.call("violations") == 0


def test_a_model_that_fails_its_golden_vectors_is_undone() -> None:
    storage = Storage()
    storage.update(2, capsule())
    storage.call("poll")
    assert storage.update(3, bad_capsule()) == OK, "RIOT knows nothing of golden vectors"
    assert storage.call("poll") == 1
    assert (storage.shown(), storage.model) == ((3, 2, State.REVERTED, Reason.SELF_TEST), V2_DIGEST)
    assert storage.update(3, capsule()) == SEQUENCE
    assert storage.shown() == (3, 2, State.REVERTED, Reason.SEQUENCE_REPLAYED)
    storage.restart()
    assert storage.shown() == (3, 2, State.REVERTED, Reason.SELF_TEST)
    assert storage.update(4, capsule(V1)) == OK
    storage.call("poll")
    assert (storage.shown(), storage.model) == ((4, 4, State.CONFIRMED, Reason.OK), V1_DIGEST)


def test_a_model_that_hangs_is_tried_three_times() -> None:
    storage = Storage()
    storage.update(2, capsule())
    for _ in range(3):
        storage.restart()
        storage.call("try_begun")
    storage.restart()
    assert storage.model == V1_DIGEST
    assert storage.call("poll") == 1
    assert (storage.shown(), storage.model) == ((2, 1, State.REVERTED, Reason.SELF_TEST_HANG), V1_DIGEST)


def test_a_health_window() -> None:
    storage = Storage(HEALTH)
    storage.update(2, capsule())
    storage.call("inference")
    assert storage.call("poll") == 1
    assert (storage.status.health_left, storage.model) == (HEALTH, V2_DIGEST)
    assert storage.update(3, capsule(V1)) == UNAVAILABLE
    assert storage.status.reason == Reason.BUSY
    for left in (2, 1):
        storage.call("inference")
        assert storage.status.health_left == left
        assert storage.call("poll") == 0
    storage.restart()
    assert storage.model == V1_DIGEST, "it was not confirmed yet"
    assert storage.call("poll") == 1
    for _ in range(HEALTH):
        storage.call("inference")
    assert (storage.shown(), storage.status.health_left) == ((2, 2, State.CONFIRMED, Reason.OK), 0)


def test_a_model_that_resets_the_device_is_undone() -> None:
    storage = Storage(HEALTH)
    storage.update(2, capsule())
    for _ in range(3):
        assert storage.call("poll") == 1
        storage.call("inference")
        storage.restart()
    assert storage.call("poll") == 1
    assert (storage.shown(), storage.model) == ((2, 1, State.REVERTED, Reason.HEALTH), V1_DIGEST)


def test_nothing_is_accepted_before_all_of_it_was_checked() -> None:
    storage = Storage()
    manifest_of(storage)
    assert storage.call("install") == DIGEST, "nothing was stored"
    assert storage.start(len(capsule())) == OK
    assert storage.write(capsule()[:5000]) == OK
    assert storage.read(0, 16) == (EXCEEDED, bytes(16))
    assert storage.call("install") == DIGEST
    assert storage.call("finish") == EXCEEDED
    assert is_erased(storage, 0), "what is not whole is erased"
    assert storage.write(capsule()[5000:], 5000) == STORAGE
    assert storage.call("install") == DIGEST
    storage.call("done", OK)
    assert storage.shown()[:2] == (1, 1)
    assert storage.call("poll") == 0


def test_another_manifest_does_not_accept_the_image_of_this_one() -> None:
    for changes in ({"sequence": 3}, {"digest": hashlib.sha256(capsule(V1)).digest()}, {"name": b"another"}):
        storage = Storage()
        manifest_of(storage)
        assert storage.fetch(capsule()) == OK
        manifest_of(storage, **changes)
        assert storage.call("install") == DIGEST
        assert storage.status.state == State.DOWNLOAD
        storage.call("done", OK)
        assert storage.shown() == (1, 1, State.REVERTED, Reason.IMAGE_DIGEST)


def test_blocks_that_come_again_or_not_at_all() -> None:
    storage = Storage()
    manifest_of(storage)
    content = capsule()
    assert storage.start(len(content)) == OK
    assert storage.write(content[:100]) == OK
    assert storage.write(content[:100]) == OK
    assert storage.write(content[50:200], 50) == OK
    assert storage.write(content[300:400], 300) == EXCEEDED, "a gap"
    assert storage.write(content[200:], 200) == OK
    assert storage.write(b"x", len(content)) == EXCEEDED
    assert storage.write(b"x" * 100, (1 << 64) - 50) == EXCEEDED
    assert storage.write(b"") == OK
    assert storage.call("finish") == OK
    assert storage.call("finish") == OK
    assert storage.read(0, len(content)) == (OK, content)
    assert storage.read(len(content) - 1, 2) == (EXCEEDED, bytes(2))
    assert storage.read((1 << 64) - 1, 2) == (EXCEEDED, bytes(2))
    assert storage.call("install") == OK
    assert storage.status.accepted == 2
    assert storage.read(5, 100) == (OK, content[5:105]), "for RIOT's second look"


def test_a_transport_that_does_not_say_when_it_is_done() -> None:
    for right in (True, False):
        storage = Storage()
        manifest_of(storage)
        content = capsule() if right else capsule()[:-1] + b"\0"
        assert storage.start(len(content)) == OK
        assert storage.write(content) == OK
        assert storage.match(GOOD, len(content)) == (OK if right else EXCEEDED)
        assert storage.status.accepted == (2 if right else 1)
        assert is_erased(storage, 0) != right


def test_an_interrupted_download_goes_on() -> None:
    storage = Storage()
    manifest_of(storage)
    content = capsule()
    assert storage.start(len(content)) == OK
    assert storage.write(content[:9000]) == OK
    storage.restart()
    before = storage.call("operations")
    assert storage.update(2, content) == OK
    assert storage.call("operations") - before < len(content) // WRITE, "what was stored stays"
    storage.call("poll")
    assert storage.model == V2_DIGEST


def test_riot_s_erase() -> None:
    storage = Storage()
    manifest_of(storage)
    assert storage.fetch(capsule()) == OK
    assert storage.call("erase") == OK
    assert is_erased(storage, 0)
    assert storage.shown() == (1, 1, State.REVERTED, Reason.IMAGE_DIGEST)
    assert storage.update(2, capsule()) == OK
    assert storage.call("erase") == OK, "RIOT's second look found damage"
    assert storage.shown() == (2, 1, State.REVERTED, Reason.IMAGE_DIGEST)
    assert storage.call("poll") == 0
    assert storage.update(3, capsule()) == OK
    storage.call("poll")
    assert storage.call("erase") == OK
    assert (storage.shown(), storage.model) == ((3, 3, State.CONFIRMED, Reason.OK), V2_DIGEST), "what runs stays"


def test_a_model_on_trial_is_taken_back() -> None:
    storage = Storage(HEALTH)
    storage.update(2, capsule())
    storage.call("poll")
    assert storage.model == V2_DIGEST
    assert storage.call("erase") == OK
    assert storage.model == V2_DIGEST, "until the inference is done"
    assert storage.call("poll") == 1
    assert (storage.shown(), storage.model) == ((2, 1, State.REVERTED, Reason.IMAGE_DIGEST), V1_DIGEST)


@pytest.mark.parametrize("current", [0, 1])
def test_with_another_component_all_or_nothing(current: int) -> None:
    content = capsule()
    for others, result, accepted in ((True, OK, 2), (False, STORAGE, 1), (False, OK, 2)):
        storage = Storage()
        manifest_of(storage, components=2, current=current)
        assert storage.fetch(content) == OK
        if others:
            library(0).tool_install_other(1 - current)
        assert storage.match(GOOD, len(content)) == OK
        assert storage.status.accepted == (2 if others else 1)
        assert storage.call("poll") == others
        storage.call("done", result)
        assert storage.status.accepted == accepted
        assert is_erased(storage, 0) == (accepted == 1)


def test_a_reset_before_the_other_component_is_there_accepts_nothing() -> None:
    storage = Storage()
    manifest_of(storage, components=2)
    assert storage.fetch(capsule()) == OK
    assert storage.match(GOOD, len(capsule())) == OK
    storage.restart()
    storage.call("done", OK)
    assert storage.shown()[:2] == (1, 1)
    assert storage.call("poll") == 0


def test_sequence_numbers_never_become_lower() -> None:
    storage = Storage()
    number = ctypes.c_uint32()
    assert storage.call("get_sequence", ctypes.byref(number)) == OK
    assert number.value == 1
    assert storage.call("set_sequence", 7) == OK
    before = storage.call("operations")
    assert storage.call("set_sequence", 7) == OK
    assert storage.call("set_sequence", 6) == SEQUENCE
    assert storage.call("operations") == before
    storage.restart()
    assert storage.call("get_sequence", ctypes.byref(number)) == OK
    assert number.value == 7
    assert storage.update(7, capsule()) == SEQUENCE
    assert storage.update(0xFFFFFFFF, capsule()) == OK
    assert storage.status.accepted == 0xFFFFFFFF


def test_locations() -> None:
    storage = Storage()
    assert storage.call("has_location", b"/model") == 1
    assert storage.call("set_location", b"/model") == OK
    for other in (b"", b"model", b"/models", b"/mod", b"/mo/del", b"/model/", b"//model"):
        assert storage.call("has_location", other) == 0
        assert storage.call("set_location", other) == UNAVAILABLE


def test_before_it_is_initialized_it_takes_nothing() -> None:
    storage = Storage()
    library(0).tool_restart()
    number = ctypes.c_uint32(9)
    assert storage.call("get_sequence", ctypes.byref(number)) == STORAGE
    assert number.value == 0
    manifest_of(storage)
    assert storage.fetch(capsule()) == STORAGE
    assert storage.call("set_sequence", 9) == STORAGE
    storage.call("done", OK)
    assert storage.call("poll") == 0
    assert storage.update(2, capsule()) == OK, "the first poll initializes, too"


def test_damage_to_what_runs() -> None:
    storage = Storage()
    for sequence, path in ((2, V2), (3, V1)):
        storage.update(sequence, capsule(path))
        storage.call("poll")
    assert storage.status.bank == 1
    library(0).tool_damage(2 * ERASE + BANK + 3000)
    assert storage.update(4, capsule()) == UNAVAILABLE, "the damaged model's bank is not written while it runs"
    assert storage.status.reason == Reason.BUSY
    assert storage.call("poll") == 1
    assert (storage.model, storage.status.sequence) == (V2_DIGEST, 2), "the one before"
    assert storage.update(4, capsule(V1)) == OK
    storage.call("poll")
    assert (storage.model, storage.status.sequence, storage.status.bank) == (V1_DIGEST, 4, 1)


def test_a_flash_that_fails() -> None:
    storage = Storage()
    storage.update(2, capsule())
    storage.call("poll")
    library(0).tool_cut(Cut.BEFORE, ctypes.c_uint64(1), 0, ctypes.c_uint64(1))
    assert storage.update(3, capsule(V1)) == STORAGE
    assert storage.status.reason == Reason.FLASH
    assert storage.model == V2_DIGEST
    storage.restart()
    assert (storage.shown()[:2], storage.model) == ((2, 2), V2_DIGEST)
    assert storage.update(3, capsule(V1)) == OK
    library(0).tool_cut(Cut.BEFORE, ctypes.c_uint64(1), 0, ctypes.c_uint64(1))
    assert storage.call("poll") == 1
    assert storage.model == V2_DIGEST
    assert [storage.call("poll") for _ in range(3)] == [0, 0, 0], "it is not tried again and again"
    storage.restart()
    assert storage.call("poll") == 1
    assert storage.model == V1_DIGEST


def whole_update(storage: Storage, sequence: int, content: bytes) -> None:
    storage.update(sequence, content)
    storage.call("poll")


def cut_points(total: int) -> Sequence[int]:
    """Those of the records and the erasure, and some of the many writes between."""
    return [at for at in range(1, total + 1) if at < 24 or at > total - 24 or at % 17 == 0]


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.TORN, Cut.AFTER], ids=lambda cut: cut.name.lower())
def test_power_cuts(cut: Cut) -> None:
    storage = Storage()
    whole_update(storage, 2, capsule())
    before = storage.call("operations")
    whole_update(storage, 3, capsule(V1))
    total = storage.call("operations") - before
    for at in cut_points(total):
        storage = Storage()
        whole_update(storage, 2, capsule())
        library(0).tool_cut(cut, ctypes.c_uint64(at), at % 7, ctypes.c_uint64(at * 0x9E3779B9 + 1))
        whole_update(storage, 3, capsule(V1))
        accepted = 2
        for _ in range(2):
            storage.restart()
            status = storage.status
            assert accepted <= status.accepted <= 3
            accepted = status.accepted
            assert (status.sequence, storage.model) in {(2, V2_DIGEST), (3, V1_DIGEST)}
            assert status.sequence <= status.accepted
        storage.call("poll")
        assert (storage.status.sequence, storage.model) == ((3, V1_DIGEST) if accepted == 3 else (2, V2_DIGEST))
        whole_update(storage, 4, capsule())
        assert (storage.shown()[:2], storage.model) == ((4, 4), V2_DIGEST)
        assert storage.call("violations") == 0


def test_without_a_flash_the_firmware_s_model_runs() -> None:
    storage = Storage()
    assert library(0).tool_new(4096, 4096, ctypes.c_uint16(WRITE)) == 0, "too small for banks"
    library(0).tool_restart()
    assert storage.call("init") == STORAGE
    assert (storage.status.usable, storage.status.bank, storage.model) == (0, FACTORY, V1_DIGEST)
    manifest_of(storage)
    assert storage.fetch(capsule()) == STORAGE
    assert storage.call("set_sequence", 5) == STORAGE
    assert storage.call("erase") == OK
    assert storage.call("poll") == 0
