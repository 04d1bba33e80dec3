"""Campaigns: gates as arithmetic, and rollouts against a model of what they may do."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import pytest

from tests.support.fleet import CLASS, FACTORY, FakeDevice
from tinyops.errors import TinyopsError
from tinyops.suit.reasons import Reason
from tinyops.update import campaign, registry
from tinyops.update.advance import advance
from tinyops.update.campaign import Plan
from tinyops.update.checkin import State
from tinyops.update.cohort import Cohort
from tinyops.update.database import Database, FleetError, open_database
from tinyops.update.gates import Gates
from tinyops.update.offers import TRIES, Policy, Sender, check_in
from tinyops.update.tables import Assignment, Bundle, Refusal

ME = "tester"
_MEMORY = Path("/dev/shm")  # hundreds of databases need no disk
SENDER, POLICY = Sender("::1"), Policy()


def digest_of(sequence: int) -> bytes:
    return hashlib.sha256(f"model {sequence}".encode()).digest()


def publish(database: Database, sequence: int, now: float = 0.0) -> str:
    """A published update without files: what campaigns need of it."""
    name = hashlib.sha256(f"manifest {sequence}".encode()).hexdigest()
    with database.write() as session:
        session.add(
            Bundle(
                id=name,
                name=f"v{sequence}",
                component="model",
                sequence=sequence,
                class_id=CLASS,
                digest=digest_of(sequence),
                published=now,
            )
        )
    return name


def start(database: Database, name: str, sequence: int, plan: Plan, now: float) -> None:
    publish(database, sequence, now)
    with database.write() as session:
        bundle = session.get(Bundle, hashlib.sha256(f"manifest {sequence}".encode()).hexdigest())
        assert bundle is not None
        campaign.create(session, name, bundle, plan, now, ME)
    with database.write() as session:
        campaign.start(session, name, now, ME)


def add(database: Database, names: list[str], tags: tuple[str, ...] = ()) -> list[FakeDevice]:
    with database.write() as session:
        registry.add(session, [registry.NewDevice(name, str(CLASS), "host", tags) for name in names], 0.0, ME)
    return [FakeDevice(name) for name in names]


def says(database: Database, device: FakeDevice, now: float) -> int | None:
    """Check in; the sequence number that is offered."""
    with database.write() as session:
        answer = check_in(session, device.checkin(), SENDER, POLICY, now)
        if answer.manifest is None:
            return None
        found = [b for b in session.query(Bundle) if b.path == answer.manifest]
        return found[0].sequence


def state_of(database: Database, name: str) -> tuple[str, str, int]:
    with database.read() as session:
        found = campaign.find(session, name)
        return found.state, found.reason, found.wave


def statuses(database: Database, name: str) -> dict[str, str]:
    with database.read() as session:
        rows = session.query(Assignment).filter_by(campaign_name=name)
        return {row.device_id: row.status for row in rows}


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(str(tmp_path / "fleet.db"), create=True)


def test_cohort_takes_tags_class_and_conditions_together(database: Database) -> None:
    add(database, ["a1", "a2", "b1"], ("one",))
    add(database, ["c1"], ("two",))
    start(database, "r", 2, Plan(Cohort(tags=("one",), where=("id~a*",))), 1.0)
    assert set(statuses(database, "r")) == {"a1", "a2"}


def test_devices_of_another_class_are_not_members(database: Database) -> None:
    with database.write() as session:
        registry.add(session, [registry.NewDevice("other", "6ba7b810-9dad-11d1-80b4-00c04fd430c8")], 0.0, ME)
    with pytest.raises(FleetError, match="no device can take the update"):
        start(database, "r", 2, Plan(), 1.0)


# -- campaigns ---------------------------------------------------------------------------------------------------------


def test_canary_first_then_the_waves(database: Database) -> None:
    devices = add(database, [f"d{k}" for k in range(20)])
    start(database, "r", 2, Plan(canary=1, waves=(10.0, 50.0, 100.0)), 0.0)
    reached = []
    for step in range(10):
        offers = [device for device in devices if says(database, device, float(step)) == 2]
        for device in offers:
            device.installs(2, digest_of(2))
        for device in devices:
            says(database, device, step + 0.5)
        reached.append(sum(device.sequence == 2 for device in devices))
        advance(database, step + 0.9)
    assert reached[:5] == [1, 2, 10, 20, 20]
    assert state_of(database, "r")[0] == "finished"


def test_a_bad_model_stops_at_the_canary_and_nobody_else_gets_it(database: Database) -> None:
    devices = add(database, [f"d{k}" for k in range(20)])
    start(database, "bad", 3, Plan(canary=1), 0.0)
    canaries = [device for device in devices if says(database, device, 1.0) == 3]
    assert len(canaries) == 1
    canaries[0].refuses(3, Reason.SELF_TEST)
    assert says(database, canaries[0], 2.0) is None
    advance(database, 3.0)
    state, reason, wave = state_of(database, "bad")
    assert (state, wave) == ("paused", 0)
    assert reason == "wave 0 (canary): success is 0 % (0 of 1), the gate asks for 95 %"
    assert [says(database, device, 4.0) for device in devices] == [None] * 20
    assert statuses(database, "bad")[canaries[0].name] == "reverted"


def test_resume_stops_again_unless_the_gates_are_waived(database: Database) -> None:
    devices = add(database, [f"d{k}" for k in range(10)])
    start(database, "r", 3, Plan(canary=1), 0.0)
    canary = next(device for device in devices if says(database, device, 1.0))
    canary.refuses(3, Reason.HEALTH)
    says(database, canary, 2.0)
    advance(database, 3.0)
    with database.write() as session:
        campaign.resume(session, "r", 4.0, ME)
    advance(database, 5.0)
    assert state_of(database, "r")[0] == "paused"
    with database.write() as session:
        campaign.resume(session, "r", 6.0, ME, waive=True)
    advance(database, 7.0)
    assert state_of(database, "r")[::2] == ("running", 1)
    assert says(database, canary, 8.0) is None  # it has undone this sequence number


def test_a_device_that_undid_it_is_not_offered_it_by_another_rollout(database: Database) -> None:
    (device,) = add(database, ["d"])
    start(database, "one", 3, Plan(), 0.0)
    assert says(database, device, 1.0) == 3
    device.refuses(3, Reason.SELF_TEST_HANG)
    says(database, device, 2.0)
    with database.write() as session:
        bundle = session.query(Bundle).one()
        campaign.create(session, "two", bundle, Plan(), 3.0, ME)
    with pytest.raises(FleetError, match="have refused it"), database.write() as session:
        campaign.start(session, "two", 3.0, ME)


def test_what_was_refused_meanwhile_is_not_offered(database: Database) -> None:
    """The refusal comes between the start of the rollout and the device's next check-in."""
    (device,) = add(database, ["d"])
    start(database, "r", 3, Plan(), 0.0)
    with database.write() as session:
        session.add(Refusal(device_id="d", sequence=3, reason=int(Reason.SELF_TEST), time=1.0))
    assert says(database, device, 2.0) is None
    assert statuses(database, "r") == {"d": "skipped"}


def test_a_canary_that_undoes_it_later_stops_the_waves_after_it(database: Database) -> None:
    devices = add(database, [f"d{k}" for k in range(10)])
    start(database, "r", 2, Plan(canary=1), 0.0)
    canary = next(device for device in devices if says(database, device, 1.0))
    canary.installs(2, digest_of(2))
    says(database, canary, 2.0)
    advance(database, 3.0)
    assert state_of(database, "r")[::2] == ("running", 1)
    canary.sequence, canary.digest = 0, FACTORY
    canary.refuses(2, Reason.HEALTH)
    says(database, canary, 4.0)
    advance(database, 5.0)
    assert state_of(database, "r")[:2] == (
        "paused",
        "wave 0 (canary): success is 0 % (0 of 1), the gate asks for 95 %",
    )


def test_silence_stops_it(database: Database) -> None:
    devices = add(database, [f"d{k}" for k in range(4)])
    start(database, "r", 2, Plan(canary=0, waves=(100.0,), gates=Gates(silent_after=60, silent=25)), 0.0)
    for device in devices:
        assert says(database, device, 1.0) == 2
    says(database, devices[0], 50.0)
    advance(database, 60.0)
    assert state_of(database, "r")[0] == "running"
    advance(database, 62.0)
    assert state_of(database, "r")[:2] == (
        "paused",
        "wave 0 (100 %): 75 % (3 of 4) went silent, the gate allows 25 %",
    )


def test_drift_of_the_health_score_stops_it(database: Database) -> None:
    devices = add(database, [f"d{k}" for k in range(4)])
    start(database, "r", 2, Plan(canary=0, waves=(100.0,), gates=Gates(drift=50)), 0.0)
    for device in devices:
        device.score = 900
        assert says(database, device, 1.0) == 2
        device.installs(2, digest_of(2))
        device.score = 700
        says(database, device, 2.0)
    advance(database, 3.0)
    assert "health score moved from 900 to 700 (4 devices)" in state_of(database, "r")[1]


def test_approval_opens_each_wave(database: Database) -> None:
    devices = add(database, [f"d{k}" for k in range(4)])
    start(database, "r", 2, Plan(canary=1, waves=(100.0,), approve=True), 0.0)
    for device in devices:
        if says(database, device, 1.0):
            device.installs(2, digest_of(2))
            says(database, device, 2.0)
    advance(database, 3.0)
    assert state_of(database, "r") == ("held", "wave 1 (100 %) waits for approval", 0)
    assert all(says(database, device, 4.0) is None for device in devices)
    with database.write() as session:
        campaign.approve(session, "r", 5.0, ME)
    assert sum(says(database, device, 6.0) == 2 for device in devices) == 3


def test_pause_stops_offers_and_abort_ends_them(database: Database) -> None:
    devices = add(database, [f"d{k}" for k in range(4)])
    start(database, "r", 2, Plan(canary=0, waves=(100.0,)), 0.0)
    assert says(database, devices[0], 1.0) == 2
    with database.write() as session:
        campaign.pause(session, "r", 2.0, ME, "lunch")
    assert [says(database, device, 3.0) for device in devices] == [None] * 4
    with database.write() as session:
        campaign.resume(session, "r", 4.0, ME)
    assert says(database, devices[1], 5.0) == 2
    with database.write() as session:
        campaign.abort(session, "r", 6.0, ME)
    assert [says(database, device, 7.0) for device in devices] == [None] * 4
    with pytest.raises(FleetError, match="the rollout is aborted"), database.write() as session:
        campaign.resume(session, "r", 8.0, ME)


def test_the_newest_sequence_wins_and_the_other_is_superseded(database: Database) -> None:
    (device,) = add(database, ["d"])
    start(database, "old", 2, Plan(), 0.0)
    assert says(database, device, 1.0) == 2
    start(database, "new", 3, Plan(), 2.0)
    assert says(database, device, 3.0) == 3
    assert statuses(database, "old") == {"d": "superseded"}
    device.installs(3, digest_of(3))
    assert says(database, device, 4.0) is None
    advance(database, 5.0)
    advance(database, 6.0)
    assert state_of(database, "old")[0] == "finished"
    assert state_of(database, "new")[0] == "finished"


def test_a_device_that_was_offline_skips_what_was_superseded(database: Database) -> None:
    online, offline = add(database, ["a", "b"])
    start(database, "old", 2, Plan(canary=0, waves=(100.0,), gates=Gates(reports=50)), 0.0)
    says(database, online, 1.0)
    online.installs(2, digest_of(2))
    says(database, online, 2.0)
    start(database, "new", 3, Plan(canary=0, waves=(100.0,)), 3.0)
    assert says(database, offline, 4.0) == 3
    assert statuses(database, "old")["b"] == "superseded"


def test_devices_that_do_not_come_are_given_up(database: Database) -> None:
    add(database, ["a"])
    start(database, "r", 2, Plan(ttl=100), 0.0)
    advance(database, 99.0)
    assert state_of(database, "r")[0] == "running"
    advance(database, 100.0)
    assert state_of(database, "r")[:2] == ("finished", "its time to live is over")
    assert statuses(database, "r") == {"a": "expired"}
    assert says(database, FakeDevice("a"), 101.0) is None


def test_a_trial_is_not_disturbed(database: Database) -> None:
    (device,) = add(database, ["d"])
    start(database, "old", 2, Plan(), 0.0)
    says(database, device, 1.0)
    start(database, "new", 3, Plan(), 2.0)
    device.sequence, device.digest, device.state, device.attempt = 2, digest_of(2), State.TRIAL, 2
    assert says(database, device, 3.0) is None
    assert statuses(database, "old") == {"d": "offered"}
    device.installs(2, digest_of(2))
    assert says(database, device, 4.0) == 3
    assert statuses(database, "old") == {"d": "succeeded"}


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.ETAG_CHANGED, Reason.BUSY])
def test_trouble_on_the_way_is_tried_again_so_many_times(database: Database, reason: Reason) -> None:
    (device,) = add(database, ["d"])
    start(database, "r", 2, Plan(), 0.0)
    assert says(database, device, 0.5) == 2
    device.attempt, device.reason = 2, reason
    offers = [says(database, device, float(k)) for k in range(1, TRIES + 2)]
    assert offers == [2] * (TRIES - 1) + [None] * 2
    assert statuses(database, "r") == {"d": "failed"}


def test_a_manifest_that_the_device_cannot_authenticate_fails_after_some_tries(database: Database) -> None:
    (device,) = add(database, ["d"])
    start(database, "r", 2, Plan(), 0.0)
    says(database, device, 0.5)
    device.attempt, device.reason = 0, Reason.UNKNOWN_KEY
    for k in range(TRIES):
        says(database, device, 1.0 + k)
    assert statuses(database, "r") == {"d": "failed"}


def test_another_class_is_told_by_the_device_itself(database: Database) -> None:
    with database.write() as session:
        registry.add(session, [registry.NewDevice("d")], 0.0, ME)
    start(database, "r", 2, Plan(), 0.0)
    assert says(database, FakeDevice("d", class_id=uuid.uuid4()), 1.0) is None
    assert statuses(database, "r") == {"d": "skipped"}


def test_other_content_under_the_same_number_is_a_failure(database: Database) -> None:
    (device,) = add(database, ["d"])
    start(database, "r", 2, Plan(), 0.0)
    device.installs(2, hashlib.sha256(b"other").digest())
    assert says(database, device, 1.0) is None
    assert statuses(database, "r") == {"d": "failed"}


def test_removed_devices_leave_their_rollouts(database: Database) -> None:
    add(database, ["a", "b"])
    start(database, "r", 2, Plan(canary=0, waves=(100.0,)), 0.0)
    with database.write() as session:
        registry.remove(session, "a", 1.0, ME)
    assert statuses(database, "r") == {"a": "skipped", "b": "waiting"}


@pytest.mark.parametrize(
    "values",
    [{"waves": ()}, {"waves": (50.0, 5.0)}, {"waves": (0.0,)}, {"canary": -1}, {"ttl": 0}, {"canary_tag": "A"}],
)
def test_plans_that_make_no_sense(values: dict[str, object]) -> None:
    with pytest.raises(TinyopsError):
        Plan(**values)  # type: ignore[arg-type]


def test_a_plan_survives_the_database() -> None:
    plan = Plan(
        Cohort(("a",), str(CLASS), ("sequence<2",), ("d",)), Gates(drift=3), 2, "lab", (10.0, 100.0), True, 99.0
    )
    assert Plan.from_dict(plan.as_dict()) == plan
