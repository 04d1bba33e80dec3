"""Manifests in YAML: what they become, and hostile ones."""

from __future__ import annotations

import contextlib
import hashlib
import json
import textwrap
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyops.errors import UsageError
from tinyops.suit.commands import (
    Condition,
    Digest,
    Directive,
    RunSequence,
    SetComponentIndex,
    SetParameters,
    TryEach,
    VersionMatch,
)
from tinyops.suit.manifest import Manifest
from tinyops.suit.registry import Command, Parameter, Section, VersionComparison
from tinyops.suit.update import class_uuid, vendor_uuid
from tinyops.update.description import Description, read_description
from tinyops.update.yaml_file import MAX_BYTES, MAX_DEPTH, parse_yaml

_WHOLE = """
    sequence: 7
    vendor: example.com
    class: board|abi|task
    components: [[model], [data, "0"]]
    payloads:
      image.bin: image.bin
      "#note": note.txt
    reference-uri: coap://updates.example.com/7
    text:
      en: {update-description: Better ears}
    shared:
      - set-component-index: true
      - override-parameters: {vendor-identifier: example.com, class-identifier: board|abi|task}
      - vendor-identifier
      - class-identifier: {report: 3}
      - set-component-index: 0
      - override-parameters:
          image-digest: {file: image.bin}
          image-size: {file: image.bin}
          use-before: 2031-05-01
          version: {">=": "1.2.3"}
    payload-fetch:
      - set-component-index: [0, 1]
      - run-sequence:
          - try-each:
              - - override-parameters: {uri: image.bin, soft-failure: true}
                - fetch
              - null
    install:
      - set-component-index: 1
      - override-parameters: {content: {hex: "00ff"}, source-component: 0, component-slot: 1}
      - write: {report: 0}
    validate:
      - image-match
    load: [copy]
    invoke: [invoke]
"""


def _read(folder: Path, text: str, sequence: int = 3) -> Description:
    (folder / "image.bin").write_bytes(b"image")
    (folder / "note.txt").write_bytes(b"a note")
    file = folder / "update.yaml"
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    return read_description(file, sequence)


def test_every_kind_of_command(tmp_path: Path) -> None:
    found = _read(tmp_path, _WHOLE)
    manifest = found.manifest
    vendor = vendor_uuid("example.com")
    class_id = class_uuid(vendor, "board|abi|task")
    assert (found.vendor, found.class_id) == (vendor, class_id)
    assert found.files == {"image.bin": b"image"}
    assert found.integrated == {"#note": b"a note"}
    assert manifest.sequence_number == 7
    assert manifest.components == ((b"model",), (b"data", b"0"))
    identity = {Parameter.VENDOR_IDENTIFIER: vendor.bytes, Parameter.CLASS_IDENTIFIER: class_id.bytes}
    target = {
        Parameter.IMAGE_DIGEST: Digest(hashlib.sha256(b"image").digest()),
        Parameter.IMAGE_SIZE: 5,
        Parameter.USE_BEFORE: 1935360000,
        Parameter.VERSION: VersionMatch(VersionComparison.GREATER_EQUAL, (1, 2, 3)),
    }
    assert manifest.shared == (
        SetComponentIndex(True),
        SetParameters(identity),
        Condition(Command.VENDOR_IDENTIFIER),
        Condition(Command.CLASS_IDENTIFIER, 3),
        SetComponentIndex(0),
        SetParameters(target),
    )
    fetch = (SetParameters({Parameter.URI: "image.bin", Parameter.SOFT_FAILURE: True}), Directive(Command.FETCH))
    written = {Parameter.CONTENT: b"\0\xff", Parameter.SOURCE_COMPONENT: 0, Parameter.COMPONENT_SLOT: 1}
    assert manifest.sequences == {
        Section.PAYLOAD_FETCH: (SetComponentIndex((0, 1)), RunSequence((TryEach((fetch, None)),))),
        Section.INSTALL: (SetComponentIndex(1), SetParameters(written), Directive(Command.WRITE, 0)),
        Section.VALIDATE: (Condition(Command.IMAGE_MATCH),),
        Section.LOAD: (Directive(Command.COPY),),
        Section.INVOKE: (Directive(Command.INVOKE),),
    }
    assert Manifest.decode(manifest.encode()) == manifest


def test_the_sequence_number_may_be_the_packs(tmp_path: Path) -> None:
    assert _read(tmp_path, "vendor: a\ncomponents: [[model]]\n", 12).manifest.sequence_number == 12


def test_uuids_are_taken_as_they_are(tmp_path: Path) -> None:
    text = "16c80710-f7a1-55db-aedf-251d2e1424cb"
    found = _read(tmp_path, f"vendor: {text}\nclass: {text}\ncomponents: [[model]]\n")
    assert found.vendor == found.class_id == UUID(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "valid dictionary"),
        ("- a\n", "valid dictionary"),
        ("vendor: a\n", "components: Field required"),
        ("vendor: a\ncomponents: []\n", "components"),
        ("vendor: a\ncomponents: [[model]]\nsequnce: 1\n", "sequnce"),
        ("vendor: a\ncomponents: [[model]]\nsequence: '1'\n", "sequence"),
        ("vendor: a\ncomponents: [[model]]\nsequence: true\n", "sequence"),
        ("vendor: a\ncomponents: [[model]]\nsequence: 4294967296\n", "sequence"),
        ("vendor: a\ncomponents: [['..', 'a/b']]\n", "is no component"),
        ("vendor: a\ncomponents: [[model]]\ninstall: []\n", "is no sequence"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [fetsh]\n", r"install\[0\]: 'fetsh' is no command"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [[fetch]]\n", r"install\[0\]: is no command"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [1]\n", "is no command"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [{fetch: {report: 16}}]\n", "an argument"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [{fetch: 1, write: 2}]\n", "is no command"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [{set-component-index: 1}]\n", "is no component index"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [{set-component-index: false}]\n", "is no component index"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [{override-parameters: {}}]\n", "no parameters"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [{override-parameters: {urj: a}}]\n", "'urj' is no parameter"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [{override-parameters: {uri: 1}}]\n", "uri: 1 does not fit"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [{override-parameters: {image-size: -1}}]\n", "does not fit"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [{override-parameters: {use-before: 1}}]\n", "does not fit"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [{override-parameters: {content: {hex: 0g}}}]\n", "does not fit"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [{override-parameters: {image-digest: {sha-256: ab}}}]\n", "fit"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [{try-each: [null, null]}]\n", "is no try-each"),
        ("vendor: a\ncomponents: [[model]]\ninstall: [{try-each: [[fetch]]}]\n", "is no try-each"),
        ("vendor: a\ncomponents: [[model]]\npayloads: {a.bin: ../../secret}\n", "is no path"),
        ("vendor: a\ncomponents: [[model]]\npayloads: {a.bin: /etc/passwd}\n", "is no path"),
        ("vendor: a\ncomponents: [[model]]\npayloads: {a.bin: missing}\n", "there is no file"),
        ("vendor: a\ncomponents: [[model]]\npayloads: {'../a': image.bin}\n", "no name of a payload"),
        ("vendor: a\ncomponents: [[model]]\ntext: {en: {nothing: a}}\n", "is no text"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        _read(tmp_path, text)


def test_links_do_not_lead_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    with pytest.raises(UsageError, match="there is no file 'link'"):
        _read(folder, "vendor: a\ncomponents: [[model]]\npayloads: {a.bin: link}\n")


def test_nesting_is_bounded(tmp_path: Path) -> None:
    deep = "[fetch]"
    for _ in range(5):
        deep = f"[{{run-sequence: {deep}}}]"
    with pytest.raises(UsageError, match="nested too deeply"):
        _read(tmp_path, f"vendor: a\ncomponents: [[model]]\ninstall: {deep}\n")


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1]\nb: *x\n",
        "a: &a {<<: *a}\n",
        "a: 1\na: 2\n",
        "{[1]: 2}\n",
        "a: !!python/object/apply:os.system [id]\n",
        "!!python/name:os.system\n",
        "a: !include b\n",
        "a: [\n",
        "a: 1\n---\nb: 2\n",
        "\0",
        "a: 2031-99-99\n",
        "? {a: 1}\n: 1\n",
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        "[" * 30_000,
        "a: " + "9" * 5000,
    ],
)
def test_hostile_yaml(text: str) -> None:
    with pytest.raises(UsageError):
        parse_yaml(text, "x.yaml")


def test_bombs_are_refused(tmp_path: Path) -> None:
    """A billion laughs need aliases; a large file is not read."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [f"{chr(98 + k)}: &{chr(98 + k)} [{','.join(['*' + chr(97 + k)] * 9)}]" for k in range(9)]
    with pytest.raises(UsageError, match="aliases are not allowed"):
        parse_yaml("\n".join(lines), "x.yaml")
    with pytest.raises(UsageError, match="is no description"):
        _read(tmp_path, "#" * (MAX_BYTES + 1))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_yaml_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_yaml(text, "x.yaml")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["fetch", "image-match"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["uri", "try-each", "run-sequence", "override-parameters", "set-component-index", "file", "hex"]
            ),
            inner,
            max_size=2,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(_VALUES, _VALUES)
def test_any_structure_is_a_manifest_or_refused(tmp_path_factory: pytest.TempPathFactory, a: object, b: object) -> None:
    folder = tmp_path_factory.mktemp("hostile", numbered=True)
    text = json.dumps({"vendor": "a", "components": [["model"]], "install": [a], "shared": b})
    try:
        found = _read(folder, text)
    except UsageError:
        return
    assert Manifest.decode(found.manifest.encode()) == found.manifest
