"""Alerts for people, sent to the SNS topic that also receives the deployment's alarms."""

import json
import logging
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

SUBJECT_MAX_CHARACTERS: Final = 100

_logger = logging.getLogger(__name__)


class AlertTopic:
    """Publishes alerts. A deployment without a topic logs them instead."""

    def __init__(self, arn: str) -> None:
        self._arn = arn

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 -- only functions that raise alerts pay for it

        return boto3.client("sns")

    def publish(self, subject: str, facts: Mapping[str, str | None]) -> None:
        """Send one alert. The subject is plain ASCII; the facts are ids and codes, never personal data."""
        if not self._arn:
            _logger.warning("alert: %s %s", subject, json.dumps(facts))
            return
        self._client.publish(
            TopicArn=self._arn, Subject=subject[:SUBJECT_MAX_CHARACTERS], Message=json.dumps(facts, indent=2)
        )
