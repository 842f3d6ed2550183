"""The workers behind the queues: a bad message never harms the good ones, and no message is lost."""

import json
import uuid
from typing import Any

import pytest

from tests.flows.actions import authenticate, ordered
from tests.flows.dead_lettering import buried
from tests.handlers.door import Door


def batch(door: Door, *bodies: Any) -> dict[str, Any]:
    records = [
        {"messageId": f"m-{number}", "body": body if isinstance(body, str) else json.dumps(body)}
        for number, body in enumerate(bodies)
    ]
    event = door.sample("payment_events/one_event")
    return {"Records": [event["Records"][0] | record for record in records]}


def failed(answer: dict[str, Any]) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def announced(door: Door, event_id: Any) -> dict[str, str]:
    return {"organization_id": str(door.house.organization_id), "payment_event_id": str(event_id)}


def waiting_event(door: Door) -> str:
    """Place an order that only Stripe's webhook says is paid, and return the id of that event, still unprocessed."""
    door.house.add_variant(stock=10)
    authenticate(door.house, ordered(door.house, token="pm_card_authenticationRequired"))
    (event,) = door.house.webhooks("payment_intent.succeeded")
    assert door.house.deliver(event) == 1
    return str(door.house.value("SELECT id FROM payments.payment_events WHERE state = 'pending'"))


def test_good_messages_are_done_and_bad_ones_come_again(door: Door) -> None:
    event_id = waiting_event(door)
    answer = door.invoke(
        "payment_events",
        batch(
            door,
            "{",
            announced(door, event_id),
            {"organization_id": "x", "payment_event_id": "y"},
            {},
            "null",
            [],
            announced(door, uuid.uuid4()),
        ),
    )
    assert failed(answer) == ["m-0", "m-2", "m-3", "m-4", "m-5"]
    assert door.house.value("SELECT state FROM payments.payment_events WHERE id = :id", id=event_id) == "processed"
    assert door.house.violations() == []


def test_a_message_that_comes_twice_is_done_once(door: Door) -> None:
    event_id = waiting_event(door)
    message = announced(door, event_id)
    assert failed(door.invoke("payment_events", batch(door, message, message, message))) == []
    assert door.house.value("SELECT attempts FROM payments.payment_events WHERE id = :id", id=event_id) == 1


def test_a_message_about_another_organization_touches_nothing(door: Door) -> None:
    event_id = waiting_event(door)
    message = {"organization_id": str(uuid.uuid4()), "payment_event_id": event_id}
    assert failed(door.invoke("payment_events", batch(door, message))) == []
    assert door.house.value("SELECT state FROM payments.payment_events WHERE id = :id", id=event_id) == "pending"


def test_an_empty_batch_is_done(door: Door) -> None:
    assert door.invoke("payment_events", {"Records": []}) == {"batchItemFailures": []}


def test_when_the_database_is_away_every_message_comes_again(door: Door) -> None:
    event_id = waiting_event(door)
    door.house.sql("ALTER ROLE holdfast_app NOLOGIN")
    door.house.runtime.database.engine.dispose()
    try:
        answer = door.invoke("payment_events", batch(door, announced(door, event_id)))
    finally:
        door.house.sql("ALTER ROLE holdfast_app LOGIN")
    assert failed(answer) == ["m-0"]
    assert failed(door.invoke("payment_events", batch(door, announced(door, event_id)))) == []
    assert door.house.value("SELECT state FROM payments.payment_events WHERE id = :id", id=event_id) == "processed"


def given_up(door: Door, *bodies: str, queue: str = "holdfast-dev-PaymentEventsDeadLetterQueue") -> dict[str, Any]:
    event = door.sample("dead_letter_queues/three_given_up")
    arn = f"arn:aws:sqs:us-east-1:123456789012:{queue}"
    return {
        "Records": [
            event["Records"][0] | {"messageId": f"m-{number}", "body": body, "eventSourceARN": arn}
            for number, body in enumerate(bodies)
        ]
    }


def inbox(door: Door) -> list[tuple[uuid.UUID, str, dict[str, Any]]]:
    rows = door.house.rows(
        "SELECT organization_id, process_name, payload FROM operations.process_failures"
        " ORDER BY payload ->> 'message_id'"
    )
    return [(row["organization_id"], row["process_name"], row["payload"]) for row in rows]


def test_what_sqs_gave_up_is_in_the_inbox_of_its_organization_or_of_the_deployment(door: Door) -> None:
    ours = json.dumps(announced(door, uuid.uuid4()))
    odd = (
        '{"bell": "outbox"}',
        "not json",
        "[]",
        '{"organization_id": 7}',
        '{"organization_id": "x"}',
        "\\u0000" * 9_000,
    )
    assert failed(door.invoke("dead_letter_queues", given_up(door, ours, *odd))) == []
    queue = "holdfast-dev-PaymentEventsDeadLetterQueue"
    kept = {"queue": queue, "message_id": "m-0", "body": ours}
    assert inbox(door)[0] == (door.house.organization_id, "MessageGivenUp", kept)
    assert [row[0] for row in inbox(door)[1:]] == [uuid.UUID(int=0)] * len(odd)


def test_a_message_given_up_and_delivered_again_is_the_same_trouble(door: Door) -> None:
    message = json.dumps(announced(door, uuid.uuid4()))
    for _ in range(2):
        door.invoke("dead_letter_queues", given_up(door, message))
    assert len(inbox(door)) == 1
    door.invoke("dead_letter_queues", given_up(door, message, queue="holdfast-dev-ScheduleDeadLetterQueue"))
    assert len(inbox(door)) == 2


def test_a_message_that_cannot_be_written_down_stays_in_its_queue(door: Door) -> None:
    door.house.sql("ALTER TABLE operations.process_failures RENAME TO elsewhere")
    answer = door.invoke("dead_letter_queues", given_up(door, "{}", "{}"))
    assert failed(answer) == ["m-0", "m-1"]


def metrics(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, float, str | None]]:
    """Return (name, value, priority) of every embedded metric written since the last look."""
    found = []
    for line in capsys.readouterr().out.splitlines():
        if '"_aws"' in line:
            metric = json.loads(line)
            name = metric["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"]
            assert metric["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Holdfast/local"
            found.append((name, metric[name][0], metric.get("Priority")))
    return found


def test_what_was_given_up_and_what_is_open_is_counted_for_the_alarms(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    door.invoke("dead_letter_queues", given_up(door, "{}"))
    assert ("MessagesGivenUp", 1, None) in metrics(capsys)
    door.invoke("dlq_retries", door.sample("dlq_retries/tick"))
    assert ("DeadLettersOpen", 0, "critical") in metrics(capsys)
    door.house.add_variant(stock=10)
    buried(door.house)
    done = door.invoke("dlq_retries", door.sample("dlq_retries/tick"))
    assert (done["open"], done["alerted"]) == (1, 0)
    assert {("DeadLettersOpen", 1, "critical"), ("DeadLettersOpenOfClass", 1, "critical")} <= set(metrics(capsys))
