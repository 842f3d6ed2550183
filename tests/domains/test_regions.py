"""A region has one spelling, wherever it comes from."""

from dataclasses import replace

import pytest
from holidays import country_holidays
from hypothesis import given
from hypothesis import strategies as st

from holdfast.values import regions
from holdfast.values.address import Address
from holdfast.values.regions import region_code


@pytest.mark.parametrize(
    ("country", "written", "kept"),
    [
        ("US", "co", "CO"),
        ("US", " US-CO ", "CO"),
        ("US", "new   york", "NY"),
        ("US", "Washington, D.C.", "DC"),
        ("US", "\uff23\uff2f", "CO"),
        ("US", "Kolorado", "Kolorado"),
        ("US", "USCO", "USCO"),
        ("CA", "Québec", "QC"),
        ("CA", "quebec", "QC"),
        ("CA", "\u00cele-du-Prince-\u00c9douard", "PE"),
        ("AU", "New South Wales", "NSW"),
        ("DE", " Bayern ", "Bayern"),
        ("DE", "DE-BY", "DE-BY"),
        ("JP", "\u6771\u4eac\u90fd", "\u6771\u4eac\u90fd"),
        ("US", "  ", None),
        ("US", None, None),
    ],
)
def test_an_address_keeps_the_code_of_a_region_that_is_known_and_any_other_as_written(
    country: str, written: str | None, kept: str | None
) -> None:
    address = Address("Ada", "1", "City", "1", country, region=written)
    assert address.region == address.to_json()["region"] == kept


@given(st.sampled_from(["US", "CA", "AU", "DE", "ES"]), st.one_of(st.none(), st.text(max_size=40)))
def test_a_region_that_was_brought_to_one_form_stays_in_it(country: str, written: str | None) -> None:
    code = region_code(country, written)
    assert region_code(country, code) == code
    address = Address("Ada", "1", "City", "1", country, region=written)
    assert region_code(country, address.region) == code
    assert replace(address, name="Grace").region == address.region


@pytest.mark.parametrize(
    ("country", "written", "code"),
    [
        ("DE", "de-by", "BY"),
        ("DE", "Detmold", "DETMOLD"),
        ("MX", "Baja California", "BAJACALIFORNIA"),
        ("ES", "-", None),
    ],
)
def test_a_region_of_any_other_country_is_compared_by_its_letters(country: str, written: str, code: str | None) -> None:
    assert region_code(country, written) == code


@pytest.mark.parametrize(
    ("country", "ours_alone"), [("US", {"AA", "AE", "AP", "FM", "MH", "PW"}), ("CA", set()), ("AU", set())]
)
def test_the_regions_that_are_listed_are_those_that_the_holidays_know(country: str, ours_alone: set[str]) -> None:
    """The two tables were made independently; ours also has the codes that only the postal service uses."""
    theirs = country_holidays(country)
    codes = {code for code in theirs.subdivisions if code.isalpha()}  # theirs also lists parts, such as "NSW Western"
    assert set(regions._REGIONS[country]) - codes == ours_alone
    assert codes <= set(regions._REGIONS[country])
    named = {name: code for name, code in theirs.subdivisions_aliases.items() if code in codes}
    assert {name: region_code(country, name) for name in named} == named
