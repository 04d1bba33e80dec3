"""Every ONNX operator that is imported computes what ONNX Runtime computes, with all its attributes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from onnx import TensorProto

from tests.load.onnx_cases import CASES
from tests.support.onnx_writer import (
    OnnxBuilder,
    assert_close,
    assert_equals_onnx_runtime,
    onnx_outputs,
    our_outputs,
    random_inputs,
)
from tinyops.load import load_onnx
from tinyops.load.onnx import importers


@pytest.mark.parametrize("name", CASES)
def test_equals_onnx_runtime(name: str) -> None:
    opset, make = CASES[name]
    builder = OnnxBuilder(opset)
    outputs = make(builder)
    assert_equals_onnx_runtime(builder.build(*(outputs if isinstance(outputs, list) else [outputs])))


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("GELU", "hard swish"))])
def test_functions_that_are_written_out_are_one_operator(name: str) -> None:
    opset, make = CASES[name]
    builder = OnnxBuilder(opset)
    model = load_onnx(builder.build(make(builder)))
    kinds = [op.kind for op in model.main.ops if op.kind != "EXP"]
    assert kinds == ["GELU" if name.startswith("GELU") else "HARD_SWISH"]


def test_dtype_without_a_zero_point() -> None:
    """output_dtype says it from opset 21 on: int8 keeps what is below 0."""
    builder = OnnxBuilder(21)
    scale = builder.constant(0.02, np.float32)
    integers = builder.node("QuantizeLinear", builder.input((16,)), scale, output_dtype=TensorProto.INT8)
    data = builder.build(builder.node("DequantizeLinear", integers, scale))
    inputs = random_inputs(data, 0)
    assert_close(our_outputs(load_onnx(data), list(inputs.values())), onnx_outputs(data, inputs))


def _kinds() -> Iterator[str]:
    for opset, make in CASES.values():
        builder = OnnxBuilder(opset)
        make(builder)
        for node in builder.nodes:
            yield f"{node.domain}::{node.op_type}" if node.domain else node.op_type


def test_every_importer_has_a_case() -> None:
    assert set(importers()) - set(_kinds()) == {"QuantizeLinear", "DequantizeLinear"}
