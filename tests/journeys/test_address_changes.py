"""A shopper moves house after paying, through the running system."""

import uuid
from typing import Any

from tests.journeys.conftest import ADDRESS, City, Reply

PORTLAND = ADDRESS | {"line1": "9 Burnside Street", "city": "Portland", "region": "OR", "postal_code": "97209"}
BERLIN = {"name": "Ada Lovelace", "line1": "1 Unter den Linden", "city": "Berlin", "postal_code": "10117"}


def moves(city: City, order_id: str, address: dict[str, Any], *, key: str | None = None, **more: Any) -> Reply:
    body = {"shipping_address": address} | more
    return city.call("PUT", f"/v1/orders/{order_id}/shipping-address", body, key=key or str(uuid.uuid4()))


def test_a_paid_order_goes_elsewhere_and_the_tax_that_is_not_owed_comes_back(city: City) -> None:
    sku = city.sku(10)
    order = city.checkout(sku, 2).body["order"]
    key = str(uuid.uuid4())
    moved = moves(city, order["id"], PORTLAND, key=key, version=order["version"])
    assert moved.status == 200, moved.raw
    price = moved.body["price"]
    assert (price["settled_by"], price["difference_minor"]) == ("refund", order["amounts"]["tax_minor"])
    assert moved.body["order"]["amounts"]["total_minor"] == order["amounts"]["total_minor"] - price["difference_minor"]
    assert moved.body["order"]["shipping_address"]["city"] == "Portland"
    assert moved.body["reallocation"]["applied"] is False, "its goods lie in one warehouse alone"
    assert moves(city, order["id"], PORTLAND, key=key, version=order["version"]).raw == moved.raw

    city.wait_until_quiet()
    shown = city.call("GET", f"/v1/orders/{order['id']}").body["order"]
    (payment,) = shown["payments"]
    assert (payment["refunded_minor"], shown["status"]) == (price["difference_minor"], "confirmed")
    (intent,) = city.stripe("GET", f"/payment_intents?metadata[order_id]={order['id']}")
    assert [refund["amount"] for refund in intent["refunds"]] == [price["difference_minor"]]

    stale = moves(city, order["id"], ADDRESS, version=order["version"])
    assert (stale.status, stale.body["code"], stale.body["version"]) == (409, "conflict", order["version"] + 1)
    assert moves(city, order["id"], BERLIN | {"country": "Germany"}).status == 422
    cancelled = city.call("POST", f"/v1/orders/{order['id']}/cancel", {}, key=str(uuid.uuid4()))
    assert cancelled.status == 200, cancelled.raw
    late = moves(city, order["id"], ADDRESS)
    assert (late.status, late.body["current"]) == (409, "cancelled")
    city.wait_until_quiet()
    assert city.stock(sku) == (10, 0)
    assert city.violations() == []
