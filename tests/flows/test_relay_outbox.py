import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from holdfast.flows.operations.relay_outbox import ATTEMPTS_MAX
from holdfast.messaging.event_bus import BusUnavailable, DomainEvent, EventBus
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
        """Return what arrived since the last call."""
        found: list[dict[str, Any]] = []
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def topics(self) -> list[tuple[str, str, int]]:
        """Return (aggregate, topic, sequence) of what arrived since the last call, sorted by aggregate and sequence."""
        heard = [(event["detail"]["aggregate_id"], event["detail-type"], event["detail"]["sequence"]) for event in
                 self.heard()]  # fmt: skip
        return sorted(heard, key=lambda event: (event[0], event[2]))


@pytest.fixture
def listener(house: House) -> Listener:
    house.add_variant(stock=50)
    return Listener(house.bus)


class Choosy(EventBus):
    """A bus that refuses the events of one topic as PutEvents does: in its answer, entry by entry."""

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


class Troubled:
    """An EventBridge client whose requests meet ``trouble`` first.

    ``trouble`` gets the entries and the number of the request, counted from 1. It raises what PutEvents would raise, or
    returns the error codes of the entries that are not taken, by position.
    """

    def __init__(self, trouble: Callable[[list[dict[str, Any]], int], dict[int, str]]) -> None:
        self._trouble = trouble
        self._requests = 0

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 -- as boto3 calls it
        self._requests += 1
        codes = self._trouble(Entries, self._requests)
        if good := [entry for number, entry in enumerate(Entries) if number not in codes]:
            boto3.client("events").put_events(Entries=good)
        return {"Entries": [{"ErrorCode": codes[n]} if n in codes else {} for n in range(len(Entries))]}


def troubled_bus(house: House, trouble: Callable[[list[dict[str, Any]], int], dict[int, str]]) -> EventBus:
    bus = EventBus(house.bus)
    bus.__dict__["_client"] = Troubled(trouble)
    return bus


def attempts(house: House) -> list[int]:
    rows = house.rows("SELECT attempts FROM operations.outbox WHERE published_at IS NULL ORDER BY id")
    return [row["attempts"] for row in rows]


def unreachable(_: list[dict[str, Any]], number: int) -> dict[int, str]:
    if number % 3 == 0:
        raise EndpointConnectionError(endpoint_url="https://events.example")
    return {}


def throttled(_: list[dict[str, Any]], number: int) -> dict[int, str]:
    return {4: "ThrottlingException"} if number == 3 else {}


def not_allowed(_: list[dict[str, Any]], number: int) -> dict[int, str]:
    if number == 3:
        raise ClientError(
            {"Error": {"Code": "AccessDeniedException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "PutEvents"
        )
    return {}


@pytest.mark.parametrize("trouble", [unreachable, throttled, not_allowed])
def test_what_a_bus_took_before_it_went_away_stays_published_and_the_rest_counts_no_attempt(
    house: House, listener: Listener, trouble: Callable[[list[dict[str, Any]], int], dict[int, str]]
) -> None:
    for _ in range(12):
        ordered(house)
    house.system.__dict__["event_bus"] = troubled_bus(house, trouble)
    with pytest.raises(BusUnavailable):
        relay(house)
    heard = listener.heard()
    assert len(heard) in {20, 29}
    assert attempts(house) == [0] * (36 - len(heard))
    assert house.value("SELECT count(*) FROM operations.outbox WHERE published_at IS NOT NULL") == len(heard)
    del house.system.__dict__["event_bus"]
    assert relay(house) == 36 - len(heard)
    again = listener.heard()
    assert len({event["detail"]["id"] for event in heard + again}) == len(heard) + len(again) == 36
    assert house.failures() == []


def test_an_outage_of_the_bus_gives_nothing_up_however_often_a_bell_rings(house: House, listener: Listener) -> None:
    def away(*_: object) -> dict[int, str]:
        raise EndpointConnectionError(endpoint_url="https://events.example")

    ordered(house)
    house.system.__dict__["event_bus"] = troubled_bus(house, away)
    for _ in range(ATTEMPTS_MAX + 1):
        with pytest.raises(BusUnavailable):
            relay(house)
    assert (attempts(house), house.failures()) == ([0, 0, 0], [])
    del house.system.__dict__["event_bus"]
    assert relay(house) == 3
    assert len(listener.heard()) == 3


def test_an_event_for_which_the_bus_refuses_whole_requests_keeps_nothing_waiting_and_calls_a_person(
    house: House, listener: Listener
) -> None:
    poison = ordered(house)

    def too_large(entries: list[dict[str, Any]], _: int) -> dict[int, str]:
        if any(entry["DetailType"] == "order.created" and poison in entry["Detail"] for entry in entries):
            raise ClientError(
                {"Error": {"Code": "ValidationException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "PutEvents"
            )
        return {}

    for _ in range(3):
        ordered(house)
    house.system.__dict__["event_bus"] = troubled_bus(house, too_large)
    assert relay(house) == 11
    assert (attempts(house), len(listener.heard())) == ([1], 11)
    house.sql("UPDATE operations.outbox SET attempts = :n WHERE published_at IS NULL", n=ATTEMPTS_MAX - 1)
    assert relay(house) == 0
    assert house.failures() == ["OutboxRelay"]
