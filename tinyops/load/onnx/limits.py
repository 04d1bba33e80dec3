"""Bounds of what an ONNX file may ask for."""

from __future__ import annotations

MAX_FILE_BYTES = 64 * 2**20
MAX_TENSOR_BYTES = 64 * 2**20
#: All constants of a model together, those in external files and those that folding makes among them.
MAX_CONSTANT_BYTES = 256 * 2**20
#: Elements that are added up and multiplied while constants are folded.
MAX_FOLDING = 2**33
MAX_NODES = 10_000
#: Operators of ours that the nodes become; recurrent layers become several per step.
MAX_OPS = 4_000
MAX_TENSORS = 20_000
MAX_INITIALIZERS = 20_000
MAX_OPERANDS = 256
MAX_ATTRIBUTES = 64
MAX_ATTRIBUTE_VALUES = 2**20
MAX_RANK = 8
MAX_NAME = 256
OPSETS = range(11, 23)
