"""Amounts in a vendor's units. Exact or an error: nothing is ever rounded."""

from holdfast.values.errors import NotRepresentable
from holdfast.values.money import Money, currency_exponent


def vendor_amount(amount: Money, exponent: int, vendor: str) -> int:
    """``amount`` in units of ten to the minus ``exponent``. Raises ``NotRepresentable`` if that would need rounding,
    and for what is not more than zero."""
    scaled = _rescaled(amount.amount_minor, exponent - currency_exponent(amount.currency))
    if scaled is None or scaled <= 0:
        raise NotRepresentable(f"{vendor} cannot express {amount} exactly.", currency=amount.currency)
    return scaled


def money_from(units: int, currency: str, exponent: int, vendor: str) -> Money:
    """An amount of a vendor's in ISO minor units. Raises ``NotRepresentable`` where that would need rounding."""
    if isinstance(units, bool) or not isinstance(units, int):
        raise TypeError("an amount is a whole number")
    whole = _rescaled(units, currency_exponent(currency) - exponent)
    if whole is None:
        raise NotRepresentable(f"{units} of {vendor}'s {currency} is no whole minor unit.", currency=currency)
    return Money(whole, currency)


def _rescaled(units: int, shift: int) -> int | None:
    """Times ten to the ``shift``; None where that is no whole number."""
    scaled, remainder = divmod(units * _power_of_ten(shift), _power_of_ten(-shift))
    return None if remainder else scaled


def _power_of_ten(exponent: int) -> int:
    """Ten to the exponent, and 1 for a negative one: integers only."""
    return int(10 ** max(exponent, 0))
