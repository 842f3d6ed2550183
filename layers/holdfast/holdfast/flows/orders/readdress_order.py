"""Give an order another shipping address: location, price and allocation are decided anew, in one transaction.

This is the core of every change of address, whoever asks for it. The caller holds the lock on the order's row
(``lock_order``), has looked the address up (``AddressSearch``, outside any transaction) and has decided whether the
order may change at all. It writes the settlement that is returned, with its own additions, and carries out what is owed
once that is committed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from holdfast.addresses.review_begin import reviews_addresses
from holdfast.checkout.repricing import AgreedLine, AgreedPrice, Repriced, reprice
from holdfast.checkout.shipping_rates import ShippingRates
from holdfast.checkout.tax import Destination, TaxTable
from holdfast.database.transaction import Transaction
from holdfast.flows.addresses.locate_address import AddressSearch
from holdfast.flows.checkout.planning import date_of_sale
from holdfast.flows.money.price_difference import Difference, differences_of
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.operations.process_names import Call, Process
from holdfast.flows.orders.locked_order import LockedOrder
from holdfast.flows.orders.reallocate import Reallocated, readdress_facts, reallocate
from holdfast.inventory.reallocation import Cause
from holdfast.values.address import Address
from holdfast.values.errors import Conflict
from holdfast.values.money import Money


@dataclass(frozen=True, slots=True)
class NewAddress:
    """Where the order shall go, and why it changes. ``expected_version`` is the order's version as it was read."""

    address: Address
    search: AddressSearch
    cause: Cause
    is_shoppers_wish: bool
    """The shopper asked for it, not the staff."""
    expected_version: int | None = None
    called: str = "shipping_address"
    """The name of the address in the request, so that an error can name the field."""


class SettledBy(StrEnum):
    """How a fall in the price is settled."""

    NOTHING = "nothing"
    """The price did not fall, or no more was captured than the new price."""
    CHARGING_LESS = "charging_less"
    """Nothing is paid or under way: the next payment is for the new price."""
    CAPTURING_LESS = "capturing_less"
    """The money is authorized: no more of it is captured than the order costs. Anything captured beyond that is
    refunded."""
    REFUND_ONCE_PAID = "refund_once_paid"
    """A payment of the old price is under way: once it is paid, what exceeds the new price is refunded."""
    REFUND = "refund"
    """The money is captured: the difference is refunded now."""


@dataclass(frozen=True, slots=True)
class PriceChange:
    """What the order cost before and costs now, in minor units of ``currency``."""

    currency: str
    repriced: Repriced
    settled_by: SettledBy

    def to_json(self) -> dict[str, Any]:
        """Return the representation that the API uses."""
        return {
            "currency": self.currency,
            "agreed_minor": self.repriced.agreed_minor,
            "asked_minor": self.repriced.asked_minor,
            "total_minor": self.repriced.total_minor,
            "difference_minor": self.repriced.fall_minor,
            "settled_by": self.settled_by,
        }


@dataclass(frozen=True, slots=True)
class Readdressed:
    """What was done, and what the caller still has to write."""

    settlement: Settlement
    reallocation: Reallocated
    price: PriceChange
    needs_review: bool
    """The address was found only approximately, and the shop reviews such addresses."""


def readdress(transaction: Transaction, order: LockedOrder, new: NewAddress) -> Readdressed:
    """Write the new address, keep the old one, lower the price if it falls, and move the goods if that saves enough.

    If the order already has this address, nothing changes. A person is called if the shop bears much of the price at a
    shopper's wish: whoever chooses the address chooses the tax and the shipping too. Raises Conflict for a stale
    version. Raises InvalidInput for a destination that the shop does not ship to, and for an unknown region where the
    tax depends on it.
    """
    facts = readdress_facts(transaction, order)
    current = facts["order"]
    if new.expected_version is not None and new.expected_version != current["version"]:
        raise Conflict("the order was changed meanwhile: look at it again", version=current["version"])
    if new.address.to_json() == current["shipping_address"]:
        return _unchanged(order)
    repriced = _repriced(transaction, order, facts, new)
    kept = _write_address(transaction, order, facts, new, repriced)
    lowered = replace(order, total=repriced.total_minor)
    differences = [
        difference
        for payment in order.payments
        for difference in differences_of(lowered, payment, payment.facts, transaction.now)
    ]
    moved = reallocate(transaction, order, facts, new.search.found.coordinates, new.cause)
    return Readdressed(
        settlement=Settlement(
            order_id=order.id,
            refunds=tuple(difference.refund for difference in differences),
            operations=tuple(difference.operation for difference in differences),
            topics=("order.address_changed",),
            failures=(_borne(order, repriced),) if new.is_shoppers_wish and repriced.bears_much else (),
            extra={"address_version": kept + 1},
        ),
        reallocation=moved,
        price=PriceChange(order.currency, repriced, _settled_by(order, repriced, differences)),
        needs_review=_needs_review(facts, new),
    )


def _borne(order: LockedOrder, repriced: Repriced) -> Call:
    asked, agreed = (Money(minor, order.currency) for minor in (repriced.asked_minor, repriced.agreed_minor))
    details = f"order {order.order_number} costs {asked} at the address its shopper wished, and {agreed} was agreed"
    payload = {"asked_minor": asked.amount_minor, "agreed_minor": agreed.amount_minor, "currency": order.currency}
    return Process.DIFFERENCE_BORNE, details, payload


def _unchanged(order: LockedOrder) -> Readdressed:
    repriced = Repriced(agreed_minor=order.total, asked_minor=order.total, price=None)
    return Readdressed(
        settlement=Settlement(order_id=order.id),
        reallocation=Reallocated(None, "the order goes to this address already"),
        price=PriceChange(order.currency, repriced, SettledBy.NOTHING),
        needs_review=False,
    )


def _needs_review(facts: Mapping[str, Any], new: NewAddress) -> bool:
    return new.search.found.failure is not None and reviews_addresses(facts["organization"]["settings"])


def _repriced(transaction: Transaction, order: LockedOrder, facts: Mapping[str, Any], new: NewAddress) -> Repriced:
    settings = facts["organization"]["settings"]
    counted = [refund for refund in order.refunds if refund.counts]
    taken = [item for refund in counted for item in refund.items]
    agreed = AgreedPrice(
        currency=order.currency,
        lines=tuple(
            AgreedLine(
                order_item_id=UUID(row["id"]),
                quantity=row["quantity"],
                taxable_minor=row["unit_price"] * row["quantity"] - row["discount"],
                tax_minor=row["tax"],
                tax_code=row["tax_code"],
                requires_shipping=row["requires_shipping"],
                taken_quantity=sum(told.quantity for told in taken if told.order_item_id == UUID(row["id"])),
                taken_minor=sum(told.worth for told in taken if told.order_item_id == UUID(row["id"])),
            )
            for row in facts["items"]
        ),
        shipping_minor=order.shipping,
        shipping_taken_minor=sum(refund.shipping_amount for refund in counted),
    )
    return reprice(
        agreed,
        Destination(new.address.country, new.address.region, new.search.found.region, new.called),
        order.preference,
        TaxTable.from_settings(settings),
        ShippingRates.from_settings(settings),
        on=date_of_sale(settings, transaction.now),
    )


def _write_address(
    transaction: Transaction, order: LockedOrder, facts: Mapping[str, Any], new: NewAddress, repriced: Repriced
) -> int:
    """Write the address and return the version number under which the former one is kept."""
    location, price = new.search.found, repriced.price
    kept: int = transaction.value(
        "SELECT checkout.readdress(:organization_id, CAST(:change AS jsonb))",
        organization_id=transaction.tenant,
        change={
            "order_id": str(order.id),
            "now": transaction.now.isoformat(),
            "actor": transaction.actor,
            "cause": new.cause,
            "shipping_address": new.address.to_json(),
            "latitude": location.coordinates and location.coordinates.latitude,
            "longitude": location.coordinates and location.coordinates.longitude,
            "geocode_quality": location.quality,
            "requires_review": _needs_review(facts, new),
            "place": new.search.document(order.id, transaction.now),
            "total_anew": repriced.asked_minor,
            "total_after": repriced.total_minor,
            "price": price
            and {
                "tax": price.tax_minor,
                "shipping": price.shipping_minor,
                "refunded": _refunded(order, price.total_minor),
                "tax_lines": [line.to_json() for line in price.tax_lines],
                "items": [{"id": str(item_id), "tax": tax} for item_id, tax in price.taxes.items()],
            },
        },
    )
    return kept


def _refunded(order: LockedOrder, total_minor: int) -> int:
    """Return how much of the new price has been refunded so far.

    A refund first counts against what was captured beyond the new price.
    """
    given = sum(payment.refunded_amount for payment in order.payments)
    collected = sum(payment.captured_amount for payment in order.payments)
    return min(total_minor, max(0, given - max(0, collected - total_minor)))


def _settled_by(order: LockedOrder, repriced: Repriced, differences: list[Difference]) -> SettledBy:
    if repriced.fall_minor == 0:
        return SettledBy.NOTHING
    if differences:
        return SettledBy.REFUND
    paying = [payment for payment in order.payments if not payment.is_owed_back]
    if any(payment.is_held for payment in paying):
        return SettledBy.CAPTURING_LESS
    if any(payment.is_open for payment in paying):
        return SettledBy.REFUND_ONCE_PAID
    if any(payment.has_money for payment in paying):
        return SettledBy.NOTHING
    return SettledBy.CHARGING_LESS
