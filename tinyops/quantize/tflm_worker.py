"""The process that runs TFLite Micro for tinyops.quantize.tflm: `tflm_worker.py MODEL INPUTS.npz OUTPUTS.npz COUNT`.

Inputs are x<input>[steps, ...], outputs y<output>[steps, ...], COUNT of them. It imports nothing of tinyops.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def main() -> None:
    from tflite_micro.python.tflite_micro import runtime

    model, inputs, outputs, count = sys.argv[1:]
    data = Path(model).read_bytes()
    interpreter = runtime.Interpreter.from_bytes(data, arena_size=12 * len(data) + 2**22)
    with np.load(inputs, allow_pickle=False) as found:
        columns = [found[f"x{k}"] for k in range(len(found.files))]
    results = []
    for step in zip(*columns, strict=True):
        for index, value in enumerate(step):
            interpreter.set_input(value, index)
        interpreter.invoke()
        results.append([interpreter.get_output(index).copy() for index in range(int(count))])
    arrays = {f"y{k}": np.stack(column) for k, column in enumerate(zip(*results, strict=True))}
    np.savez(outputs, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
