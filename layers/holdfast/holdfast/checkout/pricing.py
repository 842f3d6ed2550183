"""What an order costs. Prices come from the catalog, never from the client; every figure is in whole minor units.

The total is exact by construction: total = subtotal - discount + tax + shipping, and each of them is the sum of its
lines. Shipping is not taxed and not discounted.
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
    """One line of the order with what the catalog says of its variant."""

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
    """One line's figures. ``subtotal_minor`` is price x quantity; tax is owed on it less its part of the discount."""

    line: PricedLine
    subtotal_minor: int
    discount_minor: int
    tax_minor: int


@dataclass(frozen=True, slots=True)
class TaxLine:
    """All lines taxed at one rate, as a receipt shows them."""

    country: str
    region: str | None
    rate_basis_points: Decimal
    taxable_minor: int
    tax_minor: int

    def to_json(self) -> dict[str, str | int | None]:
        """For ``orders.tax_lines``; the rate as text, because it may have a fraction."""
        return {
            "country": self.country,
            "region": self.region,
            "rate_basis_points": f"{self.rate_basis_points.normalize():f}",
            "taxable_minor": self.taxable_minor,
            "tax_minor": self.tax_minor,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAmounts:
    """What the order costs, in minor units of ``currency``; ``lines`` in the order they were given."""

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
    """Add the order up for a sale on the date ``on``.

    The discount is shared out over the lines by their value, to the last minor unit. Shipping is free when no line
    needs it. Raises InvalidInput for lines of several currencies, a discount beyond the subtotal, a total beyond
    ``AMOUNT_MAX_MINOR``, a region that nobody knows, or where the shop does not ship; ValueError for no lines.
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
    """Hold the unit prices a client sent, as (sku, minor units), against the catalog's. A client need not send any.

    Raises PriceChanged, naming every sku that differs with both prices, so that the shopper is asked and not
    surprised; ValueError for a sku that is not among the lines.
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
    """``amount_minor`` in whole parts proportional to ``weights``, adding up to it exactly.

    By largest remainder, of equal ones the first; no part exceeds its weight while the amount does not exceed their
    sum. Nothing is shared out over weights that are all 0.
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
