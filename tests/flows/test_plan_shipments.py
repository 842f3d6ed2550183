"""An order's shipments are planned when it is confirmed, and follow its allocation until somebody picks them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.house import House, document


@pytest.fixture
def split_house(house: House) -> House:
    """Fourteen tees in two warehouses, each of which has seven."""
    house.add_variant("TEE", stock={"EWR": 7, "RNO": 7})
    return house


def shipments(house: House, order_id: str) -> Sequence[Mapping[str, Any]]:
    return house.rows(
        "SELECT s.shipment_number, w.code, s.status, s.version, i.quantity FROM fulfillment.shipments s"
        " JOIN inventory.warehouses w ON w.organization_id = s.organization_id AND w.id = s.warehouse_id"
        " LEFT JOIN fulfillment.shipment_items i ON i.organization_id = s.organization_id AND i.shipment_id = s.id"
        " WHERE s.organization_id = :o AND s.order_id = :order ORDER BY s.shipment_number",
        o=house.organization_id,
        order=order_id,
    )


def plan(house: House, order_id: str) -> int:
    with house.runtime.database.transaction(house.organization_id, now=house.clock()) as transaction:
        changed: int = transaction.value(
            "SELECT fulfillment.plan_shipments(:organization_id, CAST(:order AS uuid), :now, 'test')",
            organization_id=transaction.tenant,
            order=order_id,
            now=transaction.now,
        )
    return changed


def test_a_confirmed_order_has_one_pending_shipment_per_warehouse(split_house: House) -> None:
    order = document(split_house.place({"TEE": 12}))["order"]
    made = shipments(split_house, order["id"])
    assert [(row["status"], row["version"]) for row in made] == [("pending", 1)] * 2
    assert sorted(row["code"] for row in made) == ["EWR", "RNO"]
    assert sum(row["quantity"] for row in made) == 12
    assert [row["shipment_number"] for row in made] == [f"{order['order_number']}-{n}" for n in (1, 2)]
    assert split_house.violations() == []


def test_planning_again_changes_nothing(split_house: House) -> None:
    order = document(split_house.place({"TEE": 12}))["order"]
    before = shipments(split_house, order["id"])
    assert plan(split_house, order["id"]) == 0
    assert shipments(split_house, order["id"]) == before


def test_an_order_that_is_not_paid_has_no_shipments(split_house: House) -> None:
    order = document(split_house.place({"TEE": 1}, token="pm_card_chargeDeclined"))["order"]
    assert plan(split_house, order["id"]) == 0
    assert shipments(split_house, order["id"]) == []


def test_a_cancelled_order_ships_nothing(split_house: House) -> None:
    order = document(split_house.place({"TEE": 12}))["order"]
    cancelled = document(split_house.cancel(order["id"]))["order"]
    assert [row["status"] for row in shipments(split_house, order["id"])] == ["cancelled"] * 2
    assert cancelled["fulfillment_status"] == "cancelled"
    assert split_house.stock() == {"EWR": (7, 0), "RNO": (7, 0)}
    assert split_house.violations() == []


def test_pending_shipments_follow_the_allocation(split_house: House) -> None:
    """What is allocated elsewhere, as by an address change, then leaves from there."""
    order = document(split_house.place({"TEE": 2}))["order"]
    (before,) = shipments(split_house, order["id"])
    elsewhere = "RNO" if before["code"] == "EWR" else "EWR"
    split_house.sql(
        "WITH gone AS (UPDATE orders.order_allocations SET superseded_at = :now WHERE order_id = CAST(:order AS uuid)"
        " RETURNING *)"
        " INSERT INTO orders.order_allocations (organization_id, id, order_id, order_item_id, warehouse_id,"
        " variant_id, quantity, load_date, shipping_cost, score, created_at) SELECT organization_id, gen_random_uuid(),"
        " order_id, order_item_id, :warehouse, variant_id, quantity, load_date, 700, score, :now FROM gone",
        now=split_house.clock(),
        order=order["id"],
        warehouse=split_house.warehouses[elsewhere],
    )
    assert plan(split_house, order["id"]) == 2
    assert [(row["code"], row["status"]) for row in shipments(split_house, order["id"])] == [
        (before["code"], "cancelled"),
        (elsewhere, "pending"),
    ]
    assert plan(split_house, order["id"]) == 0
