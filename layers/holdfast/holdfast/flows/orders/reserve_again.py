"""An order whose holds are gone and whose money is (or shall be) there: reserve all of it again, or give up.

Warehouses may change. It is all or nothing, inside the caller's transaction, under the order's lock.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from holdfast.database.errors import StaleFacts, translate
from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.planning import RequestedItem, allocate_lines, hold_document, read_facts
from holdfast.flows.money.settlement import Settlement, cancel_for_lost_stock, confirm
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment
from holdfast.inventory.allocation import Line
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import CapacityExceeded, OutOfStock, StockContended

RESERVE_MAX_ATTEMPTS: Final = 3


def reserve_again(
    transaction: Transaction, order: LockedOrder, payment: LockedPayment, settlement: Settlement
) -> Settlement:
    """The late payment: confirm with new stock, or cancel and return the money."""
    try:
        hold_again(transaction, order)
    except (OutOfStock, StockContended, CapacityExceeded):
        return cancel_for_lost_stock(order, payment, settlement)
    return replace(confirm(order, settlement), notes="paid late; the stock was reserved again")


def hold_again(transaction: Transaction, order: LockedOrder) -> None:
    """Give the order new holds. What is left of the old ones is released first.

    Raises OutOfStock, or StockContended when the stock was snatched away several times; nothing is held then.
    """
    system = Caller(transaction.tenant, CallerKind.STAFF, "system")
    items = [RequestedItem(quantity=item.quantity, variant_id=item.variant_id) for item in order.items]
    for _ in range(RESERVE_MAX_ATTEMPTS):
        transaction.execute("SAVEPOINT reserve_again")
        try:
            _release_rest(transaction, order)
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


def _release_rest(transaction: Transaction, order: LockedOrder) -> None:
    transaction.value(
        "SELECT inventory.resolve_reservations(:organization_id, :order_id, :now, 'expired', 'reserved again', :actor)",
        organization_id=transaction.tenant,
        order_id=order.id,
        now=transaction.now,
        actor=transaction.actor,
    )
    transaction.execute(
        """
        UPDATE orders.order_allocations SET superseded_at = :now
         WHERE organization_id = :organization_id AND order_id = :order_id AND superseded_at IS NULL
        """,
        organization_id=transaction.tenant,
        order_id=order.id,
        now=transaction.now,
    )
