"""Python packages that may be there: their versions, and what to type to get them."""

from __future__ import annotations

import importlib.metadata
import sys

#: The extra that brings a compiler (ziglang) and an emulator (unicorn) of Cortex-M.
SIM = '"tinyops[sim]"'


def package_version(name: str) -> str | None:
    """The installed version of the distribution `name`; None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def pip_install(requirement: str) -> str:
    """The command that installs `requirement` for this Python."""
    pip = "pip" if sys.prefix == sys.base_prefix else f"{sys.executable} -m pip"
    return f"{pip} install {requirement}"


def without_system_packages(hint: str | None) -> str:
    """`hint` with the way that needs Python packages alone."""
    command = pip_install(SIM)
    return f"{hint}; or, with Python packages alone: {command}" if hint else command
