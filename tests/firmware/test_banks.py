"""Banks: what every call does and refuses, damage to images, resumed downloads, and any sequence of calls."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.storage import FACTORY, BanksResult, Cut, Device, State

OK = BanksResult.OK
TRIES = 3
REASON = 34


def image(number: int, size: int = 700) -> bytes:
    return (hashlib.sha256(bytes([number])).digest() * (size // 32 + 1))[:size]


def manifest(number: int) -> bytes:
    return hashlib.sha256(b"manifest" + bytes([number])).digest()


def opened(**sizes: Any) -> Device:
    device = Device(sizes.pop("page", 1024), sizes.pop("bank", 1024), **sizes)
    assert device.open() is OK
    return device


def download(device: Device, number: int, data: bytes | None = None, *, piece: int = 100) -> None:
    data = image(number) if data is None else data
    assert device.begin(manifest(number), number, len(data)) is OK
    for at in range(device.offset, len(data), piece):
        assert device.write(at, data[at : at + piece]) is OK
    assert device.finish(data) is OK


def pend(device: Device, number: int) -> None:
    assert device.pending([max(number, device.record.sequences[0]), *device.record.sequences[1:]]) is OK


def install(device: Device, number: int, data: bytes | None = None) -> None:
    download(device, number, data)
    pend(device, number)
    assert device.banks("try") is OK
    assert device.banks("tested") is OK
    assert device.banks("confirm") is OK


def shown(device: Device, number: int, size: int = 700) -> None:
    """The image of `number` runs and the record says so."""
    running, record = device.running, device.record
    assert running == record.confirmed
    assert device.image(running, size) == image(number, size)
    assert record.images[running].sequence == number
    assert bytes(record.images[running].digest) == hashlib.sha256(image(number, size)).digest()


@pytest.mark.parametrize("erased", [0xFF, 0x00])
@pytest.mark.parametrize("write", [1, 4, 8, 16, 32])
def test_updates_follow_one_another(write: int, erased: int) -> None:
    with opened(write=write, erased=erased) as device:
        assert device.running == FACTORY
        for number in range(1, 12):
            install(device, number)
            shown(device, number)
            assert device.record.bank == 1 - number % 2
            if number % 3 == 0:
                assert device.open() is OK
                shown(device, number)
        assert device.violations == 0


def test_pieces_of_every_size() -> None:
    for piece in (1, 3, 16, 17, 31, 256, 700):
        with opened(write=16) as device:
            download(device, 1, piece=piece)
            assert device.image(0, 700) == image(1)
            assert device.image(0, 704)[700:] == b"\xff" * 4
            assert device.violations == 0


def test_a_damaged_image_is_not_run() -> None:
    with opened() as device:
        install(device, 1)
        install(device, 2)
        shown(device, 2)
        device.content[2 * 1024 + 1024 + 5] ^= 1
        assert device.running == 0, "the other bank was confirmed before"
        assert device.image(0, 700) == image(1)
        download(device, 3)  # must not be written over the one that runs
        assert device.record.bank == 1
        assert (device.record.confirmed, device.running) == (0, 0)
        device.content[2 * 1024 + 5] ^= 1
        assert device.running == FACTORY
        pend(device, 3)
        assert device.running == FACTORY, "an image that waits for its trial is not run"
        assert device.banks("try") is OK
        assert device.banks("confirm") is OK
        shown(device, 3)


def test_a_damaged_pending_image_is_not_tried() -> None:
    with opened() as device:
        install(device, 1)
        download(device, 2)
        pend(device, 2)
        device.content[2 * 1024 + 1024 + 699] ^= 0x80
        assert device.banks("try") is BanksResult.DIGEST
        assert device.record.tries == 0
        assert device.banks("revert", REASON) is OK
        shown(device, 1)
        assert (device.record.state, device.record.reason) == (State.REVERTED, REASON)


def test_tries_are_used_up() -> None:
    with opened() as device:
        install(device, 1)
        download(device, 2)
        pend(device, 2)
        for tries in range(1, TRIES + 1):
            assert device.banks("try") is OK
            assert device.banks("try") is OK, "a second call is no second try"
            assert (device.record.state, device.record.tries) == (State.TRY, tries)
            assert device.open() is OK
            assert device.banks("confirm") is BanksResult.STATE, "this session has begun no try"
        assert device.banks("try") is BanksResult.TRIES_USED
        assert device.banks("revert", 35) is OK
        shown(device, 1)
        assert list(device.record.sequences) == [2, 0, 0, 0], "the failed sequence number is kept"
        assert device.record.attempt == 2


def test_a_passed_self_test_is_remembered() -> None:
    with opened() as device:
        download(device, 1)
        pend(device, 1)
        assert device.banks("tested") is BanksResult.STATE
        assert device.banks("try") is OK
        assert device.record.flags == 0
        assert device.banks("tested") is OK
        assert device.open() is OK
        assert device.record.flags == 1
        assert device.banks("try") is OK
        assert device.record.flags == 1
        before = device.call("device_operations")
        assert device.banks("tested") is OK
        assert device.call("device_operations") == before, "it is noted once"
        assert device.banks("revert", 36) is OK
        assert device.record.flags == 0


def test_refusals() -> None:
    with opened() as device:
        assert device.write(0, b"x") is BanksResult.STATE
        assert device.finish(b"x") is BanksResult.STATE
        assert device.pending([1, 0, 0, 0]) is BanksResult.STATE
        assert device.banks("try") is BanksResult.STATE
        assert device.banks("revert", 1) is BanksResult.STATE
        assert device.banks("cancel", 1) is OK
        assert device.record.state == State.EMPTY
        assert device.begin(manifest(1), 1, 0) is BanksResult.SIZE
        assert device.begin(manifest(1), 1, 1025) is BanksResult.SIZE
        assert device.begin(manifest(1), 1, 0xFFFFFFFF) is BanksResult.SIZE
        assert device.record.state == State.EMPTY
        assert device.begin(manifest(1), 1, 700) is OK
        data = image(1)
        assert device.write(1, data[1:5]) is BanksResult.OFFSET
        assert device.write(0, bytes(701)) is BanksResult.SIZE
        assert device.write(0, data[:10]) is OK
        assert device.write(0, data[:10]) is BanksResult.OFFSET
        assert device.finish(data) is BanksResult.SIZE
        assert device.write(10, data[10:]) is OK
        assert device.write(700, b"x") is BanksResult.SIZE
        assert device.finish(image(2)) is BanksResult.DIGEST
        assert device.pending([1, 0, 0, 0]) is BanksResult.STATE
        assert device.banks("cancel", 22) is OK
        assert bytes(device.content[2048:3072]) == b"\xff" * 1024, "a failed download is erased"
        download(device, 2)
        assert device.write(700, b"x") is BanksResult.STATE
        assert device.finish(image(2)) is BanksResult.STATE
        pend(device, 2)
        assert device.begin(manifest(3), 3, 700) is BanksResult.BUSY
        assert device.banks("cancel", 1) is BanksResult.BUSY
        assert device.banks("revert", REASON) is OK
        download(device, 3)
        assert device.pending([1, 0, 0, 0]) is BanksResult.LOWERED
        pend(device, 3)
        assert device.violations == 0


def test_revocation_keeps_everything_else() -> None:
    with opened() as device:
        download(device, 1)
        pend(device, 1)
        assert device.banks("try") is OK
        before = device.record
        assert device.revoke(0b100, [1, 9, 0, 0]) is OK
        assert device.revoke(0b001, [1, 8, 0, 0]) is BanksResult.LOWERED
        after = device.record
        assert (after.revoked, list(after.sequences)) == (0b100, [1, 9, 0, 0])
        assert (after.state, after.tries, bytes(after.images[0])) == (
            before.state,
            before.tries,
            bytes(before.images[0]),
        )
        assert device.banks("confirm") is OK
        shown(device, 1)
        assert device.record.revoked == 0b100


@pytest.mark.parametrize("layout", [(1024, 0), (64, 1024), (1000, 1024)])
def test_layouts_that_do_not_fit(layout: tuple[int, int]) -> None:
    page, bank = layout
    with Device(page, bank, erase=64 if page == 64 else 256 if page == 1024 else 8) as device:
        expected = OK if page == 1000 else BanksResult.LAYOUT
        assert device.banks("open") is expected


@given(st.integers(0, 699), st.sampled_from([1, 8, 32]), st.booleans())
def test_a_download_goes_on_after_a_reset(until: int, write: int, other: bool) -> None:
    with opened(write=write) as device:
        install(device, 1)
        assert device.begin(manifest(2), 2, 700) is OK
        assert device.write(0, image(2)[:until]) is OK
        assert device.open() is OK
        shown(device, 1)
        number = 3 if other else 2
        assert device.begin(manifest(number), number, 700) is OK
        if other:
            assert device.offset == 0
        else:
            assert device.offset <= until
            assert device.offset % 256 == 0
            assert until - device.offset <= 256 + write
        at = device.offset
        assert device.write(at, image(number)[at:]) is OK
        assert device.finish(image(number)) is OK
        pend(device, number)
        assert device.violations == 0


@given(st.integers(1, 60), st.integers(0, 6), st.integers(1, 1 << 60))
@settings(max_examples=100)
def test_a_cut_download_ends_well(at: int, torn: int, seed: int) -> None:
    blank = b"\xff" * 300 + image(2, 400)
    with opened(write=16) as device:
        install(device, 1)
        device.cut(Cut.TORN, at, torn, seed)
        if device.begin(manifest(2), 2, 700) is OK:
            device.write(0, blank)
        assert device.open() is OK
        shown(device, 1)
        download(device, 2, blank)
        assert device.violations == 0


class Calls(RuleBasedStateMachine):
    """Any calls in any order, with resets between them, against a model in a few lines."""

    def __init__(self) -> None:
        super().__init__()
        self.device: Device | None = None

    @initialize(
        write=st.sampled_from([1, 4, 8, 32]), erased=st.sampled_from([0, 255]), erase=st.sampled_from([64, 512])
    )
    def start(self, write: int, erased: int, erase: int) -> None:
        self.device = opened(page=512, bank=512, erase=erase, write=write, erased=erased)
        self.state, self.running, self.sequence, self.tries = State.EMPTY, 0, 0, 0
        self.next, self.trial, self.complete, self.reason, self.revoked = 1, False, False, 0, 0

    def teardown(self) -> None:
        if self.device is not None:
            self.device.close()

    @property
    def waiting(self) -> bool:
        return self.state in {State.PENDING, State.TRY}

    @rule()
    def reset(self) -> None:
        assert self.device.open() is OK
        self.trial = self.complete = False

    @rule(part=st.floats(0, 1))
    def begin_and_write(self, part: float) -> None:
        result = self.device.begin(manifest(self.next), self.next, 300)
        self.complete = False
        assert result is (BanksResult.BUSY if self.waiting else OK)
        if result is OK:
            self.state, self.reason, self.tries = State.DOWNLOAD, 0, 0
            at = self.device.offset
            end = max(at, int(300 * part))
            assert self.device.write(at, image(self.next, 300)[at:end]) is OK

    @rule()
    def download(self) -> None:
        if not self.waiting:
            download(self.device, self.next, image(self.next, 300))
            self.state, self.complete, self.reason, self.tries = State.DOWNLOAD, True, 0, 0

    @rule()
    def pending(self) -> None:
        result = self.device.pending([self.next, 0, 0, 0])
        assert result is (OK if self.complete else BanksResult.STATE)
        if result is OK:
            self.state, self.sequence, self.complete = State.PENDING, self.next, False

    @rule()
    def attempt(self) -> None:
        result = self.device.banks("try")
        if not self.waiting:
            assert result is BanksResult.STATE
        elif not self.trial and self.tries == TRIES:
            assert result is BanksResult.TRIES_USED
        else:
            assert result is OK
            self.tries += not self.trial
            self.state, self.trial = State.TRY, True

    @rule()
    def confirm(self) -> None:
        assert self.device.banks("confirm") is (OK if self.trial else BanksResult.STATE)
        if self.trial:
            self.state, self.running, self.trial, self.next = State.CONFIRMED, self.next, False, self.next + 1

    @rule(reason=st.integers(1, 255))
    def revert(self, reason: int) -> None:
        assert self.device.banks("revert", reason) is (OK if self.waiting else BanksResult.STATE)
        if self.waiting:
            self.state, self.trial, self.reason, self.next = State.REVERTED, False, reason, self.next + 1

    @rule(reason=st.integers(1, 255))
    def cancel(self, reason: int) -> None:
        assert self.device.banks("cancel", reason) is (BanksResult.BUSY if self.waiting else OK)
        if self.state is State.DOWNLOAD:
            self.state, self.reason = State.REVERTED, reason
        self.complete = self.complete and self.waiting

    @rule(keys=st.integers(0, 0xFFFFFFFF))
    def revoke(self, keys: int) -> None:
        assert self.device.revoke(keys, list(self.device.record.sequences)) is OK
        self.revoked |= keys

    @precondition(lambda self: self.device is not None)
    @invariant()
    def agrees(self) -> None:
        record, running = self.device.record, self.device.running
        assert (record.state, record.sequences[0], record.revoked) == (self.state, self.sequence, self.revoked)
        assert (record.tries, record.reason) == (self.tries, self.reason)
        assert (running == FACTORY) == (self.running == 0)
        if self.running:
            assert self.device.image(running, 300) == image(self.running, 300)
        assert self.device.violations == 0


TestCalls = Calls.TestCase
