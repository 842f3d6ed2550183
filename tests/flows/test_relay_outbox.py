import json
import uuid
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import boto3
import pytest

from holdfast.flows.operations.relay_outbox import ATTEMPTS_MAX
from holdfast.messaging.event_bus import DomainEvent, EventBus
from tests.flows.actions import Killed, at_once, ordered, relay
from tests.house import House


class Listener:
    """A subscriber of the house's bus."""

    def __init__(self, bus: str) -> None:
        self._sqs = boto3.client("sqs")
        self._url = self._sqs.create_queue(QueueName=f"listener-{uuid.uuid4().hex}")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events = boto3.client("events")
        events.put_rule(Name="all", EventBusName=bus, EventPattern=json.dumps({"source": ["holdfast"]}))
        events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "listener", "Arn": arn}])

    def heard(self) -> list[dict[str, Any]]:
        """What came since the last time."""
        found: list[dict[str, Any]] = []
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def topics(self) -> list[tuple[str, str, int]]:
        """(aggregate, topic, sequence) of what came since the last time, sorted by aggregate and sequence."""
        heard = [(event["detail"]["aggregate_id"], event["detail-type"], event["detail"]["sequence"]) for event in
                 self.heard()]  # fmt: skip
        return sorted(heard, key=lambda event: (event[0], event[2]))


@pytest.fixture
def listener(house: House) -> Listener:
    house.add_variant(stock=50)
    return Listener(house.bus)


class Choosy(EventBus):
    """A bus that refuses events of one topic, as PutEvents does: in its answer, entry by entry."""

    def __init__(self, name: str, refused: str) -> None:
        super().__init__(name)
        self._refused = refused

    def publish(self, events: Sequence[DomainEvent]) -> set[UUID]:
        return super().publish([event for event in events if event.topic != self._refused])


def unpublished(house: House) -> int:
    return int(house.value("SELECT count(*) FROM operations.outbox WHERE published_at IS NULL"))


def test_everything_that_was_committed_is_published_with_its_place_in_the_orders_story(
    house: House, listener: Listener
) -> None:
    paid = ordered(house)
    failed = ordered(house, token="pm_card_chargeDeclined")
    house.pay_again(failed)
    house.cancel(paid)
    assert relay(house) == 9, "with the one of the shipment that was called off"
    assert unpublished(house) == 0
    stories = {
        paid: ["order.created", "order.paid", "order.confirmed", "order.cancelled"],
        failed: ["order.created", "order.payment_failed", "order.paid", "order.confirmed"],
    }
    heard = listener.topics()
    for order_id, story in stories.items():
        of_order = [(topic, sequence) for aggregate, topic, sequence in heard if aggregate == order_id]
        assert [topic for topic, _ in of_order] == story
        assert len({sequence for _, sequence in of_order}) == len(story)
    assert relay(house) == 0
    assert listener.heard() == []


def test_what_is_not_committed_is_not_published(house: House, listener: Listener) -> None:
    published: list[int] = []

    def write_and_fail() -> None:
        with house.runtime.database.transaction(house.organization_id, now=house.clock(), actor="test") as transaction:
            transaction.execute(
                "INSERT INTO operations.outbox (organization_id, id, topic, aggregate_type, aggregate_id, sequence,"
                " payload, created_at) VALUES (:o, gen_random_uuid(), 'order.created', 'order', gen_random_uuid(), 1,"
                " '{}', :now)",
                o=house.organization_id,
                now=house.clock(),
            )
            published.append(relay(house))
            raise Killed

    with pytest.raises(Killed):
        write_and_fail()
    assert [*published, relay(house)] == [0, 0]
    assert listener.heard() == []


def test_two_relays_at_once_publish_every_row_once(house: House, listener: Listener) -> None:
    for _ in range(6):
        ordered(house)
    published = at_once(*[lambda: relay(house)] * 3)
    assert sum(published) + relay(house) == 18
    heard = listener.topics()
    assert len(heard) == len(set(heard)) == 18


def test_a_relay_that_dies_after_publishing_publishes_again(house: House, listener: Listener) -> None:
    ordered(house)

    class Dying(EventBus):
        def publish(self, events: Sequence[DomainEvent]) -> set[UUID]:
            super().publish(events)
            raise Killed

    house.system.__dict__["event_bus"] = Dying(house.bus)
    with pytest.raises(Killed):
        relay(house)
    first = listener.heard()
    del house.system.__dict__["event_bus"]
    assert relay(house) == 3
    again = listener.heard()
    assert sorted(event["detail"]["id"] for event in first) == sorted(event["detail"]["id"] for event in again)


def test_what_the_bus_refuses_is_tried_again_and_keeps_nothing_waiting(house: House, listener: Listener) -> None:
    house.system.__dict__["event_bus"] = Choosy(house.bus, "order.created")
    ordered(house)
    assert relay(house) == 2
    assert [topic for _, topic, _ in listener.topics()] == ["order.paid", "order.confirmed"]
    assert unpublished(house) == 1
    del house.system.__dict__["event_bus"]
    assert relay(house) == 1
    assert [topic for _, topic, _ in listener.topics()] == ["order.created"]


def test_a_batch_of_refused_rows_does_not_keep_younger_ones_from_the_bus(
    house: House, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.flows.operations.relay_outbox.BATCH_MAX_ROWS", 2)
    house.system.__dict__["event_bus"] = Choosy(house.bus, "order.created")
    for _ in range(3):
        ordered(house, token="pm_card_chargeDeclined")
    assert relay(house) == 3
    assert {topic for _, topic, _ in listener.topics()} == {"order.payment_failed"}
    assert unpublished(house) == 3


def test_what_the_bus_never_takes_calls_a_person_once(house: House, listener: Listener) -> None:
    house.system.__dict__["event_bus"] = Choosy(house.bus, "order.created")
    ordered(house)
    house.sql("UPDATE operations.outbox SET attempts = :n", n=ATTEMPTS_MAX - 1)
    relay(house)
    relay(house)
    assert house.failures() == ["OutboxRelay"]
    del house.system.__dict__["event_bus"]
    assert relay(house) == 0
    assert listener.topics()


def test_a_bus_that_cannot_be_reached_loses_nothing(house: House, listener: Listener) -> None:
    ordered(house)

    class Down(EventBus):
        def publish(self, events: Sequence[DomainEvent]) -> set[UUID]:
            raise ConnectionError("no bus")

    house.system.__dict__["event_bus"] = Down(house.bus)
    with pytest.raises(Exception, match="no bus"):
        relay(house)
    assert house.value("SELECT max(attempts) FROM operations.outbox") == 0
    del house.system.__dict__["event_bus"]
    assert relay(house) == 3
    assert len(listener.heard()) == 3
