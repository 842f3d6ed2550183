"""Staff refund orders, through the running system."""

import uuid
from typing import Any

from tests.journeys.conftest import City, Reply


def refund(city: City, order_id: str, **body: Any) -> Reply:
    manager = city.system.token("manager")
    sent = {"reason": "customer_request"} | body
    return city.call("POST", f"/v1/orders/{order_id}/refunds", sent, token=manager, key=str(uuid.uuid4()))


def order_of(city: City, order_id: str) -> dict[str, Any]:
    order: dict[str, Any] = city.call("GET", f"/v1/orders/{order_id}").body["order"]
    return order


def test_a_unit_is_refunded_the_bank_sends_it_back_and_it_is_refunded_again(city: City) -> None:
    sku = city.sku(10)
    order = city.checkout(sku, 3).body["order"]
    order_id, item_id = order["id"], order["items"][0]["id"]
    line = {"order_item_id": item_id, "quantity": 1, "restock_reason": "resellable"}
    made = refund(city, order_id, items=[line])
    assert made.status == 201, made.raw
    assert (made.body["refunds"][0]["status"], city.stock(sku)) == ("succeeded", (8, 0))

    (intent,) = city.stripe("GET", f"/payment_intents?metadata[order_id]={order_id}")
    city.stripe("POST", f"/refunds/{intent['refunds'][0]['id']}/fail")
    city.wait_until(
        lambda: order_of(city, order_id)["payment_status"] == "captured", "the webhook takes the refund off the record"
    )
    (failed,) = city.call("GET", f"/v1/orders/{order_id}/refunds").body["refunds"]
    assert (failed["status"], order_of(city, order_id)["items"][0]["refunded_quantity"]) == ("failed", 0)
    assert city.value("SELECT process_name FROM operations.process_failures WHERE related_id = :id", id=order_id) == (
        "RefundFailed"
    )

    again = refund(city, order_id, items=[line])
    assert (again.status, city.stock(sku)) == (201, (8, 0)), "the goods had come back before"
    rest = refund(city, order_id)
    assert (rest.status, rest.body["order"]["status"]) == (201, "cancelled"), rest.raw
    assert city.stock(sku) == (10, 0)
    city.wait_until_quiet()
    assert city.violations() == []


def test_a_refund_that_arrives_later_is_told_by_its_webhook(city: City) -> None:
    sku = city.sku(5)
    order_id = city.checkout(sku).body["order"]["id"]
    later = {"match": {"operation": "refunds.create"}, "refund_fate": "pending_first", "refund_delay_seconds": 1}
    city.stripe("POST", "/behaviors", later)
    made = refund(city, order_id)
    assert (made.status, made.body["refunds"][0]["status"]) == (201, "processing"), made.raw
    assert made.body["order"]["status"] == "confirmed"
    second = refund(city, order_id)
    assert (second.status, second.body["code"], second.body["refundable_minor"]) == (409, "refund_exceeds", 0)
    city.wait_until(lambda: order_of(city, order_id)["status"] == "cancelled", "the webhook confirms the refund")
    assert city.stock(sku) == (5, 0)
    city.wait_until_quiet()
    assert city.violations() == []
