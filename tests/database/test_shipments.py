"""The database's own rules for shipments: they agree with the code and refuse what the code would never write."""

import itertools

import pytest
from pg8000.native import Connection

from holdfast.orders.model import derive_fulfillment_status
from holdfast.values.shipping import ShipmentStatus
from tests.database.acting import acting, refusal
from tests.database.conftest import TwoShops

SHIPMENT = """
    INSERT INTO fulfillment.shipments (organization_id, id, order_id, warehouse_id, shipment_number, cost, status,
        carrier, captured_when_left, created_at, shipped_at, delivered_at, actual_delivery_at, failed_at,
        failure_reason, cancelled_at)
    SELECT :o, gen_random_uuid(), :order, :warehouse, gen_random_uuid()::text, 0, CAST(:status AS text), 'UPS',
           CASE WHEN left_it THEN 0 END, now(), CASE WHEN left_it THEN now() END,
           CASE WHEN :status = 'delivered' THEN now() END, CASE WHEN :status = 'delivered' THEN now() END,
           CASE WHEN :status = 'failed' THEN now() END, CASE WHEN :status = 'failed' THEN 'lost' END,
           CASE WHEN :status = 'cancelled' THEN now() END
      FROM (SELECT CAST(:status AS text) IN ('shipped', 'in_transit', 'delivered', 'failed') AS left_it) AS l
"""


def clear(connection: Connection, shops: TwoShops) -> dict[str, object]:
    shop = shops.a
    for table in ("shipment_items", "shipments"):
        connection.run(f"DELETE FROM fulfillment.{table} WHERE order_id = :order", order=shop.order_id)
    connection.run("DROP INDEX fulfillment.shipments_one_plan")
    return {"o": shop.organization_id, "order": shop.order_id, "warehouse": shop.warehouse_id}


def test_the_database_derives_the_fulfillment_status_as_the_code_does(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        about = clear(connection, shops)
        combinations = [
            chosen for size in range(4) for chosen in itertools.combinations_with_replacement(ShipmentStatus, size)
        ]
        for chosen in combinations:
            connection.run("SAVEPOINT one")
            for status in chosen:
                connection.run(SHIPMENT, **about, status=str(status))
            [[found]] = connection.run("SELECT fulfillment.status_of(:o, :order)", o=about["o"], order=about["order"])
            assert found == derive_fulfillment_status(chosen), chosen
            connection.run("ROLLBACK TO SAVEPOINT one")


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("quantity = 2", "shipment_items_within_allocation"),
        ("order_item_id = gen_random_uuid()", "shipment_items_of_their_allocation"),
    ],
)
def test_a_shipment_holds_no_more_than_its_allocation_and_nothing_else(
    shops: TwoShops, change: str, constraint: str
) -> None:
    with acting(shops.superuser) as connection:
        found = refusal(
            connection,
            f"UPDATE fulfillment.shipment_items SET {change}"
            " WHERE ctid = (SELECT ctid FROM fulfillment.shipment_items LIMIT 1)",
        )
    assert found == ("23514", constraint)


def test_what_was_delivered_is_never_pending_again(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        found = refusal(
            connection,
            "UPDATE fulfillment.shipments SET status = 'pending' WHERE ctid = ("
            "SELECT ctid FROM fulfillment.shipments WHERE status = 'delivered' LIMIT 1)",
        )
    assert found is not None
    assert found[0] == "HF002"


def test_a_warehouse_has_one_plan_of_an_order_and_one_parcel_waits_for_its_money(shops: TwoShops) -> None:
    shop = shops.a
    about = {"o": shop.organization_id, "order": shop.order_id, "warehouse": shop.warehouse_id}
    with acting(shops.superuser) as connection:
        for table in ("shipment_items", "shipments"):
            connection.run(f"DELETE FROM fulfillment.{table} WHERE order_id = :order", order=shop.order_id)
        connection.run(SHIPMENT, **about, status="pending")
        assert refusal(connection, SHIPMENT, **about, status="pending") == ("23505", "shipments_one_plan")
        for _ in range(2):
            connection.run(SHIPMENT, **about, status="packed")
        leaves = (
            "UPDATE fulfillment.shipments SET leaving_since = now(), captured_when_left = 1"
            " WHERE order_id = :order AND status = 'packed'"
        )
        assert refusal(connection, leaves, order=shop.order_id) == ("23505", "shipments_one_leaving")
