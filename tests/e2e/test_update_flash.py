"""What only a device shows whose flash survives its process: resets, power cuts, trials, other components, keys."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.update_devices import StopError, WaitingError, push, push_to_pending, refused
from tests.support.updates import (
    OTHER,
    ROOT,
    SECOND,
    SETTINGS,
    SIGNER,
    V1,
    V2,
    Pack,
    capsule,
    host_device,
    long_capsule,
    mismatches,
    model_image,
    pack,
)
from tinyops.device.board import find_board
from tinyops.device.build import Build, build_firmware
from tinyops.device.emulator import launch
from tinyops.device.update_client import UpdateClient
from tinyops.errors import DeviceError
from tinyops.suit import FIRMWARE, KEYS, Image, Reason, cbor

HEALTH = SETTINGS.health_window


@pytest.mark.parametrize("block_size", [256, 1024])
def test_killed_at_every_block(host: Build, tmp_path: Path, block_size: int) -> None:
    update = pack(host, 2)
    count = -(-len(capsule()) // block_size)
    for last in sorted({*range(0, count, 1 if block_size == 1024 else 9), count - 1}):
        flash = tmp_path / f"flash-{last}"

        def stop(name: str, done: int, total: int, last: int = last) -> None:
            if name != "manifest" and done > last * block_size:
                raise StopError

        with host_device(host, flash, block_size=block_size) as client, pytest.raises(StopError):
            push(client, update, progress=stop)
        with host_device(host, flash, block_size=block_size) as client:
            version = 1 if UpdateClient(client).state().sequence == 0 else 2
            assert version == 1 or last == count - 1
            assert mismatches(client, version, 2) == 0
            result = push(client, update)
            sent = result.sent
            assert result.state.state == "trial"
            assert mismatches(client, 2) == 0
        whole_units = max(0, (last + 1) * block_size // 4096 - 1) * 4096
        assert sent <= len(capsule()) - whole_units + block_size, "what was stored is not sent again"
        with host_device(host, flash) as client:
            state = UpdateClient(client).state()
            assert (state.state, state.sequence) == ("idle", 2)
            assert mismatches(client, 2, 2) == 0


def test_power_cut_in_every_operation(host: Build, tmp_path: Path) -> None:
    """Of the first attempt; the second one must come to its end, wherever the first was cut."""
    update = pack(host, 2)
    cuts = 0
    for operation in range(1, 400):
        flash = tmp_path / f"flash-{operation}"
        try:
            with host_device(host, flash, "--cut", str(operation)) as client:
                push(client, update)
                mismatches(client, 2, HEALTH)
                break
        except DeviceError:
            cuts += 1
        with host_device(host, flash) as client:
            state = UpdateClient(client).state()
            version = 1 if state.sequence == 0 else 2
            assert mismatches(client, version, 1) == 0
            push(client, update)
            assert mismatches(client, 2, HEALTH) == 0
            state = UpdateClient(client).state()
            assert (state.state, state.sequence, state.outcome) == ("idle", 2, Reason.OK)
        flash.unlink()
    assert cuts > 10


def test_a_self_test_that_hangs(host: Build, tmp_path: Path) -> None:
    """Each reset in it is a used try; after three the old model is left in peace."""
    flash = tmp_path / "flash"
    with host_device(host, flash) as client:
        update = pack(host, 2, long_capsule(8000))
        with pytest.raises(WaitingError):
            push_to_pending(UpdateClient(client), update)
        time.sleep(0.2)
    for _ in range(2):
        with host_device(host, flash):
            time.sleep(0.5)
    heard: list[str] = []
    with host_device(host, flash, console=heard.append) as client:
        state = UpdateClient(client).state()
        assert (state.state, state.outcome, state.sequence) == ("idle", Reason.SELF_TEST_HANG, 0)
        assert mismatches(client, 1) == 0
        assert push(client, pack(host, 3)).state.state == "trial"
        assert mismatches(client, 2) == 0
    assert "update: the new model is undone: self-test-hang" in "".join(heard)


def test_resets_in_the_health_window(host: Build, tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    with host_device(host, flash) as client:
        push(client, pack(host, 2))
        mismatches(client, 2, 3)
    for tries in (2, 3):
        with host_device(host, flash) as client:
            state = UpdateClient(client).state()
            assert (state.state, state.tries, state.health) == ("trial", tries, HEALTH)
            assert mismatches(client, 2, HEALTH - 1) == 0
    with host_device(host, flash) as client:
        state = UpdateClient(client).state()
        assert (state.state, state.outcome, state.accepted) == ("idle", Reason.HEALTH, 2)
        assert mismatches(client, 1) == 0


def test_a_damaged_bank_is_not_run(host: Build, tmp_path: Path) -> None:
    """The one before it takes its place, in the end the firmware's own."""
    flash = tmp_path / "flash"
    for sequence, content, version in ((2, capsule(V2), 2), (3, capsule(V1), 1)):
        with host_device(host, flash) as client:
            push(client, pack(host, sequence, content))
            assert mismatches(client, version, HEALTH) == 0
    assert host.update is not None
    region = host.update.region
    for sequence in (3, 2):
        damaged = bytearray(flash.read_bytes())
        bank = damaged.index(capsule(V1 if sequence == 3 else V2)[:300], 2 * region.page_bytes)
        damaged[bank + 3000] ^= 4
        flash.write_bytes(damaged)
        with host_device(host, flash) as client:
            state = UpdateClient(client).state()
            assert (state.sequence, state.bank is None) == ((2, False) if sequence == 3 else (0, True))
            assert mismatches(client, 2 if sequence == 3 else 1) == 0
    with host_device(host, flash) as client:
        push(client, pack(host, 4))
        assert mismatches(client, 2) == 0


def test_firmware_and_model_together(host: Build, tmp_path: Path) -> None:
    """Nothing of both, or both: and the model is tried by the firmware that it came with."""
    flash, place = tmp_path / "flash", tmp_path / "firmware"
    place.write_bytes(b"old firmware")
    image = Image(FIRMWARE, hashlib.sha256(b"new firmware").digest(), 12, uri="firmware.bin")
    images = [model_image(capsule()), image]
    payloads = {"firmware.bin": b"new firmware"}
    with host_device(host, flash, "--firmware", str(place)) as client:
        wrong = pack(host, 2, images=images, files={"firmware.bin": b"bad firmware"})
        assert refused(client, wrong) is Reason.IMAGE_DIGEST
        assert UpdateClient(client).state().accepted == 0
        assert set(tmp_path.iterdir()) == {flash, place}
        assert place.read_bytes() == b"old firmware"
        updates = UpdateClient(client)
        with pytest.raises(WaitingError):
            push_to_pending(updates, pack(host, 2, images=images, files=payloads), "firmware.bin")
        state = updates.state()
        assert (state.state, state.sequence) == ("pending", 0)
        assert place.read_bytes() == b"new firmware"
        assert mismatches(client, 1, 2) == 0, "the model belongs to the new firmware"
    with host_device(host, flash, "--firmware", str(place)) as client:
        assert UpdateClient(client).state().state == "trial"
        assert mismatches(client, 2, HEALTH) == 0
        again = pack(host, 2, images=[image], files=payloads)
        assert refused(client, again) is Reason.SEQUENCE_REPLAYED
        newer = Image(FIRMWARE, hashlib.sha256(b"third").digest(), 5, uri="firmware.bin")
        assert push(client, pack(host, 3, images=[newer], files={"firmware.bin": b"third"})).state.state == "idle"
        assert place.read_bytes() == b"third"
        assert UpdateClient(client).state().accepted == 2, "each component has its own sequence"


def keys_update(build: Build, sequence: int, kids: list[bytes], signer: Any = ROOT) -> Pack:
    content = cbor.encode(kids)
    image = Image(KEYS, hashlib.sha256(content).digest(), len(content), content=content)
    return pack(build, sequence, images=[image], signers=[signer])


def test_revoked_keys(host: Build, tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    with host_device(host, flash) as client:
        assert refused(client, keys_update(host, 1, [SECOND.kid], SIGNER)) is Reason.UNAUTHORIZED
        assert refused(client, keys_update(host, 1, [SECOND.kid, SIGNER.kid])) is Reason.UNAUTHORIZED
        push(client, keys_update(host, 2, [SECOND.kid, OTHER.kid]))
        assert refused(client, pack(host, 2, signers=[SECOND])) is Reason.REVOKED_KEY
    with host_device(host, flash) as client:
        assert refused(client, pack(host, 2, signers=[SECOND])) is Reason.REVOKED_KEY
        assert refused(client, keys_update(host, 2, [SECOND.kid])) is Reason.SEQUENCE_REPLAYED
        assert push(client, pack(host, 1)).state.state == "trial", "the keys have a sequence of their own"


def test_firmware_without_updates_says_so(tmp_path: Path) -> None:
    build = build_firmware(V1, find_board("host"), tmp_path / "plain", name="digits")
    with launch(build.board, build.elf) as client, pytest.raises(DeviceError, match="takes no updates"):
        UpdateClient(client).state()
