"""Manifests in words, however hostile the file."""

from __future__ import annotations

import io
import json
import random
from dataclasses import replace

import pytest
from rich.console import Console

from tests.support.hostile import accepted, envelopes, structures
from tests.support.suit import (
    ES256,
    NOW,
    OLD,
    REVOKED,
    SIGNER,
    STRANGER,
    device,
    digest,
    model_image,
    plain_manifest,
    seal,
    signed,
    update,
)
from tests.support.suit_mutants import mutants, seeds
from tinyops.suit import MODEL, Delta, LanguageTexts, emit, sign
from tinyops.suit.cbor import Tag, encode
from tinyops.suit.describe import clean, component_name, describe, render, version_text

KEYS = device().keys
NAMES = {SIGNER.kid: "line 1"}


def _text(data: bytes) -> str:
    out = io.StringIO()
    render(describe(data, KEYS, NAMES), Console(file=out, width=200, color_system=None))
    return out.getvalue()


def test_an_update_in_words() -> None:
    texts = {"en": LanguageTexts({2: "hears better"}, {MODEL: {6: "2.0"}})}
    deltas = (Delta("coap://d/1", digest(OLD), len(OLD)),)
    text = _text(signed(update(model_image(deltas=deltas), use_before=NOW, set_version=(2, 0, -1), texts=texts)))
    for line in (
        "authentic: a key that you trust signed it",
        "good: ed25519 by line 1",
        "sequence: 5",
        "version: 2.0-rc",
        "for model:",
        "set use before = 2027-01-15T08:00:00Z",
        "the first of these that succeeds:",
        "set uri = coap://d/1",
        "fetch from the given URI",
        "update_description: hears better",
    ):
        assert line in text


def test_the_same_for_machines() -> None:
    for data in seeds():
        table = describe(data, KEYS)
        assert json.loads(json.dumps(table)) == table
        assert table["verdict"] == "authentic"


@pytest.mark.parametrize(
    ("data", "keys", "verdict", "reason"),
    [
        (signed(), KEYS, "authentic", "ok"),
        (signed(), [], "not verified", "unknown-key"),
        (signed(signer=STRANGER), KEYS, "refused", "unknown-key"),
        (signed(signer=REVOKED), KEYS, "refused", "revoked-key"),
        (signed(), [replace(ES256.key(), kid=SIGNER.kid)], "refused", "wrong-algorithm"),
        (signed(), [replace(STRANGER.key(), kid=SIGNER.kid)], "refused", "bad-signature"),
        (sign(emit(update(), "riot-legacy"), SIGNER), KEYS, "authentic", "ok"),
        (sign(emit(update(), "riot-legacy"), STRANGER), KEYS, "refused", "bad-signature"),
        (b"", KEYS, "refused", "truncated"),
        (b"not a manifest", KEYS, "refused", "malformed-cbor"),
    ],
)
def test_verdicts(data: bytes, keys: list[object], verdict: str, reason: str) -> None:
    table = describe(data, keys)  # type: ignore[arg-type]
    assert (table["verdict"], table["reason"]) == (verdict, reason)


def test_what_the_receiver_refuses_unread_is_not_called_authentic() -> None:
    """Only what depends on the device (its components, its choice of commands) may look right here."""
    for name, (data, _) in envelopes().items():
        if name != "too large":
            assert describe(data, KEYS)["verdict"] != "authentic", name


def test_hostile_files_end_in_a_verdict() -> None:
    cases = [data for data, _ in (*envelopes().values(), *structures().values())] + [*accepted().values()]
    for data in [*cases, *mutants(1000, 7)]:
        assert describe(data, KEYS)["verdict"] in {"authentic", "not verified", "refused"}
        assert _text(data).splitlines()[0].split(":")[0] in {"authentic", "not verified", "refused"}


def test_text_cannot_move_the_cursor() -> None:
    hostile = "\x1b[2Jok\n\r\u202etxt" + "x" * 1000
    texts = {"en": LanguageTexts({1: hostile})}
    text = _text(signed(update(texts=texts)))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[2Jok\\n\\r\\u202etxt" in text
    assert "…" in text
    assert clean("plain é") == "plain é"


def test_rich_markup_of_a_file_is_text() -> None:
    assert "[red]x[/red]" in _text(signed(update(texts={"en": LanguageTexts({1: "[red]x[/red]"})})))


def test_a_great_many_commands_are_cut() -> None:
    rng = random.Random(1)
    many = encode([item for _ in range(3000) for item in (12, rng.randrange(1))])
    table = describe(seal(plain_manifest(m20=many)), KEYS)
    assert len(table["steps"]["to install"]) <= 1001
    assert table["steps"]["to install"][-1] == "…"


def test_names() -> None:
    assert component_name((b"model",)) == "model"
    assert component_name((b"\x00", b"a/b", b"")) == "00/a/b/(empty)"
    assert component_name(()) == "(nothing)"
    assert version_text((1, 2, -2, 4)) == "1.2-beta.4"
    assert version_text((-9,)) == "--9"


def test_json_is_small_for_a_large_payload() -> None:
    data = signed(update(model_image(uri="#m"), payloads={"#m": bytes(100_000)}))
    assert len(json.dumps(describe(data, KEYS))) < 3000


@pytest.mark.parametrize(
    "data",
    [
        b"\xd8\x6b\xb9\x03\xe8" + b"".join(b"\x63" + b"%03d" % n + b"\x40" for n in range(1000)),
        encode(Tag(107, {2: bytes(1 << 17), 3: b""})),
        encode(Tag(107, {2: b"", 3: bytes(1 << 17)})),
        bytes((1 << 24) + 1),
    ],
    ids=["many payloads", "a large wrapper", "a large manifest", "a large file"],
)
def test_huge_files_are_refused_early(data: bytes) -> None:
    assert describe(data, KEYS)["reason"] == "too-large"
