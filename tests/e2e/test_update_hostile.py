"""Every hostile envelope and manifest, sent to a running device: refused for its reason, and the device runs on."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator

import pytest

from tests.support.hostile import accepted, envelopes, executions, fetches, structures
from tests.support.suit import CLASS, ES256, MAC, REVOKED, ROOT, SIGNER, URI, VENDOR, TestSigner
from tests.support.updates import build_updatable, mismatches
from tinyops.device import update as device_update
from tinyops.device.board import find_board
from tinyops.device.build import Build
from tinyops.device.client import DeviceClient
from tinyops.device.emulator import launch
from tinyops.device.update import Role, UpdateKey, UpdateSettings
from tinyops.device.update_client import UpdateClient
from tinyops.errors import MissingToolError
from tinyops.suit import KEYS, Image, Reason, UpdateDescription, cbor, emit, sign

ENVELOPE_MAX = 1024
#: What this device cannot tell, or does not have; the receivers of the cases have it.
LACKS = {
    "a version above the installed one": Reason.UNSUPPORTED,
    "more battery than there is": Reason.UNSUPPORTED,
    "expired this second": Reason.NO_CLOCK,
    "a size above the slot": Reason.IMAGE_SIZE,
    "an image that is there already": Reason.IMAGE_SIZE,
    "content of another digest": Reason.IMAGE_DIGEST,  # it looks at the digest before the size
    "no size, and data above the slot": Reason.PARAMETER_MISSING,
}
#: It ends at once: nothing after it has a sequence number that is high enough.
LAST = "nothing to do"


def key(signer: TestSigner, role: Role = "signer") -> UpdateKey:
    return UpdateKey(int(signer.algorithm), signer.raw, signer.kid, role)


SETTINGS = UpdateSettings(
    keys=(key(SIGNER), key(ES256), key(MAC), key(ROOT, "root"), key(REVOKED)),
    vendor="tinyops.example",
    sequence=4,
    algorithms=("ed25519", "es256", "aes"),
)


@pytest.fixture(scope="module", params=["host", "qemu-cortex-m4"])
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Firmware of the vendor and class that the cases are for."""
    wanted = find_board(request.param)
    if wanted.emulator is not None:
        for program in (f"{wanted.toolchain.name}-gcc", wanted.emulator.program):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_update, "class_text", lambda *_: "host|abi1|kws")
        try:
            build = build_updatable(request.param, folder, SETTINGS, sanitized=request.param == "host")
        except MissingToolError as error:
            pytest.skip(str(error))
    assert build.update is not None
    assert (build.update.vendor_id, build.update.class_id) == (VENDOR, CLASS)
    return build


class Device:
    """A device that has revoked REVOKED."""

    def __init__(self, client: DeviceClient) -> None:
        self.client = client
        self.updates = UpdateClient(client)
        content = cbor.encode([REVOKED.kid])
        image = Image(KEYS, hashlib.sha256(content).digest(), len(content), content=content)
        assert self.send(sign(emit(UpdateDescription(1, VENDOR, CLASS, (image,))), ROOT)) is Reason.OK
        self._good = accepted()["plain"]
        self._refused = 0

    def send(self, envelope: bytes) -> Reason:
        """What the device says to an envelope."""
        for number in range(max(1, -(-len(envelope) // 1024))):
            part = envelope[1024 * number : 1024 * (number + 1)]
            more = 1024 * (number + 1) < len(envelope)
            answer = self.client.put_block("suit/manifest", part, (number, more, 6))
            refusal = re.match(rb"reason (\d+): ", answer.payload)
            if refusal:
                return Reason.from_slug(answer.payload[refusal.end() :].decode())
            assert answer.name == ("2.31" if more else "2.04"), answer
        return Reason.OK

    def settle(self) -> None:
        """An accepted manifest begins the count of refused ones anew; the third of them would make a pause."""
        self._refused += 1
        if self._refused % 2:
            return
        assert self.send(self._good) is Reason.OK
        self.updates.cancel()


@pytest.fixture
def device(board: Build) -> Iterator[Device]:
    with launch(board.board, board.elf) as client:
        yield Device(client)
        assert mismatches(client, 1) == 0, "it is as it was"
        state = UpdateClient(client).state()
        assert (state.sequence, state.bank) == (4, None)


def expected(envelope: bytes, name: str, reason: Reason) -> set[Reason]:
    if len(envelope) > ENVELOPE_MAX:
        return {Reason.TOO_LARGE}
    if b"firmware" in envelope:
        return {reason, Reason.COMPONENT_UNKNOWN}
    return {LACKS.get(name, reason)}


@pytest.mark.parametrize("kind", ["envelopes", "structures"])
def test_refused_before_anything_happens(device: Device, kind: str) -> None:
    before = device.updates.state()
    for name, (envelope, reason) in (envelopes() if kind == "envelopes" else structures()).items():
        assert device.send(envelope) in expected(envelope, name, reason), name
        state = device.updates.state()
        assert (state.state, state.want, state.model) == ("idle", None, before.model), name
        device.settle()


def test_fail_on_the_way(device: Device) -> None:
    contents = fetches()
    for name, (envelope, reason) in executions().items():
        said = device.send(envelope)
        for _ in range(4):
            want = device.updates.state().want
            if said is not Reason.OK or want is None:
                break
            said = give(device, contents.get(want.uri))
        wanted = expected(envelope, name, reason)
        #                 what comes is no capsule, and that shows first
        assert said in wanted | {Reason.CAPSULE_MALFORMED}, name
        if said is Reason.CAPSULE_MALFORMED:
            assert b"no check" in name.encode() or URI.encode() in envelope, name
        assert device.updates.cancel().state == "idle"
        device.settle()


def give(device: Device, content: bytes | None) -> Reason:
    """Send what is wanted, or give up."""
    if content is None:
        device.updates.cancel()
        return Reason.PAYLOAD_MISSING
    for number in range(-(-len(content) // 1024)):
        more = 1024 * (number + 1) < len(content)
        answer = device.client.put_block("suit/payload", content[1024 * number :][:1024], (number, more, 6))
        refusal = re.match(rb"reason (\d+): ", answer.payload)
        if refusal:
            return Reason.from_slug(answer.payload[refusal.end() :].decode())
    return Reason.OK


def test_unusual_ones_are_accepted(device: Device) -> None:
    cases = accepted()
    for name, envelope in sorted(cases.items(), key=lambda case: case[0] == LAST):
        said = device.send(envelope)
        if b"firmware" in envelope:
            assert said is Reason.COMPONENT_UNKNOWN
        else:
            assert said in (Reason.OK, Reason.CAPSULE_MALFORMED, Reason.TRUNCATED), name
        device.updates.cancel()
        if name != LAST:
            device.settle()
    assert device.updates.state().accepted == 5


def test_every_truncation(device: Device) -> None:
    envelope = accepted()["plain"]
    for size in range(0, len(envelope), 3 if device.client.where == "board host" else 7):
        assert device.send(envelope[:size]) is Reason.TRUNCATED
        device.settle()


def test_flipped_bits(device: Device) -> None:
    envelope = accepted()["plain"]
    label = envelope.index(cbor.encode({4: SIGNER.kid})) + 1
    for at in range(0, len(envelope), 3 if device.client.where == "board host" else 5):
        changed = bytearray(envelope)
        changed[at] ^= 1 << at % 8
        assert device.send(bytes(changed)) is not Reason.OK or at == label
        device.updates.cancel()
        device.settle()
