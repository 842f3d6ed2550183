"""Domain events on the bus: what a subscriber's rule receives."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from holdfast.messaging.event_bus import PUT_EVENTS_MAX_ENTRIES, DomainEvent, EventBus

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def event(number: int, **payload: Any) -> DomainEvent:
    return DomainEvent(
        id=uuid.uuid4(),
        organization_id=uuid.uuid4(),
        topic="order.confirmed",
        aggregate_type="order",
        aggregate_id=uuid.uuid4(),
        sequence=number,
        payload=payload,
        created_at=NOW,
    )


@pytest.fixture
def bus(aws: str) -> tuple[EventBus, str]:
    """Return a bus and the URL of a subscriber's queue that receives its events."""
    name = f"bus-{uuid.uuid4().hex}"
    events, sqs = boto3.client("events"), boto3.client("sqs")
    events.create_event_bus(Name=name)
    url = sqs.create_queue(QueueName=f"subscriber-{name}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventBusName=name, EventPattern=json.dumps({"source": ["holdfast"]}))
    events.put_targets(Rule="all", EventBusName=name, Targets=[{"Id": "1", "Arn": arn}])
    return EventBus(name), url


def received(url: str) -> list[dict[str, Any]]:
    sqs, found = boto3.client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_a_subscriber_sees_what_happened_to_which_order_in_which_order(bus: tuple[EventBus, str]) -> None:
    sent = event(7, order_number="HF-1")
    assert bus[0].publish([sent]) == {sent.id}
    (seen,) = received(bus[1])
    assert (seen["source"], seen["detail-type"]) == ("holdfast", "order.confirmed")
    assert seen["detail"] == {
        "id": str(sent.id),
        "organization_id": str(sent.organization_id),
        "aggregate_type": "order",
        "aggregate_id": str(sent.aggregate_id),
        "sequence": 7,
        "occurred_at": "2026-01-02T03:04:05.678901+00:00",
        "order_number": "HF-1",
    }


def test_more_events_than_one_call_takes_are_all_published(bus: tuple[EventBus, str]) -> None:
    many = [event(number) for number in range(2 * PUT_EVENTS_MAX_ENTRIES + 1)]
    assert bus[0].publish(many) == {one.id for one in many}
    assert sorted(seen["detail"]["sequence"] for seen in received(bus[1])) == list(range(len(many)))


def test_a_payload_cannot_pose_as_the_envelope(bus: tuple[EventBus, str]) -> None:
    sent = event(1, organization_id="another", id="another", sequence=99)
    bus[0].publish([sent])
    (seen,) = received(bus[1])
    assert seen["detail"]["organization_id"] == str(sent.organization_id)
    assert (seen["detail"]["id"], seen["detail"]["sequence"]) == (str(sent.id), 1)
