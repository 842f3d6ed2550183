import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checkout.shipping_rates import ShippingRate, ShippingRates
from holdfast.values.errors import InvalidInput
from holdfast.values.money import Money
from holdfast.values.shipping import ShippingPreference

STANDARD, EXPEDITED = ShippingPreference.STANDARD, ShippingPreference.EXPEDITED
RATES = ShippingRates(
    "USD",
    (
        ShippingRate(STANDARD, 799, country="US", free_from_minor=7_500),
        ShippingRate(STANDARD, 2_499),
        ShippingRate(EXPEDITED, 1_999, country="US"),
    ),
)


def test_a_countrys_own_rate_goes_before_the_rate_of_every_country():
    assert RATES.shipping(STANDARD, "US", Money(1_000, "USD")) == Money(799, "USD")
    assert RATES.shipping(STANDARD, "NZ", Money(1_000, "USD")) == Money(2_499, "USD")


@pytest.mark.parametrize(("goods_minor", "shipping_minor"), [(7_499, 799), (7_500, 0), (7_501, 0)])
def test_goods_worth_the_threshold_or_more_ship_free(goods_minor, shipping_minor):
    assert RATES.shipping(STANDARD, "US", Money(goods_minor, "USD")).amount_minor == shipping_minor


@given(st.integers(0, 10**12))
def test_a_rate_without_a_threshold_is_never_free(goods_minor):
    assert RATES.shipping(EXPEDITED, "US", Money(goods_minor, "USD")).amount_minor == 1_999


@pytest.mark.parametrize(("preference", "country", "currency"), [(EXPEDITED, "NZ", "USD"), (STANDARD, "US", "EUR")])
def test_a_place_or_currency_without_a_rate_is_refused_and_never_guessed(preference, country, currency):
    with pytest.raises(InvalidInput, match=f"to {country} in {currency}"):
        RATES.shipping(preference, country, Money(1_000, currency))


@given(st.sampled_from(ShippingPreference), st.sampled_from(["US", "DE", "JP"]))
def test_the_default_table_ships_everywhere_in_dollars(preference, country):
    assert ShippingRates().shipping(preference, country, Money(100, "USD")).amount_minor > 0


def test_an_organization_brings_its_own_rates_and_else_has_the_default():
    row = {"preference": "standard", "amount_minor": 500, "free_from_minor": 9_000}
    own = ShippingRates.from_settings({"currency": "JPY", "shipping_rates": [row]})
    assert own.shipping(STANDARD, "JP", Money(8_999, "JPY")) == Money(500, "JPY")
    assert own.shipping(STANDARD, "JP", Money(9_000, "JPY")) == Money(0, "JPY")
    assert ShippingRates.from_settings({"currency": "JPY"}) == ShippingRates()


def test_amounts_that_are_text_are_the_same_amounts():
    row = {"preference": "standard", "amount_minor": "500", "free_from_minor": "9000"}
    rates = ShippingRates.from_settings({"currency": "USD", "shipping_rates": [row]})
    assert rates.rates == (ShippingRate(STANDARD, 500, free_from_minor=9_000),)
