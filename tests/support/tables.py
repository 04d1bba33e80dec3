"""The tables of the documents that are made from code and data files."""

from __future__ import annotations

import enum
import itertools
import typing
from collections.abc import Callable, Iterable, Sequence
from math import log2

from tinyops.device.board import Board, Memory, load_board
from tinyops.errors import ModelError
from tinyops.graph import DType, Graph, Op, OpView, Quantization, Tensor
from tinyops.load import tflite
from tinyops.lower.compile import compile_model
from tinyops.ops import Operator, add, fully_connected, logistic, pad, pool, softmax, strided_slice, supported, window
from tinyops.resources import data_dir

_KINDS = ("host", "emulated", "real")
_WEIGHTS = (
    "weights constant, int8, zero point 0, one scale or one per output channel; bias constant int32 or none; "
    f"strides and dilations 1 to {window.MAX_WINDOW:,}"
)
_POOL = (
    f"[n, h, w, c]; window and strides 1 to {window.MAX_WINDOW:,}; input and output with equal zero points and scales "
    f"within {pool._SCALE_TOLERANCE:.6f}"
)
_TO_256TH = "output scale 1/256, zero point -128"
#: Per operator what its check refuses besides dtypes.
LIMITS = {
    "ADD": f"up to {add._MAX_RANK} dimensions, broadcasting; 2 * input scale / output scale under 2^{add.LEFT_SHIFT}",
    "ASSIGN_VARIABLE": "the variable has one dtype and shape everywhere",
    "AVERAGE_POOL_2D": _POOL,
    "CALL_ONCE": "a subgraph of assignments of constants to variables",
    "CONCATENATION": "no fused activation; 8-bit inputs with the output's scale and zero point",
    "CONV_2D": f"{_WEIGHTS}; no groups",
    "DEPTHWISE_CONV_2D": f"{_WEIGHTS}; any depth multiplier",
    "FULLY_CONNECTED": (
        "weights constant, int8, zero point 0, one scale, format DEFAULT; bias constant int32 or none, its scale off "
        f"by no more than {fully_connected._BIAS_SCALE_TOLERANCE:g} output steps"
    ),
    "LOGISTIC": f"input scale 2^{log2(logistic._MIN_SCALE):g} to 2^{log2(logistic._MAX_SCALE):g}; {_TO_256TH}",
    "MAX_POOL_2D": _POOL,
    "MEAN": "constant axes, which alternate at most three times between kept and reduced",
    "PAD": f"1 to {pad._MAX_RANK} dimensions, constant paddings; fills with the real value 0",
    "QUANTIZE": "int8 or uint8 to int8 or uint8",
    "READ_VARIABLE": "the variable has one dtype and shape everywhere",
    "RESHAPE": "the shape is constant",
    "SOFTMAX": f"over the last axis, of up to {softmax.MAX_DEPTH:,} elements; {_TO_256TH}",
    "SPLIT_V": "constant axis and sizes, each size 1 or more",
    "STRIDED_SLICE": (
        f"1 to {strided_slice._MAX_RANK} dimensions, constant begin, end and strides; ellipsis_mask, new_axis_mask and "
        "offset not set"
    ),
    "VAR_HANDLE": "",
}


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; a header that ends in ':' is of a right-aligned column."""
    rule = "|" + "|".join("---:" if cell.endswith(":") else "---" for cell in header) + "|"
    return "\n".join([_row(cell.rstrip(":") for cell in header), rule, *map(_row, rows)])


def operators() -> str:
    """Operators that model files may hold; dtypes are those of input 0 that `check` does not refuse."""
    kinds = {kind: rules for kind, rules in supported().items() if rules.importable}
    if set(kinds) != set(LIMITS):
        raise KeyError(f"tests/support/tables.py: limits of {set(kinds) ^ set(LIMITS)}")
    rows = []
    for kind, rules in kinds.items():
        first, last = rules.versions[0], rules.versions[-1]
        span = f"{first}" if first == last else f"{first} to {last}"
        dtypes = "-" if kind in ("CALL_ONCE", "VAR_HANDLE") else ", ".join(_dtypes(rules))
        rows.append((f"`{kind}`", span, dtypes, LIMITS[kind]))
    return _table(("operator", "versions", "dtypes of the input", "limits"), rows)


def _dtypes(rules: Operator) -> list[str]:
    return [dtype.value for dtype in DType if dtype is not DType.RESOURCE and _takes(rules, dtype)]


def _takes(rules: Operator, dtype: DType) -> bool:
    """Whether `check` accepts that dtype of the tensor that carries the data; it may refuse something else later."""
    for inputs, outputs in itertools.product(range(5), range(2)):
        try:
            rules.check(_probe(rules, dtype, inputs, outputs))
        except ModelError as error:
            if f"{inputs} inputs and {outputs} outputs" in error.what:
                continue
            return error.what not in {f"{what} is {dtype}" for what in ("the input", "input 0", "the value")}
        except (ValueError, IndexError):  # the probe is no sound operator; its dtypes have passed
            return True
        return True
    return False


def _probe(rules: Operator, dtype: DType, inputs: int, outputs: int) -> OpView:
    """An operator all of whose tensors have that dtype, but for the handle that operators of variables take."""
    quantization = Quantization((0.5,), (0,))
    tensors = [Tensor(f"t{k}", dtype, (1, 1, 1, 1), quantization) for k in range(inputs + outputs)]
    if "VARIABLE" in rules.kind and inputs:
        tensors[0] = Tensor("handle", DType.RESOURCE, ())
    hints = typing.get_type_hints(rules.attrs)
    values = {name: hint(0) if issubclass(hint, enum.Enum) else hint(1) for name, hint in hints.items()}
    attributes = rules.attrs(**values)
    op = Op(rules.kind, "probe", tuple(range(inputs)), tuple(range(inputs, inputs + outputs)), attributes)
    return OpView(op, Graph("probe", tuple(tensors), (op,), (), ()))


def importer() -> str:
    """Limits of the importer."""
    rows = (
        ("file", f"{tflite.MAX_FILE_BYTES:,} bytes"),
        ("tensor", f"{tflite.MAX_TENSOR_BYTES:,} bytes, {tflite._MAX_RANK} dimensions"),
        ("tensors in a subgraph", f"{tflite._MAX_TENSORS:,}"),
        ("operators in a subgraph", f"{tflite._MAX_OPS:,}"),
        ("subgraphs", f"{tflite._MAX_SUBGRAPHS:,}"),
        ("inputs or outputs of an operator or a subgraph", f"{tflite._MAX_OPERANDS:,}"),
    )
    return _table(("what", "at most"), rows)


def arenas() -> str:
    """What the project's own models need."""
    rows = []
    for path in sorted(data_dir("models").glob("*/*.tflite")):
        plan = compile_model(path, name="model").program.plan
        largest = f"`{plan.witness}`"
        rows.append((path.stem, f"{plan.peak:,}", f"{plan.lower_bound:,}", largest, f"{plan.state_bytes:,}"))
    return _table(("model", "arena:", "lower bound:", "witness", "state:"), rows)


def boards() -> str:
    """The boards that ship with tinyops."""
    loaded = [load_board(path) for path in data_dir("boards").glob("*.toml")]
    loaded.sort(key=lambda board: (_KINDS.index(board.kind), board.name))
    rows = [
        (f"`{b.name}`", b.kind, b.title, _core(b), _megahertz(b), _size(b.flash), _size(b.ram), ", ".join(b.links))
        for b in loaded
    ]
    return _table(("board", "kind", "what it is", "core", "MHz:", "flash:", "RAM:", "links"), rows)


def _core(board: Board) -> str:
    cores = f"{board.processor.cores} x " if board.processor.cores > 1 else ""
    return cores + board.processor.core


def _megahertz(board: Board) -> str:
    return f"{board.processor.clock_hz / 1e6:g}" if board.processor.clock_hz else "-"


def _size(memory: Memory | None) -> str:
    return f"{memory.bytes / 1024:,.0f} KiB" if memory else "-"


#: Name in a `generated` comment -> what makes the text.
TABLES: dict[str, Callable[[], str]] = {
    "operators": operators,
    "importer": importer,
    "arenas": arenas,
    "boards": boards,
}
