"""report.json: what was built, as data."""

from __future__ import annotations

from typing import Any

from tinyops import __version__
from tinyops.lower.program import Layer, Port, Program


def describe_program(program: Program) -> dict[str, Any]:
    """The part of a report that is known before anything is built; sizes in bytes."""
    sizes = {c.name: c.nbytes for c in program.constants}
    return {
        "tinyops": __version__,
        "model": {
            "name": program.name,
            "source": program.metadata.get("source"),
            "sha256": program.digest.hex(),
            "macs": program.macs,
            "inputs": [_port(port) for port in program.inputs],
            "outputs": [_port(port) for port in program.outputs],
        },
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
        },
        "layers": [_layer(layer, sizes) for layer in program.layers],
        "kernels": list(program.kernels),
    }


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
        "kernels": list(dict.fromkeys(call.kernel for call in layer.calls)),
        "constant_bytes": sum(sizes[name] for name in names),
    }
