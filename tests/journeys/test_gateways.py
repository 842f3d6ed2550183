"""A shop that takes money through every gateway, by HTTP, webhooks, queue and worker."""

import uuid
from typing import Any

import pytest

from local.gateway_accounts import ACCOUNTS, DemoAccount
from tests.journeys.conftest import City

EACH = pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account.gateway)


def order_of(city: City, order_id: str) -> dict[str, Any]:
    found: dict[str, Any] = city.call("GET", f"/v1/orders/{order_id}").body["order"]
    return found


@EACH
def test_an_order_is_paid_its_webhook_arrives_and_a_cancellation_brings_the_money_back(
    city: City, account: DemoAccount
) -> None:
    sku = city.sku(5)
    placed = city.checkout(sku, 2, card=account.payer, gateway=account.gateway)
    assert placed.status == 201, placed.raw
    assert (placed.body["order"]["status"], placed.body["payment"]["status"]) == ("confirmed", "captured")
    order_id = placed.body["order"]["id"]
    told = (
        "SELECT count(*) FROM payments.payment_events e JOIN payments.payments p ON p.id = e.payment_id"
        " WHERE p.order_id = :id AND e.gateway_event_type <> 'answer' AND e.event_type = 'capture_succeeded'"
        " AND e.state = 'processed'"
    )
    city.wait_until(lambda: city.value(told, id=order_id) >= 1, "the webhook arrives and is applied")
    cancelled = city.call("POST", f"/v1/orders/{order_id}/cancel", {}, key=str(uuid.uuid4()))
    assert cancelled.body["order"]["status"] == "cancelled"
    city.wait_until(lambda: order_of(city, order_id)["payment_status"] == "refunded", "the money is back")
    assert city.stock(sku) == (5, 0)
    assert city.violations() == []


def test_adyens_shopper_comes_back_from_the_bank_and_has_paid(city: City) -> None:
    account = next(one for one in ACCOUNTS if one.gateway == "adyen")
    sku = city.sku(5)
    asked = city.checkout(sku, card=account.asker, gateway="adyen")
    assert (asked.status, asked.body["payment"]["status"]) == (201, "requires_action")
    order_id, payment_id = asked.body["order"]["id"], asked.body["payment"]["id"]
    bank = asked.body["payment"]["client_action"]["redirect_url"].rpartition("/")[2]
    told = city.control("adyen", "POST", f"/payments/{bank}/authenticate", {"succeed": True})
    details = {"details": {"redirectResult": told["redirectResult"]}}
    for _ in range(2):
        done = city.call("POST", f"/v1/orders/{order_id}/payments/{payment_id}/complete", details)
        assert (done.status, done.body["order"]["status"]) == (200, "confirmed"), done.raw
    assert city.stock(sku) == (4, 0)
    assert city.violations() == []


def test_paypals_shopper_approves_and_the_money_is_taken(city: City) -> None:
    sku = city.sku(5)
    asked = city.checkout(sku, card="paypal", gateway="paypal")
    order_id, payment_id = asked.body["order"]["id"], asked.body["payment"]["id"]
    action = asked.body["payment"]["client_action"]
    city.control("paypal", "POST", f"/orders/{action['order_id']}/approve", {})
    done = city.call("POST", f"/v1/orders/{order_id}/payments/{payment_id}/complete", {})
    assert (done.status, done.body["order"]["status"], done.body["payment"]["status"]) == (200, "confirmed", "captured")
    assert city.violations() == []


def test_operations_see_how_the_gateways_do(city: City) -> None:
    shown = city.call("GET", "/v1/ops/gateways", token=city.system.token("manager"))
    assert shown.status == 200, shown.raw
    assert [row["gateway"] for row in shown.body["gateways"]] == ["adyen", "paypal", "square", "stripe"]
    assert {row["endpoint_key"] for row in shown.body["gateways"]} == {one.endpoint_key for one in ACCOUNTS}
    assert city.call("GET", "/v1/ops/gateways").status == 403
