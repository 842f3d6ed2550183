from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checkout.tax import DEFAULT_TAX_RATES, Destination, TaxableLine, TaxRate, TaxTable, tax_on

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
        (100, "50", 0),  # 0.5 to even
        (300, "50", 2),  # 1.5 to even
        (500, "50", 2),  # 2.5 to even
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
    assert len(DEFAULT_TAX_RATES) == len({each.region for each in DEFAULT_TAX_RATES}) == 46  # 45 states and DC


def test_an_organization_brings_its_own_table_and_else_has_the_default():
    row = {"country": "US", "region": "NJ", "basis_points": "662.5", "tax_code": "toy", "valid_from": "2025-01-01"}
    own = TaxTable.from_settings({"tax_rates": [row]})
    assert own.rate_for("US", "NJ", "toy", TODAY) == Decimal("662.5")
    assert own.rate_for("US", "NJ", "toy", date(2024, 12, 31)) == 0
    assert TaxTable.from_settings({"tax_rates": []}).rate_for("US", "CA", None, TODAY) == 0
    assert TaxTable.from_settings({}) == TaxTable()


def test_every_line_is_taxed_by_its_own_code_and_answered_in_order():
    rates = table(rate(1000), rate(0, tax_code="food"))
    lines = [TaxableLine("food", 500), TaxableLine(None, 500)]
    assert [tax.tax_minor for tax in rates.taxes(lines, Destination("US"), TODAY)] == [0, 50]
