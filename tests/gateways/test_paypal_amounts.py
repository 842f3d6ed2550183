"""Money in PayPal's decimal strings: exact, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateways.paypal_objects import money_of, paypal_amount
from holdfast.values.errors import NotRepresentable
from holdfast.values.money import Money

WITHOUT_DECIMALS = ("HUF", "JPY", "TWD")


@pytest.mark.parametrize(
    ("amount", "value"),
    [
        (Money(1999, "USD"), "19.99"),
        (Money(2000, "EUR"), "20.00"),
        (Money(5, "GBP"), "0.05"),
        (Money(500, "JPY"), "500"),  # whole units in ISO as well
        (Money(50_000, "HUF"), "500"),  # ISO: hundredths; PayPal: whole units
        (Money(100, "TWD"), "1"),
    ],
    ids=str,
)
def test_an_amount_is_a_decimal_string_with_paypals_decimals(amount: Money, value: str) -> None:
    assert paypal_amount(amount) == {"currency_code": amount.currency, "value": value}
    assert money_of(paypal_amount(amount)) == amount


@pytest.mark.parametrize(
    "amount",
    [
        Money(50_001, "HUF"),
        Money(150, "TWD"),
        Money(0, "USD"),
        Money(-5, "USD"),
        Money(1000, "KWD"),  # not accepted by PayPal
        Money(1000, "KRW"),
    ],
    ids=str,
)
def test_what_paypal_cannot_express_is_an_error_and_never_rounded(amount: Money) -> None:
    with pytest.raises(NotRepresentable):
        paypal_amount(amount)


@given(
    minor=st.integers(min_value=1, max_value=10**12),
    currency=st.sampled_from([*WITHOUT_DECIMALS, "USD", "EUR", "MXN", "THB"]),
)
def test_there_and_back_again_is_the_same_money(minor: int, currency: str) -> None:
    amount = Money(minor, currency)
    try:
        sent = paypal_amount(amount)
    except NotRepresentable:
        assert currency in {"HUF", "TWD"}
        return
    assert money_of(sent) == amount


@pytest.mark.parametrize(
    ("value", "minor"), [("1", 100), ("1.0", 100), ("1.5", 150), ("0.10", 10), ("1.500000", 150), ("00.01", 1)]
)
def test_every_way_to_write_an_amount_is_read(value: str, minor: int) -> None:
    assert money_of({"currency_code": "USD", "value": value}) == Money(minor, "USD")


@pytest.mark.parametrize("value", ["", "-1.00", "1,00", "1e5", ".5", "1.", "\u0661", "1.005", "9" * 40, None, 1.5])
def test_what_is_no_amount_is_not_read(value: object) -> None:
    with pytest.raises((ValueError, TypeError, NotRepresentable)):
        money_of({"currency_code": "USD", "value": value})
