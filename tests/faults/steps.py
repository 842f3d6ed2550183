"""The steps that victims are sent on: what one invocation of one function does."""

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

from holdfast.flows.addresses.locate_address import AddressSearch
from holdfast.flows.archive.archive_orders import Archived, archive_orders
from holdfast.flows.archive.export_to_cold_storage import export_to_cold_storage
from holdfast.flows.archive.purge_orders import purge_orders
from holdfast.flows.archive.verify_archive import verify_new_batches
from holdfast.flows.checkout import place_order as place_order_module
from holdfast.flows.checkout.charge_payment import Attempt
from holdfast.flows.checkout.pay_order import PayOrder, pay_order
from holdfast.flows.checkout.place_order import PlaceOrder, place_order
from holdfast.flows.claims.idempotency import Answer
from holdfast.flows.dead_letters.alert_dead_letters import alert_dead_letters
from holdfast.flows.dead_letters.auto_replay import auto_replay
from holdfast.flows.dead_letters.count_dead_letters import count_dead_letters
from holdfast.flows.dead_letters.replay_dead_letter import ReplayResult, replay_dead_letter
from holdfast.flows.money.apply_payment_event import apply_payment_event
from holdfast.flows.money.capture_order import CaptureOrder, capture_order
from holdfast.flows.money.receive_webhook import receive_webhook
from holdfast.flows.money.watch_authorizations import watch_authorizations
from holdfast.flows.money.watch_payments import check_payments, resume_returns, sweep_payment_events
from holdfast.flows.operations.relay_outbox import relay_outbox
from holdfast.flows.orders.cancel_order import CancelOrder, cancel_order
from holdfast.flows.orders.expire_reservations import Expired, expire_reservations
from holdfast.flows.shipping.ship_shipment import ShipShipment, ship_shipment
from holdfast.payments.model import EventState
from holdfast.runtime import Runtime
from holdfast.web.answers import capture_answer, order_answer, payment_answer
from holdfast.web.shipment_answers import shipped_answer

Clock = Callable[[], datetime]
TIME_LEFT_SECONDS = 60.0


def place(runtime: Runtime, clock: Clock, command: PlaceOrder) -> Answer:
    """``POST /v1/checkout``."""
    return place_order(runtime, command, clock, payment_answer)


def place_without_paying(runtime: Runtime, clock: Clock, command: PlaceOrder) -> None:
    """A checkout that died right after its order was committed: the gateway was asked nothing."""
    search = AddressSearch(runtime, command.caller.organization_id, command.request.shipping_address)
    attempt = place_order_module._try_to_place(runtime, command, search, clock(), {})
    assert isinstance(attempt, Attempt)


def pay(runtime: Runtime, clock: Clock, command: PayOrder) -> Answer:
    """``POST /v1/orders/{id}/payments``."""
    return pay_order(runtime, command, clock, payment_answer)


def cancel(runtime: Runtime, clock: Clock, command: CancelOrder) -> Answer:
    """``POST /v1/orders/{id}/cancel``."""
    return cancel_order(runtime, command, clock, order_answer)


def capture(runtime: Runtime, clock: Clock, command: CaptureOrder) -> Answer:
    """``POST /v1/orders/{id}/capture``."""
    return capture_order(runtime, command, clock, capture_answer)


def ship(runtime: Runtime, clock: Clock, command: ShipShipment) -> Answer:
    """``POST /v1/ops/shipments/{id}/ship``."""
    return ship_shipment(runtime, command, clock, shipped_answer)


def receive(runtime: Runtime, clock: Clock, endpoint_key: str, headers: Mapping[str, str], body: bytes) -> int:
    """``POST /v1/webhooks/stripe/{endpoint_key}``."""
    return receive_webhook(runtime, "stripe", endpoint_key, headers, body, clock(), "test")


def apply(runtime: Runtime, clock: Clock, organization_id: UUID, event_id: UUID) -> EventState | None:
    """One message of the queue of payment events."""
    return apply_payment_event(runtime, organization_id, event_id, clock)


def expire(runtime: Runtime, clock: Clock) -> Expired:
    """A tick of ``reservation_expiry``."""
    return expire_reservations(runtime, clock, lambda: TIME_LEFT_SECONDS)


def replay(runtime: Runtime, clock: Clock, organization_id: UUID, dead_letter_id: UUID) -> ReplayResult:
    """``POST /v1/ops/dead-letters/{id}/replay``."""
    return replay_dead_letter(runtime, organization_id, dead_letter_id, clock, actor="staff:a-person")


def keep_dead_letters(runtime: Runtime, clock: Clock) -> int:
    """A tick of ``dlq_retries``."""
    auto_replay(runtime, clock)
    count_dead_letters(runtime, clock())
    return alert_dead_letters(runtime, clock)


def relay(runtime: Runtime, clock: Clock) -> int:
    """A bell or a tick of ``outbox_relay``."""
    return relay_outbox(runtime, clock, lambda: TIME_LEFT_SECONDS)


def watch(runtime: Runtime, clock: Clock) -> int:
    """A tick of ``payment_watchdog``."""
    looked_at = check_payments(runtime, clock) + resume_returns(runtime, clock) + watch_authorizations(runtime, clock)
    return sweep_payment_events(runtime, clock()) + looked_at


def put_away(runtime: Runtime, clock: Clock) -> Archived:
    """Ticks of ``archival`` and ``archive_verification``: an order a batch, so that there is much to die in."""
    archived = archive_orders(runtime, clock, lambda: TIME_LEFT_SECONDS, batch_max_orders=1)
    verify_new_batches(runtime, clock, lambda: TIME_LEFT_SECONDS)
    purge_orders(runtime, clock, lambda: TIME_LEFT_SECONDS)
    return archived


def export(runtime: Runtime, clock: Clock) -> int:
    """A tick of ``cold_export``."""
    return export_to_cold_storage(runtime, clock, lambda: TIME_LEFT_SECONDS).orders
