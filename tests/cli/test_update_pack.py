"""tinyops update pack and inspect"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Tinyops
from tinyops.device.board import find_board
from tinyops.device.build import build_firmware
from tinyops.device.update import UpdateKey, UpdateSettings
from tinyops.update.keystore import Keystore
from tinyops.update.signing import Algorithm


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keystore:
    """A folder of keys with a signer, the default one."""
    monkeypatch.delenv("TINYOPS_KEY_PASSPHRASE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TINYOPS_KEYS", str(tmp_path / "keys"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    store = Keystore(tmp_path / "keys")
    store.generate("release")
    return store


@pytest.fixture
def second(digits: Path) -> Path:
    """The digits model, trained anew."""
    return digits.parent / "v2" / "digits.tflite"


def test_pack_and_inspect(tinyops: Tinyops, digits: Path, second: Path, tmp_path: Path) -> None:
    done = tinyops("update", "pack", digits, "--board", "host", "-o", "v1", "--sequence", "1")
    assert done.code == 0
    assert "sequence 1, signed with release (ed25519, kid " in done.out
    done = tinyops("update", "pack", second, "--board", "host", "-o", "v2", "--previous", "v1", "--sequence", "2")
    assert done.code == 0
    assert "no delta from v1: it has " in done.out
    assert sorted(path.name for path in (tmp_path / "v2").iterdir()) == ["capsule.bin", "manifest.suit", "pack.json"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    shown = tinyops("update", "inspect", "v2")
    assert shown.code == 0
    assert shown.out.startswith("pack: sound\nmanifest: authentic: a key that you trust signed it\n")
    assert "good: ed25519 by release" in shown.out
    assert tinyops("update", "inspect", "v2/capsule.bin").out.startswith("capsule: sound\n  name: digits\n")
    assert tinyops("update", "inspect", "v2/manifest.suit", "--json").json()["sequence"] == 2


def test_a_pack_that_comes_too_late_is_told(tinyops: Tinyops, digits: Path, second: Path, tmp_path: Path) -> None:
    assert tinyops("update", "pack", digits, "--board", "host", "-o", "a", "--sequence", "9").code == 0
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "pack.json").write_text("{")
    for sequence, told in (("8", True), ("9", True), ("10", False)):
        done = tinyops("update", "pack", second, "--board", "host", "-o", f"b{sequence}", "--sequence", sequence)
        assert done.code == 0
        assert (
            "warning: a, for the same devices, has sequence 9: those that have it refuse this pack" in done.out
        ) == told
    done = tinyops(
        "update", "pack", second, "--board", "host", "--vendor", "other.example", "-o", "c", "--sequence", "2"
    )
    assert "warning" not in done.out


def test_json_says_what_is_inside(tinyops: Tinyops, digits: Path, tmp_path: Path) -> None:
    done = tinyops("update", "pack", digits, "--board", "host", "-o", "v1", "--json")
    assert done.code == 0
    assert done.json()["folder"] == "v1"
    assert done.json() | {"folder": None} == json.loads((tmp_path / "v1" / "pack.json").read_text()) | {"folder": None}


def test_the_default_folder_tells_the_sequence(tinyops: Tinyops, digits: Path, tmp_path: Path) -> None:
    assert tinyops("update", "pack", digits, "--board", "host", "--sequence", "12").code == 0
    assert (tmp_path / "updates" / "digits-12" / "manifest.suit").is_file()


def test_inspect_fails_for_what_nobody_trusts(tinyops: Tinyops, digits: Path, keys: Keystore, tmp_path: Path) -> None:
    tinyops("update", "pack", digits, "--board", "host", "-o", "v1")
    tinyops("keys", "export", "release", "-o", "release.pem")
    tinyops("keys", "export", "release", "--format", "cose", "-o", "release.cose")
    none = ["--keys", tmp_path / "none"]
    for key in ("release.pem", "release.cose"):
        assert tinyops("update", "inspect", "v1", "--key", key, *none).code == 0
    done = tinyops("update", "inspect", "v1", *none)
    assert done.code == 1
    assert "not verified: no key was given to verify with" in done.out
    keys.generate("other")
    done = tinyops("update", "inspect", "v1", "--key", "other")
    assert done.code == 1
    assert "refused: the key that signed is not provisioned" in done.out
    keys.mark_revoked("release")
    done = tinyops("update", "inspect", "v1", "--json")
    assert done.code == 1
    assert done.json()["manifest"]["reason"] == "revoked-key"


@pytest.mark.parametrize("content", [b"", b"x", b"-----BEGIN PUBLIC KEY-----", b"\xa0", b"\xa1\x03\x26", bytes(90)])
def test_keys_that_are_none(tinyops: Tinyops, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    (tmp_path / "manifest.suit").write_bytes(b"x")
    done = tinyops("update", "inspect", "manifest.suit", "--key", "key.pem")
    assert done.code == 2
    assert "allowed: a key's name, or a file with a public key" in done.err


@pytest.mark.parametrize("name", ["hss", "es256", "ml"])
def test_every_kind_of_key_verifies_from_a_file(tinyops: Tinyops, digits: Path, keys: Keystore, name: str) -> None:
    algorithm = {"hss": Algorithm.HSSLMS, "es256": Algorithm.ES256, "ml": Algorithm.ML_DSA_44}[name]
    keys.generate(name, algorithm)
    assert tinyops("update", "pack", digits, "--board", "host", "-o", "v1", "--key", name).code == 0
    for form in ("pem", "cose"):
        assert tinyops("keys", "export", name, "--format", form, "-o", f"key.{form}").code == 0
        assert tinyops("update", "inspect", "v1", "--key", f"key.{form}").code == 0


def test_no_key(tinyops: Tinyops, digits: Path, tmp_path: Path) -> None:
    done = tinyops("update", "pack", digits, "--board", "host", "--keys", tmp_path / "none")
    assert done.code == 1
    assert f"there is no key that signs updates in {tmp_path / 'none'}" in done.err
    assert "try: tinyops keys generate NAME" in done.err


def test_several_keys(tinyops: Tinyops, digits: Path, keys: Keystore) -> None:
    keys.generate("second")
    done = tinyops("update", "pack", digits, "--board", "host")
    assert done.code == 2
    assert "several keys could sign" in done.err
    keys.mark_revoked("second")
    assert tinyops("update", "pack", digits, "--board", "host", "-o", "v1").code == 0


def test_two_keys_sign(tinyops: Tinyops, digits: Path, keys: Keystore) -> None:
    keys.generate("second", Algorithm.ES256)
    done = tinyops("update", "pack", digits, "--board", "host", "--key", "release", "--key", "second", "-o", "v1")
    assert done.code == 0
    assert "signed with release (ed25519, kid " in done.out
    for name in ("release", "second"):
        assert tinyops("update", "inspect", "v1", "--key", name).code == 0


def test_a_revoked_key(tinyops: Tinyops, digits: Path, keys: Keystore) -> None:
    keys.mark_revoked("release")
    done = tinyops("update", "pack", digits, "--board", "host", "--key", "release")
    assert done.code == 1
    assert "the key 'release' was revoked" in done.err


def test_a_root_key_signs_no_model(tinyops: Tinyops, digits: Path, keys: Keystore) -> None:
    keys.generate("root", role="root")
    done = tinyops("update", "pack", digits, "--board", "host", "--key", "root")
    assert done.code == 2
    assert "has the role root: devices take revocations from it" in done.err
    assert tinyops("update", "pack", digits, "--board", "host", "-o", "v1").code == 0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--use-before", "2020-01-01"], "the update would be expired"),
        (["--use-before", "tomorrow"], "--use-before 'tomorrow'"),
        (["--device", "x"], "--device 'x'"),
        (["--server", "http://x"], "--server 'http://x'"),
        (["--in-place", "4096"], "--in-place '4096'"),
        (["--sequence", "0"], "the sequence number 0"),
        (["--encrypt", "release"], "is for signatures"),
        (["--encrypt", "./nothing.pem"], "no such file"),
        (["--golden-inputs", "none.npz"], "is no file of inputs"),
        (["--previous", "nothing"], "no such file"),
        (["--firmware", "nothing.bin"], "no such file"),
        (["--sbom", "nothing.json"], "no such file"),
        (["--dataset", "nothing.csv"], "no such file"),
        (["--build", "nowhere"], "has no report.json"),
        (["--dialect", "riot-legacy", "--text", "hello"], "texts cannot be said"),
        (["--description", "nothing.yaml"], "a description names its own payloads"),
        (["--board", "hots"], "hots"),
    ],
)
def test_what_is_refused(tinyops: Tinyops, digits: Path, tmp_path: Path, arguments: list[str], what: str) -> None:
    done = tinyops("update", "pack", digits, "--board", "host", *arguments, "-o", "pack")
    assert done.code in (1, 2)
    assert what in done.err
    assert not (tmp_path / "pack").exists()


def test_firmware_alone_and_with_a_model(tinyops: Tinyops, digits: Path, keys: Keystore, tmp_path: Path) -> None:
    (tmp_path / "app.bin").write_bytes(bytes(range(256)) * 64)
    done = tinyops("update", "pack", "--firmware", "app.bin", "-o", "alone")
    assert done.code == 2
    assert "no class of devices is named" in done.err
    image = ["--firmware", "app.bin", "--format", "mcuboot", "--image-version", "1.2.0"]
    identity = ["--vendor", "example.com", "--class", "sensor"]
    assert "no key is named" in tinyops("update", "pack", *image, *identity).err
    image += ["--mcuboot-key", "release"]
    assert tinyops("update", "pack", *image, *identity, "-o", "alone").code == 0
    assert tinyops("update", "inspect", "alone").code == 0
    (tmp_path / "app.bin").write_bytes(bytes(range(256)) * 32 + b"new" + bytes(range(256)) * 32)
    done = tinyops("update", "pack", digits, "-b", "host", *image, "--previous-firmware", "alone", "-o", "both")
    assert done.code == 0
    shown = tinyops("update", "inspect", "both", "--json").json()
    assert shown["ok"]
    assert shown["manifest"]["components"] == ["model", "firmware"]
    assert {name: file["kind"] for name, file in shown["files"].items()} | {"delta": None} == {
        "capsule.bin": "capsule",
        "firmware.bin": "mcuboot image",
        next(name for name in shown["files"] if name.startswith("firmware-delta-")): "file",
        "delta": None,
    }


def test_a_description(tinyops: Tinyops, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_bytes(b"hello")
    (tmp_path / "own.yaml").write_text(
        """\
vendor: example.com
class: sensor
components: [[note]]
payloads: {note.txt: note.txt}
shared:
  - set-component-index: 0
  - override-parameters:
      vendor-identifier: example.com
      class-identifier: sensor
      image-digest: {file: note.txt}
      image-size: {file: note.txt}
  - vendor-identifier
  - class-identifier
install:
  - set-component-index: 0
  - override-parameters: {uri: note.txt}
  - fetch
  - image-match
"""
    )
    done = tinyops("update", "pack", "--description", "own.yaml", "-o", "own", "--sequence", "3")
    assert done.code == 0
    shown = tinyops("update", "inspect", "own", "--json").json()
    assert (shown["ok"], shown["manifest"]["sequence"]) == (True, 3)
    (tmp_path / "own.yaml").write_text("vendor: example.com\ncomponents: [[note]]\ninstall: [fetsh]\n")
    done = tinyops("update", "pack", "--description", "own.yaml", "-o", "bad")
    assert done.code == 2
    assert "error: own.yaml: install[0]: 'fetsh' is no command" in done.err


# -- with the build of the devices' firmware ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_pack_for_a_build(tinyops: Tinyops, digits: Path, second: Path, keys: Keystore, tmp_path: Path) -> None:
    record = keys.get("release")
    trusted = UpdateKey(record.algorithm.cose, bytes.fromhex(record.public), bytes.fromhex(record.kid))
    settings = UpdateSettings((trusted,), "example.com", 40)
    build = build_firmware(digits, find_board("host"), tmp_path / "build", name="numbers", update=settings).folder
    done = tinyops("update", "pack", second, "--build", build, "-o", "v2", "--previous", build, "--json")
    assert done.code == 0
    report = json.loads((build / "report.json").read_text())["update"]
    assert done.json()["class_id"].replace("-", "") == report["class_id"]
    assert done.json()["images"][0]["name"] == "numbers"
    assert done.json()["images"][0]["plan"] == report["plan"]

    low = tinyops("update", "pack", second, "--build", build, "-o", "low", "--sequence", "40")
    assert "is not above 40 of the firmware's build" in low.err
    board = tinyops("update", "pack", second, "--build", build, "--board", "qemu-cortex-m4", "-o", "board")
    assert board.code == 2
    assert "allowed: host" in board.err
    other = tinyops("update", "pack", digits.parents[1] / "motions" / "motions.tflite", "--build", build, "-o", "other")
    assert other.code == 1
    assert "needs other kernels than the firmware has (numbers, board host)" in other.err
    keys.generate("stranger")
    strange = tinyops("update", "pack", second, "--build", build, "--key", "stranger")
    assert strange.code == 1
    assert "the firmware was not built with the key" in strange.err
    assert "allowed: --key release" in strange.err
