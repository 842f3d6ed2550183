"""How many of the units that a refund covers had not left the warehouse. Those no longer leave."""

from uuid import UUID

from holdfast.flows.orders.locked_order import LockedOrder
from holdfast.flows.shipping.locked_shipments import lines_of
from holdfast.fulfillment.contents import unshipped_part
from holdfast.values.errors import Conflict


def unshipped_of(
    order: LockedOrder, order_item_id: UUID, quantity: int, *, has_left: bool, is_everything: bool = False
) -> int:
    """Return how many of ``quantity`` refunded units of a line stay in their warehouse.

    Refunds under way count as done. While the money for units that have not left is only authorized, a refund of
    everything (``is_everything``) refunds money only, and those units still leave: the result is 0. A refund of such
    units raises Conflict, because it would be paid out of the money captured for other units.
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
