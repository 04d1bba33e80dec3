"""Sound in, decision out, all of it in C: front end, quantization and model, against pymicro-wakeword's own chain."""

from __future__ import annotations

import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.features.reference import WakeWord
from tests.features.signals import speech
from tests.support.reference_models import wakeword_models
from tests.support.semihosted import CORTEX_M4, HOST, Target
from tinyops.emit.c import emit_library, library_sources
from tinyops.emit.files import write_files
from tinyops.features import ModelFeatures, read_settings
from tinyops.lower.compile import CompiledModel, compile_model
from tinyops.ops.interpreter import Interpreter

pytestmark = [
    pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed"),
    pytest.mark.slow,
]

Array = np.ndarray[Any, Any]

#: Text, voice and words per minute that pymicro-wakeword takes for the word.
_SPOKEN = {
    "alexa": ("alexa, what is the weather. tell me alexa", "en-us", 150),
    "hey_jarvis": ("hey jarvis, open the door. is it late", "en-gb-scotland+f4", 155),
    "hey_mycroft": ("hey mycroft, play some music. thank you hey mycroft. hey mycroft louder", "en-gb", 130),
    "okay_nabu": ("okay nabu, turn on the light. okay nabu", "en-us", 150),
}
_OTHER = ("good morning, the train to the city leaves at a quarter past seven", "en-us", 150)
_PROGRAM = """
#include <stdio.h>
#include <string.h>
#include "{name}.h"
#include "{name}_features.h"
#include "sound.h"

static {name}_arena_t arena;
static {name}_state_t state;
static {name}_features_t features;

/* Prints the model's outputs and whether a mean of {window} of them exceeded the cutoff. */
int main(void) {{
    const long step = {NAME}_FEATURES_STEP_LENGTH;
    uint8_t last[{window}] = {{ 0 }};
    int outputs = 0, found = 0;
    {name}_features_init(&features);
    {name}_init(state.bytes);
    for (long at = 0; at + step <= (long)(sizeof sound / sizeof *sound); at += step) {{
        if (!{name}_features_push(&features, sound + at, arena.bytes)) {{
            continue;
        }}
        {name}_invoke(arena.bytes, state.bytes);
        last[outputs++ % {window}] = *(uint8_t *){name}_output_0(arena.bytes);
        printf("%d ", last[(outputs - 1) % {window}]);
        int sum = 0;
        for (int i = 0; i < {window}; i++) {{
            sum += last[i];
        }}
        found |= outputs >= {window} && sum > {limit};
    }}
    printf("\\n%s\\n", found ? "found" : "nothing");
    return 0;
}}
"""


#: All models on the emulated board, and one on the host too.
_ON_TARGETS = pytest.mark.parametrize(
    ("path", "target"),
    [*((path, CORTEX_M4) for path in wakeword_models()), *((path, HOST) for path in wakeword_models()[:1])],
    ids=lambda value: value.stem if isinstance(value, Path) else value.name,
)


def _features(compiled: CompiledModel) -> ModelFeatures:
    settings = read_settings({"kind": "audio-micro"}, "test")
    return ModelFeatures.of(settings, [port.tensor for port in compiled.program.inputs])


def _build(compiled: CompiledModel, word: WakeWord, samples: Array, target: Target, folder: Path) -> Path:
    name, features = compiled.program.name, _features(compiled)
    limit = int(word.cutoff * word.window / compiled.program.outputs[0].tensor.scale)
    numbers = textwrap.fill(", ".join(map(str, samples)), 106)
    files = emit_library(compiled.program, features=features)
    files["sound.h"] = f"#include <stdint.h>\nstatic const int16_t sound[] = {{\n{numbers}\n}};\n"
    files["main.c"] = _PROGRAM.format(name=name, NAME=name.upper(), window=word.window, limit=limit)
    write_files(folder, files)
    sources = [str(folder / path) for path in (*library_sources(compiled.program, features), "main.c")]
    program = folder / "program"
    command = [target.compiler, "-std=c99", "-O2", *target.flags, f"-I{folder}", "-o", str(program), *sources]
    subprocess.run([*command, *target.link_flags(folder)], check=True)
    return program


def _decide(path: Path, samples: Array, target: Target, folder: Path) -> tuple[list[int], bool]:
    """Outputs and decision of the C program: those of the package with TFLite Micro, and its own decision."""
    target.require()
    word, compiled = WakeWord(path), compile_model(path, name=path.stem)
    expected = word.listen(samples)
    done = target.run(_build(compiled, word, samples, target, folder))
    assert done.returncode == 0, done.stderr
    outputs, verdict = (done.stdout + done.stderr).splitlines()
    found = ([int(x) for x in outputs.split()], verdict == "found")
    assert found == expected
    assert found[1] == word.listen(samples, micro=False)[1]
    return found


@_ON_TARGETS
def test_wake_word_is_found(path: Path, target: Target, tmp_path: Path) -> None:
    outputs, found = _decide(path, speech(*_SPOKEN[path.stem]), target, tmp_path)
    assert found
    assert len(outputs) > 60
    assert len(set(outputs)) > 10


@pytest.mark.slow
@_ON_TARGETS
def test_other_words_are_not(path: Path, target: Target, tmp_path: Path) -> None:
    outputs, found = _decide(path, speech(*_OTHER), target, tmp_path)
    assert not found
    assert len(outputs) > 60


@pytest.mark.parametrize("path", wakeword_models(), ids=lambda path: path.stem)
def test_python_chain(path: Path) -> None:
    """The same from Python: the front end's twin and the operators' references."""
    samples = speech(*_SPOKEN[path.stem])[: 16000 * 2]
    compiled = compile_model(path, name=path.stem)
    interpreter = Interpreter(compiled.model)
    rows = _features(compiled).stream().inputs(samples.reshape(-1, 160))
    outputs = [interpreter.run(row)[0].item() for row in rows]
    assert outputs == WakeWord(path).listen(samples)[0]
