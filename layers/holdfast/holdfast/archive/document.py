"""The document of an archived order: how to read it in any schema version. The database writes it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

READABLE_SCHEMAS: Final = frozenset({1})
ERASED: Final = "erased"
"""Takes the place of an erased value where a value is required."""
ERASED_ADDRESS: Final = {
    "name": ERASED,
    "line1": ERASED,
    "line2": None,
    "city": ERASED,
    "region": None,
    "postal_code": ERASED,
    "country": "ZZ",
    "phone": None,
}


class UnreadableDocument(Exception):
    """The text is not a document, or is one of a schema version that this code does not know."""


def parse(text: str) -> dict[str, Any]:
    """Parse a document, with whole numbers as ``int``. Raises UnreadableDocument."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UnreadableDocument("the text is not JSON") from error
    if not isinstance(document, dict) or document.get("schema") not in READABLE_SCHEMAS:
        raise UnreadableDocument("the document is of a schema that nobody here knows")
    return document


def opened(document: Mapping[str, Any], personal: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the document with its personal part put back.

    Without a personal part (its customer was erased), the result has only what is left.
    """
    sealed = personal or {}
    whole: dict[str, Any] = {}
    for part, rows in document.items():
        if isinstance(rows, list):
            more: Sequence[Any] = sealed.get(part, [{}] * len(rows))
            whole[part] = [{**row, **own} for row, own in zip(rows, more, strict=True)]
        elif isinstance(rows, dict):
            whole[part] = {**rows, **sealed.get(part, {})}
    return whole


def view_of(whole: Mapping[str, Any], warehouse_codes: Mapping[str, str]) -> dict[str, Any]:
    """Return an opened document in the form in which ``checkout.order_view`` shows an order.

    Erased personal data appears as ``ERASED`` and ``ERASED_ADDRESS``, or as None where a value may be missing.
    """
    order = whole["order"]
    plain = (
        *("id", "order_number", "customer_id", "status", "payment_status", "fulfillment_status", "currency"),
        *("has_open_dispute", "tax_lines", "shipping_preference", "is_split_shipment", "source"),
    )
    return {
        **{name: order.get(name) for name in plain},
        "email": order.get("email", ERASED),
        "shipping_address": order.get("shipping_address", ERASED_ADDRESS),
        "billing_address": order.get("billing_address", ERASED_ADDRESS),
        "notes": order.get("customer_notes"),
        "amounts": {
            f"{name}_minor": order[name] for name in ("subtotal", "tax", "shipping", "discount", "total", "refunded")
        },
        **{name: order.get(name) for name in ("created_at", "confirmed_at", "cancelled_at")},
        "version": 1,
        "items": [_item(row) for row in sorted(whole.get("items", []), key=lambda row: row["position"])],
        "allocations": sorted(
            (_allocation(row, warehouse_codes) for row in whole.get("allocations", []) if "superseded_at" not in row),
            key=lambda row: str(row["warehouse"]),
        ),
        "reallocations": [_reallocation(row) for row in whole.get("reallocations", [])],
        "address_changes": [_address_change(row) for row in whole.get("address_versions", [])],
        "shipments": _shipments(whole),
        "payments": [_payment(row) for row in whole.get("payments", [])],
        "timeline": [_step(row) for row in whole.get("history", [])],
    }


def _item(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = ("id", "variant_id", "sku", "name", "option_values", "quantity", "refunded_quantity")
    money = {"unit_price": "unit_price", "subtotal": "subtotal", "tax": "tax", "discount": "discount"}
    return {
        **{name: row[name] for name in plain},
        **{f"{name}_minor": row[column] for name, column in money.items()},
        "refunded_minor": row["refunded_amount"],
    }


def _allocation(row: Mapping[str, Any], warehouse_codes: Mapping[str, str]) -> dict[str, Any]:
    distance = row.get("distance_km")
    return {
        "order_item_id": row["order_item_id"],
        "warehouse_id": row["warehouse_id"],
        "warehouse": warehouse_codes.get(row["warehouse_id"]),
        "quantity": row["quantity"],
        "distance_km": None if distance is None else round(float(distance), 1),
    }


def _reallocation(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: row[name] for name in ("sequence", "cause", "outcome", "reason")}, "at": row["created_at"]}


def _address_change(row: Mapping[str, Any]) -> dict[str, Any]:
    by = row.get("replaced_by", ERASED).partition(":")[0]
    return {"version": row["version"], "cause": row["cause"], "changed_by": by, "at": row["created_at"]}


def _shipments(whole: Mapping[str, Any]) -> list[dict[str, Any]]:
    plain = (
        *("id", "shipment_number", "status", "carrier", "tracking_number", "tracking_url"),
        *("estimated_delivery_at", "shipped_at"),
    )
    return [
        {
            **{name: row.get(name) for name in plain},
            "delivered_at": row.get("actual_delivery_at"),
            "items": _packed(row["id"], whole.get("shipment_items", [])),
        }
        for row in whole.get("shipments", [])
        if row["status"] != "cancelled"
    ]


def _packed(shipment_id: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    pieces: dict[str, int] = {}
    for row in rows:
        if row["shipment_id"] == shipment_id:
            pieces[row["order_item_id"]] = pieces.get(row["order_item_id"], 0) + row["quantity"]
    return [{"order_item_id": item_id, "quantity": pieces[item_id]} for item_id in sorted(pieces)]


def _payment(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = (
        *("id", "attempt", "gateway", "status", "currency", "brand", "last_four"),
        *("failure_code", "failure_message", "client_action"),
    )
    money = {
        "amount": "amount",
        "captured": "captured_amount",
        "capturable": "capturable_amount",
        "refunded": "refunded_amount",
        "charged_back": "charged_back_amount",
    }
    return {
        **{name: row.get(name) for name in plain},
        **{f"{name}_minor": row[column] for name, column in money.items()},
        "captures": [_capture(each) for each in sorted(row["facts"].get("captures", ()), key=_capture_order)],
        "created_at": row["created_at"],
    }


def _capture(fact: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: fact[name] for name in ("amount_minor", "status", "is_final")}
    return plain | {"at": fact["succeeded_at"] or fact["failed_at"]}


def _capture_order(fact: Mapping[str, Any]) -> tuple[bool, str, str]:
    """Return the sort key that ``checkout.order_view`` uses: captures that never succeeded come last."""
    return fact["succeeded_at"] is None, fact["succeeded_at"] or "", fact["gateway_capture_id"]


def _step(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "sequence": row["sequence"],
        "from": row.get("from_status"),
        "to": row["to_status"],
        "changed_by": row.get("changed_by", ERASED).partition(":")[0],
        "notes": row.get("notes"),
        "at": row["created_at"],
    }
