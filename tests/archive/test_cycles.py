"""Year after year, equal cycles leave the active tables as large as the first did, and two archivers share the work."""

from holdfast.flows.archive.archive_orders import archive_orders
from tests.archive.scenes import archive, delivered, plenty, prove, put_away, verify, years_pass
from tests.flows.actions import at_once
from tests.house import House

CYCLE_ORDERS = 6
ACTIVE = (
    "orders.orders",
    "orders.order_items",
    "orders.order_allocations",
    "inventory.reservations",
    "payments.payments",
    "payments.payment_events",
    "fulfillment.shipments",
)


def sizes(house: House) -> dict[str, tuple[int, int]]:
    """Return (bytes of the heap, bytes of the indexes) of each active table after a vacuum."""
    found = {}
    for table in ACTIVE:
        house.sql(f"VACUUM {table}")
        [row] = house.rows(f"SELECT pg_relation_size('{table}') AS heap, pg_indexes_size('{table}') AS indexes")
        found[table] = (row["heap"], row["indexes"])
    return found


def test_five_equal_cycles_leave_the_active_tables_flat(house: House) -> None:
    after: list[dict[str, tuple[int, int]]] = []
    for _ in range(5):
        delivered(house, CYCLE_ORDERS)
        years_pass(house)
        put_away(house)
        assert house.value("SELECT count(*) FROM orders.orders") == 0
        after.append(sizes(house))
    assert after[1:] == [after[0]] * 4
    assert house.value("SELECT count(*) FROM archive.archive_index") == 5 * CYCLE_ORDERS


def test_two_archivers_at_once_archive_every_order_once(house: House) -> None:
    delivered(house, 6)
    years_pass(house)

    def work() -> int:
        return archive_orders(house.system, house.clock, plenty, batch_max_orders=1).orders

    assert sum(at_once(work, work)) + archive(house).orders == 6
    assert house.value("SELECT count(*) FROM archive.batch_leaves") == 6
    assert house.value("SELECT count(DISTINCT chain_position) FROM archive.archive_batches") == 6
    assert verify(house).tally.findings == []
    assert prove(house).break_position is None
