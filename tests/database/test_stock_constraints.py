"""How the database treats a movement that does not add up, and overrides that share a day."""

import threading

import pytest
from pg8000.exceptions import DatabaseError

from tests.database.acting import (
    APP,
    CHECK_VIOLATION,
    EXCLUSION_VIOLATION,
    acting,
    as_role,
    connected,
    refusal,
)
from tests.database.conftest import TwoShops

ADDS_UP = "stock_movements_adds_up"
MOVEMENT = """
    INSERT INTO inventory.stock_movements (organization_id, id, warehouse_id, variant_id, level_version, type, quantity,
        on_hand_before, on_hand_after, reserved_before, reserved_after, reference_type, performed_by, created_at)
    VALUES (:organization, gen_random_uuid(), :warehouse, :variant, 99, :type, :quantity, 10, :on_hand, 4, :reserved,
        'test', 'test', now())
"""


@pytest.mark.parametrize(
    ("type_", "quantity", "on_hand", "reserved"),
    [
        ("reserve", 2, 10, 6),
        ("release", -2, 10, 2),
        ("sale", -2, 8, 2),
        ("receive", 2, 12, 4),
        ("return", 2, 12, 4),
        ("transfer_in", 2, 12, 4),
        ("transfer_out", -2, 8, 4),
        ("damage", -2, 8, 4),
        ("adjustment", -2, 8, 4),
        ("adjustment", 2, 12, 4),
    ],
)
def test_a_movement_adds_up_in_the_way_of_its_type(
    shops: TwoShops, type_: str, quantity: int, on_hand: int, reserved: int
) -> None:
    shop = shops.a
    level = {"organization": shop.organization_id, "warehouse": shop.warehouse_id, "variant": shop.variant_id}
    with acting(shops.superuser, APP, shop.organization_id) as connection:

        def found(quantity: int, on_hand: int, reserved: int, type_: str = type_) -> tuple[str, str] | None:
            values = {"type": type_, "quantity": quantity, "on_hand": on_hand, "reserved": reserved}
            return refusal(connection, MOVEMENT, **level, **values)

        assert found(quantity, on_hand, reserved) is None
        assert found(quantity, on_hand + 1, reserved) == (CHECK_VIOLATION, ADDS_UP)
        assert found(quantity, on_hand, reserved + 1) == (CHECK_VIOLATION, ADDS_UP)
        assert found(-quantity, on_hand, reserved) == (CHECK_VIOLATION, ADDS_UP)
        assert found(quantity, on_hand, reserved, "vanish") == (CHECK_VIOLATION, ADDS_UP)
        if type_ != "adjustment":  # only an adjustment may go in both directions
            assert found(-quantity, 20 - on_hand, 8 - reserved) == (CHECK_VIOLATION, ADDS_UP)


def test_the_level_itself_bounds_what_a_movement_may_do(shops: TwoShops) -> None:
    """It raises HF001: the caller decided on facts that have changed since."""
    shop = shops.a
    with acting(shops.superuser, APP, shop.organization_id) as connection:
        for type_, quantity in (("reserve", 951), ("release", 51), ("sale", 51), ("damage", 951), ("adjustment", -951)):
            found = refusal(
                connection,
                "SELECT inventory.move_stock(:o, now(), :type, ARRAY[CAST(:w AS uuid)], ARRAY[CAST(:v AS uuid)],"
                " ARRAY[CAST(:quantity AS integer)], 'test', NULL, NULL, 'test')",
                o=shop.organization_id,
                w=shop.warehouse_id,
                v=shop.variant_id,
                type=type_,
                quantity=quantity,
            )
            assert found == ("HF001", "stock_levels_reserved_within_on_hand"), type_


OVERRIDE = """
    INSERT INTO inventory.capacity_overrides
        (organization_id, id, warehouse_id, starts_on, ends_on, hard_capacity_limit, reason, created_by, created_at)
    VALUES (:organization, gen_random_uuid(), :warehouse, CAST(:starts AS date), CAST(:ends AS date), 5, 'r', 't',
            now())
"""


@pytest.mark.parametrize(
    ("starts", "ends", "overlaps"),
    [
        ("2031-01-10", "2031-01-20", True),
        ("2031-01-01", "2031-01-10", True),
        ("2031-01-20", "2031-01-25", True),
        ("2031-01-12", "2031-01-13", True),
        ("2031-01-01", "2031-01-31", True),
        ("2031-01-21", "2031-01-25", False),
        ("2031-01-01", "2031-01-09", False),
    ],
)
def test_overrides_of_one_warehouse_do_not_share_a_day(shops: TwoShops, starts: str, ends: str, overlaps: bool) -> None:
    shop = shops.a
    warehouse = {"organization": shop.organization_id, "warehouse": shop.warehouse_id}
    with acting(shops.superuser, APP, shop.organization_id) as connection:
        connection.run(OVERRIDE, **warehouse, starts="2031-01-10", ends="2031-01-20")
        found = refusal(connection, OVERRIDE, **warehouse, starts=starts, ends=ends)
        assert found == ((EXCLUSION_VIOLATION, "capacity_overrides_do_not_overlap") if overlaps else None)


def test_of_two_overlapping_overrides_at_once_one_is_refused(shops: TwoShops) -> None:
    shop = shops.a
    values = {
        "organization": shop.organization_id,
        "warehouse": shop.warehouse_id,
        "starts": "2032-01-01",
        "ends": "2032-01-31",
    }
    found: list[str] = []
    with connected(as_role(shops.superuser, APP)) as first, connected(as_role(shops.superuser, APP)) as second:
        for connection in (first, second):
            connection.run("BEGIN")
            connection.run("SELECT set_config('holdfast.organization_id', :t, true)", t=str(shop.organization_id))
        first.run(OVERRIDE, **values)

        def insert() -> None:
            try:
                second.run(OVERRIDE, **values)
            except DatabaseError as error:
                found.append(error.args[0]["C"])

        waiting = threading.Thread(target=insert)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive(), "the second waits for the first to decide"
        first.run("COMMIT")
        waiting.join(10)
        assert found == [EXCLUSION_VIOLATION]
        first.run("BEGIN")
        first.run("SELECT set_config('holdfast.organization_id', :t, true)", t=str(shop.organization_id))
        first.run("DELETE FROM inventory.capacity_overrides WHERE starts_on = '2032-01-01'")
        first.run("COMMIT")
