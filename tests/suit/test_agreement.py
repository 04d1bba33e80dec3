"""The receivers in Python and C decide alike: the same reason and the same actions, for thousands of manifests."""

from __future__ import annotations

import os
import struct
import subprocess
from collections import Counter
from dataclasses import replace

import pytest

from tests.support.hostile import accepted, envelopes, executions, fetches, structures
from tests.support.receiver import host_program
from tests.support.suit import NEW, device
from tests.support.suit_mutants import AGREE, UNWRAP, mutants, seeds
from tinyops.suit import Reason
from tinyops.suit.receiver import Device, receive

COUNT = int(os.environ.get("TINYOPS_MUTANTS", "10000"))
SEED = int(os.environ.get("TINYOPS_SEED", "37"))
_SLOT, _VERSION = 1, (1, 2, 3)


def _device() -> Device:
    """The tests' device as suit_check can be told: slot and version of all components alike, no limit of size."""
    base = device(fetch=fetches().get, authorized=3, max_envelope=1 << 20)
    places = [replace(place, slot=_SLOT, version=_VERSION) for place in base.places]
    return replace(base, places=places, keys=[*base.keys, UNWRAP, AGREE])


DEVICE = _device()
UPDATED = replace(DEVICE, places=[replace(DEVICE.places[0], content=NEW), *DEVICE.places[1:]])


def _options(of: Device) -> list[str]:
    words: list[str] = []
    for key in of.keys:
        revoked = ":revoked" if key.revoked else ""
        words += ["--key", f"{key.kid.hex()}:{int(key.algorithm)}:{int(key.roles)}:{key.material.hex()}{revoked}"]
    for place in of.places:
        installed = "" if place.content is None else f":{place.content.hex()}"
        identity = f"{place.encoded.hex()}:{place.vendor.hex()}:{place.class_id.hex()}"
        words += ["--component", f"{identity}:{place.capacity}:{place.counter}:{int(place.roles)}{installed}"]
    for counter, last in of.sequences.items():
        words += ["--sequence", f"{counter}:{last}"]
    words += ["--device", (of.device_id or b"").hex(), "--now", str(of.now), "--battery", str(of.battery)]
    words += ["--authorized", str(of.authorized), "--slot", str(_SLOT), "--version", ",".join(map(str, _VERSION))]
    for uri, content in fetches().items():
        words += ["--payload", f"{uri}:{content.hex()}"]
    return words


def _in_c(data: list[bytes], *, boot: bool) -> list[str]:
    command = [str(host_program("suit_check")), *_options(UPDATED if boot else DEVICE), *(["--invoke"] if boot else [])]
    stdin = b"".join(struct.pack(">I", len(envelope)) + envelope for envelope in data)
    result = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()[-4000:]
    return result.stdout.decode().splitlines()


def _in_python(envelope: bytes, *, boot: bool) -> str:
    outcome = receive(envelope, UPDATED if boot else DEVICE, boot=boot)
    numbers = ["-" if number is None else str(number) for number in (outcome.sequence, outcome.signer)]
    return " ".join([str(outcome.reason.value), *numbers, *outcome.trace])


def _words(line: str) -> str:
    code, _, rest = line.partition(" ")
    return f"{Reason(int(code)).slug} {rest}"


def _agree(data: list[bytes], *, boot: bool = False) -> Counter[str]:
    """Both give the same answers; how often each reason."""
    answers = _in_c(data, boot=boot)
    assert len(answers) == len(data)
    found, reasons = [], Counter[str]()
    for envelope, answer in zip(data, answers, strict=True):
        own = _in_python(envelope, boot=boot)
        reasons[_words(own).split()[0]] += 1
        if own != answer:
            found.append(f"python {_words(own)}\n     c {_words(answer)}\n       {envelope.hex()}")
    assert not found, f"{len(found)} of {len(data)} differ:\n" + "\n".join(found[:5])
    return reasons


def test_hostile_manifests() -> None:
    cases = {**envelopes(), **structures(), **executions()}
    del cases["too large"]  # suit_check has no limit of its own
    _agree([data for data, _ in cases.values()])


def test_valid_manifests() -> None:
    """Among them each algorithm for signing with each for encrypting: the profiles of suit-mti."""
    data = [*seeds(), *accepted().values()]
    assert _agree(data) == {"ok": len(data)}


def test_valid_manifests_at_boot() -> None:
    assert _agree([*seeds(), *accepted().values()], boot=True)["ok"] > 20


@pytest.mark.slow
def test_mutated_manifests() -> None:
    reasons = _agree(list(mutants(COUNT, SEED)))
    if COUNT >= 10_000:
        assert len(reasons) >= 28  # the mutants reach most of the checks
        assert reasons["ok"] > COUNT // 50


@pytest.mark.slow
def test_mutated_manifests_at_boot() -> None:
    _agree(list(mutants(COUNT // 10, SEED + 1)), boot=True)
