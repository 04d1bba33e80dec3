"""The audio front end in NumPy and in C against pymicro-features, bit for bit."""

from __future__ import annotations

import ctypes
import itertools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features import reference
from tests.features.signals import signals, speech
from tests.kernels import harness
from tinyops.emit.files import write_files
from tinyops.errors import ModelError, UsageError
from tinyops.features import AudioMicro, FeatureQuantization, emit_audio_micro, model_inputs
from tinyops.features.tables import filters, gain, window
from tinyops.graph import DType, Quantization, Tensor

Array = np.ndarray[Any, Any]
FrontEnd = Callable[[Array], Array]

_SIGNALS = signals()
_TEXTS = [
    ("okay nabu, turn on the light. how far is the moon?", "en-us", 150),
    ("the quick brown fox jumps over the lazy dog", "en-gb", 130),
    ("she sells sea shells on the sea shore", "en-us+f3", 170),
    ("zwei Boote fahren langsam flussabwärts", "de", 140),
]
_STRICT = [*harness.STRICT, "-O2", "-Wshadow", "-Wstrict-prototypes", "-pedantic"]
_PROBE = """
#include "to_audio_micro.h"
int32_t probe(const int16_t *samples, int32_t steps, uint16_t *features);
int32_t probe(const int16_t *samples, int32_t steps, uint16_t *features) {
    static to_audio_micro state;
    int32_t frames = 0;
    to_audio_micro_init(&state);
    for (int32_t i = 0; i < steps; i++) {
        frames += to_audio_micro_step(&state, samples + i * TO_AUDIO_MICRO_STEP,
                                      features + frames * TO_AUDIO_MICRO_CHANNELS) ? 1 : 0;
    }
    return frames;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The C front end under UBSan."""
    folder = tmp_path_factory.mktemp("audio")
    write_files(folder, emit_audio_micro() | {"probe.c": _PROBE})
    sanitizer = ["-g", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
    sources = [str(folder / name) for name in ("to_audio_micro.c", "probe.c")]
    subprocess.run(["gcc", *_STRICT, *sanitizer, "-shared", "-fPIC", "-o", str(folder / "a.so"), *sources], check=True)
    return ctypes.CDLL(str(folder / "a.so"))


@pytest.fixture(params=["numpy", "c"])
def front_end(request: pytest.FixtureRequest, library: ctypes.CDLL) -> FrontEnd:
    return AudioMicro().process if request.param == "numpy" else lambda samples: _in_c(library, samples)


def _in_c(library: ctypes.CDLL, samples: Array) -> Array:
    samples = np.ascontiguousarray(samples)
    steps = len(samples) // reference.STEP
    features = np.zeros((steps, 40), np.uint16)
    frames = library.probe(
        samples.ctypes.data_as(ctypes.c_void_p), ctypes.c_int32(steps), features.ctypes.data_as(ctypes.c_void_p)
    )
    return features[:frames]


@pytest.mark.parametrize("name", _SIGNALS)
def test_signals(front_end: FrontEnd, name: str) -> None:
    expected = reference.features(_SIGNALS[name])
    assert expected.shape == (398, 40)
    assert np.array_equal(front_end(_SIGNALS[name]), expected)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize(("text", "voice", "speed"), _TEXTS)
def test_speech(front_end: FrontEnd, text: str, voice: str, speed: int) -> None:
    samples = speech(text, voice, speed)
    expected = reference.features(samples)
    assert len(expected) > 150
    assert expected.std() > 50
    assert np.array_equal(front_end(samples), expected)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    volumes=st.lists(st.integers(0, 16), min_size=1, max_size=12),
    tone=st.floats(0, 3.14),
    tonal=st.booleans(),
)
def test_random_sounds(library: ctypes.CDLL, seed: int, volumes: list[int], tone: float, tonal: bool) -> None:
    """Noise or a tone whose volume jumps by powers of two."""
    envelope = np.repeat(2.0 ** np.array(volumes) / 2, 800)
    noise = np.random.default_rng(seed).uniform(-1, 1, len(envelope))
    carrier = np.sin(tone * np.arange(len(envelope))) if tonal else noise
    samples = np.clip(carrier * envelope, -32768, 32767).astype(np.int16)
    expected = reference.features(samples)
    assert np.array_equal(AudioMicro().process(samples), expected)
    assert np.array_equal(_in_c(library, samples), expected)


@given(st.lists(st.integers(0, 1500), max_size=12))
@settings(max_examples=30, deadline=None)
def test_pieces_of_any_length_are_one_stream(lengths: list[int]) -> None:
    samples = _SIGNALS["noise of changing volume"][: sum(lengths)]
    audio, cuts = AudioMicro(), np.cumsum([0, *lengths])
    parts = [audio.process(samples[a:b]) for a, b in itertools.pairwise(cuts)]
    whole = AudioMicro().process(samples)
    assert np.array_equal(np.concatenate([np.zeros((0, 40), np.uint16), *parts]), whole)


def test_reset_forgets() -> None:
    samples, audio = _SIGNALS["full noise"][:4000], AudioMicro()
    first, second = audio.process(samples), audio.process(samples)
    assert not np.array_equal(first[:3], second[2:5])
    audio.reset()
    assert np.array_equal(audio.process(samples), first)


@pytest.mark.parametrize("samples", [np.zeros(480), np.zeros((480, 1), np.int16), np.zeros(480, np.uint16)])
def test_other_samples_are_refused(samples: Array) -> None:
    with pytest.raises(UsageError, match="samples are"):
        AudioMicro().process(samples)


def test_intermediate_values_fit_int32() -> None:
    """The bounds that the C relies on: parabolas of the gain, weights of the filters and of the window."""
    value, slope, curvature = gain().astype(np.int64).T[:, 1:, None]
    fraction = np.arange(1024)
    inner = ((curvature * fraction) >> 5) + slope * 32
    assert np.abs(inner).max() < 2**31
    assert np.abs(inner * fraction).max() < 2**31 - 2**14
    result = ((inner * fraction + 2**14) >> 15) + value
    assert 0 <= result.min() <= result.max() < 2**15
    edges, falling = filters()
    assert len(falling) == edges[-1] - edges[0]
    assert edges[-1] < 256
    assert (np.diff(edges) > 0).all()
    assert 0 <= falling.min() <= falling.max() <= 4096
    assert 0 <= window().min() <= window().max() <= 4096


def _input(scale: float, zero_point: int, dtype: DType = DType.INT8, shape: tuple[int, ...] = (1, 3, 40)) -> Tensor:
    return Tensor("x", dtype, shape, Quantization((float(np.float32(scale)),), (zero_point,)))


@pytest.mark.parametrize("dtype", [DType.INT8, DType.UINT8])
@pytest.mark.parametrize("scale", [26 / 255, 0.1, 10 / 256, 20 / 256, 40 / 256, 0.01, 3.0, 1e-3])
@pytest.mark.parametrize("offset", [0, 1, 77])
def test_quantization(library: ctypes.CDLL, scale: float, offset: int, dtype: DType) -> None:
    """Every feature there can be, as pymicro-wakeword quantizes it; ties (of 20 / 256, 40 / 256 and 3) go to even."""
    scale, low = float(np.float32(scale)), int(np.iinfo(dtype.numpy).min)
    found = FeatureQuantization.of(_input(scale, low + offset, dtype))
    values = np.arange(1 << 16, dtype=np.uint16)
    real = np.clip(np.round(values * 0.0390625 / scale + low + offset), low, low + 255).astype(dtype.numpy)
    assert np.array_equal(found.apply(values), real)
    fields = (found.numerator, found.denominator, found.zero_point, found.low, found.high)
    struct = np.array([x % 2**32 for x in fields], np.uint32)
    some, output = values[: 40 * 1638].reshape(-1, 40), np.zeros((1638, 40), dtype.numpy)
    for row, out in zip(some, output, strict=True):
        library.to_audio_micro_quantize(*(x.ctypes.data_as(ctypes.c_void_p) for x in (row, struct, out)))
    assert np.array_equal(output, real[: some.size].reshape(-1, 40))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (_input(0.1, 0, DType.INT16), "dtype int16"),
        (Tensor("x", DType.INT8, (1, 40)), "dtype int8"),
        (_input(0.1, 0, shape=(1, 49, 10)), "shape"),
        (_input(1e-12, 0), "scale"),
    ],
)
def test_other_inputs_are_refused(tensor: Tensor, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        FeatureQuantization.of(tensor)


def test_model_inputs_are_whole_frames_in_order() -> None:
    samples, tensor = _SIGNALS["chirp"], _input(26 / 255, -128)
    rows = model_inputs(samples, tensor)
    assert rows.shape == (132, 1, 3, 40)
    frames = FeatureQuantization.of(tensor).apply(AudioMicro().process(samples))
    assert np.array_equal(rows.reshape(-1, 40), frames[:396])


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
    write_files(tmp_path, emit_audio_micro())
    files = ["-c", str(tmp_path / "to_audio_micro.c"), "-o", str(tmp_path / "audio.o")]
    done = subprocess.run([*compiler, *_STRICT, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


def test_c_uses_no_libc_but_memcpy_and_has_no_variables(tmp_path: Path) -> None:
    write_files(tmp_path, emit_audio_micro())
    output = str(tmp_path / "audio.o")
    subprocess.run(["gcc", "-O2", "-c", str(tmp_path / "to_audio_micro.c"), "-o", output], check=True)
    symbols = subprocess.run(["nm", output], capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = [(line.split()[-2], line.split()[-1]) for line in symbols]
    assert {name for kind, name in kinds if kind == "U"} <= {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_"}
    assert not [name for kind, name in kinds if kind in "bBdDcCsSgG"]
    assert {name for kind, name in kinds if kind == "T"} == {
        "to_audio_micro_init",
        "to_audio_micro_step",
        "to_audio_micro_quantize",
    }
