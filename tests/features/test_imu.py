"""Samples of an IMU in NumPy against the formulas in floating point, and in C against NumPy, bit for bit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.cases import Case, check_cases
from tests.support.semihosted import TARGETS, Target
from tinyops.errors import UsageError
from tinyops.features import read_settings
from tinyops.features.imu import Imu, ImuSettings
from tinyops.graph import DType, Tensor

Array = np.ndarray[Any, Any]

_ACCELEROMETER = {"axes": 3, "scale": 1 / 4096, "rate": 100}


def _imu(**table: Any) -> Imu:
    found = read_settings({"kind": "imu"} | table, "test")
    assert isinstance(found, ImuSettings)
    return found.front_end(Tensor("x", DType.FLOAT32, (1, 50, found.channels)))


def _signals(axes: int, length: int = 200) -> dict[str, Array]:
    rng, t = np.random.default_rng(7), np.arange(length)[:, None]
    return {
        "noise": rng.integers(-32768, 32768, (length, axes)).astype(np.int16),
        "lowest": np.full((length, axes), -32768, np.int16),
        "highest": np.full((length, axes), 32767, np.int16),
        "square": np.where(t // 3 % 2, 32767, -32768).astype(np.int16) * np.ones(axes, np.int16),
        "step": np.where(t < 5, -32768, 32767).astype(np.int16) * np.ones(axes, np.int16),
        "motion": (4096 + 9000 * np.sin(t * 0.3 + np.arange(axes)) + rng.normal(0, 40, (length, axes))).astype(
            np.int16
        ),
        "last bits": rng.integers(-2, 3, (length, axes)).astype(np.int16),
    }


def _tables() -> dict[str, dict[str, Any]]:
    six = {"axes": 6, "scale": [1 / 4096] * 3 + [1 / 16.4] * 3, "rate": 104.0}
    return {
        "plain": {"axes": 3, "scale": 0.000244},
        "one axis": {"axes": 1, "scale": -2.5, "magnitude": [0], "decimation": 3},
        "high-pass": _ACCELEROMETER | {"high_pass": 0.5, "mean": 0.1, "deviation": [0.5, 0.25, 2.0]},
        "lowest cut-off": _ACCELEROMETER | {"high_pass": 0.0005},
        "highest cut-off": _ACCELEROMETER | {"high_pass": 50, "decimation": 64, "magnitude": [2, 0]},
        "all": six
        | {"high_pass": 0.3, "decimation": 4, "magnitude": [0, 1, 2], "deviation": [1.0] * 3 + [90.0] * 3 + [2]},
        "mixed scales": six | {"magnitude": [0, 1, 3, 4], "minimum": -2, "maximum": [2] * 3 + [250] * 3 + [300.0]},
        "sixteen": {"axes": 16, "scale": 1, "magnitude": list(range(16)), "decimation": 64, "deviation": 1e4},
        "saturated": {"axes": 2, "scale": 100, "magnitude": [0, 1], "mean": 30000, "decimation": 2},
        "largest": {"axes": 2, "scale": 127, "rate": 10, "high_pass": 5, "magnitude": [1]},
        "smallest": {"axes": 2, "scale": 1e-9, "magnitude": [1], "mean": [0, 0, 1e-6]},
        "far scales": {"axes": 2, "scale": [1e-9, 100], "magnitude": [0, 1], "deviation": [1e-3, 10, 10]},
    }


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_c_is_the_twin(target: Target, tmp_path: Path) -> None:
    cases = {}
    for name, table in _tables().items():
        for signal, samples in _signals(table["axes"]).items():
            cases[f"{name}: {signal}"] = Case(_imu(**table), samples)
    check_cases(cases, target, tmp_path)


def _real(found: ImuSettings, samples: Array) -> tuple[Array, Array]:
    """The formulas in float64: frames, and how large each may be wrong."""
    filtered = samples.astype(float)
    drift = 0.0
    if found.high_pass is not None:
        assert found.rate is not None
        a = 1 / (1 + 2 * math.pi * found.high_pass / found.rate)
        filtered = np.zeros(samples.shape)
        for n in range(1, len(samples)):
            filtered[n] = a * (filtered[n - 1] + samples[n].astype(float) - samples[n - 1])
        drift = 2**-16 * found.rate / found.high_pass
    n = found.decimation
    means = filtered[: len(samples) // n * n].reshape(-1, n, found.axes).mean(1)
    scale = np.broadcast_to(np.array(found.scale), found.axes)
    values = means * scale
    doubt = np.abs(scale) * drift + np.zeros(values.shape)
    if found.magnitude:
        chosen = list(found.magnitude)
        values = np.concatenate([values, np.sqrt((values[:, chosen] ** 2).sum(1, keepdims=True))], 1)
        # the root and each square are rounded to 2^-12 of the largest scale's counts, and shares to 24 bits
        coarse = (drift + 2**-11) * np.abs(scale[chosen]).max() * math.sqrt(len(chosen))
        doubt = np.concatenate([doubt, np.full((len(values), 1), coarse)], 1)
    normalization = np.array(found.normalization(), float)
    mean, deviation = normalization[:, 0], normalization[:, 1]
    bound = 2**-16 + doubt / deviation + 2**-24 * (np.abs(values) + np.abs(mean)) / deviation
    return (values - mean) / deviation, bound


@pytest.mark.parametrize("name", _tables())
def test_near_the_formulas(name: str) -> None:
    table = _tables()[name]
    for signal, samples in _signals(table["axes"]).items():
        imu = _imu(**table)
        real, bound = _real(imu.settings, samples)
        frames = imu.process(samples)
        assert frames.dtype == np.int32
        assert frames.shape == real.shape == (len(samples) // imu.settings.decimation, *imu.frame_shape)
        assert imu.unit is not None
        found = frames * float(imu.unit)
        limit = 2.0**15
        difference = np.abs(found - np.clip(real, -limit, limit - 2**-16))
        assert (difference <= bound).all(), (signal, difference.max())


def test_the_limits_are_reached() -> None:
    """The signals of `saturated` clamp on both sides."""
    table = _tables()["saturated"]
    frames = np.concatenate([_imu(**table).process(samples) for samples in _signals(2).values()])
    assert frames.min() == -(2**31)
    assert frames.max() == 2**31 - 1


def test_gravity_is_removed() -> None:
    """A sensor at rest is at 0 at once; turned over, it comes back to 0 with the filter's time constant."""
    samples = np.zeros((1000, 3), np.int16)
    samples[:, 2] = 4096
    samples[500:, 2] = -4096
    found = _imu(**_ACCELEROMETER, high_pass=0.5).process(samples) / 2**16
    assert (found[:500] == 0).all()
    assert -2 < found[500, 2] < -1.9
    seconds = 1 / (2 * math.pi * 0.5)
    assert found[500 + round(100 * seconds), 2] == pytest.approx(-2 / math.e, rel=0.05)
    assert abs(found[-1, 2]) < 1e-4
    assert (found[:, :2] == 0).all()


def test_known_frames() -> None:
    samples = np.array([[3, 4], [-32768, 0], [0, -32768], [32767, 32767]], np.int16)
    assert (_imu(axes=2, scale=1, magnitude=[0, 1]).process(samples)[:3] / 2**16).tolist() == [
        [3, 4, 5],
        [-32768, 0, 32768 - 2**-16],
        [0, -32768, 32768 - 2**-16],
    ]
    turned = _imu(axes=2, scale=[2, -0.5], decimation=2, minimum=[-10, 0], maximum=[10, 4])
    assert turned.process(np.array([[1, 2], [2, 4], [3, 3]], np.int16)).tolist() == [[19661, -114688]]


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 90), max_size=6),
    decimation=st.integers(1, 9),
    high_pass=st.sampled_from([None, 0.01, 3.0]),
    seed=st.integers(0, 99),
)
def test_samples_in_any_split_are_one_stream(
    cuts: list[int], decimation: int, high_pass: float | None, seed: int
) -> None:
    table = _ACCELEROMETER | {"magnitude": [0, 1, 2], "decimation": decimation}
    imu = _imu(**table, **({} if high_pass is None else {"high_pass": high_pass}))
    samples = np.random.default_rng(seed).integers(-32768, 32768, (90, 3)).astype(np.int16)
    whole = imu.process(samples)
    imu.reset()
    parts = [imu.process(part) for part in np.split(samples, sorted(cuts))]
    assert np.array_equal(np.concatenate(parts), whole)
    assert np.cumsum([len(part) for part in parts]).tolist() == [imu.frames_after(n) for n in (*sorted(cuts), 90)]
    imu.reset()
    assert np.array_equal(imu.process(samples), whole)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"axes": 0}, "features.axes = 0"),
        ({"axes": 17}, "features.axes = 17"),
        ({"axes": "3"}, "features.axes = '3'"),
        ({"scale": 0}, "no axis can have the scale 0"),
        ({"scale": [1, 1]}, "scale has 2 entries, allowed: one number or a list of 3"),
        ({"scale": []}, "features.scale"),
        ({"scale": float("inf")}, "features.scale"),
        ({"scale": 2.1e5}, "channel 0: scale / deviation is not in"),
        ({"scale": 9e-10}, "channel 0: scale / deviation is not in"),
        ({"high_pass": 1.0}, "give the rate"),
        ({"high_pass": 51, "rate": 100}, "allowed: 0.0005 to 50 Hz"),
        ({"high_pass": 0.0004, "rate": 100}, "allowed: 0.0005 to 50 Hz"),
        ({"high_pass": 0, "rate": 100}, "features.high_pass"),
        ({"rate": float("nan")}, "features.rate"),
        ({"decimation": 0}, "features.decimation"),
        ({"decimation": 65}, "features.decimation"),
        ({"magnitude": [0, 3]}, "name axes from 0 to 2"),
        ({"magnitude": [0, 0]}, "each once"),
        ({"magnitude": [-1]}, "features.magnitude"),
        ({"mean": [1, 2, 3, 4]}, "mean has 4 entries"),
        ({"magnitude": [0], "mean": [1, 2, 3]}, "a list of 4"),
        ({"mean": 40000}, "at most 32767"),
        ({"deviation": 0}, "must be above 0"),
        ({"deviation": [1, 1, -1]}, "deviation of channel 2"),
        ({"minimum": 0}, "give both or none"),
        ({"minimum": 0, "maximum": 0}, "must be below maximum"),
        ({"minimum": 0, "maximum": 1, "mean": 0}, "not both"),
        ({"mean": "much"}, "features.mean"),
        ({"axis": 3}, "unknown key features.axis"),
        ({"every": -1}, "features.every"),
    ],
)
def test_hostile_settings_are_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        read_settings({"kind": "imu", "axes": 3, "scale": 1} | table, "tinyops.toml")
    assert message in str(error.value)


@pytest.mark.parametrize("raw", [np.zeros((2, 3)), np.zeros((2, 4), np.int16), np.zeros(3, np.int16)])
def test_other_samples_are_refused(raw: Array) -> None:
    with pytest.raises(UsageError, match="raw data are"):
        _imu(axes=3, scale=1).process(raw)
