"""`tinyops device`, `update publish|rollout|withdraw`, `audit` and `serve`, as people use them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Tinyops
from tests.support.fleet import CLASS, make_pack
from tinyops.cli import common
from tinyops.update.keystore import Keystore


def test_device_verbs(tinyops: Tinyops, tmp_path: Path) -> None:
    assert tinyops("device", "list").err.startswith("error: fleet/fleet.db: there is no fleet")
    assert tinyops("device", "add", "kitchen-01", "--tag", "lab", "--class", CLASS).out == "1 device added\n"
    (tmp_path / "more.csv").write_text("id,board,tags\nhall-01,host,a b\n0x00ff,,\n")
    added = tinyops("device", "add", "--from", "more.csv", "--tag", "hall", "--json").json()
    assert [(one["id"], one["board"], one["tags"]) for one in added] == [
        ("hall-01", "host", ["a", "b", "hall"]),
        ("0x00ff", None, ["hall"]),
    ]
    assert [one["id"] for one in tinyops("device", "list", "--tag", "hall", "--json").json()] == ["0x00ff", "hall-01"]
    assert "kitchen-01" in tinyops("device", "list", "--where", "id~kit*").out
    assert tinyops("device", "tag", "kitchen-01", "new", "--", "-lab").out == "kitchen-01: new\n"
    assert tinyops("device", "show", "kitchen-01", "--json").json()["class"] == str(CLASS)
    assert "never" not in tinyops("device", "show", "kitchen-01").out
    assert tinyops("device", "remove", "kitchen-01").out == "kitchen-01: removed\n"
    gone = tinyops("device", "show", "kitchen-01")
    assert gone.code == 1
    assert "there is no such device" in gone.err
    log = tinyops("audit", "list", "--json").json()
    assert [entry["action"] for entry in log] == ["device add", "device add", "device tag", "device remove"]
    assert tinyops("audit", "verify", "--json").json()["entries"] == 4
    assert tinyops("audit", "list", "--last", "1").out.count("device") == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("name\na\n", "other columns"),
        ("id,colour\na,red\n", "other columns"),
        ("", "other columns"),
        ("id\na\na\n", "there is a device of this name"),
        ("id\n\xff\n", "no CSV file"),
        ("id\n-a\n", "is no name of a device"),
    ],
)
def test_files_that_cannot_be_added(tinyops: Tinyops, tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "bad.csv").write_bytes(content.encode("latin-1"))
    done = tinyops("device", "add", "--from", "bad.csv")
    assert done.code in (1, 2)
    assert says in done.err


def test_nothing_to_add(tinyops: Tinyops) -> None:
    assert tinyops("device", "add").code == 2
    assert tinyops("device", "add", "--from", "nothing.csv").code == 1


def test_rollout_verbs(tinyops: Tinyops, tmp_path: Path) -> None:
    keys = Keystore(tmp_path / "keys")
    signer = keys.signer(keys.generate("ci"))
    for sequence in (2, 3):
        make_pack(tmp_path / f"v{sequence}", sequence, key=signer)  # type: ignore[arg-type]
    with_keys = ("--keys", "keys")
    tinyops("device", "add", *(f"d{k}" for k in range(20)))
    published = tinyops("update", "publish", "v2", *with_keys)
    assert published.out.startswith("published v2, sequence 2, ")
    assert [one["sequence"] for one in tinyops("update", "published", "--json").json()] == [2]
    created = tinyops("update", "rollout", "create", "v2", *with_keys, "--canary", 2, "--waves", "50%,100", "--json")
    assert created.json()["state"] == "draft"
    started = tinyops("update", "rollout", "start", "v2-2", "--json").json()
    assert [(wave["label"], wave["devices"]) for wave in started["waves"]] == [
        ("canary", 2),
        ("50 %", 8),
        ("100 %", 10),
    ]
    again = tinyops("update", "rollout", "start", "v2-2")
    assert again.code == 1
    assert "v2-2: the rollout is running" in again.err
    assert "allowed: one that is draft" in again.err
    assert "paused: for lunch" in tinyops("update", "rollout", "pause", "v2-2", "--reason", "for lunch").out
    assert "running" in tinyops("update", "rollout", "resume", "v2-2").out
    assert "not waiting" not in tinyops("update", "rollout", "approve", "v2-2").err
    assert "0 of 2 reports are in" in tinyops("update", "rollout", "status", "v2-2").out
    assert tinyops("update", "withdraw", "v2").code == 1
    second = tinyops("update", "rollout", "create", "v3", *with_keys, "--start", "--name", "next", "--ttl", "12h")
    assert second.code == 0
    assert [row["name"] for row in tinyops("update", "rollout", "list", "--json").json()] == ["next", "v2-2"]
    assert "aborted" in tinyops("update", "rollout", "abort", "v2-2").out
    assert tinyops("update", "withdraw", "v2").out == "v2: withdrawn\n"
    head = tmp_path / "head.json"
    assert tinyops("audit", "head", "--key", "ci", *with_keys, "-o", head).code == 0
    assert "which contains the 1 given" in tinyops("audit", "verify", "--head", head, *with_keys).out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--waves", "5,x"), 2),
        (("--waves", "50,5"), 2),
        (("--canary", "-1"), 2),
        (("--success", "101"), 2),
        (("--reports", "0"), 2),
        (("--ttl", "soon"), 2),
        (("--where", "colour=red"), 2),
        (("--tag", "NO"), 2),
        (("--class", "x"), 2),
        (("--drift", "-1"), 2),
    ],
)
def test_plans_that_are_refused(tinyops: Tinyops, tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    done = tinyops("update", "rollout", "create", "nothing", *arguments)
    assert done.code == code
    assert "error:" in done.err


@pytest.mark.parametrize("verb", ["start", "pause", "resume", "approve", "abort", "status"])
def test_rollouts_that_are_not_there(tinyops: Tinyops, verb: str) -> None:
    tinyops("device", "add", "a")
    done = tinyops("update", "rollout", verb, "nothing", "--json")
    assert done.code == 1
    assert done.json()["error"] == "there is no such rollout"


@pytest.mark.parametrize(
    "options", [("--listen", "nowhere"), ("--listen", "::1:5683"), ("--web", "x:99999"), ("--interval", "0s")]
)
def test_servers_that_cannot_be(tinyops: Tinyops, options: tuple[str, ...]) -> None:
    assert tinyops("serve", *options).code == 2


def test_a_refused_plan_publishes_nothing(tinyops: Tinyops, tmp_path: Path) -> None:
    keys = Keystore(tmp_path / "keys")
    make_pack(tmp_path / "v2", 2, key=keys.signer(keys.generate("ci")))  # type: ignore[arg-type]
    assert tinyops("update", "rollout", "create", "v2", "--keys", "keys", "--waves", "50,5").code == 2
    assert tinyops("update", "rollout", "create", "v3").code == 1
    assert not (tmp_path / "fleet").exists()
    assert tinyops("update", "publish", "v2", "--keys", "keys").out.startswith("published v2, ")
    assert tinyops("update", "publish", "v2", "--keys", "keys").out.startswith("published already: v2, ")


def test_a_damaged_pack(tinyops: Tinyops, tmp_path: Path) -> None:
    keys = Keystore(tmp_path / "keys")
    make_pack(tmp_path / "v2", 2, key=keys.signer(keys.generate("ci")))  # type: ignore[arg-type]
    (tmp_path / "v2" / "manifest.suit").write_bytes(b"")
    done = tinyops("update", "publish", "v2", "--keys", "keys")
    assert (done.code, "v2/manifest.suit: the data end" in done.err) == (1, True)


def test_a_canary_needs_devices_with_its_tag(tinyops: Tinyops, tmp_path: Path) -> None:
    keys = Keystore(tmp_path / "keys")
    make_pack(tmp_path / "v2", 2, key=keys.signer(keys.generate("ci")))  # type: ignore[arg-type]
    tinyops("device", "add", "a", "b", "--tag", "lab")
    tinyops("device", "add", "c", "d")
    create = ("update", "rollout", "create", "v2", "--keys", "keys", "--start", "--canary")
    for canary, tag in ((1, "labs"), (3, "lab")):
        done = tinyops(*create, canary, "--canary-tag", tag)
        assert (done.code, f"of its devices have the tag {tag}" in done.err) == (1, True)
    assert tinyops("update", "rollout", "list", "--json").json() == []
    assert tinyops(*create, 2, "--canary-tag", "lab").code == 0
    tinyops("update", "rollout", "abort", "v2-2")
    assert {part["status"] for part in tinyops("device", "show", "c", "--json").json()["rollouts"]} == {"aborted"}


def test_a_narrow_terminal_loses_nothing(tinyops: Tinyops, monkeypatch: pytest.MonkeyPatch) -> None:
    tinyops("device", "add", "a-device-with-a-long-name", "--tag", "and-a-long-tag", "--tag", "another-one")
    monkeypatch.setattr(common.out, "_width", 40)
    shown = tinyops("device", "list").out
    assert common.out._width == 40
    assert "…" not in shown
    assert all(word in shown for word in ("a-device-with-a-long-name", "and-a-long-tag another-one", "seen", "never"))


def test_short_tokens_are_refused(tinyops: Tinyops, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("short\n")
    assert "token: others may read it" in tinyops("serve", "--web-token-file", "token").err
    (tmp_path / "token").chmod(0o600)
    assert "too short" in tinyops("serve", "--web-token-file", "token").err
    assert "no file with a token" in tinyops("serve", "--web-token-file", "nothing").err
