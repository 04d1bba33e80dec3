"""`tinyops build --updatable`: keys by name and by file, the table [update], what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tinyops.cli.updatable import UpdateOptions, resolve_update
from tinyops.device.project import load_project
from tinyops.device.update import UpdateSettings
from tinyops.errors import UsageError
from tinyops.suit import vendor_uuid
from tinyops.suit.registry import Algorithm


@pytest.fixture
def keys(tinyops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A keystore with a signer and a root, outside of the working folder's own files."""
    folder = tmp_path / "keystore"
    monkeypatch.setenv("TINYOPS_KEYS", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert tinyops("keys", "generate", "release").code == 0
    assert tinyops("keys", "generate", "spare", "--role", "root").code == 0
    return folder


def _options(**given: Any) -> UpdateOptions:
    return UpdateOptions(**{
        "updatable": None, "keys": (), "keystore": None, "bank_bytes": None, "health_window": None, "vendor": None,
        "sequence": None, "algorithms": None, **given,
    })  # fmt: skip


def _settings(**given: Any) -> UpdateSettings:
    found = resolve_update(_options(**given), None)
    assert found is not None
    return found


def test_build_says_where_updates_go(tinyops: Any, digits: Path, keys: Path) -> None:
    done = tinyops(
        "build", digits, "-b", "host", "-o", "out", "--updatable", "--vendor", "example.com", "--sequence", 3
    )
    assert done.code == 0, done.err
    report = json.loads(Path("out/report.json").read_text())
    section = report["update"]
    assert (section["vendor"], section["sequence"], section["health_window"]) == ("example.com", 3, 8)
    assert section["vendor_id"] == vendor_uuid("example.com").hex
    assert sorted(key["role"] for key in section["keys"]) == ["root", "signer"]
    assert f"update capsule {section['capsule']['bytes']:,} of {section['region']['bank_bytes']:,} B" in done.out
    code = section["code"]
    assert f"update code {code['own_flash_bytes']:,} B of flash and {code['own_ram_bytes']:,} B of RAM" in done.out
    for key in section["keys"]:
        assert f"update key {key['kid']}: {key['role']}" in done.out
    assert Path("out/capsule.bin").stat().st_size == section["capsule"]["bytes"]


def test_keys_by_name_and_by_file(tinyops: Any, keys: Path, tmp_path: Path) -> None:
    exported = tinyops("keys", "export", "release", "--format", "pem", "-o", "release.pem")
    assert exported.code == 0, exported.err
    by_name, by_file = _settings(keys=("release",)), _settings(keys=("release.pem",))
    assert by_name.keys == by_file.keys
    assert by_name.keys[0].algorithm == Algorithm.ED25519
    assert _settings(keys=("spare",)).keys[0].role == "root"
    assert len(_settings(updatable=True).keys) == 2


def test_algorithms_are_those_of_the_keys(tinyops: Any, keys: Path) -> None:
    assert tinyops("keys", "generate", "curve", "--algorithm", "es256").code == 0
    assert _settings(keys=("release",)).algorithms == ("ed25519",)
    assert _settings(keys=("release", "curve")).algorithms == ("ed25519", "es256")
    assert _settings(keys=("release",), algorithms=("ed25519", "aes")).algorithms == ("ed25519", "aes")


def test_revoked_keys_are_not_built_in(tinyops: Any, keys: Path) -> None:
    revoked = tinyops("keys", "revoke", "release", "--local")
    assert revoked.code == 0, revoked.err
    with pytest.raises(UsageError, match="there is no key that signs updates in"):
        _settings(updatable=True)
    with pytest.raises(UsageError, match="was revoked"):
        _settings(keys=("release",))
    assert tinyops("keys", "generate", "next").code == 0
    assert sorted(key.role for key in _settings(updatable=True).keys) == ["root", "signer"]


@pytest.mark.parametrize(
    ("content", "text"), [(b"", "holds no public key"), (b"\xff" * 70000, "too large"), (None, "no such file")]
)
def test_files_that_are_no_key(content: bytes | None, text: str, keys: Path, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(UsageError, match=text):
        _settings(keys=("key.pem",))


def test_no_keys_at_all(tinyops: Any, digits: Path, tmp_path: Path) -> None:
    done = tinyops("build", digits, "-b", "host", "--updatable", "--keys", tmp_path / "none")
    assert done.code == 2
    assert "there is no key that signs updates in" in done.err
    assert "tinyops keys generate" in done.err


def test_unknown_algorithm(tinyops: Any, digits: Path) -> None:
    done = tinyops("build", digits, "-b", "host", "--updatable", "--update-algorithms", "ed25519,rsa")
    assert done.code == 2
    assert "rsa; allowed: ed25519, es256, hsslms, aes" in done.err


def test_bank_that_is_too_small(tinyops: Any, digits: Path, keys: Path) -> None:
    done = tinyops("build", digits, "-b", "host", "--updatable", "--bank-bytes", 1000)
    assert done.code == 2
    assert "a bank of 1,000 B" in done.err
    assert not Path("build").exists()


def _project(folder: Path, table: str) -> Any:
    (folder / "tinyops.toml").write_text(f"[update]\n{table}\n", encoding="utf-8")
    return load_project(folder / "tinyops.toml")


def test_table_of_the_project(keys: Path, tmp_path: Path) -> None:
    table = 'keys = ["release"]\nvendor = "acme.example"\nsequence = 9\nbank_bytes = 65536\nhealth_window = 0'
    project = _project(tmp_path, table)
    found = resolve_update(_options(), project)
    assert found is not None
    assert (found.vendor, found.sequence, found.bank_bytes, found.health_window) == ("acme.example", 9, 65536, 0)
    assert len(found.keys) == 1
    assert resolve_update(_options(updatable=False), project) is None
    other = resolve_update(_options(vendor="b.example", sequence=0, health_window=3, keys=("spare",)), project)
    assert other is not None
    assert (other.vendor, other.sequence, other.health_window, other.keys[0].role) == ("b.example", 0, 3, "root")


def test_nothing_said_is_not_updatable(keys: Path, tmp_path: Path) -> None:
    assert resolve_update(_options(), None) is None
    (tmp_path / "tinyops.toml").write_text("", encoding="utf-8")
    assert resolve_update(_options(), load_project(tmp_path / "tinyops.toml")) is None


@pytest.mark.parametrize(
    "table", ["sequence = -1", "bank_bytes = 0", "health_window = 256", 'vendor = "Ä"', 'algorithms = ["rsa"]', "x = 1"]
)
def test_tables_that_cannot_be_used(table: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"update = .* cannot be used"):
        _project(tmp_path, table)


def test_the_server_of_check_ins_is_an_option_or_of_the_table(keys: Path, tmp_path: Path) -> None:
    (tmp_path / "tinyops.toml").write_text('[update]\nserver = "coap://[fd00::1]"\ncheck_in_seconds = 60\n')
    project = load_project(tmp_path / "tinyops.toml")
    found = resolve_update(_options(), project)
    assert found is not None
    assert (found.server, found.check_in_seconds) == ("coap://[fd00::1]", 60)
    found = resolve_update(_options(server="coap://updates.example.com"), project)
    assert found is not None
    assert (found.server, found.check_in_seconds) == ("coap://updates.example.com", 60)
    with pytest.raises(UsageError, match="no server of check-ins"):
        _settings(updatable=True, server="https://example.com")
