"""What an order costs at another destination: tax and shipping are calculated anew, never above the agreed price.

Goods keep the prices at which they were sold. Refunded units and refunded shipping keep the tax and price that they
were refunded with; only what the shopper still pays for is priced anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

from holdfast.checkout.pricing import TaxLine
from holdfast.checkout.shipping_rates import ShippingCalculator
from holdfast.checkout.tax import BASIS_POINTS, Destination, LineTax, TaxableLine, TaxCalculator
from holdfast.values.money import Money
from holdfast.values.shipping import ShippingPreference

BORNE_MAX_BASIS_POINTS: Final = 500
"""How much of the agreed price the shop bears at a shopper's wish without a person knowing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedLine:
    """A line as it was sold, and what of it was or is being refunded. Amounts are in minor units."""

    order_item_id: UUID
    quantity: int
    taxable_minor: int
    """The value of the line's goods, less their part of the discount."""
    tax_minor: int
    tax_code: str | None
    requires_shipping: bool
    taken_quantity: int = 0
    taken_minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedPrice:
    """What the shopper agreed to pay, in minor units of ``currency``."""

    currency: str
    lines: tuple[AgreedLine, ...]
    shipping_minor: int
    shipping_taken_minor: int = 0

    @property
    def total_minor(self) -> int:
        """The whole price."""
        return self.shipping_minor + sum(line.taxable_minor + line.tax_minor for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPrice:
    """What the order costs from now on, in minor units. ``taxes`` are by order item."""

    shipping_minor: int
    tax_minor: int
    total_minor: int
    taxes: dict[UUID, int]
    tax_lines: tuple[TaxLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repriced:
    """The result of repricing, in minor units.

    ``asked_minor`` is the price by the rules of the day. ``price`` is None where that is not less than was agreed: the
    shopper then pays what was agreed, and the shop bears the difference.
    """

    agreed_minor: int
    asked_minor: int
    price: NewPrice | None

    @property
    def total_minor(self) -> int:
        """What the shopper pays."""
        return self.agreed_minor if self.price is None else self.price.total_minor

    @property
    def fall_minor(self) -> int:
        """How much less the shopper pays than was agreed."""
        return self.agreed_minor - self.total_minor

    @property
    def bears_much(self) -> bool:
        """Whether the shop bears more than BORNE_MAX_BASIS_POINTS of what was agreed."""
        borne_minor = self.asked_minor - self.total_minor
        return borne_minor * BASIS_POINTS > BORNE_MAX_BASIS_POINTS * self.agreed_minor


def reprice(
    agreed: AgreedPrice,
    destination: Destination,
    preference: ShippingPreference,
    taxes: TaxCalculator,
    shipping: ShippingCalculator,
    *,
    on: date,
) -> Repriced:
    """Price the order for its new destination by the rules of the date ``on``.

    Raises InvalidInput for a destination that the shop does not ship to, or for an unknown region.
    """
    taxable = [TaxableLine(line.tax_code, line.taxable_minor) for line in agreed.lines]
    told = taxes.taxes(taxable, destination, on)
    line_taxes = [_tax_of(line, tax) for line, tax in zip(agreed.lines, told, strict=True)]
    shipping_minor = 0
    if any(line.requires_shipping for line in agreed.lines):
        goods = Money(sum(line.taxable_minor for line in agreed.lines), agreed.currency)
        shipping_minor = shipping.shipping(preference, destination.country, goods).amount_minor
    shipping_minor = max(shipping_minor, agreed.shipping_taken_minor)
    tax_minor = sum(line_taxes)
    asked_minor = shipping_minor + tax_minor + sum(line.taxable_minor for line in agreed.lines)
    if asked_minor >= agreed.total_minor:
        return Repriced(agreed_minor=agreed.total_minor, asked_minor=asked_minor, price=None)
    price = NewPrice(
        shipping_minor=shipping_minor,
        tax_minor=tax_minor,
        total_minor=asked_minor,
        taxes={line.order_item_id: tax for line, tax in zip(agreed.lines, line_taxes, strict=True)},
        tax_lines=_tax_lines(destination, agreed.lines, told, line_taxes),
    )
    return Repriced(agreed_minor=agreed.total_minor, asked_minor=asked_minor, price=price)


def _tax_of(line: AgreedLine, told: LineTax) -> int:
    """Return the line's tax: the new one for the units that are left, and the refunded one for the others."""
    left = line.quantity - line.taken_quantity
    tax_minor = line.tax_minor + (told.tax_minor - line.tax_minor) * left // line.quantity
    return max(tax_minor, line.taken_minor - line.taxable_minor, 0)


def _tax_lines(
    destination: Destination, lines: Sequence[AgreedLine], told: Sequence[LineTax], line_taxes: Sequence[int]
) -> tuple[TaxLine, ...]:
    """Return the taxable amount and the tax as charged, summed by rate."""
    by_rate = {
        rate: [
            (line.taxable_minor, tax_minor)
            for line, each, tax_minor in zip(lines, told, line_taxes, strict=True)
            if each.rate_basis_points == rate and (rate > 0 or tax_minor > 0)
        ]
        for rate in sorted({each.rate_basis_points for each in told})
    }
    return tuple(
        TaxLine(destination.country, destination.taxed_in, rate, sum(t for t, _ in rows), sum(tax for _, tax in rows))
        for rate, rows in by_rate.items()
        if rows
    )
