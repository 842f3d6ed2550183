"""What a refund gives back: how much of which lines and shipping, from which payment, and never more than is left.

**What units are worth.** A line was sold for one sum (subtotal - discount + tax) that need not divide evenly by
its units. Units 1..k of n are worth ``floor(sum x k / n)``, so the next few are worth the growth of that figure, and
the last take the rest. However a line is given back, unit by unit or all at once, the parts add up to exactly what was
paid for it. ``worth`` continues from one refund to the next; ``amount`` is the part of it that the shopper gets, which
is less if the shop keeps a fee.

**What is left** counts refunds under way as given. Amounts are in minor units of the order's one currency.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from holdfast.payments.model import RestockReason
from holdfast.values.errors import InvalidInput, RefundExceeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the order, and what of it is given back or on its way back."""

    order_item_id: UUID
    quantity: int
    worth_minor: int
    taken_quantity: int = 0
    taken_minor: int = 0
    """Counted in ``worth``, not in ``amount``."""

    @property
    def left_quantity(self) -> int:
        """The units that can still be given back."""
        return self.quantity - self.taken_quantity

    @property
    def left_minor(self) -> int:
        """What those units are worth."""
        return self.worth_minor - self.taken_minor

    def worth_of_next(self, quantity: int) -> int:
        """Return what the next units are worth; the last ones take the rest."""
        taken = self.taken_quantity
        if taken + quantity >= self.quantity:
            return self.left_minor
        grown = self.worth_minor * (taken + quantity) // self.quantity - self.worth_minor * taken // self.quantity
        return min(grown, self.left_minor)


@dataclass(frozen=True, slots=True)
class Purse:
    """A payment with money to give back, or one capture of it where each refund belongs to a capture."""

    payment_id: UUID
    captured_minor: int
    """Captured of the payment, over all its captures."""
    left_minor: int
    """Captured, and neither given back nor on its way back."""
    gateway_capture_id: str | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """All that can be given back. ``purses`` are in the order in which they are emptied."""

    lines: tuple[Line, ...]
    shipping_minor: int
    purses: tuple[Purse, ...]

    @property
    def refundable_minor(self) -> int:
        """The money that is left, over all payments."""
        return sum(purse.left_minor for purse in self.purses)


@dataclass(frozen=True, slots=True)
class WantedItem:
    """Units of a line to be given back.

    Without an amount they are given back for what they are worth. A ``restock_reason`` of ``None`` means that nobody
    said where the goods are.
    """

    order_item_id: UUID
    quantity: int
    restock_reason: RestockReason | None = None
    amount_minor: int | None = None
    has_left: bool = False
    """These units had left their warehouse: units that have not left yet are still shipped."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: lines, or an amount, and shipping with either. If empty, all that is left."""

    items: tuple[WantedItem, ...] = ()
    amount_minor: int = 0
    shipping_minor: int = 0

    @property
    def is_everything(self) -> bool:
        """Whether all that is left is asked for."""
        return not (self.items or self.amount_minor or self.shipping_minor)


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """What a refund does to a line. A ``quantity`` of 0 is the rest of the line's money, from another payment."""

    order_item_id: UUID
    quantity: int
    worth_minor: int
    amount_minor: int
    restock_reason: RestockReason | None
    has_left: bool = False

    @property
    def restock(self) -> bool:
        """Whether the units go back to stock: only what can be sold again does."""
        return self.restock_reason is RestockReason.RESELLABLE


@dataclass(frozen=True, slots=True)
class PlannedRefund:
    """One refund of one payment, or of one capture of it."""

    payment_id: UUID
    amount_minor: int
    shipping_minor: int
    is_full: bool
    """Whether it gives back by itself all that was captured."""
    items: tuple[PlannedItem, ...]
    gateway_capture_id: str | None = None


def plan(left: Left, wanted: Wanted) -> tuple[PlannedRefund, ...]:
    """Return the refunds that give back what is wanted, one for each purse that they draw on.

    Raises RefundExceeds for more than is left, InvalidInput for what no state of the order allows.
    """
    items = _everything(left) if wanted.is_everything else tuple(_items(left, wanted.items))
    items_minor = sum(item.amount_minor for item in items)
    if wanted.is_everything:
        shipping_minor = min(left.shipping_minor, left.refundable_minor - items_minor)
        total_minor = left.refundable_minor
    else:
        shipping_minor = wanted.shipping_minor
        total_minor = items_minor + wanted.amount_minor + shipping_minor
    if shipping_minor > left.shipping_minor:
        raise _exceeds(left, f"{left.shipping_minor} of the shipping can be refunded, {shipping_minor} was asked for")
    if left.refundable_minor == 0:
        raise _exceeds(left, "nothing is left to be refunded")
    if total_minor > left.refundable_minor:
        raise _exceeds(left, f"{left.refundable_minor} can be refunded, {total_minor} was asked for")
    if total_minor == 0:
        raise InvalidInput("a refund of nothing")
    return tuple(_spread(left.purses, items, shipping_minor, total_minor))


def _everything(left: Left) -> tuple[PlannedItem, ...]:
    """Return every unit that is left, for as much of its worth as there is money."""
    planned: list[PlannedItem] = []
    money = left.refundable_minor
    for line in left.lines:
        if line.left_quantity:
            amount = min(line.left_minor, money)
            money -= amount
            planned.append(PlannedItem(line.order_item_id, line.left_quantity, line.left_minor, amount, None))
    return tuple(planned)


def _items(left: Left, wanted: Sequence[WantedItem]) -> Iterable[PlannedItem]:
    lines = {line.order_item_id: line for line in left.lines}
    seen: set[UUID] = set()
    for number, item in enumerate(wanted):
        line = lines.get(item.order_item_id)
        if line is None:
            raise _wrong(f"items[{number}].order_item_id", "the order has no such item")
        if item.order_item_id in seen:
            raise _wrong(f"items[{number}].order_item_id", "this item is named twice")
        seen.add(item.order_item_id)
        if item.quantity > line.left_quantity:
            raise _exceeds(
                left, f"{line.left_quantity} of item {line.order_item_id} can be refunded, {item.quantity} asked for"
            )
        worth = line.worth_of_next(item.quantity)
        amount = worth if item.amount_minor is None else item.amount_minor
        if amount > worth:
            raise _wrong(f"items[{number}].amount_minor", f"{item.quantity} of this item are worth {worth}")
        has_left = item.has_left or item.restock_reason is RestockReason.CUSTOMER_KEPT
        yield PlannedItem(line.order_item_id, item.quantity, worth, amount, item.restock_reason, has_left)


def _spread(
    purses: Sequence[Purse], items: Sequence[PlannedItem], shipping_minor: int, total_minor: int
) -> Iterable[PlannedRefund]:
    """Empty one purse after the other: lines first, then shipping, then what belongs to neither."""
    waiting = list(items)
    for purse in purses:
        amount = room = min(purse.left_minor, total_minor)
        if amount == 0:
            continue
        taken: list[PlannedItem] = []
        while waiting and (room > 0 or waiting[0].amount_minor == 0):
            now, rest = _cut(waiting.pop(0), room)
            taken.append(now)
            room -= now.amount_minor
            if rest is not None:
                waiting.insert(0, rest)
        shipping = min(shipping_minor, room)
        shipping_minor -= shipping
        total_minor -= amount
        is_full = amount == purse.captured_minor
        yield PlannedRefund(purse.payment_id, amount, shipping, is_full, tuple(taken), purse.gateway_capture_id)


def _cut(item: PlannedItem, room: int) -> tuple[PlannedItem, PlannedItem | None]:
    """Return the part of the item that fits, with all its units, and the rest of its money."""
    if item.amount_minor <= room:
        return item, None
    # Money that is not given back (a fee) stays with the units, so that no part exceeds its worth.
    rest = item.amount_minor - room
    return (
        replace(item, amount_minor=room, worth_minor=item.worth_minor - rest),
        replace(item, quantity=0, worth_minor=rest, amount_minor=rest),
    )


def _exceeds(left: Left, detail: str) -> RefundExceeds:
    return RefundExceeds(
        detail,
        refundable_minor=left.refundable_minor,
        shipping_refundable_minor=left.shipping_minor,
        items=[
            {
                "order_item_id": str(line.order_item_id),
                "refundable_quantity": line.left_quantity,
                "refundable_minor": line.left_minor,
            }
            for line in left.lines
        ],
    )


def _wrong(field: str, message: str) -> InvalidInput:
    return InvalidInput(f"{field}: {message}", errors=[{"field": field, "message": message}])
