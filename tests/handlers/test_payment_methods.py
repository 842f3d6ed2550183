"""Saved payment methods over HTTP: what is offered, answered and refused."""

import pytest

from holdfast.web import payment_method_views as views
from tests.handlers.door import Door, Reply, checkout_body
from tests.house import House

SAMPLE_METHOD = "01930000-0000-7000-8000-0000000000f1"
LIST, REMOVE = "GET /v1/payment-methods", "DELETE /v1/payment-methods/{payment_method_id}"
DEFAULT = "POST /v1/payment-methods/{payment_method_id}/default"


@pytest.fixture
def shop(door: Door) -> Door:
    door.house.add_variant(stock=10)
    return door


def send(door: Door, name: str, payment_method_id: str) -> Reply:
    """Send a sample about a payment method of this house, as the customer who saved it."""
    event = door.sample(name, order_id=payment_method_id)
    event["requestContext"]["authorizer"]["jwt"]["claims"] |= door.customer()
    event["rawPath"] = event["rawPath"].replace(SAMPLE_METHOD, payment_method_id)
    event["requestContext"]["http"]["path"] = event["rawPath"]
    if "pathParameters" in event:
        event["pathParameters"] = {"payment_method_id": payment_method_id}
    return door.send(event)


def keep(door: Door) -> str:
    payment = {"gateway": "stripe", "token": "pm_card_visa", "save": True}
    assert door.ask("POST /v1/checkout", checkout_body() | {"payment": payment}).status == 201
    return str(door.ask(LIST).body["payment_methods"][0]["id"])


def test_the_samples_list_choose_and_remove(shop: Door) -> None:
    method = keep(shop)
    listed = send(shop, "payment_methods/list", method)
    assert [row["id"] for row in listed.body["payment_methods"]] == [method]
    assert set(listed.body["payment_methods"][0]) == set(views.PaymentMethod.model_fields)
    assert send(shop, "payment_methods/make_default", method).body["payment_method"]["is_default"]
    assert send(shop, "payment_methods/remove", method).status == 200
    assert send(shop, "payment_methods/remove", method).status == 404
    assert shop.ask(LIST).body == {"payment_methods": []}


def test_a_kept_method_pays_in_checkout_and_again(shop: Door) -> None:
    method = keep(shop)
    paid = shop.ask("POST /v1/checkout", checkout_body() | {"payment": {"payment_method_id": method}})
    assert (paid.status, paid.body["payment"]["status"]) == (201, "captured")
    declined = {"gateway": "stripe", "token": "pm_card_chargeDeclined"}
    order_id = shop.ask("POST /v1/checkout", checkout_body() | {"payment": declined}).body["order"]["id"]
    again = shop.ask(
        "POST /v1/orders/{order_id}/payments", {"payment": {"payment_method_id": method}}, order_id=order_id
    )
    assert (again.status, again.body["order"]["status"]) == (201, "confirmed")
    assert shop.house.violations() == []


@pytest.mark.parametrize(
    "payment",
    [
        {},
        {"gateway": "stripe"},
        {"token": "pm_card_visa"},
        {"payment_method_id": "no id"},
        {"payment_method_id": SAMPLE_METHOD, "gateway": "stripe"},
        {"payment_method_id": SAMPLE_METHOD, "token": "pm_card_visa"},
        {"payment_method_id": SAMPLE_METHOD, "save": True},
        {"gateway": "stripe", "token": "pm_card_visa", "save": "yes"},
        {"payment_method_id": SAMPLE_METHOD},
    ],
    ids=str,
)
def test_a_payment_is_one_means_and_no_other(shop: Door, payment: dict[str, object]) -> None:
    before = shop.rows_of_all_tables()
    reply = shop.ask("POST /v1/checkout", checkout_body() | {"payment": payment})
    assert (reply.status, reply.body["code"]) == (422, "invalid_input"), reply.raw
    assert shop.rows_of_all_tables() == before


def test_a_guest_is_told_that_only_customers_keep_a_method(shop: Door) -> None:
    payment = {"gateway": "stripe", "token": "pm_card_visa", "save": True}
    body = checkout_body(email="g@example.com") | {"payment": payment}
    reply = shop.ask("POST /v1/checkout", body, who=shop.guest())
    assert (reply.status, reply.body["errors"][0]["field"]) == (422, "payment.save")


def test_another_customers_method_is_nobodys(shop: Door) -> None:
    method, bob = keep(shop), shop.customer("bob")
    body = checkout_body() | {"payment": {"payment_method_id": method}}
    assert shop.ask("POST /v1/checkout", body, who=bob).status == 422
    assert shop.ask(DEFAULT, who=bob, payment_method_id=method).status == 404
    assert shop.ask(REMOVE, who=bob, payment_method_id=method).status == 404
    assert shop.ask(REMOVE, payment_method_id="x").status == 422


def test_no_token_of_a_kept_method_is_ever_shown(shop: Door) -> None:
    keep(shop)
    token = _token(shop.house)
    order = shop.ask("GET /v1/orders").body["orders"][0]["id"]
    for reply in (shop.ask(LIST), shop.ask("GET /v1/orders/{reference}", reference=order)):
        assert token not in reply.raw


def _token(house: House) -> str:
    return str(house.value("SELECT token FROM tenancy.payment_methods"))
