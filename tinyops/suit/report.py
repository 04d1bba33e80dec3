"""suit-report (draft-ietf-suit-report-20): what a device says about the last manifest that it processed.

The result code is the `Reason` of tinyops; the result reason is the coarser one of the specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinyops.suit import cbor
from tinyops.suit.commands import ComponentId, Digest, decode, decode_parameters, encode_parameters
from tinyops.suit.errors import SuitError
from tinyops.suit.manifest import component_id
from tinyops.suit.reasons import Reason
from tinyops.suit.registry import FINAL, SYSTEM_COMPONENT_ID, Algorithm, Capability, Report, ReportReason

MAX_BYTES = 4096
MAX_RECORDS = 64
_WHERE = "suit-report"
_NO_DIGEST: list[Any] = [int(Algorithm.SHA_256), b""]

_REASONS: Mapping[ReportReason, tuple[Reason, ...]] = {
    ReportReason.OK: (Reason.OK,),
    ReportReason.CBOR_PARSE: (
        Reason.TRUNCATED,
        Reason.MALFORMED_CBOR,
        Reason.NOT_DETERMINISTIC,
        Reason.NESTING,
        Reason.TOO_LARGE,
    ),
    ReportReason.ALGORITHM_UNSUPPORTED: (Reason.WRONG_ALGORITHM,),
    ReportReason.UNAUTHORISED: (
        Reason.NO_AUTHENTICATION,
        Reason.UNKNOWN_KEY,
        Reason.REVOKED_KEY,
        Reason.BAD_SIGNATURE,
        Reason.MANIFEST_DIGEST,
    ),
    ReportReason.COMMAND_UNSUPPORTED: (Reason.COMMAND_UNKNOWN, Reason.MANIFEST_VERSION, Reason.UNSUPPORTED),
    ReportReason.COMPONENT_UNSUPPORTED: (Reason.COMPONENT_UNKNOWN,),
    ReportReason.COMPONENT_UNAUTHORISED: (Reason.UNAUTHORIZED,),
    ReportReason.PARAMETER_UNSUPPORTED: (Reason.PARAMETER_MISSING, Reason.PARAMETER_MALFORMED),
    ReportReason.CONDITION_FAILED: (
        Reason.SEQUENCE_REPLAYED,
        Reason.EXPIRED,
        Reason.NO_CLOCK,
        Reason.VENDOR_MISMATCH,
        Reason.CLASS_MISMATCH,
        Reason.DEVICE_MISMATCH,
        Reason.IMAGE_DIGEST,
        Reason.ABORTED,
        Reason.SLOT_MISMATCH,
        Reason.BATTERY,
        Reason.VERSION_MISMATCH,
        Reason.IMAGE_PRESENT,
    ),
}
_REPORT_REASON = {reason: coarse for coarse, reasons in _REASONS.items() for reason in reasons}


def report_reason(reason: Reason) -> ReportReason:
    """The reason of the specification; what has none of its own is a failed operation."""
    return _REPORT_REASON.get(reason, ReportReason.OPERATION_FAILED)


@dataclass(frozen=True, slots=True)
class Record:
    """One command: where it stands and the parameters that it used. `section` is a key of the manifest."""

    section: int
    offset: int
    component: int
    properties: Mapping[int, Any] = field(default_factory=dict)
    manifest: tuple[int, ...] = ()

    def plain(self) -> list[Any]:
        properties = encode_parameters(self.properties)
        return [list(self.manifest), self.section, self.offset, self.component, properties]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a component of the system is."""

    component: ComponentId
    properties: Mapping[int, Any]

    def plain(self) -> dict[int, Any]:
        # The component stands under 0, which no parameter uses.
        return {SYSTEM_COMPONENT_ID: list(self.component), **encode_parameters(self.properties)}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the manifest was not carried out. `code` is a `Reason` where the device is one of ours."""

    code: int
    record: Record
    reason: ReportReason


@dataclass(frozen=True, slots=True)
class SuitReport:
    """A report. `failure` is None when the manifest was carried out, `manifest_digest` None when the device knows
    none (an envelope that could not be read); `capabilities` are lists of numbers, and for `Capability.COMPONENTS`
    component ids."""

    manifest_uri: str
    manifest_digest: Digest | None
    records: tuple[Record | Claim, ...] = ()
    failure: Failure | None = None
    nonce: bytes | None = None
    capabilities: Mapping[Capability, tuple[Any, ...]] | None = None

    def encode(self) -> bytes:
        digest = self.manifest_digest
        plain: dict[int, Any] = {
            Report.REFERENCE: [self.manifest_uri, _NO_DIGEST if digest is None else digest.plain()],
            Report.RECORDS: [record.plain() for record in self.records],
            Report.RESULT: True if self.failure is None else _plain_failure(self.failure),
        }
        if self.nonce is not None:
            plain[Report.NONCE] = self.nonce
        if self.capabilities is not None:
            plain[Report.CAPABILITIES] = {int(key): list(values) for key, values in self.capabilities.items()}
        return cbor.encode(plain)

    @classmethod
    def decode(cls, data: bytes) -> SuitReport:
        """The report in `data`. Raises `SuitError`."""
        if len(data) > MAX_BYTES:
            raise SuitError(Reason.TOO_LARGE, f"{len(data)} bytes", where=_WHERE, allowed=f"up to {MAX_BYTES}")
        plain = decode(data, _WHERE)
        if not isinstance(plain, dict):
            raise SuitError(Reason.MALFORMED_CBOR, "not a map", where=_WHERE)
        known = {Report.NONCE, Report.RECORDS, Report.RESULT, Report.CAPABILITIES, Report.REFERENCE}
        if not set(plain) <= known:
            raise SuitError(Reason.COMMAND_UNKNOWN, "an unknown member", where=_WHERE)
        for member in (Report.REFERENCE, Report.RECORDS, Report.RESULT):
            if member not in plain:
                raise SuitError(Reason.PARAMETER_MISSING, member.name.lower(), where=_WHERE)
        uri, digest = _reference(plain[Report.REFERENCE])
        return cls(
            manifest_uri=uri,
            manifest_digest=digest,
            records=_records(plain[Report.RECORDS]),
            failure=_failure(plain[Report.RESULT]),
            nonce=_nonce(plain[Report.NONCE]) if Report.NONCE in plain else None,
            capabilities=_capabilities(plain[Report.CAPABILITIES]) if Report.CAPABILITIES in plain else None,
        )


def _plain_failure(failure: Failure) -> dict[int, Any]:
    return {
        int(Report.RESULT_CODE): failure.code,
        int(Report.RESULT_RECORD): failure.record.plain(),
        int(Report.RESULT_REASON): int(failure.reason),
    }


def _malformed(detail: str) -> SuitError:
    return SuitError(Reason.PARAMETER_MALFORMED, detail, where=_WHERE)


def _reference(plain: Any) -> tuple[str, Digest | None]:
    if not (isinstance(plain, list) and len(plain) == 2 and type(plain[0]) is str):
        raise _malformed("the reference")
    return plain[0], None if plain[1] == _NO_DIGEST else Digest.from_plain(plain[1], FINAL, _WHERE)


def _nonce(plain: Any) -> bytes:
    if type(plain) is not bytes:
        raise _malformed("the nonce")
    return plain


def _records(plain: Any) -> tuple[Record | Claim, ...]:
    if not isinstance(plain, list) or len(plain) > MAX_RECORDS:
        raise _malformed("the records")
    return tuple(_claim(item) if isinstance(item, dict) else _record(item) for item in plain)


def _record(plain: Any) -> Record:
    if not (isinstance(plain, list) and len(plain) == 5 and isinstance(plain[0], list)):
        raise _malformed("a record")
    manifest, section, offset, component, properties = plain
    numbers = [*manifest, offset, component]
    if type(section) is not int or not all(type(number) is int and number >= 0 for number in numbers):
        raise _malformed("a record")
    values = decode_parameters(properties, FINAL, _WHERE) if properties else {}
    return Record(section, offset, component, values, tuple(manifest))


def _claim(plain: dict[Any, Any]) -> Claim:
    if SYSTEM_COMPONENT_ID not in plain:
        raise _malformed("a claim without its component")
    rest = {key: value for key, value in plain.items() if key != SYSTEM_COMPONENT_ID}
    return Claim(component_id(plain[SYSTEM_COMPONENT_ID]), decode_parameters(rest, FINAL, _WHERE))


def _failure(plain: Any) -> Failure | None:
    if plain is True:
        return None
    members = {Report.RESULT_CODE, Report.RESULT_RECORD, Report.RESULT_REASON}
    if not isinstance(plain, dict) or set(plain) != members:
        raise _malformed("the result")
    code, reason = plain[Report.RESULT_CODE], plain[Report.RESULT_REASON]
    if type(code) is not int or type(reason) is not int or reason not in set(ReportReason):
        raise _malformed("the result")
    return Failure(code, _record(plain[Report.RESULT_RECORD]), ReportReason(reason))


def _capabilities(plain: Any) -> dict[Capability, tuple[Any, ...]]:
    if not isinstance(plain, dict) or not set(plain) <= {int(capability) for capability in Capability}:
        raise _malformed("the capabilities")
    result: dict[Capability, tuple[Any, ...]] = {}
    for key, values in plain.items():
        components = key == Capability.COMPONENTS
        if not isinstance(values, list) or not all(type(value) is (list if components else int) for value in values):
            raise _malformed("the capabilities")
        result[Capability(key)] = tuple(component_id(value) for value in values) if components else tuple(values)
    return result
