"""Many front ends of one kind in one program: compiled and run on a target, for comparison with their twins."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyops.features
from tests.kernels.harness import STRICT
from tests.support.semihosted import Target
from tinyops.emit.c.library import _environment
from tinyops.emit.files import write_files
from tinyops.features.base import FrontEnd

Array = np.ndarray[Any, Any]

_SOURCES = Path(tinyops.features.__file__).parent / "c"
# Every buffer, row and frame is an array of its own, so that ASan sees the ends of each.
_PROGRAM = """{% import "features_config.j2" as c %}
#include <stdio.h>
#include <string.h>
#include "{{ prefix }}.h"

static void print_bytes(long step, const void *frame, size_t size)
{
    const unsigned char *bytes = frame;

    printf("%ld ", step);
    for (size_t i = 0; i < size; i++) {
        putchar("0123456789abcdef"[bytes[i] >> 4]);
        putchar("0123456789abcdef"[bytes[i] & 15]);
    }
    putchar('\\n');
}

{% for case in cases %}
{% set name = "config%d" % loop.index0 %}
{{ c.define(case.config, name) }}
static const {{ case.raw.dtype | dtype_ctype }} {{ name }}_raw[{{ case.raw.size }}] = {
{{ case.raw | numbers }}
};

static void {{ name }}_run(void)
{
    static {{ prefix }} state;
    static {{ case.raw.dtype | dtype_ctype }} step[{{ case.raw[0].size }}];
    static {{ case.frame.dtype | dtype_ctype }} frame[{{ case.frame.size }}];
{% for buffer, size in case.config.buffers.items() %}
    static {{ size.dtype | dtype_ctype }} {{ buffer }}[{{ size.length }}];
{% endfor %}

    memset(&state, 0xA5, sizeof state);
{% for buffer in case.config.buffers %}
    memset({{ buffer }}, 0xA5, sizeof {{ buffer }});
    state.{{ buffer }} = {{ buffer }};
{% endfor %}
    {{ prefix }}_init(&{{ name }}, &state);
    for (long i = 0; i < {{ case.raw | length }}; i++) {
        memcpy(step, {{ name }}_raw + i * {{ case.raw[0].size }}, sizeof step);
        {{ prefix }}_push(&{{ name }}, &state, step);
        memset(step, 0x5A, sizeof step);
        while ({{ prefix }}_pull(&{{ name }}, &state, frame)) {
            print_bytes(i, frame, sizeof frame);
        }
    }
    puts("end");
}

{% endfor %}
int main(void)
{
{% for case in cases %}
    config{{ loop.index0 }}_run();
{% endfor %}
    return 0;
}
"""


@dataclass(frozen=True, eq=False)
class Case:
    front_end: FrontEnd
    raw: Array

    @property
    def config(self) -> Any:
        return self.front_end.c_config()

    @property
    def frame(self) -> Array:
        return np.zeros(self.front_end.frame_shape, self.front_end.frame_dtype)


def check_cases(cases: Mapping[str, Case], target: Target, folder: Path) -> None:
    """Compare C and twin: the same frames, each after the same step. On the host with ASan and UBSan."""
    expected = {name: case.front_end.process(case.raw) for name, case in cases.items()}
    for (name, case), found in zip(cases.items(), run_cases(list(cases.values()), target, folder), strict=True):
        after = [case.front_end.frames_after(k + 1) for k in range(len(case.raw))]
        steps = np.repeat(np.arange(len(case.raw)), np.diff(after, prepend=0))
        assert [step for step, _ in found] == steps.tolist(), name
        frames = b"".join(frame for _, frame in found)
        little = expected[name].astype(expected[name].dtype.newbyteorder("<"))
        assert frames == little.tobytes(), name


def run_cases(cases: Sequence[Case], target: Target, folder: Path) -> list[list[tuple[int, bytes]]]:
    """(step, frame) of each case's C. Skips where the compiler or emulator of `target` is missing."""
    target.require()
    prefixes = {case.config.prefix for case in cases}
    assert len(prefixes) == 1
    files = cases[0].config.files
    program = _environment().from_string(_PROGRAM).render(cases=cases, prefix=prefixes.pop())
    write_files(folder, {name: (_SOURCES / name).read_text() for name in files} | {"main.c": program})
    sources = [str(folder / name) for name in (*files, "main.c") if name.endswith(".c")]
    binary = str(folder / "program")
    command = [target.compiler, *STRICT, "-O2", "-Wshadow", *target.flags, f"-I{folder}", "-o", binary]
    built = subprocess.run(
        [*command, *sources, *target.link_flags(folder)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, textwrap.shorten(built.stderr, 4000)
    done = target.run(Path(binary))
    assert done.returncode == 0, done.stderr
    found: list[list[tuple[int, bytes]]] = []
    frames: list[tuple[int, bytes]] = []
    for line in (done.stdout + done.stderr).splitlines():
        if line == "end":
            found.append(frames)
            frames = []
        else:
            step, text = line.split()
            frames.append((int(step), bytes.fromhex(text)))
    if len(found) != len(cases):
        pytest.fail(f"{len(found)} of {len(cases)} cases ended: {done.stderr[-2000:]}")
    return found
