"""Data for quantization: every kind of file becomes the model's inputs, split, streamed, and refused where unfit."""

from __future__ import annotations

import tracemalloc
import wave
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tinyops.errors import UsageError
from tinyops.features import read_settings
from tinyops.graph import DType, Graph, Model, State, Tensor
from tinyops.quantize.data import Split, open_data
from tinyops.quantize.data_settings import read_data_settings

Array = np.ndarray[Any, Any]


def model(*shapes: tuple[int, ...], order: str | None = None, dtype: DType = DType.FLOAT32) -> Model:
    """Inputs input_0, ... that are the outputs too; `order` as the pass `layout` records it for input 0."""
    tensors = tuple(Tensor(f"input_{k}", dtype, shape) for k, shape in enumerate(shapes))
    indices = tuple(range(len(shapes)))
    metadata = {"format": "onnx"} | ({"permutation of input 0": order} if order else {})
    return Model("model", (Graph("main", tensors, (), indices, indices),), metadata=metadata)


def split(made: Model, path: Path, features: dict[str, Any] | None = None, **table: Any) -> Split:
    front_end = None if features is None else read_settings(features, "tinyops.toml")
    return open_data(made, read_data_settings({"path": str(path), **table}, "tinyops.toml"), front_end)


def all_samples(found: Split) -> list[tuple[tuple[Array, ...], int | None]]:
    return [*found.calibration.labelled(), *found.held_out.labelled()]


IMAGES = np.random.default_rng(0).integers(0, 256, (30, 3, 8, 6)).astype(np.uint8)
LABELS = np.arange(30) % 5
NHWC = model((1, 8, 6, 3), order="0,2,3,1")


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    np.savez_compressed(tmp_path / "x.npz", images=IMAGES, labels=LABELS.astype(np.uint8))
    return tmp_path / "x.npz"


def test_channels_first_data_of_an_onnx_model(npz: Path) -> None:
    """Transposed as the model was; labels stay with their samples; arithmetic per channel, after the transposition."""
    found = split(NHWC, npz, scale="1/255", mean=[0.5, 0.25, 0.0], deviation=0.5, holdout=0.3)
    samples = all_samples(found)
    assert [len(list(part)) for part in (found.calibration, found.held_out)] == [21, 9]
    expected = (IMAGES.transpose(0, 2, 3, 1) / 255 - np.array([0.5, 0.25, 0])) / 0.5
    for (value,), label in samples:
        (k,) = [k for k in range(30) if np.allclose(value[0], expected[k], atol=1e-6)]
        assert (value.shape, value.dtype, label) == ((1, 8, 6, 3), np.float32, LABELS[k])
    assert len({value.tobytes() for (value,), _ in samples}) == 30


def test_a_split_is_repeatable_and_disjoint(npz: Path) -> None:
    runs = [[{v.tobytes() for (v,) in part} for part in (f.calibration, f.held_out)] for f in (split(NHWC, npz),) * 2]
    assert runs[0] == runs[1]
    assert not runs[0][0] & runs[0][1]
    other = {v.tobytes() for (v,) in split(NHWC, npz, seed=1).held_out}
    assert other != runs[0][1]


def test_streams_stay_in_order(tmp_path: Path) -> None:
    """A model with state is calibrated on the start of a stream, and measured on its end."""
    np.save(tmp_path / "x.npy", np.arange(50, dtype=np.float32)[:, None])
    made = model((1, 1))
    state = State("s", DType.FLOAT32, (1,), np.zeros(1, np.float32))
    found = split(replace(made, states=(state,)), tmp_path / "x.npy", limit=30)
    assert [v.item() for (v,) in found.calibration] == list(range(30))
    assert [v.item() for (v,) in found.held_out] == list(range(40, 50))


def test_limits(npz: Path) -> None:
    found = split(NHWC, npz, limit=5, test_limit=3)
    assert (len(list(found.calibration)), len(list(found.held_out))) == (5, 3)


def test_layouts(tmp_path: Path, npz: Path) -> None:
    """Channels last are taken as they are; the layout decides where both would fit, and is proposed where neither."""
    np.save(tmp_path / "last.npy", IMAGES.transpose(0, 2, 3, 1))
    first, last = all_samples(split(NHWC, npz)), all_samples(split(NHWC, tmp_path / "last.npy"))
    assert {v.tobytes() for (v,), _ in first} == {v.tobytes() for (v,), _ in last}
    cubes = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)
    np.save(tmp_path / "cubes.npy", cubes)
    cube = model((1, 3, 3, 3), order="0,2,3,1")
    for layout, axes in ((None, (1, 2, 0)), ("nchw", (1, 2, 0)), ("nhwc", (0, 1, 2))):
        table: dict[str, Any] = {} if layout is None else {"layout": layout}
        values = {v.tobytes() for (v,), _ in all_samples(split(cube, tmp_path / "cubes.npy", **table))}
        assert values == {np.ascontiguousarray(c.transpose(axes)).tobytes() for c in cubes}
    with pytest.raises(UsageError) as refused:
        split(model((1, 8, 6, 3)), npz)
    assert (refused.value.hint, refused.value.what) == ("--layout nchw", "shape [3, 8, 6] for input input_0")


def test_a_model_that_keeps_its_channels_first(tmp_path: Path, npz: Path) -> None:
    """Data as they are, or with channels last by --layout; a mean per channel is that of the channels."""
    kept = model((1, 3, 8, 6))
    np.save(tmp_path / "last.npy", IMAGES.transpose(0, 2, 3, 1))
    table: dict[str, Any] = {"scale": "1/255", "mean": [0.5, 0.25, 0.125]}
    wanted = {((x / 255) - np.reshape([0.5, 0.25, 0.125], (3, 1, 1))).astype(np.float32).tobytes() for x in IMAGES}
    for path, layout in ((npz, None), (npz, "nchw"), (tmp_path / "last.npy", "nhwc")):
        given = table if layout is None else table | {"layout": layout}
        samples = [v for (v,), _ in all_samples(split(kept, path, **given))]
        assert {v.shape for v in samples} == {(1, 3, 8, 6)}
        assert {v.tobytes() for v in samples} == wanted
    with pytest.raises(UsageError) as refused:
        split(kept, tmp_path / "last.npy")
    assert refused.value.hint == "--layout nhwc"


def test_several_inputs_by_name(tmp_path: Path) -> None:
    a, b = np.arange(12, dtype=np.int32).reshape(6, 2), np.arange(6, dtype=np.float64)
    np.savez(tmp_path / "x.npz", input_1=b, input_0=a, y=np.zeros(6, np.int64))
    found = all_samples(split(model((1, 2), (1,)), tmp_path / "x.npz"))
    assert sorted((x[0, 0], y[0]) for (x, y), _ in found) == [(2 * k, k) for k in range(6)]
    np.savez(tmp_path / "x.npz", input_0=a)
    with pytest.raises(UsageError, match="no array for input input_1"):
        split(model((1, 2), (1,)), tmp_path / "x.npz")


def test_csv(tmp_path: Path) -> None:
    rows = [f"{k},{k / 2},{'cat' if k % 2 else 'dog'},{-k}" for k in range(10)]
    (tmp_path / "x.csv").write_text("\n".join(["a,b,kind,c", *rows]))
    found = split(model((1, 3)), tmp_path / "x.csv", labels="kind")
    assert found.calibration.labels is not None
    assert found.calibration.labels.classes == ("cat", "dog")
    for (value,), label in all_samples(found):
        k = value[0, 0]
        assert value.tolist() == [[k, k / 2, -k]]
        assert label == 1 - k % 2
    named = split(model((1, 3)), tmp_path / "x.csv", labels="kind", classes=["dog", "cat"])
    assert {label for (v,), label in all_samples(named) if v[0, 0] % 2} == {1}


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_of_images(tmp_path: Path, channels: int) -> None:
    """Of any size; subfolders are classes; a channels-first model gets them transposed."""
    for k in range(8):
        folder = tmp_path / "data" / ("cats" if k % 2 else "dogs")
        folder.mkdir(parents=True, exist_ok=True)
        mode = "L" if channels == 1 else "RGB"
        Image.new(mode, (10 + k, 12), 16 * k if channels == 1 else (16 * k, 0, 255)).save(folder / f"{k}.png")
    (tmp_path / "data" / "notes.txt").write_text("x")
    shape, order = ((1, 8, 6, channels), "0,2,3,1") if channels == 3 else ((1, 1, 8, 6), None)
    found = split(model(shape, order=order), tmp_path / "data", scale="1/255")
    assert "1 files of other kinds in data are left out" in found.warnings
    assert found.held_out.labels is not None
    assert found.held_out.labels.classes == ("cats", "dogs")
    levels = []
    for (value,), label in all_samples(found):
        assert value.shape == shape
        level = round(float(value[0, 0, 0, 0]) * 255 / 16)
        np.testing.assert_allclose(value[0, ..., 0], level * 16 / 255, rtol=1e-6)
        assert label == 1 - level % 2
        levels.append(level)
    assert sorted(levels) == list(range(8))


def test_images_by_the_declared_front_end(tmp_path: Path) -> None:
    """Width and height come from each file."""
    for k in range(3):
        Image.new("RGB", (20 + k, 20), (255, 128, 0)).save(tmp_path / f"{k}.png")
    settings = {"kind": "image", "width": 64, "height": 64, "format": "rgb", "range": [-1.0, 1.0], "order": "bgr"}
    (value,), label = all_samples(split(model((1, 4, 4, 3)), tmp_path, settings))[0]
    np.testing.assert_allclose(value[0, 2, 2], [-1, 128 / 127.5 - 1, 1], atol=1e-6)
    assert label is None
    with pytest.raises(UsageError, match="what do pixels of 0 to 255 become"):
        split(model((1, 4, 4, 3)), tmp_path)


def _write_wav(path: Path, samples: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.astype("<i2").tobytes())


def test_recordings(tmp_path: Path) -> None:
    """A long recording gives several samples, all on one side of the split, with the label of its folder."""
    settings = {"kind": "audio-micro"}
    for k in range(6):
        noise = np.random.default_rng(k).integers(-3000, 3000, 16_000 * (1 + k % 2))
        _write_wav(tmp_path / ("no" if k % 2 else "yes") / f"{k}.wav", noise)
    found = split(model((1, 20, 40)), tmp_path, settings, holdout=0.5)
    parts = [[(v.tobytes(), label) for (v,), label in part.labelled()] for part in (found.calibration, found.held_out)]
    assert not set(parts[0]) & set(parts[1])
    counts = {label: sum(1 for _, x in parts[0] + parts[1] if x == label) for label in (0, 1)}
    assert counts[0] > counts[1] > 0  # "no" is longer
    assert "3 of 6 recordings" in found.description
    with pytest.raises(UsageError, match="recordings need a front end"):
        split(model((1, 20, 40)), tmp_path)


def test_csv_recordings(tmp_path: Path) -> None:
    settings = {"kind": "imu", "axes": 2, "scale": 1.0}
    for k in range(3):
        folder = tmp_path / f"class{k}"
        folder.mkdir()
        (folder / "a.csv").write_text("".join(f"{k},{n}\n" for n in range(12)))
    found = all_samples(split(model((1, 4, 2)), tmp_path, settings))
    assert len(found) == 9
    assert all(value[0, 0, 0] == label for (value,), label in found)


def test_a_folder_of_arrays(tmp_path: Path) -> None:
    for k in range(5):
        (tmp_path / str(k)).mkdir()
        np.save(tmp_path / str(k) / "x.npy", np.full((2, 3), k, np.float32))
    assert all(v.tolist() == [[[n] * 3] * 2] for (v,), n in all_samples(split(model((1, 2, 3)), tmp_path)))


def test_labels_in_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(4, dtype=np.float32)[:, None])
    (tmp_path / "y.txt").write_text("b\na\nb\nc\n")
    found = all_samples(split(model((1, 1)), tmp_path / "x.npy", labels=str(tmp_path / "y.txt")))
    assert sorted((v[0, 0], label) for (v,), label in found) == [(0, 1), (1, 0), (2, 1), (3, 2)]


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    """128 MB of samples, compressed, in less than 4 MB."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (2000, 16_384)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(2000):
            file.write(bytes(65_536))
    found = split(model((1, 16_384)), tmp_path / "x.npz")
    tracemalloc.start()
    try:
        assert sum(1 for _ in found.calibration) == 512
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_data_of_their_own_to_measure_on(tmp_path: Path, npz: Path) -> None:
    np.savez(tmp_path / "test.npz", x=IMAGES[:7], labels=LABELS[:7])
    found = split(NHWC, npz, test=str(tmp_path / "test.npz"))
    assert (len(list(found.calibration)), len(list(found.held_out))) == (30, 7)
    assert found.description == "test.npz, data of their own"
    with pytest.raises(UsageError, match="is the calibration data"):
        split(NHWC, npz, test=str(npz))


def _save(**arrays: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / "x.npz", **arrays)
        return folder / "x.npz"

    return write


def _file(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


_X = np.zeros((4, 2), np.float32)


@pytest.mark.parametrize(
    ("write", "table", "message"),
    [
        (_save(x=_X[:, :1]), {}, r"shape \[1\] for input input_0"),
        (_save(x=_X[:0]), {}, "is empty"),
        (_save(x=np.full((4, 2), np.nan)), {}, "NaN or infinity"),
        (_save(x=np.full((4, 2), 1e300)), {}, "NaN or infinity"),
        (_save(x=np.array([[None, {}]] * 4)), {}, "Python objects"),
        (_save(x=np.asfortranarray(np.ones((4, 2)))), {}, "column by column"),
        (_save(x=_X, labels=np.zeros(3, int)), {}, r"labels \[3\] for 4 samples"),
        (_save(x=_X, labels=np.full(4, -1)), {}, "label -1"),
        (_save(x=_X, labels=np.array(["a", "b", "c", "d"])), {"classes": ["a", "b"]}, "class 'c'"),
        (_save(x=_X), {"labels": "kind"}, "has no array 'kind'"),
        (_save(a=_X, b=_X), {}, "has no array for input input_0: a, b"),
        (_save(x=_X[:1]), {}, "one sample cannot be split"),
        (_save(x=_X), {"mean": [1, 2, 3]}, "3 numbers of mean"),
        (_file("x.npy", b"\x93NUMPY\x01\x00\xff\xff{" + b"[" * 5000), {}, "no sound array"),
        (_file("x.npz", b"PK\x05\x06" + bytes(30)), {}, "no .npz file|holds 0 arrays"),
        (_file("x.csv", b""), {}, "is empty"),
        (_file("x.csv", b"1,2\n3\n"), {}, "row 2 has 1 cells"),
        (_file("x.csv", b"1,2\n3,x\n"), {}, "row 2, column 2 is 'x'|row 1, column 2"),
        (_file("x.csv", b"1,2\n3,nan\n"), {}, "NaN or infinity"),
        (_file("x.csv", b"1,2\n3,4\n"), {"labels": "kind"}, "has no column 'kind'"),
        (_file("x.csv", b"\0\1\2"), {}, "is no text"),
        (_file("x.parquet", b"PAR1"), {}, "no data that can be read"),
        (lambda folder: folder, {}, "holds no data that can be read"),
        (lambda folder: folder / "none", {}, "no such file or folder"),
    ],
)
def test_refused(tmp_path: Path, write: Callable[[Path], Path], table: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        all_samples(split(model((1, 2)), write(tmp_path), **table))


def test_damaged_archives(tmp_path: Path, npz: Path) -> None:
    """Cut off or with flipped bits: an error of ours, or sound samples; never another exception."""
    data = npz.read_bytes()
    rng = np.random.default_rng(0)
    for k in range(60):
        damaged = bytearray(data[: rng.integers(len(data))] if k % 3 == 0 else data)
        for _ in range(0 if k % 3 == 0 else 3):
            damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        path = tmp_path / "damaged.npz"
        path.write_bytes(damaged)
        try:
            all_samples(split(NHWC, path))
        except UsageError as error:
            assert str(tmp_path) in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"pth": "x"}, "unknown key data.pth"),
        ({"scale": "1/0"}, "data.scale = '1/0' cannot be used"),
        ({"deviation": 0}, "data.deviation = 0 cannot be used"),
        ({"deviation": [1, -1]}, "data.deviation"),
        ({"mean": "nan"}, "data.mean = 'nan' cannot be used"),
        ({"layout": "hwc"}, "data.layout = 'hwc' cannot be used"),
        ({"holdout": 1}, "data.holdout = 1 cannot be used"),
        ({"limit": 0}, "data.limit = 0 cannot be used"),
    ],
)
def test_settings_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_data_settings(table, "tinyops.toml")
    assert message in str(refused.value)
    assert refused.value.allowed


def test_integer_inputs(tmp_path: Path) -> None:
    """Numbers that the dtype cannot hold are refused, not cut."""
    tokens = model((1, 2), dtype=DType.INT32)
    np.savez(tmp_path / "x.npz", x=np.array([[1.0, 2.0]] * 3))
    assert all(v.dtype == np.int32 for (v,), _ in all_samples(split(tokens, tmp_path / "x.npz")))
    np.savez(tmp_path / "x.npz", x=np.array([[1.5, 2.0]] * 3))
    with pytest.raises(UsageError, match="float64 values for input"):
        split(tokens, tmp_path / "x.npz")
