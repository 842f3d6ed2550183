"""Which of the units that a refund is about had not left: those do not leave any more."""

from uuid import UUID

from holdfast.flows.orders.locked_order import LockedOrder
from holdfast.flows.shipping.locked_shipments import lines_of
from holdfast.fulfillment.contents import unshipped_part
from holdfast.values.errors import Conflict


def unshipped_of(order: LockedOrder, order_item_id: UUID, quantity: int, *, has_left: bool) -> int:
    """How many of ``quantity`` units of a line stay in their warehouse. Refunds under way count as given.

    Raises Conflict while the money of what has not left is only held: it would be paid out of that of the others.
    """
    line = next(line for line in lines_of(order) if line.order_item_id == order_item_id)
    told = [item for refund in order.refunds if refund.counts for item in refund.items]
    taken = sum(item.quantity - item.unshipped for item in told if item.order_item_id == order_item_id)
    unshipped = unshipped_part(line, quantity, taken, has_left=has_left)
    if unshipped and any(payment.is_held and not payment.is_owed_back for payment in order.payments):
        raise Conflict(
            f"{unshipped} of item {order_item_id} have not left, and their money is only held: capture it first, or"
            " refund units that have left",
            order_item_id=str(order_item_id),
            unshipped_quantity=unshipped,
        )
    return unshipped
