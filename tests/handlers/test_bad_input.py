"""Bad input is answered with a problem document that gives the reason, and changes nothing."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.handlers.door import ADDRESS, PROBLEM, Door, Reply, checkout_body

CHECKOUT = "POST /v1/checkout"
PAN = "4242 4242 4242 4242"


def item(**changes: Any) -> dict[str, Any]:
    return checkout_body(items=[{"sku": "TEE", "quantity": 1} | changes])


def address(**changes: Any) -> dict[str, Any]:
    return checkout_body(shipping_address=ADDRESS | changes)


def payment(**changes: Any) -> dict[str, Any]:
    return checkout_body(payment={"gateway": "stripe", "token": "pm_card_visa"} | changes)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in checkout_body().items() if key != name}


NOT_JSON = {
    "nothing": "",
    "white space": " \n",
    "null": "null",
    "cut off": '{"items":[{"sku":"TEE","quan',
    "a list around it": json.dumps([checkout_body()]),
    "a text": '"checkout"',
    "a number": "7",
    "two documents": "{}{}",
    "not a number": json.dumps(checkout_body()).replace('"quantity": 1', '"quantity": NaN'),
    "infinity": json.dumps(checkout_body()).replace('"quantity": 1', '"quantity": -Infinity'),
    "a number of 5,000 digits": json.dumps(checkout_body()).replace('"quantity": 1', '"quantity": ' + "9" * 5000),
    "10,000 levels deep": "[" * 10_000,
    "objects 10,000 levels deep": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "XML": "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    "single quotes": str(checkout_body()),
    "a byte order mark": "\ufeff" + json.dumps(checkout_body()),
}

WRONG: Mapping[str, tuple[dict[str, Any], str]] = {
    "an empty object": ({}, "items"),
    "no items": (without("items"), "items"),
    "an empty list of items": (checkout_body(items=[]), "items"),
    "51 items": (checkout_body(items=[{"sku": "TEE", "quantity": 1}] * 51), "items"),
    "items that are no list": (checkout_body(items={"sku": "TEE", "quantity": 1}), "items"),
    "items of null": (checkout_body(items=[None]), "items[0]"),
    "no quantity": (checkout_body(items=[{"sku": "TEE"}]), "items[0].quantity"),
    "a quantity of 0": (item(quantity=0), "items[0].quantity"),
    "a negative quantity": (item(quantity=-1), "items[0].quantity"),
    "a quantity in words": (item(quantity="1"), "items[0].quantity"),
    "half a piece": (item(quantity=1.5), "items[0].quantity"),
    "a quantity of true": (item(quantity=True), "items[0].quantity"),
    "more than the quantity of an order": (item(quantity=10_001), "items[0].quantity"),
    "a quantity of 2 to the 63rd": (item(quantity=2**63), "items[0].quantity"),
    "a quantity of 400 digits": (item(quantity=10**400), "items[0].quantity"),
    "a SKU that this shop does not sell": (item(sku="NO-SUCH"), "items[0].sku"),
    "an empty SKU": (item(sku="  "), "items[0].sku"),
    "a SKU with a NUL": (item(sku="TEE\x00"), "items[0].sku"),
    "a SKU with half a character": (item(sku="TEE\ud800"), "items[0].sku"),
    "a SKU of 101 characters": (item(sku="T" * 101), "items[0].sku"),
    "a SKU that is SQL": (item(sku="'; DROP TABLE orders.orders; --"), "items[0].sku"),
    "a SKU that is an object": (item(sku={"$ne": None}), "items[0].sku"),
    "a SKU and a variant": (item(variant_id="01930000-0000-7000-8000-000000000001"), "items[0]"),
    "neither SKU nor variant": (checkout_body(items=[{"quantity": 1}]), "items[0]"),
    "a variant that is no UUID": (checkout_body(items=[{"variant_id": "TEE", "quantity": 1}]), "items[0].variant_id"),
    "somebody else's variant": (
        checkout_body(items=[{"variant_id": "01930000-0000-7000-8000-0000000000aa", "quantity": 1}]),
        "items[0].variant_id",
    ),
    "a price with decimals": (item(unit_price_minor=20.5), "items[0].unit_price_minor"),
    "a negative price": (item(unit_price_minor=-1), "items[0].unit_price_minor"),
    "a currency": (item(unit_price_minor=2000, currency="EUR"), "items[0].currency"),
    "a discount of one's own": (checkout_body(discount_minor=1), "discount_minor"),
    "a total of one's own": (checkout_body(amounts={"total_minor": 1}), "amounts"),
    "an organization of one's own": (checkout_body(organization_id="x"), "organization_id"),
    "a field name with a NUL": (checkout_body() | {"a\x00b": 1}, "a\x00b"),
    "a field name with half a character": (checkout_body() | {"a\udfff": 1}, "body"),
    "no address": (without("shipping_address"), "shipping_address"),
    "an address without a name": (
        checkout_body(shipping_address={k: v for k, v in ADDRESS.items() if k != "name"}),
        "shipping_address.name",
    ),
    "a name with a NUL": (address(name="Ada\x00"), "shipping_address.name"),
    "a name with a line break": (address(name="Ada\nLovelace"), "shipping_address.name"),
    "a name with half a character": (address(name="Ada \udc00"), "shipping_address.name"),
    "a name of 201 characters": (address(name="A" * 201), "shipping_address.name"),
    "a name of spaces": (address(name="   "), "shipping_address.name"),
    "a name that is a list": (address(name=["Ada"]), "shipping_address.name"),
    "a country of three letters": (address(country="USA"), "shipping_address.country"),
    "a country in small letters": (address(country="us"), "shipping_address.country"),
    "no region where tax depends on it": (address(region=None), "shipping_address.region"),
    "a region that nobody knows": (address(region="Kolorado"), "shipping_address.region"),
    "a region of another country": (address(region="ON"), "shipping_address.region"),
    "a postal code that is a number": (address(postal_code=80202), "shipping_address.postal_code"),
    "an unknown field in the address": (address(planet="Earth"), "shipping_address.planet"),
    "a billing address that is a text": (checkout_body(billing_address="same"), "billing_address"),
    "an unknown shipping preference": (checkout_body(shipping_preference="yesterday"), "shipping_preference"),
    "overflow that is a word": (checkout_body(allow_capacity_overflow="yes"), "allow_capacity_overflow"),
    "a marketplace's order": (checkout_body(source="marketplace"), "source"),
    "no payment": (without("payment"), "payment"),
    "an unknown gateway": (payment(gateway="bitcoin"), "payment.gateway"),
    "a gateway in capitals": (payment(gateway="STRIPE"), "payment.gateway"),
    "an empty token": (payment(token=""), "payment.token"),
    "a token of 8,001 characters": (payment(token="t" * 8_001), "payment.token"),
    "a token with a line break": (payment(token="pm\ncard"), "payment.token"),
    "an amount in the payment": (payment(amount_minor=1), "payment.amount_minor"),
    "an e-mail address without @": (checkout_body(email="ada"), "email"),
    "an e-mail address with a line break": (checkout_body(email="ada@example.com\nbcc:x@example.com"), "email"),
    "an e-mail address of 300 characters": (checkout_body(email="a" * 300 + "@example.com"), "email"),
    "notes with a NUL": (checkout_body(notes="hello\x00"), "notes"),
    "notes of 2,001 characters": (checkout_body(notes="n" * 2001), "notes"),
    "notes with half a character": (checkout_body(notes="\ud83d"), "notes"),
}

CARD_NUMBERS = {
    "in the notes": checkout_body(notes=f"my card is {PAN}, thank you"),
    "as the token": payment(token="4242424242424242"),
    "in the name": address(name="Ada 5555-5555-5555-4444"),
    "as a number": item(unit_price_minor=4242424242424242),
    "in an unknown field": checkout_body(card={"number": "378282246310005", "cvc": "123"}),
    "as a field's name": checkout_body() | {"4242424242424242": True},
    "in full-width digits": checkout_body(notes="".join(chr(0xFF10 + int(d)) for d in "4242424242424242")),
    "with dots and breaks": checkout_body(notes="4242.4242\n4242 - 4242"),
    "behind its expiry": checkout_body(notes="12/29 4242 4242 4242 4242"),
    "escaped": json.dumps(checkout_body(notes=PAN)).replace("4242 4242", r"\u0034242 \u0034242"),
}


def refused(reply: Reply, status: int, code: str) -> dict[str, Any]:
    assert (reply.status, reply.content_type) == (status, PROBLEM), reply.raw
    problem = reply.body
    assert problem["code"] == code
    assert problem["type"] == f"urn:holdfast:problem:{code}"
    assert set(problem) >= {"type", "title", "status", "detail", "code", "correlation_id"}
    assert "Traceback" not in reply.raw
    assert "pydantic" not in reply.raw
    return problem


@pytest.fixture
def unchanged(shared_door: Door) -> Iterator[None]:
    """Check that nothing is written while the test runs."""
    before = shared_door.rows_of_all_tables()
    yield
    assert shared_door.rows_of_all_tables() == before
    assert shared_door.house.stock() == {"EWR": (10, 0)}


@pytest.mark.usefixtures("unchanged")
def test_what_is_not_json_is_malformed(shared_door: Door) -> None:
    for text in NOT_JSON.values():
        refused(shared_door.ask(CHECKOUT, text), 400, "malformed_request")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("case", sorted(WRONG))
def test_a_wrong_field_is_named(shared_door: Door, case: str) -> None:
    body, field = WRONG[case]
    problem = refused(shared_door.ask(CHECKOUT, body), 422, "invalid_input")
    named = [error["field"] for error in problem["errors"]]
    assert any(name == field or name.startswith((f"{field}.", f"{field}[")) for name in named), problem["errors"]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("region", [None, "Kolorado"])
def test_a_quote_says_too_that_a_region_is_missing(shared_door: Door, region: str | None) -> None:
    body = {"items": [{"sku": "TEE", "quantity": 1}], "shipping_address": ADDRESS | {"region": region}}
    problem = refused(shared_door.ask("POST /v1/checkout/quote", body), 422, "invalid_input")
    assert [error["field"] for error in problem["errors"]] == ["shipping_address.region"]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("case", sorted(CARD_NUMBERS))
def test_a_card_number_is_refused_and_not_repeated(shared_door: Door, case: str) -> None:
    reply = shared_door.ask(CHECKOUT, CARD_NUMBERS[case])
    problem = refused(reply, 422, "invalid_input")
    assert "card number" in problem["detail"]
    assert "4242" not in reply.raw.replace(problem["correlation_id"], "")
    assert "37828" not in reply.raw


@pytest.mark.usefixtures("unchanged")
def test_an_error_never_repeats_what_was_sent(shared_door: Door) -> None:
    secret = "zq7-very-private"
    body = checkout_body(email=secret, shipping_preference=secret, notes=[secret])
    body["shipping_address"] = ADDRESS | {"country": secret, "postal_code": {"a": secret}}
    body["items"] = [{"variant_id": secret, "quantity": secret}]
    reply = shared_door.ask(CHECKOUT, body)
    assert len(refused(reply, 422, "invalid_input")["errors"]) >= 7
    assert secret not in reply.raw


@pytest.mark.usefixtures("unchanged")
def test_a_thousand_errors_are_told_in_a_short_answer(shared_door: Door) -> None:
    flood = checkout_body() | {f"surprise-{number}-{'x' * 300}": 1 for number in range(500)}
    reply = shared_door.ask(CHECKOUT, flood)
    problem = refused(reply, 422, "invalid_input")
    assert len(problem["errors"]) == 20
    assert len(reply.raw) < 10_000


@pytest.mark.usefixtures("unchanged")
def test_a_large_body_is_refused_unread(shared_door: Door) -> None:
    padded = json.dumps(checkout_body()) + " " * 256 * 1024
    refused(shared_door.ask(CHECKOUT, padded), 413, "payload_too_large")
    in_characters_it_would_fit = json.dumps(checkout_body(notes="\u00e9" * 200_000), ensure_ascii=False)
    refused(shared_door.ask(CHECKOUT, in_characters_it_would_fit), 413, "payload_too_large")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "media_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/xml",
        "application/json-seq",
        "application/jsonx",
        "",
        "\u00ff",
    ],
)
def test_only_json_is_taken_for_json(shared_door: Door, media_type: str) -> None:
    reply = shared_door.ask(CHECKOUT, checkout_body(), headers={"content-type": media_type})
    refused(reply, 415, "unsupported_media_type")


@pytest.mark.usefixtures("unchanged")
def test_what_is_not_utf8_or_not_base64_is_malformed(shared_door: Door) -> None:
    for raw in (b"\xff\xfe{}", json.dumps(checkout_body()).encode("utf-16"), b"\x80"):
        text = base64.b64encode(raw).decode()
        refused(shared_door.ask(CHECKOUT, text, base64_encoded=True), 400, "malformed_request")
    refused(shared_door.ask(CHECKOUT, "***", base64_encoded=True), 400, "malformed_request")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        (None, 400, "malformed_request"),
        (" ", 422, "invalid_input"),
        ("k" * 256, 422, "invalid_input"),
        ("two words", 422, "invalid_input"),
        ("schl\u00fcssel", 422, "invalid_input"),
        ("4242424242424242", 422, "invalid_input"),
        ("tab\tbed", 422, "invalid_input"),
    ],
)
def test_an_idempotency_key_is_printable_ascii_and_no_card(
    shared_door: Door, key: str | None, status: int, code: str
) -> None:
    problem = refused(shared_door.ask(CHECKOUT, checkout_body(), key=key), status, code)
    assert [error["field"] for error in problem["errors"]] == ["header.idempotency-key"]


@pytest.mark.usefixtures("unchanged")
def test_an_empty_idempotency_key_is_none(shared_door: Door) -> None:
    reply = shared_door.ask(CHECKOUT, checkout_body(), key=None, headers={"idempotency-key": ""})
    refused(reply, 422, "invalid_input")


@pytest.mark.usefixtures("unchanged")
def test_a_price_that_is_not_the_catalogs_is_told_with_the_right_one(shared_door: Door) -> None:
    problem = refused(shared_door.ask(CHECKOUT, item(unit_price_minor=1)), 409, "price_changed")
    assert problem["items"] == [{"sku": "TEE", "sent": 1, "current": 2000, "currency": "USD"}]
    huge = refused(shared_door.ask(CHECKOUT, item(unit_price_minor=10**300)), 409, "price_changed")
    assert huge["items"][0]["current"] == 2000


@pytest.mark.usefixtures("unchanged")
def test_more_than_there_is_names_what_there_is(shared_door: Door) -> None:
    for items in ([{"sku": "TEE", "quantity": 11}], [{"sku": "TEE", "quantity": 6}, {"sku": "TEE", "quantity": 5}]):
        problem = refused(shared_door.ask(CHECKOUT, checkout_body(items=items)), 409, "out_of_stock")
        assert [(short["sku"], short["requested"], short["available"]) for short in problem["items"]] == [
            ("TEE", 11, 10)
        ]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"before": "yesterday"}, "query.before"),
        ({"before": "1" * 5000}, "query.before"),
        ({"before": "01930000-0000-7000-8000-00000000000"}, "query.before"),
        ({"limit": "0"}, "query.limit"),
        ({"limit": "101"}, "query.limit"),
        ({"limit": "-1"}, "query.limit"),
        ({"limit": "ten"}, "query.limit"),
        ({"limit": "9" * 5000}, "query.limit"),
        ({"limit": "1e2"}, "query.limit"),
        ({"status": "lost"}, "query.status"),
        ({"status": "confirmed,cancelled"}, "query.status"),
        ({"status": "\x00"}, "query.status"),
    ],
)
def test_a_bad_cursor_limit_or_status_is_named(shared_door: Door, query: dict[str, str], field: str) -> None:
    problem = refused(shared_door.ask("GET /v1/orders", query=query), 422, "invalid_input")
    assert [error["field"] for error in problem["errors"]] == [field]


REFERENCES = [
    "not-an-id",
    "HF-0000-0000-0000-0000",
    "%00",
    "\u202e\u0000",
    "' OR '1'='1",
    "..%2f..%2fetc",
    "\U0001f600",
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("reference", REFERENCES)
def test_an_order_that_cannot_be_is_not_found(shared_door: Door, reference: str) -> None:
    body = {"payment": {"gateway": "stripe", "token": "pm_card_visa"}}
    refused(shared_door.ask("GET /v1/orders/{reference}", reference=reference), 404, "not_found")
    refused(shared_door.ask("POST /v1/orders/{order_id}/cancel", {}, order_id=reference), 404, "not_found")
    refused(shared_door.ask("POST /v1/orders/{order_id}/payments", body, order_id=reference), 404, "not_found")


@pytest.mark.usefixtures("unchanged")
def test_a_reference_beyond_measure_is_refused(shared_door: Door) -> None:
    refused(shared_door.ask("GET /v1/orders/{reference}", reference="a" * 65), 422, "invalid_input")


@pytest.mark.usefixtures("unchanged")
def test_the_other_bodies_are_as_strict(shared_door: Door) -> None:
    pay, cancel = "POST /v1/orders/{order_id}/payments", "POST /v1/orders/{order_id}/cancel"
    quote = {"items": [{"sku": "TEE", "quantity": 1}], "shipping_address": ADDRESS}
    refused(shared_door.ask("POST /v1/checkout/quote", quote | {"payment": {}}), 422, "invalid_input")
    refused(shared_door.ask("POST /v1/checkout/quote", "{"), 400, "malformed_request")
    refused(shared_door.ask(pay, {}, order_id="x"), 422, "invalid_input")
    refused(shared_door.ask(pay, {"payment": {"gateway": "stripe", "token": PAN}}, order_id="x"), 422, "invalid_input")
    refused(shared_door.ask(cancel, {"reason": ""}, order_id="x"), 422, "invalid_input")
    refused(shared_door.ask(cancel, {"reason": f"card {PAN}"}, order_id="x"), 422, "invalid_input")
    refused(shared_door.ask(cancel, None, order_id="x", key="k"), 400, "malformed_request")
    refused(shared_door.ask(cancel, {}, order_id="x", key=None), 400, "malformed_request")
    refused(shared_door.ask(pay, {}, order_id="x", key=None), 400, "malformed_request")
    for route in ("POST /v1/checkout/quote", pay, cancel):
        path: dict[str, Any] = {"order_id": "x"} if "{" in route else {}
        refused(shared_door.ask(route, "x" * 300_000, **path), 413, "payload_too_large")
        text = {"content-type": "text/plain"}
        refused(shared_door.ask(route, {}, headers=text, **path), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "body",
    [
        {"details": None},
        {"details": []},
        {"details": {"redirectResult": 7}},
        {"details": {"redirectResult": ""}},
        {"details": {"redirectResult": None}},
        {"details": {"redirectResult": {"nested": "no"}}},
        {"details": {"redirectResult": "line\nbreak"}},
        {"details": {"redirectResult": "\u00e9"}},
        {"details": {"redirectResult": "x" * 16_001}},
        {"details": {"": "x"}},
        {"details": {"a b": "x"}},
        {"details": {"x" * 65: "x"}},
        {"details": {f"name{number}": "x" for number in range(17)}},
        {"details": {"redirectResult": PAN}},
        {"details": {}, "payment": {}},
    ],
    ids=lambda body: str(body)[:40],
)
def test_what_a_shopper_brings_back_is_a_few_bounded_texts(shared_door: Door, body: dict[str, Any]) -> None:
    complete = "POST /v1/orders/{order_id}/payments/{payment_id}/complete"
    path = {"order_id": "x", "payment_id": "01930000-0000-7000-8000-0000000000f1"}
    refused(shared_door.ask(complete, body, **path), 422, "invalid_input")
    refused(shared_door.ask(complete, {}, **path), 404, "not_found")
    refused(shared_door.ask(complete, {}, **path | {"payment_id": "x"}), 422, "invalid_input")
