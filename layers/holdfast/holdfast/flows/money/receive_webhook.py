"""A webhook in three moves: verify, store once, answer. The work is done later, from what was stored."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from holdfast.flows.money.event_record import store_event
from holdfast.gateways.port import GatewayEvent
from holdfast.runtime import Runtime
from holdfast.values.errors import NotFound

_logger = logging.getLogger(__name__)

BODY_MAX_BYTES: Final = 512 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Whose webhook endpoint it is, and where the secrets to verify with are."""

    organization_id: UUID
    gateway_account_id: UUID
    secret_reference: str
    merchant_account: str | None
    webhook_id: str | None
    notification_url: str | None


def receive_webhook(
    runtime: Runtime,
    gateway: str,
    endpoint_key: str,
    headers: Mapping[str, str],
    raw_body: bytes,
    now: datetime,
    correlation_id: str,
) -> int:
    """Store what the gateway says and ring for the worker; answers how many events were new.

    Raises NotFound (no such endpoint), SignatureInvalid or InvalidInput: nothing is stored then. Once this returns the
    event is safe: a message that was not sent is made up for by the sweep.

    A notification of several events (Adyen's) is stored event by event, each in a transaction of its own: one that
    cannot be stored keeps none of the others back. Its error is raised at the end, so that the gateway delivers the
    whole again, and what is stored already is recognized then.
    """
    endpoint = _endpoint(runtime, gateway, endpoint_key, now)
    events = runtime.gateways.verify_and_parse_webhook(
        gateway,
        endpoint.secret_reference,
        endpoint.merchant_account,
        headers,
        raw_body,
        now,
        webhook_id=endpoint.webhook_id,
        notification_url=endpoint.notification_url,
    )
    fresh: list[UUID] = []
    failed: list[Exception] = []
    for event in events:
        try:
            stored = _store(runtime, gateway, endpoint, event, now, correlation_id)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is raised below
            failed.append(error)
            continue
        if stored is not None and event.event_type is not None:
            fresh.append(stored)
    _ring(runtime, endpoint.organization_id, fresh)
    if failed:
        raise failed[0]
    return len(fresh)


def _store(
    runtime: Runtime, gateway: str, endpoint: Endpoint, event: GatewayEvent, now: datetime, correlation_id: str
) -> UUID | None:
    with runtime.database.transaction(endpoint.organization_id, now=now, actor=f"webhook:{gateway}") as transaction:
        return store_event(
            transaction,
            event,
            gateway=gateway,
            gateway_account_id=endpoint.gateway_account_id,
            correlation_id=correlation_id,
            commit=True,
        )


def _endpoint(runtime: Runtime, gateway: str, endpoint_key: str, now: datetime) -> Endpoint:
    """The way in before the tenant is known: a definer function that knows endpoint keys and nothing else."""
    with runtime.database.transaction(None, now=now, actor=f"webhook:{gateway}"[:200]) as transaction:
        row = transaction.row(
            "SELECT * FROM tenancy.gateway_account_of_endpoint(:gateway, :endpoint_key)",
            gateway=gateway,
            endpoint_key=endpoint_key,
        )
    if row is None:
        raise NotFound("there is no such webhook endpoint")
    return Endpoint(
        row.organization_id,
        row.gateway_account_id,
        row.secret_reference,
        row.merchant_account,
        row.webhook_id,
        row.notification_url,
    )


def _ring(runtime: Runtime, organization_id: UUID, event_ids: list[UUID]) -> None:
    messages = [{"organization_id": str(organization_id), "payment_event_id": str(event_id)} for event_id in event_ids]
    try:
        for message in messages:
            runtime.payment_events_queue.send(message)
    except Exception:
        _logger.warning("a stored payment event could not be announced; the sweep will find it", exc_info=True)
