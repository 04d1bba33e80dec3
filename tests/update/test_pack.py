"""Packs: what is in them, what is refused, and that they are there as a whole or not at all."""

from __future__ import annotations

import dataclasses
import errno
import functools
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyops.device.board import find_board
from tinyops.device.update import class_text
from tinyops.emit.capsule import read_capsule
from tinyops.errors import TinyopsError, UsageError
from tinyops.ops.interpreter import Interpreter
from tinyops.resources import data_dir
from tinyops.suit import Envelope, Reason, class_uuid, vendor_uuid
from tinyops.suit.commands import Digest
from tinyops.suit.encryption import decrypt
from tinyops.suit.keys import Role
from tinyops.suit.registry import Algorithm as Cose
from tinyops.suit.registry import DialectName, ReportReason
from tinyops.suit.report import Failure, Record, SuitReport
from tinyops.update import pack as packing
from tinyops.update.delta import apply_delta
from tinyops.update.inspection import inspect_bytes, inspect_path
from tinyops.update.keystore import Keystore
from tinyops.update.pack import Options, Packed, Part, Payload, Signing, choose_sequence, pack_parts
from tinyops.update.pack_folder import write_pack
from tinyops.update.pack_model import (
    Made,
    ModelOptions,
    Previous,
    board_target,
    make_capsule,
    model_part,
    read_previous,
)
from tinyops.update.signing import Algorithm, SoftwareSigner
from tinyops.update.target import Target, read_target

V1 = data_dir("models") / "digits" / "digits.tflite"
V2 = data_dir("models") / "digits" / "v2" / "digits.tflite"
OTHER = data_dir("models") / "motions" / "motions.tflite"
_TARGET = Target.of_text("example.com", "board|abi|task")


@functools.cache
def made(model: Path = V1) -> Made:
    return make_capsule(model, "digits", ModelOptions())


@functools.cache
def signing(algorithm: Algorithm = Algorithm.ED25519) -> Signing:
    return Signing("release", SoftwareSigner.generate(algorithm))


def _near(capsule: bytes) -> bytes:
    """The capsule of a fine-tuned model: its last weights changed by one, as far as a test needs it."""
    read = read_capsule(capsule)
    data = bytearray(read.data)
    for at in range(len(data) - 600, len(data) - 16, 7):
        data[at] ^= 1
    return dataclasses.replace(read, data=bytes(data)).encode()


def _pack(parts: list[Part] | None = None, **options: Any) -> Packed:
    parts = parts or [model_part(made(), _TARGET)]
    return pack_parts(parts, _TARGET, Options(**options), [signing()], options.get("sequence") or 7)


def test_the_class_is_that_of_the_build() -> None:
    board = find_board("qemu-cortex-m4")
    target = board_target(made(), "example.com", board)
    vendor = vendor_uuid("example.com")
    assert target.vendor_id == vendor
    assert target.class_id == class_uuid(vendor, class_text(board, made().compiled.program, made().data))


def test_a_pack_holds_what_its_manifest_names(tmp_path: Path) -> None:
    packed = _pack(sequence=9)
    assert set(packed.files) == {"manifest.suit", "capsule.bin", "pack.json"}
    assert json.loads(packed.files["pack.json"]) == packed.facts
    assert packed.facts["sequence"] == 9
    assert packed.facts["images"][0]["sha256"] == hashlib.sha256(packed.files["capsule.bin"]).hexdigest()
    write_pack(tmp_path / "pack", packed)
    shown = inspect_path(tmp_path / "pack", [signing().signer.public.key()])
    assert shown["ok"], shown
    assert shown["manifest"]["verdict"] == "authentic"
    assert not inspect_path(tmp_path / "pack")["ok"]
    other = SoftwareSigner.generate(Algorithm.ED25519).public.key()
    assert inspect_path(tmp_path / "pack", [other])["manifest"]["reason"] == "unknown-key"


@pytest.mark.parametrize("algorithm", [Algorithm.ES256, Algorithm.ML_DSA_44, Algorithm.ML_DSA_65])
def test_other_algorithms(algorithm: Algorithm) -> None:
    packed = pack_parts([model_part(made(), _TARGET)], _TARGET, Options(), [signing(algorithm)], 1)
    key = signing(algorithm).signer.public.key()
    assert inspect_bytes(packed.files["manifest.suit"], [key])["ok"]
    assert any("experimental" in text for text in packed.facts["warnings"]) == algorithm.experimental


def test_hss_signs_a_pack(tmp_path: Path) -> None:
    store = Keystore(tmp_path / "keys", tmp_path / "witness")
    record = store.generate("pq", Algorithm.HSSLMS)
    packed = pack_parts([model_part(made(), _TARGET)], _TARGET, Options(), [Signing("pq", store.signer(record))], 1)
    assert inspect_bytes(packed.files["manifest.suit"], store.verification_keys())["ok"]
    assert len(packed.files["manifest.suit"]) < packing.ENVELOPE_BYTES_HSSLMS
    assert packed.facts["warnings"] == []
    assert store.used_signatures(record) == (1, 1024)


def test_several_keys_sign() -> None:
    """Each alone vouches: devices that know one of them take the update."""
    keys = [signing(), signing(Algorithm.ES256)]
    packed = pack_parts([model_part(made(), _TARGET)], _TARGET, Options(), keys, 1)
    assert [key["algorithm"] for key in packed.facts["keys"]] == ["ed25519", "es256"]
    for key in keys:
        assert inspect_bytes(packed.files["manifest.suit"], [key.signer.public.key()])["ok"]
    with pytest.raises(TinyopsError, match="2 signers"):
        pack_parts([model_part(made(), _TARGET)], _TARGET, Options(dialect=DialectName.RIOT_LEGACY), keys, 1)


def test_riot_legacy() -> None:
    packed = _pack(dialect=DialectName.RIOT_LEGACY)
    shown = inspect_bytes(packed.files["manifest.suit"], [signing().signer.public.key()])
    assert (shown["ok"], shown["dialect"]) == (True, "riot-legacy")
    assert packed.facts["warnings"] == ["RIOT fetches from full URIs alone: --server coap://HOST"]
    assert _pack(dialect=DialectName.RIOT_LEGACY, server="coap://[fd00::1]").facts["warnings"] == []
    with pytest.raises(TinyopsError, match="use_before cannot be said"):
        _pack(dialect=DialectName.RIOT_LEGACY, use_before=int(time.time()) + 100)


def test_uris_for_devices_that_fetch(tmp_path: Path) -> None:
    packed = _pack(server="coap://updates.example.com")
    digest = hashlib.sha256(packed.files["capsule.bin"]).hexdigest()
    assert packed.facts["images"][0]["uri"] == f"coap://updates.example.com/p/{digest[:16]}"
    assert _pack().facts["images"][0]["uri"] == f"/p/{digest[:16]}"
    write_pack(tmp_path / "pack", packed)
    assert inspect_path(tmp_path / "pack", [signing().signer.public.key()])["ok"]
    (tmp_path / "pack" / "capsule.bin").write_bytes(_near(made().encoded))
    why = inspect_path(tmp_path / "pack", [signing().signer.public.key()])["why"]
    assert why == f"coap://updates.example.com/p/{digest[:16]} is none of the files here: it is missing, or was changed"


# -- golden vectors ---------------------------------------------------------------------------------------------------


def test_recorded_golden_vectors(tmp_path: Path) -> None:
    images = np.random.default_rng(3).integers(-128, 128, (5, 1, 8, 8, 1), dtype=np.int8)
    np.savez(tmp_path / "golden.npz", images)
    found = make_capsule(V1, "digits", ModelOptions(golden_inputs=tmp_path / "golden.npz"))
    vectors = found.capsule.golden
    assert [vector.inputs for vector in vectors] == [(image.tobytes(),) for image in images]
    interpreter = Interpreter(found.compiled.model)
    assert [vector.outputs[0] for vector in vectors] == [interpreter.run(image)[0].tobytes() for image in images]


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"a": np.zeros((4, 1, 8, 8, 1), np.int8), "b": np.zeros(3)},
        {"a": np.zeros((4, 1, 8, 8, 1), np.float32)},
        {"a": np.zeros((4, 8, 8, 1), np.int8)},
        {"a": np.zeros((0, 1, 8, 8, 1), np.int8)},
        {"a": np.zeros((65, 1, 8, 8, 1), np.int8)},
        {"a": np.int8(1)},
        {"a": np.array([{}], object)},
    ],
)
def test_golden_inputs_that_do_not_fit(tmp_path: Path, arrays: dict[str, Any]) -> None:
    file = tmp_path / "golden.npz"
    np.savez(file, **arrays)
    with pytest.raises(UsageError):
        make_capsule(V1, "digits", ModelOptions(golden_inputs=file))


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04" + bytes(100), b"\x93NUMPY" + bytes(10)])
def test_what_is_no_npz(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "golden.npz"
    file.write_bytes(content)
    with pytest.raises(UsageError):
        make_capsule(V1, "digits", ModelOptions(golden_inputs=file))


def test_metadata(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_bytes(b"1,2\n")
    found = make_capsule(V1, "digits", ModelOptions(dataset=data, sbom="sbom.json"))
    assert found.capsule.metadata["dataset"] == hashlib.sha256(b"1,2\n").digest()
    assert found.capsule.metadata["sbom"] == "sbom.json"
    assert found.capsule.metadata["model"] == "digits.tflite"


# -- deltas -----------------------------------------------------------------------------------------------------------


def test_deltas_that_are_worth_having() -> None:
    new = made()
    before = _near(new.encoded)
    part = model_part(new, _TARGET, [Previous("near", before, 3), Previous("again", before, 3)])
    (delta,) = part.deltas
    digest = hashlib.sha256(before).digest()
    assert (delta.base, delta.base_bytes) == (digest, len(before))
    assert delta.file == f"delta-{digest.hex()[:8]}.bin"
    assert len(delta.content) < 0.3 * len(new.encoded)
    assert apply_delta(before, delta.content) == new.encoded
    packed = _pack([part])
    assert packed.facts["images"][0]["deltas"][0]["bytes"] == len(delta.content)
    shown = inspect_bytes(packed.files[delta.file])
    assert shown["ok"]
    assert shown["base_sha256"] == digest.hex()
    assert shown["result_sha256"] == part.digest.hex()


def test_deltas_that_are_not(tmp_path: Path) -> None:
    motions = make_capsule(OTHER, "motions", ModelOptions()).encoded
    earlier = [Previous("same", made().encoded, 1), Previous("other", motions, 1), Previous("v2", made(V2).encoded, 1)]
    part = model_part(made(), _TARGET, earlier)
    assert part.deltas == ()
    whys = {skipped["from"]: skipped["why"] for skipped in part.facts["skipped_deltas"]}
    assert whys["same"] == "the same capsule"
    assert whys["other"] == "a model of another structure"
    assert "% of the whole" in whys["v2"]


def test_previous_may_be_a_file_or_a_pack(tmp_path: Path) -> None:
    write_pack(tmp_path / "plain", _pack(sequence=5))
    recipients = (Keystore(tmp_path / "k", tmp_path / "w"),)
    record = recipients[0].generate("dev", Algorithm.AES_KW, "decrypt")
    write_pack(tmp_path / "sealed", _pack(recipients=(recipients[0].recipient(record),)))
    (tmp_path / "capsule").write_bytes(made().encoded)
    for name, sequence in (("plain", 5), ("sealed", 7), ("capsule", None)):
        found = read_previous(tmp_path / name)
        assert (found.capsule, found.sequence) == (made().encoded, sequence)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no capsule"):
        read_previous(tmp_path / "empty")
    with pytest.raises(UsageError, match="is no capsule"):
        read_previous(V1)
    with pytest.raises(UsageError, match="no such file"):
        read_previous(tmp_path / "missing")


# -- encryption -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [Algorithm.AES_KW, Algorithm.ECDH_ES])
@pytest.mark.parametrize("cipher", [Cose.A128CTR, Cose.A128GCM])
def test_encryption(tmp_path: Path, algorithm: Algorithm, cipher: Cose) -> None:
    store = Keystore(tmp_path / "keys", tmp_path / "witness")
    record = store.generate("dev", algorithm, "decrypt")
    part = model_part(made(), _TARGET, [Previous("near", _near(made().encoded), 1)])
    packed = _pack([part], recipients=(store.recipient(record),), cipher=cipher)
    assert packed.files["capsule.plain"] == made().encoded
    sent = packed.files["capsule.bin"]
    assert made().encoded[300:400] not in sent
    keys = store.device_keys()
    infos = _encryption_infos(packed.files["manifest.suit"])
    delta = packed.files[part.deltas[0].file]
    assert decrypt(sent, infos[_uri(sent)], keys) == made().encoded
    assert decrypt(delta, infos[_uri(delta)], keys) == part.deltas[0].content
    write_pack(tmp_path / "pack", packed)
    assert (tmp_path / "pack" / "capsule.plain").stat().st_mode & 0o077 == 0
    assert inspect_path(tmp_path / "pack", [signing().signer.public.key()])["ok"]


def _uri(content: bytes) -> str:
    return f"/p/{hashlib.sha256(content).hexdigest()[:16]}"


def _encryption_infos(envelope: bytes) -> dict[str, bytes]:
    """URI -> encryption info, of a manifest."""
    from tinyops.suit.commands import SetParameters, TryEach
    from tinyops.suit.registry import Parameter, Section

    found: dict[str, bytes] = {}

    def collect(commands: Any) -> None:
        for command in commands or ():
            if isinstance(command, SetParameters) and Parameter.ENCRYPTION_INFO in command.values:
                found[command.values[Parameter.URI]] = command.values[Parameter.ENCRYPTION_INFO]
            elif isinstance(command, TryEach):
                for branch in command.branches:
                    collect(branch)

    collect(Envelope.decode(envelope).model().sequences[Section.INSTALL])
    return found


# -- what is refused --------------------------------------------------------------------------------------------------


def test_a_report_is_told_from_a_manifest() -> None:
    sound = SuitReport("coap://h/m", Digest(b"d" * 32))
    assert inspect_bytes(sound.encode()) == {
        "kind": "suit-report",
        "ok": True,
        "bytes": len(sound.encode()),
        "of": "coap://h/m",
        "manifest_sha256": (b"d" * 32).hex(),
        "carried_out": "yes",
    }
    for code, because in ((Reason.CLASS_MISMATCH, f"{Reason.CLASS_MISMATCH.text} (class-mismatch)"), (9999, 9999)):
        failure = Failure(int(code), Record(3, 1, 0), ReportReason.CONDITION_FAILED)
        shown = inspect_bytes(SuitReport("", None, (), failure).encode())
        assert (shown["carried_out"], shown["because"]) == ("no", because)
        assert shown["at"] == {"section": 3, "command": 1}
    trial = Failure(0, Record(0, 0, 0), ReportReason.INVOKE_PENDING)
    assert inspect_bytes(SuitReport("", None, (), trial).encode())["carried_out"] == "it is on trial, or about to be"
    assert inspect_bytes(sound.encode()[:-1])["kind"] == "manifest"


def test_an_expired_update_is_refused() -> None:
    with pytest.raises(TinyopsError, match="would be expired: use-before 2020-09-13 12:26:40 UTC has passed"):
        _pack(use_before=1_600_000_000)


@pytest.mark.parametrize("sequence", [0, -1, 1 << 32])
def test_sequence_numbers_that_are_none(sequence: int) -> None:
    with pytest.raises(UsageError, match="the sequence number"):
        choose_sequence(Options(sequence=sequence), _TARGET, [])


def test_the_sequence_number_ascends() -> None:
    assert choose_sequence(Options(sequence=6), _TARGET, [(5, "old")]) == 6
    for sequence in (4, 5):
        with pytest.raises(TinyopsError, match=f"{sequence} is not above 5 of old"):
            choose_sequence(Options(sequence=sequence), _TARGET, [(5, "old")])
    with pytest.raises(TinyopsError, match="not above 9 of the firmware's build"):
        choose_sequence(Options(sequence=9), dataclasses.replace(_TARGET, sequence=9), [])
    before = int(time.time())
    assert before <= choose_sequence(Options(), _TARGET, [(5, "old")]) <= time.time()
    with pytest.raises(TinyopsError, match="is not above 4000000000"):
        choose_sequence(Options(), _TARGET, [(4_000_000_000, "old")])


def test_a_model_that_the_firmware_cannot_run() -> None:
    capsule = made().capsule
    fits = dataclasses.replace(
        _TARGET, kernel_abi=capsule.kernel_abi, plan=capsule.plan, bank_bytes=len(made().encoded), name="digits"
    )
    assert model_part(made(), fits).image == made().encoded
    for change, what in (
        ({"plan": bytes(32)}, "another structure"),
        ({"kernel_abi": bytes(32)}, "needs other kernels"),
        ({"bank_bytes": len(made().encoded) - 1}, "a bank of the firmware has"),
    ):
        with pytest.raises(TinyopsError, match=what):
            model_part(made(), dataclasses.replace(fits, **change))


# -- folders ----------------------------------------------------------------------------------------------------------


def test_a_pack_is_never_changed(tmp_path: Path) -> None:
    write_pack(tmp_path / "pack", _pack())
    with pytest.raises(UsageError, match="exists already"):
        write_pack(tmp_path / "pack", _pack())
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="exists already"):
        write_pack(tmp_path / "file", _pack())
    (tmp_path / "empty").mkdir()
    write_pack(tmp_path / "empty", _pack())


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, done = _pack(), 0

    def full(_handle: int) -> None:
        nonlocal done
        done += 1
        if done == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TinyopsError, match="cannot write: No space left on device"):
        write_pack(tmp_path / "pack", packed)
    assert list(tmp_path.iterdir()) == []


def test_payload_names_do_not_collide() -> None:
    part = model_part(made(), _TARGET)
    twice = dataclasses.replace(part, deltas=(Payload("capsule.bin", b"x", bytes(32), 5),))
    with pytest.raises(UsageError, match=r"two payloads are called capsule.bin"):
        _pack([twice])


# -- inspection -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["capsule.bin", "delta"])
@pytest.mark.parametrize("how", ["changed", "missing", "cut", "another"])
def test_payloads_that_were_exchanged(tmp_path: Path, name: str, how: str) -> None:
    part = model_part(made(), _TARGET, [Previous("near", _near(made().encoded), 1)])
    folder = tmp_path / "pack"
    write_pack(folder, _pack([part]))
    file = folder / (part.deltas[0].file if name == "delta" else name)
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert inspect_path(folder, [signing().signer.public.key()])["ok"]
    if how == "missing":
        file.unlink()
    elif how == "changed":
        file.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    elif how == "cut":
        file.write_bytes(content[:70])
    else:
        file.write_bytes(_near(made().encoded))
    shown = inspect_path(folder, [signing().signer.public.key()])
    assert not shown["ok"]
    assert shown["why"] == f"/p/{digest[:16]} is none of the files here: it is missing, or was changed"
    assert shown["manifest"]["ok"]


@pytest.mark.parametrize("magic", [b"TOC1", b"TOD1", b"RIOT", b"\x3d\xb8\xf3\x96", b"", b"\xd8\x6b", b"{"])
@pytest.mark.parametrize("size", [0, 1, 12, 79, 300])
def test_hostile_files(magic: bytes, size: int) -> None:
    for filler in (0, 0xFF, 0x5A):
        shown = inspect_bytes(magic + bytes([filler]) * size)
        assert isinstance(shown["kind"], str)
        assert not (shown["ok"] and shown["kind"] in ("manifest", "capsule"))
        json.dumps(shown)


def test_a_role_is_for_one_purpose() -> None:
    """A device takes no model from a root key, and so inspection does not."""
    key = signing().signer.public.key(Role.ROOT)
    shown = inspect_bytes(_pack().files["manifest.suit"], [key])
    assert (shown["ok"], shown["verdict"], shown["reason"]) == (False, "refused", "unauthorized")
    assert shown["why"] == "the key that signed is not a signer key"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["manifest.suit", "capsule.bin", "delta"]), st.data())
def test_mutated_files(name: str, data: st.DataObject) -> None:
    """Whatever was changed, inspection says so, or nothing of meaning was changed."""
    content = bytearray(_files()[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        how = data.draw(st.sampled_from(["set", "cut", "insert"]))
        if how == "set":
            content[at] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del content[at : at + data.draw(st.integers(1, 40))]
            content = content or bytearray(1)
        else:
            content[at:at] = data.draw(st.binary(max_size=8))
    shown = inspect_bytes(bytes(content), [signing().signer.public.key()])
    json.dumps(shown)
    if name == "manifest.suit" and bytes(content) != _files()[name]:
        assert not shown["ok"]


@functools.cache
def _files() -> dict[str, bytes]:
    part = model_part(made(), _TARGET, [Previous("near", _near(made().encoded), 1)])
    return {**_pack([part]).files, "delta": part.deltas[0].content}


def test_an_image_for_two_slots() -> None:
    """Each slot's image is what a device with that slot gets: the rehearsal tries both."""
    other = Payload("slot-1-firmware.bin", b"linked for slot 1")
    part = Part((b"firmware",), b"linked for slot 0", Payload("firmware.bin", b"linked for slot 0"), other_slot=other)
    packed = _pack([part])
    assert [slot["file"] for slot in packed.facts["images"][0]["slots"]] == ["firmware.bin", "slot-1-firmware.bin"]


def test_the_rehearsal_notices_what_a_device_would_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    part = model_part(made(), _TARGET)
    wrong = dataclasses.replace(part, whole=Payload("capsule.bin", made().encoded[:-1] + b"x"))
    with pytest.raises(TinyopsError, match="a device would refuse the update"):
        _pack([wrong])


def test_a_truncated_capsule_is_explained() -> None:
    for size in range(4, len(made().encoded), 501):
        shown = inspect_bytes(made().encoded[:size])
        assert (shown["ok"], shown["reason"]) == (False, "truncated")


# -- the report of a build --------------------------------------------------------------------------------------------


def _report(**changes: Any) -> dict[str, Any]:
    update = {
        "vendor": "example.com",
        "vendor_id": "16c80710f7a155dbaedf251d2e1424cb",
        "class_id": "6a2ef6e0bb66564fbaf1482cde00e5ac",
        "sequence": 4,
        "kernel_abi": "ab" * 32,
        "plan": "cd" * 32,
        "keys": [{"kid": "0102030405060708", "algorithm": -19, "role": "signer"}],
        "region": {"bank_bytes": 16384},
    }
    return {"model": {"name": "digits"}, "board": {"name": "host"}, "update": update | changes}


def test_the_target_of_a_build(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(_report()))
    target = read_target(tmp_path)
    assert (target.name, target.board, target.sequence, target.bank_bytes) == ("digits", "host", 4, 16384)
    assert target.keys == {bytes(range(1, 9)): "signer"}
    assert target.features is None
    (tmp_path / "report.json").write_text(json.dumps(_report() | {"features": {"settings": {"kind": "audio-micro"}}}))
    found = read_target(tmp_path).features
    assert found is not None
    assert found.kind == "audio-micro"


@pytest.mark.parametrize(
    "report",
    [
        "",
        "[]",
        "[" * 100_000,
        json.dumps(_report() | {"update": 1}),
        json.dumps(_report(plan="00")),
        json.dumps(_report(sequence=-1)),
        json.dumps(_report(region={"bank_bytes": "1"})),
        json.dumps(_report(keys=[{"kid": "zz", "role": "signer"}])),
    ],
)
def test_a_damaged_report(tmp_path: Path, report: str) -> None:
    (tmp_path / "report.json").write_text(report)
    with pytest.raises(UsageError, match="is no build report"):
        read_target(tmp_path)


def test_builds_that_cannot_be_updated(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no report.json"):
        read_target(tmp_path)
    (tmp_path / "report.json").write_text(json.dumps({"model": {}, "board": {}}))
    with pytest.raises(TinyopsError, match="cannot be updated"):
        read_target(tmp_path)
