"""The database functions of a checkout where the flows do not reach: edge cases, and two callers at a time."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pg8000.native import Connection

from tests.database.acting import APP, SYSTEM, acting, as_role, connected, refusal
from tests.database.conftest import TwoShops
from tests.database.large_shop import Shop

FACTS = "SELECT checkout.facts(:o, :now, '{}', CAST(:variants AS uuid[]), 'stripe', NULL, NULL, NULL, NULL)"
OVERRIDE = """
    INSERT INTO inventory.capacity_overrides
        (organization_id, id, warehouse_id, starts_on, ends_on, hard_capacity_limit, reason, created_by, created_at)
    VALUES (:o, gen_random_uuid(), :w, CAST(:now AS timestamptz)::date + CAST(:starts AS integer),
            CAST(:now AS timestamptz)::date + CAST(:ends AS integer), 7, 'r', 't', :now)
"""
LOAD = """
    SELECT count(*), sum(orders) FROM inventory.warehouse_daily_load
     WHERE organization_id = :o AND warehouse_id = :w AND load_date = CAST(:d AS date)
"""


def place_document(shop: Shop, order_id: UUID, variants: list[UUID]) -> dict[str, Any]:
    """Return the document of a decided order: one piece of each variant, all from one warehouse."""
    now, items = shop.now.isoformat(), [str(uuid4()) for _ in variants]
    total = 1_000 * len(variants)
    return {
        "claim": {
            "caller": "test",
            "operation": "checkout",
            "key": str(order_id),
            "fingerprint": "f",
            "lease_until": now,
            "expires_at": now,
        },
        "customer": None,
        "order": {
            "id": str(order_id),
            "order_number": str(order_id),
            "email": "a@example.com",
            "currency": "USD",
            "subtotal": total,
            "tax": 0,
            "shipping": 0,
            "discount": 0,
            "total": total,
            "tax_lines": [],
            "shipping_preference": "standard",
            "is_split_shipment": False,
            "shipping_address": {},
            "billing_address": {},
            "geocode_requires_review": False,
            "allocation_reasons": {},
            "source": "api",
        },
        "items": [
            {
                "id": item,
                "variant_id": str(variant),
                "position": position,
                "sku": "SKU",
                "name": "Thing",
                "option_values": {},
                "unit_price": 1_000,
                "quantity": 1,
                "subtotal": 1_000,
                "tax": 0,
                "discount": 0,
            }
            for position, (item, variant) in enumerate(zip(items, variants, strict=True), start=1)
        ],
        "payment": {
            "id": str(uuid4()),
            "gateway": "stripe",
            "gateway_account_id": str(shop.gateway_account_id),
            "token": "pm",
            "capture_now": True,
            "idempotency_key": f"{order_id}-1",
            "next_check_at": now,
        },
        "outbox_id": str(uuid4()),
        "hold": {
            "order_id": str(order_id),
            "customer_id": str(shop.customer_id),
            "now": now,
            "hold_expires_at": now,
            "performed_by": "test",
            "strict_capacity": False,
            "allocations": [
                {
                    "id": str(uuid4()),
                    "item_id": item,
                    "warehouse_id": str(shop.warehouse_id),
                    "variant_id": str(variant),
                    "quantity": 1,
                    "load_date": shop.now.date().isoformat(),
                    "shipping_cost": 0,
                    "score": 1,
                    "reservation_id": str(uuid4()),
                    "books_load": number == 0,
                }
                for number, (item, variant) in enumerate(zip(items, variants, strict=True))
            ],
        },
    }


def place(connection: Connection, shop: Shop, order_id: UUID, lines: int) -> None:
    rows = connection.run("SELECT id FROM catalog.variants ORDER BY id LIMIT :lines", lines=lines)
    document = place_document(shop, order_id, [row[0] for row in rows])
    [[answer]] = connection.run("SELECT checkout.place(:o, CAST(:p AS jsonb))", o=shop.organization_id, p=document)
    assert answer == {"outcome": "placed"}


@pytest.mark.parametrize("lines", [1, 250])
def test_every_line_of_an_order_is_written_and_held_however_many_there_are(shops: TwoShops, lines: int) -> None:
    shop, order_id = shops.a, uuid4()
    with acting(shops.superuser, APP, shop.organization_id) as connection:
        place(connection, shop, order_id, lines)
        for table in ("orders.order_items", "orders.order_allocations", "inventory.reservations"):
            assert connection.run(f"SELECT count(*) FROM {table} WHERE order_id = :id", id=order_id) == [[lines]]
        moved = "SELECT count(*), sum(quantity) FROM inventory.stock_movements WHERE reference_id = :id"
        assert connection.run(moved, id=order_id) == [[lines, lines]]


@pytest.mark.parametrize(("last_byte", "rows"), [(0, 1), (3, 1), (4, 3), (255, 3)])
def test_one_order_in_sixty_four_folds_the_load_of_its_warehouse(shops: TwoShops, last_byte: int, rows: int) -> None:
    shop, day = shops.a, {"o": shops.a.organization_id, "w": shops.a.warehouse_id, "d": shops.a.now.date()}
    with acting(shops.superuser, APP, shop.organization_id) as connection:
        [[before, booked]] = connection.run(LOAD, **day)
        place(connection, shop, UUID(bytes=uuid4().bytes[:15] + b"\xff"), 1)
        place(connection, shop, UUID(bytes=uuid4().bytes[:15] + bytes([last_byte])), 1)
        assert connection.run(LOAD, **day) == [[1 if rows == 1 else before + 2, booked + 2]]


def test_two_who_fold_at_once_do_not_wait_and_lose_nothing(shops: TwoShops) -> None:
    shop, day = shops.a, {"o": shops.a.organization_id, "w": shops.a.warehouse_id, "d": "2044-04-04"}
    fold = "SELECT inventory.roll_up_daily_load(:o, now())"
    with connected(as_role(shops.superuser, SYSTEM)) as first, connected(as_role(shops.superuser, SYSTEM)) as second:

        def begin(connection: Connection) -> None:
            connection.run("BEGIN")
            connection.run("SELECT set_config('holdfast.organization_id', :o, true)", o=str(shop.organization_id))

        begin(first)
        first.run(
            "INSERT INTO inventory.warehouse_daily_load SELECT :o, :w, CAST(:d AS date), gen_random_uuid(), 1"
            "  FROM generate_series(1, 10)",
            **day,
        )
        first.run("COMMIT")
        begin(first)
        begin(second)
        second.run("SET LOCAL lock_timeout = '200ms'")
        assert first.run(fold, o=shop.organization_id) == [[1]]
        assert second.run(fold, o=shop.organization_id) == [[0]]
        assert second.run(LOAD, **day) == [[10, 10]]
        first.run("COMMIT")
        assert second.run(LOAD, **day) == [[1, 10]]
        second.run("DELETE FROM inventory.warehouse_daily_load WHERE load_date = '2044-04-04'")
        second.run("COMMIT")


@pytest.mark.parametrize("change", ["status = 'suspended'", "status = 'deleted'", "deleted_at = now()"])
def test_an_order_is_of_a_customer_who_is_active_when_it_is_written(shops: TwoShops, change: str) -> None:
    shop = shops.a
    with acting(shops.superuser, APP, shop.organization_id) as connection:
        document = place_document(shop, uuid4(), [])
        told = {"o": shop.organization_id, "p": document}
        update = f"UPDATE tenancy.customers SET {change} WHERE organization_id = :o AND id = :id"
        connection.run(update, o=shop.organization_id, id=shop.customer_id)
        refused = refusal(connection, "SELECT checkout.place(:o, CAST(:p AS jsonb))", **told)
        assert refused == ("HF001", "orders_customer_active")


def test_who_is_to_be_suspended_or_erased_waits_for_the_order_that_is_being_written(shops: TwoShops) -> None:
    shop = shops.a
    owned = {"o": shop.organization_id, "id": shop.customer_id}
    erase = "SELECT archive.erase_customer(:o, :id, now(), gen_random_uuid(), 'asked for', 'test')"
    suspend = "UPDATE tenancy.customers SET status = 'suspended' WHERE organization_id = :o AND id = :id"
    with (
        acting(shops.superuser, APP, shop.organization_id) as buyer,
        acting(shops.superuser, APP, shop.organization_id) as other,
        acting(shops.superuser, None, shop.organization_id) as staff,
    ):
        place(buyer, shop, uuid4(), 1)
        held = "SELECT 1 FROM tenancy.customers WHERE organization_id = :o AND id = :id FOR SHARE NOWAIT"
        assert other.run(held, **owned) == [[1]], "the same customer's other checkout does not wait"
        staff.run("SET LOCAL lock_timeout = '100ms'")
        assert refusal(staff, erase, **owned) == ("55P03", "")
        assert refusal(staff, suspend, **owned) == ("55P03", "")


@pytest.mark.parametrize(
    ("starts", "ends", "applies"), [(0, 0, True), (-3, 3, True), (-3, -1, False), (1, 3, False), (0, 5, True)]
)
def test_facts_know_the_override_of_the_day_and_no_other(
    shops: TwoShops, starts: int, ends: int, applies: bool
) -> None:
    shop = shops.a
    now = shop.now + timedelta(days=200)
    with acting(shops.superuser, APP, shop.organization_id) as connection:
        warehouse = {"o": shop.organization_id, "w": shop.warehouse_id, "now": now}
        connection.run(OVERRIDE, **warehouse, starts=starts, ends=ends)
        connection.run(OVERRIDE, **warehouse, starts=10, ends=12)
        [[facts]] = connection.run(FACTS, o=shop.organization_id, now=now, variants=[str(shop.variant_id)])
    overrides = {each["id"]: each["override"] for each in facts["warehouses"]}
    expected = {"multiplier": None, "hard_limit": 7} if applies else None
    assert overrides[str(shop.warehouse_id)] == expected
    assert len(overrides) == 3


def test_facts_leave_out_warehouses_that_have_nothing_to_give(shops: TwoShops) -> None:
    shop = shops.a
    with acting(shops.superuser, APP, shop.organization_id) as connection:
        connection.run(
            "UPDATE inventory.stock_levels SET reserved = on_hand WHERE warehouse_id = :w AND variant_id = :v",
            w=shop.warehouse_id,
            v=shop.variant_id,
        )
        [[facts]] = connection.run(FACTS, o=shop.organization_id, now=shop.now, variants=[str(shop.variant_id)])
    assert [each["available"] for each in facts["warehouses"]] == [{str(shop.variant_id): 950}] * 2
    assert str(shop.warehouse_id) not in {each["id"] for each in facts["warehouses"]}


def test_holds_left_to_the_watchdog_do_not_fill_the_batch(shops: TwoShops) -> None:
    """The oldest due holds have payments in progress; the batch skips them."""
    shop = shops.a
    with acting(shops.superuser) as superuser:
        [[oldest]] = superuser.run(
            "SELECT expires_at FROM inventory.reservations r JOIN payments.payments p USING (organization_id, order_id)"
            " WHERE organization_id = :o AND r.status = 'active' AND p.status = 'processing' ORDER BY 1 LIMIT 1",
            o=shop.organization_id,
        )
    with acting(shops.superuser, SYSTEM, shop.organization_id) as connection:
        release = "SELECT checkout.release_due_holds(:o, :now, 1, CAST(:grace AS integer), 'test')"
        grace = int((shop.now - oldest).total_seconds()) + 60
        [[released]] = connection.run(release, o=shop.organization_id, now=shop.now, grace=grace)
        assert released == 1
        [[status]] = connection.run(
            "SELECT p.status FROM inventory.reservations r JOIN payments.payments p USING (organization_id, order_id)"
            " WHERE r.status = 'expired' AND r.reason = 'hold expired'"
        )
        assert status not in ("pending", "processing", "requires_action")


def test_an_order_that_somebody_holds_is_not_cancelled_as_abandoned(shops: TwoShops) -> None:
    shop = shops.a
    cancel = "SELECT checkout.cancel_abandoned_orders(:o, :now, :now, 1000, 'test')"
    with acting(shops.superuser, APP, shop.organization_id) as shopper:
        [[order_id]] = shopper.run(
            "SELECT id FROM orders.orders WHERE status = 'payment_failed' ORDER BY id LIMIT 1 FOR NO KEY UPDATE"
        )
        with acting(shops.superuser, SYSTEM, shop.organization_id) as connection:
            connection.run("SET LOCAL lock_timeout = '200ms'")
            [[others]] = connection.run(cancel, o=shop.organization_id, now=shop.now)
            assert others > 0
            [[status]] = connection.run("SELECT status FROM orders.orders WHERE id = :id", id=order_id)
            assert status == "payment_failed"
