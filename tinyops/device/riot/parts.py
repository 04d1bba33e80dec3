"""What an option (a network, updates) adds to a RIOT application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RiotParts:
    """Additions to the generated application, in the terms of RIOT's build system.

    `modules`: USEMODULE. `packages`: USEPKG. `features`: FEATURES_REQUIRED. `defines`: macros for every C file, with
    the value "" for those without one. `variables`: make variables that are set before firmware/riot/app/Makefile is
    read. `files`: path below the build folder -> content; C files below `modules/tinyops_model` that are not of the
    library are compiled as the rest of that module.
    """

    modules: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    defines: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str | bytes] = field(default_factory=dict)

    def __add__(self, other: RiotParts) -> RiotParts:
        return RiotParts(
            modules=tuple(dict.fromkeys(self.modules + other.modules)),
            packages=tuple(dict.fromkeys(self.packages + other.packages)),
            features=tuple(dict.fromkeys(self.features + other.features)),
            defines={**self.defines, **other.defines},
            variables={**self.variables, **other.variables},
            files={**self.files, **other.files},
        )
