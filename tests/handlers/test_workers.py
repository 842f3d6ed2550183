"""The workers behind the queues: one bad message never harms the good ones, and none is lost."""

import json
import uuid
from typing import Any

from tests.handlers.door import Door
from tests.house import document


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
    """An authorized order whose capture Stripe has told and nobody has worked on yet."""
    door.house.add_variant(stock=10)
    document(door.house.place())
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
