"""Orders that move: a shop whose cheap warehouse is in the west, and questions about where goods went."""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from holdfast.flows.claims.idempotency import Answer, Claim, fingerprint_of
from holdfast.flows.orders.change_shipping_address import ChangeShippingAddress, change_shipping_address
from holdfast.flows.orders.readdress_order import Readdressed
from holdfast.runtime import Runtime
from holdfast.values.address import Address
from holdfast.values.caller import Caller
from tests.house import House

NEWARK = Address("Ada Lovelace", "1 Broad Street", "Newark", "07102", "US", region="NJ")
RENO = Address("Ada Lovelace", "7 Virginia Street", "Reno", "89501", "US", region="NV")
PORTLAND = Address("Ada Lovelace", "9 Burnside Street", "Portland", "97201", "US", region="OR")
"""Oregon takes no sales tax."""


BERLIN = Address("Ada Lovelace", "1 Unter den Linden", "Berlin", "10117", "DE")
NOWHERE = Address("Ada Lovelace", "1 Lost Road", "Ghost Town", "99999", "US", region="OR")
"""An address with a postal code that nobody knows."""


def shop(house: House, *, east_cost: int = 900, west_cost: int = 300) -> None:
    """Set shipping costs so that parcels from Reno cost a third of those from Newark.

    Newark is still preferred where it is much nearer. New Jersey taxes 6.625 %, Nevada 6.85 %, Oregon nothing. Shipping
    is 7.99 for orders below 75.00.
    """
    for code, cost in (("EWR", east_cost), ("RNO", west_cost)):
        house.sql("UPDATE inventory.warehouses SET shipping_cost_base = :cost WHERE code = :code", cost=cost, code=code)
    for postal_code, latitude, longitude in (
        ("07102", 40.7357, -74.1724),
        ("89501", 39.5296, -119.8138),
        ("97201", 45.5152, -122.6784),
    ):
        house.sql(
            "INSERT INTO addresses.geocode_reference (country, postal_code, latitude, longitude, quality, data_source,"
            " dataset_version, created_at) VALUES ('US', :code, :latitude, :longitude, 'centroid', 'test', '1', :now)"
            " ON CONFLICT DO NOTHING",
            code=postal_code,
            latitude=latitude,
            longitude=longitude,
            now=house.clock(),
        )


def settings(house: House, **what: Any) -> None:
    """Add to the organization's settings."""
    house.sql("UPDATE tenancy.organizations SET settings = settings || CAST(:what AS jsonb)", what=json.dumps(what))


def told(view: Mapping[str, Any], changed: Readdressed) -> Answer:
    """Return the answer with everything that was decided."""
    facts = {"order": view, "reallocation": changed.reallocation.to_json(), "price": changed.price.to_json()}
    return Answer(200, json.dumps(facts))


def readdress_command(
    order_id: str, address: Address, caller: Caller, *, key: str | None = None, version: int | None = None
) -> ChangeShippingAddress:
    """Return a change of address as the handler would make it."""
    fingerprint = fingerprint_of({"order": order_id, "address": address.to_json(), "version": version})
    claim = Claim(caller.actor, "change_shipping_address", key or uuid.uuid4().hex, fingerprint)
    return ChangeShippingAddress(caller, claim, order_id, address, version)


def run_readdress(runtime: Runtime, clock: Callable[[], datetime], command: ChangeShippingAddress) -> Answer:
    """Run one invocation of the function that changes shipping addresses."""
    return change_shipping_address(runtime, command, clock, told)


def readdress(
    house: House,
    order_id: str,
    address: Address = RENO,
    *,
    caller: Caller | None = None,
    key: str | None = None,
    version: int | None = None,
) -> dict[str, Any]:
    """Change the order's address as its shopper does, and return the answer."""
    command = readdress_command(order_id, address, caller or house.customer, key=key, version=version)
    answer: dict[str, Any] = json.loads(run_readdress(house.runtime, house.clock, command).body)
    return answer


def holds(house: House, order_id: str) -> list[tuple[str, int, str]]:
    """Return (warehouse, quantity, status) of every hold that the order ever had, by status and warehouse."""
    rows = house.rows(
        "SELECT w.code, r.quantity, r.status FROM inventory.reservations r JOIN inventory.warehouses w"
        " ON w.organization_id = r.organization_id AND w.id = r.warehouse_id WHERE r.order_id = :id"
        " ORDER BY r.status DESC, w.code",
        id=order_id,
    )
    return [(row["code"], row["quantity"], row["status"]) for row in rows]


def movements(house: House, code: str) -> list[tuple[str, int]]:
    """Return (type, quantity) of a warehouse's movements other than receipts, in order."""
    rows = house.rows(
        "SELECT m.type, m.quantity FROM inventory.stock_movements m JOIN inventory.warehouses w"
        " ON w.organization_id = m.organization_id AND w.id = m.warehouse_id"
        " WHERE w.code = :code AND m.type <> 'receive' ORDER BY m.level_version",
        code=code,
    )
    return [(row["type"], row["quantity"]) for row in rows]


def load(house: House) -> dict[tuple[str, str], int]:
    """Return the number of orders by warehouse and date, where it is not zero."""
    rows = house.rows(
        "SELECT w.code, l.load_date, sum(l.orders) AS orders FROM inventory.warehouse_daily_load l"
        " JOIN inventory.warehouses w ON w.organization_id = l.organization_id AND w.id = l.warehouse_id"
        " GROUP BY 1, 2 HAVING sum(l.orders) <> 0"
    )
    return {(row["code"], row["load_date"].isoformat()): row["orders"] for row in rows}


def reallocations(house: House, order_id: str) -> Sequence[Mapping[str, Any]]:
    """Return the allocation decisions after the first, in order."""
    return house.rows("SELECT * FROM orders.reallocations WHERE order_id = :id ORDER BY sequence", id=order_id)


def refunds(house: House, order_id: str) -> list[tuple[str, int, str]]:
    """Return (reason, amount, status) of the order's refunds, oldest first."""
    rows = house.rows(
        "SELECT reason, amount, status FROM payments.refunds WHERE order_id = :id ORDER BY id", id=order_id
    )
    return [(row["reason"], row["amount"], row["status"]) for row in rows]
