"""A replay runs the event once more through the same processor, counts for its class, and never runs twice at once."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from holdfast.flows.dead_letters import replay_dead_letter as flow
from holdfast.flows.dead_letters.replay_dead_letter import ReplayResult
from holdfast.flows.dead_letters.work_dead_letters import Step, take_step
from holdfast.payments.dead_letters import DeadLetterAction
from holdfast.values.errors import Conflict, NotFound, TransitionRefused
from tests.flows.actions import at_once, last_payment, status
from tests.flows.dead_lettering import (
    PERSON,
    add_class,
    add_healing_class,
    break_events,
    buried,
    class_record,
    dead_letter_of,
    event_of,
    mend_events,
    replay,
    some_id,
    steps,
)
from tests.flows.letters import manager
from tests.house import House

REASON = "ConstraintViolated: ledger_closed: The ledger is closed"
SCHEDULE = "system:dlq_retries"


@pytest.fixture
def stocked(house: House) -> House:
    house.add_variant(stock=50)
    return house


def set_status(house: House, dead_letter_id: UUID, status: str) -> None:
    house.sql(
        "UPDATE payments.dead_letters SET status = :s, replay_at = NULL WHERE id = :id", s=status, id=dead_letter_id
    )


def counters(house: House, class_id: UUID) -> tuple[int, int]:
    record = class_record(house, class_id)
    return record["successful_replays"], record["failed_replays"]


def now_of(house: House, letter: Any) -> Any:
    return dead_letter_of(house, letter["event_id"])


def test_a_replay_that_succeeds_settles_the_order_and_ends_the_dead_letter(stocked: House) -> None:
    class_id = add_class(stocked)
    letter = buried(stocked)
    mend_events(stocked)
    assert replay(stocked, letter["id"]) == ReplayResult("replayed")
    assert status(stocked, letter["order_id"]) == "confirmed"
    assert last_payment(stocked, letter["order_id"])["status"] == "captured"
    ended = now_of(stocked, letter)
    assert (ended["status"], ended["resolved_at"], ended["replays"]) == ("replayed", stocked.clock.now, 1)
    assert (ended["replay_lease_until"], ended["was_auto_replayed"]) == (None, False)
    event = stocked.rows("SELECT state, attempts FROM payments.payment_events WHERE id = :id", id=letter["event_id"])[0]
    assert event == {"state": "processed", "attempts": 7}
    assert counters(stocked, class_id) == (1, 0)
    assert steps(stocked, letter["id"])[1:] == [
        ("replay_began", "pending_review", PERSON),
        ("replayed", "replayed", PERSON),
    ]
    assert stocked.violations() == []


def test_a_replay_that_fails_is_a_persons_again_and_its_bookkeeping_survives_the_rollback(stocked: House) -> None:
    class_id = add_class(stocked)
    letter = buried(stocked)
    mend_events(stocked)
    break_events(stocked, "vault_locked")
    result = replay(stocked, letter["id"])
    assert result == ReplayResult("pending_review", "ConstraintViolated: vault_locked: The ledger is closed")
    after = now_of(stocked, letter)
    assert (after["failure_reason"], after["failure_code"]) == (result.failure_reason, "vault_locked")
    assert after["fingerprint"] != letter["fingerprint"]
    assert (after["replays"], after["attempts"], after["replay_lease_until"]) == (1, 7, None)
    event = stocked.rows("SELECT state, attempts, last_error FROM payments.payment_events")
    assert {"state": "dead_lettered", "attempts": 7, "last_error": result.failure_reason} in event
    assert counters(stocked, class_id) == (0, 1)
    assert class_record(stocked, class_id)["cooldown_until"] is None
    assert status(stocked, letter["order_id"]) == "payment_processing"
    assert steps(stocked, letter["id"])[-1] == ("replay_failed", "pending_review", PERSON)


def test_what_fails_for_another_reason_is_classified_anew(stocked: House) -> None:
    class_id = add_class(stocked, failure_code_pattern="ledger%")
    letter = buried(stocked)
    mend_events(stocked)
    break_events(stocked, "vault_locked")
    assert replay(stocked, letter["id"]).status == "pending_classification"
    assert now_of(stocked, letter)["error_class_id"] is None
    assert counters(stocked, class_id) == (0, 1)


@pytest.mark.parametrize(
    ("before", "allowed"),
    [
        ("pending_classification", False),
        ("investigating", False),
        ("pending_review", True),
        ("ready_for_replay", True),
    ],
)
def test_a_person_replays_from_review_or_when_it_is_ready(stocked: House, before: str, allowed: bool) -> None:
    letter = buried(stocked)
    mend_events(stocked)
    set_status(stocked, letter["id"], before)
    if allowed:
        assert replay(stocked, letter["id"]).status == "replayed"
        return
    with pytest.raises(TransitionRefused) as refused:
        replay(stocked, letter["id"])
    assert refused.value.facts == {"current": before, "allowed": ["pending_review", "ready_for_replay"]}
    assert now_of(stocked, letter)["replays"] == 0


def test_what_is_resolved_or_not_there_is_not_replayed(stocked: House) -> None:
    add_class(stocked)
    letter = buried(stocked)
    mend_events(stocked)
    replay(stocked, letter["id"])
    with pytest.raises(Conflict):
        replay(stocked, letter["id"])
    with pytest.raises(NotFound):
        replay(stocked, some_id())


def test_a_replay_in_other_hands_is_refused_until_its_lease_is_over(stocked: House) -> None:
    """The other replay died with its process, and nobody has to free the dead letter."""
    add_class(stocked)
    letter = buried(stocked)
    mend_events(stocked)
    with stocked.runtime.database.transaction(stocked.organization_id, now=stocked.clock(), actor=PERSON) as opened:
        flow._claim(opened, letter["id"], automatic=False)
    with pytest.raises(Conflict):
        replay(stocked, letter["id"])
    stocked.clock.advance(seconds=flow.LEASE_SECONDS)
    assert replay(stocked, letter["id"]).status == "replayed"
    assert now_of(stocked, letter)["replays"] == 2


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_replay_that_lost_its_lease_changes_nothing(stocked: House, succeeds: bool) -> None:
    class_id = add_class(stocked)
    letter = buried(stocked)
    if succeeds:
        mend_events(stocked)
    with stocked.runtime.database.transaction(stocked.organization_id, now=stocked.clock(), actor=PERSON) as opened:
        late = flow._claim(opened, letter["id"], automatic=False)
    stocked.clock.advance(seconds=flow.LEASE_SECONDS)
    assert replay(stocked, letter["id"]).status == ("replayed" if succeeds else "pending_review")
    before = (now_of(stocked, letter), counters(stocked, class_id), steps(stocked, letter["id"]))
    with (
        pytest.raises(Conflict),
        stocked.runtime.database.transaction(stocked.organization_id, now=stocked.clock(), actor=PERSON) as opened,
    ):
        flow._resolve(opened, late)
    with pytest.raises(Conflict):
        flow._fail(stocked.runtime, stocked.organization_id, late, ValueError(), stocked.clock, PERSON)
    assert (now_of(stocked, letter), counters(stocked, class_id), steps(stocked, letter["id"])) == before


def test_an_event_that_was_processed_meanwhile_just_ends_its_dead_letter(stocked: House) -> None:
    class_id = add_class(stocked)
    letter = buried(stocked)
    stocked.sql("UPDATE payments.dead_letters SET status = 'ready_for_replay'")
    mend_events(stocked)
    stocked.sql("UPDATE payments.payment_events SET state = 'processed' WHERE id = :id", id=letter["event_id"])
    assert replay(stocked, letter["id"]) == ReplayResult("replayed")
    assert counters(stocked, class_id) == (1, 0)


def test_a_payment_that_became_known_through_other_news_makes_the_replay_succeed(stocked: House) -> None:
    from tests.flows.test_apply_payment_event import stranger  # noqa: PLC0415 -- a webhook without our reference

    letter_of = buried(stocked)
    (webhook,) = stocked.webhooks("payment_intent.succeeded", order_id=letter_of["order_id"])
    intent_id = webhook["data"]["object"]["id"]
    stocked.sql("UPDATE payments.payments SET gateway_transaction_id = NULL")
    unmatched = stranger(webhook, intent_id)
    mend_events(stocked)
    stocked.deliver(unmatched)
    stocked.clock.advance(minutes=5)
    assert stocked.work() == ["dead_lettered"]
    event = event_of(stocked, unmatched["id"])
    letter = dead_letter_of(stocked, event["id"])
    stocked.sql("UPDATE payments.dead_letters SET status = 'ready_for_replay' WHERE id = :id", id=letter["id"])
    assert replay(stocked, letter["id"]) == ReplayResult(
        "pending_classification", f"PaymentUnknown: no payment here is {intent_id}"
    )
    stocked.sql("UPDATE payments.payments SET gateway_transaction_id = :id", id=intent_id)
    stocked.sql("UPDATE payments.dead_letters SET status = 'ready_for_replay' WHERE id = :id", id=letter["id"])
    assert replay(stocked, letter["id"]) == ReplayResult("replayed")
    assert now_of(stocked, {"event_id": event["id"]})["payment_id"] is not None
    assert status(stocked, letter_of["order_id"]) == "confirmed"
    assert stocked.violations() == []


def test_of_many_replays_at_once_one_runs(stocked: House) -> None:
    class_id = add_class(stocked)
    letter = buried(stocked)
    mend_events(stocked)

    def try_it() -> str:
        try:
            return str(replay(stocked, letter["id"]).status)
        except Conflict:
            return "refused"

    assert sorted(at_once(*[try_it] * 4)) == ["refused"] * 3 + ["replayed"]
    assert counters(stocked, class_id) == (1, 0)
    assert now_of(stocked, letter)["replays"] == 1
    assert stocked.violations() == []


def test_a_person_may_discard_one_whose_replay_died_and_a_late_replay_then_changes_nothing(stocked: House) -> None:
    add_class(stocked)
    letter = buried(stocked)
    mend_events(stocked)
    with stocked.runtime.database.transaction(stocked.organization_id, now=stocked.clock(), actor=PERSON) as opened:
        late = flow._claim(opened, letter["id"], automatic=False)
    boss = manager(stocked)
    discard = Step(DeadLetterAction.DISCARDED, letter["id"], now_of(stocked, letter)["version"], note="paid by hand")
    with pytest.raises(Conflict):
        take_step(stocked.runtime, boss, discard, stocked.clock())
    stocked.clock.advance(seconds=flow.LEASE_SECONDS)
    assert take_step(stocked.runtime, boss, discard, stocked.clock())["status"] == "discarded"
    with (
        pytest.raises(Conflict),
        stocked.runtime.database.transaction(stocked.organization_id, now=stocked.clock(), actor=PERSON) as opened,
    ):
        flow._resolve(opened, late)
    assert now_of(stocked, letter)["status"] == "discarded"
    assert stocked.violations() == []


# --- by itself --------------------------------------------------------------------------------------------------------


def test_an_auto_replay_waits_for_its_time(stocked: House) -> None:
    class_id = add_healing_class(stocked, auto_replay_delay_seconds=86_400)
    letter = buried(stocked)
    mend_events(stocked)
    with pytest.raises(TransitionRefused):
        replay(stocked, letter["id"], automatic=True)
    stocked.clock.now = letter["replay_at"] - timedelta(seconds=1)
    with pytest.raises(TransitionRefused):
        replay(stocked, letter["id"], automatic=True)
    stocked.clock.advance(seconds=1)
    assert replay(stocked, letter["id"], automatic=True).status == "replayed"
    after = now_of(stocked, letter)
    assert (after["was_auto_replayed"], after["replay_at"]) == (True, None)
    assert counters(stocked, class_id) == (11, 0)
    assert steps(stocked, letter["id"])[-1] == ("replayed", "replayed", SCHEDULE)


def test_a_failed_auto_replay_cools_its_class_down_and_calls_people_to_all_that_were_scheduled(stocked: House) -> None:
    class_id = add_healing_class(stocked, successful_replays=90)
    failing, other = buried(stocked), buried(stocked)
    assert replay(stocked, failing["id"], automatic=True) == ReplayResult("pending_review", REASON)
    record = class_record(stocked, class_id)
    assert record["auto_replay_enabled"]
    assert record["cooldown_until"] == stocked.clock.now + timedelta(hours=24)
    assert counters(stocked, class_id) == (90, 1)
    for letter in (failing, other):
        after = now_of(stocked, letter)
        assert (after["status"], after["replay_at"]) == ("pending_review", None)
    assert steps(stocked, other["id"])[-1] == ("classified", "pending_review", SCHEDULE)
    assert buried(stocked)["status"] == "pending_review"
    stocked.clock.now = record["cooldown_until"]
    assert buried(stocked)["status"] == "auto_replay_scheduled"


def test_below_its_confidence_a_class_is_switched_off(stocked: House) -> None:
    class_id = add_healing_class(stocked, failed=1, min_confidence=90)
    letter = buried(stocked)
    replay(stocked, letter["id"], automatic=True)
    record = class_record(stocked, class_id)
    assert (record["auto_replay_enabled"], counters(stocked, class_id)) == (False, (10, 2))
    actions = stocked.rows("SELECT action, actor FROM operations.audit_log WHERE table_name = 'payments.error_classes'")
    assert [(row["action"], row["actor"]) for row in actions][-1] == ("update", SCHEDULE)


def test_a_failure_by_hand_counts_and_switches_off_but_cools_nothing_down(stocked: House) -> None:
    class_id = add_healing_class(stocked, failed=1, min_confidence=90)
    letter = buried(stocked)
    set_status(stocked, letter["id"], "ready_for_replay")
    assert replay(stocked, letter["id"]).status == "pending_review"
    record = class_record(stocked, class_id)
    assert (record["auto_replay_enabled"], record["cooldown_until"]) == (False, None)


def test_one_that_failed_a_replay_is_a_persons_whatever_its_class_has_earned(stocked: House) -> None:
    add_healing_class(stocked, successful_replays=90)
    letter = buried(stocked)
    set_status(stocked, letter["id"], "ready_for_replay")
    assert replay(stocked, letter["id"]).status == "pending_review"


def test_an_auto_replay_whose_class_may_not_any_more_is_refused(stocked: House) -> None:
    class_id = add_healing_class(stocked)
    letter = buried(stocked)
    stocked.sql("UPDATE payments.error_classes SET auto_replay_enabled = false WHERE id = :id", id=class_id)
    with pytest.raises(TransitionRefused):
        replay(stocked, letter["id"], automatic=True)
    assert now_of(stocked, letter)["replays"] == 0


def test_an_auto_replay_that_killed_its_process_counts_as_failed_and_is_not_tried_again(stocked: House) -> None:
    class_id = add_healing_class(stocked, successful_replays=90)
    letter = buried(stocked)
    mend_events(stocked)
    with stocked.system.database.transaction(stocked.organization_id, now=stocked.clock(), actor=SCHEDULE) as opened:
        flow._claim(opened, letter["id"], automatic=True)
    stocked.clock.advance(seconds=flow.LEASE_SECONDS)
    result = replay(stocked, letter["id"], automatic=True)
    assert result == ReplayResult("pending_classification", "ProcessDied: its auto-replay ended with its process")
    assert counters(stocked, class_id) == (90, 1)
    assert class_record(stocked, class_id)["cooldown_until"] is not None
    assert status(stocked, letter["order_id"]) == "payment_processing"
