"""The worker for payment events: one message, one event, one transaction."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from holdfast.flows.money.apply_payment_event import apply_payment_event
from holdfast.flows.money.gateway_run import GatewayRun
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.sqs import process_batch
from holdfast.web.telemetry import count


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Apply every event of the batch. Those that could not even be recorded are delivered again."""
    return process_batch(event, partial(_apply, GatewayRun(time_left(context))))


def _apply(run: GatewayRun, message: Mapping[str, Any]) -> None:
    organization_id, event_id = UUID(message["organization_id"]), UUID(message["payment_event_id"])
    state = apply_payment_event(runtime(), organization_id, event_id, utc_now, run)
    count("PaymentEvents", State=state or "nothing_to_do")
