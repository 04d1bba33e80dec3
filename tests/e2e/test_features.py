"""Raw data in, outputs out: the firmware's front end by way of the device's client, against the twin, bit for bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.features.models import TABLES, copying_model, random_raw
from tinyops.device.board import find_board
from tinyops.device.build import Build, build_firmware
from tinyops.device.emulator import launch
from tinyops.errors import DeviceError
from tinyops.features import ModelFeatures, read_settings
from tinyops.features.base import Array
from tinyops.load import load_model
from tinyops.resources import data_dir

_TOOLS = {"host": ["cc"], "qemu-cortex-m4": ["arm-none-eabi-gcc", "qemu-system-arm"]}
_RISCV = ["riscv64-unknown-elf-gcc", "qemu-system-riscv32"]
_CASES = [
    *(("host", name) for name in ("audio, frames left out", "mfcc", "imu, decimated", "image, grey")),
    *(("qemu-cortex-m4", name) for name in ("audio, one new frame", "log-mel", "imu, ring", "image")),
    *(("qemu-riscv32", name) for name in ("audio, ring", "imu, decimated")),
]


def _build(board: str, name: str, folder: Path) -> tuple[Build, ModelFeatures]:
    for tool in _TOOLS.get(board, _RISCV):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    table, shape, dtype = TABLES[name]
    model = folder / "copy.tflite"
    model.write_bytes(copying_model(shape, dtype))
    settings = read_settings(table, "test")
    build = build_firmware(model, find_board(board), folder / "build", name="copy", features=settings)
    return build, ModelFeatures.of(settings, [port.tensor for port in build.compiled.program.inputs])


def _portions(features: ModelFeatures, raw: Array) -> list[Array]:
    starts = [0, *range(features.first_steps, len(raw), features.next_steps)]
    return [raw[a : a + (features.next_steps if a else features.first_steps)] for a in starts]


@pytest.mark.parametrize(("board", "name"), _CASES)
def test_device_and_twin_make_the_same_inputs(board: str, name: str, tmp_path: Path) -> None:
    build, features = _build(board, name, tmp_path)
    raw = random_raw(features, 4)[: features.first_steps + 3 * features.next_steps]
    expected = features.stream().inputs(raw)
    portions = _portions(features, raw)
    assert (len(expected), len(portions)) == (4, 4)
    assert build.report["features"]["settings"]["kind"] == features.kind
    with launch(build.board, build.elf) as client:
        info = client.info().features
        assert info is not None
        assert (info.kind, info.shape) == (features.kind, features.front_end.raw_shape)
        assert [info.steps(first=True), info.steps(first=False)] == [features.first_steps, features.next_steps]
        for again in range(2):
            for k, portion in enumerate(portions):
                (found,) = client.infer_raw(portion, reset=bool(again) and k == 0, profile=k == 2)
                assert np.array_equal(found, expected[k].ravel()), k
        client.reset()
        (found,) = client.infer_raw(portions[0])
        assert np.array_equal(found, expected[0].ravel())
        counted = client.profile().features
        assert counted is None if board == "host" else counted is not None and counted > 100
        # A plain input still goes to the model itself.
        (plain,) = client.infer([expected[2]])
        assert np.array_equal(plain, expected[2].ravel())


def test_what_the_client_refuses(tmp_path: Path) -> None:
    build, features = _build("host", "audio, no overlap", tmp_path)
    raw = random_raw(features, 1)
    with launch(build.board, build.elf) as client:
        for bad in (raw.astype(np.uint16), raw[:, :100], raw.ravel(), raw.astype(np.float32)):
            with pytest.raises(DeviceError, match="raw data are"):
                client.infer_raw(bad)
        with pytest.raises(DeviceError, match="expected 1600 bytes of input, given 1280"):
            client.infer_raw(raw[:4])
    plain = build_firmware(tmp_path / "copy.tflite", build.board, tmp_path / "plain", name="copy")
    assert "features" not in plain.report
    with launch(plain.board, plain.elf) as client:
        assert client.info().features is None
        with pytest.raises(DeviceError, match="no feature front end"):
            client.infer_raw(raw[:5])


def test_counts_are_repeatable(tmp_path: Path) -> None:
    build, features = _build("qemu-cortex-m4", "audio, no overlap", tmp_path)
    portion = _portions(features, random_raw(features, 1))[0]
    with launch(build.board, build.elf) as client:
        counts = []
        for _ in range(2):
            client.infer_raw(portion, reset=True)
            counts.append(client.profile().features)
    assert counts[0] == counts[1]
    assert counts[0] is not None
    assert counts[0] > 100_000


def test_counts_of_a_watch_become_the_inputs_that_motions_was_tested_with() -> None:
    """Real recordings: quantizing the sensor's counts gives all 40 inputs of the test set, to the bit."""
    folder = data_dir("models") / "motions"
    graph = load_model(folder / "motions.tflite").main
    tensor = graph.tensors[graph.inputs[0]]
    inputs = np.load(folder / "test.npz")["inputs"]
    table = {"kind": "imu", "axes": 6, "scale": (1 / 1024,) * 3 + (1 / 2048,) * 3, "deviation": (24,) * 3 + (16,) * 3}
    features = ModelFeatures.of(read_settings(table, "test"), [tensor])
    real = tensor.scale * (inputs.reshape(40, 100, 6) - float(tensor.zero_point)) * np.repeat([24, 16], 3)
    counts = np.round(real * np.repeat([1024, 2048], 3)).clip(-32768, 32767).astype(np.int16)
    assert np.array_equal(features.stream().inputs(counts.reshape(-1, 6)), inputs.reshape(40, *tensor.shape))
