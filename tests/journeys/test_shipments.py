"""An order that no single warehouse can fill, from the checkout to the shopper's door and partly back."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.conftest import City, Reply


def staff(city: City, method: str, path: str, body: Any = None) -> Reply:
    key = str(uuid.uuid4()) if method == "POST" else None
    return city.call(method, path, body, token=city.system.token("manager"), key=key)


def parcels(city: City, order_id: str) -> list[dict[str, Any]]:
    found = staff(city, "GET", f"/v1/ops/shipments?order={order_id}").body["shipments"]
    return sorted((one for one in found if one["status"] != "cancelled"), key=lambda one: one["shipment_number"])


def step(city: City, parcel: dict[str, Any], name: str, **body: Any) -> dict[str, Any]:
    reply = staff(city, "POST", f"/v1/ops/shipments/{parcel['id']}/{name}", {"version": parcel["version"], **body})
    assert reply.status in (200, 201), reply.raw
    shown: dict[str, Any] = reply.body["shipment"]
    return shown


def order_of(city: City, order_id: str) -> dict[str, Any]:
    order: dict[str, Any] = city.call("GET", f"/v1/orders/{order_id}").body["order"]
    return order


def on_hand(city: City, sku: str) -> dict[str, int]:
    levels: str = city.value(
        "SELECT jsonb_object_agg(w.code, s.on_hand)::text FROM inventory.stock_levels s"
        " JOIN inventory.warehouses w ON w.organization_id = s.organization_id AND w.id = s.warehouse_id"
        " JOIN catalog.variants v ON v.organization_id = s.organization_id AND v.id = s.variant_id WHERE v.sku = :sku",
        sku=sku,
    )
    found: dict[str, int] = json.loads(levels)
    return found


@pytest.fixture(params=["at_once", "at_first_shipment"])
def policy(city: City, request: pytest.FixtureRequest) -> Iterator[str]:
    """The policy by which the demo shop captures its money."""
    change = "UPDATE tenancy.organizations SET settings = settings || CAST(:policy AS jsonb) WHERE id = :o RETURNING 1"
    city.value(change, o=city.organization_id, policy=json.dumps({"capture_policy": request.param}))
    yield request.param
    city.value(change, o=city.organization_id, policy=json.dumps({"capture_policy": "at_once"}))


def test_twelve_units_in_two_parcels_paid_by_policy_and_partly_returned(city: City, policy: str) -> None:
    sku = city.sku(7)
    (here,) = on_hand(city, sku)
    warehouses = staff(city, "GET", "/v1/ops/warehouses").body["warehouses"]
    there = next(one for one in warehouses if one["code"] != here)
    more = {"warehouse_id": there["id"], "reason": "purchase order 12", "lines": [{"sku": sku, "quantity": 9}]}
    assert staff(city, "POST", "/v1/ops/stock/receipts", more).status == 201
    order = city.checkout(sku, 12).body["order"]
    order_id, total = order["id"], order["amounts"]["total_minor"]
    assert (order["status"], order["is_split_shipment"]) == ("confirmed", True)
    assert order["payment_status"] == ("captured" if policy == "at_once" else "authorized")
    first, second = parcels(city, order_id)
    assert first["items"][0]["quantity"] + second["items"][0]["quantity"] == 12

    first = step(city, step(city, step(city, first, "pick"), "pack"), "ship", carrier="UPS", tracking_number="1Z1")
    seen = order_of(city, order_id)
    assert (seen["status"], seen["payment_status"]) == ("partially_shipped", "captured")
    assert seen["payments"][0]["captured_minor"] == total
    assert {one["tracking_url"] for one in seen["shipments"]} == {"https://www.ups.com/track?tracknum=1Z1", None}
    second = step(city, second, "ship", carrier="DHL", tracking_number="JD2")
    assert order_of(city, order_id)["status"] == "shipped"
    step(city, step(city, first, "in-transit"), "deliver")
    assert order_of(city, order_id)["status"] == "shipped"
    step(city, second, "deliver")
    assert order_of(city, order_id)["status"] == "delivered"

    before = on_hand(city, sku)
    (item,) = order_of(city, order_id)["items"]
    back = {"order_item_id": item["id"], "quantity": 1, "restock_reason": "resellable"}
    sent = {"reason": "customer_request", "items": [back]}
    refunded = staff(city, "POST", f"/v1/orders/{order_id}/refunds", sent)
    assert (refunded.status, refunded.body["order"]["status"]) == (201, "partially_refunded"), refunded.raw
    after = on_hand(city, sku)
    assert sum(after.values()) == sum(before.values()) + 1
    whole = staff(city, "POST", f"/v1/orders/{order_id}/refunds", sent | {"items": [back | {"quantity": 11}]})
    assert whole.status == 201, whole.raw
    assert on_hand(city, sku) == {here: 7, there["code"]: 9}, "each warehouse has back what it sent"

    kinds = {entry["kind"] for entry in staff(city, "GET", f"/v1/ops/orders/{order_id}/timeline").body["entries"]}
    assert {"shipment", "message", "stock_movement", "refund"} <= kinds
    city.wait_until_quiet()
    assert city.violations() == []
