"""Quote what a checkout would cost and where it would ship from, with the reasons. Nothing is written."""

from datetime import datetime
from typing import Any

from holdfast.flows.addresses.locate_address import AddressSearch
from holdfast.flows.checkout.planning import CheckoutRequest, plan_checkout, read_facts
from holdfast.inventory.reasons import for_shoppers
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller


def quote_order(runtime: Runtime, caller: Caller, request: CheckoutRequest, now: datetime) -> dict[str, Any]:
    """Return prices, tax, shipping, and the allocation with its reasons.

    Raises InvalidInput, PriceChanged, OutOfStock, CapacityExceeded or Forbidden.
    """
    search = AddressSearch(runtime, caller.organization_id, request.shipping_address)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.QUOTE_ORDER)
        facts = read_facts(transaction, caller, request.items, address=search.wanted(now))
    location = search.known(facts["place"], now)
    if location is None:
        plan_checkout(request, facts, search.provisional(), now)  # what is refused anyway need not ask the geocoder
        location = search.asked(now)
    plan = plan_checkout(request, facts, location, now)
    amounts, allocation = plan.amounts, plan.allocation
    codes = {share.warehouse_id: share.code for share in allocation.per_warehouse}
    return {
        "currency": amounts.currency,
        "amounts": {
            "subtotal_minor": amounts.subtotal_minor,
            "tax_minor": amounts.tax_minor,
            "shipping_minor": amounts.shipping_minor,
            "discount_minor": amounts.discount_minor,
            "total_minor": amounts.total_minor,
        },
        "tax_lines": [line.to_json() for line in amounts.tax_lines],
        "items": [
            {
                "variant_id": str(line.line.variant_id),
                "sku": line.line.sku,
                "name": line.line.name,
                "quantity": line.line.quantity,
                "unit_price_minor": line.line.unit_price_minor,
                "subtotal_minor": line.subtotal_minor,
                "tax_minor": line.tax_minor,
            }
            for line in amounts.lines
        ],
        "geocode_quality": plan.location.quality,
        "allocation": {
            "is_split": allocation.is_split,
            "shipping_cost_minor": allocation.shipping_cost_minor,
            "assignments": [
                {
                    "warehouse": codes[assignment.warehouse_id],
                    "variant_id": str(assignment.variant_id),
                    "quantity": assignment.quantity,
                }
                for assignment in allocation.assignments
            ],
            "reasons": for_shoppers(allocation.reasons),
        },
    }
