"""Named queries of the operations team and of the schedules."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from holdfast.flows.money.gateway_health import gateway_health
from holdfast.flows.money.list_disputes import DisputeStatus, list_disputes
from holdfast.flows.money.money_report import show_money_report
from holdfast.flows.money.refold_payments import Chosen, refold_for
from holdfast.flows.money.sweep_days import REFUND_LOOK_DAYS, _next_page, sweep_days
from holdfast.flows.notifications.read_facts import read_facts
from holdfast.flows.notifications.resume_messages import resume_messages
from holdfast.flows.notifications.work_messages import is_suppressed, list_messages, list_suppressions
from holdfast.flows.operations import keep_house as house_keeping
from holdfast.flows.operations.process_failures import (
    FailureStatus,
    count_process_failures,
    find_process_failure,
    list_process_failures,
)
from holdfast.flows.operations.process_failures import Filters as FailureFilters
from holdfast.flows.operations.relay_outbox import relay_outbox
from holdfast.flows.orders.order_timeline import order_timeline
from holdfast.notifications.model import MailKind, MessageStatus
from holdfast.runtime import Runtime
from tests.database.acting import SYSTEM
from tests.database.large_shop import Shop
from tests.database.named_queries.asking import Ask, Named, in_tenant, manager, once_each, statement

GATEWAY_ROWS_MAX = 20_000
"""Enough for an hour of API calls and everything that is open or unprocessed."""


class _Bus:
    def publish(self, events: list[Any]) -> set[UUID]:
        return {event.id for event in events}


def relay(runtime: Runtime, shop: Shop) -> object:
    runtime.__dict__["event_bus"] = _Bus()
    return relay_outbox(runtime, lambda: shop.now, once_each())


def purge(table: str) -> Ask:
    def ask(runtime: Runtime, shop: Shop) -> object:
        delete, age = house_keeping._PURGES[table]
        with runtime.database.transaction(None, now=shop.now) as transaction:
            return transaction.execute(delete, before=shop.now + timedelta(days=1) - age, limit=500)

    return ask


def failures(**which: Any) -> Ask:
    return lambda runtime, shop: list_process_failures(
        runtime, manager(shop), FailureFilters(**which), before=None, limit=50, now=shop.now
    )


def failure(runtime: Runtime, shop: Shop) -> object:
    """Find a process failure that is open, with its history."""
    page = list_process_failures(runtime, manager(shop), FailureFilters(), before=None, limit=1, now=shop.now)
    return find_process_failure(runtime, manager(shop), UUID(page["process_failures"][0]["id"]), shop.now)


def messages_of(which: Callable[[Shop], dict[str, Any]]) -> Ask:
    page: dict[str, Any] = {"order_id": None, "status": None, "before": None, "limit": 20}
    return lambda runtime, shop: list_messages(runtime, manager(shop), **page | which(shop), now=shop.now)


def suppressions_of(address: str | None) -> Ask:
    return lambda runtime, shop: list_suppressions(
        runtime, manager(shop), address=address, before=None, limit=20, now=shop.now
    )


def due_messages(runtime: Runtime, shop: Shop) -> object:
    """Run a tick of the mail sender, which finds no mail service and stops."""
    return resume_messages(runtime, lambda: shop.now, once_each())


NAMED: dict[str, Named] = {
    "outbox rows unpublished, in order": Named(relay, SYSTEM, 1_500),
    "health of the gateways": Named(
        lambda runtime, shop: gateway_health(runtime, manager(shop), shop.now), rows_max=GATEWAY_ROWS_MAX
    ),
    "an account's last webhook": Named(
        statement(
            "SELECT max(received_at) FROM payments.payment_events WHERE organization_id = :o"
            " AND gateway_account_id = :account AND gateway_event_type <> 'answer'"
        )
    ),
    "process failures open by process": Named(
        statement(
            "SELECT id FROM operations.process_failures WHERE organization_id = :o AND process_name = 'PaymentEvent'"
            " AND status = 'open' LIMIT 50"
        )
    ),
    "messages that are due": Named(due_messages, SYSTEM, 1_500),
    "messages of an order": Named(messages_of(lambda s: {"order_id": s.order_id})),
    "messages by status, newest first": Named(messages_of(lambda _: {"status": MessageStatus.FAILED})),
    "messages, newest first": Named(messages_of(lambda _: {})),
    "facts of an order for a mail": Named(
        lambda r, s: in_tenant(
            lambda t, _: read_facts(r, t, MailKind.ORDER_CONFIRMED, s.order_id, shipment_id=None, refund_id=None)
        )(r, s),
        SYSTEM,
    ),
    "suppression of an address": Named(in_tenant(lambda t, _: is_suppressed(t, "c6@example.com")), SYSTEM),
    "suppressions, newest first": Named(suppressions_of(None)),
    "suppressions of an address": Named(suppressions_of("c51@example.com")),
    "process failures by status, newest first": Named(failures()),
    "process failures of a process, newest first": Named(failures(process_name="PaymentEvent")),
    "process failures that are resolved, next page": Named(failures(status=FailureStatus.RESOLVED)),
    "process failures of an assignee, newest first": Named(failures(assigned_to="grace")),
    "process failures about a thing, for managers": Named(
        lambda r, s: failures(status=None, related_id=s.order_id)(r, s)
    ),
    "a process failure with its history": Named(failure),
    "process failures counted by process": Named(
        lambda r, s: count_process_failures(r, manager(s), s.now), rows_max=30_000
    ),
    "disputes by status, for managers": Named(
        lambda r, s: list_disputes(r, manager(s), status=DisputeStatus.OPENED, before=None, limit=50, now=s.now)
    ),
    "payments recomputed from their events": Named(
        lambda r, s: refold_for(r, manager(s), Chosen(payment_id=s.payment_id), s.now)
    ),
    "differences of a day": Named(
        lambda r, s: show_money_report(r, manager(s), (s.now - timedelta(days=9)).date(), s.now), rows_max=2_000
    ),
    "days that are over and not compared with the gateways": Named(
        lambda r, s: sweep_days(r, s.organization_id, lambda: s.now, lambda: 0.0), SYSTEM
    ),
    "payments to ask about of a day": Named(in_tenant(lambda t, s: _next_page(t, s.now.date(), 100)), SYSTEM, 4_000),
    # Of yesterday, because a whole day has the same number of events at every hour; it reads all of them once.
    "refunds to look at again": Named(
        in_tenant(lambda t, s: _next_page(t, s.now.date() + timedelta(days=max(REFUND_LOOK_DAYS) - 1), 100)),
        SYSTEM,
        3_000,
    ),
    "everything about one order, by time": Named(
        lambda r, s: order_timeline(r, manager(s), str(s.order_id), s.now), in_functions=True
    ),
    "audit of a record": Named(
        statement(
            "SELECT id FROM operations.audit_log WHERE organization_id = :o AND table_name = 'orders.orders'"
            " AND record_id = :order ORDER BY id DESC LIMIT 50"
        )
    ),
    **{
        f"{table} that have outlived their use, one batch": Named(purge(table), SYSTEM, 3_000)
        for table in house_keeping._PURGES
    },
    "keys of an order": Named(
        statement("SELECT key FROM orders.idempotency_keys WHERE organization_id = :o AND order_id = :order")
    ),
}
