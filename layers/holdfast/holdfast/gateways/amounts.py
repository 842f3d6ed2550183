"""Conversion of amounts to and from a vendor's units. It is exact or an error: nothing is ever rounded."""

from collections.abc import Callable
from typing import Final

from holdfast.values.errors import NotRepresentable
from holdfast.values.money import Money, currency_exponent

_STEPS_MINOR: Final = (1, 10, 100, 1000)


def vendor_amount(amount: Money, exponent: int, vendor: str) -> int:
    """Return ``amount`` in units of ten to the power of minus ``exponent``.

    Raises ``NotRepresentable`` if that would need rounding or the amount is not greater than zero.
    """
    scaled = _rescaled(amount.amount_minor, exponent - currency_exponent(amount.currency))
    if scaled is None or scaled <= 0:
        raise NotRepresentable(f"{vendor} cannot express {amount} exactly.", currency=amount.currency)
    return scaled


def money_from(units: int, currency: str, exponent: int, vendor: str) -> Money:
    """Return a vendor's amount in ISO minor units.

    Raises ``NotRepresentable`` if that would need rounding, ``TypeError`` if ``units`` is not a whole number.
    """
    if isinstance(units, bool) or not isinstance(units, int):
        raise TypeError("an amount is a whole number")
    whole = _rescaled(units, currency_exponent(currency) - exponent)
    if whole is None:
        raise NotRepresentable(f"{units} of {vendor}'s {currency} is no whole minor unit.", currency=currency)
    return Money(whole, currency)


def step_minor(write: Callable[[Money], object], currency: str) -> int:
    """Return the number of minor units of which every amount in the currency has to be a multiple.

    ``write`` formats an amount for the vendor in question. Raises ``NotRepresentable`` for a currency that the vendor
    does not accept.
    """
    for step in _STEPS_MINOR[:-1]:
        try:
            write(Money(step, currency))
        except NotRepresentable:
            continue
        return step
    write(Money(_STEPS_MINOR[-1], currency))
    return _STEPS_MINOR[-1]


def _rescaled(units: int, shift: int) -> int | None:
    """Return ``units`` times ten to the power of ``shift``, or None if that is not a whole number."""
    scaled, remainder = divmod(units * _power_of_ten(shift), _power_of_ten(-shift))
    return None if remainder else scaled


def _power_of_ten(exponent: int) -> int:
    """Return ten to the power of ``exponent``, or 1 for a negative one, so that all arithmetic stays in integers."""
    return int(10 ** max(exponent, 0))
