from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checkout.tax import DEFAULT_TAX_RATES, Destination, TaxableLine, TaxRate, TaxTable, tax_on
from holdfast.values.errors import InvalidInput

TODAY = date(2025, 11, 20)


def table(*rates: TaxRate) -> TaxTable:
    return TaxTable(rates)


def rate(basis_points: int, country: str = "US", **fields: object) -> TaxRate:
    return TaxRate(country=country, basis_points=Decimal(basis_points), **fields)


@pytest.mark.parametrize(
    ("taxable_minor", "basis_points", "tax_minor"),
    [
        (10_000, "725", 725),
        (1_000, "662.5", 66),  # 66.25
        (100, "50", 0),  # 0.5, rounded half to even
        (300, "50", 2),  # 1.5, rounded half to even
        (500, "50", 2),  # 2.5, rounded half to even
        (0, "725", 0),
        (10**15, "10000", 10**15),
    ],
)
def test_tax_is_rounded_half_to_even_in_minor_units(taxable_minor, basis_points, tax_minor):
    assert tax_on(taxable_minor, Decimal(basis_points)) == tax_minor


@given(st.integers(0, 10**12), st.integers(0, 100_000))
def test_rounding_never_moves_the_tax_by_more_than_half_a_minor_unit(taxable_minor, tenths):
    basis_points = Decimal(tenths) / 10
    exact = Fraction(taxable_minor) * Fraction(basis_points) / 10_000
    assert abs(tax_on(taxable_minor, basis_points) - exact) <= Fraction(1, 2)


def test_no_tax_is_owed_where_the_table_has_no_row():
    assert table(rate(725)).rate_for("CA", None, None, TODAY) == 0


def test_the_regions_row_goes_before_the_countrys():
    rates = table(rate(100), rate(725, region="CA"))
    assert rates.rate_for("US", "CA", None, TODAY) == 725
    assert rates.rate_for("US", "OR", None, TODAY) == 100
    assert rates.rate_for("US", None, None, TODAY) == 100


def test_a_tax_codes_row_goes_before_the_general_one_of_the_same_place():
    rates = table(rate(1900, "DE"), rate(700, "DE", tax_code="book"))
    assert rates.rate_for("DE", None, "book", TODAY) == 700
    assert rates.rate_for("DE", None, "toy", TODAY) == 1900
    assert rates.rate_for("DE", None, None, TODAY) == 1900


def test_a_states_own_row_goes_before_a_tax_codes_row_of_the_whole_country():
    rates = table(rate(0, tax_code="food"), rate(725, region="CA"))
    assert rates.rate_for("US", "CA", "food", TODAY) == 725
    assert rates.rate_for("US", "OR", "food", TODAY) == 0


def test_a_rate_holds_from_its_first_to_its_last_day():
    rates = table(
        rate(445, region="LA", valid_until=date(2024, 12, 31)), rate(500, region="LA", valid_from=date(2025, 1, 1))
    )
    assert rates.rate_for("US", "LA", None, date(2024, 12, 31)) == 445
    assert rates.rate_for("US", "LA", None, date(2025, 1, 1)) == 500


def test_of_two_rates_in_force_the_later_one_wins():
    rates = table(rate(600, valid_from=date(2025, 7, 1)), rate(500))
    assert rates.rate_for("US", None, None, TODAY) == 600


def test_the_default_table_knows_the_american_states_and_keeps_fractions_of_a_basis_point():
    assert TaxTable().rate_for("US", "CA", None, TODAY) == 725
    assert TaxTable().rate_for("US", "NJ", None, TODAY) == Decimal("662.5")
    assert TaxTable().rate_for("US", "OR", None, TODAY) == 0
    assert len(DEFAULT_TAX_RATES) == len({each.region for each in DEFAULT_TAX_RATES}) == 46  # 45 states and D.C.


def test_an_organization_brings_its_own_table_and_else_has_the_default():
    row = {"country": "US", "region": "NJ", "basis_points": "662.5", "tax_code": "toy", "valid_from": "2025-01-01"}
    own = TaxTable.from_settings({"tax_rates": [row]})
    assert own.rate_for("US", "NJ", "toy", TODAY) == Decimal("662.5")
    assert own.rate_for("US", "NJ", "toy", date(2024, 12, 31)) == 0
    assert TaxTable.from_settings({"tax_rates": []}).rate_for("US", "CA", None, TODAY) == 0
    assert TaxTable.from_settings({}) == TaxTable()


def owed(rates: TaxTable, destination: Destination) -> int:
    return rates.taxes([TaxableLine(None, 10_000)], destination, TODAY)[0].tax_minor


@pytest.mark.parametrize("written", ["CO", "co", "US-CO", "Colorado", "C.O."])
def test_a_region_is_the_same_in_an_address_and_in_a_rate_however_they_are_written(written):
    for told in ("CO", "us-co", "colorado"):
        own = TaxTable.from_settings({"tax_rates": [{"country": "US", "region": told, "basis_points": 290}]})
        assert owed(own, Destination("US", written)) == 290
        assert own.unknown_regions() == []


@pytest.mark.parametrize("written", [None, "", " ", "Kolorado", "ON"])
def test_a_country_that_is_taxed_by_region_wants_to_know_the_region(written):
    with pytest.raises(InvalidInput) as refused:
        owed(TaxTable(), Destination("US", written, postal_region="CO", called="address"))
    assert [error["field"] for error in refused.value.facts["errors"]] == ["address.region"]
    assert owed(TaxTable(), Destination("DE", written)) == 0
    assert owed(table(rate(725)), Destination("US", written)) == 725
    over = rate(290, region="CO", valid_until=date(2025, 1, 1))
    assert owed(table(rate(725), over), Destination("US", written)) == 725, "regions were told apart until then"


def test_the_region_of_the_postal_code_is_the_one_that_taxes():
    assert owed(TaxTable(), Destination("US", "OR", postal_region="CO")) == 290
    assert owed(TaxTable(), Destination("US", "CO", postal_region="Oregon")) == 0
    assert owed(TaxTable(), Destination("US", "CO", postal_region="08")) == 290, "a code of somebody else's"


def test_a_country_whose_regions_are_not_listed_has_those_of_its_rates_or_a_rate_for_the_rest():
    goa = rate(500, "IN", region="GOA")
    assert owed(table(goa), Destination("IN", "Goa")) == 500
    food = rate(0, "IN", tax_code="food")
    for rates in (table(goa), table(goa, food)):
        with pytest.raises(InvalidInput):
            owed(rates, Destination("IN", "Kerala"))
    assert owed(table(goa, rate(900, "IN")), Destination("IN", "Kerala")) == 900
    assert table(goa, rate(1, region="XX")).unknown_regions() == ["US-XX"]


def test_every_line_is_taxed_by_its_own_code_and_answered_in_order():
    rates = table(rate(1000), rate(0, tax_code="food"))
    lines = [TaxableLine("food", 500), TaxableLine(None, 500)]
    assert [tax.tax_minor for tax in rates.taxes(lines, Destination("US"), TODAY)] == [0, 50]
