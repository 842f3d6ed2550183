"""A group is replayed at the requested rate until none is left, one fails again, or somebody cancels it."""

import itertools
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest

from holdfast.flows.dead_letters import replay_group as flow
from holdfast.flows.dead_letters.replay_dead_letter import ReplayResult
from holdfast.flows.dead_letters.replay_group import (
    SLICE_SECONDS,
    Rate,
    advance_group_replays,
    cancel_group_replay,
    find_group_replay,
    start_group_replay,
)
from holdfast.payments.dead_letters import DeadLetterStatus
from holdfast.payments.group_replays import GroupReplayState
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, NotFound
from tests.flows.actions import authenticate, ordered
from tests.flows.dead_lettering import (
    ASKS,
    add_class,
    break_events,
    fail_until_given_up,
    mend_events,
    replay,
    steps,
)
from tests.flows.letters import group_replays, letter, manager, put_letter
from tests.house import House

RUNNING, FINISHED = GroupReplayState.RUNNING, GroupReplayState.FINISHED
STOPPED, CANCELLED = GroupReplayState.STOPPED, GroupReplayState.CANCELLED


class Ward:
    """A house whose dead letters have one cause in common, and a manager who replays them."""

    def __init__(self, house: House) -> None:
        house.add_variant(stock=50)
        self.house = house
        self.boss: Caller = manager(house)

    def fill(self, number: int) -> Sequence[UUID]:
        """Make this many dead letters of one cause, which is then cured."""
        order_id = ordered(self.house, token=ASKS)
        authenticate(self.house, order_id)
        (webhook,) = self.house.webhooks("payment_intent.succeeded", order_id=order_id)
        break_events(self.house)
        for each in range(number):
            # Dated a minute later, they are news. What the answer already said would count as processed as soon as it
            # is stored.
            self.house.deliver(webhook | {"id": f"evt_again_{each}", "created": webhook["created"] + 60})
        fail_until_given_up(self.house)
        mend_events(self.house)
        rows = self.house.rows("SELECT id FROM payments.dead_letters ORDER BY id")
        assert len(rows) == number
        return [row["id"] for row in rows]

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the oldest dead letter, which the others share."""
        found = self.house.rows("SELECT fingerprint FROM payments.dead_letters ORDER BY id LIMIT 1")
        return str(found[0]["fingerprint"])

    def start(self, per_minute: int, most: int = 100, time_left: Callable[[], float] = lambda: 60.0) -> UUID:
        """Start a replay of the group, which replays its first slice at once, and return its id."""
        begun = start_group_replay(
            self.house.runtime, self.boss, self.fingerprint, Rate(per_minute, most), self.house.clock, time_left
        )
        return UUID(begun["id"])

    def tick(self) -> int:
        """Run one tick of the schedule for group replays."""
        return advance_group_replays(self.house.system, self.house.clock, lambda: 60.0)

    def statuses(self) -> list[str]:
        """Return the statuses of all dead letters, oldest first."""
        rows = self.house.rows("SELECT status FROM payments.dead_letters ORDER BY id")
        return [row["status"] for row in rows]


@pytest.fixture
def ward(house: House) -> Ward:
    return Ward(house)


def test_no_more_are_replayed_in_a_minute_than_were_asked_for_however_often_the_clock_ticks(ward: Ward) -> None:
    ward.fill(7)
    ward.start(per_minute=3)
    assert [ward.tick() for _ in range(3)] == [0, 0, 0]
    assert group_replays(ward.house) == [(RUNNING, 3, 0)]
    ward.house.clock.advance(seconds=SLICE_SECONDS)
    assert [ward.tick() for _ in range(2)] == [3, 0]
    ward.house.clock.advance(seconds=SLICE_SECONDS)
    assert ward.tick() == 1
    assert group_replays(ward.house) == [(FINISHED, 7, 0)]
    assert set(ward.statuses()) == {"replayed"}


def test_the_first_relapse_stops_it_and_says_which_and_why(ward: Ward) -> None:
    letters = ward.fill(5)
    third = ward.house.value(
        "SELECT e.gateway_event_id FROM payments.dead_letters d JOIN payments.payment_events e ON e.id = d.event_id"
        " WHERE d.id = :id",
        id=letters[2],
    )
    break_events(ward.house, only=third)
    group_id = ward.start(per_minute=60)
    assert group_replays(ward.house) == [(STOPPED, 2, 0)]
    shown = find_group_replay(ward.house.runtime, ward.boss, group_id, ward.house.clock())
    assert shown["relapsed_id"] == str(letters[2])
    assert "The ledger is closed" in shown["last_error"]
    assert shown["finished_at"]
    ward.house.clock.advance(minutes=5)
    assert ward.tick() == 0
    assert ward.statuses()[:2] == ["replayed", "replayed"]
    assert "replayed" not in ward.statuses()[2:]


def test_it_ends_after_as_many_as_were_asked_for_and_may_be_asked_for_again(ward: Ward) -> None:
    ward.fill(5)
    ward.start(per_minute=60, most=2)
    assert group_replays(ward.house) == [(FINISHED, 2, 0)]
    ward.house.clock.advance(seconds=1)
    ward.start(per_minute=60)
    assert group_replays(ward.house) == [(FINISHED, 2, 0), (FINISHED, 3, 0)]


def test_a_cancelled_one_replays_no_more(ward: Ward) -> None:
    ward.fill(4)
    group_id = ward.start(per_minute=1)
    runtime, now = ward.house.runtime, ward.house.clock()
    assert cancel_group_replay(runtime, ward.boss, group_id, now)["state"] == CANCELLED
    assert cancel_group_replay(runtime, ward.boss, group_id, now)["state"] == CANCELLED
    ward.house.clock.advance(minutes=5)
    assert ward.tick() == 0
    assert ward.statuses().count("replayed") == 1


def test_it_can_be_cancelled_in_the_middle_of_a_slice(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ward.fill(4)
    real, taken = flow.replay_dead_letter, itertools.count(1)

    def cancelled_meanwhile(*parts: object, **more: object) -> ReplayResult:
        if next(taken) == 2:
            ward.house.sql("UPDATE payments.group_replays SET state = 'cancelled', finished_at = now()")
        return real(*parts, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(flow, "replay_dead_letter", cancelled_meanwhile)
    ward.start(per_minute=60)
    assert group_replays(ward.house) == [(CANCELLED, 2, 0)]
    assert ward.statuses().count("replayed") == 2


def test_a_group_is_replayed_once_at_a_time(ward: Ward) -> None:
    ward.fill(3)
    group_id = ward.start(per_minute=1)
    with pytest.raises(Conflict) as refusal:
        ward.start(per_minute=600)
    assert refusal.value.facts["group_replay_id"] == str(group_id)
    assert group_replays(ward.house) == [(RUNNING, 1, 0)]


def test_each_of_an_unclassified_group_is_vouched_for_on_the_record(ward: Ward) -> None:
    (first,) = ward.fill(1)
    ward.start(per_minute=1)
    actor = ward.boss.actor
    assert steps(ward.house, first)[1:] == [
        ("made_ready", "ready_for_replay", actor),
        ("replay_began", "ready_for_replay", actor),
        ("replayed", "replayed", actor),
    ]


def test_what_somebody_works_on_or_replays_by_itself_is_left_alone(ward: Ward) -> None:
    letters = ward.fill(4)
    class_id = add_class(ward.house)
    for each, status in ((letters[0], "investigating"), (letters[1], "auto_replay_scheduled")):
        ward.house.sql(
            "UPDATE payments.dead_letters SET status = :s, error_class_id = :c,"
            " replay_at = CASE WHEN :s = 'investigating' THEN NULL ELSE CAST(:now AS timestamptz) END WHERE id = :id",
            s=status,
            c=class_id,
            now=ward.house.clock.now,
            id=each,
        )
    ward.start(per_minute=60)
    assert ward.statuses() == ["investigating", "auto_replay_scheduled", "replayed", "replayed"]
    with pytest.raises(NotFound):
        ward.start(per_minute=60)


def test_one_in_other_hands_is_passed_over_and_counted(ward: Ward) -> None:
    letters = ward.fill(3)
    ward.house.sql(
        "UPDATE payments.dead_letters SET status = 'ready_for_replay', replays = 1, replay_lease_until = :until"
        " WHERE id = :id",
        until=ward.house.clock.now.replace(year=2100),
        id=letters[1],
    )
    ward.start(per_minute=60)
    assert group_replays(ward.house) == [(FINISHED, 2, 1)]
    assert ward.statuses() == ["replayed", "ready_for_replay", "replayed"]


def test_a_slice_without_time_leaves_the_rest_to_the_next(ward: Ward) -> None:
    ward.fill(3)
    left = iter([1.0, 0.0])
    ward.start(per_minute=60, time_left=lambda: next(left))
    assert group_replays(ward.house) == [(RUNNING, 1, 0)]
    ward.house.clock.advance(seconds=SLICE_SECONDS)
    assert ward.tick() == 2
    assert group_replays(ward.house) == [(FINISHED, 3, 0)]


@pytest.mark.parametrize("step", ["_take_next", "replay_dead_letter", "_record"])
def test_a_slice_that_dies_is_taken_up_where_it_was_a_minute_later(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    ward.fill(3)
    real, calls = getattr(flow, step), itertools.count(1)

    def dies(*parts: object, **more: object) -> object:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return real(*parts, **more)

    with monkeypatch.context() as patch:
        patch.setattr(flow, step, dies)
        with pytest.raises(KeyboardInterrupt):
            ward.start(per_minute=60)
    assert ward.tick() == 0, "the minute of the slice that died is not over"
    ward.house.clock.advance(seconds=SLICE_SECONDS)
    ward.tick()
    assert [state for state, _, _ in group_replays(ward.house)] == [FINISHED]
    assert set(ward.statuses()) == {"replayed"}
    assert ward.house.violations() == []


def test_trouble_of_one_group_does_not_keep_the_others_waiting(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ward.fill(2)
    ward.start(per_minute=1)
    other = put_letter(ward.house, fingerprint="feed0001", status=DeadLetterStatus.PENDING_REVIEW)
    start_group_replay(ward.house.runtime, ward.boss, "feed0001", Rate(1, 5), ward.house.clock, lambda: 0.0)
    real = flow._advance

    def ill(runtime: object, organization_id: object, group_replay_id: UUID, *rest: object) -> int:
        if group_replay_id == first:
            raise RuntimeError("ill")
        return real(runtime, organization_id, group_replay_id, *rest)  # type: ignore[arg-type]

    first = ward.house.rows("SELECT id FROM payments.group_replays ORDER BY id")[0]["id"]
    monkeypatch.setattr(flow, "_advance", ill)
    ward.house.clock.advance(minutes=2)
    ward.tick()
    assert letter(ward.house, other)["replays"] == 1
    assert [state for state, _, _ in group_replays(ward.house)] == [RUNNING, STOPPED]


def test_a_replay_by_hand_meanwhile_is_no_trouble(ward: Ward) -> None:
    add_class(ward.house)
    letters = ward.fill(3)
    ward.start(per_minute=1)
    assert replay(ward.house, letters[1]) == ReplayResult(DeadLetterStatus.REPLAYED)
    ward.house.clock.advance(minutes=1)
    assert ward.tick() == 1
    ward.house.clock.advance(minutes=1)
    ward.tick()
    assert group_replays(ward.house) == [(FINISHED, 2, 0)]
