"""report.json: what was built, as data."""

from __future__ import annotations

from typing import Any

from tinyops import __version__
from tinyops.features import ModelFeatures
from tinyops.lower.program import Layer, Port, Program, Role
from tinyops.plan.liveness import START, build_problem, default_demands


def describe_program(program: Program) -> dict[str, Any]:
    """The part of a report that is known before anything is built; sizes in bytes."""
    sizes = {c.name: c.nbytes for c in program.constants}
    made = _makers(program)
    return {
        "tinyops": __version__,
        "model": {
            "name": program.name,
            "source": program.metadata.get("source"),
            "sha256": program.digest.hex(),
            "macs": program.macs,
            "inputs": [_port(port) for port in program.inputs],
            "outputs": [_port(port) | {"layer": made.get(id(port.tensor))} for port in program.outputs],
        },
        "warnings": [],
        "memory": {
            "arena_bytes": program.arena_bytes,
            "arena_lower_bound_bytes": program.plan.lower_bound,
            "state_bytes": program.state_bytes,
            "constant_bytes": program.constant_bytes(),
        },
        "plan": {
            "method": program.plan.method,
            "optimal": program.plan.optimal,
            "witness": program.plan.witness,
            "gap": program.plan.gap,
            "blocks": _blocks(program),
        },
        "constants": {str(role): program.constant_bytes(role) for role in Role},
        "states": [
            {"name": s.name, "dtype": s.dtype.value, "shape": list(s.shape), "offset": offset, "bytes": s.nbytes}
            for s, offset in zip(program.states, program.state_offsets, strict=True)
        ],
        "layers": [
            _layer(layer, sizes) | {"inputs": inputs}
            for layer, inputs in zip(program.layers, _sources(program), strict=True)
        ],
        "kernels": list(program.kernels),
    }


def describe_features(features: ModelFeatures) -> dict[str, Any]:
    """The front end: its settings as in tinyops.toml, what a step is, the steps that inferences need, its memory."""
    front_end = features.front_end
    return {
        "settings": features.settings.model_dump(mode="json", exclude_none=True),
        "raw_dtype": str(front_end.raw_dtype),
        "raw_shape": list(front_end.raw_shape),
        "frame_shape": list(front_end.frame_shape),
        "frames": features.frames,
        "every": features.every,
        "first_steps": features.first_steps,
        "next_steps": features.next_steps,
        "constant_bytes": features.constant_bytes,
        "ram_bytes": features.ram_bytes,
    }


def _makers(program: Program) -> dict[int, int]:
    """id() of every tensor that a layer makes -> the layer's index."""
    return {id(tensor): k for k, layer in enumerate(program.layers) for tensor in layer.outputs}


def _sources(program: Program) -> list[list[int]]:
    """Per layer what makes its inputs: the index of a layer, or -1 - i for input i of the model."""
    made = {id(port.tensor): -1 - i for i, port in enumerate(program.inputs)} | _makers(program)
    return [[made[id(t)] for t in layer.inputs if id(t) in made] for layer in program.layers]


def _blocks(program: Program) -> list[dict[str, Any]]:
    """What is where in the arena, and when: bytes of one writer, with the steps (indices of layers) of their use.

    A tensor that is made in place in several parts is as many blocks. Offsets and sizes are in bytes.
    """
    plan, storage = program.plan, program.plan.storage
    graph = storage.graph
    problem = build_problem(graph, storage, default_demands(graph), plan.alignment)
    found: list[dict[str, Any]] = []
    for atom, (first, last) in zip(problem.atoms, problem.lifetimes(plan.order), strict=True):
        block = problem.blocks[atom.block]
        if block.tensor is None:
            assert block.scratch_op is not None
            role, name, base, end = "scratch", None, plan.scratch_offsets[block.scratch_op], atom.end
        else:
            role = "input" if atom.writer == START else "output" if atom.kept else "tensor"
            name = _innermost(program, block.tensor, atom.start)
            base, end = plan.offsets[block.tensor], min(atom.end, storage.roots[block.tensor])
        piece = {
            "role": role,
            "layer": None if atom.writer == START else graph.ops[atom.writer].name,
            "tensor": name,
            "offset": base + atom.start,
            "bytes": end - atom.start,
            "first_step": first,
            "last_step": last,
        }
        before = found[-1] if found and atom.start else None
        if before and all(before[key] == piece[key] for key in ("role", "layer", "first_step", "last_step")):
            before["bytes"] += piece["bytes"]
        else:
            found.append(piece)
    return found


def _innermost(program: Program, root: int, offset: int) -> str:
    """Name of the smallest tensor that has the byte at `offset` of the arena root `root`."""
    storage = program.plan.storage
    sizes = {
        t: storage.graph.tensors[t].nbytes
        for t, place in storage.places.items()
        if place.space == "arena"
        and place.root == root
        and place.offset <= offset < place.offset + storage.graph.tensors[t].nbytes
    }
    return storage.graph.tensors[min(sizes, key=lambda t: (sizes[t], t))].name


def _port(port: Port) -> dict[str, Any]:
    quantization = port.tensor.quantization
    return {
        "name": port.name,
        "dtype": port.tensor.dtype.value,
        "shape": list(port.tensor.shape),
        "scale": quantization.scale if quantization else None,
        "zero_point": quantization.zero_point if quantization else None,
        "arena_offset": port.offset,
    }


def _layer(layer: Layer, sizes: dict[str, int]) -> dict[str, Any]:
    names = dict.fromkeys(ref.name for call in layer.calls for ref in call.arguments if hasattr(ref, "name"))
    return {
        "name": layer.name,
        "op": layer.op,
        "macs": layer.macs,
        "output_shapes": [list(t.shape) for t in layer.outputs],
        "dtypes": [t.dtype.value for t in layer.outputs],
        "kernels": list(dict.fromkeys(call.kernel for call in layer.calls)),
        "constant_bytes": sum(sizes[name] for name in names),
    }


#: Use of a board's memory, as a fraction, from which on the report warns.
_TIGHT = 0.9


def find_warnings(report: dict[str, Any], features: tuple[str, ...] | None = None) -> list[str]:
    """What a person should know of a report before relying on it; `features` are those of the board's processor."""
    found = []
    memory, plan = report["memory"], report["plan"]
    if not plan["optimal"]:
        found.append(
            f"The arena of {memory['arena_bytes']:,} B is {100 * plan['gap']:.1f} % above its lower bound of "
            f"{memory['arena_lower_bound_bytes']:,} B: a longer search (--plan-seconds) may find a smaller one."
        )
    fit = report.get("fit", {})
    for what, key in (("flash", "flash"), ("RAM", "ram")):
        used = memory.get(f"{key}_bytes", fit.get(f"{key}_needed_bytes"))
        available = memory.get(f"{key}_available_bytes", fit.get(f"{key}_available_bytes"))
        if used is None or available is None:
            continue
        if used > available:
            found.append(f"The model does not fit: {used:,} B of {what} needed, {available:,} B there.")
        elif used >= _TIGHT * available:
            found.append(
                f"{what[0].upper() + what[1:]} is tight: {100 * used / available:.1f} % used, {available - used:,} B "
                "left for everything else."
            )
    floats = [layer["name"] for layer in report["layers"] if "float32" in layer["dtypes"]]
    if floats and features is not None and "fpu" not in features:
        found.append(f"{len(floats)} layers compute in float32, and the processor has no FPU (first: {floats[0]}).")
    return found
