"""Differences that the database alone reveals: money without a live order, orders without money, overdue items.

Money that a finished order still has, and whose return nobody has decided, is a clear case: its return is decided here
and carried out like any other. All other differences are recorded, and a person is called.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.money.money_differences import close_differences, record_differences
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.money.settlement import write
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.orders.locked_order import lock_order
from holdfast.orders.lifecycle import TERMINAL
from holdfast.payments.reconciliation import FROM_GATEWAY, DifferenceKind
from holdfast.runtime import Runtime

ACTOR: Final = "system:money_watchdog"
WINDOW_DAYS: Final = 30
"""Only orders up to this age are searched for new differences; an older one was searched on each of these days."""
SETTLED_SECONDS: Final = 3600
"""Anything younger than this many seconds may still be under way."""
UNDECIDED_SECONDS: Final = 24 * 3600
REFUND_UNDECIDED_DAYS: Final = 10
"""How many days a refund may be pending here or at its gateway: longer than any bank takes."""
EXPIRING_SECONDS: Final = 24 * 3600
FOUND_MAX_ROWS: Final = 500
"""How many new differences of a kind one look takes on; the next takes on more."""
_FROM_DATABASE: Final = sorted(set(DifferenceKind) - FROM_GATEWAY)

_logger = logging.getLogger(__name__)

# Each part is bounded by an index, and looks either for what is new or at what is open: an open difference is looked at
# however old it is and however many there are, so that nothing but its own end closes it.
_PARTS: Final = """
    WITH known AS (
        SELECT kind, subject_id FROM payments.money_differences
         WHERE organization_id = :organization_id AND status = 'open'
    ), stray AS (
        SELECT 'captured_without_live_order' AS kind, p.id AS subject_id, o.id AS order_id, p.id AS payment_id,
               0::bigint AS ours, NULL::bigint AS gateways,
               p.capturable_amount + p.captured_amount - p.refunded_amount - p.refunding_amount
                   - p.charged_back_amount AS amount_at_risk, p.currency::text AS currency,
               'order ' || o.order_number || ' is ' || o.status || ' and its payment is ' || p.status AS details
          FROM orders.orders o
          JOIN payments.payments p ON p.organization_id = o.organization_id AND p.order_id = o.id
         WHERE o.organization_id = :organization_id AND o.status IN ('cancelled', 'refunded', 'payment_failed')
           AND {order_since} AND o.status_changed_at <= :settled
           AND p.id {among} (SELECT k.subject_id FROM known k WHERE k.kind = 'captured_without_live_order')
           AND (p.capturable_amount > 0
                OR p.captured_amount > p.refunded_amount + p.refunding_amount + p.charged_back_amount)
           AND NOT EXISTS (SELECT 1 FROM orders.order_operations x
                            WHERE x.organization_id = o.organization_id AND x.order_id = o.id AND x.payment_id = p.id
                              AND x.state = 'running')
         {limit}
    ), unpaid AS (
        SELECT 'confirmed_without_money', o.id, o.id, NULL::uuid, o.total, NULL::bigint, o.total, o.currency::text,
               'order ' || o.order_number || ' is ' || o.status || ' and no payment of it has money'
          FROM orders.orders o
         WHERE o.organization_id = :organization_id AND {order_since}
           AND o.id {among} (SELECT k.subject_id FROM known k WHERE k.kind = 'confirmed_without_money')
           AND o.status IN ('payment_confirmed', 'address_review', 'confirmed', 'processing', 'partially_shipped',
                            'shipped')
           AND o.source <> 'marketplace' AND o.total > 0
           AND NOT EXISTS (SELECT 1 FROM payments.payments p
                            WHERE p.organization_id = o.organization_id AND p.order_id = o.id
                              AND p.status IN ('authorized', 'captured', 'partially_refunded'))
         {limit}
    ), unmatched AS (
        SELECT 'unmatched_event', e.id, NULL::uuid, NULL::uuid, 0::bigint, (e.news ->> 'amount_minor')::bigint,
               GREATEST(COALESCE((e.news ->> 'amount_minor')::bigint, 0), 0), COALESCE(e.news ->> 'currency', 'XXX'),
               e.gateway || ' tells ' || e.event_type || ' of a payment that is not known here'
          FROM payments.payment_events e
         WHERE e.organization_id = :organization_id AND e.payment_id IS NULL AND e.event_type IS NOT NULL
           AND e.state <> 'processed'
           AND NOT EXISTS (SELECT 1 FROM payments.dead_letters l
                            WHERE l.organization_id = e.organization_id AND l.event_id = e.id
                              AND l.resolved_at IS NOT NULL)
           AND {event_since} AND e.received_at <= :settled
           AND e.id {among} (SELECT k.subject_id FROM known k WHERE k.kind = 'unmatched_event')
         {limit}
    ), expiring AS (
        SELECT 'authorization_expiring', p.id, p.order_id, p.id, p.capturable_amount, NULL::bigint,
               p.capturable_amount, p.currency::text,
               'the authorization of payment ' || p.id || ' runs out at ' || p.authorization_expires_at
          FROM payments.payments p
         WHERE p.organization_id = :organization_id AND p.capturable_amount > 0
           AND {end_since} AND p.authorization_expires_at <= :expiring
           AND p.id {among} (SELECT k.subject_id FROM known k WHERE k.kind = 'authorization_expiring')
         {limit}
    ), undecided AS (
        SELECT 'undecided_too_long', p.id, p.order_id, p.id, p.amount, NULL::bigint, p.amount, p.currency::text,
               'payment ' || p.id || ' is ' || p.status || ' since ' || p.created_at
          FROM payments.payments p
         WHERE p.organization_id = :organization_id AND p.status IN ('pending', 'processing', 'requires_action')
           AND p.created_at <= :undecided
           AND p.id {among} (SELECT k.subject_id FROM known k WHERE k.kind = 'undecided_too_long')
         {limit}
    ), refunding AS (
        SELECT 'refund_undecided', r.id, r.order_id, r.payment_id, r.amount, NULL::bigint, r.amount, r.currency::text,
               'refund ' || r.id || ' is ' || r.status || ' since ' || r.created_at || '; at the gateway it is '
                   || COALESCE(r.gateway_refund_id, 'not known')
          FROM payments.refunds r
         WHERE r.organization_id = :organization_id AND r.status IN ('pending', 'processing')
           AND r.created_at <= :refund_undecided
           AND r.id {among} (SELECT k.subject_id FROM known k WHERE k.kind = 'refund_undecided')
         {limit}
    )
    SELECT * FROM stray UNION ALL SELECT * FROM unpaid UNION ALL SELECT * FROM unmatched
    UNION ALL SELECT * FROM expiring UNION ALL SELECT * FROM undecided
    UNION ALL SELECT * FROM refunding
"""
_NEW: Final = _PARTS.format(
    among="NOT IN",
    order_since="o.id >= tenancy.uuid_v7_floor(:window_begin)",
    event_since="e.id >= tenancy.uuid_v7_floor(:window_begin)",
    end_since="p.authorization_expires_at >= :window_begin",
    limit="LIMIT :limit",
)
_OPEN: Final = _PARTS.format(among="IN", order_since="true", event_since="true", end_since="true", limit="")
_LOOK: Final = f"({_NEW}) UNION ALL ({_OPEN})"
"""A single statement, so that everything is seen at one moment."""


def look_for_differences(runtime: Runtime, organization_id: UUID, clock: Callable[[], datetime]) -> int:
    """Check one organization: decide the clear cases, record the rest, and return how many differences remain.

    It is safe to run twice: known differences are refreshed, and those that are gone are closed.
    """
    now = clock()
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        found = find_differences(transaction)
    returned = {each["payment_id"] for each in found if _is_given_back(runtime, organization_id, each, clock)}
    left = [each for each in found if each["payment_id"] not in returned or each["payment_id"] is None]
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        record_differences(transaction, now.date().isoformat(), left)
        close_differences(transaction, _FROM_DATABASE, not_seen_since=now)
    return len(left)


def find_differences(transaction: Transaction) -> list[Mapping[str, Any]]:
    """Return all open differences that still exist, and up to ``FOUND_MAX_ROWS`` new ones of each kind."""
    now = transaction.now
    return records(
        transaction.rows(
            _LOOK,
            organization_id=transaction.tenant,
            window_begin=now - timedelta(days=WINDOW_DAYS),
            settled=now - timedelta(seconds=SETTLED_SECONDS),
            expiring=now + timedelta(seconds=EXPIRING_SECONDS),
            undecided=now - timedelta(seconds=UNDECIDED_SECONDS),
            refund_undecided=now - timedelta(days=REFUND_UNDECIDED_DAYS),
            limit=FOUND_MAX_ROWS,
        )
    )


def _is_given_back(
    runtime: Runtime, organization_id: UUID, found: Mapping[str, Any], clock: Callable[[], datetime]
) -> bool:
    """Return whether stray money is on its way back. What cannot be sent is logged and left to a person."""
    try:
        return _give_back(runtime, organization_id, found, clock)
    except Exception:
        _logger.exception("the money of payment %s could not be given back", found["payment_id"])
        return False


def _give_back(
    runtime: Runtime, organization_id: UUID, found: Mapping[str, Any], clock: Callable[[], datetime]
) -> bool:
    """Decide the return of stray money if the order is over and the return has not been given up.

    Returns whether it was decided and attempted.
    """
    if found["kind"] != DifferenceKind.CAPTURED_WITHOUT_LIVE_ORDER:
        return False
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        order = lock_order(transaction, found["order_id"])
        payment = order.payment(found["payment_id"])
        if order.status not in TERMINAL:
            return False
        write(transaction, order, Settlement(order_id=order.id, return_money_of=((payment.id, "late_payment"),)))
        # A return that was given up while the shop still has the money is not started again.
        if not lock_order(transaction, order.id).payment(payment.id).is_being_returned:
            return False
    return_money_owed(runtime, organization_id, order.id, clock)
    return True
