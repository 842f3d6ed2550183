"""Where a sale is taxed, and on which date: the shopper writes the address, but does not choose the tax."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.addresses.warm_places import WarmPlaces
from holdfast.flows.addresses.answer_review import CorrectedAddress
from holdfast.flows.checkout.planning import CheckoutRequest, RequestedItem
from holdfast.flows.checkout.quote_order import quote_order
from holdfast.geocoders.bounded import BoundedGeocoder
from holdfast.geocoders.circuit_breaker import CircuitBreaker
from holdfast.values.address import Address
from holdfast.values.errors import InvalidInput
from holdfast.values.shipping import ShippingPreference
from tests.flows.actions import ordered, staff
from tests.flows.moving import NEWARK, NOWHERE, PORTLAND, readdress, refunds, settings, shop
from tests.flows.reviewing import ALSO_UNKNOWN, answer, asked, in_review, token
from tests.geocoders.stage import ready, running_geocoder
from tests.house import House, document
from tests.premises import DENVER

SAME = ["CO", "co", " Co ", "Colorado", "COLORADO", "US-CO", "us-co", "C.O."]
UNKNOWN = [None, "", "  ", "-", "XX", "Kolorado", "ON", "US"]
TAX = 58
"""2.9 % of a tee that costs 20.00."""


def in_region(region: str | None, **what: str) -> Address:
    return replace(DENVER, region=region, **what)


def quoted(house: House, address: Address) -> dict[str, Any]:
    request = CheckoutRequest((RequestedItem(1, sku="TEE"),), address, ShippingPreference.STANDARD)
    return quote_order(house.runtime, house.customer, request, house.clock())


def tax(house: House, address: Address) -> tuple[int, list[str]]:
    """Return the tax on a tee there, in minor units, and the regions that it is for."""
    told = quoted(house, address)
    return told["amounts"]["tax_minor"], [line["region"] for line in told["tax_lines"]]


def refused(act: Callable[[], object], field: str = "shipping_address.region") -> None:
    with pytest.raises(InvalidInput) as refusal:
        act()
    assert [error["field"] for error in refusal.value.facts["errors"]] == [field]


def lies_in(house: House, postal_code: str, region: str) -> None:
    house.sql(
        "INSERT INTO addresses.geocode_reference (country, postal_code, latitude, longitude, quality, admin_area_1,"
        " data_source, dataset_version, created_at) VALUES ('US', :code, 39.7, -105, 'centroid', :region, 'test', '1',"
        " :now) ON CONFLICT DO NOTHING",
        code=postal_code,
        region=region,
        now=house.clock(),
    )


@pytest.mark.parametrize("written", SAME)
def test_a_region_is_the_same_however_it_is_written(house: House, written: str) -> None:
    house.add_variant(price=2_000)
    assert tax(house, in_region(written)) == (TAX, ["CO"])
    order = document(house.place(address=in_region(written)))["order"]
    assert (order["amounts"]["tax_minor"], order["shipping_address"]["region"]) == (TAX, "CO")


@pytest.mark.parametrize("written", UNKNOWN)
def test_a_region_that_nobody_knows_is_refused_before_anything_is_written(house: House, written: str | None) -> None:
    house.add_variant(price=2_000, stock=5)
    refused(lambda: quoted(house, in_region(written)))
    refused(lambda: house.place(address=in_region(written)))
    refused(lambda: house.place(address=in_region(written, postal_code="80299")))
    assert house.value("SELECT count(*) FROM orders.orders") == 0
    assert house.stock() == {"EWR": (5, 0)}


def test_another_spelling_of_the_same_region_gives_nothing_back(house: House) -> None:
    """A paid order was once repriced for "Colorado", and its tax refunded to the card."""
    house.add_variant(price=2_000, stock=5)
    order_id = ordered(house)
    for written in SAME:
        price = readdress(house, order_id, in_region(written, line1="13 Analytical Way"))["price"]
        assert (price["difference_minor"], price["settled_by"]) == (0, "nothing")
    for unknown in UNKNOWN:
        refused(lambda region=unknown: readdress(house, order_id, in_region(region)))  # type: ignore[misc]
    assert refunds(house, order_id) == []
    assert house.charges()["refunded"] == 0
    assert house.violations() == []


def test_a_correction_by_the_shopper_or_the_staff_says_where_it_is_taxed(house: House) -> None:
    shop(house)
    house.add_variant(stock=5)
    order_id = in_review(house, address=NOWHERE)
    known = CorrectedAddress(NEWARK.line1, NEWARK.city, NEWARK.postal_code, NEWARK.country)
    link, manager = token(house, order_id), staff(house)
    for region in (None, "New Guernsey"):
        corrected = replace(known, region=region)
        refused(lambda to=corrected: answer(house, link, to), "address.region")  # type: ignore[misc]
        refused(lambda to=corrected: asked(house, manager, order_id, "correct_review", address=to), "address.region")  # type: ignore[misc]
    unfound = replace(ALSO_UNKNOWN, region=None)
    refused(lambda: answer(house, link, unfound, confirm=True), "address.region")
    assert house.order(order_id)["status"] == "address_review"
    answer(house, link, replace(known, region="new jersey"))
    assert house.order(order_id)["shipping_address"]["region"] == "NJ"
    assert house.violations() == []


def test_an_order_whose_old_snapshot_has_another_spelling_is_read_and_corrected(house: House) -> None:
    shop(house)
    house.add_variant(stock=5)
    order_id = in_review(house, address=NOWHERE)
    house.sql('UPDATE orders.orders SET shipping_address = shipping_address || \'{"region": "Oregon, probably"}\'')
    assert house.order(order_id)["shipping_address"]["region"] == "Oregon, probably"
    answer(house, token(house, order_id), confirm=True)
    assert house.order(order_id)["status"] == "confirmed"
    again = ordered(house, address=PORTLAND)
    house.sql('UPDATE orders.orders SET shipping_address = shipping_address || \'{"region": "oregon"}\'')
    assert readdress(house, again, PORTLAND)["price"]["settled_by"] == "nothing"
    assert house.violations() == []


def test_a_parcel_is_taxed_where_its_postal_code_is(house: House) -> None:
    house.add_variant(price=2_000, stock=9)
    lies_in(house, "80203", "CO")
    lies_in(house, "97203", "Oregon")
    assert tax(house, in_region("OR", postal_code="80203")) == (TAX, ["CO"])
    assert tax(house, in_region("OR", postal_code="80203-1234")) == (TAX, ["CO"])
    assert tax(house, in_region("CO", postal_code="97203")) == (0, [])
    order_id = ordered(house, address=in_region("CO", postal_code="80203"))
    price = readdress(house, order_id, in_region("OR", postal_code="80203"))["price"]
    assert price["settled_by"] == "nothing"
    assert house.order(order_id)["shipping_address"]["region"] == "OR", "kept as it was written"


def test_a_code_that_nobody_knows_lies_where_its_first_characters_say(house: House) -> None:
    house.add_variant(price=2_000)
    assert tax(house, in_region("OR", postal_code="80299")) == (TAX, ["CO"])
    settings(house, tax_rates=[{"country": "CA", "region": "on", "basis_points": 1300}])
    toronto = in_region("Alberta", country="CA", city="Toronto", postal_code="m5v 2t6")
    assert tax(house, toronto) == (260, ["ON"])
    assert tax(house, replace(toronto, postal_code="X0A 0H0")) == (0, [])


def test_what_a_geocoder_finds_is_taxed_where_it_found_it_now_and_from_the_cache(house: House) -> None:
    """The postal code is invalid and the street lies in another state, but the parcel would arrive all the same."""
    house.add_variant(price=2_000, stock=9)
    address = in_region("OR", postal_code="8020")
    with running_geocoder() as stage:
        house.runtime.__dict__["geocoder"] = BoundedGeocoder(ready(5.0), CircuitBreaker(lambda: 0.0), budget_seconds=10)
        for forgets in (False, True, False):  # by the geocoder, then from this process's memory, then from the cache
            order = document(house.place(address=address))["order"]
            assert order["amounts"]["tax_minor"] == TAX
            assert tax(house, address) == (TAX, ["CO"])
            if forgets:
                house.runtime.__dict__["warm_places"] = WarmPlaces()
        assert len(stage.geocoder.calls) == 1
    assert house.value("SELECT admin_area_1 FROM addresses.geocode_cache") == "CO"


def test_a_shop_that_taxes_no_region_asks_for_none(house: House) -> None:
    house.add_variant(price=2_000)
    for rates, owed in (([], 0), ([{"country": "US", "basis_points": 500}], 100)):
        settings(house, tax_rates=rates)
        for written in ("CO", *UNKNOWN):
            assert tax(house, in_region(written))[0] == owed


def test_the_regions_of_any_other_country_are_those_that_its_rates_name(house: House) -> None:
    house.add_variant(price=2_000)
    mumbai = in_region("Maharashtra", country="IN", city="Mumbai", postal_code="400001")
    regional = [{"country": "IN", "region": "MAHARASHTRA", "basis_points": 900}]
    settings(house, tax_rates=regional)
    assert tax(house, mumbai) == (180, ["MAHARASHTRA"])
    refused(lambda: quoted(house, replace(mumbai, region="Goa")))
    settings(house, tax_rates=[*regional, {"country": "IN", "basis_points": 500}])
    assert tax(house, replace(mumbai, region="Goa"))[0] == 100
    refused(lambda: quoted(house, replace(mumbai, region=None)))


NEW_YEARS_EVE_IN_DENVER = datetime(2027, 1, 1, 0, 30, tzinfo=UTC)
"""17:30 on 31 December in Denver."""


@pytest.mark.parametrize(
    ("timezone", "owed"), [("America/Denver", 20), ("Europe/Berlin", 200), (None, 200), ("Mars/Olympus", 200)]
)
def test_a_sale_has_the_date_of_the_shops_own_wall_clock(house: House, timezone: str | None, owed: int) -> None:
    house.clock.now = NEW_YEARS_EVE_IN_DENVER
    house.add_variant(price=2_000, stock=9)
    rates = [
        {"country": "US", "basis_points": 100, "valid_until": "2026-12-31"},
        {"country": "US", "basis_points": 1000, "valid_from": "2027-01-01"},
        {"country": "US", "region": "OR", "basis_points": 50, "valid_until": "2026-12-31"},
        {"country": "US", "region": "OR", "basis_points": 0, "valid_from": "2027-01-01"},
    ]
    settings(house, tax_rates=rates, timezone=timezone)
    assert tax(house, DENVER)[0] == owed
    order = document(house.place())["order"]
    assert order["amounts"]["tax_minor"] == owed
    assert readdress(house, order["id"], PORTLAND)["price"]["difference_minor"] == (10 if owed == 20 else 200)
