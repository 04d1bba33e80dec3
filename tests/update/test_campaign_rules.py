"""Campaigns in any order of events, against the rules that people rely on."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Values
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from tests.support.fleet import FACTORY, FakeDevice
from tests.update.test_campaign import ME, add, digest_of, says, start, state_of, statuses
from tinyops.suit.reasons import Reason
from tinyops.update import audit, campaign
from tinyops.update.advance import advance, counts
from tinyops.update.campaign import Plan
from tinyops.update.checkin import State
from tinyops.update.database import Database, FleetError, open_database
from tinyops.update.gates import Counts, Gates, Judgement, judge
from tinyops.update.tables import Assignment, Campaign

_MEMORY = Path("/dev/shm")  # hundreds of databases need no disk


class Rollouts(RuleBasedStateMachine):
    """Two rollouts on one fleet, in any order of events; after each the rules that people rely on hold."""

    running = Values("running")

    def __init__(self) -> None:
        super().__init__()
        self.database: Database | None = None
        self.now = 1000.0
        self.sequence = 1
        self.devices: list[FakeDevice] = []
        self.waiting: dict[str, int] = {}  # device -> what it is downloading
        self.undone: set[tuple[str, int]] = set()
        self.offers: dict[str, set[str]] = {}  # rollout -> devices
        self.waived: set[str] = set()

    @initialize(count=st.integers(1, 30))
    def fleet(self, count: int) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
        self.database = open_database(str(Path(self.folder.name) / "fleet.db"), create=True)
        self.devices = add(self.database, [f"d{k}" for k in range(count)])

    def teardown(self) -> None:
        if self.database is not None:
            with self.database.read() as session:
                audit.verify(audit.entries(session))
            self.database.close()
            self.folder.cleanup()

    @rule(
        target=running,
        canary=st.integers(0, 3),
        waves=st.sampled_from([(100.0,), (50.0, 100.0), (5.0, 25.0, 50.0, 100.0), (30.0,)]),
        gates=st.builds(
            Gates,
            reports=st.sampled_from([50.0, 80.0, 100.0]),
            success=st.sampled_from([50.0, 95.0]),
            rollback=st.sampled_from([0.0, 20.0]),
            silent=st.sampled_from([10.0, 100.0]),
            silent_after=st.just(500.0),
        ),
        approve=st.booleans(),
    )
    @precondition(lambda self: len(self.offers) < 3)
    def begin(self, canary: int, waves: tuple[float, ...], gates: Gates, approve: bool) -> object:
        assert self.database is not None
        self.sequence += 1
        name = f"r{self.sequence}"
        plan = Plan(canary=canary, waves=waves, gates=gates, approve=approve, ttl=5000.0)
        try:
            start(self.database, name, self.sequence, plan, self.now)
        except FleetError:
            return multiple()
        self.offers[name] = set()
        return name

    @rule(which=st.lists(st.integers(0, 29), min_size=1, max_size=30, unique=True))
    def check_in(self, which: list[int]) -> None:
        assert self.database is not None
        for k in which:
            if k >= len(self.devices):
                continue
            device = self.devices[k]
            before = {name: state_of(self.database, name) for name in self.offers}
            offered = says(self.database, device, self.now)
            if offered is None:
                continue
            name = f"r{offered}"
            assert before[name][0] in ("running", "held")
            assert offered > device.sequence, "it has that, or a newer one"
            assert (device.name, offered) not in self.undone, "it was undone there"
            assert device.state is not State.TRIAL
            newer = [other for other in self.offers if int(other[1:]) > offered and device.name in self.offers[other]]
            assert not any(before[other][0] in ("running", "held") for other in newer) or all(
                (device.name, int(other[1:])) in self.undone or statuses(self.database, other)[device.name] == "failed"
                for other in newer
                if before[other][0] in ("running", "held")
            )
            self.offers[name].add(device.name)
            self.waiting[device.name] = offered

    @rule(
        outcomes=st.lists(
            st.sampled_from(["good", "good", "good", "trial", "undone", "refused", "timeout"]), min_size=1, max_size=30
        )
    )
    def settle(self, outcomes: list[str]) -> None:
        assert self.database is not None
        for outcome, (name, sequence) in zip(outcomes, sorted(self.waiting.items()), strict=False):
            device = next(d for d in self.devices if d.name == name)
            if outcome == "trial":
                device.sequence, device.digest, device.attempt = sequence, digest_of(sequence), sequence
                device.state, device.reason = State.TRIAL, Reason.OK
                says(self.database, device, self.now)
                continue
            del self.waiting[name]
            if outcome == "good":
                device.installs(sequence, digest_of(sequence))
            elif outcome == "timeout":
                device.attempt, device.reason, device.state = sequence, Reason.TIMEOUT, State.IDLE
            else:
                if device.state is State.TRIAL:
                    device.sequence, device.digest = 0, FACTORY
                device.refuses(sequence, Reason.HEALTH if outcome == "undone" else Reason.CAPSULE_PLAN)
                self.undone.add((name, sequence))

    @rule(seconds=st.sampled_from([1.0, 10.0, 400.0, 2000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(times=st.integers(1, 3))
    def tick(self, times: int) -> None:
        assert self.database is not None
        for _ in range(times):
            before = self._snapshot()
            advance(self.database, self.now)
            for name, (state, _, wave, counted, gates) in self._snapshot().items():
                if wave > before[name][2]:
                    self._check_opened(before[name])
                    assert state == "running"
                    assert wave == before[name][2] + 1, "one wave at a time"
                if before[name][0] == "running" and state == "running" and name not in self.waived:
                    for count in counted[: before[name][2] + 1]:
                        assert judge(gates, count, 0.0)[0] is not Judgement.FAIL, "a gate was not held"

    def _check_opened(self, before: tuple[str, str, int, list[Counts], Gates]) -> None:
        """The wave before was good enough when the next one opened, reckoned anew."""
        _, _, wave, counted, gates = before
        last = counted[wave]
        if last.reported:
            assert last.reported * 100 >= gates.reports * (last.reported + last.waiting + last.offered)

    def _snapshot(self) -> dict[str, tuple[str, str, int, list[Counts], Gates]]:
        assert self.database is not None
        found = {}
        with self.database.read() as session:
            for name in self.offers:
                one = campaign.find(session, name)
                gates = Gates.from_dict(one.plan["gates"])
                found[name] = (one.state, one.reason, one.wave, counts(session, one, self.now), gates)
        return found

    @rule(name=running, action=st.sampled_from(["pause", "resume", "waive", "approve", "abort"]))
    def act(self, name: str, action: str) -> None:
        assert self.database is not None
        try:
            with self.database.write() as session:
                if action == "waive":
                    campaign.resume(session, name, self.now, ME, waive=True)
                    self.waived.add(name)
                else:
                    getattr(campaign, action)(session, name, self.now, ME)
        except FleetError:
            pass

    @invariant()
    def no_more_devices_than_the_waves_allow(self) -> None:
        if self.database is None:
            return
        with self.database.read() as session:
            for name, offered in self.offers.items():
                one = session.get(Campaign, name)
                assert one is not None
                allowed = one.waves[one.wave].target
                parts = session.query(Assignment).filter_by(campaign_name=name).all()
                assert len(offered) <= allowed
                assert offered <= {part.device_id for part in parts if part.rank < allowed}
                for part in parts:
                    if part.status in ("offered", "succeeded", "reverted", "failed"):
                        assert part.wave <= one.wave or part.status == "succeeded", "it was never its turn"


Rollouts.TestCase.settings = settings(stateful_step_count=30, max_examples=max(10, settings.default.max_examples // 3))
TestRollouts = pytest.mark.slow(Rollouts.TestCase)
