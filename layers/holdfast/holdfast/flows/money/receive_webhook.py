"""Receive a webhook in three steps: verify, store once, answer.

The work is done later, from what was stored. Most events leave no work, because they repeat the gateway's own answer.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.money.event_record import store_event, tidings_of
from holdfast.flows.money.known_news import is_told_before
from holdfast.gateways.port import GatewayEvent
from holdfast.payments.webhook_endpoints import Endpoint
from holdfast.runtime import Runtime
from holdfast.values.errors import NotFound, Rejected

_logger = logging.getLogger(__name__)

BODY_MAX_BYTES: Final = 512 * 1024


def receive_webhook(
    runtime: Runtime,
    gateway: str,
    endpoint_key: str,
    headers: Mapping[str, str],
    raw_body: bytes,
    now: datetime,
    correlation_id: str,
) -> int:
    """Store what the gateway says, notify the worker, and return how many events were new.

    Raises NotFound (no such endpoint), SignatureInvalid or InvalidInput, in which case nothing is stored. Once this
    returns the events are safe: the sweep makes up for a message that was not sent.

    A notification of several events (Adyen's) is stored event by event, each in a transaction of its own, so that one
    that cannot be stored holds none of the others back. Its error is raised at the end. The gateway then delivers the
    whole notification again, and the events already stored are recognized.
    """
    endpoint, events = _verified(runtime, gateway, endpoint_key, headers, raw_body, now)
    fresh = 0
    to_settle: list[UUID] = []
    failed: list[Exception] = []
    for event in events:
        try:
            stored, is_done = _store(runtime, gateway, endpoint, event, now, correlation_id)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is raised below
            failed.append(error)
            continue
        if stored is not None and event.event_type is not None:
            fresh += 1
            to_settle += [] if is_done else [stored]
    _ring(runtime, endpoint.organization_id, to_settle)
    if failed:
        raise failed[0]
    return fresh


def _verified(
    runtime: Runtime, gateway: str, endpoint_key: str, headers: Mapping[str, str], raw_body: bytes, now: datetime
) -> tuple[Endpoint, Sequence[GatewayEvent]]:
    """Return whose endpoint it is, and the events that are proven to come from its gateway.

    An endpoint is cached for a while. What the cached endpoint rejects is checked once more against the endpoint as it
    is now, so that a shop that changes its account need not wait for a cache to expire.
    """
    known = runtime.webhook_endpoints.find(gateway, endpoint_key)
    if known is not None:
        with suppress(Rejected):
            return known, _parsed(runtime, gateway, known, headers, raw_body, now)
    endpoint = _endpoint(runtime, gateway, endpoint_key, now)
    events = _parsed(runtime, gateway, endpoint, headers, raw_body, now)
    runtime.webhook_endpoints.keep(gateway, endpoint_key, endpoint)
    return endpoint, events


def _parsed(
    runtime: Runtime, gateway: str, endpoint: Endpoint, headers: Mapping[str, str], raw_body: bytes, now: datetime
) -> Sequence[GatewayEvent]:
    return runtime.gateways.verify_and_parse_webhook(
        gateway,
        endpoint.secret_reference,
        endpoint.merchant_account,
        headers,
        raw_body,
        now,
        webhook_id=endpoint.webhook_id,
        notification_url=endpoint.notification_url,
    )


def _store(
    runtime: Runtime, gateway: str, endpoint: Endpoint, event: GatewayEvent, now: datetime, correlation_id: str
) -> tuple[UUID | None, bool]:
    """Return the id of the event if it was new, and whether nothing of it is left to settle."""
    with runtime.database.transaction(endpoint.organization_id, now=now, actor=f"webhook:{gateway}") as transaction:
        is_done = _is_told_before(transaction, endpoint, event)
        stored = store_event(
            transaction,
            event,
            gateway=gateway,
            gateway_account_id=endpoint.gateway_account_id,
            correlation_id=correlation_id,
            is_done=is_done,
            commit=True,
        )
    return stored, is_done


def _is_told_before(transaction: Transaction, endpoint: Endpoint, event: GatewayEvent) -> bool:
    if event.event_type is None or event.payment_id is None:
        return False
    return is_told_before(transaction, endpoint.gateway_account_id, event.payment_id, tidings_of(event, None))


def _endpoint(runtime: Runtime, gateway: str, endpoint_key: str, now: datetime) -> Endpoint:
    """Find the endpoint before the tenant is known, by a definer function that can see endpoint keys and no more."""
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
