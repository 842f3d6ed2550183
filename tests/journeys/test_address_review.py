"""An address that nobody knows, through the running system: reviewed after the payment and corrected by its link."""

import json
import uuid
from typing import Any
from uuid import UUID

import boto3

from holdfast.addresses.review_link import keys_of, make_token
from tests.journeys.conftest import ADDRESS, City, Reply

ATLANTIS = {"city": "Atlantis", "postal_code": "1", "country": "PT", "region": None}
DENVER = {name: ADDRESS[name] for name in ("line1", "city", "region", "postal_code", "country")}


def place(city: City, sku: str) -> dict[str, Any]:
    body = {
        "items": [{"sku": sku, "quantity": 1}],
        "email": "ada@example.com",
        "shipping_address": ADDRESS | ATLANTIS,
        "payment": {"gateway": "stripe", "token": "pm_card_visa"},
    }
    placed = city.call("POST", "/v1/checkout", body, key=str(uuid.uuid4()))
    assert placed.status == 201, placed.raw
    order: dict[str, Any] = placed.body["order"]
    return order


def link(city: City, order_id: str) -> str:
    """Make the token that the mail carries, from the review's row and the key that this system was started with."""
    secrets = boto3.client("secretsmanager", endpoint_url=city.system.aws_url, region_name="us-east-1")
    secret = secrets.get_secret_value(SecretId="holdfast-links/local/address-reviews")
    row = city.value(
        "SELECT jsonb_build_object('id', id, 'o', organization_id, 'nonce', nonce) FROM addresses.reviews"
        " WHERE order_id = :id",
        id=order_id,
    )
    deadline_at = city.value("SELECT deadline_at FROM addresses.reviews WHERE order_id = :id", id=order_id)
    key = keys_of(json.loads(secret["SecretString"]))[0]
    return make_token(UUID(row["id"]), UUID(row["o"]), row["nonce"], deadline_at, key)


def asked(city: City, method: str, token: str, body: Any = None) -> Reply:
    """Call the API as the correction page does, with nobody signed in."""
    return city.call(method, f"/v1/address-reviews/{token}", body, token=None)


def test_an_unknown_address_is_corrected_by_its_link_and_the_order_confirmed(city: City) -> None:
    order = place(city, city.sku(5))
    assert order["status"] == "address_review"
    token = link(city, order["id"])
    shown = asked(city, "GET", token)
    assert (shown.status, shown.body["address_review"]["address"]["city"]) == (200, "Atlantis")
    assert b"Ada" not in shown.raw
    refused = asked(city, "POST", token, {"address": DENVER | {"postal_code": "99998", "country": "PT"}})
    assert (refused.status, refused.body["code"]) == (409, "address_not_found")
    corrected = asked(city, "POST", token, {"address": DENVER})
    assert (corrected.status, corrected.body["address_review"]["status"]) == (200, "corrected")
    again = asked(city, "POST", token, {"address": DENVER})
    assert (again.status, again.body["code"]) == (410, "link_used")
    found = city.call("GET", f"/v1/orders/{order['id']}").body["order"]
    assert (found["status"], found["shipping_address"]["city"]) == ("confirmed", "Denver")
    assert found["shipping_address"]["name"] == ADDRESS["name"]
    city.wait_until_quiet()
    assert city.violations() == []


def test_nobody_answers_and_the_clock_cancels_the_order(city: City) -> None:
    order = place(city, city.sku(5))
    token = link(city, order["id"])
    with city.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE addresses.reviews SET created_at = now() - interval '9 days', first_deadline_at = now(),"
            " deadline_at = now(), reminder_at = now() - interval '1 day' WHERE resolved_at IS NULL"
        )

    def says(name: str) -> str:
        return str(city.call("GET", f"/v1/orders/{order['id']}").body["order"][name])

    city.wait_until(lambda: says("status") == "cancelled", "the watch ticks every minute", seconds=90)
    refused = asked(city, "POST", token, {"address": DENVER})
    assert (refused.status, refused.body["code"]) == (410, "link_used")
    city.wait_until(lambda: says("payment_status") == "refunded", "the money goes back after the cancellation")
    city.wait_until_quiet()
    found = city.call("GET", f"/v1/orders/{order['id']}").body["order"]
    assert (found["payment_status"], found["amounts"]["refunded_minor"]) == (
        "refunded",
        found["amounts"]["total_minor"],
    )
    assert city.violations() == []


def test_the_page_that_the_link_leads_to_is_there_and_no_log_has_the_link(city: City) -> None:
    order = place(city, city.sku(5))
    token = link(city, order["id"])
    page = city.http.request("GET", f"{city.system.api_url}/check-address")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"/v1/address-reviews/" in page.data
    asked(city, "GET", token)
    asked(city, "POST", token, {"confirm": True})
    city.wait_until_quiet()
    written = b"".join(path.read_bytes() for path in city.system.logs.glob("**/*") if path.is_file())
    assert b"/v1/address-reviews/{token}" in written
    assert token.encode() not in written
    assert token.partition(".")[2].encode() not in written
