"""Explain why an order ships from where it does: the record that was made with it, in words and figures."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.orders.find_order import order_id_of
from holdfast.inventory.explanation import calculation, in_words, why
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.caller import Caller

# One statement, so that it shows one moment. An order's first address is in its first former version, if there is one.
_ALLOCATION: Final = """
    SELECT o.id, o.order_number, o.created_at, o.allocation_reasons,
           CASE WHEN v.version IS NULL THEN o.shipping_latitude ELSE v.latitude END AS latitude,
           CASE WHEN v.version IS NULL THEN o.shipping_longitude ELSE v.longitude END AS longitude,
           CASE WHEN v.version IS NULL THEN o.geocode_quality ELSE v.geocode_quality END AS quality,
           (SELECT jsonb_agg(jsonb_build_object('variant_id', i.variant_id, 'sku', i.sku, 'name', i.name,
                                                'quantity', i.quantity) ORDER BY i.position)
              FROM orders.order_items i WHERE i.organization_id = o.organization_id AND i.order_id = o.id) AS items,
           (SELECT jsonb_agg(jsonb_build_object(
                       'order_item_id', a.order_item_id, 'variant_id', a.variant_id, 'warehouse_id', a.warehouse_id,
                       'warehouse', w.code, 'quantity', a.quantity, 'load_date', a.load_date,
                       'shipping_cost_minor', a.shipping_cost, 'distance_km', a.distance_km, 'score', a.score,
                       'decided_at', a.created_at, 'superseded_at', a.superseded_at) ORDER BY a.created_at, a.id)
              FROM orders.order_allocations a
              JOIN inventory.warehouses w ON w.organization_id = a.organization_id AND w.id = a.warehouse_id
             WHERE a.organization_id = o.organization_id AND a.order_id = o.id) AS allocations,
           (SELECT jsonb_agg(jsonb_build_object(
                       'sequence', r.sequence, 'cause', r.cause, 'outcome', r.outcome, 'reason', r.reason,
                       'old_cost_minor', r.old_cost, 'new_cost_minor', r.new_cost, 'saving_minor', r.saving,
                       'from_warehouses', r.reasons -> 'from', 'to_warehouses', r.reasons -> 'to',
                       'decision', r.reasons -> 'decision', 'decided_by', r.decided_by,
                       'decided_at', r.created_at) ORDER BY r.sequence)
              FROM orders.reallocations r
             WHERE r.organization_id = o.organization_id AND r.order_id = o.id) AS later
      FROM orders.orders o
      LEFT JOIN orders.order_address_versions v
             ON v.organization_id = o.organization_id AND v.order_id = o.id AND v.version = 1
     WHERE o.organization_id = :organization_id AND o.id = :order_id
"""


def explain_allocation(runtime: Runtime, caller: Caller, reference: str, now: datetime) -> dict[str, Any]:
    """Return the decision made at checkout with the destination at that time, later decisions, and all allocations.

    Each later decision has its outcome, and the allocations include superseded ones. ``decision`` is None for an order
    without a record of it. Raises Forbidden or NotFound.
    """
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        order_id = order_id_of(transaction, caller, reference, Operation.EXPLAIN_ALLOCATION)
        order = _read(transaction, order_id)
    located = order["latitude"] is not None and order["longitude"] is not None
    return {
        "order_id": str(order_id),
        "order_number": order["order_number"],
        "decided_at": order["created_at"].isoformat(),
        "destination": {
            "latitude": order["latitude"],
            "longitude": order["longitude"],
            "quality": order["quality"],
        }
        if located
        else None,
        "items": order["items"] or [],
        "decision": told(order["allocation_reasons"]),
        "later_decisions": [{**later, "decision": told(later["decision"] or {})} for later in order["later"] or []],
        "allocations": order["allocations"] or [],
    }


def told(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a record with its explanation in words, or None for a record that lacks its inputs."""
    if "demand" not in record:
        return None
    variants = sorted(record["demand"])
    candidates = [
        {
            **candidate,
            "override": candidate.get("override"),
            "stock": dict(zip(variants, candidate["stock"], strict=True)),
            "why": why(candidate, record),
            "calculation": calculation(candidate, record),
        }
        for candidate in record["candidates"]
    ]
    return {**record, "words": in_words(record), "candidates": candidates}


def _read(transaction: Transaction, order_id: UUID) -> Mapping[str, Any]:
    (order,) = records(transaction.rows(_ALLOCATION, organization_id=transaction.tenant, order_id=order_id))
    return order
