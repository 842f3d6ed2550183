"""Requests that are well-formed but come at the wrong moment: each gets its own answer, and nothing breaks."""

import uuid
from typing import Any

import pytest

from tests.handlers.door import PROBLEM, Door, Reply, checkout_body

CHECKOUT, QUOTE = "POST /v1/checkout", "POST /v1/checkout/quote"
PAY, CANCEL = "POST /v1/orders/{order_id}/payments", "POST /v1/orders/{order_id}/cancel"
VISA = {"payment": {"gateway": "stripe", "token": "pm_card_visa"}}
DECLINED = {"payment": {"gateway": "stripe", "token": "pm_card_chargeDeclined"}}


@pytest.fixture
def shop(door: Door) -> Door:
    door.house.add_variant("TEE", stock=10)
    return door


def refused(door: Door, reply: Reply, code: str) -> dict[str, Any]:
    assert reply.content_type == PROBLEM, reply.raw
    assert reply.body["code"] == code, reply.raw
    assert door.house.violations() == []
    return reply.body


def order_of(reply: Reply) -> str:
    return str(reply.body["order"]["id"])


def test_a_key_is_for_one_request(shop: Door) -> None:
    first = order_of(shop.ask(CHECKOUT, checkout_body(), key="k-1"))
    second = order_of(shop.ask(CHECKOUT, checkout_body(2) | DECLINED, key="k-2"))
    refused(shop, shop.ask(CHECKOUT, checkout_body(3), key="k-1"), "idempotency_key_reused")
    assert shop.ask(PAY, VISA, order_id=second, key="k-3").status == 201
    refused(shop, shop.ask(PAY, DECLINED, order_id=second, key="k-3"), "idempotency_key_reused")
    assert shop.ask(CANCEL, {}, order_id=first, key="k-4").status == 200
    refused(shop, shop.ask(CANCEL, {}, order_id=second, key="k-4"), "idempotency_key_reused")


def test_a_key_means_something_else_for_everybody_and_for_every_operation(shop: Door) -> None:
    bodies = [checkout_body(email=f"{name}@example.com") for name in ("ada", "bob")]
    replies = [
        shop.ask(CHECKOUT, bodies[0], key="k"),
        shop.ask(CHECKOUT, bodies[1], key="k", who=shop.customer("bob")),
        shop.ask(CHECKOUT, bodies[1], key="k", who=shop.guest()),
    ]
    assert len({order_of(reply) for reply in replies}) == 3
    assert shop.ask(CANCEL, {}, order_id=order_of(replies[0]), key="k").status == 200


def test_a_request_that_is_still_running_is_waited_for_and_then_told(shop: Door) -> None:
    requests: list[tuple[str, Any, dict[str, Any]]] = [(CHECKOUT, checkout_body(), {})]
    order_id = order_of(shop.ask(CHECKOUT, checkout_body() | DECLINED, key="k-0"))
    requests += [(PAY, VISA, {"order_id": order_id}), (CANCEL, {}, {"order_id": order_id})]
    for route, body, path in requests:
        assert shop.ask(route, body, key="k-1", **path).status < 300
        shop.house.sql(
            "UPDATE orders.idempotency_keys SET state = 'in_progress', response_status = NULL, response_body = NULL,"
            " lease_until = now() + interval '1 minute' WHERE key = 'k-1'"
        )
        reply = shop.ask(route, body, key="k-1", **path)
        refused(shop, reply, "request_in_progress")
        assert reply.headers["retry-after"] == "2"
        shop.house.sql("DELETE FROM orders.idempotency_keys WHERE key = 'k-1'")


def test_a_day_that_is_full_is_told_with_when_to_come_back(shop: Door) -> None:
    shop.house.sql("UPDATE inventory.warehouses SET base_daily_capacity = 1")
    assert shop.ask(CHECKOUT, checkout_body()).status == 201
    strict = checkout_body(allow_capacity_overflow=False)
    reply = shop.ask(CHECKOUT, strict)
    refused(shop, reply, "capacity_exceeded")
    assert reply.headers["retry-after"] == "3600"
    quote = {name: strict[name] for name in ("items", "shipping_address", "allow_capacity_overflow")}
    refused(shop, shop.ask(QUOTE, quote), "capacity_exceeded")
    assert shop.ask(CHECKOUT, checkout_body()).status == 201


def test_a_quote_is_refused_for_what_a_checkout_would_be(shop: Door) -> None:
    quote = {"items": [{"sku": "TEE", "quantity": 11}], "shipping_address": checkout_body()["shipping_address"]}
    refused(shop, shop.ask(QUOTE, quote), "out_of_stock")
    quote["items"] = [{"sku": "TEE", "quantity": 1, "unit_price_minor": 1}]
    refused(shop, shop.ask(QUOTE, quote), "price_changed")


def test_an_order_that_is_paid_cancelled_or_shipped_stays_so(shop: Door) -> None:
    order_id = order_of(shop.ask(CHECKOUT, checkout_body()))
    refused(shop, shop.ask(PAY, VISA, order_id=order_id), "conflict")
    shop.house.sql(
        "SELECT orders.walk_status(:o, CAST(:id AS uuid), 'confirmed', status_sequence,"
        " ARRAY['processing', 'shipped'], 'test', NULL, now()) FROM orders.orders",
        o=shop.house.organization_id,
        id=order_id,
    )
    problem = refused(shop, shop.ask(CANCEL, {}, order_id=order_id), "transition_refused")
    assert problem["current"] == "shipped"
    assert "cancelled" not in problem["allowed"]
    other = order_of(shop.ask(CHECKOUT, checkout_body() | DECLINED))
    assert shop.ask(CANCEL, {}, order_id=other).status == 200
    assert refused(shop, shop.ask(PAY, VISA, order_id=other), "transition_refused")["current"] == "cancelled"
    again = shop.ask(CANCEL, {}, order_id=other)
    assert (again.status, again.body["order"]["status"]) == (200, "cancelled")


def test_another_decline_leaves_the_order_to_be_paid(shop: Door) -> None:
    order_id = order_of(shop.ask(CHECKOUT, checkout_body() | DECLINED))
    problem = refused(shop, shop.ask(PAY, DECLINED, order_id=order_id), "payment_declined")
    assert problem["order"]["status"] == "payment_failed"
    assert [payment["status"] for payment in problem["order"]["payments"]] == ["failed", "failed"]


def test_goods_that_were_sold_while_the_hold_was_gone_are_told(shop: Door) -> None:
    order_id = order_of(shop.ask(CHECKOUT, checkout_body(2) | DECLINED))
    shop.house.sql("UPDATE inventory.reservations SET expires_at = now() - interval '1 minute'")
    shop.invoke("reservation_expiry", shop.sample("reservation_expiry/tick"))
    assert shop.ask(CHECKOUT, checkout_body(9), who=shop.customer("bob")).status == 201
    problem = refused(shop, shop.ask(PAY, VISA, order_id=order_id), "out_of_stock")
    assert [(item["sku"], item["requested"], item["available"]) for item in problem["items"]] == [("TEE", 2, 1)]
    assert shop.ask("GET /v1/orders/{reference}", reference=order_id).body["order"]["status"] == "cancelled"


def test_an_address_for_mail_that_somebody_writes_is_nobodys(shop: Door) -> None:
    """Otherwise whoever entered it first would own it, and its real owner would get a conflict forever."""
    for who in (shop.customer("eve"), shop.guest(), shop.customer("ada")):
        assert shop.ask(CHECKOUT, checkout_body(email="ada@example.com"), who=who).status == 201
    assert shop.ask(CHECKOUT, checkout_body(), who=shop.customer("ada") | {"sub": "ada-again"}).status == 201


@pytest.mark.parametrize(("status", "told"), [("suspended", "not active"), ("deleted", "new guest session")])
def test_a_guest_who_may_not_buy_is_told_why_and_nothing_is_written(shop: Door, status: str, told: str) -> None:
    who = shop.guest()
    assert shop.ask(CHECKOUT, checkout_body(email="guest@example.com"), who=who).status == 201
    shop.house.sql("UPDATE tenancy.customers SET status = :status", status=status)
    before = shop.rows_of_all_tables()
    reply = shop.ask(CHECKOUT, checkout_body(email="guest@example.com"), who=who)
    refused(shop, reply, "forbidden")
    assert told in reply.body["detail"]
    assert shop.rows_of_all_tables() == before


def test_a_shop_that_is_suspended_takes_no_orders(shop: Door) -> None:
    shop.house.sql("UPDATE tenancy.organizations SET status = 'suspended'")
    refused(shop, shop.ask(CHECKOUT, checkout_body()), "forbidden")


def test_an_answer_that_is_repeated_is_the_same_to_the_byte(shop: Door) -> None:
    for body in (checkout_body(), checkout_body() | DECLINED):
        key = uuid.uuid4().hex
        first, second = (shop.ask(CHECKOUT, body, key=key) for _ in range(2))
        assert (first.status, first.content_type, first.raw) == (second.status, second.content_type, second.raw)
