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

import tinyops.features
from tests.features import reference
from tests.features.cases import Case, check_cases
from tests.features.signals import signals, speech
from tests.kernels import harness
from tests.support.semihosted import TARGETS, Target
from tinyops.emit.c.library import _environment
from tinyops.emit.files import write_files
from tinyops.errors import UsageError
from tinyops.features.audio import AudioMicro
from tinyops.features.tables import filters, gain, window

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
_SOURCES = Path(tinyops.features.__file__).parent / "c"
_PROBE = """{% import "features_config.j2" as c %}
#include "to_audio_micro.h"
{{ c.define(config) }}
int32_t probe(const int16_t *samples, int32_t steps, uint16_t *features);
int32_t probe(const int16_t *samples, int32_t steps, uint16_t *features) {
    static struct {
        to_audio_micro state;
{{ c.members(config) }}
    } memory;
    int32_t frames = 0;
{% for buffer in config.buffers %}
    memory.state.{{ buffer }} = memory.{{ buffer }};
{% endfor %}
    to_audio_micro_init(&config, &memory.state);
    for (int32_t i = 0; i < steps; i++) {
        to_audio_micro_push(&config, &memory.state, samples + 160 * i);
        while (to_audio_micro_pull(&config, &memory.state, features + 40 * frames)) {
            frames++;
        }
    }
    return frames;
}
"""


def _files() -> dict[str, str]:
    config = AudioMicro().c_config()
    files = {name: (_SOURCES / name).read_text() for name in config.files}
    return files | {"probe.c": _environment().from_string(_PROBE).render(config=config)}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The C front end under UBSan."""
    folder = tmp_path_factory.mktemp("audio")
    write_files(folder, _files())
    sanitizer = ["-g", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
    sources = [str(folder / name) for name in ("to_audio_micro.c", "probe.c")]
    subprocess.run(["gcc", *_STRICT, *sanitizer, "-shared", "-fPIC", "-o", str(folder / "a.so"), *sources], check=True)
    return ctypes.CDLL(str(folder / "a.so"))


def _steps(samples: Array) -> Array:
    return samples[: len(samples) - len(samples) % 160].reshape(-1, 160)


def _in_numpy(samples: Array) -> Array:
    return AudioMicro().process(_steps(samples))


@pytest.fixture(params=["numpy", "c"])
def front_end(request: pytest.FixtureRequest, library: ctypes.CDLL) -> FrontEnd:
    return _in_numpy if request.param == "numpy" else lambda samples: _in_c(library, samples)


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
    assert np.array_equal(_in_numpy(samples), expected)
    assert np.array_equal(_in_c(library, samples), expected)


@given(st.lists(st.integers(0, 12), max_size=12))
@settings(max_examples=30, deadline=None)
def test_steps_in_any_split_are_one_stream(lengths: list[int]) -> None:
    steps = _steps(_SIGNALS["noise of changing volume"])[: sum(lengths)]
    audio, cuts = AudioMicro(), np.cumsum([0, *lengths])
    parts = [audio.process(steps[a:b]) for a, b in itertools.pairwise(cuts)]
    whole = AudioMicro().process(steps)
    assert len(whole) == AudioMicro().frames_after(len(steps))
    assert np.array_equal(np.concatenate([np.zeros((0, 40), np.uint16), *parts]), whole)


def test_reset_forgets() -> None:
    steps, audio = _steps(_SIGNALS["full noise"][:4000]), AudioMicro()
    first, second = audio.process(steps), audio.process(steps)
    assert not np.array_equal(first[:3], second[2:5])
    audio.reset()
    assert np.array_equal(audio.process(steps), first)


@pytest.mark.parametrize("raw", [np.zeros((3, 160)), np.zeros(480, np.int16), np.zeros((3, 160), np.uint16)])
def test_other_samples_are_refused(raw: Array) -> None:
    with pytest.raises(UsageError, match="raw data are"):
        AudioMicro().process(raw)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_targets(target: Target, tmp_path: Path) -> None:
    names = ("noise of changing volume", "lowest", "square wave")
    check_cases({name: Case(AudioMicro(), _steps(_SIGNALS[name])[:60]) for name in names}, target, tmp_path)


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
    write_files(tmp_path, _files())
    files = ["-c", str(tmp_path / "to_audio_micro.c"), "-o", str(tmp_path / "audio.o")]
    done = subprocess.run([*compiler, *_STRICT, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


def test_c_uses_no_libc_but_memcpy_and_has_no_variables(tmp_path: Path) -> None:
    write_files(tmp_path, _files())
    output = str(tmp_path / "audio.o")
    subprocess.run(["gcc", "-O2", "-c", str(tmp_path / "to_audio_micro.c"), "-o", output], check=True)
    symbols = subprocess.run(["nm", output], capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = [(line.split()[-2], line.split()[-1]) for line in symbols]
    assert {name for kind, name in kinds if kind == "U"} <= {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_"}
    assert not [name for kind, name in kinds if kind in "bBdDcCsSgG"]
    assert {name for kind, name in kinds if kind == "T"} == {f"to_audio_micro_{f}" for f in ("init", "push", "pull")}
