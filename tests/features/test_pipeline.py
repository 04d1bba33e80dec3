"""Raw steps to inputs: windows of frames in Python by their definition, and the generated C on every target."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.models import TABLES, make, random_raw
from tests.support.semihosted import TARGETS, Target
from tinyops.emit.c import emit_library, library_sources
from tinyops.emit.files import write_files
from tinyops.emit.golden import random_raw as golden_raw
from tinyops.errors import ModelError, TinyopsError
from tinyops.features import FeatureQuantization, ModelFeatures, read_settings
from tinyops.graph import DType, Quantization, Tensor

Array = np.ndarray[Any, Any]


def _by_definition(features: ModelFeatures, raw: Array) -> Array:
    """Frames of the whole, quantized, cut into windows."""
    frames = features.settings.front_end(features.tensor).process(raw)
    if features.quantization is not None:
        frames = features.quantization.apply(frames)
    starts = range(0, len(frames) - features.frames + 1, features.every)
    return np.stack([frames[k : k + features.frames].reshape(features.tensor.shape) for k in starts])


@pytest.mark.parametrize("name", TABLES)
def test_inputs_are_windows_of_frames(name: str) -> None:
    _, features = make(*TABLES[name])
    raw = random_raw(features, 4)
    found = features.stream().inputs(raw)
    assert found.dtype == features.tensor.dtype.numpy
    assert len(found) == 4
    assert np.array_equal(found, _by_definition(features, raw))
    assert len(features.stream().inputs(raw[: features.first_steps])) == 1
    assert len(features.stream().inputs(raw[: features.first_steps - 1])) == 0


@pytest.mark.parametrize("name", TABLES)
@given(cuts=st.lists(st.integers(0, 60), max_size=8))
@settings(max_examples=10, deadline=None)
def test_any_split_gives_the_same(name: str, cuts: list[int]) -> None:
    _, features = make(*TABLES[name])
    raw, stream = random_raw(features, 4), features.stream()
    bounds = sorted({0, *(min(cut, len(raw)) for cut in cuts), len(raw)})
    parts = [stream.inputs(raw[a:b]) for a, b in itertools.pairwise(bounds)]
    assert np.array_equal(np.concatenate(parts), features.stream().inputs(raw))
    stream.reset()
    assert np.array_equal(stream.inputs(raw), features.stream().inputs(raw))


@pytest.mark.parametrize("name", TABLES)
def test_real_values_are_those_before_quantization(name: str) -> None:
    _, features = make(*TABLES[name])
    raw, tensor = random_raw(features, 2), features.tensor
    real, stored = features.real().stream().inputs(raw), features.stream().inputs(raw)
    assert (real.dtype, real.shape) == (np.float32, stored.shape)
    if tensor.dtype is DType.FLOAT32:
        assert np.array_equal(real, stored)
        return
    info = np.iinfo(tensor.dtype.numpy)
    expected = np.clip(real.astype(float) / tensor.scale + tensor.zero_point, info.min, info.max)
    assert np.abs(stored - expected).max() <= 0.5 + 1e-2


_PROGRAM = """
#include <stdio.h>
#include "net.h"
#include "net_features.h"
#include "raw.h"

static net_arena_t arena;
static net_features_t features;

int main(void) {
    printf("%lu\\n", (unsigned long)sizeof features);
    const unsigned char *bytes = (const unsigned char *)net_output_0(arena.bytes);
    for (int again = 0; again < 2; again++) {
        net_features_init(&features);
        for (unsigned long at = 0; at < sizeof raw / sizeof *raw; at += NET_FEATURES_STEP_LENGTH) {
            if (net_features_push(&features, raw + at, arena.bytes)) {
                net_invoke(arena.bytes, NULL);
                printf("%lu ", at / NET_FEATURES_STEP_LENGTH);
                for (unsigned i = 0; i < NET_OUTPUT_0_BYTES; i++) {
                    printf("%02x", bytes[i]);
                }
                printf("\\n");
            }
        }
    }
    return 0;
}
"""


def _run(name: str, target: Target, folder: Path) -> tuple[int, list[tuple[int, bytes]], Array, ModelFeatures]:
    """Size of the stream, (step, input) of each inference, the raw data and the front end."""
    target.require()
    program, features = make(*TABLES[name])
    raw = random_raw(features, 5)
    files = emit_library(program, features=features)
    values = ",\n".join(map(str, raw.ravel().tolist()))
    files["raw.h"] = f"#include <stdint.h>\nstatic const {raw.dtype}_t raw[] = {{\n{values}\n}};\n"
    write_files(folder, files | {"main.c": _PROGRAM})
    sources = [str(folder / path) for path in (*library_sources(program, features), "main.c")]
    strict = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
    command = [target.compiler, *strict, *target.flags, f"-I{folder}", "-o", str(folder / "program"), *sources]
    subprocess.run([*command, *target.link_flags(folder)], check=True)
    done = target.run(folder / "program")
    assert done.returncode == 0, done.stderr
    (size,), *lines = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    return int(size), [(int(step), bytes.fromhex(text)) for step, text in lines], raw, features


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("name", TABLES)
def test_generated_c(name: str, target: Target, tmp_path: Path) -> None:
    """The library in front of a model that copies: the same inputs, each complete with the right step; twice."""
    size, found, raw, features = _run(name, target, tmp_path)
    expected = features.stream().inputs(raw)
    little = expected.astype(expected.dtype.newbyteorder("<"))
    steps = [features.first_steps - 1 + k * features.next_steps for k in range(5)]
    assert found == 2 * list(zip(steps, (row.tobytes() for row in little), strict=True))
    assert features.ram_bytes <= size <= features.ram_bytes + 128


def _input(shape: tuple[int, ...], dtype: DType = DType.INT8) -> Tensor:
    return Tensor("x", dtype, shape, Quantization((0.1,), (0,)))


@pytest.mark.parametrize(
    ("table", "inputs", "message"),
    [
        ({}, [_input((1, 49, 10))], r"(?s)input x: shape \[1, 49, 10\] cannot be made.*\[frames, 40\]"),
        ({}, [_input((1, 40, 3))], "cannot be made"),
        ({}, [_input((1, 130))], "multiple of 40"),
        ({}, [_input((1, 0, 40))], "cannot be made"),
        ({}, [_input((1, 3, 40), DType.INT32)], "features for dtype int32"),
        ({}, [], "model of 0 inputs"),
        ({}, [_input((1, 3, 40)), _input((1, 3, 40))], "model of 2 inputs: x, x"),
        (
            {"kind": "image", "width": 4, "height": 4, "format": "gray", "range": (0, 1), "every": 3},
            [_input((1, 8, 8, 1))],
            "every = 3 rows",
        ),
    ],
)
def test_models_that_cannot_be_fed(table: dict[str, Any], inputs: list[Tensor], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ModelFeatures.of(read_settings({"kind": "audio-micro"} | table, "test"), inputs)


def test_stored_values_of_another_dtype_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _, features = make(*TABLES["image"])
    features.front_end.frame_dtype = np.dtype(np.int16)
    monkeypatch.setattr(type(features.settings), "front_end", lambda *_: features.front_end)
    with pytest.raises(TinyopsError, match="dtype int8"):
        ModelFeatures.of(features.settings, [features.tensor])


def test_raw_data_of_an_inference_are_bounded() -> None:
    table = TABLES["log-mel"][0] | {"every": 1 << 20, "hop": 8192}
    with pytest.raises(ModelError, match="takes 17,179,869,184 bytes of raw data"):
        ModelFeatures.of(read_settings(table, "test"), [_input((1, 4, 12))])


def test_random_raw_is_the_generator_of_the_c_tests() -> None:
    _, features = make(*TABLES["imu, ring"])
    state, expected = 1, []
    for _ in range(3 * 77):
        state = (state * 1664525 + 1013904223) % 2**32
        expected.append(state >> 16)
    assert np.array_equal(golden_raw(features, 77).ravel(), np.array(expected).astype(np.int16))


def test_quantization_is_that_of_the_unit() -> None:
    _, features = make(*TABLES["audio, no overlap"])
    assert features.front_end.unit is not None
    assert features.quantization == FeatureQuantization.of(features.front_end.unit, features.tensor)
