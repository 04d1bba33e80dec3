"""Puts boards, firmware sources and models into the wheel, where tinyops/resources.py looks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: folder -> endings, and names of files without one, that belong into a wheel
DATA = {
    "boards": {".toml"},
    "firmware": {".c", ".h", ".S", ".ld", ".inc", ".j2", ".md", ".cddl"}
    | {".mk", ".dep", ".include", ".yml", "Makefile", "Kconfig"},
    "models": {".tflite", ".onnx", ".toml", ".npz"},
}


class DataFiles(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":  # an editable installation reads them from the checkout
            return
        root = Path(self.root)
        for folder, endings in DATA.items():
            for path in sorted((root / folder).rglob("*")):
                if path.is_file() and (path.suffix or path.name) in endings:
                    name = path.relative_to(root).as_posix()
                    build_data["force_include"][str(path)] = f"tinyops/_data/{name}"
