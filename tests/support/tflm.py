"""TFLite Micro (PyPI tflite-micro) as the oracle of bit-exactness.

It runs in a worker process with a time limit, because the runtime aborts on some models; a worker that died or
hung is replaced.
"""

from __future__ import annotations

import atexit
import select
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from tests.support.tflm_worker import read_frame, write_frame
from tinyops.graph import DType, Graph

Array = np.ndarray[Any, Any]
_WORKER = Path(__file__).with_name("tflm_worker.py")


class OracleError(Exception):
    """TFLite Micro refused the model, or died on it; the text is what it printed."""


@dataclass(frozen=True)
class Step:
    """One invocation: the model's outputs, and the tensors that were asked for by index."""

    outputs: list[Array]
    tensors: dict[int, Array]


class Oracle:
    """A worker process, started on first use."""

    def __init__(self, seconds: float = 20.0) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        atexit.register(self.close)

    def run(
        self,
        model: bytes,
        steps: Sequence[Sequence[Array]],
        *,
        outputs: int = 1,
        tensors: Sequence[int] = (),
        arena: int | None = None,
        seconds: float | None = None,
    ) -> list[Step]:
        """Invoke a fresh interpreter once per element of `steps` (the inputs), state carried between them.

        `tensors` are indices of subgraph 0, constants and handles excluded. Raises OracleError.
        """
        request = {
            "model": model,
            "steps": [list(inputs) for inputs in steps],
            "outputs": outputs,
            "tensors": list(tensors),
            "arena": arena or 12 * len(model) + 2**20,
        }
        process = self._worker()
        self._log.seek(0, 2)
        start = self._log.tell()
        assert process.stdin is not None
        assert process.stdout is not None
        answer = None
        try:
            write_frame(process.stdin, request)
            if select.select([process.stdout], [], [], seconds or self._seconds)[0]:
                answer = read_frame(process.stdout)
        except (BrokenPipeError, EOFError):
            pass
        except BaseException:
            self.close()  # the answer to this request must not be taken for that to the next
            raise
        if answer is None:
            self.close()
        kind, value = answer or ("refused", "the runtime died or ran out of time")
        if kind != "ok":
            self._log.seek(start)
            raise OracleError(f"{value}\n{self._log.read().decode(errors='replace')}")
        return [Step(*step) for step in value]

    def _worker(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
            )
        return self._process

    def close(self) -> None:
        """End the worker."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def readable_tensors(graph: Graph) -> list[int]:
    """Indices of the tensors whose values the oracle can return: computed ones that have bytes."""
    return [
        t
        for t, tensor in enumerate(graph.tensors)
        if not tensor.is_constant and tensor.dtype is not DType.RESOURCE and (t in graph.producer or t in graph.inputs)
    ]


ORACLE = Oracle()
