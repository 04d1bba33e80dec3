"""What the training scripts share: quantization to int8, the reference run, and the files of a model folder."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tflite
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tflite_micro import runtime

Floats = npt.NDArray[np.float32]
Int8s = npt.NDArray[np.int8]
Labels = npt.NDArray[np.int64]

ARENA_BYTES = 256 * 1024


def make_deterministic(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, and run every TensorFlow op on one thread in a fixed order."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    tf.keras.utils.set_random_seed(seed)


def quantize(module: tf.Module, function: Any, samples: Floats, *, streaming: bool = False) -> bytes:
    """Full-integer post-training quantization of `function` (one input, batch 1) to an int8 TFLite model.

    `module` owns the function's variables: constants in the model, unless it is a streaming one, where they are its
    state. `samples` [n, *input shape without batch] calibrates the activation ranges, in order, so that the state takes
    the values that it has in use. Dense layers get one scale for all outputs, as TFLite Micro's FULLY_CONNECTED wants;
    convolutions get one for each output channel.
    """

    def representative() -> Iterator[list[Floats]]:
        for sample in samples:
            yield [sample[np.newaxis]]

    with tempfile.TemporaryDirectory() as folder:
        if streaming:  # a saved model, because it brings the subgraph that initializes the state
            tf.saved_model.save(module, folder, signatures=function)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            converter._experimental_variable_quantization = True
        else:
            frozen = convert_variables_to_constants_v2(function.get_concrete_function())
            converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen], module)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        return bytes(converter.convert())


@dataclass(frozen=True)
class Port:
    """The model's input or output: shape with batch 1, and real = scale * (quantized - zero_point)."""

    shape: tuple[int, ...]
    scale: float
    zero_point: int

    def quantize(self, real: Floats) -> Int8s:
        """[n, ...] float -> int8, rounded half to even and clipped to -128..127."""
        return np.clip(np.rint(real / np.float32(self.scale)) + self.zero_point, -128, 127).astype(np.int8)


class Reference:
    """TFLite Micro's interpreter over one model; a streaming model's state is carried from run to run."""

    def __init__(self, model: bytes) -> None:
        self._interpreter = runtime.Interpreter.from_bytes(model, arena_size=ARENA_BYTES)
        self.input = _port(self._interpreter.get_input_details(0))
        self.output = _port(self._interpreter.get_output_details(0))

    def run(self, inputs: Int8s) -> Int8s:
        """int8 [n, *input shape without batch] -> int8 [n, *output shape without batch], in order."""
        outputs = np.empty((len(inputs), *self.output.shape[1:]), np.int8)
        for row, sample in enumerate(inputs):
            self._interpreter.set_input(sample[np.newaxis], 0)
            self._interpreter.invoke()
            outputs[row] = self._interpreter.get_output(0)[0]
        return outputs


def _port(details: Mapping[str, Any]) -> Port:
    quantization = details["quantization_parameters"]
    if np.dtype(details["dtype"]) != np.int8:
        raise ValueError(f"input and output must be int8, not {details['dtype']}")
    return Port(
        tuple(int(size) for size in details["shape"]),
        float(quantization["scales"][0]),
        int(quantization["zero_points"][0]),
    )


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of a proportion (Wilson 1927, score interval without continuity correction)."""
    z = 1.959964
    rate = correct / total
    middle = (rate + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def _name(enum: type, code: int) -> str:
    return next(name for name, value in vars(enum).items() if value == code)


def operators(model: bytes) -> list[str]:
    """The operators of all subgraphs with their versions, in order of first use: `CONV_2D v3`."""
    parsed = tflite.Model.GetRootAsModel(model, 0)
    found: dict[str, None] = {}
    for graph in map(parsed.Subgraphs, range(parsed.SubgraphsLength())):
        for op in map(graph.Operators, range(graph.OperatorsLength())):
            code = parsed.OperatorCodes(op.OpcodeIndex())
            builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            found[f"{_name(tflite.BuiltinOperator, builtin)} v{code.Version()}"] = None
    return list(found)


def costs(model: bytes) -> tuple[int, int]:
    """(multiply-accumulates of one invocation, bytes of weights and biases) of convolutions and dense layers."""
    parsed = tflite.Model.GetRootAsModel(model, 0)
    graph = parsed.Subgraphs(0)
    macs = weights = 0
    for op in map(graph.Operators, range(graph.OperatorsLength())):
        code = parsed.OperatorCodes(op.OpcodeIndex())
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kernel_kinds = (tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.FULLY_CONNECTED)
        if builtin not in (*kernel_kinds, tflite.BuiltinOperator.DEPTHWISE_CONV_2D):
            continue
        kernel = graph.Tensors(op.Inputs(1)).ShapeAsNumpy()
        output = int(np.prod(graph.Tensors(op.Outputs(0)).ShapeAsNumpy()))
        # A filter is OHWI (dense: OI), so one output takes H*W*I products; a depthwise filter is 1HWO, so H*W.
        macs += output * int(np.prod(kernel[1:] if builtin in kernel_kinds else kernel[1:3]))
        for slot in range(1, op.InputsLength()):
            if op.Inputs(slot) >= 0:
                weights += parsed.Buffers(graph.Tensors(op.Inputs(slot)).Buffer()).DataLength()
    return macs, weights


def accuracy_table(float_correct: int, int8_correct: int, total: int) -> dict[str, Any]:
    """The [accuracy] table of model.toml; `total` decisions in the test set."""
    low, high = wilson_interval(int8_correct, total)
    return {
        "n": total,
        "float": round(float_correct / total, 4),
        "int8": round(int8_correct / total, 4),
        "int8_correct": int8_correct,
        "int8_confidence_95": [round(low, 4), round(high, 4)],
    }


def port_table(port: Port, description: str) -> dict[str, Any]:
    """The [input] or [output] table of model.toml."""
    return {
        "shape": list(port.shape),
        "dtype": "int8",
        "scale": port.scale,
        "zero_point": port.zero_point,
        "description": description,
    }


def cost_table(model: bytes) -> dict[str, Any]:
    """The [cost] table of model.toml."""
    macs, weights = costs(model)
    return {"macs": macs, "weight_bytes": weights, "file_bytes": len(model), "operators": operators(model)}


def _toml(table: Mapping[str, Any]) -> str:
    """TOML text of a table of strings, numbers and lists of them, sub-tables last. JSON's notation of these is TOML."""
    flat = {key: value for key, value in table.items() if not isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in flat.items()]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += ["", f"[{key}]", _toml(value)]
    return "\n".join(lines)


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    temporary = path.with_name(f"new-{path.name}")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_folder(
    folder: Path, model: bytes, test: Mapping[str, npt.NDArray[Any]], card: Mapping[str, Any], script: str
) -> None:
    """Write <name>.tflite, test.npz and model.toml, each whole or not at all."""
    text = f"# Written by {script}: change it there.\n{_toml(card)}\n"
    _replace(folder / f"{folder.name}.tflite", lambda path: path.write_bytes(model) and None)
    _replace(folder / "test.npz", lambda path: np.savez_compressed(path, **test))
    _replace(folder / "model.toml", lambda path: path.write_text(text, encoding="utf-8") and None)
