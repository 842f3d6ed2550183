"""Amounts in a vendor's units. Exact or an error: nothing is ever rounded."""

from collections.abc import Callable
from typing import Final

from holdfast.values.errors import NotRepresentable
from holdfast.values.money import Money, currency_exponent

_STEPS_MINOR: Final = (1, 10, 100, 1000)


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


def step_minor(write: Callable[[Money], object], currency: str) -> int:
    """The number of minor units that every amount of the currency has to be a multiple of, for the vendor whose amounts
    ``write`` writes. Raises ``NotRepresentable`` for a currency that it does not take."""
    for step in _STEPS_MINOR[:-1]:
        try:
            write(Money(step, currency))
        except NotRepresentable:
            continue
        return step
    write(Money(_STEPS_MINOR[-1], currency))
    return _STEPS_MINOR[-1]


def _rescaled(units: int, shift: int) -> int | None:
    """Times ten to the ``shift``; None where that is no whole number."""
    scaled, remainder = divmod(units * _power_of_ten(shift), _power_of_ten(-shift))
    return None if remainder else scaled


def _power_of_ten(exponent: int) -> int:
    """Ten to the exponent, and 1 for a negative one: integers only."""
    return int(10 ** max(exponent, 0))
