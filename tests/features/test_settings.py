"""The table [features]: read strictly, refused with the key and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.features.models import TABLES
from tinyops.device.project import load_project
from tinyops.errors import UsageError
from tinyops.features import KINDS, load_settings, read_settings

_IMU = {"kind": "imu", "axes": 3, "scale": 0.001}


def test_every_kind_is_read() -> None:
    assert set(KINDS) == {"audio-micro", "log-mel", "mfcc", "imu", "image"}
    assert {read_settings(table, "test").kind for table, _, _ in TABLES.values()} == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_settings_say_what_they_are(name: str) -> None:
    """Bounds are stated where a value is refused, so each key needs a description; a kind says what it is for."""
    settings = KINDS[name]
    assert settings.summary
    for key, field in settings.model_fields.items():
        assert key == "kind" or (field.description and len(field.description) > 10), key


@pytest.mark.parametrize("name", TABLES)
def test_written_settings_are_read_back(name: str) -> None:
    """report.json keeps them: what a build was made with."""
    settings = read_settings(TABLES[name][0], "test")
    assert read_settings(settings.model_dump(mode="json", exclude_none=True), "test") == settings


@pytest.mark.parametrize(
    ("table", "what", "allowed"),
    [
        (3, "features is no table", "kind"),
        ({}, "features has no kind", 'kind = "audio-micro", kind = "log-mel"'),
        ({"kind": "fft"}, "features.kind = 'fft' is no kind", '"imu"'),
        ({"kind": ["imu"]}, "features.kind", '"imu"'),
        ({"kind": "x" * 10_000}, "features.kind", '"imu"'),
        ({"kind": "audio-micro", "evry": 3}, "unknown key features.evry", "every"),
        ({"kind": "audio-micro", "every": 0}, "features.every = 0 cannot be used", "1 to 1048576"),
        ({"kind": "audio-micro", "every": "3"}, "features.every = '3' cannot", "1 to 1048576"),
        ({"kind": "audio-micro", "every": 3.0}, "features.every = 3.0 cannot", "1 to 1048576"),
        ({"kind": "audio-micro", "every": True}, "features.every = True cannot", "1 to 1048576"),
        ({"kind": "audio-micro", "every": 10**30}, "features.every = 10000", "1 to 1048576"),
        ({"kind": "imu", "scale": 1}, "features has no axes", "1 to 16"),
        (_IMU | {"axes": [3]}, "features.axes", "1 to 16"),
        (_IMU | {"mean": [1, 2]}, "features: ", None),
        (_IMU | {"mean": [1, "2", 3]}, "features.mean", "one number"),
        (_IMU | {"high_pass": 0.5}, "features: high_pass: give the rate", None),
        (_IMU | {"scale": float("nan")}, "features.scale", "real units"),
    ],
)
def test_refused(table: Any, what: str, allowed: str | None) -> None:
    with pytest.raises(UsageError) as error:
        read_settings(table, "my.toml")
    assert error.value.where == "my.toml"
    assert what in error.value.what
    assert len(error.value.what) < 300
    assert allowed is None or allowed in (error.value.allowed or "")


def test_a_near_name_is_proposed() -> None:
    with pytest.raises(UsageError) as error:
        read_settings({"kind": "audio-micro", "evry": 3}, "x")
    assert error.value.hint == "every = ..."


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "tinyops.toml"
    file.write_text('name = "x"\n[features]\nkind = "imu"\naxes = 3\nscale = 0.5\nmagnitude = [0, 1]\n')
    settings = load_settings(file)
    assert settings.model_dump(include={"kind", "axes", "magnitude"}) == {"kind": "imu", "axes": 3, "magnitude": (0, 1)}
    assert load_project(file).features == settings
    file.write_text('name = "x"\n')
    assert load_project(file).features is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"has no table \[features\]"),
        (b"kind = ", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"x = " + b"[" * 5000 + b"]" * 5000, "cannot be read"),
        (b"features = 3", "features is no table"),
        (b'[features]\nkind = "imu"\n', "features has no axes"),
        (b"#" * (1 << 21), "is too large"),
    ],
)
def test_files_that_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_bytes(content)
    with pytest.raises(UsageError, match=message) as error:
        load_settings(tmp_path / "f.toml")
    assert error.value.where == str(tmp_path / "f.toml")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_settings(tmp_path / "f.toml")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("features = 3", "features = '3' cannot be used"),
        ("[features]", "features has no kind"),
        ('[features]\nkind = "imu"\naxes = 0\nscale = 1', "features.axes = 0 cannot be used"),
    ],
)
def test_projects_that_are_refused(text: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "tinyops.toml").write_text(text)
    with pytest.raises(UsageError) as error:
        load_project(tmp_path / "tinyops.toml")
    assert (error.value.where, error.value.what) == (str(tmp_path / "tinyops.toml"), what)
