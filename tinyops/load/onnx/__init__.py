"""ONNX files to Graph: opset 11 to 22, as torch.onnx, tf2onnx, Keras and skl2onnx write them.

The package `onnx` decodes the file (protobuf) and does nothing else: shapes, constants and rules are worked out
here, node by node, with everything bounded. The graph keeps ONNX's axes; where an operator of ours wants channels
last, there is a TRANSPOSE before and after, which the pass `layout` moves together and cancels.
"""

from __future__ import annotations

from tinyops.load.onnx.limits import OPSETS
from tinyops.load.onnx.reader import load_onnx
from tinyops.load.onnx.registry import Importer, importers, summary

__all__ = ["OPSETS", "Importer", "importers", "load_onnx", "summary"]
