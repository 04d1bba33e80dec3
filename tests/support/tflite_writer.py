"""Small models from one description: as a tinyops Model and as the bytes of a .tflite file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyops.graph import DType, Graph, Model, Op, Quantization, Tensor
from tinyops.ops.base import operator
from tinyops.save import write_tflite

Array = np.ndarray[Any, Any]


class GraphBuilder:
    """One subgraph: add tensors and operators, then name inputs and outputs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.inputs: tuple[int, ...] = ()
        self.outputs: tuple[int, ...] = ()

    def tensor(
        self,
        shape: Sequence[int],
        dtype: DType = DType.INT8,
        *,
        scale: float | Sequence[float] | Array | None = None,
        zero_point: int = 0,
        axis: int = 0,
        data: Any = None,
        variable: bool = False,
    ) -> int:
        """Index of a new tensor; scales are rounded to float32, several mean per channel on `axis`."""
        quantization = None
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, dtype=np.float32))
            quantization = Quantization(
                tuple(float(s) for s in scales), (zero_point,) * len(scales), axis if len(scales) > 1 else 0
            )
        value = None if data is None else np.ascontiguousarray(data, dtype=dtype.numpy).reshape(shape)
        self.tensors.append(
            Tensor(f"{self.name}_t{len(self.tensors)}", dtype, tuple(shape), quantization, value, variable)
        )
        return len(self.tensors) - 1

    def constant(self, values: Any, dtype: DType = DType.INT32) -> int:
        """Index of a new constant without quantization."""
        data = np.asarray(values, dtype=dtype.numpy)
        return self.tensor(data.shape, dtype, data=data)

    def op(
        self,
        kind: str,
        inputs: Sequence[int | None],
        outputs: Sequence[int],
        attrs: Any = None,
        version: int = 1,
    ) -> None:
        rules = operator(kind)
        assert rules is not None, kind
        self.ops.append(
            Op(
                kind,
                f"{kind.lower()}_{len(self.ops)}",
                tuple(inputs),
                tuple(outputs),
                rules.attrs() if attrs is None else attrs,
                version,
            )
        )

    def graph(self) -> Graph:
        return Graph(self.name, tuple(self.tensors), tuple(self.ops), self.inputs, self.outputs)


class ModelBuilder:
    """A model of one or more subgraphs."""

    def __init__(self) -> None:
        self.graphs: list[GraphBuilder] = []

    def graph(self, name: str = "main") -> GraphBuilder:
        self.graphs.append(GraphBuilder(name))
        return self.graphs[-1]

    def build(self) -> tuple[Model, bytes]:
        model = Model("test", tuple(graph.graph() for graph in self.graphs))
        return model, write_tflite(model, for_litert=False)
