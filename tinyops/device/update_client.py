"""Updates over a device's line: send them, resume them, ask what became of them."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import cbor2

from tinyops.device.client import Answer, DeviceClient
from tinyops.device.protocol import read_answer
from tinyops.device.update_protocol import UpdateState, Want, read_senml, reason_of
from tinyops.errors import DeviceError
from tinyops.suit.reasons import Reason

_CHANGED, _CONTINUE, _INCOMPLETE, _TOO_LARGE = 0x44, 0x5F, 0x88, 0x8D
_CBOR, _SENML_CBOR = 60, 112
_REFUSAL = re.compile(rb"reason ([0-9]{1,5}): ")
_BLOCKS = (1024, 512, 256, 128, 64, 32, 16)
_ETAG_BYTES = 8
_TURNS = 64  # payloads and resumptions of one update
_PROCESSING_SECONDS = 120.0  # signature checks, digests of images, erasing
_TRIAL_SECONDS = 300.0
_PAUSE = 0.2  # seconds between two questions

#: What a person is to do about a refusal. Reasons that are not here need no more than their own text.
ADVICE = {
    Reason.UNKNOWN_KEY: "tinyops keys list, and build the firmware with the key that signs",
    Reason.REVOKED_KEY: "sign with another key: tinyops update pack ... --key NAME",
    Reason.WRONG_ALGORITHM: "tinyops keys list shows which algorithm each key has",
    Reason.NO_AUTHENTICATION: "tinyops update inspect shows who signed it",
    Reason.BAD_SIGNATURE: "tinyops update inspect; pack it again with tinyops update pack",
    Reason.SEQUENCE_REPLAYED: "pack it with a higher number: tinyops update pack ... --sequence N",
    Reason.EXPIRED: "pack it again with a later --use-before",
    Reason.NO_CLOCK: "pack it without --use-before, or give the device the time",
    Reason.VENDOR_MISMATCH: "tinyops update inspect shows whom it is for",
    Reason.CLASS_MISMATCH: "pack it for this firmware: tinyops update pack ... --build FOLDER",
    Reason.DEVICE_MISMATCH: "tinyops update inspect shows whom it is for",
    Reason.COMPONENT_UNKNOWN: "tinyops update inspect shows its components",
    Reason.SLOT_TOO_SMALL: "build the firmware with larger banks, or make the model smaller",
    Reason.TOO_LARGE: "fewer deltas or signatures, or a build with a larger envelope buffer",
    Reason.CAPSULE_ABI: "the model needs new firmware: tinyops build --updatable, then flash",
    Reason.CAPSULE_PLAN: "a model of another structure needs new firmware: tinyops build --updatable, then flash",
    Reason.DELTA_BASE: "pack it again, with the deltas from what the device runs, or none",
    Reason.CANCELLED: "send it again: tinyops update push PACK",
    Reason.BUSY: "a model on trial is confirmed by inferences, or undone: tinyops update status --cancel",
    Reason.RATE_LIMITED: "wait a while, then run the same command again",
    Reason.UNSUPPORTED: "build the firmware with the feature: tinyops build --updatable --update-algorithms ...",
    Reason.SELF_TEST: "the old model runs on; check the golden vectors: tinyops update inspect",
    Reason.SELF_TEST_HANG: "the old model runs on; check the model on an emulated board",
    Reason.HEALTH: "the old model runs on; look for what reset the device",
}


class UpdateError(DeviceError):
    """The device has refused, ended or undone an update; `reason` is its code."""

    def __init__(self, what: str, reason: Reason, where: str) -> None:
        super().__init__(f"{what}: {reason.text} ({reason.slug})", where=where, hint=ADVICE.get(reason))
        self.reason = reason

    def as_dict(self) -> dict[str, str | None]:
        return super().as_dict() | {"reason": self.reason.slug}


#: Is told of a transfer: the name of what is sent, how many bytes of it are on the device, and of how many.
Progress = Callable[[str, int, int], None]


def _silent(name: str, done: int, total: int) -> None:
    """Shows nothing."""


#: The payload at a URI that a manifest names; raises TinyopsError when there is none.
Payloads = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of an update: the device's last `state`, `sent` bytes of payloads, and whether it was `resumed`.

    `new` is False when the device had it already.
    """

    state: UpdateState
    sent: int
    resumed: bool
    new: bool


class UpdateClient:
    """The updates of one device. Failures of the link are DeviceErrors, refusals of the device UpdateErrors."""

    def __init__(self, client: DeviceClient) -> None:
        self._client = client
        self.where = client.where

    def state(self) -> UpdateState:
        """What runs, and what became of the last update. DeviceError where the firmware takes no updates."""
        try:
            answer = self._client.get("suit/state", accept=_CBOR)
        except DeviceError as error:
            if "4.04" in error.what:
                raise DeviceError(
                    "the firmware takes no updates", where=self.where, hint="tinyops build MODEL --updatable"
                ) from error
            raise
        return read_answer(UpdateState, answer, f"{self.where}, /suit/state")

    def status(self) -> dict[str, int | float | str]:
        """The device's telemetry, by name."""
        return read_senml(self._client.get("status", accept=_SENML_CBOR), f"{self.where}, /status")

    def report(self) -> bytes | None:
        """The suit-report (CBOR) of the last manifest; None when there is none since the start."""
        try:
            return self._client.get("suit/report", accept=_CBOR)
        except DeviceError as error:
            if "4.04" in error.what:
                return None
            raise

    def cancel(self) -> UpdateState:
        """End a download, take back a model that is pending or on trial."""
        self._client.post("suit/cancel")
        self._client.forget_info()
        return self.state()

    def push(self, envelope: bytes, digest: bytes, payloads: Payloads, progress: Progress = _silent) -> Pushed:
        """Send the update of the manifest with the SHA-256 `digest`; goes on where an earlier push stopped.

        An unfinished download of another update is ended. Returns when the new model runs, on trial or confirmed, or
        when there was nothing to try. Raises UpdateError when the device refuses it or undoes the model.
        """
        if self._client.link.name == "serial" or self._client.is_protected:
            self._client.info()  # a block that is too large would be dropped there, or be no protected message
        before = self.state()
        if before.manifest == digest and before.state != "downloading" and before.outcome is Reason.OK:
            return Pushed(self._tried(before), 0, resumed=False, new=False)
        resumed = before.state == "downloading" and before.manifest == digest
        if not resumed:
            if before.state == "downloading":
                self.cancel()
            self._send_manifest(envelope, progress)
        sent, resumed = self._send_payloads(payloads, progress, resumed)
        return Pushed(self._tried(self.state()), sent, resumed, new=True)

    def _send_manifest(self, envelope: bytes, progress: Progress) -> None:
        offset = 0
        for _ in range(_TURNS + len(envelope) // 16):
            size = self._block_bytes(offset)
            answer = self._put("suit/manifest", envelope, offset, size, None)
            if self._is_too_large(answer, size):
                continue
            if answer.code == _CHANGED:
                progress("manifest", len(envelope), len(envelope))
                return
            offset = offset + size if answer.code == _CONTINUE else self._wanted(answer, "suit/manifest", len(envelope))
            progress("manifest", offset, len(envelope))
        raise DeviceError("the transfer of the manifest does not end", where=self.where)

    def _send_payloads(self, payloads: Payloads, progress: Progress, resumed: bool) -> tuple[int, bool]:
        sent = 0
        for _ in range(_TURNS):
            want = self.state().want
            if want is None:
                return sent, resumed
            resumed |= want.offset > 0
            sent += self._send_payload(want, payloads(want.uri), progress)
        raise DeviceError("the download does not end", where=self.where, hint="tinyops update status")

    def _send_payload(self, want: Want, content: bytes, progress: Progress) -> int:
        """Send until the device wants something else; the bytes that were sent."""
        etag = hashlib.sha256(content).digest()[:_ETAG_BYTES]
        if want.offset > len(content):
            raise DeviceError(
                f"wants byte {want.offset:,} of {want.uri}, which has {len(content):,}",
                where=self.where,
                hint="it began with another payload of this name: tinyops update push --restart",
            )
        sent, offset = 0, want.offset
        while True:
            size = self._block_bytes(offset)
            answer = self._put("suit/payload", content, offset, size, etag)
            if self._is_too_large(answer, size):
                continue
            if answer.code in (_CHANGED, _CONTINUE):
                sent += len(content[offset : offset + size])
                offset += size
                progress(want.uri, min(offset, len(content)), len(content))
            if answer.code == _CHANGED:
                return sent
            if answer.code != _CONTINUE:
                self._wanted(answer, "suit/payload", len(content))
                return sent

    def _block_bytes(self, offset: int) -> int:
        """The largest block of the link that begins at `offset`."""
        for size in _BLOCKS:
            if size <= self._client.link.block_bytes and offset % size == 0:
                return size
        raise DeviceError(f"wants byte {offset:,}, where no block begins", where=self.where)

    def _is_too_large(self, answer: Answer, size: int) -> bool:
        """Whether a block was refused for its size alone; then the next one is smaller (RFC 7959, 2.9.3)."""
        return answer.code == _TOO_LARGE and self._client.info().block_bytes < size

    def _put(self, path: str, content: bytes, offset: int, size: int, etag: bytes | None) -> Answer:
        part = content[offset : offset + size]
        more = offset + size < len(content)
        block = (offset // size, more, size.bit_length() - 5)
        total = len(content) if offset == 0 else None
        return self._client.put_block(
            path, part, block, total=total, etag=etag, timeout=None if more else _PROCESSING_SECONDS
        )

    def _wanted(self, answer: Answer, path: str, size: int) -> int:
        """The offset that the device asks for instead; a refusal is raised."""
        if answer.code == _INCOMPLETE and answer.format == _CBOR:
            try:
                offset = cbor2.loads(answer.payload)
            except (cbor2.CBORDecodeError, RecursionError):
                offset = None
            if isinstance(offset, int) and 0 <= offset <= size:
                return offset
        refusal = _REFUSAL.match(answer.payload)
        reason = reason_of(int(refusal[1])) if refusal else None
        if reason is not None:
            raise UpdateError("refused", reason, self.where)
        text = answer.payload[:200].decode("utf-8", "replace")
        raise DeviceError(f"answered {answer.name}" + (f": {text}" if text else ""), where=f"{self.where}, /{path}")

    def _tried(self, state: UpdateState) -> UpdateState:
        """The state after the trial has begun, or failed."""
        deadline = time.monotonic() + _TRIAL_SECONDS
        while state.state == "pending" and time.monotonic() < deadline:
            time.sleep(_PAUSE)
            state = self.state()
        self._client.forget_info()
        outcome = state.outcome
        if outcome is None:
            raise DeviceError(f"the update failed: reason {state.reason}", where=self.where)
        if outcome is not Reason.OK:
            undone = outcome in (Reason.SELF_TEST, Reason.SELF_TEST_HANG, Reason.HEALTH)
            raise UpdateError("the new model was undone" if undone else "the update failed", outcome, self.where)
        return state
