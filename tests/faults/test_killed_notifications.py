"""Mails to shoppers, with the relay and the sender killed at every point: each mail is sent, and once.

A mail may come twice only if the process died after the mail service took it and before the commit. Both copies then
carry the same message id.
"""

import json
import uuid
from typing import Any

import boto3
import pytest

from holdfast.notifications.retry_policy import LEASE_SECONDS
from local.mail_server.feedback import event_of
from prove import steps
from prove.trap import Deed
from tests.architecture.template import TEMPLATE
from tests.faults.gauntlet import Gauntlet, Scene
from tests.faults.production import Production
from tests.faults.victims import Victims
from tests.flows.mailing import events
from tests.house import House, document
from tests.mail.stage import Post


class News:
    """The queue of notifications behind the rule of the template, and its worker."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._sqs: Any = boto3.client("sqs")
        bus: Any = boto3.client("events")
        name = f"news-{uuid.uuid4().hex}"
        self._url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        pattern = TEMPLATE.resources["ShopperNewsRule"]["Properties"]["EventPattern"]
        bus.put_rule(Name=name, EventBusName=house.bus, EventPattern=json.dumps(pattern))
        target = {"Id": "queue", "Arn": f"arn:aws:sqs:us-east-1:123456789012:{name}"}
        bus.put_targets(Rule=name, EventBusName=house.bus, Targets=[target])

    def arrive(self) -> int:
        """Let the worker take everything that waits, and return how many events came."""
        came = 0
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                body = json.loads(message["Body"])
                steps.notify(self._house.system, self._house.clock, body["detail-type"], body["detail"])
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                came += 1
        return came


def number_of(house: House, order_id: str) -> str:
    return str(house.value("SELECT order_number FROM orders.orders WHERE id = :id", id=order_id))


def mails(house: House, office: Post, order_id: str) -> list[str]:
    """Return our message ids of the mails that the service took about an order, each as often as it was taken."""
    number = number_of(house, order_id)
    return [str(mail.parsed["X-Holdfast-Message-Id"]) for mail in office.mails() if number in mail.subject]


def told_once(house: House, office: Post, order_ids: list[str]) -> list[str]:
    counts = {order_id: len(mails(house, office, order_id)) for order_id in order_ids}
    return [f"{count} mails about an order" for count in counts.values() if count != 1]


def test_a_relay_killed_at_any_point_costs_no_mail_and_sends_none_twice(
    house: House, production: Production, victims: Victims, office: Post
) -> None:
    house.add_variant(stock=1_000)
    news = News(house)
    heard: list[int] = []

    def scene() -> Scene:
        orders = [str(document(house.place({"TEE": 1}))["order"]["id"]) for _ in range(3)]

        def everybody_was_told_once() -> list[str]:
            heard.append(news.arrive())
            return told_once(house, office, orders)

        return Scene(steps.relay, as_system=True, check=everybody_was_told_once)

    survey = Gauntlet(production, victims).run(scene)
    survey.assert_clean(points_min=10, through=("aws PutEvents, sent", "UPDATE operations.outbox", "COMMIT"))
    assert max(heard) > 3, "no event was ever published twice"


class Sendings:
    """Scenes in which one mail is sent, and what became of each."""

    def __init__(self, house: House, office: Post) -> None:
        self._house = house
        self._office = office
        self._orders: list[str] = []

    def order(self) -> str:
        order_id = str(document(self._house.place({"TEE": 1}))["order"]["id"])
        self._orders.append(order_id)
        return order_id

    def ends_sent(self, order_id: str) -> list[str]:
        """Let the mail's lease expire and the clock tick, and return what is then wrong."""
        house = self._house
        house.clock.advance(seconds=LEASE_SECONDS)
        steps.resume_mails(house.system, house.clock)
        status = house.value("SELECT status FROM notifications.messages WHERE order_id = :id", id=order_id)
        sent = mails(house, self._office, order_id)
        wrong = [] if status == "sent" else [f"the mail is {status}"]
        wrong += [] if len(set(sent)) == 1 else [f"{len(set(sent))} different mails"]
        return wrong

    def assert_twice_only_before_the_commit(self, points: list[str]) -> None:
        """Check all scenes: a mail was sent twice at most, and only after the service took it and before the commit."""
        counts = [len(mails(self._house, self._office, order_id)) for order_id in self._orders[: len(points)]]
        taken = next(at for at, point in enumerate(points) if "aws SendEmail, sent" in point)
        committed = max(at for at, point in enumerate(points) if "COMMIT" in point)
        twice = [at for at, count in enumerate(counts) if count > 1]
        assert set(counts) == {1, 2}, counts
        assert all(taken <= at <= committed for at in twice), [points[at] for at in twice]
        assert taken in twice, "a sender that dies after the mail was taken sends it again"


@pytest.mark.parametrize("deed", [Deed.KILL_PROCESS, Deed.END_CONNECTION])
def test_a_sender_that_dies_at_any_point_is_made_up_for(
    house: House, production: Production, victims: Victims, office: Post, deed: Deed
) -> None:
    house.add_variant(stock=1_000)
    sendings = Sendings(house, office)

    def scene() -> Scene:
        order_id = sendings.order()
        ((topic, event),) = events(house, "order.confirmed", order_id=order_id)
        return Scene(
            steps.notify,
            (topic, event),
            as_system=True,
            again=lambda: steps.notify(house.system, house.clock, topic, event),
            check=lambda: sendings.ends_sent(order_id),
        )

    survey = Gauntlet(production, victims).run(scene, deed)
    through = ("INSERT INTO notifications.messages", "notifications.order_facts", "before aws SendEmail", "COMMIT")
    survey.assert_clean(points_min=11, through=through)
    if deed is Deed.KILL_PROCESS:
        sendings.assert_twice_only_before_the_commit(survey.points)


def test_a_tick_that_dies_at_any_point_is_made_up_for_by_the_next(
    house: House, production: Production, victims: Victims, office: Post
) -> None:
    house.add_variant(stock=1_000)
    sendings = Sendings(house, office)

    def scene() -> Scene:
        order_id = sendings.order()
        ((topic, event),) = events(house, "order.confirmed", order_id=order_id)
        office.behaves("throttling", times=1)
        steps.notify(house.system, house.clock, topic, event)
        house.clock.advance(seconds=61)
        return Scene(steps.resume_mails, as_system=True, check=lambda: sendings.ends_sent(order_id))

    survey = Gauntlet(production, victims).run(scene)
    survey.assert_clean(points_min=10, through=("SET status = 'sending'", "aws SendEmail, sent", "COMMIT"))
    sendings.assert_twice_only_before_the_commit(survey.points)


def test_feedback_whose_recorder_dies_at_any_point_is_recorded_once(
    house: House, production: Production, victims: Victims, office: Post
) -> None:
    house.add_variant(stock=1_000)

    def scene() -> Scene:
        order_id = str(document(house.place({"TEE": 1}))["order"]["id"])
        house.sql("UPDATE orders.orders SET email = :e WHERE id = :id", e=f"{order_id}@example.com", id=order_id)
        ((topic, event),) = events(house, "order.confirmed", order_id=order_id)
        steps.notify(house.system, house.clock, topic, event)
        told = json.loads(json.dumps(event_of(office.mails(f"{order_id}@example.com")[0], "bounced")))

        def it_is_suppressed_once() -> list[str]:
            found = house.rows(
                "SELECT reason FROM notifications.suppressions WHERE address = :a", a=f"{order_id}@example.com"
            )
            return [] if len(found) == 1 else [f"{len(found)} suppressions"]

        return Scene(
            steps.take_feedback,
            (told,),
            as_system=True,
            again=lambda: steps.take_feedback(house.system, house.clock, told),
            check=it_is_suppressed_once,
        )

    survey = Gauntlet(production, victims).run(scene)
    survey.assert_clean(points_min=5, through=("UPDATE notifications.messages", "notifications.suppressions", "COMMIT"))
