"""Turn a request and the facts into a decided order: prices, tax, shipping, and which warehouse serves what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from holdfast.addresses.model import Location
from holdfast.addresses.postal_code import AddressKey
from holdfast.addresses.timezones import zone_named
from holdfast.checkout.pricing import OrderAmounts, PricedLine, check_client_prices, price_order
from holdfast.checkout.shipping_rates import ShippingRates
from holdfast.checkout.tax import Destination, TaxTable
from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.payment_means import PaymentMeans
from holdfast.flows.claims.idempotency import Claim
from holdfast.inventory.allocation import CapacityOverride, Line, Plan, Warehouse, allocate
from holdfast.values.address import Address
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.coordinates import Coordinates
from holdfast.values.errors import Forbidden, InvalidInput, OutOfStock
from holdfast.values.ids import uuid7
from holdfast.values.shipping import ShippingPreference

ORDER_LINES_MAX: Final = 50
SPLIT_WAREHOUSES_DEFAULT: Final = 2


@dataclass(frozen=True, slots=True)
class RequestedItem:
    """What the shopper wants: a variant by SKU or id, a quantity, and optionally the unit price that was shown."""

    quantity: int
    sku: str | None = None
    variant_id: UUID | None = None
    unit_price_minor: int | None = None


@dataclass(frozen=True, slots=True)
class CheckoutRequest:
    """The part of a checkout or quote that prices and stock depend on."""

    items: tuple[RequestedItem, ...]
    shipping_address: Address
    preference: ShippingPreference
    allow_capacity_overflow: bool = True


@dataclass(frozen=True, slots=True)
class CheckoutPlan:
    """What was decided: the requested lines (one per variant), what they cost, and where they ship from."""

    lines: tuple[PricedLine, ...]
    variants: Mapping[UUID, Mapping[str, Any]]
    amounts: OrderAmounts
    allocation: Plan
    location: Location


def read_facts(
    transaction: Transaction,
    caller: Caller | None,
    items: Sequence[RequestedItem],
    *,
    means: PaymentMeans | None = None,
    claim: Claim | None = None,
    address: AddressKey | None = None,
) -> Mapping[str, Any]:
    """Read everything that a checkout decides on, in one statement."""
    facts: Mapping[str, Any] = transaction.value(
        "SELECT checkout.facts(:organization_id, :now, CAST(:skus AS text[]), CAST(:variant_ids AS uuid[]),"
        " :gateway, :auth_subject, :caller, :operation, :key, :country, :postal_code, :address_key,"
        " CAST(:payment_method_id AS uuid), :save_method, CAST(:guest_id AS uuid))",
        organization_id=transaction.tenant,
        now=transaction.now,
        skus=[item.sku for item in items if item.sku is not None],
        variant_ids=[str(item.variant_id) for item in items if item.variant_id is not None],
        gateway=means.gateway if means else None,
        payment_method_id=means.payment_method_id if means else None,
        save_method=means is not None and means.save_method,
        auth_subject=caller.subject if caller is not None and caller.kind is CallerKind.CUSTOMER else None,
        guest_id=caller.guest_id if caller is not None and caller.kind is CallerKind.GUEST else None,
        caller=claim.caller if claim else None,
        operation=claim.operation if claim else None,
        key=claim.key if claim else None,
        country=address.country if address else None,
        postal_code=address.postal_code if address else None,
        address_key=address.digest if address else None,
    )
    return facts


def plan_checkout(
    request: CheckoutRequest, facts: Mapping[str, Any], location: Location, now: datetime
) -> CheckoutPlan:
    """Decide on a request. Raises Forbidden, InvalidInput, PriceChanged, OutOfStock or CapacityExceeded."""
    organization = facts["organization"]
    if organization is None or organization["status"] != "active":
        raise Forbidden("this shop is not taking orders")
    settings = organization["settings"]
    lines, variants, sent_prices = _lines(request.items, facts["variants"])
    check_client_prices(lines, sent_prices)
    address = request.shipping_address
    amounts = price_order(
        lines,
        Destination(address.country, address.region, location.region),
        request.preference,
        TaxTable.from_settings(settings),
        ShippingRates.from_settings(settings),
        on=date_of_sale(settings, now),
    )
    allocation = allocate_lines(
        [Line(line.variant_id, line.quantity) for line in lines],
        location.coordinates,
        request.preference,
        facts,
        allow_capacity_overflow=request.allow_capacity_overflow,
        skus={line.variant_id: line.sku for line in lines},
    )
    return CheckoutPlan(lines, variants, amounts, allocation, location)


def date_of_sale(settings: Mapping[str, Any], now: datetime) -> date:
    """Return the date by which a sale is taxed: in the shop's own timezone, or in UTC where the shop has none."""
    return now.astimezone(zone_named(settings.get("timezone")) or UTC).date()


def allocate_lines(
    lines: Sequence[Line],
    destination: Coordinates | None,
    preference: ShippingPreference,
    facts: Mapping[str, Any],
    *,
    allow_capacity_overflow: bool,
    skus: Mapping[UUID, str],
) -> Plan:
    """Run ``inventory.allocation`` on the facts. An OutOfStock names the SKUs, which the shopper knows."""
    settings = facts["organization"]["settings"]
    try:
        return allocate(
            lines,
            destination,
            preference,
            [_warehouse(row) for row in facts["warehouses"]],
            allow_capacity_overflow=allow_capacity_overflow,
            max_warehouses=int(settings.get("split_warehouses_max", SPLIT_WAREHOUSES_DEFAULT)),
        )
    except OutOfStock as shortage:
        items = [item | {"sku": skus[UUID(item["variant_id"])]} for item in shortage.facts["items"]]
        raise OutOfStock(shortage.detail, items=items) from shortage


def hold_document(
    plan: Plan,
    item_ids: Mapping[UUID, UUID],
    *,
    order_id: UUID,
    customer_id: UUID,
    now: datetime,
    hold_expires_at: datetime,
    performed_by: str,
    strict_capacity: bool,
) -> dict[str, Any]:
    """Return a plan as ``checkout.hold`` takes it. ``item_ids`` maps each variant to its order item."""
    shares = {share.warehouse_id: share for share in plan.per_warehouse}
    booked: set[UUID] = set()
    allocations = []
    for assignment in plan.assignments:
        share = shares[assignment.warehouse_id]
        allocations.append(
            {
                "id": str(uuid7(now)),
                "item_id": str(item_ids[assignment.variant_id]),
                "warehouse_id": str(assignment.warehouse_id),
                "variant_id": str(assignment.variant_id),
                "quantity": assignment.quantity,
                "load_date": share.load_date.isoformat(),
                "shipping_cost": share.shipping_cost_minor,
                "distance_km": share.distance_km,
                "score": share.score,
                "reservation_id": str(uuid7(now)),
                "books_load": assignment.warehouse_id not in booked,
                "capacity": share.effective_capacity,
            }
        )
        booked.add(assignment.warehouse_id)
    return {
        "order_id": str(order_id),
        "customer_id": str(customer_id),
        "now": now.isoformat(),
        "hold_expires_at": hold_expires_at.isoformat(),
        "performed_by": performed_by,
        "strict_capacity": strict_capacity,
        "allocations": allocations,
    }


def _lines(
    items: Sequence[RequestedItem], variants: Sequence[Mapping[str, Any]]
) -> tuple[tuple[PricedLine, ...], dict[UUID, Mapping[str, Any]], list[tuple[str, int]]]:
    """Return one line per variant, the variants' rows by id, and the unit prices that the client sent, by SKU.

    Quantities of the same variant are added up. The InvalidInput that this raises reports every wrong item at once.
    """
    by_sku = {row["sku"]: row for row in variants}
    by_id = {row["id"]: row for row in variants}
    quantities: dict[UUID, int] = {}
    chosen: dict[UUID, Mapping[str, Any]] = {}
    sent_prices: list[tuple[str, int]] = []
    errors = []
    for position, item in enumerate(items):
        row = by_sku.get(item.sku) if item.sku is not None else by_id.get(str(item.variant_id))
        if row is None or not row["sellable"]:
            field = f"items[{position}].{'sku' if item.sku is not None else 'variant_id'}"
            errors.append({"field": field, "message": "this shop does not sell it"})
            continue
        variant_id = UUID(row["id"])
        chosen[variant_id] = row
        quantities[variant_id] = quantities.get(variant_id, 0) + item.quantity
        if item.unit_price_minor is not None:
            sent_prices.append((row["sku"], item.unit_price_minor))
    if errors:
        raise InvalidInput("some items cannot be ordered", errors=errors)
    lines = tuple(
        PricedLine(
            variant_id=variant_id,
            sku=row["sku"],
            name=row["name"],
            unit_price_minor=row["price"],
            currency=row["currency"],
            quantity=quantities[variant_id],
            tax_code=row["tax_code"],
            requires_shipping=row["requires_shipping"],
        )
        for variant_id, row in chosen.items()
    )
    return lines, chosen, sent_prices


def _warehouse(row: Mapping[str, Any]) -> Warehouse:
    override = row["override"]
    return Warehouse(
        id=UUID(row["id"]),
        code=row["code"],
        location=Coordinates(row["latitude"], row["longitude"]),
        priority=row["priority"],
        shipping_cost_base_minor=row["shipping_cost_base"],
        orders_today=row["orders_today"],
        base_daily_capacity=row["base_daily_capacity"],
        override=None
        if override is None
        else CapacityOverride(
            multiplier=None if override["multiplier"] is None else Decimal(str(override["multiplier"])),
            hard_limit=override["hard_limit"],
        ),
        load_date=date.fromisoformat(row["load_date"]),
        available={UUID(variant_id): count for variant_id, count in row["available"].items()},
    )
