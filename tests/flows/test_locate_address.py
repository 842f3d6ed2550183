"""Where an order goes, by the tiers that need no geocoder: memory, cache, reference data, the middle of the area."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from holdfast.addresses.cache_policy import FREQUENT_HITS, SAMPLE_EVERY, use_document
from holdfast.addresses.model import GeocodeFailureReason, LookupTier
from holdfast.addresses.postal_code import address_key
from holdfast.flows.operations.keep_house import keep_house
from holdfast.values.address import Address
from holdfast.values.errors import OutOfStock
from tests.house import House, document
from tests.premises import DENVER

NOWHERE_NEAR = replace(DENVER, postal_code="80299")
BERLIN = Address("Konrad Zuse", "Methfesselstraße 7", "Berlin", "10965", "DE")


def located(house: House, order: dict[str, Any]) -> dict[str, Any]:
    [row] = house.rows(
        "SELECT shipping_latitude AS latitude, shipping_longitude AS longitude, geocode_quality AS quality,"
        " geocode_requires_review AS requires_review FROM orders.orders WHERE id = :id",
        id=order["id"],
    )
    return dict(row)


def place(house: House, address: Address) -> dict[str, Any]:
    answer = house.place({"TEE": 1}, address=address)
    assert answer.status == 201
    order: dict[str, Any] = document(answer)["order"]
    return order


def failures(house: House) -> list[dict[str, Any]]:
    rows = house.rows(
        "SELECT order_id, address, reason, fallback FROM addresses.geocode_failures"
        " WHERE organization_id = :o ORDER BY id",
        o=house.organization_id,
    )
    return [dict(row) for row in rows]


def cache(house: House, address: Address, **values: Any) -> None:
    """Cache an answer that a geocoder has just given."""
    key = address_key(address)
    row = {"latitude": 52.49, "longitude": 13.39, "quality": "rooftop", "hits": 0, "now": house.clock()} | values
    house.sql(
        "INSERT INTO addresses.geocode_cache (organization_id, country, postal_code, address_key, latitude, longitude,"
        " quality, hit_count, last_accessed_at, expires_at, created_at) VALUES (:o, :country, :postal_code, :key,"
        " :latitude, :longitude, :quality, :hits, :now, :expires_at, :now)",
        o=house.organization_id,
        country=key.country,
        postal_code=key.postal_code,
        key=key.digest,
        **({"expires_at": row["now"] + timedelta(days=7)} | row),
    )


def test_a_postal_code_of_the_reference_data_is_known_to_its_middle_and_leaves_no_trace(house: House) -> None:
    house.add_variant()
    order = place(house, DENVER)
    assert located(house, order) == {
        "latitude": 39.7528,
        "longitude": -104.9992,
        "quality": "centroid",
        "requires_review": False,
    }
    assert failures(house) == []
    assert house.value("SELECT count(*) FROM addresses.geocode_cache") == 0


def test_what_a_geocoder_once_answered_goes_before_the_reference_data(house: House) -> None:
    house.add_variant()
    cache(house, DENVER, latitude=39.7501, longitude=-104.9901)
    assert located(house, place(house, DENVER))["quality"] == "rooftop"
    other_house_number = replace(DENVER, line1="14 Analytical Way")
    assert located(house, place(house, other_house_number))["quality"] == "centroid"


def test_an_answer_past_its_time_to_live_counts_no_more(house: House) -> None:
    house.add_variant()
    cache(house, DENVER, expires_at=house.clock())
    assert located(house, place(house, DENVER))["quality"] == "centroid"


def test_a_cached_place_of_another_shop_is_not_this_shops(house: House) -> None:
    house.add_variant()
    house.sql(
        "INSERT INTO tenancy.organizations (id, name, slug, publishable_key, settings, created_at)"
        " VALUES (:id, 'Other', 'other', 'pk_0123456789abcdefg', '{}', :now)",
        id=UUID(int=7),
        now=house.clock(),
    )
    cache(house, BERLIN)
    house.sql("UPDATE addresses.geocode_cache SET organization_id = :o", o=UUID(int=7))
    assert located(house, place(house, BERLIN))["quality"] == "approximate"


def test_an_address_that_nobody_knows_is_taken_to_the_middle_and_written_down_with_its_order(house: House) -> None:
    house.add_variant()
    order = place(house, BERLIN)
    where = located(house, order)
    assert where["quality"] == "approximate"
    assert 47 < where["latitude"] < 55
    [failure] = failures(house)
    assert str(failure["order_id"]) == order["id"]
    assert (failure["reason"], failure["fallback"]) == ("unknown_postal_code", "country")
    assert failure["address"] == {
        "line1": "Methfesselstraße 7",
        "line2": None,
        "city": "Berlin",
        "region": None,
        "postal_code": "10965",
        "country": "DE",
    }, "without the name and the telephone of who lives there"


def test_an_order_is_reviewed_unless_its_address_was_found_or_the_shop_reviews_none(house: House) -> None:
    house.add_variant()
    in_review, found = place(house, NOWHERE_NEAR), place(house, DENVER)
    assert (located(house, in_review)["requires_review"], in_review["status"]) == (True, "address_review")
    assert (located(house, found)["requires_review"], found["status"]) == (False, "confirmed")
    house.sql(
        "UPDATE tenancy.organizations SET settings = settings || '{\"address_review\": false}' WHERE id = :id",
        id=house.organization_id,
    )
    unasked = place(house, NOWHERE_NEAR)
    assert (located(house, unasked)["requires_review"], unasked["status"]) == (False, "confirmed")


def test_a_refused_order_leaves_nothing_of_its_address(house: House) -> None:
    house.add_variant(stock=0)
    with pytest.raises(OutOfStock):
        house.place({"TEE": 1}, address=BERLIN)
    assert failures(house) == []


def test_the_second_lookup_is_answered_from_memory_and_every_lookup_is_counted_by_its_tier(house: House) -> None:
    house.add_variant()
    house.runtime.lookup_tally.drain()
    for address in (DENVER, DENVER, DENVER, BERLIN):
        place(house, address)
    tiers, reasons = house.runtime.lookup_tally.drain()
    assert tiers == {LookupTier.REFERENCE: 1, LookupTier.WARM: 2, LookupTier.FALLBACK: 1}
    assert reasons == {GeocodeFailureReason.UNKNOWN_POSTAL_CODE: 1}


def used(house: House, times: int) -> dict[str, Any]:
    """Return the row of the cached place after this many sampled uses."""
    key = address_key(BERLIN)
    note = {"country": key.country, "postal_code": key.postal_code, "key": key.digest}
    for _ in range(times):
        with house.runtime.database.transaction(house.organization_id, now=house.clock()) as transaction:
            transaction.value(
                "SELECT addresses.note_place(:o, :order, :now, CAST(:note AS jsonb))",
                o=house.organization_id,
                order=UUID(int=1),
                now=house.clock(),
                note=note | {"used": use_document(house.clock())},
            )
    [row] = house.rows("SELECT hit_count, last_accessed_at, expires_at, created_at FROM addresses.geocode_cache")
    return dict(row)


def test_a_place_that_is_often_used_lives_on_and_after_four_weeks_is_asked_for_again(house: House) -> None:
    begin = house.clock()
    cache(house, BERLIN)
    house.clock.advance(days=3)
    assert FREQUENT_HITS > SAMPLE_EVERY
    seldom = used(house, 1)
    assert (seldom["hit_count"], seldom["expires_at"] - begin) == (SAMPLE_EVERY, timedelta(days=7))
    assert seldom["last_accessed_at"] == house.clock()
    often = used(house, 1)
    assert (often["hit_count"], often["expires_at"] - begin) == (2 * SAMPLE_EVERY, timedelta(days=3 + 7))
    house.clock.advance(days=23)
    assert used(house, 1)["expires_at"] - begin == timedelta(days=28)


def test_a_use_is_written_down_by_one_order_in_eight_and_nobody_waits_for_it(house: House) -> None:
    house.add_variant(stock=100)
    cache(house, BERLIN)
    orders = [place(house, BERLIN) for _ in range(24)]
    sampled = sum(1 for order in orders if UUID(order["id"]).bytes[-1] % SAMPLE_EVERY == 0)
    assert house.value("SELECT hit_count FROM addresses.geocode_cache") == sampled * SAMPLE_EVERY
    with house.engine.connect() as holder:
        holder.execute(text("BEGIN"))
        holder.execute(text("SELECT 1 FROM addresses.geocode_cache FOR UPDATE"))
        before = house.value("SELECT hit_count FROM addresses.geocode_cache")
        assert used(house, 1)["hit_count"] == before
        holder.execute(text("ROLLBACK"))


def test_what_is_old_or_out_of_use_leaves_the_cache(house: House) -> None:
    cache(house, BERLIN)
    cache(house, DENVER, expires_at=house.clock() + timedelta(days=20))
    kept = keep_house(house.system, lambda: house.clock() + timedelta(days=7, seconds=1), lambda: 60.0)
    assert kept.purged["geocode_cache"] == 1
    assert house.value("SELECT country FROM addresses.geocode_cache") == "US"
