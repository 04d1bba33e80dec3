"""From a pack to a device: the files that `tinyops update push` sends.

A pack is a folder with manifest.suit and its payloads; a manifest alone may do, when its payloads are inside of it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from tinyops.errors import TinyopsError, UsageError
from tinyops.suit import Envelope, SuitError
from tinyops.suit.manifest import digest_of

MANIFEST = "manifest.suit"
_MAX_MANIFEST = 64 << 10
_MAX_PAYLOAD = 64 << 20
_MAX_FILES = 256
_DIGITS = re.compile(r"[0-9a-f]{16,64}")


@dataclass(frozen=True, slots=True)
class PackFiles:
    """A pack: the bytes of its envelope, the SHA-256 of its manifest, its sequence number, its payload files."""

    folder: Path
    envelope: bytes
    digest: bytes
    sequence: int
    files: tuple[Path, ...]

    def payload(self, uri: str) -> bytes:
        """The payload at `uri`, whose last part names a file, or is the beginning of its SHA-256 in hexadecimal.

        TinyopsError when it is not there.
        """
        last = uri.rsplit("/", 1)[-1]
        for path in self.files:
            if path.name == last:
                return _read(path, _MAX_PAYLOAD)
        start = last.split(".")[0]
        if _DIGITS.fullmatch(start):
            for path in self.files:
                content = _read(path, _MAX_PAYLOAD)
                if hashlib.sha256(content).hexdigest().startswith(start):
                    return content
        raise TinyopsError(
            f"the payload {uri} is none of the files: it is missing, or was changed",
            where=str(self.folder),
            hint=f"the whole pack again; tinyops update inspect {self.folder} tells more",
        )


def read_pack_files(path: Path) -> PackFiles:
    """The pack in a folder, or the one of a manifest file; UsageError or SuitError when it is none.

    Nothing says that it is authentic: the device decides that.
    """
    file = path / MANIFEST if path.is_dir() else path
    if not file.is_file():
        what = f"has no {MANIFEST}" if path.is_dir() else "no such file or folder"
        raise UsageError(what, where=str(path), allowed="a folder that `tinyops update pack` wrote, or its manifest")
    envelope = _read(file, _MAX_MANIFEST)
    try:
        decoded = Envelope.decode(envelope)
        sequence = decoded.model().sequence_number
    except SuitError as error:
        error.where = str(file) + (f", {error.where}" if error.where else "")
        raise
    others = sorted(other for other in file.parent.iterdir() if other.is_file() and other != file)
    digest = digest_of(decoded.manifest).value
    return PackFiles(file.parent, envelope, digest, sequence, tuple(others[:_MAX_FILES]))


def _read(path: Path, most: int) -> bytes:
    try:
        if path.stat().st_size > most:
            raise UsageError(f"is over {most:,} bytes", where=str(path))
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error
