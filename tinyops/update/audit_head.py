"""Heads of the audit log on paper: JSON files, signed if you like, that are kept where the log's keeper cannot reach.

The signature covers the bytes "tinyops audit head", a zero byte, and the canonical JSON of the fields without it.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinyops.errors import UsageError
from tinyops.update.audit import AuditError, Head, canonical
from tinyops.update.keystore import Keystore
from tinyops.update.signing import Signer

_MAX_FILE = 64 << 10
_PREFIX = b"tinyops audit head\0"
_HASH = re.compile(r"[0-9a-fA-F]{64}")


class _HeadFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1]
    entries: Annotated[int, Field(ge=0, lt=1 << 53)]
    head: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    time: Annotated[str, Field(max_length=40)]
    kid: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None
    signature: Annotated[str, Field(pattern=r"^([0-9a-f]{2}){1,20000}$")] | None = None


def make_head(end: Head, signer: Signer | None = None) -> dict[str, Any]:
    """The head as it is written to a file."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    fields: dict[str, Any] = {"version": 1, "entries": end.number, "head": end.hash, "time": now}
    if signer is None:
        return fields
    fields["kid"] = signer.kid.hex()
    return fields | {"signature": signer.sign(_signed(fields)).hex()}


def read_head(text: str, keystore: Keystore) -> str:
    """The hash that `text` is, or that the file `text` holds; a signature in it is checked with the keystore's keys."""
    if _HASH.fullmatch(text):
        return text.lower()
    path = Path(text)
    if not path.is_file():
        raise UsageError("is neither a hash nor a file", where=text, allowed="64 hexadecimal digits, or a head's file")
    try:
        if path.stat().st_size > _MAX_FILE:
            raise ValueError
        head = _HeadFile.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        what = f": {error.errors()[0]['loc']}" if isinstance(error, ValidationError) else ""
        raise UsageError(f"is no head of an audit log{what}", where=text) from error
    if head.signature is not None:
        _check_signature(head, keystore, text)
    return head.head


def _check_signature(head: _HeadFile, keystore: Keystore, where: str) -> None:
    record = keystore.find(bytes.fromhex(head.kid)) if head.kid else None
    if record is None:
        raise AuditError(
            f"is signed by the key {head.kid}, which is not here", where=where, hint="--keys FOLDER with that key"
        )
    fields = head.model_dump(exclude={"signature"}, exclude_none=True)
    assert head.signature is not None
    if not record.public_key.verify(_signed(fields), bytes.fromhex(head.signature)):
        raise AuditError(f"the signature is not that of the key {record.name!r}", where=where)


def _signed(fields: dict[str, Any]) -> bytes:
    return _PREFIX + canonical(fields).encode("ascii")
