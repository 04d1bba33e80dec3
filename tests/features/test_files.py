"""Recordings in files: what is read, and what is refused with a clear message."""

from __future__ import annotations

import io
import struct
import sys
import wave
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.features.models import TABLES, make
from tinyops.errors import UsageError
from tinyops.features import ModelFeatures, files
from tinyops.features.base import Array, FrontEnd
from tinyops.features.files import file_inputs, read_raw


def features_of(name: str) -> ModelFeatures:
    return make(*TABLES[name])[1]


@pytest.fixture
def audio() -> FrontEnd:
    return features_of("audio, no overlap").front_end


@pytest.fixture
def imu() -> FrontEnd:
    return features_of("imu, ring").front_end


def wav(path: Path, samples: Array, rate: int = 16000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


def whole(path: Path, front_end: FrontEnd) -> Array:
    return np.concatenate(list(read_raw(path, front_end)))


def samples(n: int) -> Array:
    return np.random.default_rng(n).integers(-32768, 32768, n).astype(np.int16)


@pytest.mark.parametrize("length", [160, 161, 1000, 700_003])
def test_wav(length: int, audio: FrontEnd, tmp_path: Path) -> None:
    """Whole steps, in parts of bounded size."""
    sound = samples(length)
    parts = list(read_raw(wav(tmp_path / "a.WAV", sound), audio))
    assert max(part.nbytes for part in parts) <= 1 << 20
    assert np.array_equal(np.concatenate(parts), sound[: length - length % 160].reshape(-1, 160))


def test_wav_with_other_chunks(audio: FrontEnd, tmp_path: Path) -> None:
    sound = samples(480)
    content = wav(tmp_path / "a.wav", sound).read_bytes()
    note = b"LIST" + struct.pack("<I", 5) + b"hello\0"
    size = struct.pack("<I", len(content) - 8 + len(note))
    (tmp_path / "a.wav").write_bytes(content[:4] + size + content[8:36] + note + content[36:])
    assert np.array_equal(whole(tmp_path / "a.wav", audio).ravel(), sound)


@pytest.mark.parametrize(
    ("shape", "suffix"),
    [((1700,), "npy"), ((11, 160), "npy"), ((11, 160), "npz"), ((400_001,), "npz")],
)
def test_audio_arrays(shape: tuple[int, ...], suffix: str, audio: FrontEnd, tmp_path: Path) -> None:
    array = samples(int(np.prod(shape))).reshape(shape)
    path = tmp_path / f"x.{suffix}"
    np.save(path, array) if suffix == "npy" else np.savez_compressed(path, x=array)
    flat = array.ravel()
    assert np.array_equal(whole(path, audio).ravel(), flat[: len(flat) - len(flat) % 160])


@pytest.mark.parametrize("start", ["", "x, y, z\n", "\ufeffax,ay,az\r\n\r\n"])
def test_csv(start: str, imu: FrontEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_CHUNK_BYTES", 1 << 12)
    rows = samples(3 * 2000).reshape(-1, 3)
    text = start + "".join(f"{a}, {b:+d},{c} \n" for a, b, c in rows.tolist())
    (tmp_path / "motion.csv").write_text(text, encoding="utf-8", newline="")
    parts = list(read_raw(tmp_path / "motion.csv", imu))
    assert len(parts) > 1
    assert np.array_equal(np.concatenate(parts), rows)


def test_imu_arrays(imu: FrontEnd, tmp_path: Path) -> None:
    rows = samples(30).reshape(10, 3)
    np.save(tmp_path / "x.npy", rows)
    assert np.array_equal(whole(tmp_path / "x.npy", imu), rows)


def _picture(name: str, format_: str, path: Path) -> tuple[Array, FrontEnd]:
    """A picture of two colours, and a front end whose raw data have that format."""
    table, shape, dtype = TABLES[name]
    table = table | {"format": format_, "width": 8, "height": 5}
    front_end = make(table, shape, dtype)[1].front_end
    pixels = np.zeros((5, 8, 3), np.uint8)
    pixels[:2], pixels[2:] = (255, 0, 66), (0, 130, 255)
    Image.fromarray(pixels).save(path)
    return pixels, front_end


@pytest.mark.parametrize("format_", ["rgb", "bgr", "rgb565-le", "rgb565-be", "yuyv"])
def test_pictures_become_what_a_camera_gives(format_: str, tmp_path: Path) -> None:
    """Decoded again by the front end's own code: as before, to the precision of the format."""
    from tinyops.features import pixels as codec

    picture, front_end = _picture("image", format_, tmp_path / "x.png")
    raw = whole(tmp_path / "x.png", front_end)
    assert (raw.dtype, raw.shape) == (np.uint8, (5, *front_end.raw_shape))
    layout = codec.LAYOUTS[format_]  # type: ignore[index]
    decoded = codec.decode(raw, layout, codec.yuv_coefficients(full_range=False), gray=False)
    exact = {"rgb": 0, "bgr": 0}.get(format_, 8 if format_.startswith("rgb565") else 3)
    assert np.abs(decoded.astype(int) - picture).max() <= exact


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_grey_pictures(suffix: str, tmp_path: Path) -> None:
    front_end = features_of("image, grey").front_end
    level = np.full((5, 8), 77, np.uint8)
    Image.fromarray(level).save(tmp_path / f"x.{suffix}")
    assert np.abs(whole(tmp_path / f"x.{suffix}", front_end).astype(int) - 77).max() <= 1


def test_picture_arrays(tmp_path: Path) -> None:
    front_end = features_of("image").front_end
    pictures = np.random.default_rng(0).integers(0, 256, (3, 7, 9, 3)).astype(np.uint8)
    np.save(tmp_path / "x.npy", pictures)
    assert np.array_equal(whole(tmp_path / "x.npy", front_end), pictures.reshape(21, 27))


def test_inputs_of_files_are_streams_of_their_own(tmp_path: Path) -> None:
    features = features_of("audio, one new frame")
    paths = [wav(tmp_path / f"{k}.wav", samples(160 * (9 + k)) // (k + 1)) for k in range(2)]
    found = list(file_inputs(paths, features))
    expected = [row for path in paths for row in features.stream().inputs(whole(path, features.front_end))]
    assert len(found) == len(expected) == 5 + 6
    for (stored, real), row in zip(found, expected, strict=True):
        assert np.array_equal(stored, row)
        assert (real.dtype, real.shape) == (np.float32, row.shape)
        exact = np.clip(real / features.tensor.scale + features.tensor.zero_point, -128, 127)
        assert np.abs(exact - row).max() <= 0.51


def _npz(path: Path, **arrays: Any) -> None:
    np.savez(path, **arrays)


def _object_npy(path: Path) -> None:
    np.save(path, np.array([{}], object), allow_pickle=True)


def _huge_header(path: Path) -> None:
    """A header that promises far more than there is."""
    header = b"{'descr': '<i2', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(100))


def _huge_npz(path: Path) -> None:
    buffer = io.BytesIO()
    _huge_header(path)
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", path.read_bytes())
    path.write_bytes(buffer.getvalue())


_PCM, _FLOAT = b"\x10\0\0\0\1\0", b"\x10\0\0\0\3\0"
REFUSED: dict[str, tuple[str, Any, str]] = {
    "no such file": ("x.wav", lambda _: None, "no such file"),
    "folder": ("x.wav", lambda path: path.mkdir(), "cannot be read: Is a directory"),
    "suffix": ("x.mp3", lambda path: path.write_bytes(b"ID3"), "no recording that can be read"),
    "csv for audio": ("x.csv", lambda path: path.write_text("1\n"), "no recording that can be read"),
    "stereo": ("x.wav", lambda path: wav(path, samples(400), channels=2), "16 bits, 2 channels, 16,000 Hz"),
    "rate": ("x.wav", lambda path: wav(path, samples(400), rate=44100), "16 bits, 1 channel, 44,100 Hz"),
    "24 bits": ("x.wav", lambda path: wav(path, samples(300), width=3), "24 bits"),
    "8 bits": ("x.wav", lambda path: wav(path, samples(300), width=1), "8 bits"),
    "empty file": ("x.wav", lambda path: path.write_bytes(b""), "is no WAV file"),
    "noise": ("x.wav", lambda path: path.write_bytes(bytes(range(256)) * 9), "is no WAV file"),
    "header alone": ("x.wav", lambda path: wav(path, samples(0)), "shorter than one step"),
    "too short": ("x.wav", lambda path: wav(path, samples(159)), "shorter than one step"),
    "cut off": ("x.wav", lambda path: path.write_bytes(wav(path, samples(400)).read_bytes()[:-1]), "within a sample"),
    "float wav": (
        "x.wav",
        lambda path: path.write_bytes(
            wav(path, samples(400)).read_bytes().replace(b"\x10\0\0\0\1\0", b"\x10\0\0\0\3\0")
        ),
        "unknown format: 3",
    ),
    "no array": ("x.npy", lambda path: path.write_bytes(b"hello"), "is no array file"),
    "objects": ("x.npy", _object_npy, "holds Python objects"),
    "promises": ("x.npy", _huge_header, "is no array file"),
    "promises in an archive": ("x.npz", _huge_npz, "is no array file"),
    "float array": ("x.npy", lambda path: np.save(path, np.zeros(400)), r"holds float64\[400\]"),
    "other array": ("x.npy", lambda path: np.save(path, np.zeros((9, 100), np.int16)), r"holds int16\[9, 100\]"),
    "number": ("x.npy", lambda path: np.save(path, np.int16(3)), r"holds int16\[\]"),
    "empty array": ("x.npy", lambda path: np.save(path, np.zeros((0, 160), np.int16)), "is"),
    "two arrays": ("x.npz", lambda path: _npz(path, a=samples(9), b=samples(9)), "holds 2 arrays: a, b"),
    "no archive": ("x.npz", lambda path: path.write_bytes(b"PK\3\4hello"), "is no array file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_audio_that_is_refused(case: str, audio: FrontEnd, tmp_path: Path) -> None:
    name, write, message = REFUSED[case]
    path = tmp_path / name
    write(path)
    with pytest.raises(UsageError, match=message) as error:
        whole(path, audio)
    assert error.value.where == str(path)


def test_a_wav_file_that_claims_more_than_it_has(audio: FrontEnd, tmp_path: Path) -> None:
    """What is there is read; nothing is allocated for what is not."""
    content = bytearray(wav(tmp_path / "a.wav", samples(480)).read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", 0xFFFFFFF0)
    (tmp_path / "a.wav").write_bytes(content)
    assert np.array_equal(whole(tmp_path / "a.wav", audio).ravel(), samples(480))


def test_damaged_wav_files_end_in_errors_alone(audio: FrontEnd, tmp_path: Path) -> None:
    content, rng = wav(tmp_path / "a.wav", samples(480)).read_bytes(), np.random.default_rng(4)
    for _ in range(400):
        damaged = bytearray(content[: int(rng.integers(1, len(content)))])
        for at in rng.integers(0, min(60, len(damaged)), 3):
            damaged[at] = rng.integers(256)
        (tmp_path / "a.wav").write_bytes(damaged)
        try:
            whole(tmp_path / "a.wav", audio)
        except UsageError:
            continue


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("1,2", "line 3 is '1,2'"),
        ("1,2,3,4", "line 3"),
        ("1,2,32768", "line 3"),
        ("1,2,3.5", "line 3"),
        ("1,2,", "line 3"),
        ("1,2,nan", "line 3"),
        ("a,b,c", "line 3"),
        ("1,2,0x10", "line 3"),
        ("1,2,٣", "line 3"),
        ("9" * 100_000, "line 3"),
    ],
)
def test_csv_that_is_refused(line: str, found: str, imu: FrontEnd, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"x,y,z\n1,2,3\n{line}\n4,5,6\n", encoding="utf-8")
    with pytest.raises(UsageError, match=found) as error:
        whole(tmp_path / "x.csv", imu)
    assert error.value.allowed == "3 integers from -32768 to 32767 between commas"
    assert len(error.value.what) < 200


@pytest.mark.parametrize("content", ["", "x,y,z\n", "\n\n"])
def test_csv_without_samples(content: str, imu: FrontEnd, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(UsageError, match="shorter than one step"):
        whole(tmp_path / "x.csv", imu)


def test_pictures_that_are_refused(tmp_path: Path) -> None:
    front_end = features_of("image").front_end
    path = tmp_path / "x.png"
    Image.fromarray(np.zeros((9, 7, 3), np.uint8)).save(path)
    with pytest.raises(UsageError, match="has 7 x 9 pixels") as error:
        whole(path, front_end)
    assert error.value.allowed is not None
    assert error.value.allowed.startswith("9 x 7")
    for content in (b"", b"\x89PNG\r\n\x1a\n", path.read_bytes()[:-30]):
        path.write_bytes(content)
        with pytest.raises(UsageError):
            whole(path, front_end)


def test_pillow_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UsageError, match="Pillow, which is not installed") as error:
        whole(tmp_path / "x.png", features_of("image").front_end)
    assert error.value.hint == 'pip install "tinyops[images]"'
