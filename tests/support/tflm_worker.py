"""The process that runs TFLite Micro for tests/support/tflm.py: requests on stdin, answers on a private stdout."""

from __future__ import annotations

import os
import pickle
import struct
import sys
from typing import IO, Any


def read_frame(stream: IO[bytes]) -> Any:
    """One length-prefixed pickle, or None at the end."""
    header = stream.read(4)
    if len(header) < 4:
        return None
    return pickle.loads(stream.read(struct.unpack("<I", header)[0]))


def write_frame(stream: IO[bytes], value: Any) -> None:
    data = pickle.dumps(value)
    stream.write(struct.pack("<I", len(data)) + data)
    stream.flush()


def _run(request: dict[str, Any]) -> list[tuple[list[Any], dict[int, Any]]]:
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(
        request["model"],
        arena_size=request["arena"],
        intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
    )
    steps = []
    for inputs in request["steps"]:
        for index, value in enumerate(inputs):
            interpreter.set_input(value, index)
        interpreter.invoke()
        outputs = [interpreter.get_output(index).copy() for index in range(request["outputs"])]
        tensors = {index: interpreter.GetTensor(index, 0)["tensor_data"].copy() for index in request["tensors"]}
        steps.append((outputs, tensors))
    return steps


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the runtime prints must not mix with the answers
    while (request := read_frame(sys.stdin.buffer)) is not None:
        try:
            write_frame(answers, ("ok", _run(request)))
        except Exception as error:  # the runtime raises RuntimeError for models it refuses
            write_frame(answers, ("refused", f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    main()
