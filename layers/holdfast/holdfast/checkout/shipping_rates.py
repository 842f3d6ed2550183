"""What the shopper pays for shipping: a small interface, and flat rates with a free-shipping threshold as the default.

This is the price to the shopper. What a parcel costs the shop is a figure of the warehouse, which only the allocation
uses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from holdfast.values.errors import InvalidInput
from holdfast.values.money import Money
from holdfast.values.shipping import ShippingPreference


class ShippingCalculator(Protocol):
    """Calculates what shipping costs the shopper, before tax."""

    def shipping(self, preference: ShippingPreference, country: str, goods: Money) -> Money:
        """Return the price of shipping. ``goods`` is the value of the order after its discount.

        Raises InvalidInput for a destination that the shop does not ship to.
        """
        ...


@dataclass(frozen=True, slots=True)
class ShippingRate:
    """One flat rate. Without a ``country``, it applies to every country that has no row of its own.

    Goods worth ``free_from_minor`` or more ship free; without that threshold, shipping is never free.
    """

    preference: ShippingPreference
    amount_minor: int
    country: str | None = None
    free_from_minor: int | None = None


DEFAULT_SHIPPING_CURRENCY: Final = "USD"
DEFAULT_SHIPPING_RATES: Final = (
    ShippingRate(ShippingPreference.ECONOMY, 499, country="US", free_from_minor=5_000),
    ShippingRate(ShippingPreference.STANDARD, 799, country="US", free_from_minor=7_500),
    ShippingRate(ShippingPreference.EXPEDITED, 1_999, country="US"),
    ShippingRate(ShippingPreference.ECONOMY, 1_499),
    ShippingRate(ShippingPreference.STANDARD, 2_499),
    ShippingRate(ShippingPreference.EXPEDITED, 4_999),
)


@dataclass(frozen=True, slots=True)
class ShippingRates:
    """Flat rates in one currency. A country, preference or currency without a rate is refused rather than guessed."""

    currency: str = DEFAULT_SHIPPING_CURRENCY
    rates: tuple[ShippingRate, ...] = DEFAULT_SHIPPING_RATES

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "ShippingRates":
        """Return an organization's rates: ``settings["shipping_rates"]``, or the default where that key is missing.

        Each row is {"preference", "amount_minor", "country"?, "free_from_minor"?}, in the currency
        ``settings["currency"]``; an amount may be text. Raises KeyError, TypeError or ValueError for an invalid row.
        """
        rows = settings.get("shipping_rates")
        if rows is None:
            return cls()
        return cls(settings["currency"], tuple(_rate_from(row) for row in rows))

    def shipping(self, preference: ShippingPreference, country: str, goods: Money) -> Money:
        """Return the country's own rate, or else the general one; 0 from its free-shipping threshold on.

        Raises InvalidInput where there is no rate.
        """
        rate = self._rate(preference, country)
        if goods.currency != self.currency or rate is None:
            message = f"no {preference} shipping to {country} in {goods.currency}"
            raise InvalidInput(message, errors=[{"field": "shipping_preference", "message": message}])
        free = rate.free_from_minor is not None and goods.amount_minor >= rate.free_from_minor
        return Money(0 if free else rate.amount_minor, self.currency)

    def _rate(self, preference: ShippingPreference, country: str) -> ShippingRate | None:
        by_country = {rate.country: rate for rate in self.rates if rate.preference is preference}
        return by_country.get(country) or by_country.get(None)


def _rate_from(row: Mapping[str, Any]) -> ShippingRate:
    free_from = row.get("free_from_minor")
    return ShippingRate(
        preference=ShippingPreference(row["preference"]),
        amount_minor=int(row["amount_minor"]),
        country=row.get("country"),
        free_from_minor=None if free_from is None else int(free_from),
    )
