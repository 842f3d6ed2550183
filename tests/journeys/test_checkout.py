"""A shopper's journeys through HTTP, database, gateway, webhook, queue and worker."""

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.journeys.conftest import City


def test_an_order_is_paid_confirmed_and_explained_by_its_movements(city: City) -> None:
    sku = city.sku(10)
    placed = city.checkout(sku, 3)
    assert placed.status == 201, placed.raw
    order_id = placed.body["order"]["id"]
    city.wait_until_quiet()
    order = city.call("GET", f"/v1/orders/{order_id}").body["order"]
    steps = [step["to"] for step in order["timeline"]]
    assert steps == ["pending_payment", "payment_processing", "payment_confirmed", "confirmed"]
    assert city.stock(sku) == (7, 0)
    assert city.value(
        "SELECT string_agg(type, ',' ORDER BY level_version) FROM inventory.stock_movements WHERE reference_id = :id",
        id=order_id,
    ) == ("reserve,sale")
    assert city.value(
        "SELECT count(*) FROM payments.payment_events e JOIN payments.payments p ON p.id = e.payment_id"
        " WHERE p.order_id = :id AND e.gateway_event_type = 'payment_intent.succeeded' AND e.state = 'processed'",
        id=order_id,
    ) == (1)
    by_number = city.call("GET", f"/v1/orders/{order['order_number']}")
    assert by_number.body["order"]["id"] == order_id
    assert city.violations() == []


def test_the_webhook_confirms_when_the_answer_is_lost(city: City) -> None:
    sku = city.sku(5)
    key = str(uuid.uuid4())
    lost = {"match": {"operation": "payment_intents.create"}, "fault": "timeout_after", "hold_seconds": 0.2}
    city.stripe("POST", "/behaviors", lost)
    placed = city.checkout(sku, key=key)
    assert placed.status == 201, placed.raw
    assert placed.body["payment"]["status"] in {"processing", "captured"}
    assert city.stripe("GET", "/behaviors") == [], "the answer was not lost"
    order_id = placed.body["order"]["id"]
    city.wait_until(
        lambda: city.call("GET", f"/v1/orders/{order_id}").body["order"]["status"] == "confirmed",
        "the webhook confirms the order",
    )
    assert city.stock(sku) == (4, 0)
    assert city.violations() == []


def test_a_declined_order_is_paid_with_another_card(city: City) -> None:
    sku = city.sku(5)
    declined = city.checkout(sku, card="pm_card_chargeDeclined")
    assert (declined.status, declined.body["code"]) == (402, "payment_declined")
    assert declined.content_type == "application/problem+json"
    order_id = declined.body["order"]["id"]
    assert city.stock(sku) == (5, 1)
    body = {"payment": {"gateway": "stripe", "token": "pm_card_visa"}}
    paid = city.call("POST", f"/v1/orders/{order_id}/payments", body, key=str(uuid.uuid4()))
    assert (paid.status, paid.body["order"]["status"]) == (201, "confirmed")
    assert city.stock(sku) == (4, 0)
    assert city.violations() == []


def test_three_d_secure_is_handed_to_the_client_and_finished_by_the_webhook(city: City) -> None:
    sku = city.sku(5)
    asked = city.checkout(sku, card="pm_card_authenticationRequired")
    assert asked.status == 201
    assert asked.body["payment"]["status"] == "requires_action"
    assert asked.body["payment"]["client_action"]["type"]
    order_id = asked.body["order"]["id"]
    (intent,) = city.stripe("GET", f"/payment_intents?metadata[order_id]={order_id}")
    city.stripe("POST", f"/payment_intents/{intent['id']}/authenticate", {"succeed": True})
    city.wait_until(
        lambda: city.call("GET", f"/v1/orders/{order_id}").body["order"]["status"] == "confirmed",
        "the authenticated payment confirms the order",
    )
    assert city.stock(sku) == (4, 0)
    assert city.violations() == []


def test_a_cancelled_order_gets_its_money_and_its_stock_back(city: City) -> None:
    sku = city.sku(5)
    order_id = city.checkout(sku, 2).body["order"]["id"]
    cancelled = city.call("POST", f"/v1/orders/{order_id}/cancel", {"reason": "changed my mind"}, key=str(uuid.uuid4()))
    assert (cancelled.status, cancelled.body["order"]["status"]) == (200, "cancelled")
    city.wait_until(
        lambda: city.call("GET", f"/v1/orders/{order_id}").body["order"]["payment_status"] == "refunded",
        "the money is refunded",
    )
    assert city.stock(sku) == (5, 0)
    assert city.violations() == []


def test_the_last_unit_goes_to_one_of_a_hundred_buyers(city: City) -> None:
    sku = city.sku(1)
    with ThreadPoolExecutor(100) as buyers:
        replies = list(buyers.map(lambda _: city.checkout(sku), range(100)))
    told = Counter((reply.status, reply.body.get("code")) for reply in replies)
    assert told[201, None] == 1
    assert set(told) <= {(201, None), (409, "out_of_stock"), (409, "stock_contended")}, told
    assert city.stock(sku) == (0, 0)
    city.wait_until_quiet()
    assert city.violations() == []


def test_a_thousand_units_make_exactly_a_thousand_orders(city: City) -> None:
    sku = city.sku(1_000)
    with ThreadPoolExecutor(32) as buyers:
        replies = list(buyers.map(lambda _: city.checkout(sku), range(5_000)))
    told = Counter((reply.status, reply.body.get("code")) for reply in replies)
    assert told[201, None] == 1_000, told
    assert set(told) <= {(201, None), (409, "out_of_stock"), (409, "stock_contended")}, told
    city.wait_until_quiet(seconds=120)
    assert city.stock(sku) == (0, 0)
    assert city.violations() == []


def test_one_key_twenty_times_at_once_is_one_order_and_one_charge(city: City) -> None:
    sku = city.sku(50)
    key = str(uuid.uuid4())
    with ThreadPoolExecutor(20) as buyers:
        replies = list(buyers.map(lambda _: city.checkout(sku, key=key), range(20)))
    answered = [reply for reply in replies if reply.status == 201]
    assert len({reply.raw for reply in answered}) == 1
    assert all(reply.status == 201 or reply.body["code"] == "request_in_progress" for reply in replies)
    order_id = answered[0].body["order"]["id"]
    assert city.stripe("GET", f"/totals?metadata[order_id]={order_id}")["charges_captured"] == 1
    assert city.stock(sku) == (49, 0)
    assert city.checkout(sku, key=key).raw == answered[0].raw
    other = city.checkout(sku, 2, key=key)
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
