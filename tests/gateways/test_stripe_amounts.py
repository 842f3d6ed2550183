"""Money in Stripe's units: exact, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateways.stripe_objects import money_of, stripe_amount
from holdfast.values.errors import NotRepresentable
from holdfast.values.money import Money

ZERO_DECIMAL = (
    *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"),
    *("PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"),
)


@pytest.mark.parametrize("currency", sorted(set(ZERO_DECIMAL) - {"MGA"}))
def test_a_currency_without_decimals_goes_in_whole_units(currency: str) -> None:
    assert stripe_amount(Money(500, currency)) == 500


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (Money(1999, "USD"), 1999),
        (Money(1999, "EUR"), 1999),
        (Money(500, "MGA"), 5),  # ISO: hundredths; Stripe: whole units
        (Money(500, "ISK"), 50_000),  # ISO: whole units; Stripe: hundredths that must be 00
        (Money(5, "UGX"), 500),  # the same, although Stripe also lists it among the zero-decimal currencies
        (Money(5120, "KWD"), 5120),  # thousandths, whose last digit must be 0
    ],
    ids=str,
)
def test_units_are_converted_where_stripe_differs_from_iso(amount: Money, expected: int) -> None:
    assert stripe_amount(amount) == expected
    assert money_of(expected, amount.currency.lower()) == amount


@pytest.mark.parametrize(
    "amount",
    [Money(501, "MGA"), Money(5124, "KWD"), Money(100, "CLF"), Money(1000, "IQD"), Money(0, "USD"), Money(-5, "USD")],
    ids=str,
)
def test_what_stripe_cannot_express_is_an_error_and_never_rounded(amount: Money) -> None:
    with pytest.raises(NotRepresentable):
        stripe_amount(amount)


@given(
    minor=st.integers(min_value=1, max_value=10**12),
    currency=st.sampled_from([*ZERO_DECIMAL, "USD", "EUR", "ISK", "UGX", "KWD", "BHD", "TND", "HUF", "TWD"]),
)
def test_there_and_back_again_is_the_same_money(minor: int, currency: str) -> None:
    amount = Money(minor, currency)
    try:
        sent = stripe_amount(amount)
    except NotRepresentable:
        return
    assert money_of(sent, currency.lower()) == amount
