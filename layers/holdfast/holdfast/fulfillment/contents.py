"""What is in a shipment, what of it leaves, and what that is worth. Pure; the time does not matter here.

**What pieces are worth.** A line was sold for one sum that its pieces need not divide. Pieces 1..k of n are worth
``floor(sum x k / n)``, so those that leave next are worth what that grows by: over all shipments of an order it adds up
to what its lines cost, to the last minor unit. The order's shipping goes with the first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from holdfast.values.errors import Conflict, InvalidInput


@dataclass(frozen=True, slots=True)
class Piece:
    """So many of a line, out of one allocation."""

    allocation_id: UUID
    order_item_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the order as shipping sees it. ``worth_minor`` is what the shopper pays for all of it."""

    order_item_id: UUID
    quantity: int
    worth_minor: int
    left: int
    """How many have left before."""
    withheld: int
    """How many a refund took off before they left."""

    @property
    def may_leave(self) -> int:
        """How many more may leave."""
        return max(0, self.quantity - self.withheld - self.left)

    def worth_of_next(self, quantity: int) -> int:
        """What the next pieces to leave are worth."""
        already = min(self.left, self.quantity)
        after = min(self.left + quantity, self.quantity)
        return self.worth_minor * after // self.quantity - self.worth_minor * already // self.quantity


def split(pieces: Sequence[Piece], named: Mapping[UUID, int]) -> tuple[Piece, ...]:
    """The pieces that leave, when so many of each line are named. Raises InvalidInput for a line that is not in the
    shipment, and for more of it than is."""
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
    """How many of each line."""
    counted: dict[UUID, int] = {}
    for piece in pieces:
        counted[piece.order_item_id] = counted.get(piece.order_item_id, 0) + piece.quantity
    return counted


def check_may_leave(lines: Iterable[Line], pieces: Iterable[Piece]) -> None:
    """Raise Conflict for pieces that a refund has taken off the order: their money is back, or on its way."""
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
    """How many of so many refunded units had not left. Those that had not are taken first, unless the refund says that
    it is about units that had (``has_left``): then only what exceeds those."""
    if has_left:
        return min(quantity, max(0, quantity - max(0, line.left - refunded_after_leaving)))
    return min(quantity, line.may_leave)


def worth_of(lines: Iterable[Line], pieces: Iterable[Piece], *, shipping_minor: int) -> int:
    """What a shipment is worth of the order; ``shipping_minor`` is the order's shipping with its first, else 0."""
    leaving = total(pieces)
    return shipping_minor + sum(line.worth_of_next(leaving.get(line.order_item_id, 0)) for line in lines)


def to_send_again(pieces: Iterable[Piece], refunded: Mapping[UUID, int]) -> tuple[Piece, ...]:
    """What of a failed shipment travels again: what was refunded of its lines after it had left is not sent as well.

    Which of several shipments a refund was about nobody says; it is taken to be the one that failed.
    """
    left = dict(refunded)
    again = []
    for piece in sorted(pieces, key=lambda piece: piece.allocation_id):
        kept = min(piece.quantity, left.get(piece.order_item_id, 0))
        left[piece.order_item_id] = left.get(piece.order_item_id, 0) - kept
        if piece.quantity > kept:
            again.append(replace(piece, quantity=piece.quantity - kept))
    return tuple(again)
