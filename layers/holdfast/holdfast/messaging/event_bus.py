"""The EventBridge bus that domain events are published on."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from holdfast.values.errors import Transient

PUT_EVENTS_MAX_ENTRIES: Final = 10
SOURCE: Final = "holdfast"
_OF_THE_BUS: Final = frozenset(
    {
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InternalException",
        "InternalFailure",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OperationDisabledException",
        "OptInRequired",
        "RequestExpired",
        "RequestLimitExceeded",
        "ResourceNotFoundException",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "UnrecognizedClientException",
    }
)
"""Codes that say nothing of the events they were answered to: any other would have met the same."""


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


class BusUnavailable(Transient):
    """The bus takes nothing at the moment, whatever it is: of the events that are neither in ``taken`` nor in
    ``refused`` nothing is said."""

    def __init__(
        self,
        detail: str,
        taken: Collection[UUID] = (),
        refused: Collection[UUID] = (),
        *,
        retry_after_seconds: int = 5,
    ) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)
        self.taken = frozenset(taken)
        self.refused = frozenset(refused)


class EventBus:
    """Publishes domain events, at least once."""

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 -- only the relay publishes

        return boto3.client("events")

    def publish(self, events: Sequence[DomainEvent]) -> set[UUID]:
        """Publish events; answers the ids of those the bus took: the others it refuses, and would again.

        Raises BusUnavailable, with what became of which, once a request fails for a reason that is none of the events.
        """
        taken: set[UUID] = set()
        refused: set[UUID] = set()
        waiting = [events[at : at + PUT_EVENTS_MAX_ENTRIES] for at in range(0, len(events), PUT_EVENTS_MAX_ENTRIES)]
        while waiting:
            batch = waiting.pop(0)
            entries = [self._entry(event) for event in batch]
            try:
                codes = self._put(entries)
            except Exception as error:
                if not _is_about_events(error):
                    raise BusUnavailable(f"{type(error).__name__}: {error}", taken, refused) from error
                # One of them is too large, say, and the request refused as a whole: each is asked about alone.
                if len(batch) == 1:
                    refused.add(batch[0].id)
                waiting[:0] = [[event] for event in batch if len(batch) > 1]
                continue
            taken |= {event.id for event, code in zip(batch, codes, strict=True) if code is None}
            refused |= {event.id for event, code in zip(batch, codes, strict=True) if code and code not in _OF_THE_BUS}
            if away := next((code for code in codes if code in _OF_THE_BUS), None):
                raise BusUnavailable(f"the bus answers {away}", taken, refused)
        return taken

    def _put(self, entries: Sequence[dict[str, Any]]) -> list[str | None]:
        """One request; for each event why it was not taken, or None."""
        answer = self._client.put_events(Entries=entries)
        return [result.get("ErrorCode") or None for result in answer.get("Entries", ())]

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


def _is_about_events(error: Exception) -> bool:
    """Whether the request failed for what is in it."""
    from botocore.exceptions import ClientError, ParamValidationError  # noqa: PLC0415 -- only the relay publishes

    if not isinstance(error, ClientError):
        return isinstance(error, ParamValidationError)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    is_refusal = 400 <= status < 500 and status not in {401, 403, 429}
    return is_refusal and error.response.get("Error", {}).get("Code") not in _OF_THE_BUS
