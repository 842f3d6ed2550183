"""Many want to replay the same dead letter, in one process and in several."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import pytest

from holdfast.flows.dead_letters.auto_replay import auto_replay
from holdfast.flows.dead_letters.classify_dead_letters import reclassify_waiting
from prove import steps
from tests.faults.production import Production
from tests.faults.settings import HEAVY
from tests.faults.victims import Nursery, Victims
from tests.flows.dead_lettering import add_class, add_healing_class, buried, class_record, dead_letters, mend_events
from tests.house import House
from tests.races.crowd import crowd_of, rush, tally

ROUNDS: Final = 50 if HEAVY else 5
_DISCARD_WHAT_WAITS: Final = """
    WITH discarded AS (
        UPDATE payments.dead_letters
           SET status = 'discarded', resolution_notes = 'n', replay_at = NULL, resolved_at = now()
         WHERE resolved_at IS NULL RETURNING organization_id, id)
    INSERT INTO payments.dead_letter_history
        (organization_id, dead_letter_id, sequence, action, to_status, changed_by, created_at)
    SELECT d.organization_id, d.id, 1 + max(h.sequence), 'discarded', 'discarded', 'test', now()
      FROM discarded d JOIN payments.dead_letter_history h ON h.dead_letter_id = d.id GROUP BY d.organization_id, d.id
"""


@pytest.fixture
def stocked(house: House) -> House:
    house.add_variant(stock=1_000)
    return house


def test_one_dead_letter_replayed_by_four_threads_is_replayed_once(stocked: House) -> None:
    class_id = add_class(stocked)
    with crowd_of(stocked, 4) as runtime:
        for number in range(1, ROUNDS + 1):
            letter = buried(stocked)
            mend_events(stocked)
            replay = partial(steps.replay, runtime, stocked.clock, stocked.organization_id, letter["id"])
            outcomes = rush([replay] * 4)
            assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 3, outcomes
            assert tally(outcomes)["Conflict"] == 3, outcomes
            assert class_record(stocked, class_id)["successful_replays"] == number
            assert stocked.value("SELECT replays FROM payments.dead_letters WHERE id = :id", id=letter["id"]) == 1
    assert stocked.violations() == []


def test_one_dead_letter_replayed_by_two_processes_is_replayed_once(stocked: House, production: Production) -> None:
    class_id = add_class(stocked)
    with Nursery() as one, Nursery() as other, ThreadPoolExecutor(2) as threads:
        processes = [
            Victims(nursery, stocked.secret_reference, production.bell_url, stocked.clock) for nursery in (one, other)
        ]
        for number in range(1, ROUNDS + 1):
            letter = buried(stocked)
            mend_events(stocked)
            arguments = (stocked.organization_id, letter["id"])
            sent = [threads.submit(each.send, stocked.runtime, steps.replay, arguments) for each in processes]
            errors = [remains.error for remains in (each.result() for each in sent)]
            assert errors.count(None) == 1, errors
            assert all(error is None or "Conflict" in error for error in errors), errors
            assert class_record(stocked, class_id)["successful_replays"] == number
    assert dead_letters(stocked) == [("replayed", "critical", "ledger")] * ROUNDS
    assert stocked.violations() == []


def test_schedules_people_and_changes_of_the_classes_at_once_lose_nothing(stocked: House) -> None:
    """Some replays succeed and one fails. Every dead letter ends in one place, and every replay is counted."""
    for _ in range(ROUNDS):
        stocked.sql("UPDATE payments.error_classes SET active = false")
        stocked.sql(_DISCARD_WHAT_WAITS)
        class_id = add_healing_class(stocked, f"class {stocked.clock.now.isoformat()}", successful_replays=90)
        letters = [buried(stocked) for _ in range(3)]
        stocked.sql(
            "DELETE FROM public.breakage WHERE gateway_event_id <>"
            " (SELECT gateway_event_id FROM payments.payment_events WHERE id = :id)",
            id=letters[0]["event_id"],
        )
        with crowd_of(stocked, 3, as_system=True) as system, crowd_of(stocked, 2) as app:
            change = partial(
                app.database.transact,
                stocked.organization_id,
                reclassify_waiting,
                now=stocked.clock(),
                actor="staff:a-person",
            )
            jobs: list[Callable[[], object]] = [partial(auto_replay, system, stocked.clock)] * 3
            outcomes = rush([*jobs, change, change])
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)], outcomes
        record = class_record(stocked, class_id)
        ended = stocked.rows(
            "SELECT status, replays, replay_lease_until FROM payments.dead_letters WHERE id = ANY (:ids)",
            ids=[letter["id"] for letter in letters],
        )
        replayed = [row for row in ended if row["status"] == "replayed"]
        failed = [row for row in ended if row["status"] == "pending_review" and row["replays"] == 1]
        assert {row["status"] for row in ended} <= {"replayed", "pending_review"}
        assert all(row["replay_lease_until"] is None and row["replays"] <= 1 for row in ended)
        assert (record["successful_replays"] - 90, record["failed_replays"]) == (len(replayed), len(failed))
        assert len(failed) == 1
        assert record["cooldown_until"] is not None
        mend_events(stocked)
        stocked.clock.advance(days=2)
    assert stocked.violations() == []
