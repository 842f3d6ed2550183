"""Where orders go, through the running system: by its reference data, its geocoder, or the middle of the area."""

import uuid
from typing import Any

from tests.journeys.conftest import ADDRESS, City


def place(city: City, sku: str, address: dict[str, Any]) -> tuple[str, str]:
    """Place an order, and return its id and how well its address is known."""
    body = {
        "items": [{"sku": sku, "quantity": 1}],
        "email": "ada@example.com",
        "shipping_address": ADDRESS | address,
        "payment": {"gateway": "stripe", "token": "pm_card_visa"},
    }
    placed = city.call("POST", "/v1/checkout", body, key=str(uuid.uuid4()))
    assert placed.status == 201, placed.raw
    order_id = str(placed.body["order"]["id"])
    return order_id, str(city.value("SELECT geocode_quality FROM orders.orders WHERE id = :id", id=order_id))


def test_every_us_postal_code_is_known_from_the_first_start(city: City) -> None:
    sku = city.sku(5)
    assert city.value("SELECT count(*) FROM addresses.geocode_reference") == 41_917
    assert place(city, sku, {})[1] == "centroid"
    city.wait_until_quiet()
    assert city.violations() == []


def test_an_address_abroad_is_found_by_the_geocoder_and_remembered(city: City) -> None:
    sku = city.sku(50)
    berlin = {
        "line1": f"{uuid.uuid4().int % 999} Torstrasse",
        "city": "Berlin",
        "postal_code": "10119",
        "country": "DE",
    }
    known = "SELECT count(*) FROM addresses.geocode_cache WHERE country = 'DE'"
    before = city.value(known)
    # A sandbox first makes its client, which can take up the whole time budget on a busy machine.
    city.wait_until(lambda: place(city, sku, berlin)[1] == "rooftop", "the geocoder is asked in time")
    assert city.value(known) == before + 1
    assert place(city, sku, berlin)[1] == "rooftop"
    assert city.value(known) == before + 1
    city.wait_until_quiet()
    assert city.violations() == []


def test_an_address_that_nobody_knows_is_an_order_all_the_same_and_is_reviewed(city: City) -> None:
    sku = city.sku(5)
    order_id, quality = place(city, sku, {"city": "Atlantis", "postal_code": "1", "country": "PT", "region": None})
    assert quality == "approximate"
    assert city.value("SELECT count(*) FROM addresses.geocode_failures WHERE order_id = :id", id=order_id) == 1
    city.wait_until_quiet()
    assert city.call("GET", f"/v1/orders/{order_id}").body["order"]["status"] == "address_review"
    assert city.violations() == []
