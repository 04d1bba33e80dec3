"""Log-mel spectra and MFCC: NumPy against float64 and the published formulas, C against NumPy, bit for bit."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Mapping
from decimal import localcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyops.features
from tests.features import mel_reference
from tests.features.cases import Case, check_cases
from tests.features.signals import signals, speech
from tests.kernels.harness import STRICT
from tests.support.semihosted import TARGETS, Target
from tinyops.errors import UsageError
from tinyops.features import mel_arithmetic, mel_tables, read_settings
from tinyops.features.mel import MelFrontEnd, MelSettings
from tinyops.graph import DType, Quantization, Tensor

Array = np.ndarray[Any, Any]

_SOURCE = Path(tinyops.features.__file__).parent / "c" / "to_mel.c"
_PLAIN = {"kind": "log-mel", "sample_rate": 8000, "window": 64, "hop": 32, "fft": 64, "channels": 8, "low_hz": 100}
_PLAIN |= {"high_hz": 4000}
_CEPSTRAL = _PLAIN | {"kind": "mfcc", "coefficients": 8}

#: What the packages compute, as the docstring of tinyops.features.mel says.
_PACKAGES: Mapping[str, Mapping[str, Any]] = {
    "tf.signal": {
        "kind": "mfcc",
        "sample_rate": 16000,
        "window": 480,
        "hop": 320,
        "fft": 512,
        "spectrum": "magnitude",
        "channels": 40,
        "low_hz": 20,
        "high_hz": 4000,
        "triangles": "mel",
        "coefficients": 10,
        "dct": "htk",
    },
    "librosa": {
        "kind": "log-mel",
        "sample_rate": 22050,
        "window": 1024,
        "hop": 256,
        "fft": 1024,
        "channels": 64,
        "low_hz": 0,
        "high_hz": 11025,
        "mel": "slaney",
        "normalization": "slaney",
        "log": "db",
        "floor": 1e-10,
    },
    "python_speech_features": {
        "kind": "mfcc",
        "sample_rate": 16000,
        "window": 400,
        "hop": 160,
        "fft": 512,
        "window_function": "none",
        "preemphasis": 0.97,
        "samples": "int16",
        "spectrum": "periodogram",
        "channels": 26,
        "low_hz": 0,
        "high_hz": 8000,
        "triangles": "bins",
        "floor": 2.220446049250313e-16,
        "coefficients": 13,
        "lifter": 22,
        "first": "energy",
    },
    "Edge Impulse": {
        "kind": "log-mel",
        "sample_rate": 16000,
        "window": 320,
        "hop": 160,
        "fft": 512,
        "window_function": "none",
        "preemphasis": 0.98,
        "spectrum": "periodogram",
        "channels": 40,
        "low_hz": 80,
        "high_hz": 8000,
        "triangles": "bins",
        "log": "db",
        "floor": 1e-30,
        "mean": -52,
        "deviation": 64,
    },
}
_LARGEST = {"kind": "mfcc", "channels": 128, "coefficients": 128, "dct": "none", "log": "db", "floor": 1e-30}
_LARGEST |= {"lifter": 250, "deviation": 0.001}
#: What is at the ends of the arithmetic or of the settings.
_CORNERS: Mapping[str, Mapping[str, Any]] = {
    "hop above window": _PLAIN | {"hop": 150},
    "hop that does not divide": _PLAIN | {"hop": 23, "window": 61},
    "hop of a sample": _PLAIN | {"hop": 1},
    "hop of the window": _PLAIN | {"hop": 64},
    "shortest window": _PLAIN | {"window": 8, "hop": 3},
    "one channel": _PLAIN | {"channels": 1, "low_hz": 0},
    "empty channels": _PLAIN | {"channels": 128, "high_hz": 900},
    "largest FFT": _PLAIN | {"window": 2048, "fft": 2048, "hop": 512, "channels": 128, "low_hz": 0},
    "largest DCT": _CEPSTRAL | {"channels": 128, "coefficients": 128, "dct": "none", "log": "db", "floor": 1e-30},
    "full pre-emphasis": _PLAIN | {"preemphasis": 1, "window_function": "none", "samples": "int16"},
    "slight pre-emphasis": _PLAIN | {"preemphasis": 1e-9},
    "almost full pre-emphasis": _PLAIN | {"preemphasis": 0.999999999},
    "magnitude of integers": _PLAIN | {"spectrum": "magnitude", "samples": "int16", "floor": 1, "log": "log10"},
    "magnitude, narrow gains": _PLAIN
    | {"spectrum": "magnitude", "normalization": "slaney", "log": "db", "mel": "slaney"},
    "symmetric": _PLAIN | {"window_function": "hamming", "symmetric_window": True, "window": 63},
    "large offset": _PLAIN | {"offset": 1e6},
    "largest features": _PLAIN | _LARGEST | {"deviation": 0.01},
    "large features": _CEPSTRAL | {"deviation": 0.001, "lifter": 4, "dct": "none"},
    "small features": _CEPSTRAL | {"deviation": 1e6, "mean": -1e6, "first": "drop", "coefficients": 7},
    "standardized": _CEPSTRAL
    | {"mean": [2, -3, 1, 0.5, -100, 3, 1, 0], "deviation": [1, 2, 4, 0.25, 3, 1, 5, 0.5], "offset": 1},
    "energy alone": _CEPSTRAL | {"coefficients": 1, "first": "energy"},
}


def _front_end(table: Mapping[str, Any]) -> MelFrontEnd:
    found = read_settings(table, "test")
    assert isinstance(found, MelSettings)
    return found.front_end(Tensor("x", DType.INT8, (1, 8), Quantization((1.0,), (0,))))


_SOUNDS = {name: samples[: 16000 * 2] for name, samples in signals().items()}


def _mixture(length: int, seed: int) -> Array:
    """int16[length] with pieces of all that is hard for fixed-point arithmetic, one after the other."""
    rng = np.random.default_rng(seed)
    t = np.arange(length)
    kinds = [
        np.zeros(length),
        np.full(length, -32768),
        rng.integers(-32768, 32768, length),
        np.where(t // 8 % 2 == 0, 32767, -32768),
        np.where(t % 2 == 0, 32767, -32768),
        rng.integers(-1, 2, length),
        32767 * np.sin(t * rng.uniform(0, np.pi)),
        np.where(t % 97 == 0, -32768, 0),
        np.full(length, 1),
        rng.normal(0, 2 ** rng.uniform(0, 15), length),
    ]
    cuts = np.sort(rng.integers(0, length, len(kinds) - 1))
    order = rng.permutation(len(kinds))
    piece = np.searchsorted(cuts, t, side="right")
    return np.asarray(np.clip(np.stack(kinds)[order[piece], t], -32768, 32767), np.int16)


def _steps(front_end: MelFrontEnd, samples: Array) -> Array:
    hop = front_end.settings.hop
    return samples[: len(samples) // hop * hop].reshape(-1, hop)


def _unit(front_end: MelFrontEnd) -> float:
    assert front_end.unit is not None
    return float(front_end.unit)


def _real(table: Mapping[str, Any], samples: Array) -> tuple[Array, Array]:
    """(computed, reference) float64[frames, features]."""
    front_end = _front_end(table)
    steps = _steps(front_end, samples)
    frames = front_end.process(steps)
    assert len(frames) == front_end.frames_after(len(steps))
    return frames * _unit(front_end), mel_reference.features(front_end.settings, steps.ravel())


def _check_package(package: str, samples: Array) -> None:
    """Within a quarter of a step of an int8 input that covers what the sound's features are, and 0.11 dB."""
    found, expected = _real(_PACKAGES[package], samples)
    assert found.shape == expected.shape
    assert len(found) > 50
    error = np.abs(found - expected).max()
    assert error <= max(np.ptp(expected) / 255 / 4, 1e-4)
    assert error <= 0.11


@pytest.mark.parametrize("sound", _SOUNDS)
@pytest.mark.parametrize("package", _PACKAGES)
def test_packages(package: str, sound: str) -> None:
    _check_package(package, _SOUNDS[sound])


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize("package", _PACKAGES)
def test_packages_on_speech(package: str) -> None:
    _check_package(package, speech("the quick brown fox jumps over the lazy dog", "en-gb", 130))


def test_logarithms_of_noise_are_as_exact_as_the_table() -> None:
    """log2 within 1.4e-5 of float64, for each kind of level, and of noise from one bit to full scale."""
    for spectrum, scale in itertools.product(("magnitude", "power", "periodogram"), (1, 30, 1000, 32767)):
        table = _PLAIN | {"spectrum": spectrum, "window": 512, "fft": 512, "floor": 1e-25, "window_function": "none"}
        noise = np.random.default_rng(scale).uniform(-scale, scale, 20000).round().astype(np.int16)
        found, expected = _real(table, noise)
        assert np.abs(found - expected).max() / np.log(2) < 1.4e-5 + 2**-16


def _bound(front_end: MelFrontEnd) -> Array:
    """The error that logarithms within 1.4e-5 (log2) leave in each feature, and its rounding."""
    s = front_end.settings
    base = float(mel_tables.log_factor(s.log, power=s.spectrum != "magnitude"))
    logarithms = np.array([abs(float(factor)) * (1 if row is None else s.channels) for factor, row in s.rows])
    return np.asarray(logarithms * base * 1.4e-5 / np.array(s.per_feature(s.deviation)) + 2 * _unit(front_end))


@pytest.mark.parametrize("corner", _CORNERS)
def test_corners(corner: str) -> None:
    found, expected = _real(_CORNERS[corner], _SOUNDS["full noise"][:8192])
    assert len(found) > 0
    assert (np.abs(found - expected) <= _bound(_front_end(_CORNERS[corner]))).all()


@pytest.mark.parametrize("fft", [64, 128, 256, 512, 1024, 2048])
def test_spectrum_is_within_8_units(fft: int) -> None:
    """Of numbers up to 2^30, for noise and for what grows most; no value leaves what the C has room for."""
    rng = np.random.default_rng(fft)
    t, top = np.arange(fft), 1 << 30
    rows = [rng.integers(-top, top + 1, fft) for _ in range(20)]
    rows += [np.full(fft, -top), np.where(t % 2, -top, top), np.where(t % 4 < 2, -top, top), np.where(t == 5, -top, 0)]
    rows += [
        (top * np.exp(2j * np.pi * k * t / fft + 1j * phase)).real.round() for k in (1, 7, fft // 4) for phase in (0, 1)
    ]
    rows += [top * np.sign(np.cos(2 * np.pi * (k + 0.1) * t / fft) + 1e-9) for k in (1, 2, 3, 5, fft // 8)]
    x = np.array(rows).astype(np.int64)
    re, im = mel_arithmetic.spectrum(x, mel_tables.fft_cosines(fft))
    exact = np.fft.rfft(x) / fft
    assert max(np.abs(re - exact.real).max(), np.abs(im - exact.imag).max()) < 8
    assert max(np.abs(re).max(), np.abs(im).max()) < 2**31
    energy = mel_arithmetic.levels(re, im, magnitude=False).astype(float).sum(1)
    assert energy.max() < 2**61
    assert mel_arithmetic.levels(re, im, magnitude=True).astype(float).sum(1).max() < 2**56


@given(st.integers(0, 2**61), st.integers(0, 2**31))
@settings(max_examples=200, deadline=None)
def test_integer_functions(x: int, weight: int) -> None:
    value = np.array([x], np.uint64)
    assert mel_arithmetic.bit_length(value)[0] == x.bit_length()
    assert mel_arithmetic.scale(value, np.array([weight]))[0] == x * weight >> 31
    # 2^20 sqrt(re^2 + im^2) against exact integers: (found - error)^2 <= 2^40 x <= (found + error)^2
    re = int(x**0.5)
    energy = re * re
    found = int(mel_arithmetic.levels(np.array([re]), np.array([0]), magnitude=True)[0])
    error = (found >> 29) + 1
    assert (max(found - error, 0)) ** 2 <= energy << 40 <= (found + error) ** 2


@given(
    level=st.integers(0, 2**61),
    exponent=st.integers(-100, 40),
    floor=st.floats(1e-30, 1e6),
    clip=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_log2(level: int, exponent: int, floor: float, clip: bool) -> None:
    found = mel_arithmetic.log2(
        np.array([level], np.uint64), np.array([exponent]), mel_tables.mantissa(mel_tables.decimal(floor)), clip=clip
    )
    real = level * 2.0**exponent
    expected = np.log2(max(real, floor) if clip else real + floor)
    assert -1.3e-5 < found[0] / 2**20 - expected < 2e-6


def _random_table(seed: int) -> dict[str, Any]:
    """Settings that may be of any kind."""
    rng = np.random.default_rng(seed)

    def one(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    fft = int(2 ** rng.integers(6, 11))
    rate = int(rng.integers(1000, 48001))
    channels = int(rng.integers(1, 41))
    low = float(rng.uniform(0, rate / 4)) * one(0, 1)
    table = {
        "kind": one("log-mel", "mfcc"),
        "sample_rate": rate,
        "fft": fft,
        "window": int(rng.integers(max(8, fft // 3), fft + 1)),
        "hop": int(rng.integers(fft // 8, 2 * fft)),
        "window_function": one("hann", "hamming", "none"),
        "symmetric_window": bool(one(False, True)),
        "preemphasis": one(0.0, 0.97, float(rng.uniform(0, 1))),
        "samples": one("unit", "int16"),
        "spectrum": one("magnitude", "power", "periodogram"),
        "channels": channels,
        "low_hz": low,
        "high_hz": one(rate / 2, float(rng.uniform(rate / 3, rate / 2))),
        "mel": one("htk", "slaney"),
        "triangles": one("mel", "hz", "bins"),
        "normalization": one("none", "slaney"),
        "log": one("ln", "log10", "db"),
        one("offset", "floor"): float(10 ** rng.uniform(-20, 1)),
    }
    if table["kind"] == "mfcc":
        firsts = ["keep", "energy"] if table["spectrum"] != "magnitude" else ["keep"]
        table["first"] = one(*firsts, *(["drop"] if channels > 1 else []))
        table["coefficients"] = int(rng.integers(1, channels + (table["first"] != "drop")))
        table |= {"dct": one("ortho", "htk", "none"), "lifter": one(0, 22, int(rng.integers(1, 60)))}
    features = table.get("coefficients", channels)
    return table | {
        "mean": tuple(rng.normal(0, 20, features)),
        "deviation": one(1.0, tuple(rng.uniform(0.1, 30, features))),
    }


_RANDOM = range(24)


def _cases() -> dict[str, Case]:
    tables = {**_PACKAGES, **_CORNERS, **{f"random {seed}": _random_table(seed) for seed in _RANDOM}}
    cases = {}
    for seed, (name, table) in enumerate(tables.items()):
        front_end = _front_end(table)
        s = front_end.settings
        cases[name] = Case(front_end, _steps(front_end, _mixture(s.window + max(9 * s.hop, s.window), seed)))
    return cases


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_c(target: Target, tmp_path: Path) -> None:
    check_cases(_cases(), target, tmp_path)


@pytest.mark.parametrize("seed", _RANDOM)
def test_random_settings(seed: int) -> None:
    found, expected = _real(_random_table(seed), _SOUNDS["full noise"][:16000])
    assert len(found) > 2
    assert (np.abs(found - expected) <= _bound(_front_end(_random_table(seed)))).all()


@given(seed=st.integers(0, 1000), name=st.sampled_from([*_PACKAGES, *_CORNERS]), data=st.data())
@settings(max_examples=30, deadline=None)
def test_pieces_of_any_length_are_one_stream(seed: int, name: str, data: st.DataObject) -> None:
    front_end = _front_end((dict(_PACKAGES) | dict(_CORNERS))[name])
    s = front_end.settings
    raw = _steps(front_end, _mixture(s.window + 7 * s.hop, seed))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    parts = [front_end.process(raw[a:b]) for a, b in itertools.pairwise([0, *cuts, len(raw)])]
    assert np.cumsum([len(part) for part in parts]).tolist() == [front_end.frames_after(k) for k in [*cuts, len(raw)]]
    front_end.reset()
    assert np.array_equal(np.concatenate(parts), front_end.process(raw))


@pytest.mark.parametrize("raw", [np.zeros((2, 32)), np.zeros((2, 31), np.int16), np.zeros(64, np.int16)])
def test_other_samples_are_refused(raw: Array) -> None:
    with pytest.raises(UsageError, match="raw data are"):
        _front_end(_PLAIN).process(raw)


@pytest.mark.parametrize("name", ["Edge Impulse", "python_speech_features"])
def test_constants_do_not_depend_on_the_context_of_decimals(name: str) -> None:
    plain = _front_end(_PACKAGES[name]).c_config().fields
    with localcontext() as context:
        context.prec = 6
        other = _front_end(dict(_PACKAGES[name]) | {"every": 3}).c_config().fields  # not the cached one
    assert {name: np.asarray(x).tolist() for name, x in plain.items()} == {
        name: np.asarray(x).tolist() for name, x in other.items()
    }


def test_memory_of_keyword_spotting() -> None:
    """Bytes that docs state: samples, FFT and logarithms of MLPerf Tiny's keyword spotting."""
    buffers = _front_end(_PACKAGES["tf.signal"]).c_config().buffers
    assert {name: np.dtype(b.dtype).itemsize * b.length for name, b in buffers.items()} == {
        "samples": 1282,
        "work": 2048,
        "logarithms": 160,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fft": 96}, "fft is 96"),
        ({"fft": 4096}, "features.fft"),
        ({"window": 65}, "fft is 64"),
        ({"window": 4}, "features.window"),
        ({"window": 64.0}, "features.window"),
        ({"hop": 0}, "features.hop"),
        ({"hop": 1 << 40}, "features.hop"),
        ({"sample_rate": 10**9}, "features.sample_rate"),
        ({"channels": 129}, "features.channels"),
        ({"low_hz": 4000}, "low_hz is 4000"),
        ({"low_hz": -1}, "features.low_hz"),
        ({"low_hz": float("nan")}, "features.low_hz"),
        ({"high_hz": float("inf")}, "features.high_hz"),
        ({"high_hz": 4001}, "at most half of sample_rate"),
        ({"low_hz": 130, "high_hz": 140}, "no bin of the FFT"),
        ({"preemphasis": 1.5}, "features.preemphasis"),
        ({"preemphasis": float("nan")}, "features.preemphasis"),
        ({"offset": 0}, "features.offset"),
        ({"floor": 1e-31}, "features.floor"),
        ({"floor": float("nan")}, "features.floor"),
        ({"floor": 1e-6, "offset": 1e-6}, "exclude each other"),
        ({"mean": [0.0, 1.0]}, "mean has 2 numbers for 8 features"),
        ({"mean": float("nan")}, "mean has a number out of bounds"),
        ({"mean": "0"}, "features.mean"),
        ({"deviation": 0}, "deviation has a number out of bounds"),
        ({"deviation": [1.0] * 9}, "deviation has 9 numbers"),
        ({"spectrum": "dft"}, "features.spectrum"),
        ({"coefficients": 8}, "unknown key features.coefficients"),
        ({"kind": "mfcc"}, "features has no coefficients"),
        ({"kind": "mfcc", "coefficients": 9}, "coefficients is 9"),
        ({"kind": "mfcc", "coefficients": 8, "first": "drop"}, "at most 7 of 8"),
        ({"kind": "mfcc", "coefficients": 8, "first": "energy", "spectrum": "magnitude"}, "first is"),
        ({"kind": "mfcc", "coefficients": 8, "lifter": -1}, "features.lifter"),
        ({"kind": "mfcc", "coefficients": 8, "deviation": [1e-3] * 7 + [0.0]}, "deviation has a number"),
        (_LARGEST, "larger deviation"),
    ],
)
def test_hostile_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _front_end(_PLAIN | change)


@pytest.mark.parametrize(
    "command",
    [
        "gcc",
        "clang",
        "arm-none-eabi-gcc -mcpu=cortex-m0plus -mthumb",
        "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb",
        "riscv64-unknown-elf-gcc -march=rv32imc -mabi=ilp32 --specs=picolibc.specs",
    ],
)
def test_compilers_are_silent(command: str, tmp_path: Path) -> None:
    compiler = command.split()
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not installed")
    strict = [*STRICT, "-O2", "-Wshadow", "-Wstrict-prototypes", "-pedantic"]
    files = ["-c", str(_SOURCE), "-o", str(tmp_path / "mel.o")]
    done = subprocess.run([*compiler, *strict, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


def test_c_uses_no_libc_but_memory_functions_and_has_no_variables(tmp_path: Path) -> None:
    output = str(tmp_path / "mel.o")
    subprocess.run(["gcc", "-O2", "-c", str(_SOURCE), "-o", output], check=True)
    symbols = subprocess.run(["nm", output], capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = [(line.split()[-2], line.split()[-1]) for line in symbols]
    assert {name for kind, name in kinds if kind == "U"} <= {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_"}
    assert not [name for kind, name in kinds if kind in "bBdDcCsSgG"]
    assert {name for kind, name in kinds if kind == "T"} == {"to_mel_init", "to_mel_push", "to_mel_pull"}
