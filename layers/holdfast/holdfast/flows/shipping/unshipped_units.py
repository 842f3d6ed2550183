"""Which of the units that a refund is about had not left: those do not leave any more."""

from uuid import UUID

from holdfast.flows.orders.locked_order import LockedOrder
from holdfast.flows.shipping.locked_shipments import lines_of
from holdfast.fulfillment.contents import unshipped_part


def unshipped_of(order: LockedOrder, order_item_id: UUID, quantity: int, *, has_left: bool) -> int:
    """How many of ``quantity`` units of a line stay in their warehouse. Refunds under way count as given."""
    line = next(line for line in lines_of(order) if line.order_item_id == order_item_id)
    told = [item for refund in order.refunds if refund.counts for item in refund.items]
    taken = sum(item.quantity - item.unshipped for item in told if item.order_item_id == order_item_id)
    return unshipped_part(line, quantity, taken, has_left=has_left)
