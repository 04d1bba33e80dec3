"""Feature front ends on the command line: tinyops.toml, --features, `emit`, `build` and `run --raw`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import Tinyops
from tests.features.models import TABLES, copying_model
from tests.features.test_files import wav
from tinyops.features import ModelFeatures, load_settings
from tinyops.graph import DType
from tinyops.lower.compile import compile_model

_TABLE = '[features]\nkind = "audio-micro"\nevery = 1\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a project whose model copies its input, and a recording of ten steps."""
    (tmp_path / "copy.tflite").write_bytes(copying_model((1, 3, 40), DType.INT8))
    (tmp_path / "tinyops.toml").write_text(f'name = "copy"\nmodel = "copy.tflite"\nboard = "host"\n{_TABLE}')
    sound = np.random.default_rng(1).integers(-9000, 9000, 1650).astype(np.int16)
    wav(tmp_path / "sound.wav", sound)
    return tmp_path


def test_run_raw(tinyops: Tinyops, project: Path) -> None:
    done = tinyops("run", "--raw", "sound.wav", "--verify", "-o", "out.npy")
    assert done.code == 0, done.err
    assert "6 invocations on host against the reference: bit-exact" in done.out
    outputs = np.load(project / "out.npy")
    tensors = [port.tensor for port in compile_model(project / "copy.tflite", name="copy").program.inputs]
    features = ModelFeatures.of(load_settings(project / "tinyops.toml"), tensors)
    sound = np.frombuffer((project / "sound.wav").read_bytes()[44:], np.int16)[:1600]
    assert np.array_equal(outputs.reshape(6, 120), features.stream().inputs(sound.reshape(10, 160)).reshape(6, 120))
    assert len(np.unique(outputs)) > 20
    report = json.loads((project / "build" / "host" / "report.json").read_text())["features"]
    assert report["settings"] == {"kind": "audio-micro", "every": 1}
    assert (report["frames"], report["every"], report["first_steps"], report["next_steps"]) == (3, 1, 5, 1)


def test_run_raw_of_a_finished_build(tinyops: Tinyops, project: Path) -> None:
    """The build knows its front end: no project is needed."""
    assert tinyops("build", "-o", "made").code == 0
    (project / "tinyops.toml").unlink()
    done = tinyops("run", "made", "--raw", "sound.wav", "--verify", "--json")
    assert done.code == 0, done.err
    assert (done.json()["invocations"], done.json()["mismatches"]) == (6, 0)
    refused = tinyops("run", "made", "--raw", "sound.wav", "--features", "x.toml")
    assert (refused.code, "--features belongs to a build" in refused.err) == (2, True)


def test_files_are_streams_of_their_own(tinyops: Tinyops, project: Path) -> None:
    done = tinyops("run", "--raw", "sound.wav", "--raw", "sound.wav", "--verify", "-o", "out.npy", "--json")
    assert (done.code, done.json()["invocations"]) == (0, 12)
    outputs = np.load(project / "out.npy")
    assert np.array_equal(outputs[:6], outputs[6:])


def test_features_of_a_file(tinyops: Tinyops, project: Path) -> None:
    (project / "tinyops.toml").rename(project / "mine.toml")
    done = tinyops("run", "copy.tflite", "-b", "host", "--features", "mine.toml", "--raw", "sound.wav", "--verify")
    assert done.code == 0, done.err
    assert "6 invocations" in done.out


def test_instructions_of_the_front_end(tinyops: Tinyops, project: Path, emulator: str) -> None:
    done = tinyops("run", "-b", emulator, "--raw", "sound.wav", "--verify", "--json", "run.json")
    assert done.code == 0, done.err
    assert "features" in done.out
    assert "of the front end for its input" in done.out
    report = json.loads((project / "run.json").read_text())
    assert report["features"]["kind"] == "audio-micro"
    instructions = report["features"]["instructions"]
    assert instructions > 100_000
    page = (project / "build" / emulator / "report.html").read_text()
    assert "audio-micro: a step is int16" in page
    assert f"{instructions:,}" in page
    assert (report["invocations"], report["mismatches"]) == (6, 0)


def test_a_difference_is_a_mismatch(tinyops: Tinyops, project: Path) -> None:
    """The build's report claims another front end of the same form: what the device makes is not what it should."""
    table = {key: value for key, value in TABLES["imu, ring"][0].items() if key != "kind"}
    lines = "".join(f"{key} = {value}\n" for key, value in table.items())
    (project / "copy.tflite").write_bytes(copying_model(*TABLES["imu, ring"][1:]))
    (project / "tinyops.toml").write_text(f'model = "copy.tflite"\nboard = "host"\n[features]\nkind = "imu"\n{lines}')
    rows = np.random.default_rng(2).integers(-3000, 3000, (40, 3))
    (project / "motion.csv").write_text("\n".join(",".join(map(str, row)) for row in rows.tolist()))
    good = tinyops("run", "--raw", "motion.csv", "--verify", "--json")
    assert (good.code, good.json()["mismatches"]) == (0, 0)
    path = project / "build" / "host" / "report.json"
    report = json.loads(path.read_text())
    report["features"]["settings"]["scale"] *= 1.2
    path.write_text(json.dumps(report))
    bad = tinyops("run", "build/host", "--raw", "motion.csv", "--verify", "--json")
    assert bad.code == 1
    assert bad.json()["mismatches"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--raw", "sound.wav", "--input", "x.npy"], "both --raw and --input"),
        (["--raw", "none.wav"], "no such file"),
        (["--raw", "short.wav"], "has 4 steps of int16[160]"),
        (["--raw", "tinyops.toml"], "no recording that can be read"),
        (["--raw", "sound.wav", "--features", "none.toml"], "no such file"),
        (["--raw", "sound.wav", "--features", "stereo.toml"], "features.kind = 'stereo' is no kind"),
    ],
)
def test_what_run_refuses(arguments: list[str], message: str, tinyops: Tinyops, project: Path) -> None:
    wav(project / "short.wav", np.zeros(640, np.int16))
    (project / "stereo.toml").write_text('[features]\nkind = "stereo"\n')
    done = tinyops("run", *arguments)
    assert done.code == 2
    assert message in done.err


def test_raw_without_a_front_end(tinyops: Tinyops, project: Path) -> None:
    (project / "tinyops.toml").write_text('model = "copy.tflite"\nboard = "host"\n')
    done = tinyops("run", "--raw", "sound.wav")
    assert done.code == 2
    assert "--raw for a model without a front end" in done.err
    assert "--features FILE" in done.err


def test_a_model_that_cannot_be_fed_is_refused_before_anything_is_written(tinyops: Tinyops, project: Path) -> None:
    (project / "copy.tflite").write_bytes(copying_model((1, 7, 11), DType.INT8))
    for arguments in (["build"], ["emit", "-o", "lib"], ["run", "--raw", "sound.wav"]):
        done = tinyops(*arguments)
        assert done.code == 1
        assert "shape [1, 7, 11] cannot be made of these features" in done.err
        assert not (project / "lib").exists()
        assert not (project / "build" / "host" / "report.json").exists()


def test_the_front_end_counts_where_memory_is_checked(tinyops: Tinyops, project: Path, small_board: Any) -> None:
    tensors = [port.tensor for port in compile_model(project / "copy.tflite", name="copy").program.inputs]
    features = ModelFeatures.of(load_settings(project / "tinyops.toml"), tensors)
    assert features.ram_bytes > 2200
    board = small_board(flash=1 << 20, ram=4096)
    done = tinyops("build", "-b", board)
    assert done.code == 1
    assert f"front end audio-micro {features.ram_bytes:,} B" in done.err
    assert not (project / "build" / "small").exists()
    looked = tinyops("inspect", "-b", board)
    assert "does not fit" in looked.out
    assert f"RAM {features.ram_bytes:,} B, constants {features.constant_bytes:,} B" in looked.out
    fit = tinyops("inspect", "-b", board, "--json").json()
    assert (fit["fit"]["fits"], fit["features"]["ram_bytes"]) == (False, features.ram_bytes)
    assert fit["fit"]["flash_needed_bytes"] > features.constant_bytes > 1000
    (project / "tinyops.toml").rename(project / "mine.toml")
    alone = tinyops("inspect", "copy.tflite", "-b", board)
    assert (alone.code, "does not fit" in alone.out, "features" in alone.out) == (0, False, False)
    assert "does not fit" in tinyops("inspect", "copy.tflite", "-b", board, "--features", "mine.toml").out


def test_a_device_with_another_front_end(tinyops: Tinyops, project: Path) -> None:
    assert tinyops("build").code == 0
    path = project / "build" / "host" / "report.json"
    report = json.loads(path.read_text())
    report["features"]["settings"]["every"] = 2
    path.write_text(json.dumps(report))
    done = tinyops("run", "build/host", "--raw", "sound.wav")
    assert done.code == 1
    assert "the firmware has another front end (audio-micro)" in done.err
    report["features"] = 3
    path.write_text(json.dumps(report))
    assert tinyops("run", "build/host", "--raw", "sound.wav").code == 2


@pytest.mark.parametrize("layout", ["plain", "make", "cmake"])
def test_emitted_libraries_test_their_front_end(layout: str, tinyops: Tinyops, project: Path) -> None:
    done = tinyops("emit", "--layout", layout, "-o", "lib", "--json")
    assert done.code == 0, done.err
    assert done.json()["features"]["first_steps"] == 5
    assert "to_audio_micro.c" in {Path(name).name for name in done.json()["files"]}
    if layout == "cmake":
        return
    command = ["make", "-s", "-C", str(project / "lib"), "test", "CFLAGS=-O1 -Werror -Wshadow"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    golden = next(path for path in (project / "lib").rglob("*.[ch]") if "golden_raw_output_0" in path.read_text())
    text = golden.read_text()
    at = text.index("{", text.index("{", text.index("golden_raw_output_0")) + 1) + 1
    number = text[at : text.index(",", at)]
    golden.write_text(text[:at] + f" {(int(number) + 1) % 100}" + text[at + len(number) :])
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_other_models_of_a_project_have_no_front_end(tinyops: Tinyops, project: Path) -> None:
    (project / "other.tflite").write_bytes(copying_model((1, 3, 40), DType.INT8))
    assert "features" not in tinyops("emit", "other.tflite", "-o", "other", "--json").json()
    with_it = tinyops("emit", "other.tflite", "-o", "other", "--features", "tinyops.toml", "--json")
    assert "features" in with_it.json()
