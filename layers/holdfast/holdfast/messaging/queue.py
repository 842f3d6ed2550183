"""An SQS queue for outgoing messages, with an optional delay."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

SEND_BATCH_MAX_MESSAGES: Final = 10
DELAY_MAX_SECONDS: Final = 900


class Queue:
    """Sends JSON messages. Losing one is harmless by design, as scheduled sweeps find what no message announced."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 -- only functions that send pay for it

        return boto3.client("sqs")

    def send(self, message: Mapping[str, Any], *, delay_seconds: int = 0) -> None:
        """Send one message, to arrive after ``delay_seconds`` (at most 900)."""
        self._client.send_message(
            QueueUrl=self._url, MessageBody=json.dumps(message), DelaySeconds=min(delay_seconds, DELAY_MAX_SECONDS)
        )

    def send_all(self, messages: Sequence[Mapping[str, Any]]) -> int:
        """Send many messages in batches of ten, and return how many SQS accepted."""
        taken = 0
        for start in range(0, len(messages), SEND_BATCH_MAX_MESSAGES):
            batch = messages[start : start + SEND_BATCH_MAX_MESSAGES]
            answer = self._client.send_message_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "MessageBody": json.dumps(message)} for number, message in enumerate(batch)
                ],
            )
            taken += len(answer.get("Successful", ()))
        return taken
