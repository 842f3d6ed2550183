"""Giving up events and replaying dead letters, killed at every point: nothing is lost, nothing happens twice."""

from collections.abc import Callable
from uuid import UUID

import boto3
import pytest

from holdfast.flows.dead_letters import replay_dead_letter as replaying
from holdfast.flows.money.apply_payment_event import LEASE_SECONDS
from holdfast.payments.retry_policy import RETRIES_MAX
from holdfast.values.errors import Conflict
from prove import steps
from prove.trap import Deed, Trap
from tests.faults.gauntlet import Gauntlet, Scene
from tests.faults.production import Production
from tests.faults.scenes import ends, pay_unheard, stored_event
from tests.faults.steps import keep_dead_letters
from tests.faults.victims import Victims
from tests.flows.dead_lettering import (
    add_class,
    add_healing_class,
    break_events,
    class_record,
    dead_letter_of,
    mend_events,
    replay,
)
from tests.house import House

AFTER_THE_CLAIM = 6
SETTLE = "before sql SELECT checkout.settle($1, CAST($2 AS jsonb)) + COMMIT"


@pytest.fixture
def stocked(house: House) -> House:
    house.add_variant(stock=1_000)
    topic = boto3.client("sns").create_topic(Name="alerts")["TopicArn"]
    for runtime in (house.runtime, house.system):
        object.__setattr__(runtime.settings, "alert_topic_arn", topic)
    return house


def broken_event(house: House) -> tuple[str, UUID]:
    """Store an event that has one attempt left and will fail it; return the order's id and the event's."""
    order_id, webhook = pay_unheard(house, {"TEE": 1})
    event_id = stored_event(house, webhook)
    break_events(house, only=webhook["id"])
    house.sql("UPDATE payments.payment_events SET attempts = :n WHERE id = :id", n=RETRIES_MAX, id=event_id)
    return order_id, event_id


def buried(house: House) -> tuple[str, UUID, UUID]:
    """Make a dead letter whose cause is cured; return the ids of its order, of its event and its own."""
    order_id, event_id = broken_event(house)
    steps.apply(house.runtime, house.clock, house.organization_id, event_id)
    mend_events(house)
    return order_id, event_id, dead_letter_of(house, event_id)["id"]


def replayed_by_hand(house: House, event_id: UUID) -> list[str]:
    """Make the dead letter ready and replay it by hand; return what is then not as it must be."""
    mend_events(house)
    letter = dead_letter_of(house, event_id)
    house.sql("UPDATE payments.dead_letters SET status = 'ready_for_replay' WHERE id = :id", id=letter["id"])
    ended = replay(house, letter["id"]).status
    return [] if ended == "replayed" else [f"the replay by hand ended {ended}"]


def successes(house: House, class_id: UUID) -> Callable[[], int]:
    before = class_record(house, class_id)["successful_replays"]
    return lambda: int(class_record(house, class_id)["successful_replays"] - before)


def burial(house: House) -> Scene:
    """An event that cannot succeed is at its last attempt."""
    order_id, event_id = broken_event(house)

    def it_is_a_dead_letter_once() -> list[str]:
        found = house.rows(
            "SELECT e.state, d.status, d.alerted_at, (SELECT count(*) FROM payments.dead_letter_history h"
            "  WHERE h.dead_letter_id = d.id) AS steps"
            " FROM payments.payment_events e LEFT JOIN payments.dead_letters d ON d.event_id = e.id WHERE e.id = :id",
            id=event_id,
        )
        wrong = []
        if [(row["state"], row["status"], row["steps"]) for row in found] != [
            ("dead_lettered", "pending_classification", 1)
        ]:
            wrong.append(f"the event is {found}")
        if any(row["alerted_at"] is None for row in found):
            wrong.append("nobody was called")
        return [*wrong, *replayed_by_hand(house, event_id), *ends(house, order_id, "confirmed")]

    return Scene(steps.apply, (house.organization_id, event_id), check=it_is_a_dead_letter_once)


def replay_by_a_person(house: House, class_id: UUID) -> Scene:
    """Somebody replays a dead letter, and again when no answer came."""
    order_id, event_id, dead_letter_id = buried(house)
    counted = successes(house, class_id)

    def again() -> None:
        house.clock.advance(seconds=replaying.LEASE_SECONDS)
        if dead_letter_of(house, event_id)["status"] == "pending_classification":  # it failed for a new reason
            house.sql("UPDATE payments.dead_letters SET status = 'ready_for_replay' WHERE id = :id", id=dead_letter_id)
        try:
            replay(house, dead_letter_id)
        except Conflict:
            return

    def it_was_replayed_once() -> list[str]:
        letter = dead_letter_of(house, event_id)
        wrong = [] if letter["status"] == "replayed" else [f"the dead letter is {letter['status']}"]
        # A lost connection is a failure for a new reason, so what is replayed after it belongs to no class.
        if counted() != (letter["error_class_id"] == class_id):
            wrong.append(f"its class counts {counted()} successes")
        return [*wrong, *ends(house, order_id, "confirmed")]

    return Scene(steps.replay, (house.organization_id, dead_letter_id), again=again, check=it_was_replayed_once)


def replay_by_itself(house: House, class_id: UUID) -> Scene:
    """The schedule replays a dead letter, which goes to a person if the process dies."""
    house.sql("UPDATE payments.error_classes SET cooldown_until = NULL, failed_replays = 0")
    order_id, event_id, _ = buried(house)
    counted = successes(house, class_id)
    house.clock.advance(seconds=301)

    def it_was_replayed_once_or_is_a_persons() -> list[str]:
        letter = dead_letter_of(house, event_id)
        if letter["status"] == "replayed":
            wrong = [] if counted() == 1 else [f"its class counts {counted()} successes"]
            return [*wrong, *ends(house, order_id, "confirmed")]
        wrong = []
        if letter["status"] != "pending_classification" or letter["replay_lease_until"] is not None:
            wrong.append(f"the dead letter is {dict(letter)}")
        record = class_record(house, class_id)
        if (counted(), record["failed_replays"], record["cooldown_until"] is None) != (0, 1, False):
            wrong.append(f"its class is {dict(record)}")
        return [*wrong, *replayed_by_hand(house, event_id), *ends(house, order_id, "confirmed")]

    return Scene(keep_dead_letters, as_system=True, check=it_was_replayed_once_or_is_a_persons)


@pytest.mark.parametrize("deed", [Deed.KILL_PROCESS, Deed.END_CONNECTION])
def test_an_event_given_up_by_a_worker_that_dies_at_any_point_is_a_dead_letter_once(
    stocked: House, production: Production, victims: Victims, deed: Deed
) -> None:
    survey = Gauntlet(production, victims).run(lambda: burial(stocked), deed)
    survey.assert_clean(points_min=12, through=("INSERT INTO payments.dead_letters", "aws Publish"))


@pytest.mark.parametrize("deed", [Deed.KILL_PROCESS, Deed.END_CONNECTION])
def test_a_replay_that_dies_at_any_point_frees_its_dead_letter_and_counts_once(
    stocked: House, production: Production, victims: Victims, deed: Deed
) -> None:
    class_id = add_class(stocked)
    survey = Gauntlet(production, victims).run(lambda: replay_by_a_person(stocked, class_id), deed)
    survey.assert_clean(points_min=12, through=("payments.claim_event", "checkout.settle", "SET status = 'replayed'"))


def test_an_auto_replay_that_dies_at_any_point_is_done_once_or_given_to_a_person(
    stocked: House, production: Production, victims: Victims
) -> None:
    class_id = add_healing_class(stocked, successful_replays=90)
    survey = Gauntlet(production, victims).run(lambda: replay_by_itself(stocked, class_id))
    survey.assert_clean(points_min=14, through=("payments.claim_event", "SET status = 'replayed'", "dlq_metrics_daily"))


def test_an_event_that_kills_its_process_every_time_ends_as_a_dead_letter(
    stocked: House, production: Production, victims: Victims
) -> None:
    order_id, webhook = pay_unheard(stocked, {"TEE": 1})
    event_id = stored_event(stocked, webhook)
    arguments = (stocked.organization_id, event_id)
    for _ in range(RETRIES_MAX + 1):
        remains = victims.send(stocked.runtime, steps.apply, arguments, Trap(AFTER_THE_CLAIM))
        assert (remains.signal, remains.trapped_at) == (9, SETTLE)
        stocked.clock.advance(seconds=LEASE_SECONDS)
    assert victims.send(stocked.runtime, steps.apply, arguments).result == "dead_lettered"
    letter = dead_letter_of(stocked, event_id)
    assert letter["failure_reason"] == "ProcessDied: every attempt ended with its process"
    assert (letter["status"], letter["priority"]) == ("pending_classification", "critical")
    assert letter["alerted_at"] is not None
    production.until_quiet()
    assert ends(stocked, order_id, "confirmed") == []  # the watchdog asked the gateway
    assert stocked.violations() == []
