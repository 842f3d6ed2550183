"""After the final capture: release the rest at a gateway that would otherwise go on holding it (Adyen)."""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from holdfast.flows.checkout.charge_payment import GATEWAY_DEADLINE_SECONDS, GatewayAnswer, attempt_of, record
from holdfast.flows.money.owed_operations import Owed
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment
from holdfast.gateways.answers import event_from_snapshot
from holdfast.gateways.registry import GATEWAYS
from holdfast.runtime import Runtime
from holdfast.values.errors import Rejected, Transient

ACTOR: Final = "system:capture_payment"

_logger = logging.getLogger(__name__)


def let_go_of_rest(
    runtime: Runtime,
    organization_id: UUID,
    order: LockedOrder,
    payment: LockedPayment,
    owed: Owed,
    clock: Callable[[], datetime],
) -> None:
    """Release what a capture left, if it was final, it stands, and the gateway does not release the rest by itself.

    Raises Transient as long as a retry is possible. What the gateway does not release expires by itself.
    """
    facts = payment.facts
    is_left = facts.collected_minor < facts.authorized_minor and not (facts.cancelled or facts.expired)
    if not owed.is_final or not is_left or GATEWAYS[payment.gateway].releases_rest:
        return
    try:
        _cancel(runtime, organization_id, order, payment, owed, clock)
    except (Rejected, Transient) as error:
        if isinstance(error, Transient) and not owed.is_last_attempt:
            raise
        _logger.warning("what the last capture of payment %s left is not given up: %s", payment.id, error)


def _cancel(
    runtime: Runtime,
    organization_id: UUID,
    order: LockedOrder,
    payment: LockedPayment,
    owed: Owed,
    clock: Callable[[], datetime],
) -> None:
    gateway = runtime.gateways.gateway(payment.gateway, payment.secret_reference, payment.merchant_account)
    begun = time.monotonic()
    snapshot = gateway.cancel(
        str(payment.gateway_transaction_id),
        idempotency_key=f"release-{owed.id}",
        deadline_seconds=GATEWAY_DEADLINE_SECONDS,
    )
    event = event_from_snapshot(snapshot, payment.id, clock())
    answer = GatewayAnswer("release", event, snapshot, round((time.monotonic() - begun) * 1000))
    record(runtime, attempt_of(organization_id, order, payment), answer, clock, ACTOR)
