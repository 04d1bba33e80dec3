"""The tables: reasons with the device's header, numbers within their types."""

from __future__ import annotations

from tinyops.resources import data_dir
from tinyops.suit.reasons import Reason, c_header
from tinyops.suit.registry import DIALECTS, FINAL, RIOT_LEGACY, SEQUENCES, Command, Parameter, Section
from tinyops.suit.report import report_reason


def test_the_device_has_the_same_reasons() -> None:
    header = data_dir("firmware") / "common" / "include" / "tinyops" / "to_reason.h"
    assert header.read_text(encoding="ascii") == c_header()


def test_reasons_are_numbered_without_gaps_and_named_once() -> None:
    assert [reason.value for reason in Reason] == list(range(len(Reason)))
    assert len({reason.slug for reason in Reason}) == len({reason.text for reason in Reason}) == len(Reason)
    assert all(Reason.from_slug(reason.slug) is reason for reason in Reason)
    assert all(reason.slug == reason.name.lower().replace("_", "-") for reason in Reason)


def test_every_reason_has_one_of_the_report() -> None:
    assert {report_reason(reason).name for reason in Reason} >= {"OK", "UNAUTHORISED", "OPERATION_FAILED"}


def test_dialects_are_unambiguous() -> None:
    for dialect in DIALECTS.values():
        for table in (dialect.sections, dialect.commands, dialect.parameters, dialect.digests):
            assert len(set(table.values())) == len(table)
    assert FINAL.command_of[32] is Command.RUN_SEQUENCE
    assert RIOT_LEGACY.command_of[30] is Command.RUN_SEQUENCE
    assert RIOT_LEGACY.section_of[9] is Section.INSTALL
    assert set(RIOT_LEGACY.parameters) < set(Parameter)
    assert set(SEQUENCES) <= set(Section)
