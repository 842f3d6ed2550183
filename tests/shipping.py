"""Shipments in a house: the staff who pick, pack and ship, and what several tests ask about it."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.flows.claims.idempotency import Answer, Claim, fingerprint_of
from holdfast.flows.shipping import deliver_shipment as road
from holdfast.flows.shipping import prepare_shipment as warehouse
from holdfast.flows.shipping.read_shipments import Wanted, list_shipments
from holdfast.flows.shipping.reship_shipment import reship_shipment
from holdfast.flows.shipping.ship_shipment import ShipShipment, ship_shipment
from holdfast.fulfillment.lifecycle import FailureReason
from holdfast.runtime import Runtime
from holdfast.values.caller import Caller
from holdfast.web.shipment_answers import shipment_answer, shipped_answer
from tests.flows.actions import staff
from tests.house import House, document


def capture_policy(house: House, policy: str) -> None:
    """Set when the shop captures its money from now on."""
    house.sql(
        "UPDATE tenancy.organizations SET settings = settings || jsonb_build_object('capture_policy',"
        " CAST(:policy AS text)) WHERE id = :o",
        policy=policy,
        o=house.organization_id,
    )


def shipments(house: House, order_id: str, *, live: bool = True) -> list[dict[str, Any]]:
    """Return the shipments of an order as staff see them, oldest first; without the cancelled ones if ``live``."""
    page = list_shipments(
        house.runtime, staff(house, "viewer"), Wanted(order=order_id), after=None, limit=100, now=house.clock()
    )
    found = [one for one in page["shipments"] if not live or one["status"] != "cancelled"]
    return sorted(found, key=lambda one: int(one["shipment_number"].rpartition("-")[2]))  # the clock stands still


def only(house: House, order_id: str, code: str | None = None) -> dict[str, Any]:
    """Return the only live shipment of an order, or the only one that leaves this warehouse."""
    (one,) = [found for found in shipments(house, order_id) if code in (None, found["warehouse"])]
    return one


def request(house: House, shipment: Mapping[str, Any], key: str | None, caller: Caller | None) -> warehouse.Request:
    caller = caller or staff(house)
    claim = Claim(caller.actor, "shipment", key or uuid.uuid4().hex, fingerprint_of({"id": shipment["id"]}))
    return warehouse.Request(caller, claim, UUID(shipment["id"]), shipment["version"])


def pick(
    house: House, shipment: Mapping[str, Any], *, key: str | None = None, caller: Caller | None = None
) -> dict[str, Any]:
    """Pick the shipment off the shelf."""
    done = warehouse.pick_shipment(house.runtime, request(house, shipment, key, caller), house.clock(), shipment_answer)
    return shown(done)


def pack(house: House, shipment: Mapping[str, Any]) -> dict[str, Any]:
    """Pack the shipment."""
    done = warehouse.pack_shipment(house.runtime, request(house, shipment, None, None), house.clock(), shipment_answer)
    return shown(done)


def call_off(house: House, shipment: Mapping[str, Any]) -> dict[str, Any]:
    """Cancel the shipment, so that its goods go back to the shelf."""
    asked = request(house, shipment, None, None)
    return shown(warehouse.cancel_shipment(house.runtime, asked, "mislabeled", house.clock(), shipment_answer))


def ship_command(
    house: House,
    shipment: Mapping[str, Any],
    *,
    items: Mapping[str, int] | None = None,
    key: str | None = None,
    caller: Caller | None = None,
    carrier: str = "UPS",
    tracking_number: str | None = "1Z999",
) -> ShipShipment:
    """Return a request to ship as the handler would make it; ``items`` is by SKU."""
    caller = caller or staff(house)
    named = {UUID(one["order_item_id"]): items[one["sku"]] for one in shipment["items"] if one["sku"] in (items or {})}
    fingerprint = fingerprint_of({"id": shipment["id"], "items": repr(named)})
    claim = Claim(caller.actor, "ship_shipment", key or uuid.uuid4().hex, fingerprint)
    return ShipShipment(caller, claim, UUID(shipment["id"]), shipment["version"], carrier, tracking_number, items=named)


def run_ship(runtime: Runtime, house: House, command: ShipShipment) -> Answer:
    """Run one invocation of the shipment function."""
    return ship_shipment(runtime, command, house.clock, shipped_answer)


def ship(house: House, shipment: Mapping[str, Any], **how: Any) -> Answer:
    """Ship, and return the answer that the staff get."""
    return run_ship(house.runtime, house, ship_command(house, shipment, **how))


def shipped(house: House, shipment: Mapping[str, Any], **how: Any) -> dict[str, Any]:
    """Ship, which must succeed, and return the shipment."""
    answer = ship(house, shipment, **how)
    assert answer.status == 200, answer.body
    return shown(answer)


def in_transit(house: House, shipment: Mapping[str, Any]) -> dict[str, Any]:
    """Record that the carrier has scanned the shipment."""
    asked = request(house, shipment, None, None)
    return shown(road.shipment_in_transit(house.runtime, asked, house.clock(), shipment_answer))


def deliver(house: House, shipment: Mapping[str, Any], at: datetime | None = None) -> dict[str, Any]:
    """Record that the shipment arrived."""
    asked = request(house, shipment, None, None)
    return shown(road.deliver_shipment(house.runtime, asked, at, house.clock(), shipment_answer))


def fail(
    house: House, shipment: Mapping[str, Any], reason: FailureReason = FailureReason.LOST, *, key: str | None = None
) -> dict[str, Any]:
    """Record that the shipment did not arrive."""
    asked = request(house, shipment, key, None)
    return shown(road.fail_shipment(house.runtime, asked, reason, None, house.clock(), shipment_answer))


def reship(
    house: House, shipment: Mapping[str, Any], code: str | None = None, *, key: str | None = None
) -> dict[str, Any]:
    """Send the shipment again, from this warehouse if one is named, and return the new shipment."""
    asked, warehouse_id = request(house, shipment, key, None), house.warehouses[code] if code else None
    return shown(reship_shipment(house.runtime, asked, warehouse_id, house.clock(), shipment_answer))


def shown(answer: Answer) -> dict[str, Any]:
    """Return the shipment in an answer."""
    body: dict[str, Any] = document(answer)["shipment"]
    return body


def delivered(house: House, order_id: str) -> None:
    """Ship and deliver everything that is planned of the order."""
    for one in shipments(house, order_id):
        deliver(house, shipped(house, one))
