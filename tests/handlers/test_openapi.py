"""The OpenAPI document is current and valid, and agrees with the template and the functions."""

import json
from typing import Any

import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel

from generate.openapi import text
from holdfast.web import order_views, views
from holdfast.web.access import OPERATION_OF_ROUTE, PUBLIC
from local.documented import DOCUMENT, document
from tests.architecture.rules.door import PUBLIC_ROUTES
from tests.architecture.template import TEMPLATE, route
from tests.handlers.door import Door, checkout_body

OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in document()["paths"].items()
    for method, operation in operations.items()
}


def test_the_committed_document_is_current() -> None:
    assert DOCUMENT.read_text() == text(), "run `make api-docs` and commit functions/api_docs/openapi.json"


def test_the_document_is_valid_openapi() -> None:
    validate(document())


def test_every_route_of_the_template_is_documented_and_no_other() -> None:
    assert set(OPERATIONS) == {route(properties) for _, _, properties in TEMPLATE.events("HttpApi")}


def test_public_routes_are_public_in_the_document_too() -> None:
    assert document()["security"] == [{"token": []}]
    assert {key for key, operation in OPERATIONS.items() if operation.get("security") == []} == PUBLIC_ROUTES
    assert all("security" not in operation for key, operation in OPERATIONS.items() if key not in PUBLIC_ROUTES)


def test_every_operation_has_a_name_of_its_own_a_summary_and_who_may_call_it() -> None:
    assert len({operation["operationId"] for operation in OPERATIONS.values()}) == len(OPERATIONS)
    for key, operation in OPERATIONS.items():
        assert operation["summary"]
        assert len(operation["tags"]) == 1
        last = operation["description"].splitlines()[-1]
        assert (last == "Public.") == (OPERATION_OF_ROUTE[key] is PUBLIC)
        assert last.startswith(("Public.", "For customers", "For staff"))


def test_every_refusal_is_a_problem_and_every_success_has_a_schema() -> None:
    for key, operation in OPERATIONS.items():
        for status, answer in operation["responses"].items():
            if status.startswith("2"):
                assert "$ref" in answer["content"]["application/json"]["schema"], key
            else:
                forms = {media: form["schema"] for media, form in answer["content"].items()}
                gateway = forms.pop("application/json", {"$ref": "#/components/schemas/GatewayMessage"})
                assert gateway == {"$ref": "#/components/schemas/GatewayMessage"}
                assert set(forms) <= {"application/problem+json"}


STOCK_CHANGES = {
    "POST /v1/ops/warehouses",
    "POST /v1/ops/stock/receipts",
    "POST /v1/ops/stock/adjustments",
    "POST /v1/ops/warehouses/{warehouse_id}/stock/{variant_id}/compensate",
    "POST /v1/ops/capacity-overrides",
    "POST /v1/ops/transfers",
    "POST /v1/ops/transfers/{transfer_id}/ship",
    "POST /v1/ops/transfers/{transfer_id}/receive",
    "POST /v1/ops/transfers/{transfer_id}/cancel",
}
SHIPMENT_STEPS = {
    f"POST /v1/ops/shipments/{{shipment_id}}/{step}"
    for step in ("pick", "pack", "cancel", "ship", "in-transit", "deliver", "fail", "reship")
}


def test_headers_are_documented_as_they_are_written() -> None:
    headers = {
        (key, parameter["name"]): parameter
        for key, operation in OPERATIONS.items()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "header"
    }
    assert set(headers) == {
        *((key, "Idempotency-Key") for key in STOCK_CHANGES | SHIPMENT_STEPS),
        *((key, "Idempotency-Key") for key in OPERATIONS if key.startswith("POST /v1/ops/address-reviews/")),
        *((key, "Idempotency-Key") for key in OPERATIONS if key.startswith("POST /v1/ops/mail")),
        ("POST /v1/ops/payments/{payment_id}/give-up", "Idempotency-Key"),
        ("POST /v1/ops/operations/{operation_id}/retry", "Idempotency-Key"),
        ("POST /v1/checkout", "Idempotency-Key"),
        ("POST /v1/orders/{order_id}/payments", "Idempotency-Key"),
        ("POST /v1/orders/{order_id}/cancel", "Idempotency-Key"),
        ("PUT /v1/orders/{order_id}/shipping-address", "Idempotency-Key"),
        ("POST /v1/orders/{order_id}/capture", "Idempotency-Key"),
        ("POST /v1/orders/{order_id}/refunds", "Idempotency-Key"),
        ("POST /v1/guest-sessions", "X-Publishable-Key"),
    }
    assert all(parameter["required"] and parameter["description"] for parameter in headers.values())


REPEATABLE = {
    "POST /v1/checkout/quote": "writes nothing",
    "POST /v1/ops/allocation/simulate": "writes nothing",
    "POST /v1/ops/error-classes/test": "writes nothing",
    "POST /v1/ops/payments/refold": "writes nothing",
    "POST /v1/guest-sessions": "makes another guest, who has nothing yet; docs/api-introduction.md says so",
    "POST /v1/webhooks/{gateway}": "an event is stored once, by the id that its gateway gave it",
    "POST /v1/webhooks/{gateway}/{endpoint_key}": "an event is stored once, by the id that its gateway gave it",
    "POST /v1/orders/{order_id}/payments/{payment_id}/complete": "the attempt has its own key at the gateway",
    "POST /v1/address-reviews/{token}": "the link is used up when the review ends",
    "DELETE /v1/payment-methods/{payment_method_id}": "404 once it is removed",
    "POST /v1/payment-methods/{payment_method_id}/default": "sets the same",
    "POST /v1/ops/stock/safety-stock": "sets the same",
    "PUT /v1/ops/error-classes/order": "sets the same",
    "POST /v1/ops/error-classes": "409: the name is taken",
    "POST /v1/ops/stock/imports": "a file is known by its digest",
    "POST /v1/ops/archive/batches/{batch_id}/reconcile": "looks again",
    "POST /v1/ops/archive/prove": "looks again",
    "POST /v1/ops/archive/orders/{reference}/holds": "one open hold for a reason",
    "POST /v1/ops/archive/holds/{hold_id}/release": "a released hold stays as it is",
    "POST /v1/ops/archive/orders/{reference}/restore": "an order that is back stays as it is",
    "POST /v1/ops/archive/months/{month}/restore": "one restore of a month at a time",
    "POST /v1/ops/customers/{customer_id}/erase": "the same tombstone",
    "POST /v1/ops/dead-letters/replay": "tries again what still fails",
    "POST /v1/ops/dead-letters/{dead_letter_id}/replay": "tries again what still fails; its version is optional",
    "POST /v1/ops/dead-letter-groups/{fingerprint}/replay": "409 while one runs; then tries again what still fails",
    "POST /v1/ops/group-replays/{group_replay_id}/cancel": "a cancelled one stays cancelled",
}
"""Routes that take neither a key nor a version, and why they may be repeated: a new one needs a reason or a key."""


def takes_version(schema: dict[str, Any]) -> bool:
    """Say whether a body must have the version that its sender saw."""
    if "$ref" in schema:
        return takes_version(document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return "version" in schema.get("required", ())


def test_what_changes_something_takes_a_key_or_a_version_or_may_be_repeated() -> None:
    takes_neither = set()
    for key, operation in OPERATIONS.items():
        required = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["required"]}
        content = operation.get("requestBody", {}).get("content", {})
        body = takes_version(content.get("application/json", {}).get("schema", {}))
        if not (key.startswith("GET ") or required & {"Idempotency-Key", "version"} or body):
            takes_neither.add(key)
    assert takes_neither == set(REPEATABLE)


def test_what_asks_for_a_pause_says_so() -> None:
    for operation in OPERATIONS.values():
        for status, answer in operation["responses"].items():
            if status == "503" and "application/problem+json" in answer["content"]:
                assert answer["headers"]["Retry-After"]["schema"] == {"type": "integer"}


def same(model: type[BaseModel], answer: dict[str, Any]) -> None:
    """Check that the model and the answer have exactly the same members, at every depth."""
    assert _names(model.model_validate(answer).model_dump(mode="json", by_alias=True)) == _names(answer)


def _names(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _names(member) for name, member in value.items()}
    return [_names(member) for member in value] if isinstance(value, list) else None


@pytest.fixture
def shop(door: Door) -> Door:
    door.house.add_variant("TEE", price=2_000, stock={"EWR": 1, "RNO": 2})
    door.house.sql(
        "UPDATE tenancy.organizations SET settings = settings || CAST(:more AS jsonb)",
        more=json.dumps({"tax": {"rates": [{"country": "US", "region": "CO", "basis_points": "290"}]}}),
    )
    return door


def test_the_schemas_are_exactly_what_is_answered(shop: Door) -> None:
    body = checkout_body(quantity=3, notes="leave it at the door", billing_address=None)
    placed = shop.ask("POST /v1/checkout", body)
    same(order_views.PaidOrder, placed.body)
    order_id = placed.body["order"]["id"]
    same(order_views.OrderAnswer, shop.ask("GET /v1/orders/{reference}", reference=order_id).body)
    same(order_views.OrderPage, shop.ask("GET /v1/orders").body)
    same(order_views.OrderAnswer, shop.ask("POST /v1/orders/{order_id}/cancel", {}, order_id=order_id).body)
    quote = {"items": [{"sku": "TEE", "quantity": 3}], "shipping_address": body["shipping_address"]}
    same(order_views.Quote, shop.ask("POST /v1/checkout/quote", quote).body)
    same(views.Problem, shop.ask("POST /v1/checkout", {}).body)


def test_a_payment_that_wants_the_shopper_says_what_its_client_needs(shop: Door) -> None:
    body = checkout_body() | {"payment": {"gateway": "stripe", "token": "pm_card_authenticationRequired"}}
    placed = shop.ask("POST /v1/checkout", body)
    assert placed.status == 201
    assert placed.body["payment"]["status"] == "requires_action"
    assert placed.body["payment"]["client_action"] == placed.body["order"]["payments"][0]["client_action"]
    same(order_views.PaidOrder, placed.body)


def test_pages_join_without_a_gap_or_an_overlap(shop: Door) -> None:
    shop.house.receive("TEE", "EWR", 10)
    placed = [shop.ask("POST /v1/checkout", checkout_body()).body["order"]["id"] for _ in range(5)]
    seen, before = [], None
    for _ in range(10):
        query = {"limit": "2"} | ({"before": before} if before else {})
        page = shop.ask("GET /v1/orders", query=query).body
        seen += [row["id"] for row in page["orders"]]
        before = page["next_before"]
        if before is None:
            break
    assert seen == sorted(placed, reverse=True)
    by_status = shop.ask("GET /v1/orders", query={"status": "confirmed", "limit": "100"}).body
    assert [row["id"] for row in by_status["orders"]] == seen
    assert shop.ask("GET /v1/orders", query={"status": "cancelled"}).body["orders"] == []
