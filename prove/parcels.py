"""Parcels that are picked, packed, shipped, lost, delivered and sent again, and orders that are sent elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from holdfast.flows.claims.idempotency import Answer
from holdfast.flows.orders.change_shipping_address import ChangeShippingAddress, change_shipping_address
from holdfast.flows.shipping import deliver_shipment as delivering
from holdfast.flows.shipping import prepare_shipment as preparing
from holdfast.flows.shipping.prepare_shipment import Request
from holdfast.flows.shipping.reship_shipment import reship_shipment
from holdfast.flows.shipping.ship_shipment import ShipShipment, ship_shipment
from holdfast.fulfillment.lifecycle import FailureReason
from holdfast.runtime import Runtime
from holdfast.web.answers import readdressed_answer
from holdfast.web.shipment_answers import reshipped_answer, shipment_answer, shipped_answer
from prove import shop
from prove.actors import Task
from prove.operators import clerk
from prove.shoppers import an_order, owner_of
from prove.stage import Stage
from prove.steps import Clock

_SHIPMENTS: Final = """
    SELECT s.id, s.version, s.status, s.order_id FROM fulfillment.shipments s
     WHERE s.status = ANY (CAST(:statuses AS text[])) ORDER BY s.created_at, s.id
"""
_ITEMS: Final = """
    SELECT i.order_item_id, sum(i.quantity)::integer AS quantity FROM fulfillment.shipment_items i
     WHERE i.shipment_id = :id GROUP BY i.order_item_id ORDER BY 2, 1
"""
_CHANGEABLE: Final = ["pending_payment", "payment_failed", "confirmed", "address_review", "processing"]


def pick(runtime: Runtime, clock: Clock, request: Request) -> Answer:
    """``POST /v1/ops/shipments/{id}/pick``."""
    return preparing.pick_shipment(runtime, request, clock(), shipment_answer)


def pack(runtime: Runtime, clock: Clock, request: Request) -> Answer:
    """``POST /v1/ops/shipments/{id}/pack``."""
    return preparing.pack_shipment(runtime, request, clock(), shipment_answer)


def call_off(runtime: Runtime, clock: Clock, request: Request) -> Answer:
    """``POST /v1/ops/shipments/{id}/cancel``."""
    return preparing.cancel_shipment(runtime, request, "as the plan has it", clock(), shipment_answer)


def ship(runtime: Runtime, clock: Clock, command: ShipShipment) -> Answer:
    """``POST /v1/ops/shipments/{id}/ship``."""
    return ship_shipment(runtime, command, clock, shipped_answer)


def deliver(runtime: Runtime, clock: Clock, request: Request) -> Answer:
    """``POST /v1/ops/shipments/{id}/deliver``."""
    return delivering.deliver_shipment(runtime, request, None, clock(), shipment_answer)


def lose(runtime: Runtime, clock: Clock, request: Request, reason: FailureReason) -> Answer:
    """``POST /v1/ops/shipments/{id}/fail``."""
    return delivering.fail_shipment(runtime, request, reason, None, clock(), shipment_answer)


def send_again(runtime: Runtime, clock: Clock, request: Request) -> Answer:
    """``POST /v1/ops/shipments/{id}/reship``."""
    return reship_shipment(runtime, request, None, clock(), reshipped_answer)


def send_elsewhere(runtime: Runtime, clock: Clock, command: ChangeShippingAddress) -> Answer:
    """``PUT /v1/orders/{id}/shipping-address``."""
    return change_shipping_address(runtime, command, clock, readdressed_answer)


def _a_shipment(stage: Stage, *statuses: str) -> Mapping[str, Any] | None:
    found = stage.choose(
        stage.world.rows(_SHIPMENTS, statuses=list(statuses)),
        lambda row: bool(row["order_id"] == stage.focus.order_id),
    )
    if found is not None:
        stage.focus.order_id = found["order_id"]
    return found


def _step(stage: Stage, step: Callable[..., Answer], found: Mapping[str, Any] | None, *more: object) -> Task | None:
    if found is None:
        return None
    caller = clerk(stage)
    claim = stage.claim(caller, f"{step.__name__}_shipment", (found["id"], found["version"], more))
    return stage.asked(stage.as_app(step, Request(caller, claim, found["id"], found["version"]), *more), claim)


def pick_shipment(stage: Stage) -> Task | None:
    """Pick a shipment: its goods leave the shelf."""
    return _step(stage, pick, _a_shipment(stage, "pending"))


def pack_shipment(stage: Stage) -> Task | None:
    """Pack a shipment: it is ready to leave."""
    return _step(stage, pack, _a_shipment(stage, "pending", "picked"))


def call_off_shipment(stage: Stage) -> Task | None:
    """Cancel a shipment before it leaves."""
    return _step(stage, call_off, _a_shipment(stage, "pending", "picked", "packed"))


def ship_parcel(stage: Stage) -> Task | None:
    """Ship all of a shipment or a part. Its share of the money is captured, where the shop's policy says so."""
    found = _a_shipment(stage, "pending", "picked", "packed", "packed")
    if found is None:
        return None
    caller = clerk(stage)
    items: dict[UUID, int] = {}
    if stage.dice.random() < 0.3:
        row = stage.world.rows(_ITEMS, id=found["id"])[0]
        items = {row["order_item_id"]: stage.dice.randint(1, row["quantity"])}
    claim = stage.claim(caller, "ship_shipment", (found["id"], found["version"], items))
    command = ShipShipment(
        caller, claim, found["id"], found["version"], "carrier", f"T{stage.move.number}", None, items
    )
    return stage.asked(stage.as_app(ship, command), claim)


def deliver_parcel(stage: Stage) -> Task | None:
    """Deliver a parcel."""
    return _step(stage, deliver, _a_shipment(stage, "shipped", "in_transit"))


def lose_parcel(stage: Stage) -> Task | None:
    """Lose a parcel, for any of the reasons."""
    reason = stage.dice.choice(tuple(FailureReason))
    return _step(stage, lose, _a_shipment(stage, "shipped", "in_transit"), reason)


def send_parcel_again(stage: Stage) -> Task | None:
    """Send a lost parcel again, with goods that are taken out of stock now."""
    return _step(stage, send_again, _a_shipment(stage, "failed"))


def change_address(stage: Stage) -> Task | None:
    """Change the shipping address: the shopper moves, or wants it sent to somebody else."""
    order = an_order(stage, _CHANGEABLE)
    if order is None:
        return None
    caller = shop.MANAGER if stage.dice.random() < 0.3 else owner_of(order)
    address = stage.dice.choice(shop.ADDRESSES)
    claim = stage.claim(caller, "change_shipping_address", (order["id"], address))
    return stage.asked(
        stage.as_app(send_elsewhere, ChangeShippingAddress(caller, claim, str(order["id"]), address)), claim
    )
