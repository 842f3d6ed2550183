"""Named queries about payments, their events, refunds and disputes."""

from typing import Any
from uuid import uuid4

from holdfast.flows.money.gateway_run import GatewayRun
from holdfast.flows.money.owed_operations import Kind, claim_due
from holdfast.flows.money.settlement import write
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.money.watch_authorizations import watch_authorizations
from holdfast.flows.money.watch_payments import check_payments, resume_returns, sweep_payment_events
from holdfast.flows.orders.locked_order import lock_order
from holdfast.orders.lifecycle import OrderStatus
from holdfast.runtime import Runtime
from tests.database.acting import SYSTEM
from tests.database.large_shop import Shop
from tests.database.named_queries.asking import Named, in_tenant, statement

OUT_OF_TIME = GatewayRun(lambda: 0.0)


class _Queue:
    def send_all(self, messages: list[Any]) -> int:
        return len(messages)


def sweep(runtime: Runtime, shop: Shop) -> object:
    runtime.__dict__["payment_events_queue"] = _Queue()
    return sweep_payment_events(runtime, shop.now)


def settle(transaction: Any, shop: Shop) -> object:
    order = lock_order(transaction, shop.order_id)
    return write(transaction, order, Settlement(order_id=order.id, path=(OrderStatus.PROCESSING,), notes="test"))


def store_event(transaction: Any, shop: Shop) -> object:
    event = {
        "id": str(uuid4()),
        "gateway": "stripe",
        "gateway_account_id": str(shop.gateway_account_id),
        "gateway_event_id": "evt_new",
        "gateway_transaction_id": shop.transaction_id,
        "event_type": "capture_succeeded",
        "gateway_event_type": "payment_intent.succeeded",
        "news": {},
        "payload": {},
        "occurred_at": shop.now.isoformat(),
        "received_at": shop.now.isoformat(),
        "state": "pending",
    }
    sql = "SELECT payments.store_event(:o, CAST(:event AS jsonb))"
    stored = transaction.value(sql, o=shop.organization_id, event=event)
    claim = "SELECT payments.claim_event(:o, :id, :now, 90)"
    return transaction.value(claim, o=shop.organization_id, id=stored, now=shop.now)


NAMED: dict[str, Named] = {
    "payment by gateway id": Named(in_tenant(store_event), in_functions=True),
    "payments pending too long": Named(lambda r, s: check_payments(r, lambda: s.now, OUT_OF_TIME), SYSTEM, 1_100),
    "authorizations about to expire": Named(
        lambda r, s: watch_authorizations(r, lambda: s.now, OUT_OF_TIME), SYSTEM, 1_100
    ),
    "payment events unprocessed and due": Named(sweep, SYSTEM, 1_100),
    "events of a payment": Named(
        statement(
            "SELECT id FROM payments.payment_events WHERE organization_id = :o AND payment_id = :payment ORDER BY id"
        )
    ),
    "payment events unmatched": Named(
        statement(
            "SELECT id FROM payments.payment_events WHERE organization_id = :o AND payment_id IS NULL"
            " ORDER BY id LIMIT 50"
        )
    ),
    "refunds of a payment": Named(
        statement("SELECT id FROM payments.refunds WHERE organization_id = :o AND payment_id = :payment")
    ),
    "refunds pending": Named(
        statement(
            "SELECT id FROM payments.refunds WHERE organization_id = :o AND status IN ('pending', 'processing')"
            " AND created_at <= now() - interval '10 days' LIMIT 500"
        ),
        SYSTEM,
    ),
    "disputes by status, newest first": Named(
        statement(
            "SELECT id FROM payments.disputes WHERE organization_id = :o AND status = 'opened'"
            " ORDER BY id DESC LIMIT 50"
        )
    ),
    "items of a refund": Named(
        statement("SELECT id FROM payments.refund_items WHERE organization_id = :o AND refund_id = :order")
    ),
    "refunds of an item": Named(
        statement("SELECT id FROM payments.refund_items WHERE organization_id = :o AND order_item_id = :order")
    ),
    "money owed back that is due": Named(lambda r, s: resume_returns(r, lambda: s.now, OUT_OF_TIME), SYSTEM, 1_100),
    "operations of an order": Named(in_tenant(lambda t, s: claim_due(t, s.order_id, tuple(Kind)))),
    "a settled decision, written": Named(in_tenant(settle), in_functions=True),
}
