"""Sales tax: a small interface that a shop can plug its own calculation into, and a table of rates as the default."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, Protocol

BASIS_POINTS: Final = 10_000
"""Basis points in the whole: a rate of 725 is 7.25 %."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the goods go, as far as taxes and rates care: ISO 3166-1 alpha-2, and the state or region's own code."""

    country: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class TaxableLine:
    """One line as the tax sees it: minor units, after its part of the discount."""

    tax_code: str | None
    taxable_minor: int


@dataclass(frozen=True, slots=True)
class LineTax:
    """The tax on one line. Of an exempt line both figures are 0."""

    rate_basis_points: Decimal
    tax_minor: int


class TaxCalculator(Protocol):
    """Says what each line owes. Tax is added to the catalog's prices, not contained in them."""

    def taxes(self, lines: Sequence[TaxableLine], destination: Destination, on: date) -> Sequence[LineTax]:
        """One answer for each line, in the same order. ``on`` is the date of the sale."""
        ...


@dataclass(frozen=True, slots=True)
class TaxRate:
    """One row of the table. None for ``region`` or ``tax_code`` stands for every one; the dates are inclusive."""

    country: str
    basis_points: Decimal
    region: str | None = None
    tax_code: str | None = None
    valid_from: date = date.min
    valid_until: date = date.max


# State-level sales tax of the United States in percent, without what counties and cities add, as published by the
# states' revenue departments for 2025. A shop that owes local tax, or none, brings its own rates.
_US_STATE_PERCENT: Final[Mapping[str, str]] = {
    "AL": "4", "AR": "6.5", "AZ": "5.6", "CA": "7.25", "CO": "2.9", "CT": "6.35", "DC": "6", "FL": "6", "GA": "4",
    "HI": "4", "IA": "6", "ID": "6", "IL": "6.25", "IN": "7", "KS": "6.5", "KY": "6", "LA": "5", "MA": "6.25",
    "MD": "6", "ME": "5.5", "MI": "6", "MN": "6.875", "MO": "4.225", "MS": "7", "NC": "4.75", "ND": "5", "NE": "5.5",
    "NJ": "6.625", "NM": "4.875", "NV": "6.85", "NY": "4", "OH": "5.75", "OK": "4.5", "PA": "6", "RI": "7", "SC": "6",
    "SD": "4.2", "TN": "7", "TX": "6.25", "UT": "6.1", "VA": "5.3", "VT": "6", "WA": "6.5", "WI": "5", "WV": "6",
    "WY": "4",
}  # fmt: skip

DEFAULT_TAX_RATES: Final = tuple(
    TaxRate(country="US", region=state, basis_points=Decimal(percent) * 100)
    for state, percent in _US_STATE_PERCENT.items()
)


@dataclass(frozen=True, slots=True)
class TaxTable:
    """Rates by country, region, tax code and date. Where no row applies, no tax is owed."""

    rates: tuple[TaxRate, ...] = DEFAULT_TAX_RATES

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "TaxTable":
        """The table of an organization: ``settings["tax_rates"]``, or the default where that key is missing.

        Each row is {"country", "basis_points", "region"?, "tax_code"?, "valid_from"?, "valid_until"?}; dates are ISO
        8601, and basis points may be written as text to be exact ("662.5"). Raises KeyError, ValueError or
        decimal.InvalidOperation for a row that is none.
        """
        rows = settings.get("tax_rates")
        return cls() if rows is None else cls(tuple(_rate_from(row) for row in rows))

    def rate_for(self, country: str, region: str | None, tax_code: str | None, on: date) -> Decimal:
        """Basis points, possibly with a fraction (New Jersey levies 662.5).

        The most specific row wins: one of the region before one of the whole country, then one of the tax code before
        one of all goods, then the one that came into force last.
        """
        rows = [
            rate
            for rate in self.rates
            if rate.country == country
            and rate.region in {None, region}
            and rate.tax_code in {None, tax_code}
            and rate.valid_from <= on <= rate.valid_until
        ]
        if not rows:
            return Decimal(0)
        best = max(rows, key=lambda rate: (rate.region is not None, rate.tax_code is not None, rate.valid_from))
        return best.basis_points

    def taxes(self, lines: Sequence[TaxableLine], destination: Destination, on: date) -> Sequence[LineTax]:
        """Line by line, each rounded half to even to a whole minor unit."""
        rates = [self.rate_for(destination.country, destination.region, line.tax_code, on) for line in lines]
        return [LineTax(rate, tax_on(line.taxable_minor, rate)) for line, rate in zip(lines, rates, strict=True)]


def tax_on(taxable_minor: int, rate_basis_points: Decimal) -> int:
    """The tax in minor units, rounded half to even: over many lines the halves do not add up to either side."""
    exact = taxable_minor * rate_basis_points / BASIS_POINTS
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def _rate_from(row: Mapping[str, Any]) -> TaxRate:
    return TaxRate(
        country=row["country"],
        basis_points=Decimal(str(row["basis_points"])),
        region=row.get("region"),
        tax_code=row.get("tax_code"),
        valid_from=date.fromisoformat(row["valid_from"]) if row.get("valid_from") else date.min,
        valid_until=date.fromisoformat(row["valid_until"]) if row.get("valid_until") else date.max,
    )
