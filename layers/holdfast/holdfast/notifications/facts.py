"""What a mail may mention: the order as it is now, in values that are safe to pass to a template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.values.money import Money


@dataclass(frozen=True, slots=True)
class ShopFacts:
    """The shop that sends the mail."""

    name: str
    reply_to: str | None
    order_url: str | None
    """Where the shopper can see the order, if the shop has such a page."""


@dataclass(frozen=True, slots=True)
class LineFacts:
    """Goods of the order or of one parcel. ``amount`` is the price of all pieces."""

    name: str
    options: str
    quantity: int
    amount: Money | None


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """The order."""

    number: str
    status: str
    placed_at: datetime
    lines: tuple[LineFacts, ...]
    subtotal: Money
    discount: Money
    shipping: Money
    tax: Money
    total: Money
    refunded: Money
    address: tuple[str, ...]
    parcels: int
    """The number of parcels, as planned now."""


@dataclass(frozen=True, slots=True)
class MoneyFacts:
    """What became of the order's money: how much was captured, and whether some was only held."""

    taken: Money
    was_held: bool


@dataclass(frozen=True, slots=True)
class RefundFacts:
    """One refund."""

    amount: Money
    status: str


@dataclass(frozen=True, slots=True)
class ShipmentFacts:
    """One parcel."""

    number: str
    status: str
    carrier: str | None
    tracking_number: str | None
    tracking_url: str | None
    lines: tuple[LineFacts, ...]
    estimated_delivery: datetime | None


@dataclass(frozen=True, slots=True)
class ReviewFacts:
    """An open review of the address: the link for the shopper, if there is a page for it, and until when it works."""

    url: str | None
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts for one mail."""

    shop: ShopFacts
    order: OrderFacts
    money: MoneyFacts
    recipient: str
    language: str
    timezone: str
    is_suppressed: bool = False
    """Whether mail to the recipient's address is suppressed."""
    refund: RefundFacts | None = None
    shipment: ShipmentFacts | None = None
    review: ReviewFacts | None = None


def lines_of(rows: Sequence[Mapping[str, Any]], currency: str) -> tuple[LineFacts, ...]:
    """Return lines from rows of the database."""
    return tuple(
        LineFacts(
            name=str(row["name"]),
            options=", ".join(str(value) for value in (row.get("option_values") or {}).values()),
            quantity=int(row["quantity"]),
            amount=None if row.get("amount") is None else Money(int(row["amount"]), currency),
        )
        for row in rows
    )


def address_lines(address: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a postal address line by line, without the parts that are absent."""
    town = " ".join(str(address[part]) for part in ("city", "region", "postal_code") if address.get(part))
    lines = (address.get("name"), address.get("line1"), address.get("line2"), town, address.get("country"))
    return tuple(str(line) for line in lines if line)
