"""The steps that processes are sent on: each is what one invocation of one function does."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.flows.archive.archive_orders import Archived, archive_orders
from holdfast.flows.archive.erase_customer import erase_customer
from holdfast.flows.archive.export_to_cold_storage import export_to_cold_storage
from holdfast.flows.archive.purge_orders import purge_orders
from holdfast.flows.archive.restore_month import restore_months
from holdfast.flows.archive.restore_order import restore_order
from holdfast.flows.archive.verify_archive import verify_new_batches
from holdfast.flows.checkout.complete_payment import CompletePayment, complete_payment
from holdfast.flows.checkout.pay_order import PayOrder, pay_order
from holdfast.flows.checkout.payment_methods import forget_methods, make_default, remove_payment_method
from holdfast.flows.checkout.place_order import PlaceOrder, place_order
from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.flows.dead_letters.alert_dead_letters import alert_dead_letters
from holdfast.flows.dead_letters.auto_replay import auto_replay
from holdfast.flows.dead_letters.change_error_classes import Proposal, create_error_class, set_auto_replay
from holdfast.flows.dead_letters.count_dead_letters import count_dead_letters
from holdfast.flows.dead_letters.replay_dead_letter import ReplayResult, replay_dead_letter
from holdfast.flows.dead_letters.replay_group import Rate, advance_group_replays, start_group_replay
from holdfast.flows.dead_letters.work_dead_letters import Step, take_step
from holdfast.flows.money.apply_payment_event import apply_payment_event
from holdfast.flows.money.capture_order import CaptureOrder, capture_order
from holdfast.flows.money.receive_webhook import receive_webhook
from holdfast.flows.money.refund_order import RefundOrder, refund_order
from holdfast.flows.money.watch_authorizations import watch_authorizations
from holdfast.flows.money.watch_money import watch_money
from holdfast.flows.money.watch_payments import check_payments, resume_returns, sweep_payment_events
from holdfast.flows.notifications.notify_shopper import notify_shopper
from holdfast.flows.notifications.record_feedback import record_feedback
from holdfast.flows.notifications.resume_messages import resume_messages
from holdfast.flows.operations.keep_house import keep_house
from holdfast.flows.operations.relay_outbox import relay_outbox
from holdfast.flows.orders.cancel_order import CancelOrder, cancel_order
from holdfast.flows.orders.expire_reservations import Expired, expire_reservations
from holdfast.flows.shipping.ship_shipment import ShipShipment, ship_shipment
from holdfast.flows.stock import transfers
from holdfast.flows.stock.capacity_overrides import Override, remove_override, set_override
from holdfast.flows.stock.change_stock import ChangeStock, change_stock
from holdfast.flows.stock.check_ledger import check_ledger
from holdfast.flows.stock.watch_capacity import watch_capacity
from holdfast.payments.dead_letters import DeadLetterAction
from holdfast.payments.model import EventState
from holdfast.runtime import Runtime
from holdfast.values.caller import Caller
from holdfast.web.answers import capture_answer, change_answer, completed_answer, order_answer, payment_answer
from holdfast.web.refund_answers import refund_answer
from holdfast.web.shipment_answers import shipped_answer

Clock = Callable[[], datetime]
TIME_LEFT_SECONDS = 60.0


def place(runtime: Runtime, clock: Clock, command: PlaceOrder) -> Answer:
    """``POST /v1/checkout``."""
    return place_order(runtime, command, clock, payment_answer)


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


def apply_by_id(runtime: Runtime, clock: Clock, organization_id: str, event_id: str) -> EventState | None:
    """The same, with ids spelled as in the message."""
    return apply(runtime, clock, UUID(organization_id), UUID(event_id))


def expire(runtime: Runtime, clock: Clock) -> Expired:
    """A tick of ``reservation_expiry``."""
    return expire_reservations(runtime, clock, lambda: TIME_LEFT_SECONDS)


def replay(runtime: Runtime, clock: Clock, organization_id: UUID, dead_letter_id: UUID) -> ReplayResult:
    """``POST /v1/ops/dead-letters/{id}/replay``."""
    return replay_dead_letter(runtime, organization_id, dead_letter_id, clock, actor="staff:a-person")


def relay(runtime: Runtime, clock: Clock) -> int:
    """A bell or a tick of ``outbox_relay``."""
    return relay_outbox(runtime, clock, lambda: TIME_LEFT_SECONDS)


def notify(runtime: Runtime, clock: Clock, topic: str, event: Mapping[str, Any]) -> None:
    """One message of the queue of notifications."""
    notify_shopper(runtime, topic, event, clock)


def resume_mails(runtime: Runtime, clock: Clock) -> None:
    """A tick of ``notifications``."""
    resume_messages(runtime, clock, lambda: TIME_LEFT_SECONDS)


def take_feedback(runtime: Runtime, clock: Clock, event: Mapping[str, Any]) -> None:
    """One message of the queue of bounces and complaints."""
    record_feedback(runtime, event, clock())


def watch(runtime: Runtime, clock: Clock) -> int:
    """A tick of ``payment_watchdog``."""
    looked_at = check_payments(runtime, clock) + resume_returns(runtime, clock) + watch_authorizations(runtime, clock)
    return sweep_payment_events(runtime, clock()) + looked_at


def watch_everything(runtime: Runtime, clock: Clock) -> int:
    """A tick of ``payment_watchdog``, as its handler runs it."""
    forgotten = forget_methods(runtime, clock)
    return watch(runtime, clock) + forgotten


def keep_all_dead_letters(runtime: Runtime, clock: Clock) -> int:
    """A tick of ``dlq_retries``, as its handler runs it."""
    auto_replay(runtime, clock)
    advance_group_replays(runtime, clock)
    count_dead_letters(runtime, clock())
    return alert_dead_letters(runtime, clock)


def watch_the_books(runtime: Runtime, clock: Clock) -> int:
    """A tick of ``money_watchdog``."""
    return watch_money(runtime, clock, _time_left).differences


def watch_the_warehouses(runtime: Runtime, clock: Clock) -> None:
    """A tick of ``capacity_watch``."""
    watch_capacity(runtime, clock, _time_left)


def keep_the_house(runtime: Runtime, clock: Clock) -> None:
    """A tick of ``housekeeping``."""
    keep_house(runtime, clock, _time_left)


def check_the_ledger(runtime: Runtime, clock: Clock) -> int:
    """A tick of ``ledger_check``."""
    return check_ledger(runtime, clock, _time_left).differences


def complete(runtime: Runtime, clock: Clock, command: CompletePayment) -> Answer:
    """``POST /v1/orders/{id}/payments/{id}/complete``."""
    return complete_payment(runtime, command, clock, completed_answer)


def refund(runtime: Runtime, clock: Clock, command: RefundOrder) -> Answer:
    """``POST /v1/orders/{id}/refunds``."""
    return refund_order(runtime, command, clock, refund_answer)


def choose_default(runtime: Runtime, clock: Clock, caller: Caller, payment_method_id: UUID) -> Mapping[str, Any]:
    """``PUT /v1/payment-methods/{id}/default``."""
    return make_default(runtime, caller, payment_method_id, clock())


def remove_method(runtime: Runtime, clock: Clock, caller: Caller, payment_method_id: UUID) -> Mapping[str, Any]:
    """``DELETE /v1/payment-methods/{id}``."""
    return remove_payment_method(runtime, caller, payment_method_id, clock)


def change_goods(runtime: Runtime, clock: Clock, command: ChangeStock) -> Answer:
    """``POST /v1/ops/stock/...``: goods come in, are counted, or break."""
    return change_stock(runtime, command, clock(), change_answer("change"))


def request_transfer(runtime: Runtime, clock: Clock, request: transfers.Request, wanted: Mapping[str, Any]) -> Answer:
    """``POST /v1/ops/transfers``."""
    return transfers.request_transfer(runtime, request, **wanted, now=clock(), render=_transfer)


def ship_transfer(runtime: Runtime, clock: Clock, request: transfers.Request, transfer_id: UUID) -> Answer:
    """``POST /v1/ops/transfers/{id}/ship``."""
    return transfers.ship_transfer(runtime, request, transfer_id, clock(), _transfer)


def receive_transfer(
    runtime: Runtime, clock: Clock, request: transfers.Request, transfer_id: UUID, arrived: Mapping[str, Any]
) -> Answer:
    """``POST /v1/ops/transfers/{id}/receive``."""
    return transfers.receive_transfer(runtime, request, transfer_id, **arrived, now=clock(), render=_transfer)


def cancel_transfer(runtime: Runtime, clock: Clock, request: transfers.Request, transfer_id: UUID) -> Answer:
    """``POST /v1/ops/transfers/{id}/cancel``."""
    return transfers.cancel_transfer(runtime, request, transfer_id, "not needed", clock(), _transfer)


def override_capacity(
    runtime: Runtime, clock: Clock, caller: Caller, claim: Claim, warehouse_id: UUID, override: Override
) -> Answer:
    """``POST /v1/ops/capacity/overrides``."""
    return set_override(runtime, caller, claim, warehouse_id, override, clock(), change_answer("override"))


def drop_override(runtime: Runtime, clock: Clock, caller: Caller, override_id: UUID, version: int) -> Mapping[str, Any]:
    """``DELETE /v1/ops/capacity/overrides/{id}``."""
    return remove_override(runtime, caller, override_id, version, clock())


def work_on_dead_letter(runtime: Runtime, clock: Clock, caller: Caller, step: Step) -> Mapping[str, Any]:
    """``POST /v1/ops/dead-letters/{id}/...``."""
    return take_step(runtime, caller, step, clock())


def heal(runtime: Runtime, clock: Clock, caller: Caller, dead_letter_id: UUID) -> ReplayResult | None:
    """Act as a person who marks a dead letter ready and replays it.

    Return ``None`` if there is no such dead letter; one that is resolved or in other hands is refused.
    """
    with runtime.database.transaction(caller.organization_id, now=clock(), actor=caller.actor) as transaction:
        row = transaction.row(
            "SELECT status, version FROM payments.dead_letters WHERE organization_id = :o AND id = :id",
            o=caller.organization_id,
            id=dead_letter_id,
        )
    if row is None:
        return None
    if row.status not in ("ready_for_replay", "pending_review"):
        take_step(runtime, caller, Step(DeadLetterAction.MADE_READY, dead_letter_id, row.version, "mended"), clock())
    return replay_dead_letter(runtime, caller.organization_id, dead_letter_id, clock, actor=caller.actor)


def replay_group(runtime: Runtime, clock: Clock, caller: Caller, fingerprint: str) -> Mapping[str, Any]:
    """``POST /v1/ops/dead-letters/groups/{fingerprint}/replay``."""
    return start_group_replay(runtime, caller, fingerprint, Rate(per_minute=2, max_replays=10), clock, _time_left)


def write_class(runtime: Runtime, clock: Clock, caller: Caller, proposal: Proposal) -> Mapping[str, Any]:
    """``POST /v1/ops/error-classes``."""
    return create_error_class(runtime, caller, proposal, clock())


def let_class_replay(runtime: Runtime, clock: Clock, caller: Caller, class_id: UUID, version: int) -> Mapping[str, Any]:
    """``PUT /v1/ops/error-classes/{id}/auto-replay``."""
    return set_auto_replay(runtime, caller, class_id, enabled=True, version=version, now=clock())


_transfer = change_answer("transfer")


def _time_left() -> float:
    return TIME_LEFT_SECONDS


def put_away(runtime: Runtime, clock: Clock) -> Archived:
    """Ticks of ``archival`` and ``archive_verification``, with one order per batch: there are many points to die at."""
    archived = archive_orders(runtime, clock, lambda: TIME_LEFT_SECONDS, batch_max_orders=1)
    verify_new_batches(runtime, clock, lambda: TIME_LEFT_SECONDS)
    purge_orders(runtime, clock, lambda: TIME_LEFT_SECONDS)
    return archived


def restore(runtime: Runtime, clock: Clock, organization_id: UUID, order_id: UUID) -> bool:
    """``POST /v1/ops/archive/orders/{reference}/restore``."""
    return restore_order(runtime, organization_id, order_id, clock(), "staff:test", "a test")


def erase(runtime: Runtime, clock: Clock, caller: Caller, customer_id: UUID) -> Mapping[str, Any]:
    """``POST /v1/ops/customers/{customer_id}/erase``."""
    return erase_customer(runtime, caller, customer_id, reason="asked for", now=clock())


def restore_month(runtime: Runtime, clock: Clock) -> int:
    """A tick of ``cold_export`` that restores the months that were asked for."""
    return restore_months(runtime, clock, lambda: TIME_LEFT_SECONDS).orders


def export(runtime: Runtime, clock: Clock) -> int:
    """A tick of ``cold_export``."""
    return export_to_cold_storage(runtime, clock, lambda: TIME_LEFT_SECONDS).orders
