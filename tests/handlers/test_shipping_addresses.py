"""PUT /v1/orders/{order_id}/shipping-address: whose order, which body, and which answer."""

import json
from typing import Any, Final

import pytest

from holdfast.web import order_views
from tests.flows.moving import NEWARK, PORTLAND, shop
from tests.handlers.door import PROBLEM, Door, Reply, checkout_body
from tests.handlers.test_openapi import same

ROUTE: Final = "PUT /v1/orders/{order_id}/shipping-address"
CHECKOUT: Final = "POST /v1/checkout"
TO_PORTLAND: Final[dict[str, Any]] = {"shipping_address": PORTLAND.to_json()}


@pytest.fixture
def ordered(door: Door) -> str:
    """Place a paid order for two TEE that go from Newark to Newark, and return its id."""
    shop(door.house)
    door.house.add_variant("TEE", stock={"EWR": 5, "RNO": 5})
    reply = door.ask(CHECKOUT, checkout_body(2, shipping_address=NEWARK.to_json()))
    assert reply.status == 201, reply.raw
    return str(reply.body["order"]["id"])


def refused(reply: Reply, status: int, code: str) -> dict[str, Any]:
    assert (reply.status, reply.content_type, reply.body["code"]) == (status, PROBLEM, code), reply.raw
    return reply.body


def test_the_answer_says_where_it_ships_from_why_and_what_it_costs(door: Door, ordered: str) -> None:
    reply = door.ask(ROUTE, TO_PORTLAND | {"version": 1}, order_id=ordered)
    assert reply.status == 200, reply.raw
    same(order_views.ReaddressedOrder, reply.body)
    assert reply.body["reallocation"]["applied"] is True
    assert reply.body["price"]["settled_by"] == "refund"
    order = door.ask("GET /v1/orders/{reference}", reference=ordered).body["order"]
    assert order["shipping_address"]["city"] == "Portland"
    assert [(each["cause"], each["changed_by"]) for each in order["address_changes"]] == [
        ("address_change", "customer")
    ]
    assert [(each["cause"], each["outcome"]) for each in order["reallocations"]] == [("address_change", "applied")]
    assert door.house.violations() == []


def test_the_sample_changes_the_address(door: Door) -> None:
    shop(door.house)
    door.house.add_variant("TEE-BLK-M", stock={"EWR": 5, "RNO": 5})
    order_id = door.send(door.sample("checkout/place_order")).body["order"]["id"]
    reply = door.send(door.sample("shipping_addresses/change", order_id=order_id))
    assert reply.status == 200, reply.raw
    assert reply.body["order"]["shipping_address"]["postal_code"] == "97201"
    assert door.house.violations() == []


def test_managers_may_and_staff_below_may_not(door: Door, ordered: str) -> None:
    refused(door.ask(ROUTE, TO_PORTLAND, order_id=ordered, who=door.staff("member")), 403, "forbidden")
    reply = door.ask(ROUTE, TO_PORTLAND, order_id=ordered, who=door.staff("manager"))
    assert reply.body["order"]["address_changes"][0]["changed_by"] == "staff"
    (entry,) = door.house.rows(
        "SELECT actor, changed_values FROM operations.audit_log WHERE record_id = CAST(:id AS uuid)"
        " AND changed_values ? 'shipping_address'",
        id=ordered,
    )
    assert entry["actor"].startswith("staff:")


def test_somebody_elses_order_is_not_there(door: Door, ordered: str) -> None:
    before = door.rows_of_all_tables()
    for who in (door.customer("bob"), door.guest()):
        refused(door.ask(ROUTE, TO_PORTLAND, order_id=ordered, who=who), 404, "not_found")
    refused(door.ask(ROUTE, TO_PORTLAND, order_id="HF-0000-0000-0000-0000"), 404, "not_found")
    assert door.rows_of_all_tables() == before


ADDRESS: Final = PORTLAND.to_json()
BAD: Final[dict[str, tuple[Any, str]]] = {
    "nothing": ({}, "shipping_address"),
    "no street": ({"shipping_address": {**ADDRESS, "line1": ""}}, "shipping_address.line1"),
    "a country in words": ({"shipping_address": {**ADDRESS, "country": "Germany"}}, "shipping_address.country"),
    "no region": ({"shipping_address": {**ADDRESS, "region": None}}, "shipping_address.region"),
    "a region that nobody knows": ({"shipping_address": {**ADDRESS, "region": "Origen"}}, "shipping_address.region"),
    "control characters": ({"shipping_address": {**ADDRESS, "city": "Port\u0000land"}}, "shipping_address.city"),
    "an endless name": ({"shipping_address": {**ADDRESS, "name": "a" * 201}}, "shipping_address.name"),
    "an unknown field": ({**TO_PORTLAND, "total_minor": 1}, "total_minor"),
    "a version in words": ({**TO_PORTLAND, "version": "1"}, "version"),
    "a version that cannot be": ({**TO_PORTLAND, "version": 0}, "version"),
    "a version beyond measure": ({**TO_PORTLAND, "version": 2**31}, "version"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_a_bad_body_names_its_field_and_changes_nothing(door: Door, ordered: str, case: str) -> None:
    before = door.rows_of_all_tables()
    body, field = BAD[case]
    problem = refused(door.ask(ROUTE, body, order_id=ordered), 422, "invalid_input")
    assert [error["field"] for error in problem["errors"]] == [field]
    assert door.rows_of_all_tables() == before


def test_a_body_that_is_none_and_a_request_without_a_key_are_refused(door: Door, ordered: str) -> None:
    refused(door.ask(ROUTE, "{", order_id=ordered), 400, "malformed_request")
    refused(door.ask(ROUTE, TO_PORTLAND, order_id=ordered, key=None), 400, "malformed_request")
    text = {"content-type": "text/plain"}
    refused(door.ask(ROUTE, TO_PORTLAND, order_id=ordered, headers=text), 415, "unsupported_media_type")


def test_where_the_shop_does_not_ship_nothing_changes(door: Door, ordered: str) -> None:
    door.house.sql(
        "UPDATE tenancy.organizations SET settings = settings || CAST(:rates AS jsonb)",
        rates=json.dumps({"shipping_rates": [{"preference": "standard", "amount_minor": 799, "country": "US"}]}),
    )
    before = door.rows_of_all_tables()
    body = {"shipping_address": {**ADDRESS, "country": "DE", "region": None, "postal_code": "10117"}}
    refused(door.ask(ROUTE, body, order_id=ordered), 422, "invalid_input")
    assert door.rows_of_all_tables() == before


def test_too_late_and_stale_are_conflicts_that_say_what_is(door: Door, ordered: str) -> None:
    assert refused(door.ask(ROUTE, TO_PORTLAND | {"version": 9}, order_id=ordered), 409, "conflict")["version"] == 1
    door.ask("POST /v1/orders/{order_id}/cancel", {}, order_id=ordered)
    assert refused(door.ask(ROUTE, TO_PORTLAND, order_id=ordered), 409, "conflict")["current"] == "cancelled"


def test_a_key_is_for_one_change(door: Door, ordered: str) -> None:
    first = door.ask(ROUTE, TO_PORTLAND, order_id=ordered, key="k")
    assert door.ask(ROUTE, TO_PORTLAND, order_id=ordered, key="k").raw == first.raw
    other = {"shipping_address": NEWARK.to_json()}
    refused(door.ask(ROUTE, other, order_id=ordered, key="k"), 422, "idempotency_key_reused")


def test_the_timeline_of_the_operations_shows_it(door: Door, ordered: str) -> None:
    door.ask(ROUTE, TO_PORTLAND, order_id=ordered)
    timeline = door.ask("GET /v1/ops/orders/{reference}/timeline", reference=ordered, who=door.staff("manager")).body[
        "entries"
    ]
    told = {entry["kind"]: entry for entry in timeline}
    assert told["address_change"]["data"]["total_after_minor"] == 4_799
    assert told["reallocation"]["what"] == "address_change applied"
    assert told["reallocation"]["data"]["to"] == ["RNO"]
    moved = [entry["what"] for entry in timeline if entry["kind"] == "stock_movement"]
    assert sorted(moved) == ["reserve 2", "reserve 2", "return 2", "sale -2", "sale -2"]
    assert "refund price_difference" in {entry["kind"] + " " + str(entry["data"].get("reason")) for entry in timeline}


def test_a_price_difference_is_nothing_that_staff_ask_for(door: Door, ordered: str) -> None:
    body = {"reason": "price_difference", "amount_minor": 100}
    problem = refused(
        door.ask("POST /v1/orders/{order_id}/refunds", body, order_id=ordered, who=door.staff("manager")),
        422,
        "invalid_input",
    )
    assert [error["field"] for error in problem["errors"]] == ["reason"]
