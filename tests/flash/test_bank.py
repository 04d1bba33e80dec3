"""A model into a bank: the journal as the device reads it, and devices that then run the model."""

from __future__ import annotations

import copy
import hashlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.flash.conftest import Setup
from tests.support.storage import FACTORY, BanksResult, Cut, Device, State
from tests.support.update_devices import push
from tests.support.updates import SETTINGS, V1, V2, bad_capsule, build_updatable, capsule, host_device, mismatches, pack
from tinyops.device.board import FlashBackend, ProbeKind, find_board
from tinyops.device.build import Build
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.backend import Backend, Job, Verified
from tinyops.device.flash.bank import Region, write_model
from tinyops.device.flash.content import Part
from tinyops.device.flash.faults import FlashError
from tinyops.device.flash.journal import Journal
from tinyops.device.flash.process import Progress
from tinyops.device.update_client import UpdateClient
from tinyops.emit.capsule import read_capsule
from tinyops.errors import UsageError
from tinyops.suit import Reason

HEALTH = SETTINGS.health_window
PAGE, BANK, ERASE = 4096, 16384, 4096
DEVICE = Attached("cmsis-dap", "0001", "a probe")


def report(address: int | None = 0, write: int = 4, **region: Any) -> dict[str, Any]:
    """What a build's report says of a region with 16 KiB banks."""
    read = read_capsule(capsule())
    stored = {
        "bytes": 2 * (PAGE + BANK), "erase_bytes": ERASE, "write_bytes": write, "journal_page_bytes": PAGE,
        "bank_bytes": BANK, "address": address, **region,
    }  # fmt: skip
    return {"update": {"kernel_abi": read.kernel_abi.hex(), "plan": read.plan.hex(), "region": stored}}


class Memory(Backend):
    """A backend whose board is a region in memory; `power` parts are written before the current fails."""

    name: ClassVar[FlashBackend] = "openocd"
    kinds: ClassVar[frozenset[ProbeKind]] = frozenset(("cmsis-dap",))

    def __init__(self, content: Any, erased: int = 0xFF) -> None:
        super().__init__(find_board("nrf52840dk"))
        self.content, self.erased = content, erased
        self.power = 99
        self.order: Callable[[tuple[Part, ...]], Any] = tuple
        self.jobs: list[Job] = []

    @classmethod
    def installed(cls) -> str:
        return "here"

    def write(self, device: Attached, job: Job, progress: Progress) -> Verified:
        self.jobs.append(job)
        for i, part in enumerate(self.order(job.parts)):
            if i >= self.power:
                raise ConnectionError
            first, end = part.address // ERASE * ERASE, -(-part.end // ERASE) * ERASE
            self.content[first:end] = bytes([self.erased]) * (end - first)
            self.content[part.address : part.end] = part.data
        return "read back"

    def read(self, device: Attached, address: int, size: int) -> bytes:
        return bytes(self.content[address : address + size])


def put(memory: Memory, facts: dict[str, Any], model: bytes | None = None) -> tuple[int, int]:
    return write_model(memory, DEVICE, facts, capsule() if model is None else model, True, lambda _: None)


def update(device: Device, sequence: int, image: bytes, *, confirm: bool = True) -> None:
    """What an update over the network does."""
    assert device.begin(hashlib.sha256(image).digest(), sequence, len(image)) is BanksResult.OK
    assert device.write(0, image) is BanksResult.OK
    assert device.finish(image) is BanksResult.OK
    assert device.pending((sequence, 1, 0, 0)) is BanksResult.OK
    if confirm:
        assert device.banks("try") is BanksResult.OK
        assert device.banks("confirm") is BanksResult.OK


@pytest.mark.parametrize("write", [4, 8, 16, 32])
@pytest.mark.parametrize("updates", range(4))
def test_the_device_tries_it_next(updates: int, write: int) -> None:
    """After none to three updates: the bank that is not in use gets the model; all that protects stays."""
    draw = random.Random(updates)
    with Device(PAGE, BANK, erase=ERASE, write=write) as device:
        device.open()
        images = [draw.randbytes(5000) for _ in range(updates)]
        for k, image in enumerate(images):
            update(device, 10 + k, image)
        if updates:
            device.revoke(2, (10 + updates, 1, 0, 0))
        before, running = device.record, device.running
        memory = Memory(device.content)
        size, bank = put(memory, report(write=write))
        assert (size, bank) == (len(capsule()), 1 if running == 0 else 0)
        assert device.open() is BanksResult.OK
        after = device.record
        assert (after.state, after.bank, after.confirmed) == (State.PENDING, bank, running)
        assert list(after.sequences) == list(before.sequences)
        assert after.revoked == before.revoked
        assert device.running == running
        assert device.image(bank, size) == capsule()
        if running != FACTORY:
            assert device.image(running, 5000) == images[-1]
        assert device.banks("try") is BanksResult.OK
        assert device.banks("confirm") is BanksResult.OK
        assert device.running == bank
        assert device.begin(b"n" * 32, 99, 100) is BanksResult.OK
        assert device.violations == 0


def test_a_flash_whose_erased_bytes_are_0() -> None:
    with Device(PAGE, BANK, erase=ERASE, write=4, erased=0x00) as device:
        device.open()
        update(device, 5, b"x" * 3000)
        put(Memory(device.content, erased=0x00), report(erased=0x00))
        assert device.open() is BanksResult.OK
        assert (device.record.state, device.record.sequences[0]) == (State.PENDING, 5)
        assert device.banks("try") is BanksResult.OK


@pytest.mark.parametrize("first", ["bank", "journal"])
def test_a_power_cut_leaves_what_ran(first: str) -> None:
    with Device(PAGE, BANK, erase=ERASE, write=4) as device:
        device.open()
        update(device, 5, b"old" * 1000)
        running = device.running
        memory = Memory(device.content)
        memory.power = 1
        sign = 1 if first == "journal" else -1
        memory.order = lambda parts: sorted(parts, key=lambda part: sign * part.address)
        with pytest.raises(ConnectionError):
            put(memory, report())
        assert device.open() is BanksResult.OK
        assert device.running == running
        assert device.record.sequences[0] == 5
        if first == "journal":
            assert device.banks("try") is BanksResult.DIGEST


def test_one_during_a_download_or_a_trial() -> None:
    for confirm in (True, False):
        with Device(PAGE, BANK, erase=ERASE, write=4) as device:
            device.open()
            update(device, 5, b"old" * 1000)
            if confirm:
                assert device.begin(b"m" * 32, 6, 4000) is BanksResult.OK
                assert device.write(0, b"n" * 100) is BanksResult.OK
            else:
                update(device, 6, b"new" * 900, confirm=False)
            _, bank = put(Memory(device.content), report())
            assert device.open() is BanksResult.OK
            assert (device.record.state, device.record.bank) == (State.PENDING, bank)
            assert bank != device.running
            assert device.image(bank, len(capsule())) == capsule()


def test_the_journal_is_read_as_the_device_reads_it() -> None:
    """Random histories with cuts and torn writes: the newest record is the same on both sides."""
    for seed in range(60):
        draw = random.Random(seed)
        write = draw.choice((4, 8, 16))
        with Device(PAGE, BANK, erase=ERASE, write=write) as device:
            device.open()
            if draw.random() < 0.7:
                device.cut(draw.choice((Cut.BEFORE, Cut.TORN, Cut.AFTER)), draw.randrange(60), seed % 7, seed + 1)
            for sequence in range(draw.randrange(1, 12)):
                image = draw.randbytes(draw.randrange(1, 3000))
                if device.begin(draw.randbytes(32), sequence, len(image)) is not BanksResult.OK:
                    break
                if device.write(0, image) is BanksResult.OK and device.finish(image) is BanksResult.OK:
                    device.pending((sequence, 0, 0, 0))
                    device.banks("try")
                    device.banks("confirm" if draw.random() < 0.7 else "tested")
            device.call("device_power_on")
            pages = bytes(device.content[: 2 * PAGE])
            found = Journal.scan(pages, PAGE, write).newest
            device.banks("open")
            newest = device.record
            if newest.generation != found.generation:  # it was not sealed, and is written again
                assert newest.generation == found.generation + 2
            assert (newest.state, newest.bank, newest.confirmed) == (found.state, found.bank, found.confirmed)
            assert tuple(newest.sequences) == found.sequences
            assert [(i.bytes, bytes(i.digest)) for i in newest.images] == [(i.nbytes, i.digest) for i in found.images]


def test_what_is_refused_before_anything_is_touched() -> None:
    memory = Memory(bytearray(b"\xff" * 65536))
    other = capsule()
    cases: list[tuple[dict[str, Any], bytes, str]] = [
        ({}, other, "takes no other models"),
        (report(address=None), other, "not in memory that a probe writes"),
        (report(bank_bytes=8192, bytes=2 * (PAGE + 8192)), other, "a capsule of"),
        (report(bytes=5), other, "unsound"),
        (report(address=100), other, "unsound"),
        (report(erased=3), other, "unsound"),
        (report(write_bytes="x"), other, "unsound"),
        (copy.deepcopy(report()), b"no capsule", "10 B"),
    ]
    wrong = report()
    wrong["update"]["plan"] = "00" * 32
    cases.append((wrong, other, "has another structure than the firmware"))
    wrong = report()
    wrong["update"]["kernel_abi"] = "00" * 32
    cases.append((wrong, other, "kernels of another version"))
    for facts, model, text in cases:
        with pytest.raises(Exception, match=text):
            put(memory, facts, model)
    assert memory.jobs == []


def test_the_region_is_at_the_end_of_the_flash() -> None:
    facts = report()
    del facts["update"]["region"]["address"]
    region = Region.of(facts, find_board("nrf52840dk"))
    assert region.address == (1 << 20) - 2 * (PAGE + BANK)
    assert region.bank(1) == (1 << 20) - BANK
    with pytest.raises(UsageError):
        Region.of({"update": {"region": 3}}, find_board("nrf52840dk"))


@pytest.mark.parametrize("name", ["openocd", "jlink", "stm32cubeprogrammer", "esptool", "dfu-util", "picotool"])
def test_through_every_backend_that_reads(setup: Callable[[str], Setup], name: str) -> None:
    s = setup(name)
    start = s.bench.origin + 0x4_0000
    assert s.backend.board.flash is not None
    size, bank = write_model(s.backend, s.device, report(address=start), capsule(), True, lambda _: None)
    region = s.bench.at(start, 2 * (PAGE + BANK))
    newest = Journal.scan(region[: 2 * PAGE], PAGE, 4).newest
    assert (size, bank, newest.state) == (len(capsule()), 0, State.PENDING)
    assert region[2 * PAGE :][:size] == capsule()
    assert s.bench.at(s.bench.origin, 0x4_0000) == b"\xff" * 0x4_0000
    _, again = write_model(s.backend, s.device, report(address=start), capsule(), True, lambda _: None)
    assert again == 0, "the one before was never confirmed"
    s.bench.set(fault="tool")
    with pytest.raises(FlashError):
        write_model(s.backend, s.device, report(address=start), capsule(), True, lambda _: None)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    return build_updatable("host", tmp_path_factory.mktemp("host") / "build")


class FlashFile(Memory):
    """The flash file of a host's device: a header, the content, and a byte for each unit that is written."""

    def __init__(self, path: Path, size: int) -> None:
        raw = path.read_bytes()
        super().__init__(bytearray(raw[64 : 64 + size]))
        self._path, self._head, self._written = path, raw[:64], bytearray(raw[64 + size :])

    def write(self, device: Attached, job: Job, progress: Progress) -> Verified:
        how = super().write(device, job, progress)
        unit = len(self.content) // len(self._written)
        for part in job.parts:
            first, last = part.address // unit, -(-part.end // unit)
            erased = range(part.address // ERASE * ERASE // unit, -(-part.end // ERASE) * ERASE // unit)
            for at in erased:
                self._written[at] = first <= at < last
        self._path.write_bytes(self._head + self.content + self._written)
        return how


def put_into_file(built: Build, flash: Path, model: bytes) -> tuple[int, int]:
    facts = copy.deepcopy(built.report)
    facts["update"]["region"]["address"] = 0
    return put(FlashFile(flash, facts["update"]["region"]["bytes"]), facts, model)


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_device_runs_it_after_its_next_start(built: Build, before: int, tmp_path: Path) -> None:
    """Firmware itself: the model is tried and confirmed, and an update over the network goes on from there."""
    flash = tmp_path / "flash.bin"
    with host_device(built, flash) as client:
        for sequence in range(1, before + 1):
            push(client, pack(built, sequence, capsule(V1)))
            assert mismatches(client, 1, HEALTH) == 0
        old = UpdateClient(client).state()
        assert old.state == "idle"
    _, bank = put_into_file(built, flash, capsule(V2))
    assert bank != old.bank
    with host_device(built, flash) as client:
        assert UpdateClient(client).state().state in ("pending", "trial")
        assert mismatches(client, 2, HEALTH) == 0
        state = UpdateClient(client).state()
        assert (state.state, state.bank, state.accepted) == ("idle", bank, old.accepted)
        assert state.model == hashlib.sha256(capsule(V2)).digest()
    with host_device(built, flash) as client:
        assert mismatches(client, 2) == 0
        push(client, pack(built, before + 1, capsule(V1)))
        assert mismatches(client, 1, HEALTH) == 0


def test_a_bad_model_is_taken_back(built: Build, tmp_path: Path) -> None:
    flash = tmp_path / "flash.bin"
    with host_device(built, flash) as client:
        before = UpdateClient(client).state().model
    put_into_file(built, flash, bad_capsule())
    with host_device(built, flash) as client:
        assert mismatches(client, 1) == 0
        state = UpdateClient(client).state()
        assert (state.state, state.model, state.outcome) == ("idle", before, Reason.SELF_TEST)
