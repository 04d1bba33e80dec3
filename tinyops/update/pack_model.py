"""The model's part of a pack: the capsule with its golden vectors, and the deltas from earlier ones."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyops.device.board import Board
from tinyops.device.update import class_text
from tinyops.emit.capsule import (
    Capsule,
    GoldenVector,
    build_capsule,
    read_capsule,
    recorded_vectors,
    seeded_vectors,
)
from tinyops.emit.data_section import DataSection, lay_out
from tinyops.errors import TinyopsError, UsageError
from tinyops.features import FeatureSettings, ModelFeatures
from tinyops.graph import Model
from tinyops.lower.compile import CompiledModel, compile_model
from tinyops.suit import MODEL
from tinyops.update.delta import apply_delta, encode_delta
from tinyops.update.files import read_file
from tinyops.update.pack import PACK, Part, Payload, worth_it
from tinyops.update.pack_folder import read_pack_facts
from tinyops.update.target import CAPSULE, Target

MAX_CAPSULE = 1 << 28
MAX_GOLDEN = 64
MAX_NPZ = 1 << 28
_PLAIN = "capsule.plain"


@dataclass(frozen=True)
class ModelOptions:
    """How a capsule is made.

    `golden_inputs` is an .npz file of recorded inputs, else `golden_steps` seeded ones are drawn from `golden_seed`.
    `dataset` is a file whose digest becomes part of the capsule's metadata, `sbom` a reference for people.
    `plan_seconds` bounds the memory planner, whose plan has to be the firmware's.
    """

    golden_inputs: Path | None = None
    golden_steps: int = 4
    golden_seed: int = 1
    dataset: Path | None = None
    sbom: str | None = None
    plan_seconds: float = 10.0


@dataclass(frozen=True)
class Previous:
    """An earlier capsule: what a device may run now."""

    where: str
    capsule: bytes
    sequence: int | None


def read_previous(path: Path) -> Previous:
    """A capsule from its file, from a pack, or from the folder of a build."""
    sequence = None
    file = path
    if path.is_dir():
        if (path / PACK).is_file():
            sequence = read_pack_facts(path)["sequence"]
        file = path / _PLAIN if (path / _PLAIN).is_file() else path / CAPSULE
        if not file.is_file():
            raise UsageError("holds no capsule", where=str(path), allowed="a capsule.bin, a pack, a folder of a build")
    content = read_file(file, MAX_CAPSULE)
    try:
        read_capsule(content)
    except TinyopsError as error:
        raise UsageError(f"is no capsule: {error.what}", where=str(file)) from error
    return Previous(str(path), content, sequence)


@dataclass(frozen=True, eq=False)
class Made:
    """A capsule that was made of a model file."""

    source: Path
    encoded: bytes
    capsule: Capsule
    compiled: CompiledModel
    data: DataSection
    golden: Mapping[str, Any]


def make_capsule(source: Path, name: str, options: ModelOptions, *, features: FeatureSettings | None = None) -> Made:
    """The capsule of a model file, called `name` as in the firmware, for firmware with the front end `features`."""
    compiled = compile_model(source, name=name, seconds=options.plan_seconds, by_structure=True)
    inputs = [port.tensor for port in compiled.program.inputs]
    data = lay_out(compiled.program, ModelFeatures.of(features, inputs) if features else None)
    vectors, golden = _golden(compiled.model, options)
    metadata: dict[str, Any] = {"model": source.name}
    if options.dataset is not None:
        metadata["dataset"] = hashlib.sha256(read_file(options.dataset, 1 << 32)).digest()
    if options.sbom is not None:
        metadata["sbom"] = options.sbom
    encoded = build_capsule(compiled, golden=vectors, metadata=metadata, data=data)
    return Made(source, encoded, read_capsule(encoded), compiled, data, golden)


def board_target(made: Made, vendor: str, board: Board) -> Target:
    """The devices of a vendor that run a model of this structure and name on a kind of board."""
    return Target.of_text(vendor, class_text(board, made.compiled.program, made.data), board.name)


def model_part(made: Made, target: Target, previous: Sequence[Previous] = ()) -> Part:
    """The capsule and its deltas as a part of an update.

    TinyopsError for a model of another structure than the firmware of `target`, or too large for its banks.
    """
    capsule = made.capsule
    refuse_unfit(capsule, len(made.encoded), target, made.source)
    deltas, skipped = _deltas(made.encoded, capsule, previous)
    facts = {
        "name": capsule.name,
        "source": made.source.name,
        "model_sha256": capsule.model_digest.hex(),
        "plan": capsule.plan.hex(),
        "kernel_abi": capsule.kernel_abi.hex(),
        "golden": dict(made.golden),
        "skipped_deltas": skipped,
    }
    return Part(MODEL, made.encoded, Payload(CAPSULE, made.encoded), deltas, facts)


def refuse_unfit(capsule: Capsule, size: int, target: Target, source: Path) -> None:
    """TinyopsError when the firmware of `target` would refuse the capsule."""
    where = str(source)
    if target.kernel_abi is not None and capsule.kernel_abi != target.kernel_abi:
        raise TinyopsError(
            f"needs other kernels than the firmware has ({target.name}, board {target.board}): it is a model of "
            "another structure, or another version of tinyops built the firmware",
            where=where,
            allowed="the same layers, shapes and dtypes with other numbers",
            hint="a new firmware: tinyops build --updatable",
        )
    if target.plan is not None and capsule.plan != target.plan:
        raise TinyopsError(
            f"is a model of another structure than the firmware's ({target.name}, board {target.board})",
            where=where,
            allowed="the same layers, shapes and dtypes with other numbers",
            hint="a new firmware: tinyops build --updatable",
        )
    if target.bank_bytes is not None and size > target.bank_bytes:
        raise TinyopsError(
            f"the capsule has {size:,} bytes, a bank of the firmware has {target.bank_bytes:,}",
            where=where,
            hint="fewer golden vectors, or tinyops build --bank-bytes",
        )


def _golden(model: Model, options: ModelOptions) -> tuple[tuple[GoldenVector, ...], dict[str, Any]]:
    if options.golden_inputs is None:
        if not 0 < options.golden_steps <= MAX_GOLDEN:
            raise UsageError(f"{options.golden_steps} golden vectors", allowed=f"1 to {MAX_GOLDEN}")
        made = seeded_vectors(model, options.golden_steps, options.golden_seed)
        return made, {"vectors": len(made), "seed": options.golden_seed}
    sequence = read_golden_inputs(options.golden_inputs, model)
    return recorded_vectors(model, sequence), {"vectors": len(sequence), "inputs": options.golden_inputs.name}


def read_golden_inputs(file: Path, model: Model) -> list[list[np.ndarray[Any, Any]]]:
    """Recorded inputs: an array [steps, *shape] for each input of the model, called as the input or in its order."""
    if not file.is_file() or file.stat().st_size > MAX_NPZ:
        raise UsageError("is no file of inputs", where=str(file), allowed=f"an .npz of up to {MAX_NPZ:,} bytes")
    try:
        with np.load(file, allow_pickle=False) as loaded:
            if isinstance(loaded, np.ndarray):
                raise UsageError("is no .npz file", where=str(file))
            arrays = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(f"cannot be read: {error}", where=str(file), allowed="an .npz file") from error
    tensors = [model.main.tensors[t] for t in model.main.inputs]
    if len(arrays) != len(tensors):
        raise UsageError(f"has {len(arrays)} arrays", where=str(file), allowed=f"{len(tensors)}, one for each input")
    named = all(tensor.name in arrays for tensor in tensors)
    chosen = [arrays[t.name] for t in tensors] if named else list(arrays.values())
    steps = len(chosen[0]) if chosen[0].ndim else 0
    for tensor, array in zip(tensors, chosen, strict=True):
        wanted = (steps, *tensor.shape)
        if array.shape != wanted or array.dtype != tensor.dtype.numpy or not 0 < steps <= MAX_GOLDEN:
            raise UsageError(
                f"{tensor.name}: {array.dtype} {list(array.shape)}",
                where=str(file),
                allowed=f"{tensor.dtype} [1 to {MAX_GOLDEN}, {', '.join(map(str, tensor.shape))}], as many for each",
            )
    return [[array[step] for array in chosen] for step in range(steps)]


def _deltas(
    encoded: bytes, capsule: Capsule, previous: Sequence[Previous]
) -> tuple[tuple[Payload, ...], list[dict[str, Any]]]:
    """Deltas that are worth having, and why others are not."""
    found: dict[bytes, Payload] = {}
    skipped: list[dict[str, Any]] = []
    for before in previous:
        digest = hashlib.sha256(before.capsule).digest()
        if digest in found:
            continue
        if before.capsule == encoded:
            skipped.append({"from": before.where, "why": "the same capsule"})
        elif read_capsule(before.capsule).plan != capsule.plan:
            skipped.append({"from": before.where, "why": "a model of another structure"})
        else:
            delta = encode_delta(before.capsule, encoded)
            if apply_delta(before.capsule, delta) != encoded:
                raise TinyopsError("the delta does not give the capsule", where=before.where)
            if worth_it(delta, encoded):
                file = f"delta-{digest.hex()[:8]}.bin"
                found[digest] = Payload(file, delta, digest, len(before.capsule), "capsule")
            else:
                share = 100 * len(delta) / len(encoded)
                skipped.append({"from": before.where, "why": f"it has {share:.0f} % of the whole"})
    return tuple(found.values()), skipped
