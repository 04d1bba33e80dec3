"""Gates, waves and cohorts: what is arithmetic about campaigns."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyops.errors import UsageError
from tinyops.update.cohort import condition, rank, wave_targets
from tinyops.update.gates import Counts, Gates, Judgement, judge
from tinyops.update.tables import Device

# -- gates ---------------------------------------------------------------------------------------------------------


def test_a_canary_that_reverts_fails_at_once() -> None:
    judgement, why = judge(Gates(), Counts(reverted=1), 0.0)
    assert judgement is Judgement.FAIL
    assert why == "success is 0 % (0 of 1), the gate asks for 95 %"


@pytest.mark.parametrize(
    ("gates", "counts_", "age", "expected", "says_"),
    [
        (Gates(), Counts(waiting=10), 0, Judgement.WAIT, "0 of 8 reports are in"),
        (Gates(), Counts(waiting=3, succeeded=7), 0, Judgement.WAIT, "7 of 8 reports are in"),
        (Gates(), Counts(waiting=2, succeeded=8), 0, Judgement.PASS, "8 of 8 are good"),
        (Gates(soak=60), Counts(succeeded=10), 59, Judgement.WAIT, "soaks for 1 s more"),
        (Gates(soak=60), Counts(succeeded=10), 60, Judgement.PASS, "10 of 10"),
        (Gates(success=90), Counts(waiting=18, failed=2), 0, Judgement.WAIT, "2 of 16"),
        (Gates(success=90), Counts(waiting=17, failed=3), 0, Judgement.FAIL, "success is 85 % (17 of 20)"),
        (
            Gates(success=50, rollback=10),
            Counts(waiting=8, reverted=2),
            0,
            Judgement.FAIL,
            "20 % (2 of 10) rolled back",
        ),
        (Gates(success=50, rollback=20), Counts(waiting=8, reverted=2), 0, Judgement.WAIT, "2 of 8"),
        (Gates(silent=25), Counts(offered=4, silent=1), 0, Judgement.WAIT, "0 of 4"),
        (Gates(silent=24), Counts(offered=4, silent=1), 0, Judgement.FAIL, "25 % (1 of 4) went silent"),
        (Gates(drift=50), Counts(succeeded=10), 0, Judgement.WAIT, "0 of 8 health scores are in"),
        (
            Gates(drift=50),
            Counts(succeeded=10, scored=10, score_before=800, score_after=740),
            0,
            Judgement.FAIL,
            "moved from 800 to 740 (10 devices), the gate allows 50",
        ),
        (Gates(drift=60), Counts(succeeded=10, scored=10, score_before=800, score_after=740), 0, Judgement.PASS, ""),
        (Gates(), Counts(), 0, Judgement.PASS, ""),
    ],
)
def test_gates(gates: Gates, counts_: Counts, age: float, expected: Judgement, says_: str) -> None:
    judgement, why = judge(gates, counts_, age)
    assert judgement is expected
    assert says_ in why


def test_a_waived_wave_does_not_fail() -> None:
    assert judge(Gates(), Counts(reverted=5), 0.0, waived=True)[0] is Judgement.PASS


_COUNT = st.integers(0, 40)


@given(
    st.builds(
        Gates,
        reports=st.floats(0.1, 100),
        success=st.floats(0, 100),
        silent=st.floats(0, 100),
        rollback=st.floats(0, 100),
    ),
    st.builds(Counts, waiting=_COUNT, offered=_COUNT, succeeded=_COUNT, reverted=_COUNT, failed=_COUNT),
)
def test_what_passes_holds_every_limit_and_what_fails_cannot_pass_any_more(gates: Gates, now: Counts) -> None:
    judgement, _ = judge(gates, now, 1e9)
    reported = now.succeeded + now.reverted + now.failed
    if judgement is Judgement.PASS and reported:
        assert reported >= math.ceil(now.devices * gates.reports / 100)
        assert now.succeeded * 100 >= gates.success * reported
        assert now.reverted * 100 <= gates.rollback * reported
    if judgement is Judgement.FAIL and reported < math.ceil(now.devices * gates.reports / 100):
        best = Counts(succeeded=now.succeeded + now.waiting + now.offered, reverted=now.reverted, failed=now.failed)
        assert judge(gates, best, 1e9)[0] is Judgement.FAIL


@pytest.mark.parametrize(
    "values", [{"reports": 0}, {"success": 101}, {"silent": -1}, {"drift": 1001}, {"soak": -1}, {"silent_after": 0}]
)
def test_gates_that_make_no_sense(values: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Gates(**values)


# -- cohorts ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, 5000), st.integers(0, 20))
def test_waves_grow_to_all_devices(devices: int, canary: int) -> None:
    targets = [target for _, target in wave_targets(devices, canary, (5.0, 25.0, 50.0, 100.0))]
    assert targets == sorted(set(targets))
    assert (targets[-1] if targets else 0) == devices


def test_order_is_the_same_everywhere_and_another_for_each_rollout() -> None:
    devices = [Device(id=f"d{k}", tags=[]) for k in range(50)]
    order = [device.id for device in rank("a", devices)]
    assert order == [device.id for device in rank("a", devices[::-1])]
    assert order != [device.id for device in rank("b", devices)]
    assert order[:3] == ["d17", "d40", "d1"]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("sequence<5", True),
        ("sequence >= 5", False),
        ("sequence!=4", False),
        ("id~kitchen-*", True),
        ("board=host", True),
        ("board!=host", False),
        ("state=idle", True),
        ("score>1", False),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    device = Device(id="kitchen-01", sequence=4, board="host", state="idle", tags=[])
    assert condition(text)(device) is holds


@pytest.mark.parametrize("text", ["", "sequence", "sequence<x", "sequence~4", "board<x", "nothing=1", "id==x=="])
def test_conditions_that_cannot_be_read(text: str) -> None:
    if text == "id==x==":
        assert not condition(text)(Device(id="x", tags=[]))  # compares with "=x=="
        return
    with pytest.raises(UsageError):
        condition(text)
