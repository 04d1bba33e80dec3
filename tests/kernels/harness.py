"""Calls the C kernels from Python: compiled with UBSan, on buffers that end (or begin) at an inaccessible page."""

from __future__ import annotations

import ctypes
import mmap
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyops.kernels import kernel, kernel_files, portable_kernels

Array = np.ndarray[Any, Any]
Params = Mapping[str, Any]

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Werror"]
_C_TYPES: dict[str, Any] = {
    "int32_t": ctypes.c_int32,
    "int16_t": ctypes.c_int16,
    "int8_t": ctypes.c_int8,
    "uint8_t": ctypes.c_uint8,
    "float": ctypes.c_float,
}
_STRUCT = re.compile(r"typedef struct \{(?P<body>[^}]*)\} (?P<name>to_\w+_params);")
_FIELD = re.compile(r"^\s*(?P<type>\w+) (?P<name>\w+)(?:\[(?P<length>\d+)\])?;$")
_CANARY = 0x5A


def params_struct(name: str) -> type[ctypes.Structure]:
    """The parameter struct of kernel `name`, read from its headers."""
    wanted = kernel(name).params_type
    for path in kernel_files([name]):
        for match in _STRUCT.finditer(path.read_text()):
            if match["name"] == wanted:
                body = re.sub(r"/\*.*?\*/", "", match["body"], flags=re.DOTALL)
                return type(
                    wanted, (ctypes.Structure,), {"_fields_": [_field(x) for x in body.splitlines() if x.strip()]}
                )
    raise AssertionError(f"{wanted} is not in the headers of {name}")


def _field(line: str) -> tuple[str, Any]:
    match = _FIELD.match(line.rstrip())
    assert match, line
    c_type = _C_TYPES[match["type"]]
    return match["name"], c_type * int(match["length"]) if match["length"] else c_type


class GuardedMemory:
    """A block of memory between two inaccessible pages."""

    def __init__(self, size: int) -> None:
        page = mmap.PAGESIZE
        self.size = -(-size // page) * page
        self._map = mmap.mmap(-1, self.size + 2 * page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        libc = ctypes.CDLL(None, use_errno=True)
        for guard in (start, start + page + self.size):
            if libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        self._bytes = np.frombuffer(self._map, np.uint8, self.size, page)

    def take(self, size: int, at_end: bool) -> Array:
        """`size` bytes that touch the upper (or lower) guard page, filled with the canary."""
        assert size <= self.size
        block = self._bytes[self.size - size :] if at_end else self._bytes[:size]
        block[:] = _CANARY
        return block


class Kernels:
    """The compiled kernels and the memory that they are called on."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._structs = {name: params_struct(name) for name in portable_kernels()}
        self._memory = [GuardedMemory(1 << 18) for _ in range(8)]

    def run(
        self,
        name: str,
        params: Params,
        arguments: Sequence[Array],
        output: tuple[int, Any],
        *,
        overlap: tuple[int, int] | None = None,
        start: int = 0,
        at_end: bool = True,
    ) -> Array:
        """Call a kernel; arguments stand in the order of its C parameters, the output (elements, dtype) last.

        With overlap = (i, d) the output starts d bytes before argument i, in the same memory; otherwise it is apart.
        `start` is the byte of argument 0 that the kernel gets a pointer to.
        Nothing outside of the output may change.
        """
        elements, dtype = output
        size = elements * np.dtype(dtype).itemsize
        which, distance = overlap if overlap is not None else (-1, 0)
        places = [None if i == which else self._place(i, a, at_end) for i, a in enumerate(arguments)]
        if which < 0:
            memory, out_at, in_at, in_size = self._memory[7].take(size, at_end), 0, 0, 0
        else:
            in_size = arguments[which].nbytes
            in_at, out_at = max(distance, 0), max(-distance, 0)
            memory = self._memory[7].take(max(in_at + in_size, out_at + size), at_end)
            memory[in_at : in_at + in_size] = _bytes(arguments[which])
            places[which] = memory[in_at:]
        before = memory.copy()
        starts = [place[start:] if i == 0 else place for i, place in enumerate(places) if place is not None]
        self.call(name, params, [*starts, memory[out_at:]])
        result = memory[out_at : out_at + size].copy()
        memory[out_at : out_at + size] = before[out_at : out_at + size]
        assert (memory == before).all(), f"{name} wrote outside of its output"
        for i, argument in enumerate(arguments):
            place = places[i]
            assert i == which or (place is not None and (place == _bytes(argument)).all()), f"{name} wrote argument {i}"
        return result.view(dtype)

    def call(self, name: str, params: Params, places: Sequence[Array]) -> None:
        """name(params, pointers to places...)."""
        function = getattr(self._library, name)
        function.restype = None
        pointers = [ctypes.c_void_p(place.ctypes.data) for place in places]
        function(ctypes.byref(self._fill(name, params)), *pointers)

    def arena(self, size: int) -> Array:
        """Memory for several tensors."""
        return self._memory[7].take(size, at_end=True)

    def _place(self, i: int, argument: Array, at_end: bool) -> Array:
        place = self._memory[i].take(argument.nbytes, at_end)
        place[:] = _bytes(argument)
        return place

    def _fill(self, name: str, params: Params) -> ctypes.Structure:
        struct_type = self._structs[name]
        fields = {field[0]: field[1] for field in struct_type._fields_}
        assert set(params) == set(fields), f"{name}: {set(params) ^ set(fields)}"
        struct = struct_type()
        for field, value in params.items():
            if isinstance(value, tuple):
                assert len(value) == len(getattr(struct, field)), field
                setattr(struct, field, fields[field](*value))
            else:
                setattr(struct, field, value)
                assert getattr(struct, field) == value, f"{field} does not hold {value}"
        return struct


def _bytes(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def compile_library(folder: Path, flags: Sequence[str]) -> Path:
    """All kernels as one shared library."""
    library = folder / "kernels.so"
    sources = [str(path) for path in kernel_files(portable_kernels()) if path.suffix == ".c"]
    subprocess.run(["gcc", *STRICT, *flags, "-shared", "-fPIC", "-o", str(library), *sources, "-lm"], check=True)
    return library


def least_distance(first: Array, input_elements: int) -> int:
    """The smallest distance (in elements) at which an output may start before its input, by the canonical order.

    first[t] is the lowest input element that output element t needs (any large number if none): when t is written,
    everything that later outputs need must lie above it.
    """
    later = np.minimum.accumulate(first[::-1])[::-1][1:]
    t = np.arange(len(later))
    bounds = (t + 1 - later)[later < input_elements]
    return int(bounds.max(initial=-(input_elements - 1)))
