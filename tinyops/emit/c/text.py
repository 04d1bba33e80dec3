"""Template filters: how values of a Program are written in C."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinyops.emit.data_section import constant_offset, uniform_byte
from tinyops.graph import DType, Tensor
from tinyops.lower.program import ArenaRef, Constant, ConstantRef, Layer, Ref, StateRef, Value

_CTYPES = {
    DType.INT8: "int8_t",
    DType.UINT8: "uint8_t",
    DType.BOOL: "uint8_t",
    DType.INT16: "int16_t",
    DType.INT32: "int32_t",
    DType.INT64: "int64_t",
    DType.FLOAT32: "float",
}
_INT32_MIN = -(2**31)


def ctype(dtype: DType | str) -> str:
    """`int8_t` for int8."""
    return _CTYPES[DType(dtype)]


def thousands(value: int) -> str:
    return f"{value:,}"


def shape(tensor: Tensor) -> str:
    """`int8[1, 49, 10, 1]`, readable in a C comment."""
    return f"{tensor.dtype}{list(tensor.shape)}"


def float32(value: float) -> str:
    """The shortest decimal that reads back as the same float32, as a C literal; NAN and INFINITY of math.h."""
    if not np.isfinite(np.float32(value)):
        return "NAN" if np.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"
    text = np.format_float_positional(np.float32(value), unique=True, trim="0")
    if len(text) > 16:
        text = np.format_float_scientific(np.float32(value), unique=True, trim="0")
    return text + "f"


def integer(value: int) -> str:
    """A C constant expression; INT32_MIN has no literal of its own."""
    return "(-2147483647 - 1)" if value == _INT32_MIN else str(value)


def literal(value: Value) -> str:
    """The initializer of a parameter struct's field."""
    if isinstance(value, tuple):
        return "{ " + ", ".join(integer(v) for v in value) + " }"
    return float32(value) if isinstance(value, float) else integer(value)


def cstring(text: str) -> str:
    """A C string literal; names are printable ASCII, so only quotes and backslashes need an escape."""
    safe = "".join(c if " " <= c <= "~" else "?" for c in text)
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?") + '"'


def comment(text: str) -> str:
    """Text that ends neither a C comment nor a line."""
    text = "".join(c if " " <= c <= "~" else "?" for c in text)
    return text.replace("*/", "* /").replace("/*", "/ *")


def numbers(values: Sequence[int] | np.ndarray[Any, Any], indent: str = "    ") -> str:
    """The elements of an array, wrapped."""
    flat = np.asarray(values).reshape(-1)
    words = ", ".join(map(float32, flat.tolist()) if flat.dtype == np.float32 else (integer(int(v)) for v in flat))
    return textwrap.fill(words, 110, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def values(constant: Constant) -> str:
    """The elements of a constant, wrapped."""
    return numbers(constant.data)


def element_type(constant: Constant) -> str:
    return ctype(str(constant.data.dtype))


def golden_values(steps: Sequence[Sequence[np.ndarray[Any, Any]]], port: int) -> str:
    """`{...}, {...}`: one row per step of port `port`."""
    return ",\n".join("    {\n" + numbers(step[port], " " * 8) + "\n    }" for step in steps)


def argument(ref: Ref, model: str, output: bool, constants: Mapping[str, int] | None = None) -> str:
    """A kernel argument; only outputs are not const. With `constants` these are at offsets of the data section."""
    const = "" if output else "const "
    if isinstance(ref, ConstantRef):
        if constants is not None:
            return f"(const {ctype(ref.dtype)} *)(const void *)(data + {constant_offset(ref, constants)})"
        return f"{model}_{ref.name}" + (f" + {ref.offset}" if ref.offset else "")
    base = "arena" if isinstance(ref, ArenaRef) else "state"
    # By way of void where the alignment grows: the plan has seen to it.
    through = "(void *)" if ref.dtype.itemsize > 1 else ""
    return f"({const}{ctype(ref.dtype)} *){through}({base} + {ref.offset})"


def spaces(layer: Layer) -> set[str]:
    """Which memories the layer's calls touch."""
    refs = [ref for call in layer.calls for ref in call.arguments]
    return {"arena" for r in refs if isinstance(r, ArenaRef)} | {"state" for r in refs if isinstance(r, StateRef)}


def kernel_list(layer: Layer) -> str:
    return ", ".join(dict.fromkeys(call.kernel for call in layer.calls)) or "no code: shares memory"


def output_range(layer: Layer) -> str:
    """Where the layer writes, in arena bytes."""
    refs = [call.arguments[-1] for call in layer.calls]
    arena = [r.offset for r in refs if isinstance(r, ArenaRef)]
    if not arena:
        return "state" if refs else "-"
    return f"{min(arena)}..{min(arena) + sum(t.nbytes for t in layer.outputs) - 1}"


FILTERS = {
    f.__name__: f
    for f in (
        ctype,
        thousands,
        shape,
        float32,
        integer,
        literal,
        cstring,
        numbers,
        values,
        element_type,
        golden_values,
        argument,
        spaces,
        kernel_list,
        output_range,
        uniform_byte,
    )
}
