"""Capsules: a model as data for firmware that has the model's structure compiled in.

The layout is that of firmware/common/include/tinyops/to_capsule.h. A capsule runs in every firmware that was built
with the same plan hash; it brings weights, quantization, initial states and golden vectors, and no code.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinyops import __version__
from tinyops.emit.data_section import DataSection, lay_out
from tinyops.emit.golden import linear_congruential
from tinyops.errors import ModelError
from tinyops.features import ModelFeatures
from tinyops.graph import DType, Model, Tensor
from tinyops.lower.compile import CompiledModel
from tinyops.lower.program import Port
from tinyops.ops.float32 import TOLERANCE
from tinyops.ops.interpreter import Interpreter
from tinyops.suit import cbor
from tinyops.suit.reasons import Reason

Array = np.ndarray[Any, Any]

MAGIC = b"TOC1"
VERSION = 1
ALIGNMENT = 16
MAX_BYTES = 1 << 28
MAX_METADATA = 4096
#: Steps of the default golden vectors, which start from the initial state.
DEFAULT_STEPS = 4

_HEADER = struct.Struct("<4s2H6I2B14x32s32s32s64s")
_PORT = struct.Struct("<2BHIIfif8H")
_VECTOR = struct.Struct("<2BHI")
_BYTES, _SEED = 0, 1
_DTYPES = (DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.INT64, DType.FLOAT32, DType.BOOL)
_MAX_RANK = 8
_MAX_NAME = 63
_MAX_TOLERANCE = 1e-3


class CapsuleError(ModelError):
    """A capsule that cannot be used; `reason` is the one that a device gives."""

    def __init__(self, reason: Reason, detail: str, where: str | None = None) -> None:
        super().__init__(f"{reason.text}: {detail}", where=where)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PortSpec:
    """An input or output. `offset` is that of the arena; scale 0 says that it is not quantized.

    A golden vector's float32 output agrees where |a - b| < tolerance * max(1, |b|); all others are exact.
    """

    dtype: DType
    shape: tuple[int, ...]
    offset: int
    scale: float
    zero_point: int
    tolerance: float = 0.0

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @classmethod
    def of(cls, port: Port, *, output: bool) -> PortSpec:
        tensor = port.tensor
        scale, zero = (tensor.scale, tensor.zero_point) if tensor.quantization else (0.0, 0)
        tolerance = TOLERANCE if output and tensor.dtype is DType.FLOAT32 else 0.0
        return cls(tensor.dtype, tensor.shape, port.offset, _float32(scale), zero, _float32(tolerance))


@dataclass(frozen=True, slots=True)
class GoldenVector:
    """One invocation: `inputs` are bytes per input, or None where `seed` makes them; `outputs` bytes per output.

    The state has its initial value before a vector that `starts`, as the first one does, and is carried on to others.
    """

    outputs: tuple[bytes, ...]
    inputs: tuple[bytes, ...] | None = None
    seed: int = 0
    starts: bool = False


@dataclass(frozen=True, slots=True)
class Capsule:
    """What a capsule holds. Hashes have 32 bytes; `metadata` has text keys."""

    name: str
    model_digest: bytes
    kernel_abi: bytes
    plan: bytes
    arena_bytes: int
    state_bytes: int
    inputs: tuple[PortSpec, ...]
    outputs: tuple[PortSpec, ...]
    data: bytes
    golden: tuple[GoldenVector, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The capsule's bytes; ModelError where a value has no place in them."""
        metadata = cbor.encode(dict(self.metadata))
        if len(metadata) > MAX_METADATA:
            raise ModelError(
                f"{len(metadata)} B of metadata", where=f"capsule {self.name}", allowed=f"{MAX_METADATA} B"
            )
        golden = b"".join(_encode_vector(vector) for vector in self.golden)
        sections = (self.data, golden, metadata)
        ports = b"".join(_encode_port(port) for port in (*self.inputs, *self.outputs))
        body = bytearray(_HEADER.size) + ports
        for section in sections:
            body += bytes(-len(body) % ALIGNMENT) + section
        if len(body) > MAX_BYTES:
            raise ModelError(f"{len(body):,} B", where=f"capsule {self.name}", allowed=f"{MAX_BYTES:,} B")
        _HEADER.pack_into(
            body,
            0,
            MAGIC,
            VERSION,
            len(self.golden),
            len(body),
            *map(len, sections),
            self.arena_bytes,
            self.state_bytes,
            len(self.inputs),
            len(self.outputs),
            self.kernel_abi,
            self.plan,
            self.model_digest,
            _encode_name(self.name),
        )
        return bytes(body)

    @property
    def data_offset(self) -> int:
        """Of the data section in the capsule."""
        end = _HEADER.size + _PORT.size * (len(self.inputs) + len(self.outputs))
        return end + -end % ALIGNMENT


def build_capsule(
    compiled: CompiledModel,
    *,
    golden: Sequence[GoldenVector] | None = None,
    metadata: Mapping[str, Any] | None = None,
    data: DataSection | None = None,
    features: ModelFeatures | None = None,
) -> bytes:
    """The capsule of a model that was compiled by structure (`compile_model(..., by_structure=True)`).

    `golden` are its vectors, by default those of `seeded_vectors`. `metadata` is added to {"tinyops": version}: "model"
    (text), "dataset" (SHA-256, bytes), "sbom" (text) and others. `data` is the data section where it is known already;
    otherwise it is laid out, for firmware with the front end `features` if any.
    """
    program = compiled.program
    section = data or lay_out(program, features)
    vectors = seeded_vectors(compiled.model) if golden is None else tuple(golden)
    capsule = Capsule(
        name=program.name,
        model_digest=program.digest,
        kernel_abi=section.abi,
        plan=section.plan,
        arena_bytes=program.arena_bytes,
        state_bytes=program.state_bytes,
        inputs=tuple(PortSpec.of(port, output=False) for port in program.inputs),
        outputs=tuple(PortSpec.of(port, output=True) for port in program.outputs),
        data=section.content,
        golden=vectors,
        metadata={"tinyops": __version__, **(metadata or {})},
    )
    encoded = capsule.encode()
    read_capsule(encoded)
    return encoded


def seeded_vectors(model: Model, steps: int = DEFAULT_STEPS, seed: int = 1) -> tuple[GoldenVector, ...]:
    """A sequence of `steps` vectors from the initial state, whose inputs take no room; outputs of the reference."""
    tensors = [model.main.tensors[t] for t in model.main.inputs]
    interpreter = Interpreter(model)
    vectors = []
    for step in range(steps):
        outputs = interpreter.run(*seeded_inputs(tensors, seed + step))
        vectors.append(GoldenVector(tuple(map(_raw, outputs)), seed=seed + step, starts=step == 0))
    return tuple(vectors)


def recorded_vectors(model: Model, sequence: Sequence[Sequence[Array]]) -> tuple[GoldenVector, ...]:
    """Vectors of given inputs: `sequence[step][input]`, from the initial state; outputs of the reference."""
    interpreter = Interpreter(model)
    return tuple(
        GoldenVector(tuple(map(_raw, interpreter.run(*inputs))), tuple(map(_raw, inputs)), starts=step == 0)
        for step, inputs in enumerate(sequence)
    )


def seeded_inputs(tensors: Sequence[Tensor], seed: int) -> list[Array]:
    """The inputs that a device makes of a seed."""
    counts = [t.elements if t.dtype is DType.FLOAT32 else t.elements * t.dtype.itemsize for t in tensors]
    values = linear_congruential(seed, sum(counts))
    made: list[Array] = []
    for tensor, part in zip(tensors, np.split(values, np.cumsum(counts)[:-1]), strict=True):
        if tensor.dtype is DType.FLOAT32:
            flat: Array = (part >> np.uint32(16)).astype(np.uint16).view(np.int16).astype(np.float32) / np.float32(8192)
        elif tensor.dtype is DType.BOOL:
            flat = (part >> np.uint32(24) & np.uint32(1)).astype(bool)
        else:
            flat = (part >> np.uint32(24)).astype(np.uint8).view(tensor.dtype.numpy.newbyteorder("<"))
        made.append(flat.astype(tensor.dtype.numpy, copy=False).reshape(tensor.shape))
    return made


def read_capsule(encoded: bytes) -> Capsule:
    """Parse a capsule; CapsuleError unless it is exactly what `Capsule.encode` gives for some capsule."""
    if len(encoded) < _HEADER.size:
        raise CapsuleError(Reason.TRUNCATED, f"{len(encoded)} B")
    magic, version, vectors, total, *numbers = _HEADER.unpack_from(encoded)
    data_bytes, golden_bytes, metadata_bytes, arena, state, inputs, outputs, abi, plan, digest, name = numbers
    if magic != MAGIC or version != VERSION:
        raise _malformed("no capsule of version 1")
    if total != len(encoded):
        short = total > len(encoded)
        reason = Reason.TRUNCATED if short else Reason.CAPSULE_MALFORMED
        raise CapsuleError(reason, f"{len(encoded):,} B instead of {total:,}")
    reader = _Reader(encoded, _HEADER.size)
    ports = [_decode_port(reader.take(_PORT.size)) for _ in range(inputs + outputs)]
    sections = []
    for size in (data_bytes, golden_bytes, metadata_bytes):
        reader.align(ALIGNMENT)
        sections.append(reader.take(size))
    reader.end()
    capsule = Capsule(
        name=_decode_name(name),
        model_digest=digest,
        kernel_abi=abi,
        plan=plan,
        arena_bytes=arena,
        state_bytes=state,
        inputs=tuple(ports[:inputs]),
        outputs=tuple(ports[inputs:]),
        data=sections[0],
        golden=(),
        metadata=_decode_metadata(sections[2]),
    )
    capsule = replace(capsule, golden=_decode_vectors(capsule, sections[1], vectors))
    if any(port.tolerance for port in capsule.inputs):
        raise CapsuleError(Reason.CAPSULE_BOUNDS, "an input has a tolerance")
    if capsule.encode() != encoded:
        raise _malformed("bytes that have no meaning")
    return capsule


class _Reader:
    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise _malformed("a part is longer than the capsule")
        self._at += size
        return self._data[self._at - size : self._at]

    def align(self, unit: int) -> None:
        self.take(-self._at % unit)

    def end(self) -> None:
        if self._at != len(self._data):
            raise _malformed("more bytes than parts")


def _malformed(detail: str) -> CapsuleError:
    return CapsuleError(Reason.CAPSULE_MALFORMED, detail)


def _float32(value: float) -> float:
    return float(np.float32(value))


def _raw(array: Array) -> bytes:
    contiguous = np.ascontiguousarray(array)
    return contiguous.astype(contiguous.dtype.newbyteorder("<"), copy=False).tobytes()


def _encode_name(name: str) -> bytes:
    raw = name.encode("ascii", "replace")
    if not 0 < len(raw) <= _MAX_NAME or not name.isascii() or not name.isprintable():
        raise ModelError(f"the name {name!r}", where="capsule", allowed=f"1 to {_MAX_NAME} printable ASCII characters")
    return raw.ljust(_MAX_NAME + 1, b"\0")


def _decode_name(raw: bytes) -> str:
    name = raw.rstrip(b"\0")
    if not 0 < len(name) <= _MAX_NAME or not all(0x20 <= c < 0x7F for c in name):
        raise _malformed("the name is not printable ASCII")
    return name.decode("ascii")


def _encode_port(port: PortSpec) -> bytes:
    if len(port.shape) > _MAX_RANK or any(n >= 1 << 16 for n in port.shape):
        raise ModelError(
            f"a port of shape {list(port.shape)}",
            where="capsule",
            allowed=f"up to {_MAX_RANK} dimensions below 65,536",
        )
    return _PORT.pack(
        1 + _DTYPES.index(port.dtype),
        len(port.shape),
        0,
        port.nbytes,
        port.offset,
        port.scale,
        port.zero_point,
        port.tolerance,
        *port.shape,
        *(0,) * (_MAX_RANK - len(port.shape)),
    )


def _decode_port(raw: bytes) -> PortSpec:
    code, rank, _, nbytes, offset, scale, zero_point, tolerance, *shape = _PORT.unpack(raw)
    if not 1 <= code <= len(_DTYPES) or rank > _MAX_RANK:
        raise _malformed("a port of an unknown dtype or rank")
    port = PortSpec(_DTYPES[code - 1], tuple(shape[:rank]), offset, scale, zero_point, tolerance)
    if port.nbytes != nbytes:
        raise _malformed("a port's bytes are not those of its shape")
    if not (0 <= scale < float("inf") and 0 <= tolerance <= _MAX_TOLERANCE):
        raise CapsuleError(Reason.CAPSULE_BOUNDS, "a scale or tolerance")
    if (scale == 0 and zero_point) or (tolerance and port.dtype is not DType.FLOAT32):
        raise CapsuleError(Reason.CAPSULE_BOUNDS, "a zero point or tolerance where there is none")
    if scale and not _holds(port.dtype, zero_point):
        raise CapsuleError(Reason.CAPSULE_BOUNDS, f"the zero point {zero_point} of {port.dtype}")
    return port


def _holds(dtype: DType, zero_point: int) -> bool:
    if dtype not in (DType.INT8, DType.UINT8, DType.INT16, DType.INT32):
        return zero_point == 0
    limits = np.iinfo(dtype.numpy)
    return int(limits.min) <= zero_point <= int(limits.max)


def _padded(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % 4)


def _encode_vector(vector: GoldenVector) -> bytes:
    kind, seed = (_SEED, vector.seed) if vector.inputs is None else (_BYTES, 0)
    head = _VECTOR.pack(kind, int(vector.starts), 0, seed)
    return head + b"".join(_padded(raw) for raw in (*(vector.inputs or ()), *vector.outputs))


def _decode_vectors(capsule: Capsule, raw: bytes, count: int) -> tuple[GoldenVector, ...]:
    if count == 0:
        raise CapsuleError(Reason.CAPSULE_GOLDEN_MISSING, "no device accepts it")
    reader = _Reader(raw)
    vectors = []
    for i in range(count):
        kind, starts, _, seed = _VECTOR.unpack(reader.take(_VECTOR.size))
        if kind not in (_BYTES, _SEED) or starts > 1 or (i == 0 and not starts):
            raise _malformed(f"golden vector {i}")
        inputs = _decode_tensors(reader, capsule.inputs) if kind == _BYTES else None
        vectors.append(GoldenVector(_decode_tensors(reader, capsule.outputs), inputs, seed, bool(starts)))
    reader.end()
    return tuple(vectors)


def _decode_tensors(reader: _Reader, ports: Sequence[PortSpec]) -> tuple[bytes, ...]:
    found = []
    for port in ports:
        found.append(reader.take(port.nbytes))
        reader.take(-port.nbytes % 4)
    return tuple(found)


def _decode_metadata(raw: bytes) -> Mapping[str, Any]:
    try:
        metadata = cbor.decode(raw, max_bytes=MAX_METADATA)
    except cbor.CborError as error:
        raise _malformed(f"metadata: {error}") from None
    if not isinstance(metadata, dict) or not all(isinstance(key, str) for key in metadata):
        raise _malformed("metadata that are no map of texts")
    return metadata
