"""A pack out of a description in YAML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinyops.suit import FINAL, Unsigned, sign
from tinyops.suit.commands import Sequence as Commands
from tinyops.suit.commands import SetParameters, TryEach
from tinyops.suit.keys import Role
from tinyops.suit.registry import Parameter
from tinyops.update.description import read_description
from tinyops.update.pack import Packed, Signing, check_use_before, finish
from tinyops.update.rehearsal import Stage, refusal


def pack_description(file: Path, sequence: int, keys: Sequence[Signing]) -> Packed:
    """The signed manifest that `file` describes, with its payloads; `sequence` counts where the file has none."""
    described = read_description(file, sequence)
    for commands in (described.manifest.shared, *described.manifest.sequences.values()):
        if isinstance(commands, tuple):
            _check_times(commands)
    unsigned = Unsigned(described.manifest.encode(FINAL), FINAL, {}, dict(described.integrated))
    envelope = sign(unsigned, *(key.signer for key in keys))
    facts: dict[str, Any] = {
        "vendor_id": str(described.vendor),
        "description": file.name,
        "images": [
            {"component": "/".join(part.decode() for part in component)} for component in described.manifest.components
        ],
        "files": {name: len(content) for name, content in described.files.items()},
    }
    if described.class_id is not None:
        facts["class_id"] = str(described.class_id)
    class_id = described.class_id or described.vendor
    trusted = [key.signer.public.key(Role.SIGNER | Role.ROOT) for key in keys]
    device = Stage(described.vendor, class_id, trusted, {}).model(described.manifest.components)
    refused = refusal(envelope, device)
    if refused is not None:
        facts["warnings"] = [f"a device of tinyops would refuse the manifest: {refused}"]
    return finish(envelope, keys, described.files, facts, FINAL)


def _check_times(commands: Commands) -> None:
    for command in commands:
        if isinstance(command, SetParameters):
            check_use_before(command.values.get(Parameter.USE_BEFORE))
        elif isinstance(command, TryEach):
            for branch in command.branches:
                _check_times(branch or ())
