"""Cases of ONNX operators: each is compared with ONNX Runtime."""

from tests.load.onnx_cases import elementwise, layers
from tests.load.onnx_cases.case import Cases

CASES: Cases = {**layers.CASES, **elementwise.CASES}
