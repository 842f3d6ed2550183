"""A change of the classes reaches every dead letter that waits, and none that somebody is working on."""

import pytest

from holdfast.flows.dead_letters import classify_dead_letters as flow
from holdfast.flows.dead_letters.classify_dead_letters import Reclassified, reclassify_waiting
from tests.flows.dead_lettering import add_class, add_healing_class, buried, dead_letter_of, dead_letters, steps
from tests.house import House


@pytest.fixture
def stocked(house: House) -> House:
    house.add_variant(stock=50)
    return house


def reclassify(house: House) -> Reclassified:
    runtime = house.runtime
    return runtime.database.transact(
        house.organization_id, reclassify_waiting, now=house.clock(), actor="staff:a-person"
    )


def test_those_that_wait_follow_the_classes_and_it_is_on_the_record(stocked: House) -> None:
    letter = buried(stocked)
    class_id = add_class(stocked)
    assert reclassify(stocked) == Reclassified(2, 1)  # the walk meets it again in its new status
    after = dead_letter_of(stocked, letter["event_id"])
    assert (after["status"], after["error_class_id"]) == ("pending_review", class_id)
    assert after["version"] == letter["version"] + 1
    assert steps(stocked, letter["id"])[-1] == ("classified", "pending_review", "staff:a-person")
    assert reclassify(stocked) == Reclassified(1, 0)
    stocked.sql("UPDATE payments.error_classes SET active = false")
    reclassify(stocked)
    assert dead_letters(stocked) == [("pending_classification", "critical", None)]


def test_a_class_that_earned_it_schedules_those_that_wait_and_one_that_lost_it_takes_them_back(stocked: House) -> None:
    letter = buried(stocked)
    add_healing_class(stocked)
    reclassify(stocked)
    after = dead_letter_of(stocked, letter["event_id"])
    assert (after["status"], (after["replay_at"] - stocked.clock.now).total_seconds()) == ("auto_replay_scheduled", 300)
    assert steps(stocked, letter["id"])[-1][0] == "auto_replay_scheduled"
    stocked.clock.advance(seconds=10)
    assert reclassify(stocked).changed == 0
    assert dead_letter_of(stocked, letter["event_id"])["replay_at"] == after["replay_at"]
    stocked.sql("UPDATE payments.error_classes SET auto_replay_enabled = false")
    reclassify(stocked)
    assert dead_letters(stocked) == [("pending_review", "critical", "ledger")]


@pytest.mark.parametrize(
    "change",
    [
        "status = 'investigating'",
        "status = 'ready_for_replay'",
        "status = 'replayed', resolved_at = now()",
        "replay_lease_until = now() + interval '1 day'",
    ],
)
def test_those_that_somebody_works_on_stay_as_they_are(stocked: House, change: str) -> None:
    buried(stocked)
    stocked.sql(f"UPDATE payments.dead_letters SET {change}")
    add_class(stocked)
    before = dead_letters(stocked)
    assert reclassify(stocked) == Reclassified(0, 0)
    assert dead_letters(stocked) == before


@pytest.mark.parametrize("change", ["assigned_to = 'staff:a-person'", "replays = 1"])
def test_what_is_a_persons_is_classified_and_not_scheduled(stocked: House, change: str) -> None:
    buried(stocked)
    stocked.sql(f"UPDATE payments.dead_letters SET {change}")
    add_healing_class(stocked)
    reclassify(stocked)
    assert dead_letters(stocked) == [("pending_review", "critical", "ledger")]


def test_it_goes_batch_by_batch_through_all_of_them(stocked: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "BATCH_MAX_ROWS", 2)
    for _ in range(5):
        buried(stocked)
    add_healing_class(stocked)
    assert reclassify(stocked).changed == 5
    assert dead_letters(stocked) == [("auto_replay_scheduled", "critical", "ledger")] * 5
