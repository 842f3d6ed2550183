"""A new destination has its tax and shipping computed anew and never costs the shopper more than was agreed."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checkout.repricing import AgreedLine, AgreedPrice, Repriced, reprice
from holdfast.checkout.shipping_rates import ShippingRate, ShippingRates
from holdfast.checkout.tax import Destination, TaxRate, TaxTable
from holdfast.values.errors import InvalidInput
from holdfast.values.shipping import ShippingPreference

STANDARD = ShippingPreference.STANDARD
DAY = date(2026, 1, 5)
NEW_JERSEY, OREGON, BERLIN = Destination("US", "NJ"), Destination("US", "OR"), Destination("DE")


def line(number: int = 1, **facts: int) -> AgreedLine:
    return AgreedLine(
        order_item_id=UUID(int=number),
        quantity=facts.get("quantity", 2),
        taxable_minor=facts.get("taxable_minor", 4_000),
        tax_minor=facts.get("tax_minor", 265),
        tax_code=None,
        requires_shipping=True,
        taken_quantity=facts.get("taken_quantity", 0),
        taken_minor=facts.get("taken_minor", 0),
    )


def agreed(*lines: AgreedLine, shipping_minor: int = 799, taken_minor: int = 0) -> AgreedPrice:
    return AgreedPrice(
        currency="USD", lines=lines or (line(),), shipping_minor=shipping_minor, shipping_taken_minor=taken_minor
    )


def test_where_no_tax_is_owed_the_price_falls_by_it() -> None:
    repriced = reprice(agreed(), OREGON, STANDARD, TaxTable(), ShippingRates(), on=DAY)
    assert (repriced.agreed_minor, repriced.asked_minor, repriced.total_minor, repriced.fall_minor) == (
        5_064,
        4_799,
        4_799,
        265,
    )
    assert repriced.price is not None
    assert repriced.price.taxes == {UUID(int=1): 0}
    assert repriced.price.tax_lines == ()


def test_where_more_is_owed_the_shop_bears_it() -> None:
    repriced = reprice(agreed(line(tax_minor=0)), NEW_JERSEY, STANDARD, TaxTable(), ShippingRates(), on=DAY)
    assert (repriced.asked_minor, repriced.price, repriced.total_minor, repriced.fall_minor) == (5_064, None, 4_799, 0)


@pytest.mark.parametrize(("asked_minor", "bears_much"), [(9_000, False), (10_500, False), (10_501, True)])
def test_up_to_five_percent_the_shop_bears_unasked(asked_minor: int, bears_much: bool) -> None:
    assert Repriced(agreed_minor=10_000, asked_minor=asked_minor, price=None).bears_much is bears_much


def test_of_an_order_that_was_free_everything_is_much() -> None:
    assert Repriced(agreed_minor=0, asked_minor=1, price=None).bears_much
    assert not Repriced(agreed_minor=0, asked_minor=0, price=None).bears_much


def test_more_tax_and_less_shipping_are_held_against_each_other() -> None:
    price = agreed(line(tax_minor=0), shipping_minor=2_499)
    repriced = reprice(price, NEW_JERSEY, STANDARD, TaxTable(), ShippingRates(), on=DAY)
    assert repriced.price is not None
    assert (repriced.price.tax_minor, repriced.price.shipping_minor, repriced.fall_minor) == (265, 799, 1_435)
    (told,) = repriced.price.tax_lines
    assert (told.region, told.rate_basis_points, told.taxable_minor, told.tax_minor) == (
        "NJ",
        Decimal("662.5"),
        4_000,
        265,
    )


def test_units_that_were_given_back_keep_the_tax_they_were_given_back_with() -> None:
    # One of the two units was refunded for 2,132: 2,000 plus its half of the tax, rounded down.
    repriced = reprice(
        agreed(line(taken_quantity=1, taken_minor=2_132)), OREGON, STANDARD, TaxTable(), ShippingRates(), on=DAY
    )
    assert repriced.price is not None
    assert repriced.price.tax_minor == 132
    assert repriced.price.tax_lines[0].tax_minor == 132


def test_shipping_that_was_given_back_stays_what_it_was() -> None:
    price = agreed(shipping_minor=2_499, taken_minor=2_499)
    repriced = reprice(price, OREGON, STANDARD, TaxTable(), ShippingRates(), on=DAY)
    assert repriced.price is not None
    assert (repriced.price.shipping_minor, repriced.fall_minor) == (2_499, 265)


def test_where_the_shop_does_not_ship_the_order_does_not_go() -> None:
    rates = ShippingRates("USD", (ShippingRate(STANDARD, 799, country="US"),))
    with pytest.raises(InvalidInput, match="no standard shipping to DE"):
        reprice(agreed(), BERLIN, STANDARD, TaxTable(), rates, on=DAY)


@st.composite
def sold(draw: st.DrawFn) -> AgreedLine:
    """Draw a line of which some units were refunded, each for what it is worth."""
    quantity, taxable, tax = draw(st.integers(1, 9)), draw(st.integers(0, 10**6)), draw(st.integers(0, 10**5))
    taken = draw(st.integers(0, quantity))
    worth = taxable + tax
    return line(
        draw(st.integers(1, 2**40)),
        quantity=quantity,
        taxable_minor=taxable,
        tax_minor=tax,
        taken_quantity=taken,
        taken_minor=worth * taken // quantity,
    )


@given(
    st.lists(sold(), min_size=1, max_size=4, unique_by=lambda each: each.order_item_id),
    st.integers(0, 5_000),
    st.integers(0, 5_000),
    st.integers(0, 10_000),
    st.integers(0, 5_000),
)
def test_the_price_adds_up_never_rises_and_covers_what_was_given_back(
    lines: list[AgreedLine], shipping: int, taken: int, basis_points: int, rate: int
) -> None:
    price = agreed(*lines, shipping_minor=shipping, taken_minor=min(taken, shipping))
    taxes = TaxTable((TaxRate(country="US", basis_points=Decimal(basis_points)),))
    rates = ShippingRates("USD", (ShippingRate(STANDARD, rate),))
    repriced = reprice(price, OREGON, STANDARD, taxes, rates, on=DAY)
    assert repriced.total_minor == min(repriced.agreed_minor, repriced.asked_minor)
    if repriced.price is None:
        assert repriced.fall_minor == 0
        return
    new = repriced.price
    assert new.total_minor == new.shipping_minor + new.tax_minor + sum(each.taxable_minor for each in lines)
    assert new.tax_minor == sum(new.taxes.values()) == sum(told.tax_minor for told in new.tax_lines)
    assert new.shipping_minor >= price.shipping_taken_minor
    for each in lines:
        assert each.taxable_minor + new.taxes[each.order_item_id] >= each.taken_minor
        assert new.taxes[each.order_item_id] >= 0
