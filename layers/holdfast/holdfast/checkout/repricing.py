"""What an order costs at another destination: taxed and shipped anew, and never dearer than was agreed.

Goods keep the prices they were sold at. Units that were given back, and shipping that was, keep the tax and the price
that they were given back with: only what the shopper still pays for is priced anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from holdfast.checkout.pricing import TaxLine
from holdfast.checkout.shipping_rates import ShippingCalculator
from holdfast.checkout.tax import Destination, LineTax, TaxableLine, TaxCalculator
from holdfast.values.money import Money
from holdfast.values.shipping import ShippingPreference


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedLine:
    """A line as it was sold, and what of it was given back or is on its way. Amounts in minor units."""

    order_item_id: UUID
    quantity: int
    taxable_minor: int
    """Its goods, less their part of the discount."""
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
        """All of it."""
        return self.shipping_minor + sum(line.taxable_minor + line.tax_minor for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPrice:
    """What the order costs from now on; ``taxes`` by order item."""

    shipping_minor: int
    tax_minor: int
    total_minor: int
    taxes: dict[UUID, int]
    tax_lines: tuple[TaxLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repriced:
    """``asked_minor`` is what the rules of the day ask for; ``price`` is None where that is not less than was agreed:
    the shopper pays what was agreed, and the shop bears the rest."""

    agreed_minor: int
    asked_minor: int
    price: NewPrice | None

    @property
    def total_minor(self) -> int:
        """What the shopper pays."""
        return self.agreed_minor if self.price is None else self.price.total_minor

    @property
    def fall_minor(self) -> int:
        """How much less that is than was agreed."""
        return self.agreed_minor - self.total_minor


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

    Raises InvalidInput where the shop does not ship to, and for a region that nobody knows.
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
    """The new tax for the units that are left, and for the others what they were given back with."""
    left = line.quantity - line.taken_quantity
    tax_minor = line.tax_minor + (told.tax_minor - line.tax_minor) * left // line.quantity
    return max(tax_minor, line.taken_minor - line.taxable_minor, 0)


def _tax_lines(
    destination: Destination, lines: Sequence[AgreedLine], told: Sequence[LineTax], line_taxes: Sequence[int]
) -> tuple[TaxLine, ...]:
    """By rate: what is taxed, and the tax as it is charged."""
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
