"""Who gets in, and what a stranger sees."""

import uuid

from tests.journeys.conftest import City


def test_without_a_token_the_door_is_shut(city: City) -> None:
    assert city.call("GET", "/v1/orders", token=None).status == 401
    assert city.call("GET", "/v1/orders", token="not.a.token").status == 401


def test_a_guest_checks_out_and_sees_only_its_own_order(city: City) -> None:
    assert city.system.shop is not None
    key = city.system.shop.publishable_key
    first = city.call("POST", "/v1/guest-sessions", token=None, headers={"X-Publishable-Key": key})
    second = city.call("POST", "/v1/guest-sessions", token=None, headers={"X-Publishable-Key": key})
    assert (first.status, second.status) == (201, 201)
    placed = city.checkout(city.sku(3), token=first.body["token"])
    assert placed.status == 201, placed.raw
    order_id = placed.body["order"]["id"]
    assert city.call("GET", f"/v1/orders/{order_id}", token=first.body["token"]).status == 200
    assert city.call("GET", f"/v1/orders/{order_id}", token=second.body["token"]).status == 404
    own = city.call("GET", "/v1/orders", token=first.body["token"]).body["orders"]
    assert [order["id"] for order in own] == [order_id]


def test_another_organization_finds_nothing(city: City) -> None:
    order_id = city.checkout(city.sku(3)).body["order"]["id"]
    stranger = city.system.token("customer", subject="mallory", organization_id=str(uuid.uuid4()))
    key = str(uuid.uuid4())
    assert city.call("GET", f"/v1/orders/{order_id}", token=stranger).status == 404
    assert city.call("POST", f"/v1/orders/{order_id}/cancel", {}, token=stranger, key=key).status == 404
    body = {"payment": {"gateway": "stripe", "token": "pm_card_visa"}}
    assert city.call("POST", f"/v1/orders/{order_id}/payments", body, token=stranger, key=key).status == 404
    assert city.call("GET", "/v1/orders", token=stranger).body["orders"] == []
    assert city.checkout("TEE-BLK-M", token=stranger).status == 403


def test_the_documentation_is_served(city: City) -> None:
    document = city.call("GET", "/v1/openapi.json", token=None)
    assert document.status == 200
    assert "/v1/checkout" in document.body["paths"]
    page = city.http.request("GET", city.system.docs_url)
    assert page.status == 200
    assert b"swagger" in page.data.lower()


def test_bad_input_is_told_and_changes_nothing(city: City) -> None:
    before = city.value("SELECT count(*) FROM orders.orders")
    missing_key = city.checkout("TEE-BLK-M", key=None)
    not_json = city.call("POST", "/v1/checkout", b"{", key="k-1")
    unknown = city.call("POST", "/v1/checkout", {"surprise": 1}, key="k-2")
    assert [missing_key.status, not_json.status, unknown.status] == [400, 400, 422]
    for reply in (missing_key, not_json, unknown):
        assert reply.content_type == "application/problem+json"
        assert reply.body["correlation_id"]
    assert city.value("SELECT count(*) FROM orders.orders") == before
