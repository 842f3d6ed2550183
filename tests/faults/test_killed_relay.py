"""The outbox relay, killed at every point: consumers miss nothing."""

import json
import uuid
from typing import Any

import boto3

from prove import steps
from tests.faults.gauntlet import Gauntlet, Scene
from tests.faults.production import Production
from tests.faults.victims import Victims
from tests.house import House


class Consumer:
    """A queue that gets everything that the house publishes."""

    def __init__(self, house: House) -> None:
        self._sqs: Any = boto3.client("sqs")
        events: Any = boto3.client("events")
        name = f"consumer-{uuid.uuid4().hex}"
        self._url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        events.put_rule(Name=name, EventBusName=house.bus, EventPattern=json.dumps({"source": ["holdfast"]}))
        target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
        events.put_targets(Rule=name, EventBusName=house.bus, Targets=[target])
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """Return the ids of all events ever heard, each as often as it came."""
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []):
            self.heard += [json.loads(message["Body"])["detail"]["id"] for message in messages]
            taken = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(messages)
            ]
            self._sqs.delete_message_batch(QueueUrl=self._url, Entries=taken)
        return self.heard


def test_a_relay_killed_at_any_point_loses_no_event_and_publishes_none_that_was_not_committed(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    consumer = Consumer(house)

    def scene() -> Scene:
        for _ in range(4):
            house.place({"TEE": 1})

        def everybody_heard() -> list[str]:
            committed = {str(row["id"]) for row in house.rows("SELECT id FROM operations.outbox")}
            heard = set(consumer.listen())
            wrong = {"never heard": committed - heard, "made up": heard - committed}
            return [f"{name}: {ids}" for name, ids in wrong.items() if ids]

        return Scene(steps.relay, as_system=True, check=everybody_heard)

    survey = Gauntlet(production, victims).run(scene)
    survey.assert_clean(points_min=10, through=("aws PutEvents, sent", "UPDATE operations.outbox", "COMMIT"))
    assert len(consumer.heard) > len(set(consumer.heard)), "no relay died between publishing and its commit"
