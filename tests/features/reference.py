"""Judges of the front end: the packages pymicro-features and pymicro-wakeword, and TFLite Micro for the models."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import numpy as np
import pymicro_wakeword
from pymicro_features import MicroFrontend
from tflite_micro import runtime

Array = np.ndarray[Any, Any]

STEP = 160


def features(samples: Array) -> Array:
    """uint16[frames, 40] by pymicro-features; its unit is 10 / 256, exact in float32."""
    frontend, frames = MicroFrontend(), []
    for start in range(0, len(samples) - STEP + 1, STEP):
        result = frontend.process_samples(samples[start : start + STEP].tobytes())
        assert result.samples_read == STEP
        if result.features:
            frames.append(result.features)
    units = np.array(frames) * 25.6
    assert (units == np.round(units)).all()
    return units.astype(np.uint16)


class _Micro:
    """TFLite Micro in the place of the package's libtensorflowlite_c: XNNPACK there rounds otherwise."""

    def __init__(self, model: Path, lite: Any) -> None:
        self._lite = lite
        self._micro = runtime.Interpreter.from_file(str(model), arena_size=256 * 1024)
        details = self._micro.get_input_details(0)
        self._shape, self._dtype = details["shape"], details["dtype"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lite, name)

    def TfLiteTensorCopyFromBuffer(self, tensor: int, source: ctypes.c_void_p, size: int) -> None:  # noqa: N802
        value = np.frombuffer(ctypes.string_at(source, size), self._dtype)
        self._micro.set_input(value.reshape(self._shape), 0)

    def TfLiteInterpreterInvoke(self, interpreter: int) -> None:  # noqa: N802
        self._micro.invoke()

    def TfLiteTensorCopyToBuffer(self, tensor: int, target: ctypes.c_void_p, size: int) -> None:  # noqa: N802
        ctypes.memmove(target, self._micro.get_output(0).tobytes(), size)


class WakeWord:
    """A built-in model of pymicro-wakeword and what its configuration says about decisions."""

    def __init__(self, model: Path) -> None:
        self._model = model
        config = json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))["micro"]
        self.window: int = config["sliding_window_size"]
        self.cutoff: float = config["probability_cutoff"]

    def listen(self, samples: Array, *, micro: bool = True) -> tuple[list[int], bool]:
        """Outputs of the model (uint8) and whether the package found the word.

        With `micro` the package runs the model by TFLite Micro, else as it does everywhere: by TFLite with XNNPACK.
        """
        word = pymicro_wakeword.MicroWakeWord.from_config(self._model.with_suffix(".json"))
        if micro:
            word.lib = _Micro(self._model, word.lib)
        outputs, found = [], False
        for frame in pymicro_wakeword.MicroWakeWordFeatures().process_streaming(samples.tobytes()):
            found |= bool(word.process_streaming(frame))
            if not word._features:
                real = word._probabilities[-1] / word.output_scale + word.output_zero_point
                assert real == round(real)
                outputs.append(round(real))
        return outputs, found
