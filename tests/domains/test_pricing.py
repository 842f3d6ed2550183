from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checkout.pricing import OrderAmounts, PricedLine, check_client_prices, price_order, share_out
from holdfast.checkout.shipping_rates import ShippingRate, ShippingRates
from holdfast.checkout.tax import Destination, LineTax, TaxableLine, TaxRate, TaxTable
from holdfast.values.errors import InvalidInput, PriceChanged
from holdfast.values.money import AMOUNT_MAX_MINOR, Money
from holdfast.values.shipping import ShippingPreference

TODAY = date(2025, 11, 20)
CALIFORNIA = Destination("US", "CA")
TAXES = TaxTable(
    (
        TaxRate(country="US", region="CA", basis_points=Decimal(725)),
        TaxRate(country="US", region="CA", basis_points=Decimal(0), tax_code="food"),
    )
)
SHIPPING = ShippingRates("USD", (ShippingRate(ShippingPreference.STANDARD, 799, free_from_minor=7_500),))


def line(sku: str = "TEE", price: int = 1_999, quantity: int = 1, **fields: object) -> PricedLine:
    defaults = {"variant_id": UUID(int=1), "name": sku, "currency": "USD"}
    return PricedLine(sku=sku, unit_price_minor=price, quantity=quantity, **defaults | fields)


def price(*lines: PricedLine, **fields: object) -> OrderAmounts:
    return price_order(lines, CALIFORNIA, ShippingPreference.STANDARD, TAXES, SHIPPING, on=TODAY, **fields)


def test_an_order_is_its_goods_and_their_tax_and_the_shipping():
    amounts = price(line("TEE", 1_999, 2), line("MUG", 1_000))
    assert (amounts.subtotal_minor, amounts.tax_minor, amounts.shipping_minor) == (4_998, 290 + 72, 799)
    assert (amounts.total_minor, amounts.currency) == (4_998 + 362 + 799, "USD")
    assert [each.subtotal_minor for each in amounts.lines] == [3_998, 1_000]


def test_the_receipt_shows_one_tax_line_for_each_rate_and_none_for_the_exempt():
    amounts = price(line("TEE", 1_999, 2), line("MUG", 1_000), line("RICE", 500, tax_code="food"))
    assert [tax.to_json() for tax in amounts.tax_lines] == [
        {"country": "US", "region": "CA", "rate_basis_points": "725", "taxable_minor": 4_998, "tax_minor": 362}
    ]


def test_the_discount_is_taken_off_before_the_tax_and_before_the_free_shipping_threshold():
    amounts = price(line("TEE", 8_000), discount_minor=1_000)
    assert (amounts.tax_minor, amounts.shipping_minor, amounts.total_minor) == (508, 799, 8_000 - 1_000 + 508 + 799)


def test_an_order_that_needs_no_shipping_pays_none():
    assert price(line(requires_shipping=False)).shipping_minor == 0
    assert price(line(requires_shipping=False), line("MUG")).shipping_minor == 799


def test_a_shop_can_plug_in_its_own_tax_and_shipping():
    class FlatTax:
        def taxes(self, lines: Sequence[TaxableLine], destination: Destination, on: date) -> Sequence[LineTax]:
            return [LineTax(Decimal(1), 7) for _ in lines]

    class FreeShipping:
        def shipping(self, preference: ShippingPreference, country: str, goods: Money) -> Money:
            return Money(0, goods.currency)

    amounts = price_order([line()], CALIFORNIA, ShippingPreference.ECONOMY, FlatTax(), FreeShipping(), on=TODAY)
    assert amounts.total_minor == 1_999 + 7


@pytest.mark.parametrize(
    ("lines", "discount_minor"),
    [
        ([line("TEE"), line("MUG", currency="EUR")], 0),
        ([line("TEE", 100)], 101),
        ([line("TEE", 100)], -1),
        ([line("TEE", AMOUNT_MAX_MINOR, 2)], 0),
    ],
    ids=["two currencies", "a discount beyond the goods", "a negative discount", "beyond the largest amount"],
)
def test_what_cannot_be_priced_is_refused(lines, discount_minor):
    with pytest.raises(InvalidInput):
        price(*lines, discount_minor=discount_minor)


def test_an_order_without_lines_has_no_price():
    with pytest.raises(ValueError, match="without lines"):
        price()


priced_lines = st.lists(
    st.builds(
        line,
        price=st.integers(0, 10**7),
        quantity=st.integers(1, 50),
        tax_code=st.sampled_from([None, "food"]),
        requires_shipping=st.booleans(),
    ),
    min_size=1,
    max_size=10,
)


@given(priced_lines, st.data())
def test_every_total_is_the_sum_of_its_lines(lines, data):
    worth = sum(each.unit_price_minor * each.quantity for each in lines)
    amounts = price(*lines, discount_minor=data.draw(st.integers(0, worth)))
    assert amounts.subtotal_minor == sum(each.subtotal_minor for each in amounts.lines) == worth
    assert amounts.discount_minor == sum(each.discount_minor for each in amounts.lines)
    assert amounts.tax_minor == sum(each.tax_minor for each in amounts.lines)
    assert amounts.tax_minor == sum(tax.tax_minor for tax in amounts.tax_lines)
    charged = amounts.subtotal_minor - amounts.discount_minor + amounts.tax_minor + amounts.shipping_minor
    assert amounts.total_minor == charged
    assert all(0 <= each.discount_minor <= each.subtotal_minor for each in amounts.lines)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.data())
def test_shares_add_up_exactly_and_none_is_off_by_a_whole_unit(weights, data):
    whole = sum(weights)
    amount = data.draw(st.integers(0, whole))
    parts = share_out(amount, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * whole - amount * weight) < max(whole, 1)
        assert part <= weight


def test_a_price_the_client_sent_that_differs_is_refused_with_the_current_one():
    lines = [line("TEE", 1_999), line("MUG", 1_000), line("CAP", 2_500)]
    with pytest.raises(PriceChanged) as changed:
        check_client_prices(lines, [("TEE", 1_899), ("CAP", 2_500)])
    assert changed.value.facts["items"] == [{"sku": "TEE", "sent": 1_899, "current": 1_999, "currency": "USD"}]


def test_prices_that_agree_or_were_not_sent_pass():
    check_client_prices([line("TEE", 1_999), line("MUG", 1_000)], [("TEE", 1_999)])
    check_client_prices([line("TEE", 1_999)], [])


def test_one_sku_on_two_lines_is_checked_on_both():
    with pytest.raises(PriceChanged):
        check_client_prices([line("TEE", 1_999), line("TEE", 1_999)], [("TEE", 1_999), ("TEE", 1)])


def test_a_price_for_what_is_not_in_the_order_is_a_mistake_of_the_calling_code():
    with pytest.raises(ValueError, match="MUG"):
        check_client_prices([line("TEE")], [("MUG", 1)])
