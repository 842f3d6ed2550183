"""What an order costs. Prices come from the catalog, never from the client; all amounts are in whole minor units.

The total is exact by construction: total = subtotal - discount + tax + shipping, where subtotal, discount and tax are
the sums over the lines. Shipping is neither taxed nor discounted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from holdfast.checkout.shipping_rates import ShippingCalculator
from holdfast.checkout.tax import Destination, LineTax, TaxableLine, TaxCalculator
from holdfast.values.errors import InvalidInput, PriceChanged
from holdfast.values.money import AMOUNT_MAX_MINOR, Money
from holdfast.values.shipping import ShippingPreference


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedLine:
    """One line of the order with the catalog's data about its variant."""

    variant_id: UUID
    sku: str
    name: str
    unit_price_minor: int
    currency: str
    quantity: int
    tax_code: str | None = None
    requires_shipping: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAmounts:
    """One line's amounts. ``subtotal_minor`` is price x quantity; tax is owed on that less its part of the discount."""

    line: PricedLine
    subtotal_minor: int
    discount_minor: int
    tax_minor: int


@dataclass(frozen=True, slots=True)
class TaxLine:
    """The sum of all lines taxed at one rate, as a receipt shows it."""

    country: str
    region: str | None
    rate_basis_points: Decimal
    taxable_minor: int
    tax_minor: int

    def to_json(self) -> dict[str, str | int | None]:
        """Return the line for ``orders.tax_lines``, with the rate as text because it may have a fraction."""
        return {
            "country": self.country,
            "region": self.region,
            "rate_basis_points": f"{self.rate_basis_points.normalize():f}",
            "taxable_minor": self.taxable_minor,
            "tax_minor": self.tax_minor,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAmounts:
    """What the order costs, in minor units of ``currency``. ``lines`` are in the order in which they were given."""

    currency: str
    subtotal_minor: int
    discount_minor: int
    tax_minor: int
    shipping_minor: int
    total_minor: int
    lines: tuple[LineAmounts, ...]
    tax_lines: tuple[TaxLine, ...]


def price_order(
    lines: Sequence[PricedLine],
    destination: Destination,
    preference: ShippingPreference,
    taxes: TaxCalculator,
    shipping: ShippingCalculator,
    *,
    on: date,
    discount_minor: int = 0,
) -> OrderAmounts:
    """Calculate what the order costs for a sale on the date ``on``.

    The discount is distributed over the lines by their value, to the last minor unit. Shipping is free when no line
    requires it. Raises InvalidInput for lines in several currencies, a discount beyond the subtotal, a total beyond
    ``AMOUNT_MAX_MINOR``, an unknown region, or a destination that the shop does not ship to; ValueError for no lines.
    """
    if not lines:
        raise ValueError("an order without lines has no price")
    currency = _one_currency(lines)
    subtotals = [line.unit_price_minor * line.quantity for line in lines]
    subtotal_minor = sum(subtotals)
    if not 0 <= discount_minor <= subtotal_minor:
        raise InvalidInput(f"a discount of {discount_minor} on goods worth {subtotal_minor}")
    discounts = share_out(discount_minor, subtotals)
    taxable = [
        TaxableLine(line.tax_code, subtotal - discount)
        for line, subtotal, discount in zip(lines, subtotals, discounts, strict=True)
    ]
    line_taxes = taxes.taxes(taxable, destination, on)
    tax_minor = sum(tax.tax_minor for tax in line_taxes)
    shipping_minor = 0
    if any(line.requires_shipping for line in lines):
        goods = Money(subtotal_minor - discount_minor, currency)
        shipping_minor = shipping.shipping(preference, destination.country, goods).amount_minor
    total_minor = subtotal_minor - discount_minor + tax_minor + shipping_minor
    if total_minor > AMOUNT_MAX_MINOR:
        raise InvalidInput(f"an order of more than {Money(AMOUNT_MAX_MINOR, currency)}")
    return OrderAmounts(
        currency=currency,
        subtotal_minor=subtotal_minor,
        discount_minor=discount_minor,
        tax_minor=tax_minor,
        shipping_minor=shipping_minor,
        total_minor=total_minor,
        lines=tuple(
            LineAmounts(line=line, subtotal_minor=subtotal, discount_minor=discount, tax_minor=tax.tax_minor)
            for line, subtotal, discount, tax in zip(lines, subtotals, discounts, line_taxes, strict=True)
        ),
        tax_lines=_tax_lines(destination, taxable, line_taxes),
    )


def check_client_prices(lines: Iterable[PricedLine], sent: Sequence[tuple[str, int]]) -> None:
    """Compare the unit prices that a client sent, as (SKU, minor units), with the catalog's.

    A client need not send any. Raises PriceChanged, which names every SKU that differs with both prices, so that the
    shopper is asked rather than surprised; ValueError for a SKU that is not among the lines.
    """
    current = {line.sku: line for line in lines}
    unknown = [sku for sku, _ in sent if sku not in current]
    if unknown:
        raise ValueError(f"prices for what is not in the order: {unknown}")
    changed = [
        {"sku": sku, "sent": price, "current": current[sku].unit_price_minor, "currency": current[sku].currency}
        for sku, price in sent
        if price != current[sku].unit_price_minor
    ]
    if changed:
        raise PriceChanged(f"{len(changed)} prices are not the current ones", items=changed)


def share_out(amount_minor: int, weights: Sequence[int]) -> list[int]:
    """Split ``amount_minor`` into whole parts that are proportional to ``weights`` and add up to it exactly.

    Rounding is by largest remainder, the first of equal ones first. No part exceeds its weight as long as the amount
    does not exceed their sum. If all weights are 0, every part is 0.
    """
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    parts = [amount_minor * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: -(amount_minor * weights[index] % whole))
    for index in by_remainder[: amount_minor - sum(parts)]:
        parts[index] += 1
    return parts


def _one_currency(lines: Sequence[PricedLine]) -> str:
    currencies = sorted({line.currency for line in lines})
    if len(currencies) > 1:
        raise InvalidInput(f"one order has one currency, not {', '.join(currencies)}")
    return currencies[0]


def _tax_lines(
    destination: Destination, taxable: Sequence[TaxableLine], taxes: Sequence[LineTax]
) -> tuple[TaxLine, ...]:
    by_rate: dict[Decimal, tuple[int, int]] = {}
    for line, tax in zip(taxable, taxes, strict=True):
        taxable_minor, tax_minor = by_rate.get(tax.rate_basis_points, (0, 0))
        by_rate[tax.rate_basis_points] = (taxable_minor + line.taxable_minor, tax_minor + tax.tax_minor)
    return tuple(
        TaxLine(destination.country, destination.taxed_in, rate, taxable_minor, tax_minor)
        for rate, (taxable_minor, tax_minor) in sorted(by_rate.items())
        if rate > 0
    )
