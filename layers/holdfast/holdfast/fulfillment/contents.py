"""What is in a shipment, what of it leaves, and what that is worth. Pure functions that do not depend on the time.

**What pieces are worth.** A line was sold for one sum, which its pieces need not divide evenly. Pieces 1..k of n are
worth ``floor(sum x k / n)``, and the pieces that leave next are worth the growth of that figure. Over all shipments of
an order this adds up to exactly what its lines cost, to the minor unit. The order's shipping goes with the first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from holdfast.values.errors import Conflict, InvalidInput


@dataclass(frozen=True, slots=True)
class Piece:
    """A quantity of an order line, from one allocation."""

    allocation_id: UUID
    order_item_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the order as shipping sees it. ``worth_minor`` is what the shopper pays for the whole line."""

    order_item_id: UUID
    quantity: int
    worth_minor: int
    left: int
    """How many have left already."""
    withheld: int
    """How many were taken off by a refund before they left."""

    @property
    def may_leave(self) -> int:
        """How many more pieces may leave."""
        return max(0, self.quantity - self.withheld - self.left)

    def worth_of_next(self, quantity: int) -> int:
        """Return what the next ``quantity`` pieces to leave are worth, in minor units."""
        already = min(self.left, self.quantity)
        after = min(self.left + quantity, self.quantity)
        return self.worth_minor * after // self.quantity - self.worth_minor * already // self.quantity


def split(pieces: Sequence[Piece], named: Mapping[UUID, int]) -> tuple[Piece, ...]:
    """Return the pieces that leave. ``named`` maps order lines to the quantities that shall leave.

    Raises InvalidInput for a line that is not in the shipment, or a quantity larger than what is in it.
    """
    there = total(pieces)
    for number, (order_item_id, quantity) in enumerate(named.items()):
        if quantity > there.get(order_item_id, 0):
            message = f"{there.get(order_item_id, 0)} of this item are in the shipment"
            raise InvalidInput(
                f"items[{number}].quantity: {message}",
                errors=[{"field": f"items[{number}].quantity", "message": message}],
            )
    wanted = dict(named)
    leaving = []
    for piece in sorted(pieces, key=lambda piece: piece.allocation_id):
        taken = min(piece.quantity, wanted.get(piece.order_item_id, 0))
        if taken:
            wanted[piece.order_item_id] -= taken
            leaving.append(replace(piece, quantity=taken))
    return tuple(leaving)


def total(pieces: Iterable[Piece]) -> dict[UUID, int]:
    """Return the total quantity of each order line."""
    counted: dict[UUID, int] = {}
    for piece in pieces:
        counted[piece.order_item_id] = counted.get(piece.order_item_id, 0) + piece.quantity
    return counted


def check_may_leave(lines: Iterable[Line], pieces: Iterable[Piece]) -> None:
    """Raise Conflict for pieces that a refund took off the order: their money is refunded, or is being refunded."""
    leaving = total(pieces)
    for line in lines:
        over = leaving.get(line.order_item_id, 0) - line.may_leave
        if over > 0:
            raise Conflict(
                f"{over} of item {line.order_item_id} were refunded and do not leave",
                order_item_id=str(line.order_item_id),
                refunded_quantity=over,
            )


def unshipped_part(line: Line, quantity: int, refunded_after_leaving: int, *, has_left: bool) -> int:
    """Return how many of ``quantity`` refunded units had not left.

    Units that had not left are counted first. If the refund says that it covers units that had left (``has_left``),
    only the quantity beyond those is counted. ``refunded_after_leaving`` are the units refunded earlier that had left.
    """
    if has_left:
        return min(quantity, max(0, quantity - max(0, line.left - refunded_after_leaving)))
    return min(quantity, line.may_leave)


def worth_of(lines: Iterable[Line], pieces: Iterable[Piece], *, shipping_minor: int) -> int:
    """Return what a shipment is worth, in minor units.

    ``shipping_minor`` is the order's shipping for its first shipment, and 0 for the others.
    """
    leaving = total(pieces)
    return shipping_minor + sum(line.worth_of_next(leaving.get(line.order_item_id, 0)) for line in lines)


def to_send_again(pieces: Iterable[Piece], refunded: Mapping[UUID, int]) -> tuple[Piece, ...]:
    """Return the pieces of a failed shipment that are sent again: all but those refunded after they had left.

    A refund does not say which of several shipments it covers, so it is taken to cover the failed one.
    """
    left = dict(refunded)
    again = []
    for piece in sorted(pieces, key=lambda piece: piece.allocation_id):
        kept = min(piece.quantity, left.get(piece.order_item_id, 0))
        left[piece.order_item_id] = left.get(piece.order_item_id, 0) - kept
        if piece.quantity > kept:
            again.append(replace(piece, quantity=piece.quantity - kept))
    return tuple(again)
