"""Which of the units that a refund is about had not left: those do not leave any more."""

from uuid import UUID

from holdfast.flows.orders.locked_order import LockedOrder
from holdfast.flows.shipping.locked_shipments import lines_of
from holdfast.fulfillment.contents import unshipped_part
from holdfast.values.errors import Conflict


def unshipped_of(
    order: LockedOrder, order_item_id: UUID, quantity: int, *, has_left: bool, is_everything: bool = False
) -> int:
    """How many of ``quantity`` units of a line stay in their warehouse. Refunds under way count as given.

    While the money of what has not left is only held, a refund of everything is one of money: those still leave. One of
    units raises Conflict then: they would be paid out of the money of the others.
    """
    line = next(line for line in lines_of(order) if line.order_item_id == order_item_id)
    told = [item for refund in order.refunds if refund.counts for item in refund.items]
    taken = sum(item.quantity - item.unshipped for item in told if item.order_item_id == order_item_id)
    unshipped = unshipped_part(line, quantity, taken, has_left=has_left)
    is_held = any(payment.is_held and not payment.is_owed_back for payment in order.payments)
    if unshipped and is_held and is_everything:
        return 0
    if unshipped and is_held:
        raise Conflict(
            f"{unshipped} of item {order_item_id} have not left, and their money is only held: capture it first, or"
            " refund units that have left",
            order_item_id=str(order_item_id),
            unshipped_quantity=unshipped,
        )
    return unshipped
