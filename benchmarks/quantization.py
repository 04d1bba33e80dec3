"""tinyops quantize beside litert-quantizer: output error against the float32 model on held-out inputs.

Both get the same calibration inputs. Needs `pip install litert-quantizer ai-edge-litert scikit-learn`, espeak-ng, and
a folder of the MLPerf Tiny models (github.com/mlcommons/tiny): python -m benchmarks.quantization FOLDER
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quantization_inputs import Samples, images, machines, words
from tinyops.graph import DType, Model, Tensor
from tinyops.load import load_model
from tinyops.load.tflite import load_tflite
from tinyops.ops.float32 import quantized, real_values
from tinyops.ops.interpreter import Interpreter
from tinyops.passes import run_passes
from tinyops.quantize import QuantizationSettings, quantize
from tinyops.save import write_tflite

Array = np.ndarray[Any, Any]


def float_twin(model: Model) -> Model:
    """The float32 model that an int8 one stands for: constants dequantized, activations not rounded, names unique."""
    graph = model.main

    def real(k: int, tensor: Tensor) -> Tensor:
        if tensor.quantization is None:
            return dataclasses.replace(tensor, name=f"t{k}")
        data = None if tensor.data is None else real_values(tensor, tensor.data)
        return dataclasses.replace(tensor, name=f"t{k}", dtype=DType.FLOAT32, quantization=None, data=data)

    tensors = tuple(real(k, tensor) for k, tensor in enumerate(graph.tensors))
    return dataclasses.replace(model, graphs=(dataclasses.replace(graph, tensors=tensors),))


def run(model: Model, samples: Samples) -> Array:
    """float64[samples, outputs]: real outputs for real inputs, by the NumPy references."""
    interpreter = Interpreter(run_passes(model))
    graph = model.main
    found = []
    for sample in samples:
        inputs = [
            x if graph.tensors[t].dtype is DType.FLOAT32 else quantized(x, graph.tensors[t])
            for t, x in zip(graph.inputs, sample, strict=True)
        ]
        outputs = interpreter.run(*inputs)
        reals = [real_values(graph.tensors[t], y) for t, y in zip(graph.outputs, outputs, strict=True)]
        found.append(np.concatenate([y.reshape(-1) for y in reals]))
    return np.array(found, dtype=np.float64)


def run_litert(model: bytes, samples: Samples) -> Array:
    """The same by LiteRT."""
    from ai_edge_litert.interpreter import Interpreter as LiteRt

    interpreter = LiteRt(model_content=model)
    interpreter.allocate_tensors()
    found = []
    for sample in samples:
        for detail, x in zip(interpreter.get_input_details(), sample, strict=True):
            scale, zero_point = detail["quantization"]
            if detail["dtype"] is np.int8:
                x = np.clip(np.round(x / scale) + zero_point, -128, 127).astype(np.int8)
            interpreter.set_tensor(detail["index"], x)
        interpreter.invoke()
        outputs = []
        for detail in interpreter.get_output_details():
            scale, zero_point = detail["quantization"]
            y = interpreter.get_tensor(detail["index"]).astype(np.float64)
            outputs.append((y - zero_point) * scale if detail["dtype"] is np.int8 else y)
        found.append(np.concatenate([y.reshape(-1) for y in outputs]))
    return np.array(found, dtype=np.float64)


def with_signature(model: bytes) -> bytes:
    """litert-quantizer calibrates models that have a signature; inputs are named i0, i1, ..."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    graph = tree.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    for letter, tensors in (("i", graph.inputs), ("o", graph.outputs)):
        maps = []
        for k, t in enumerate(tensors):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = f"{letter}{k}".encode(), int(t)
            maps.append(entry)
        setattr(signature, "inputs" if letter == "i" else "outputs", maps)
    tree.signatureDefs = [signature]
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def theirs(model: bytes, samples: Samples) -> bytes:
    from litert_quantizer import quantizer, recipe

    work = quantizer.Quantizer(with_signature(model), recipe.static_wi8_ai8())
    data = [{f"i{k}": x for k, x in enumerate(sample)} for sample in samples]
    calibrated = work.calibrate({"serving_default": data}, num_threads=2)
    return bytes(work.quantize(calibrated, enable_progress_report=False).quantized_model)


def error(outputs: Array, exact: Array) -> tuple[float, float, float]:
    """(root mean square, SQNR in dB, share of samples with the same largest output)."""
    difference = outputs - exact
    rms = float(np.sqrt((difference**2).mean()))
    sqnr = 10 * np.log10((exact**2).sum() / max((difference**2).sum(), 1e-300))
    return rms, float(sqnr), float((outputs.argmax(axis=1) == exact.argmax(axis=1)).mean())


def ours(model: Model, samples: Samples, settings: QuantizationSettings) -> bytes:
    return write_tflite(quantize(model, samples, settings).model)


def run_ours(model: bytes, samples: Samples) -> Array:
    return run(load_tflite(model), samples)


@dataclasses.dataclass(frozen=True)
class Contest:
    """One model with its held-out inputs and the float32 outputs for them."""

    name: str
    held_out: Samples
    exact: Array

    def enter(self, who: str, make: Callable[[], bytes], evaluate: Callable[[bytes, Samples], Array]) -> None:
        """Make a quantized model and print how far its outputs are off."""
        start = time.perf_counter()
        made = make()
        seconds = time.perf_counter() - start
        rms, sqnr, same = error(evaluate(made, self.held_out), self.exact)
        cells = (
            self.name,
            who,
            f"{rms:.6f}",
            f"{sqnr:.2f} dB",
            f"{100 * same:.1f} %",
            f"{len(made):,}",
            f"{seconds:.1f}",
        )
        print("|", " | ".join(cells), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--calibration", type=int, default=128)
    parser.add_argument("--held-out", type=int, default=256)
    parser.add_argument("--only", nargs="*", default=["vww", "ic", "kws", "ad"])
    parser.add_argument("--settings", action="append", default=[], help="JSON of QuantizationSettings, more than once")
    parser.add_argument("--without-theirs", action="store_true")
    arguments = parser.parse_args()
    makers: dict[str, Callable[[int, bool], Samples]] = {
        "vww": images(96, 1 / 255),
        "ic": images(32, 1.0),
        "kws": words,
        "ad": machines,
    }
    print("| model | quantizer | RMS error | SQNR | same top | bytes | seconds |\n|---|---|---:|---:|---:|---:|---:|")
    for name in arguments.only:
        path = arguments.folder / f"{name}_{'int8' if name == 'kws' else 'float'}.tflite"
        model = load_model(path)
        if name == "kws":
            model = float_twin(model)
        calibration = makers[name](arguments.calibration, False)
        held_out = makers[name](arguments.held_out, True)
        contest = Contest(name, held_out, run(model, held_out))
        if not arguments.without_theirs:
            contest.enter("litert-quantizer", partial(theirs, write_tflite(model), calibration), run_litert)
        for text in arguments.settings or ["{}"]:
            settings = QuantizationSettings.model_validate_json(text)
            contest.enter(
                "tinyops" if text == "{}" else f"tinyops {text}", partial(ours, model, calibration, settings), run_ours
            )


if __name__ == "__main__":
    main()
