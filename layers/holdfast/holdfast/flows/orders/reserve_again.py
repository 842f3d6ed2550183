"""Reserve the whole of an order again whose holds are gone and whose money is (or will be) there, or give up.

The warehouses may change. It is all or nothing, inside the caller's transaction, under the order's lock.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Row

from holdfast.database.errors import StaleFacts, translate
from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.planning import RequestedItem, allocate_lines, hold_document, read_facts
from holdfast.flows.money.settlement import cancel_for_lost_stock, confirm
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment
from holdfast.flows.orders.reallocate import record_reallocation
from holdfast.inventory.allocation import Line, Plan
from holdfast.inventory.reallocation import Cause, Outcome
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import CapacityExceeded, OutOfStock, StockContended
from holdfast.values.ids import uuid7

RESERVE_MAX_ATTEMPTS: Final = 3


def reserve_again(
    transaction: Transaction, order: LockedOrder, payment: LockedPayment, settlement: Settlement
) -> Settlement:
    """Settle a late payment: confirm the order with new stock, or cancel it and return the money."""
    try:
        hold_again(transaction, order, Cause.LATE_PAYMENT)
    except (OutOfStock, StockContended, CapacityExceeded):
        return cancel_for_lost_stock(order, payment, settlement)
    return replace(confirm(order, settlement), notes="paid late; the stock was reserved again")


def hold_again(transaction: Transaction, order: LockedOrder, cause: Cause) -> None:
    """Give the order new holds, and record why it ships from where. What is left of the old holds is released first.

    Raises OutOfStock or CapacityExceeded, or StockContended if others took the stock several times. After an error the
    holds are as they were before.
    """
    system = Caller(transaction.tenant, CallerKind.STAFF, "system")
    items = [RequestedItem(quantity=item.quantity, variant_id=item.variant_id) for item in order.items]
    for _ in range(RESERVE_MAX_ATTEMPTS):
        transaction.execute("SAVEPOINT reserve_again")
        try:
            former = _release_rest(transaction, order)
            facts = read_facts(transaction, system, items)
            plan = allocate_lines(
                [Line(item.variant_id, item.quantity) for item in order.items],
                order.destination,
                order.preference,
                facts,
                allow_capacity_overflow=True,
                skus={item.variant_id: item.sku for item in order.items},
            )
            transaction.value(
                "SELECT checkout.hold(:organization_id, CAST(:hold AS jsonb))",
                organization_id=transaction.tenant,
                hold=hold_document(
                    plan,
                    {item.variant_id: item.id for item in order.items},
                    order_id=order.id,
                    customer_id=order.customer_id,
                    now=transaction.now,
                    hold_expires_at=transaction.now + timedelta(seconds=order.payment_hold_seconds),
                    performed_by=transaction.actor,
                    strict_capacity=False,
                ),
            )
            _record(transaction, order, cause, former, plan)
        except (OutOfStock, CapacityExceeded):
            transaction.execute("ROLLBACK TO SAVEPOINT reserve_again")
            raise
        except Exception as error:
            if not isinstance(translate(error), StaleFacts):
                raise
            transaction.execute("ROLLBACK TO SAVEPOINT reserve_again")
            continue
        return
    raise StockContended("the stock was taken while it was being reserved again")


def _release_rest(transaction: Transaction, order: LockedOrder) -> Sequence[Row[Any]]:
    """Release the remaining holds and supersede the allocation.

    Return the former warehouses, and what shipping a parcel from each was to cost.
    """
    transaction.value(
        "SELECT inventory.resolve_reservations(:organization_id, :order_id, :now, 'expired', 'reserved again', :actor)",
        organization_id=transaction.tenant,
        order_id=order.id,
        now=transaction.now,
        actor=transaction.actor,
    )
    return transaction.rows(
        """
        WITH former AS (
            UPDATE orders.order_allocations SET superseded_at = :now
             WHERE organization_id = :organization_id AND order_id = :order_id AND superseded_at IS NULL
            RETURNING warehouse_id, shipping_cost
        )
        SELECT w.code, max(f.shipping_cost) AS shipping_cost
          FROM former f JOIN inventory.warehouses w ON w.organization_id = :organization_id AND w.id = f.warehouse_id
         GROUP BY w.code ORDER BY w.code
        """,
        organization_id=transaction.tenant,
        order_id=order.id,
        now=transaction.now,
    )


def _record(transaction: Transaction, order: LockedOrder, cause: Cause, former: Sequence[Row[Any]], plan: Plan) -> None:
    transaction.execute(
        "UPDATE orders.orders SET is_split_shipment = :is_split WHERE organization_id = :organization_id AND id = :id",
        organization_id=transaction.tenant,
        id=order.id,
        is_split=plan.is_split,
    )
    record_reallocation(
        transaction,
        order.id,
        cause,
        Outcome.APPLIED,
        reallocation_id=uuid7(transaction.now),
        costs_minor=(sum(row.shipping_cost for row in former), plan.shipping_cost_minor),
        reason="its holds had expired: the stock was reserved again",
        reasons={
            "from": [row.code for row in former],
            "to": sorted(share.code for share in plan.per_warehouse),
            "decision": plan.reasons,
        },
    )
