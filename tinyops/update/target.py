"""For which firmware an update is: its identity and what its plan and banks accept, from the folder of its build."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinyops.errors import TinyopsError, UsageError
from tinyops.features import FeatureSettings, read_settings
from tinyops.suit import class_uuid, vendor_uuid
from tinyops.update.keystore import Keystore

REPORT, CAPSULE = "report.json", "capsule.bin"
_MAX_REPORT = 16 << 20
_Hex16 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0, lt=1 << 32)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", protected_namespaces=())


class _Key(_Strict):
    kid: Annotated[str, Field(pattern=r"^([0-9a-f]{2}){1,32}$")]
    role: Annotated[str, Field(max_length=16)]


class _Region(_Strict):
    bank_bytes: _Count


class _Update(_Strict):
    vendor: Annotated[str, Field(min_length=1, max_length=253)]
    vendor_id: _Hex16
    class_id: _Hex16
    sequence: _Count
    kernel_abi: _Hex32
    plan: _Hex32
    keys: Annotated[list[_Key], Field(max_length=64)]
    region: _Region


class _Named(_Strict):
    name: Annotated[str, Field(min_length=1, max_length=200)]


class _Report(_Strict):
    model: _Named
    board: _Named
    update: _Update
    features: dict[str, Any] | None = None


@dataclass(frozen=True)
class Target:
    """Whose devices (`vendor_id`) of which class an update is for; the rest is known of a build alone.

    `name` is the model's name in the firmware, `sequence` the factory's, `keys` the roles of its keys by their
    identifiers; `features` is the front end that is compiled in, if any.
    """

    vendor: str
    vendor_id: UUID
    class_id: UUID
    board: str | None = None
    name: str | None = None
    sequence: int = 0
    kernel_abi: bytes | None = None
    plan: bytes | None = None
    bank_bytes: int | None = None
    keys: Mapping[bytes, str] | None = None
    features: FeatureSettings | None = None

    @classmethod
    def of_text(cls, vendor: str, class_text: str, board: str | None = None) -> Target:
        """A vendor's domain and what the class is made of; either may be a UUID."""
        vendor_id = parse_uuid(vendor) or vendor_uuid(vendor)
        return cls(vendor, vendor_id, parse_uuid(class_text) or class_uuid(vendor_id, class_text), board)

    def renamed(self, other: Target) -> Target:
        """The same firmware under the vendor and class of `other`."""
        return replace(self, vendor=other.vendor, vendor_id=other.vendor_id, class_id=other.class_id)


def parse_uuid(text: str) -> UUID | None:
    """The UUID that `text` is, if it is one."""
    try:
        return UUID(text) if len(text) in (32, 36) else None
    except ValueError:
        return None


def read_target(folder: Path) -> Target:
    """The target that a build's report.json describes; TinyopsError for a build that cannot be updated."""
    file = folder / REPORT
    if not file.is_file():
        raise UsageError(f"has no {REPORT}", where=str(folder), allowed="a folder that `tinyops build` made")
    try:
        if file.stat().st_size > _MAX_REPORT:
            raise UsageError("is too large", where=str(file), allowed=f"up to {_MAX_REPORT:,} bytes")
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.get("update") is None:
            raise TinyopsError(
                "is the report of firmware that cannot be updated",
                where=str(file),
                hint="tinyops build MODEL --board BOARD --updatable --update-key NAME",
            )
        report = _Report.model_validate(content)
    except (OSError, ValueError, RecursionError) as error:
        what = f": {error.errors()[0]['loc']}" if isinstance(error, ValidationError) else ""
        raise UsageError(f"is no build report that can be used{what}", where=str(file)) from error
    update = report.update
    return Target(
        vendor=update.vendor,
        vendor_id=UUID(update.vendor_id),
        class_id=UUID(update.class_id),
        board=report.board.name,
        name=report.model.name,
        sequence=update.sequence,
        kernel_abi=bytes.fromhex(update.kernel_abi),
        plan=bytes.fromhex(update.plan),
        bank_bytes=update.region.bank_bytes,
        keys={bytes.fromhex(key.kid): key.role for key in update.keys},
        features=_features(report, file),
    )


def _features(report: _Report, file: Path) -> FeatureSettings | None:
    """The front end of the report's firmware."""
    if report.features is None:
        return None
    table = report.features.get("settings")
    if not isinstance(table, dict):
        raise UsageError("is no build report that can be used: features.settings", where=str(file))
    return read_settings(table, str(file))


def refuse_untrusted(target: Target, kids: Sequence[bytes], keystore: Keystore) -> None:
    """TinyopsError when the firmware of `target` knows none of the keys that are to sign."""
    if target.keys is None or any(target.keys.get(kid) == "signer" for kid in kids):
        return
    signers = {other for other, role in target.keys.items() if role == "signer"}
    known = [record.name for record in keystore.records() if bytes.fromhex(record.kid) in signers]
    raise TinyopsError(
        "the firmware was not built with the key that is to sign, as a signer: its devices would refuse the update",
        allowed=", ".join(f"--key {name}" for name in known) or None,
        hint="tinyops build ... --update-key NAME, for the next firmware",
    )
