"""The tables of the documents that are made from code and data files."""

from __future__ import annotations

import enum
import inspect
import itertools
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from math import log2
from typing import Any

from pydantic.fields import FieldInfo

from tests.cases import all_cases
from tests.support.board_tables import boards, real_boards, riot_sizes
from tests.support.lowpan import airtime_table
from tests.support.markdown import table
from tinyops.device.link.profile import LINKS
from tinyops.device.riot.network import LINK_OF, network_folder
from tinyops.device.riot.network import networks as riot_networks
from tinyops.errors import ModelError
from tinyops.features import KINDS, FeatureSettings
from tinyops.graph import DType, Graph, Op, OpView, Quantization, Tensor
from tinyops.load import onnx, tflite
from tinyops.load.onnx import limits as onnx_bounds
from tinyops.lower.compile import compile_model
from tinyops.ops import (
    Operator,
    fully_connected,
    logistic,
    pad,
    pool,
    softmax,
    softmax_int16,
    strided_slice,
    supported,
    window,
)
from tinyops.quantize import QuantizationSettings
from tinyops.quantize.data_settings import DataSettings
from tinyops.resources import data_dir
from tinyops.suit import Reason

_OPERANDS = (
    "weights constant, int8 or (of an int8 input) int4, zero point 0, one scale or one per output channel; of a "
    "float32 input float32; bias constant or none, int32 (of an int16 input int64, of a float32 input float32)"
)
_WEIGHTS = f"{_OPERANDS}; strides and dilations 1 to {window.MAX_WINDOW:,}"
_POOL = (
    f"[n, h, w, c]; window and strides 1 to {window.MAX_WINDOW:,}; input and output with equal zero points and scales "
    f"within {pool._SCALE_TOLERANCE:.6f}"
)
_TO_256TH = "output scale 1/256, zero point -128"
_INT16_UNIT = "int16: output scale 1/32768, zero point 0"
#: Operators whose first input is no data, and its dtype.
_FIRST = {
    "ASSIGN_VARIABLE": DType.RESOURCE,
    "EMBEDDING_LOOKUP": DType.INT32,
    "FILL": DType.INT32,
    "READ_VARIABLE": DType.RESOURCE,
    "SELECT": DType.BOOL,
    "SELECT_V2": DType.BOOL,
    "SPLIT": DType.INT32,
}
#: Per operator what its check requires besides dtypes; for the others their summary stands there.
LIMITS = {
    "ADD": (
        "broadcasting; 2 * the larger input scale / output scale under 2^20, for int16 2^15; int32 without activation"
    ),
    "ASSIGN_VARIABLE": "the variable has one dtype and shape everywhere",
    "AVERAGE_POOL_2D": _POOL,
    "CALL_ONCE": "a subgraph of assignments of constants to variables",
    "CONCATENATION": "no fused activation; 8-bit inputs with the output's scale and zero point",
    "CONV_2D": f"{_WEIGHTS}; groups where they divide input and output channels",
    "DEPTHWISE_CONV_2D": f"{_WEIGHTS}; any depth multiplier",
    "FULLY_CONNECTED": (
        f"{_OPERANDS}; int4 weights have one scale; float32 weights and biases may be computed; weights format DEFAULT"
        f"; scale of an int32 bias off by no more than {fully_connected._BIAS_SCALE_TOLERANCE:g} output steps where "
        "the weights have one scale"
    ),
    "LOGISTIC": (
        f"int8: input scale 2^{log2(logistic._MIN_SCALE):g} to 2^{log2(logistic._MAX_SCALE):g}, {_TO_256TH}; "
        f"{_INT16_UNIT}"
    ),
    "MAX_POOL_2D": _POOL,
    "MEAN": "constant axes, which alternate at most three times between kept and reduced",
    "PAD": f"1 to {pad.MAX_RANK} dimensions, constant paddings; fills with the real value 0",
    "READ_VARIABLE": "the variable has one dtype and shape everywhere",
    "RESHAPE": "to the output's shape as the file has it",
    "SOFTMAX": (
        f"over the last axis, of up to {softmax.MAX_DEPTH:,} elements (int16: {softmax_int16.MAX_DEPTH:,}); int8: "
        f"{_TO_256TH}, or an int16 output with scale 1/65536, zero point -32768; {_INT16_UNIT}"
    ),
    "SPLIT_V": "constant axis and sizes, each size 1 or more",
    "STRIDED_SLICE": (
        f"1 to {strided_slice._MAX_RANK} dimensions, constant begin, end and strides; ellipsis_mask, new_axis_mask and "
        "offset not set"
    ),
    "VAR_HANDLE": "",
}


#: Input that carries the data, where it is not the first or the second.
_DATA = {"TRANSPOSE_CONV": 2}
#: Dtypes that no case has, but that an operator's own tests compare with tflite-micro.
_COMPARED: dict[str, set[DType]] = {
    "DYNAMIC_UPDATE_SLICE": {DType.INT32},
    "EQUAL": {DType.BOOL},
    "MAXIMUM": {DType.INT32},
    "MINIMUM": {DType.INT32},
    "NOT_EQUAL": {DType.BOOL},
    "PRELU": {DType.INT16},
    "REVERSE_V2": {DType.UINT8, DType.BOOL},
    "ZEROS_LIKE": {DType.INT8},
}
#: Operators that tflite-micro lacks for some dtype or all, and what their tests compare with there, if not NumPy.
INSTEAD = {
    "EXP": "LiteRT",
    "FAKE_QUANT": "LiteRT",
    "FLOOR_DIV": "Python's `//`",
    "FLOOR_MOD": "Python's `%`",
    "GELU": "LiteRT: int8; the C library's `erfc`, and the parts of its approximation in tflite-micro",
    "LOG": "LiteRT",
    "NEG": "the real function",
    "POW": "the C library's `pow`",
    "RELU_N1_TO_1": "tflite-micro's MUL by 1 with that activation fused",
    "SELECT": "NumPy's `where`",
    "SQRT": "LiteRT",
    "TILE": "NumPy's `tile`",
}
#: Operators of models that are to be quantized; they have no generated code, so no case.
_NO_CODE = ("FAKE_QUANT",)
#: Dtypes of constants that stand for values of another dtype; the limits tell of them.
_CONSTANTS = (DType.RESOURCE, DType.INT4, DType.FLOAT16)


def operators() -> str:
    """Operators that model files may hold; dtypes are those of the data that `check` does not refuse."""
    kinds = {kind: rules for kind, rules in supported().items() if rules.importable}
    cases = _cases()
    if unknown := (set(LIMITS) | set(INSTEAD)) - set(kinds):
        raise KeyError(f"tests/support/tables.py: {unknown} is no operator")
    rows = []
    for kind, rules in kinds.items():
        first, last = rules.versions[0], rules.versions[-1]
        span = f"{first}" if first == last else f"{first} to {last}"
        dtypes = [] if kind in ("CALL_ONCE", "SHAPE", "VAR_HANDLE") else _dtypes(rules)
        limits = LIMITS.get(kind, _summary(rules)) or "-"
        row = (f"`{kind}`", span, ", ".join(dtypes) or "-", limits, _tested_against(kind, dtypes, cases.get(kind)))
        rows.append(row)
    return table(("operator", "versions", "dtypes of the data", "limits", "tested against"), rows)


def _cases() -> dict[str, set[str]]:
    """Kind -> dtypes of its data in the cases (tests/cases) whose C programs are compared with tflite-micro."""
    found: dict[str, set[str]] = {}
    for case in all_cases():
        for graph in tflite.load_tflite(case.model).graphs:
            for op in graph.ops:
                tensors = [graph.tensors[t] for t in (*op.inputs, *op.outputs) if t is not None]
                data = _DATA.get(op.kind, 1 if op.kind in _FIRST else 0)
                compared = {tensors[data].dtype.value} if tensors[data:] and not case.numpy else set()
                found.setdefault(op.kind, set()).update(compared)
    return found


def _tested_against(kind: str, dtypes: Sequence[str], cases: set[str] | None) -> str:
    """A dtype that tflite-micro has no kernel for is compared with something else."""
    if cases is None and kind not in _NO_CODE:
        raise KeyError(f"tests/cases has no case of {kind}")
    compared = (cases or set()) | {dtype.value for dtype in _COMPARED.get(kind, set())}
    groups = {
        "tflite-micro": [dtype for dtype in dtypes if dtype in compared],
        INSTEAD.get(kind, "NumPy"): [dtype for dtype in dtypes if dtype not in compared],
    }
    used = {source: names for source, names in groups.items() if names}
    if len(used) < 2:
        return next(iter(used), "tflite-micro")
    return "; ".join(f"{source}: {', '.join(names)}" for source, names in used.items())


def _summary(rules: Operator) -> str:
    """The first sentence of its class's or module's docstring, without the operator's name."""
    text = type(rules).__doc__ or inspect.getdoc(inspect.getmodule(type(rules))) or ""
    sentence = " ".join(text.split("\n\n")[0].split()).removesuffix(".")
    return sentence.removeprefix(f"{rules.kind}: ")


def _dtypes(rules: Operator) -> list[str]:
    return [dtype.value for dtype in DType if dtype not in _CONSTANTS and _takes(rules, dtype)]


def _takes(rules: Operator, dtype: DType) -> bool:
    """Whether `check` accepts that dtype of the tensor that carries the data; it may refuse something else later."""
    stateful = [(5, 2), (24, 3)]  # SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM
    for inputs, outputs in [*itertools.product(range(5), range(2)), *stateful]:
        try:
            rules.check(_probe(rules, dtype, inputs, outputs))
        except ModelError as error:
            if f"{inputs} inputs and {outputs} outputs" in error.what:
                continue
            data = "input 1" if rules.kind in _FIRST else "input 0"
            return error.what not in {f"{what} is {dtype}" for what in ("the input", "the value", data)}
        except (ValueError, IndexError, ArithmeticError, AssertionError):
            # The probe is no sound operator otherwise; its dtypes have passed.
            return True
        return True
    return False


def _probe(rules: Operator, dtype: DType, inputs: int, outputs: int) -> OpView:
    """An operator all of whose tensors have that dtype, but for a first input that carries no data."""
    quantization = Quantization((0.5,), (0,))
    tensors = [Tensor(f"t{k}", dtype, (1, 1, 1, 1), quantization) for k in range(inputs + outputs)]
    if rules.kind in _FIRST and inputs:
        tensors[0] = Tensor("first", _FIRST[rules.kind], (1,))
    hints = typing.get_type_hints(rules.attrs)
    attributes = rules.attrs(**{name: _any_value(hint) for name, hint in hints.items()})
    op = Op(rules.kind, "probe", tuple(range(inputs)), tuple(range(inputs, inputs + outputs)), attributes)
    return OpView(op, Graph("probe", tuple(tensors), (op,), (), ()))


def _any_value(hint: Any) -> Any:
    """A value of an attribute's type."""
    if typing.get_origin(hint) is tuple:
        return (1,)
    return next(iter(hint)) if issubclass(hint, enum.Enum) else hint(1)


def importer() -> str:
    """Limits of the importer."""
    rows = (
        ("file", f"{tflite.MAX_FILE_BYTES:,} bytes"),
        ("tensor", f"{tflite.MAX_TENSOR_BYTES:,} bytes, {tflite._MAX_RANK} dimensions"),
        ("tensors", f"{tflite._MAX_TENSORS:,}"),
        ("operators", f"{tflite._MAX_OPS:,}"),
        ("subgraphs", f"{tflite._MAX_SUBGRAPHS:,}"),
        ("inputs or outputs of an operator or a subgraph", f"{tflite._MAX_OPERANDS:,}"),
    )
    return table(("what", "at most"), rows)


def onnx_operators() -> str:
    """ONNX operators by the function that imports them."""
    functions: dict[onnx.Importer, list[str]] = {}
    for kind, function in onnx.importers().items():
        functions.setdefault(function, []).append(kind.rpartition("::")[2])
    rows = [(", ".join(f"`{kind}`" for kind in kinds), onnx.summary(f)) for f, kinds in functions.items()]
    return table(("ONNX operator", "what is supported"), rows)


def onnx_limits() -> str:
    """Limits of the ONNX importer."""
    rows = (
        ("file", f"{onnx_bounds.MAX_FILE_BYTES:,} bytes"),
        ("tensor", f"{onnx_bounds.MAX_TENSOR_BYTES:,} bytes, {onnx_bounds.MAX_RANK} dimensions"),
        ("constants together, with those that are computed", f"{onnx_bounds.MAX_CONSTANT_BYTES:,} bytes"),
        ("nodes", f"{onnx_bounds.MAX_NODES:,}"),
        ("operators that they become", f"{onnx_bounds.MAX_OPS:,}"),
        ("inputs or outputs of a node or of the graph", f"{onnx_bounds.MAX_OPERANDS:,}"),
        ("opset", f"{onnx_bounds.OPSETS[0]} to {onnx_bounds.OPSETS[-1]}"),
    )
    return table(("what", "at most"), rows)


def arenas() -> str:
    """What the project's own models need."""
    rows = []
    for path in sorted(data_dir("models").glob("*/*.tflite")):
        plan = compile_model(path, name="model").program.plan
        largest = f"`{plan.witness}`"
        rows.append((path.stem, f"{plan.peak:,}", f"{plan.lower_bound:,}", largest, f"{plan.state_bytes:,}"))
    return table(("model", "arena:", "lower bound:", "witness", "state:"), rows)


def features() -> str:
    """The kinds of feature front ends."""
    return table(("kind", "what it is"), [(f"`{name}`", settings.summary) for name, settings in KINDS.items()])


def feature_settings() -> str:
    """The settings of each kind, those of all kinds first."""
    shown: dict[str, FieldInfo] = {k: v for k, v in FeatureSettings.model_fields.items() if k != "kind"}
    groups = {"All kinds": shown}
    before: dict[str, set[str]] = {}
    for name, settings in KINDS.items():
        own = {k: v for k, v in settings.model_fields.items() if k not in FeatureSettings.model_fields}
        base = next((kind for kind, keys in before.items() if keys and keys <= set(own)), None)
        before[name] = set(own)
        if own:
            title = f"`{name}`, besides those of `{base}`" if base else f"`{name}`"
            groups[title] = {k: v for k, v in own.items() if base is None or k not in before[base]}
    parts = []
    for title, fields in groups.items():
        rows = [(f"`{key}`", _default(field), field.description) for key, field in fields.items()]
        parts.append(f"### {title}\n\n{table(('setting', 'default', 'what it is'), rows)}")
    return "\n\n".join(parts)


def quantization_data() -> str:
    """The settings of the table [data]."""
    return _settings(DataSettings.model_fields)


def quantization_settings() -> str:
    """What can be asked of the quantizer."""
    return _settings({k: v for k, v in QuantizationSettings.model_fields.items() if k != "layers"})


def _settings(fields: Mapping[str, FieldInfo]) -> str:
    rows = [(f"`{key}`", _default(field), field.description) for key, field in fields.items()]
    return table(("setting", "default", "what it is"), rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "-" if field.default in (None, ()) else f"`{json.dumps(field.default)}`"


#: Name in a `generated` comment -> what makes the text.
def reasons() -> str:
    """Why updates are refused or undone."""
    rows = [f"| {reason.value} | `{reason.slug}` | {reason.text} |" for reason in Reason]
    return "\n".join(["| code | name | |", "|---|---|---|", *rows])


def networks_table() -> str:
    """The networks of firmware on RIOT, as their makefiles describe themselves."""
    rows = []
    for name in sorted(riot_networks(), key=list(LINK_OF).index):
        first = (network_folder() / f"{name}.mk").read_text(encoding="utf-8").splitlines()[0]
        link = LINKS[LINK_OF[name]]
        rows.append((f"`{name}`", first.removeprefix("# "), f"`{link.name}`"))
    return table(("`--network`", "what it is", "`--link`"), rows)


def links() -> str:
    """Kinds of links, with their blocks and times."""
    rows = [
        (
            f"`{link.name}`",
            link.meaning,
            f"{'by the MTU' if link.adapts else f'{link.block_bytes:,} B'}",
            f"{link.ack_timeout:g} s",
            str(link.max_retransmit),
        )
        for link in LINKS.values()
    ]
    return table(("link", "what it is", "blocks", "ACK time-out", "retransmissions"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "operators": operators,
    "importer": importer,
    "links": links,
    "networks": networks_table,
    "lowpan_airtime": airtime_table,
    "onnx_limits": onnx_limits,
    "onnx_operators": onnx_operators,
    "arenas": arenas,
    "boards": boards,
    "real_boards": real_boards,
    "riot_sizes": riot_sizes,
    "features": features,
    "feature_settings": feature_settings,
    "quantization_data": quantization_data,
    "quantization_settings": quantization_settings,
    "reasons": reasons,
}
