"""What shoppers are told, through the running system: every mail of a journey is in the mailbox, each once."""

import uuid
from typing import Any

import pytest

from tests.journeys.conftest import ADDRESS, City
from tests.journeys.test_refunds import refund


def mails(city: City, order_number: str) -> list[dict[str, Any]]:
    """Return the mails about an order, oldest first."""
    answer = city.http.request("GET", f"{city.system.mail_url}/_control/mails")
    return [mail for mail in answer.json()["mails"] if order_number in mail["subject"]]


def subjects(city: City, order_number: str, count: int) -> list[str]:
    """Return the subjects without the number, once there are ``count`` of them and no more are on their way."""
    city.wait_until(lambda: len(mails(city, order_number)) >= count, f"mail {count} about {order_number}")
    city.wait_until_quiet()
    city.wait_until(
        lambda: city.value("SELECT count(*) FROM notifications.messages WHERE status IN ('pending', 'sending')") == 0,
        "no mail is under way",
    )
    return [mail["subject"].replace(f" {order_number}", "") for mail in mails(city, order_number)]


def checkout(city: City, sku: str, quantity: int = 1, **more: Any) -> dict[str, Any]:
    body = {
        "items": [{"sku": sku, "quantity": quantity}],
        "email": "ada@example.com",
        "shipping_address": ADDRESS,
        "payment": {"gateway": "stripe", "token": "pm_card_visa"},
    }
    reply = city.call("POST", "/v1/checkout", body | more, key=str(uuid.uuid4()))
    assert reply.status in (201, 402), reply.raw
    order: dict[str, Any] = reply.body["order"]
    return order


def test_checkout_refund_and_cancellation_are_told_of_once_each(city: City) -> None:
    order = checkout(city, city.sku(10), 3)
    number = order["order_number"]
    assert subjects(city, number, 1) == ["Your order is confirmed"]
    assert refund(city, order["id"], amount_minor=1_000).status == 201
    assert subjects(city, number, 2) == ["Your order is confirmed", "A refund for your order"]
    cancelled = city.call("POST", f"/v1/orders/{order['id']}/cancel", {}, key=str(uuid.uuid4()))
    assert cancelled.status == 200, cancelled.raw
    assert subjects(city, number, 3)[2] == "Your order was cancelled"
    confirmed, refunded, over = mails(city, number)
    assert confirmed["headers"]["From"] == "Demo Shop <orders@demo-shop.example>"
    assert confirmed["recipients"] == ["ada@example.com"]
    assert "We are returning $10.00" in refunded["text"]
    rest = order["amounts"]["total_minor"] - 1_000
    assert f"We are returning ${rest / 100:.2f}" in over["text"]
    assert len({mail["headers"]["X-Holdfast-Message-Id"] for mail in mails(city, number)}) == 3
    assert city.violations() == []


def test_a_declined_card_and_the_next_one_in_the_shoppers_own_language(city: City) -> None:
    declined = {"gateway": "stripe", "token": "pm_card_chargeDeclined"}
    order = checkout(city, city.sku(5), payment=declined, language="de")
    number = order["order_number"]
    assert subjects(city, number, 1) == ["Ihre Zahlung für die Bestellung ist fehlgeschlagen"]
    paid = {"payment": {"gateway": "stripe", "token": "pm_card_visa"}}
    assert city.call("POST", f"/v1/orders/{order['id']}/payments", paid, key=str(uuid.uuid4())).status == 201
    assert subjects(city, number, 2)[1] == "Ihre Bestellung ist bestätigt"


@pytest.mark.parametrize("kind", ["bounce", "complaint"])
def test_an_address_that_gives_its_mail_back_gets_no_more(city: City, kind: str) -> None:
    address = f"{kind}+{uuid.uuid4().hex[:8]}@simulator.amazonses.com"
    guest = city.system.token("guest")
    body = {
        "items": [{"sku": city.sku(5), "quantity": 1}],
        "email": address,
        "shipping_address": ADDRESS,
        "payment": {"gateway": "stripe", "token": "pm_card_visa"},
    }
    first = city.call("POST", "/v1/checkout", body, key=str(uuid.uuid4()), token=guest).body["order"]
    manager = city.system.token("manager")

    def suppressed() -> list[dict[str, Any]]:
        page = city.call("GET", f"/v1/ops/mail-suppressions?address={address.replace('+', '%2B')}", token=manager)
        assert page.status == 200, page.raw
        found: list[dict[str, Any]] = page.body["suppressions"]
        return found

    city.wait_until(lambda: len(suppressed()) == 1, "the suppression")
    second = city.call("POST", "/v1/checkout", body, key=str(uuid.uuid4()), token=guest).body["order"]
    path = f"/v1/ops/mails?order_id={second['id']}"
    city.wait_until(
        lambda: [m["status"] for m in city.call("GET", path, token=manager).body["mails"]] == ["suppressed"],
        "the second mail is suppressed",
    )
    assert len(mails(city, first["order_number"])) == 1
    assert mails(city, second["order_number"]) == []


def test_the_mailbox_shows_its_mails_to_a_person(city: City) -> None:
    order = checkout(city, city.sku(2))
    subjects(city, order["order_number"], 1)
    page = city.http.request("GET", city.system.mail_url)
    assert order["order_number"] in page.data.decode()
    (mail,) = mails(city, order["order_number"])
    shown = city.http.request("GET", f"{city.system.mail_url}/mails/{mail['id']}/content")
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    assert order["order_number"] in shown.data.decode()
