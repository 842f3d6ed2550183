"""Refunds through the API: who may make them, what is accepted, and what is answered."""

import uuid
from typing import Any

import pytest

from tests.handlers.door import PROBLEM, Door, Reply, checkout_body

REFUND, LIST = "POST /v1/orders/{order_id}/refunds", "GET /v1/orders/{reference}/refunds"
SOMETHING = str(uuid.uuid4())


@pytest.fixture
def shop(door: Door) -> Door:
    door.house.add_variant("TEE", stock=10)
    return door


def bought(shop: Door, quantity: int = 2) -> dict[str, Any]:
    order: dict[str, Any] = shop.ask("POST /v1/checkout", checkout_body(quantity)).body["order"]
    return order


def asked(shop: Door, order: dict[str, Any], **body: Any) -> Reply:
    return shop.ask(REFUND, {"reason": "product_issue"} | body, who=shop.staff("manager"), order_id=order["id"])


def test_a_line_is_refunded_and_the_answer_has_the_refund_and_the_order(shop: Door) -> None:
    order = bought(shop)
    item_id = order["items"][0]["id"]
    reply = asked(shop, order, items=[{"order_item_id": item_id, "quantity": 1, "restock_reason": "resellable"}])
    assert reply.status == 201
    (refund,) = reply.body["refunds"]
    assert (refund["status"], refund["reason"], refund["shipping_minor"]) == ("succeeded", "product_issue", 0)
    (line,) = refund["items"]
    assert (line["order_item_id"], line["quantity"], line["restock"]) == (item_id, 1, True)
    assert reply.body["order"]["items"][0]["refunded_quantity"] == 1
    assert reply.body["order"]["payment_status"] == "partially_refunded"
    assert shop.house.stock() == {"EWR": (9, 0)}
    assert shop.house.violations() == []


def test_the_shopper_sees_the_refunds_of_the_own_order_and_nobody_elses(shop: Door) -> None:
    order = bought(shop)
    asked(shop, order, amount_minor=300, notes="between us")
    for reference in (order["id"], order["order_number"]):
        (refund,) = shop.ask(LIST, reference=reference).body["refunds"]
        assert (refund["amount_minor"], "notes" in refund, "created_by" in refund) == (300, False, False)
    assert shop.ask(LIST, who=shop.customer("eve"), reference=order["id"]).status == 404
    assert shop.ask(LIST, who=shop.guest(), reference=order["id"]).status == 404
    (seen,) = shop.ask(LIST, who=shop.staff("viewer"), reference=order["id"]).body["refunds"]
    assert seen["notes"] == "between us"


def test_more_than_is_left_is_refused_and_told_what_is(shop: Door) -> None:
    order = bought(shop)
    total = order["amounts"]["total_minor"]
    reply = asked(shop, order, amount_minor=total + 1)
    assert (reply.status, reply.content_type, reply.body["code"]) == (409, PROBLEM, "refund_exceeds")
    assert reply.body["refundable_minor"] == total
    assert reply.body["shipping_refundable_minor"] == order["amounts"]["shipping_minor"]
    assert [item["refundable_quantity"] for item in reply.body["items"]] == [2]
    assert shop.house.violations() == []


WRONG: dict[str, dict[str, Any]] = {
    "no reason": {"reason": None},
    "a reason nobody knows": {"reason": "whim"},
    "both lines and an amount": {
        "amount_minor": 1,
        "items": [{"order_item_id": SOMETHING, "quantity": 1, "restock_reason": "other"}],
    },
    "no lines": {"items": []},
    "a line without what became of it": {"items": [{"order_item_id": SOMETHING, "quantity": 1}]},
    "a line of another order": {"items": [{"order_item_id": SOMETHING, "quantity": 1, "restock_reason": "other"}]},
    "no units": {"items": [{"order_item_id": SOMETHING, "quantity": 0, "restock_reason": "other"}]},
    "half a unit": {"items": [{"order_item_id": SOMETHING, "quantity": 0.5, "restock_reason": "other"}]},
    "nothing": {"amount_minor": 0},
    "less than nothing": {"amount_minor": -5},
    "an amount as text": {"amount_minor": "100"},
    "a part of a cent": {"amount_minor": 1.5},
    "more than a number holds": {"amount_minor": 2**63},
    "shipping of nothing": {"shipping_minor": 0},
    "a field nobody knows": {"amount": 100},
    "a card number in the notes": {"notes": "card 4242 4242 4242 4242"},
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_what_is_not_a_refund_is_refused_and_nothing_is_written(shop: Door, body: dict[str, Any]) -> None:
    order = bought(shop)
    manager = shop.staff("manager")
    before = shop.rows_of_all_tables()
    sent = {"reason": "product_issue"} | body
    reply = shop.ask(REFUND, sent, who=manager, order_id=order["id"])
    assert (reply.status, reply.content_type) == (422, PROBLEM), reply.raw
    assert shop.rows_of_all_tables() == before
    assert shop.house.charges()["refunded"] == 0


def test_without_a_key_nothing_is_refunded(shop: Door) -> None:
    order = bought(shop)
    body = {"reason": "other"}
    assert shop.ask(REFUND, body, who=shop.staff("manager"), order_id=order["id"], key=None).status == 400
    assert shop.house.charges()["refunded"] == 0


def test_a_refund_that_the_gateway_does_not_answer_is_there_and_pending(shop: Door) -> None:
    order = bought(shop)
    shop.house.stripe_behaves(match={"operation": "refunds.create"}, http_status=503)
    reply = asked(shop, order, amount_minor=300)
    assert (reply.status, reply.body["refunds"][0]["status"]) == (201, "pending")
    assert reply.body["order"]["amounts"]["refunded_minor"] == 0
    assert shop.house.violations() == []
