"""Sales tax: a small interface that a shop can plug its own calculation into, and a table of rates as the default."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, Protocol

from holdfast.values.errors import InvalidInput
from holdfast.values.regions import is_listed, lists_regions, region_code

BASIS_POINTS: Final = 10_000
"""The number of basis points in the whole: a rate of 725 is 7.25 %."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the goods go, as far as taxes depend on it: ISO 3166-1 alpha-2, and the region as it is written."""

    country: str
    region: str | None = None
    postal_region: str | None = None
    """The region that the postal code lies in; ``None`` if that is not known."""
    called: str = "shipping_address"
    """The request's name for the address, used in the field name of an error."""

    @property
    def taxed_in(self) -> str | None:
        """The region whose rates apply, as a ``region_code``.

        A parcel goes where its postal code is, whatever region is written beside it. The written region applies where
        the postal code's region is not known, or is not one of those listed for the country.
        """
        lies_in = region_code(self.country, self.postal_region)
        return lies_in if is_listed(self.country, lies_in) else region_code(self.country, self.region)


@dataclass(frozen=True, slots=True)
class TaxableLine:
    """One line as far as tax depends on it. ``taxable_minor`` is in minor units, after its part of the discount."""

    tax_code: str | None
    taxable_minor: int


@dataclass(frozen=True, slots=True)
class LineTax:
    """The tax on one line, in minor units. For an exempt line, rate and tax are 0."""

    rate_basis_points: Decimal
    tax_minor: int


class TaxCalculator(Protocol):
    """Calculates the tax on each line. Tax is added to the catalog's prices, not contained in them."""

    def taxes(self, lines: Sequence[TaxableLine], destination: Destination, on: date) -> Sequence[LineTax]:
        """Return the tax on each line, in the same order. ``on`` is the date of the sale.

        Raises InvalidInput for a destination whose tax cannot be determined.
        """
        ...


@dataclass(frozen=True, slots=True)
class TaxRate:
    """One row of the table. None for ``region`` or ``tax_code`` means any; both dates are inclusive."""

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
        """Return an organization's table: ``settings["tax_rates"]``, or the default where that key is missing.

        Each row is {"country", "basis_points", "region"?, "tax_code"?, "valid_from"?, "valid_until"?}; dates are ISO
        8601, and basis points may be written as text to be exact ("662.5"). A region may be written in any way that
        ``region_code`` reads. Raises KeyError, ValueError or decimal.InvalidOperation for an invalid row.
        """
        rows = settings.get("tax_rates")
        return cls() if rows is None else cls(tuple(_rate_from(row) for row in rows))

    def unknown_regions(self) -> list[str]:
        """Return regions in which no address can ever be: they are missing from their country's list of regions."""
        return [
            f"{rate.country}-{rate.region}"
            for rate in self.rates
            if rate.region is not None and lists_regions(rate.country) and not is_listed(rate.country, rate.region)
        ]

    def rate_for(self, country: str, region: str | None, tax_code: str | None, on: date) -> Decimal:
        """Return the rate in basis points, possibly with a fraction (New Jersey levies 662.5).

        ``region`` is a ``region_code``. The most specific row wins: a row for the region before one for the whole
        country, then one for the tax code before one for all goods, then the one that came into force last.
        """
        rows = [
            rate
            for rate in self._in_force(country, on)
            if rate.region in {None, region} and rate.tax_code in {None, tax_code}
        ]
        if not rows:
            return Decimal(0)
        best = max(rows, key=lambda rate: (rate.region is not None, rate.tax_code is not None, rate.valid_from))
        return best.basis_points

    def taxes(self, lines: Sequence[TaxableLine], destination: Destination, on: date) -> Sequence[LineTax]:
        """Return the tax on each line, rounded half to even to a whole minor unit per line.

        Raises InvalidInput for a destination with a missing or unknown region in a country that is taxed by region.
        Otherwise no tax would be owed there, and shoppers could choose that by what they write.
        """
        self._check_region(destination, on)
        region = destination.taxed_in
        rates = [self.rate_for(destination.country, region, line.tax_code, on) for line in lines]
        return [LineTax(rate, tax_on(line.taxable_minor, rate)) for line, rate in zip(lines, rates, strict=True)]

    def _check_region(self, destination: Destination, on: date) -> None:
        country = destination.country
        rows = self._in_force(country, on)
        if all(rate.region is None for rate in rows):
            return
        region = region_code(country, destination.region)
        if region is None:
            raise _refused(destination, f"required: sales in {country} are taxed by region")
        if lists_regions(country):
            is_known = is_listed(country, region)
        else:
            is_known = any(rate.region == region or (rate.region, rate.tax_code) == (None, None) for rate in rows)
        if not is_known:
            raise _refused(destination, f"is no region of {country} that is known here: write its code")

    def _in_force(self, country: str, on: date) -> list[TaxRate]:
        return [rate for rate in self.rates if rate.country == country and rate.valid_from <= on <= rate.valid_until]


def tax_on(taxable_minor: int, rate_basis_points: Decimal) -> int:
    """Return the tax in minor units, rounded half to even, so that halves do not accumulate over many lines."""
    exact = taxable_minor * rate_basis_points / BASIS_POINTS
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def _refused(destination: Destination, message: str) -> InvalidInput:
    return InvalidInput(
        "the address does not say where it is taxed",
        errors=[{"field": f"{destination.called}.region", "message": message}],
    )


def _rate_from(row: Mapping[str, Any]) -> TaxRate:
    region = region_code(row["country"], row.get("region"))
    if region is None and row.get("region") is not None:
        raise ValueError("a region without a letter is none")
    return TaxRate(
        country=row["country"],
        basis_points=Decimal(str(row["basis_points"])),
        region=region,
        tax_code=row.get("tax_code"),
        valid_from=date.fromisoformat(row["valid_from"]) if row.get("valid_from") else date.min,
        valid_until=date.fromisoformat(row["valid_until"]) if row.get("valid_until") else date.max,
    )
