"""SQS event sources: each receives batches, invokes the function and deletes what succeeded.

What failed is left alone: it comes back after the queue's visibility timeout, and goes to the dead-letter queue after
its last attempt, exactly as in the cloud.
"""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from local.activity import Activity
from local.lambda_client import FunctionError, Invoker
from local.model import REGION, Function, QueueSource

WAIT_SECONDS = 20
RECEIVE_MAX_MESSAGES = 10
CONCURRENCY_MAX = 4
"""How many batches of one queue are handled at once on this machine, whatever the template allows in the cloud."""
ERROR_PAUSE_SECONDS = 1.0
SCHEDULE_SANDBOXES = 1


def concurrency_of(functions: Sequence[Function]) -> int:
    """Return how many sandboxes the queues and schedules of a group may keep busy at once."""
    batches = sum(min(CONCURRENCY_MAX, queue.max_concurrency) for function in functions for queue in function.queues)
    return batches + sum(SCHEDULE_SANDBOXES for function in functions for _ in function.schedules)


def records(source: QueueSource, messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return received messages as the records of a Lambda event."""
    return [
        {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {
                name: {
                    "stringValue": value.get("StringValue"),
                    "dataType": value["DataType"],
                    "stringListValues": [],
                    "binaryListValues": [],
                }
                for name, value in message.get("MessageAttributes", {}).items()
            },
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": source.queue_arn,
            "awsRegion": REGION,
        }
        for message in messages
    ]


def failed_ids(answer: Any, message_ids: Sequence[str]) -> set[str]:
    """Return which messages the function's answer reports as failed.

    An empty answer means none. One that is malformed, or names a message that was not in the batch, means all of them
    (AWS Lambda, "Reporting batch item failures").
    """
    if not answer:
        return set()
    try:
        failures = answer.get("batchItemFailures")
        failed = {failure["itemIdentifier"] for failure in failures or ()}
    except (AttributeError, KeyError, TypeError):
        return set(message_ids)
    return set(message_ids) if failed - set(message_ids) else failed


@dataclass(slots=True)
class Poller:
    """One queue of one function."""

    function: Function
    source: QueueSource
    sandboxes: Invoker
    sqs: Any
    stop: threading.Event
    activity: Activity

    def run(self) -> None:
        """Polls until stopped, then waits for the batches that are being handled."""
        limit = max(
            1, min(self.source.max_concurrency, self.function.max_concurrency or CONCURRENCY_MAX, CONCURRENCY_MAX)
        )
        free = threading.Semaphore(limit)

        def finished(_: object) -> None:
            free.release()

        with ThreadPoolExecutor(limit, thread_name_prefix=self.function.name) as pool:
            while not self.stop.is_set():
                free.acquire()  # receive nothing that could not be handled at once
                messages = self._receive()
                if messages and not self.stop.is_set():
                    pool.submit(self._handle, messages).add_done_callback(finished)
                else:
                    free.release()

    def _receive(self) -> list[dict[str, Any]]:
        try:
            answer = self.sqs.receive_message(
                QueueUrl=self.source.queue_url,
                MaxNumberOfMessages=min(self.source.batch_size, RECEIVE_MAX_MESSAGES),
                WaitTimeSeconds=WAIT_SECONDS,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except Exception as problem:  # noqa: BLE001 (the emulation may be restarting or ending; polling goes on)
            if not self.stop.wait(ERROR_PAUSE_SECONDS):
                sys.stdout.write(f"{self.source.queue_url}: {problem}\n")
            return []
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def _handle(self, messages: Sequence[dict[str, Any]]) -> None:
        with self.activity:
            self.handle(messages)

    def handle(self, messages: Sequence[dict[str, Any]]) -> None:
        """Invokes the function with one batch and deletes the messages that it handled."""
        ids = [message["MessageId"] for message in messages]
        try:
            answer = self.sandboxes.invoke(
                self.function, {"Records": records(self.source, messages)}, str(uuid.uuid4())
            )
        except FunctionError as problem:
            sys.stdout.write(f"{self.function.name}: {problem}; {len(ids)} messages return to the queue\n")
            return
        failed = failed_ids(answer, ids) if self.source.reports_item_failures else set()
        done = [message for message in messages if message["MessageId"] not in failed]
        if failed:
            sys.stdout.write(f"{self.function.name}: {len(failed)} of {len(ids)} messages return to the queue\n")
        if done:
            entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(done)]
            self.sqs.delete_message_batch(QueueUrl=self.source.queue_url, Entries=entries)
