"""Coverage-guided fuzzing of the importer: `python -m tests.load.fuzz_importer [libFuzzer options] CORPUS`.

Whatever the bytes are, compiling them either works or raises a TinyopsError with a printable message; and a model that
was imported can be written and imported again.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["tinyops", "flatbuffers", "tflite"]):
    from tinyops.errors import TinyopsError
    from tinyops.load import load_tflite
    from tinyops.lower.lowering import lower
    from tinyops.ops.base import supported
    from tinyops.passes import run_passes
    from tinyops.save import write_tflite

    supported()


def check_bytes(data: bytes) -> None:
    """One run; any exception but TinyopsError is a finding."""
    try:
        model = load_tflite(data)
        written = write_tflite(model)
        assert write_tflite(load_tflite(written)) == written
        lower(run_passes(model), name="m", seconds=0.2)
    except TinyopsError as error:
        message = str(error)
        assert message.replace("\n", "").isprintable(), message


if __name__ == "__main__":
    atheris.Setup(sys.argv, check_bytes)
    atheris.Fuzz()
