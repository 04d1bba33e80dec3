"""ONNX models of a few nodes, and what ONNX Runtime makes of a model beside what we make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from tinyops.graph import Model
from tinyops.load import load_onnx
from tinyops.ops.interpreter import Interpreter
from tinyops.passes import input_permutation, output_permutation, run_passes

Array = np.ndarray[Any, Any]

#: Float results agree where |a - b| <= TOLERANCE * max(1, |b|).
TOLERANCE = 1e-4


class OnnxBuilder:
    """Add inputs, constants and nodes, then `build`; values go by their names."""

    def __init__(self, opset: int = 17) -> None:
        self.opset = opset
        self.inputs: list[Any] = []
        self.initializers: list[Any] = []
        self.nodes: list[Any] = []

    def input(self, shape: Sequence[int | str], dtype: int = TensorProto.FLOAT) -> str:
        name = f"input{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        return name

    def constant(self, data: Any, dtype: Any = None) -> str:
        name = f"constant{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(data, dtype=dtype), name))
        return name

    def node(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """The name of the output, or of all where there are several."""
        names = [f"{kind.lower()}{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(
            helper.make_node(kind, list(inputs), names, name=f"n{len(self.nodes)}", domain=domain, **attributes)
        )
        return names[0] if outputs == 1 else names

    def proto(self, *outputs: str) -> Any:
        values = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph(self.nodes, "g", self.inputs, values, self.initializers)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid("ai.onnx.ml", 3)]
        return helper.make_model(graph, opset_imports=imports, ir_version=9)

    def build(self, *outputs: str) -> bytes:
        return bytes(self.proto(*outputs).SerializeToString())


def onnx_outputs(data: bytes | Path, inputs: Mapping[str, Array]) -> list[Array]:
    """By ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    source = data if isinstance(data, bytes) else str(data)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return [np.asarray(y) for y in session.run(None, dict(inputs))]


def random_inputs(data: bytes, seed: int, shapes: Mapping[str, Sequence[int]] | None = None) -> dict[str, Array]:
    """Normal floats and small integers for the graph's inputs, a symbolic dimension 1."""
    rng, found = np.random.default_rng(seed), {}
    graph = onnx.ModelProto.FromString(data).graph
    constants = {tensor.name for tensor in graph.initializer}
    for info in graph.input:
        if info.name in constants:
            continue
        kind = info.type.tensor_type
        shape = (shapes or {}).get(info.name) or [d.dim_value or 1 for d in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        values = rng.normal(size=shape) if dtype.kind == "f" else rng.integers(0, 2, shape)
        found[info.name] = np.asarray(values).astype(dtype)
    return found


def our_outputs(model: Model, inputs: Sequence[Array]) -> list[Array]:
    """By the references, for inputs of the original model; outputs in its order too."""
    given = []
    for k, (t, values) in enumerate(zip(model.main.inputs, inputs, strict=True)):
        order = input_permutation(model, k)
        moved = values if order is None else values.transpose(order)
        given.append(np.ascontiguousarray(moved, dtype=model.main.tensors[t].dtype.numpy))
    outputs = []
    for k, values in enumerate(Interpreter(model).run(*given)):
        order = output_permutation(model, k)
        outputs.append(values if order is None else values.transpose(np.argsort(order)))
    return outputs


def assert_close(got: Sequence[Array], expected: Sequence[Array], tolerance: float = TOLERANCE) -> None:
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        wide = b.astype(np.float64)
        worst = np.max(np.abs(a.astype(np.float64) - wide) / np.maximum(1, np.abs(wide)), initial=0)
        assert worst <= tolerance, f"off by {worst:g}"


def assert_equals_onnx_runtime(data: bytes, seeds: int = 2) -> Model:
    """As imported and after the passes, which is returned."""
    model = load_onnx(data)
    passed = run_passes(model)
    for seed in range(seeds):
        inputs = random_inputs(data, seed)
        expected = onnx_outputs(data, inputs)
        assert_close(our_outputs(model, list(inputs.values())), expected)
        assert_close(our_outputs(passed, list(inputs.values())), expected)
    return passed
