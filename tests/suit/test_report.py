"""suit-report: what devices send is read strictly, and round-trips."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.suit import NEW, digest
from tinyops.suit import MODEL, Reason, SuitError
from tinyops.suit.cbor import decode, encode
from tinyops.suit.commands import Digest
from tinyops.suit.registry import Capability, Parameter, ReportReason, Section
from tinyops.suit.report import MAX_BYTES, Claim, Failure, Record, SuitReport, report_reason

RECORD = Record(Section.INSTALL, 17, 0, {Parameter.IMAGE_DIGEST: Digest(digest(NEW)), Parameter.IMAGE_SIZE: 9}, (0, 1))
CLAIM = Claim(MODEL, {Parameter.IMAGE_DIGEST: Digest(digest(NEW))})
GOOD = SuitReport("coap://h/m", Digest(digest(b"manifest")), (CLAIM, RECORD))
BAD = SuitReport(
    "",
    None,
    (),
    Failure(Reason.SELF_TEST, Record(0, 0, 0), report_reason(Reason.SELF_TEST)),
    nonce=b"nonce",
    capabilities={Capability.COMPONENTS: (MODEL,), Capability.COMMANDS: (1, 2, 3)},
)


@pytest.mark.parametrize("report", [GOOD, BAD], ids=["carried out", "failed"])
def test_reports_round_trip(report: SuitReport) -> None:
    assert SuitReport.decode(report.encode()) == report


def test_the_numbers_are_those_of_the_draft() -> None:
    plain = decode(GOOD.encode())
    assert set(plain) == {3, 4, 99}
    assert plain[4] is True
    assert plain[99] == ["coap://h/m", [-16, digest(b"manifest")]]
    assert plain[3][0] == {0: [b"model"], 3: encode([-16, digest(NEW)])}
    assert plain[3][1][:4] == [[0, 1], 20, 17, 0]
    assert decode(BAD.encode())[4] == {5: Reason.SELF_TEST, 6: [[], 0, 0, 0, {}], 7: ReportReason.OPERATION_FAILED}


def _edited(**changes: Any) -> bytes:
    plain = decode(BAD.encode())
    for name, value in changes.items():
        plain[int(name[1:])] = value
    return encode({key: value for key, value in plain.items() if value is not None})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (b"\x80", Reason.MALFORMED_CBOR),
        (BAD.encode() + b"\x00", Reason.MALFORMED_CBOR),
        (b"\xbf\xff", Reason.NOT_DETERMINISTIC),
        (bytes(MAX_BYTES + 1), Reason.TOO_LARGE),
        (_edited(m98=1), Reason.COMMAND_UNKNOWN),
        (_edited(m99=None), Reason.PARAMETER_MISSING),
        (_edited(m3=None), Reason.PARAMETER_MISSING),
        (_edited(m4=None), Reason.PARAMETER_MISSING),
        (_edited(m99=["x"]), Reason.PARAMETER_MALFORMED),
        (_edited(m99=[1, [-16, bytes(32)]]), Reason.PARAMETER_MALFORMED),
        (_edited(m99=["x", [-16, bytes(31)]]), Reason.PARAMETER_MALFORMED),
        (_edited(m99=["x", [-99, bytes(32)]]), Reason.UNSUPPORTED),
        (_edited(m2="nonce"), Reason.PARAMETER_MALFORMED),
        (_edited(m3={}), Reason.PARAMETER_MALFORMED),
        (_edited(m3=[[]]), Reason.PARAMETER_MALFORMED),
        (_edited(m3=[[[], 0, -1, 0, {}]]), Reason.PARAMETER_MALFORMED),
        (_edited(m3=[[["x"], 0, 0, 0, {}]]), Reason.PARAMETER_MALFORMED),
        (_edited(m3=[[[], 0, 0, 0, {99: 0}]]), Reason.COMMAND_UNKNOWN),
        (_edited(m3=[{3: b""}]), Reason.PARAMETER_MALFORMED),
        (_edited(m3=[[[], 0, 0, 0, {}]] * 65), Reason.PARAMETER_MALFORMED),
        (_edited(m4=False), Reason.PARAMETER_MALFORMED),
        (_edited(m4={5: 0}), Reason.PARAMETER_MALFORMED),
        (_edited(m4={5: 0, 6: [[], 0, 0, 0, {}], 7: 99}), Reason.PARAMETER_MALFORMED),
        (_edited(m4={5: "x", 6: [[], 0, 0, 0, {}], 7: 0}), Reason.PARAMETER_MALFORMED),
        (_edited(m8={99: []}), Reason.PARAMETER_MALFORMED),
        (_edited(m8={2: ["x"]}), Reason.PARAMETER_MALFORMED),
        (_edited(m8={1: [["x"]]}), Reason.PARAMETER_MALFORMED),
    ],
)
def test_hostile_reports_are_refused(data: bytes, reason: Reason) -> None:
    with pytest.raises(SuitError) as caught:
        SuitReport.decode(data)
    assert caught.value.reason is reason


def _error(data: bytes) -> SuitError | None:
    try:
        SuitReport.decode(data)
    except SuitError as error:
        return error
    return None


@given(st.binary(max_size=80), st.integers(0, 200))
def test_any_bytes_are_a_report_or_an_error(junk: bytes, at: int) -> None:
    _error(junk)
    data = BAD.encode()
    changed = data[: at % len(data)] + junk + data[at % len(data) + len(junk) :]
    if _error(changed) is None:
        assert SuitReport.decode(changed).encode() == changed
