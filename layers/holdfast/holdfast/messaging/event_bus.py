"""The EventBridge bus on which domain events are published."""

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
"""Error codes that say nothing about the events in the request: any other event would have got the same answer."""


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """An outbox row to be published. Consumers order by (aggregate_id, sequence), as the bus guarantees no order."""

    id: UUID
    organization_id: UUID
    topic: str
    aggregate_type: str
    aggregate_id: UUID
    sequence: int
    payload: dict[str, Any]
    created_at: datetime


class BusUnavailable(Transient):
    """The bus accepts no events at all at the moment.

    The fate of events that are neither in ``taken`` nor in ``refused`` is unknown.
    """

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
    """Publishes domain events at least once."""

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 -- only the relay publishes

        return boto3.client("events")

    def publish(self, events: Sequence[DomainEvent]) -> set[UUID]:
        """Publish events and return the ids of those that the bus accepted. It would refuse the others again.

        Raises BusUnavailable as soon as a request fails for a reason other than its events; the exception says which
        events were accepted and refused by then.
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
                # The request was refused as a whole, for example because one event is too large: send each alone.
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
        """Send one request, and return for each event the code for which it was not accepted, or None."""
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
    """Return whether the request failed because of the events in it."""
    from botocore.exceptions import ClientError, ParamValidationError  # noqa: PLC0415 -- only the relay publishes

    if not isinstance(error, ClientError):
        return isinstance(error, ParamValidationError)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    is_refusal = 400 <= status < 500 and status not in {401, 403, 429}
    return is_refusal and error.response.get("Error", {}).get("Code") not in _OF_THE_BUS
