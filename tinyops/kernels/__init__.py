"""Inner loops that generated code calls: sources per instruction set, described by manifest.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tinyops.errors import TinyopsError

__all__ = [
    "Kernel",
    "kernel",
    "kernel_files",
    "kernels",
    "library_texts",
    "needs_libm",
    "portable_kernels",
    "read_manifest",
]

_FOLDER = Path(__file__).resolve().parent


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if len(parts) != 2 or ".." in parts or path.startswith("/"):
        raise ValueError(f"{path!r} is not a file in a folder of the manifest")
    return path


_File = Annotated[str, AfterValidator(_inside)]


class Kernel(BaseModel):
    """A kernel: a C function `name(const params_type *, ...)`. Paths are relative to the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^to_[a-z0-9]+(_[a-z0-9]+)+$")
    op: str = Field(pattern=r"^[A-Z][A-Z0-9_]*$")
    isa: str = Field(pattern=r"^[a-z][a-z0-9]*$")
    params_type: str = Field(pattern=r"^to_[a-z0-9_]+_params$")
    header: _File
    source: _File
    needs: Annotated[tuple[_File, ...], Field(strict=False)]
    summary: str = Field(min_length=1)
    assembly: Annotated[tuple[_File, ...], Field(strict=False)] = ()
    libm: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Kernel:
        if not self.name.endswith(f"_{self.isa}"):
            raise ValueError(f"the name does not end with the instruction set _{self.isa}")
        if PurePosixPath(self.header).stem != self.name or PurePosixPath(self.source).stem != self.name:
            raise ValueError("header and source are named after the kernel")
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        """Absolute paths: shared headers, assembly, header, source."""
        return tuple(_FOLDER / name for name in (*self.needs, *self.assembly, self.header, self.source))


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kernel: list[Kernel]


def read_manifest(path: Path) -> dict[str, Kernel]:
    """Kernels of a manifest by name; TinyopsError where it is malformed or names a kernel twice."""
    try:
        manifest = _Manifest.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TinyopsError(f"the kernel manifest cannot be read: {error}", where=str(path)) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise TinyopsError(f"{place}: {first['msg']}", where=str(path)) from None
    found: dict[str, Kernel] = {}
    for entry in manifest.kernel:
        if entry.name in found:
            raise TinyopsError(f"kernel {entry.name} is described twice", where=str(path))
        found[entry.name] = entry
    return found


@cache
def kernels() -> dict[str, Kernel]:
    """All kernels by name."""
    return read_manifest(_FOLDER / "manifest.toml")


def portable_kernels() -> dict[str, Kernel]:
    """Those in C that every processor runs."""
    return {name: entry for name, entry in kernels().items() if entry.isa == "c"}


def kernel(name: str) -> Kernel:
    """The kernel `name`; TinyopsError when there is none."""
    found = kernels().get(name)
    if found is None:
        raise TinyopsError(f"there is no kernel {name}", allowed=", ".join(sorted(kernels())))
    return found


def kernel_files(names: Iterable[str]) -> list[Path]:
    """Every header and source that these kernels need, each once, sorted by name."""
    return sorted({path for name in names for path in kernel(name).files}, key=lambda path: path.name)


def library_texts(names: Iterable[str]) -> dict[str, str]:
    """The same files as a library of C holds them, by name: assembly is wrapped, so that a C compiler takes it."""
    texts = {}
    for path in kernel_files(names):
        if path.suffix == ".s":
            texts[f"{path.stem}.c"] = _as_c(path)
        elif path.suffix != ".inc":
            texts[path.name] = path.read_text(encoding="utf-8")
    return texts


_INCLUDE = re.compile(r'^\s*\.include "([a-z0-9_]+\.inc)"$', re.MULTILINE)


def _as_c(path: Path) -> str:
    """Assembly as file-scope asm of a C file, with what it includes; what follows an @ becomes a comment of C."""
    assembly = _INCLUDE.sub(
        lambda m: path.with_name(m[1]).read_text(encoding="utf-8"), path.read_text(encoding="utf-8")
    )
    lines = []
    for line in assembly.splitlines():
        code, _, remark = line.partition("@")
        code, remark = code.rstrip().replace("\\", "\\\\").replace('"', '\\"'), remark.strip()
        text = f'    "{code}\\n"' if code else ""
        lines.append(f"{text}{' ' if text and remark else ''}{f'/* {remark} */' if remark else ''}")
    return "__asm__(\n" + "\n".join(lines) + "\n);\n"


def needs_libm(names: Iterable[str]) -> bool:
    """Whether a program with these kernels must be linked with libm."""
    return any(kernel(name).libm for name in names)
