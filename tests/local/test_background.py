"""Queues and schedules of the running sample, followed through the AWS emulation."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.permissions import DENIED, REFUSED
from local.pollers import failed_ids
from local.system import LocalSystem

QUEUE = "WorkQueue"


def url(system: LocalSystem, queue: str) -> str:
    return f"{system.aws_url}/123456789012/{queue}"


def send(system: LocalSystem, *bodies: str) -> None:
    sqs = system.aws("sqs")
    for body in bodies:
        sqs.send_message(QueueUrl=url(system, QUEUE), MessageBody=body)


def received(system: LocalSystem, queue: str, *, seconds: float = 15) -> list[str]:
    """Wait for messages in a queue, and return the bodies of the first that come; empty if none comes in time."""
    deadline = time.monotonic() + seconds
    sqs = system.aws("sqs")
    while time.monotonic() < deadline:
        messages = sqs.receive_message(QueueUrl=url(system, queue), WaitTimeSeconds=1, MaxNumberOfMessages=10)
        if bodies := [message["Body"] for message in messages.get("Messages", [])]:
            return bodies
    return []


def eventually(read: Callable[[], Any], expected: Any, *, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while read() != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert read() == expected


def lines(file: Path) -> list[str]:
    return sorted(file.read_text().splitlines()) if file.exists() else []


def left(system: LocalSystem, queue: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = system.aws("sqs").get_queue_attributes(QueueUrl=url(system, queue), AttributeNames=names)
    return sum(map(int, answer["Attributes"].values()))


def test_messages_are_handled_once_and_deleted(system: LocalSystem, tmp_path: Path) -> None:
    file = tmp_path / "handled"
    send(system, *[f"ok{number} {file}" for number in range(12)])
    arn = f"arn:aws:sqs:us-east-1:123456789012:{QUEUE}"
    eventually(lambda: lines(file), sorted(f"ok{number} 1 {arn}" for number in range(12)))
    eventually(lambda: left(system, QUEUE), 0)


def test_a_function_is_refused_what_its_role_does_not_allow(system: LocalSystem, tmp_path: Path) -> None:
    """Its role allows publishing, and allows putting events only under a condition that does not hold here."""
    file = tmp_path / "handled"
    send(system, f"ask {file}")
    eventually(lambda: [line.split()[0] for line in lines(file)], [f"done,{DENIED}"])
    log = (system.state / "logs" / "worker.log").read_text()
    assert f"WorkerFunction {REFUSED} events:PutEvents on resource: arn:aws:events:" in log


def test_a_reported_failure_comes_back_and_then_goes_to_the_dead_letters(system: LocalSystem, tmp_path: Path) -> None:
    file = tmp_path / "handled"
    send(system, f"ok {file}", f"fail {file}")
    assert received(system, "WorkDeadLetterQueue") == [f"fail {file}"]
    attempts = [line.split()[:2] for line in lines(file)]
    assert attempts == [["fail", "1"], ["fail", "2"], ["ok", "1"]]


def test_a_message_that_kills_its_function_goes_to_the_dead_letters_and_others_are_handled(
    system: LocalSystem, tmp_path: Path
) -> None:
    file = tmp_path / "handled"
    send(system, f"crash {file}")
    assert received(system, "WorkDeadLetterQueue") == [f"crash {file}"]
    send(system, f"ok {file}")
    eventually(lambda: len(lines(file)), 1)


def test_a_schedule_fires_soon_and_its_failure_reaches_the_failure_queue(system: LocalSystem) -> None:
    (body,) = received(system, "FailureQueue")
    record = json.loads(body)
    assert record["requestPayload"]["source"] == "aws.scheduler"
    assert record["responsePayload"]["errorMessage"].endswith("schedule/default/TickerFunctionOften")
    assert record["requestContext"]["condition"] == "RetriesExhausted"


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"wrong": "a"}]}, {"a", "b"}),
        ({"batchItemFailures": "a"}, {"a", "b"}),
        ("text", {"a", "b"}),
    ],
)
def test_an_answer_that_makes_no_sense_fails_the_whole_batch(answer: Any, failed: set[str]) -> None:
    assert failed_ids(answer, ["a", "b"]) == failed
