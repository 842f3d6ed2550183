"""The rules of geocoding: how addresses are keyed, how long answers are kept, and what the last tier knows."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.addresses.cache_policy import AGE_MAX, SAMPLE_EVERY, TIME_TO_LIVE, expiry_of_answer, is_sampled
from holdfast.addresses.centroids import approximate_location, region_of_area
from holdfast.addresses.lookup_tally import LookupTally
from holdfast.addresses.model import (
    GeocodeFailureReason,
    GeocodeFallback,
    GeocodeQuality,
    Location,
    LookupTier,
)
from holdfast.addresses.postal_code import AddressKey, address_key, normalized_postal_code
from holdfast.addresses.reference_rows import ReferenceRow, read_rows
from holdfast.addresses.shipped_codes import shipped_lines
from holdfast.addresses.warm_places import WARM_MAX_AGE, WarmPlaces
from holdfast.values.address import Address
from holdfast.values.coordinates import Coordinates, great_circle_km

NOW = datetime(2031, 5, 1, 12, tzinfo=UTC)
SHOP, OTHER_SHOP = UUID(int=1), UUID(int=2)
ADA = Address(
    "Ada Lovelace", "12 Analytical Way", "Denver", "80202", "US", line2="Suite 3", region="CO", phone="+1 303"
)


def key(country: str, postal_code: str) -> AddressKey:
    return AddressKey(country, postal_code, "0" * 64)


def place(latitude: float = 40.0) -> Location:
    return Location(Coordinates(latitude, -100.0), GeocodeQuality.ROOFTOP, LookupTier.GEOCODER)


@pytest.mark.parametrize(
    ("country", "written", "normalized"),
    [
        ("US", "80202", "80202"),
        ("US", " 80202-1234 ", "80202"),
        ("US", "802021234", "80202"),
        ("US", "\uff18\uff10\uff12\uff10\uff12", "80202"),
        ("DE", "802021234", "802021234"),
        ("CA", "k1a 0b1", "K1A0B1"),
        ("GB", "SW1A 1AA", "SW1A1AA"),
        ("JP", "100-0001", "1000001"),
        ("PT", "1000\u2013001", "1000001"),
        ("IE", "", ""),
        ("DE", "-- --", ""),
        ("DE", "1" * 17, ""),
    ],
)
def test_a_postal_code_is_one_however_it_is_written(country: str, written: str, normalized: str) -> None:
    assert normalized_postal_code(country, written) == normalized


@given(st.sampled_from(["US", "CA", "DE", "GB"]), st.text(max_size=30))
def test_normalizing_twice_is_normalizing_once_and_fits_the_table(country: str, text: str) -> None:
    once = normalized_postal_code(country, text)
    assert normalized_postal_code(country, once) == once
    assert once == "" or (len(once) <= 16 and once.isascii() and once.isalnum() and once == once.upper())


ANY_TEXT = st.text(max_size=60)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, st.one_of(st.none(), ANY_TEXT))
def test_every_address_has_a_key_that_capitals_and_spaces_do_not_change(
    line1: str, city: str, postal_code: str, region: str | None
) -> None:
    found = address_key(Address("A", line1, city, postal_code, "US", region=region))
    same = address_key(Address("B", f"  {line1} ", f"\t{city}", f" {postal_code}", "US", region=region, phone="1"))
    assert found == same
    assert len(found.digest) == 64


def test_who_lives_there_is_no_part_of_the_key_and_every_other_part_is() -> None:
    told = ADA.to_json()
    assert address_key(Address(**(told | {"name": "Grace", "phone": None}))) == address_key(ADA)  # type: ignore[arg-type]
    for part in ("line1", "line2", "city", "region", "postal_code", "country"):
        other = Address(**(told | {part: "Zz"}))  # type: ignore[arg-type]
        assert address_key(other) != address_key(ADA), part


def test_half_a_surrogate_pair_is_an_address_like_any_other() -> None:
    assert address_key(Address("A", "\ud800", "B", "1", "US")).digest


@pytest.mark.parametrize(
    ("country", "postal_code", "fallback"),
    [
        ("US", "80299", GeocodeFallback.POSTAL_AREA),
        ("US", "00000", GeocodeFallback.COUNTRY),
        ("US", "", GeocodeFallback.COUNTRY),
        ("DE", "10115", GeocodeFallback.COUNTRY),
        ("AQ", "0", GeocodeFallback.NOWHERE),
    ],
)
def test_the_last_tier_always_answers_and_never_more_than_approximately(
    country: str, postal_code: str, fallback: GeocodeFallback
) -> None:
    location = approximate_location(key(country, postal_code), GeocodeFailureReason.NOT_FOUND)
    assert location.quality is GeocodeQuality.APPROXIMATE
    assert location.failure is not None
    assert (location.failure.fallback, location.failure.reason) == (fallback, GeocodeFailureReason.NOT_FOUND)
    assert (location.coordinates is None) == (fallback is GeocodeFallback.NOWHERE)


def test_the_middle_of_an_area_on_both_sides_of_the_date_line_lies_in_it() -> None:
    """Averaging the degrees of longitude would put western Alaska into the Labrador Sea."""
    location = approximate_location(key("US", "96599"), GeocodeFailureReason.NOT_FOUND)
    assert location.coordinates is not None
    assert great_circle_km(location.coordinates, Coordinates(51.88, -176.65)) < 1_500


def test_a_warm_place_is_believed_for_five_minutes_and_by_its_own_shop() -> None:
    warm = WarmPlaces()
    warm.keep(SHOP, key("US", "1"), place(), NOW)
    assert warm.find(SHOP, key("US", "1"), NOW + WARM_MAX_AGE - timedelta(seconds=1)) == place()
    assert warm.find(OTHER_SHOP, key("US", "1"), NOW) is None
    assert warm.find(SHOP, key("US", "1"), NOW + WARM_MAX_AGE) is None
    assert len(warm) == 0


@given(st.lists(st.integers(0, 20), max_size=200))
def test_warm_places_never_outgrow_their_bound_and_keep_the_last_used(used: list[int]) -> None:
    warm = WarmPlaces(max_places=5)
    recent: list[int] = []
    for number in used:
        if warm.find(SHOP, key("US", str(number)), NOW) is None:
            warm.keep(SHOP, key("US", str(number)), place(number), NOW)
        recent = [number, *(other for other in recent if other != number)][:5]
    assert len(warm) == len(recent)
    assert all(warm.find(SHOP, key("US", str(number)), NOW) == place(number) for number in recent)


def test_an_answer_lives_for_seven_days_and_at_most_for_twenty_eight() -> None:
    assert expiry_of_answer(NOW) - NOW == timedelta(days=7) == TIME_TO_LIVE
    assert timedelta(days=28) == AGE_MAX


@given(st.sets(st.integers(0, 2**128 - 1), min_size=400, max_size=400))
def test_about_one_use_in_eight_is_written_down(ids: set[int]) -> None:
    sampled = Counter(is_sampled(UUID(int=number)) for number in range(256))
    assert sampled[True] * SAMPLE_EVERY == 256
    assert all(is_sampled(UUID(int=number)) == (number % SAMPLE_EVERY == 0) for number in ids)


def test_a_tally_tells_once_what_it_counted() -> None:
    tally = LookupTally()
    tally.note(LookupTier.WARM)
    tally.note(LookupTier.FALLBACK, GeocodeFailureReason.NOT_FOUND)
    tally.note(LookupTier.FALLBACK, GeocodeFailureReason.NOT_FOUND)
    tiers, reasons = tally.drain()
    assert tiers == {LookupTier.WARM: 1, LookupTier.FALLBACK: 2}
    assert reasons == {GeocodeFailureReason.NOT_FOUND: 2}
    assert tally.drain() == (Counter(), Counter())


@pytest.mark.parametrize(
    ("country", "postal_code", "region"),
    [
        ("US", "80299", "CO"),
        ("US", "09012", "AE"),
        ("US", "06390", None),  # in New York, although its neighbors are postal codes of Connecticut
        ("US", "00000", None),
        ("US", "", None),
        ("CA", "M5V2T6", "ON"),
        ("CA", "X0A0H0", None),
        ("CA", "80299", None),
        ("DE", "10115", None),
    ],
)
def test_the_first_characters_of_a_postal_code_say_where_it_lies_if_they_say_it_of_all(
    country: str, postal_code: str, region: str | None
) -> None:
    assert region_of_area(key(country, postal_code)) == region


def test_no_postal_code_that_ships_lies_elsewhere_than_its_first_characters_say() -> None:
    rows = [row for row in read_rows(shipped_lines()) if isinstance(row, ReferenceRow)]
    said = [(row.admin_area_1, region_of_area(key(row.country, row.postal_code))) for row in rows]
    assert {told for told in said if told[1] not in {None, told[0]}} == set()
    assert sum(area is None for _, area in said) < len(rows) / 100
