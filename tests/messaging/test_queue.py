"""Outgoing messages: all of them in few calls, none of them too late."""

import json
import uuid
from typing import Any

import boto3
import pytest

from holdfast.messaging.queue import DELAY_MAX_SECONDS, Queue


@pytest.fixture
def url(aws: str) -> str:
    created: str = boto3.client("sqs").create_queue(QueueName=f"queue-{uuid.uuid4().hex}")["QueueUrl"]
    return created


def received(url: str) -> list[Any]:
    sqs, found = boto3.client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_a_message_arrives_as_the_json_that_was_sent(url: str) -> None:
    Queue(url).send({"bell": "outbox", "number": 1})
    assert received(url) == [{"bell": "outbox", "number": 1}]


def test_many_messages_arrive_each_once(url: str) -> None:
    messages = [{"number": number} for number in range(25)]
    assert Queue(url).send_all(messages) == 25
    assert sorted(received(url), key=lambda message: message["number"]) == messages
    assert Queue(url).send_all([]) == 0


def test_a_delay_beyond_what_sqs_allows_is_shortened(url: str) -> None:
    Queue(url).send({"later": True}, delay_seconds=DELAY_MAX_SECONDS + 1)
    attributes = boto3.client("sqs").get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesDelayed"]
    )["Attributes"]
    assert attributes["ApproximateNumberOfMessagesDelayed"] == "1"
