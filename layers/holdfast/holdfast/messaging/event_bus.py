"""The EventBridge bus that domain events are published on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final
from uuid import UUID

PUT_EVENTS_MAX_ENTRIES: Final = 10
SOURCE: Final = "holdfast"


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """An outbox row on its way out. Consumers order by (aggregate_id, sequence): the bus promises no order."""

    id: UUID
    organization_id: UUID
    topic: str
    aggregate_type: str
    aggregate_id: UUID
    sequence: int
    payload: dict[str, Any]
    created_at: datetime


class EventBus:
    """Publishes domain events, at least once."""

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 -- only the relay publishes

        return boto3.client("events")

    def publish(self, events: Sequence[DomainEvent]) -> set[UUID]:
        """Publish events; answers the ids of those the bus took. PutEvents may take some and refuse others."""
        taken: set[UUID] = set()
        for start in range(0, len(events), PUT_EVENTS_MAX_ENTRIES):
            batch = events[start : start + PUT_EVENTS_MAX_ENTRIES]
            answer = self._client.put_events(Entries=[self._entry(event) for event in batch])
            results = answer.get("Entries", ())
            taken.update(event.id for event, result in zip(batch, results, strict=True) if not result.get("ErrorCode"))
        return taken

    def _entry(self, event: DomainEvent) -> dict[str, Any]:
        detail = {
            **event.payload,
            "id": str(event.id),
            "organization_id": str(event.organization_id),
            "aggregate_type": event.aggregate_type,
            "aggregate_id": str(event.aggregate_id),
            "sequence": event.sequence,
            "occurred_at": event.created_at.isoformat(),
        }
        return {
            "Time": event.created_at,
            "Source": SOURCE,
            "DetailType": event.topic,
            "Detail": json.dumps(detail, default=str),
            "EventBusName": self._name,
        }
