"""What shoppers are told, through the running system: every mail of a journey is in the mailbox, each once."""

from typing import Any

from tests.journeys.conftest import City


def mails(city: City, order_number: str) -> list[dict[str, Any]]:
    """The mails about an order, oldest first."""
    answer = city.http.request("GET", f"{city.system.mail_url}/_control/mails")
    return [mail for mail in answer.json()["mails"] if order_number in mail["subject"]]


def test_a_paid_order_is_confirmed_by_mail(city: City) -> None:
    order = city.checkout(city.sku(5), 2).body["order"]
    number = order["order_number"]
    city.wait_until(lambda: len(mails(city, number)) >= 1, "the mail")
    (mail,) = mails(city, number)
    assert mail["subject"] == f"Your order {number} is confirmed"
    assert mail["recipients"] == ["ada@example.com"]
