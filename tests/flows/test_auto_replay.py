"""Dead letters that heal themselves are replayed when due, at a bounded rate; a failure stops the rest of its class."""

from uuid import UUID

import pytest

from holdfast.flows.dead_letters import auto_replay as flow
from holdfast.flows.dead_letters import replay_dead_letter as replaying
from holdfast.flows.dead_letters.auto_replay import AutoReplayed, auto_replay
from tests.flows.actions import at_once, status
from tests.flows.dead_lettering import (
    add_healing_class,
    break_events,
    buried,
    class_record,
    dead_letters,
    mend_events,
    paid_unheard,
)
from tests.house import House


@pytest.fixture
def stocked(house: House) -> House:
    house.add_variant(stock=50)
    return house


def healing(house: House, number: int) -> UUID:
    """Make dead letters of a class that replays by itself, all due now, and return the class."""
    class_id = add_healing_class(house)
    for _ in range(number):
        buried(house)
    return class_id


def test_what_is_due_heals_itself_and_counts_for_its_class(stocked: House) -> None:
    class_id = add_healing_class(stocked)
    letter = buried(stocked)
    mend_events(stocked)
    stocked.clock.now = letter["created_at"]
    assert auto_replay(stocked.system, stocked.clock) == AutoReplayed(0, 0, 0)
    stocked.clock.now = letter["replay_at"]
    assert auto_replay(stocked.system, stocked.clock) == AutoReplayed(1, 0, 0)
    assert auto_replay(stocked.system, stocked.clock) == AutoReplayed(0, 0, 0)
    assert class_record(stocked, class_id)["successful_replays"] == 11
    assert status(stocked, letter["order_id"]) == "confirmed"
    assert stocked.violations() == []


def test_the_first_that_fails_stops_its_class(stocked: House) -> None:
    class_id = healing(stocked, 3)
    assert auto_replay(stocked.system, stocked.clock) == AutoReplayed(0, 1, 0)
    assert class_record(stocked, class_id)["failed_replays"] == 1
    assert dead_letters(stocked) == [("pending_review", "critical", "ledger")] * 3


def test_a_class_that_may_not_any_more_gives_its_dead_letters_to_people(stocked: House) -> None:
    class_id = healing(stocked, 2)
    mend_events(stocked)
    stocked.sql("UPDATE payments.error_classes SET auto_replay_enabled = false WHERE id = :id", id=class_id)
    assert auto_replay(stocked.system, stocked.clock) == AutoReplayed(0, 0, 2)
    assert dead_letters(stocked) == [("pending_review", "critical", "ledger")] * 2


def test_a_run_replays_a_bounded_number_and_no_class_starves_another(
    stocked: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "REPLAYS_OF_CLASS_MAX", 2)
    healing(stocked, 3)
    add_healing_class(stocked, "vault", match_order=1, failure_code_pattern="vault%")
    event = paid_unheard(stocked)
    break_events(stocked, "vault_locked", only=event["gateway_event_id"])
    for _ in range(7):
        stocked.work()
        stocked.clock.advance(minutes=9)
    mend_events(stocked)
    assert auto_replay(stocked.system, stocked.clock, lambda: 0.0) == AutoReplayed(0, 0, 0)
    assert auto_replay(stocked.system, stocked.clock) == AutoReplayed(3, 0, 0)
    monkeypatch.setattr(flow, "REPLAYS_MAX", 0)
    assert auto_replay(stocked.system, stocked.clock) == AutoReplayed(0, 0, 0)
    monkeypatch.setattr(flow, "REPLAYS_MAX", 1)
    assert auto_replay(stocked.system, stocked.clock) == AutoReplayed(1, 0, 0)


def test_two_runs_at_once_replay_each_dead_letter_once(stocked: House) -> None:
    class_id = healing(stocked, 3)
    mend_events(stocked)

    def run() -> AutoReplayed:
        return auto_replay(stocked.system, stocked.clock)

    assert sum(each.succeeded for each in at_once(run, run)) == 3
    assert class_record(stocked, class_id)["successful_replays"] == 13
    assert stocked.violations() == []


def test_one_whose_replay_died_is_given_to_people_by_the_next_run(stocked: House) -> None:
    class_id = healing(stocked, 1)
    letter = stocked.rows("SELECT id FROM payments.dead_letters")[0]
    with stocked.system.database.transaction(stocked.organization_id, now=stocked.clock(), actor=flow.ACTOR) as opened:
        replaying._claim(opened, letter["id"], automatic=True)
    assert auto_replay(stocked.system, stocked.clock) == AutoReplayed(0, 0, 0)
    stocked.clock.advance(seconds=replaying.LEASE_SECONDS)
    stocked.sql("UPDATE payments.error_classes SET auto_replay_enabled = false WHERE id = :id", id=class_id)
    assert auto_replay(stocked.system, stocked.clock) == AutoReplayed(0, 1, 0)
    assert dead_letters(stocked) == [("pending_classification", "critical", None)]
