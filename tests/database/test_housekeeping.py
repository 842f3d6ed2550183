"""Rows past their use are deleted, and what is purged with an order is known: no foreign key can block a purge."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from holdfast.flows.operations import keep_house as house_keeping
from holdfast.flows.operations.keep_house import keep_house
from holdfast.runtime import Runtime
from local.postgres import Address
from tests.database.acting import SCHEMAS, SYSTEM, acting, connected
from tests.database.conftest import TwoShops
from tests.database.driving import runtime_of
from tests.database.large_shop import Shop, seed

# The tables in the order in which they are purged, each with the condition that finds the rows of order :id.
_OF_PAYMENT = "payment_id IN (SELECT id FROM payments.payments WHERE order_id = :id)"
BELONGS_TO_AN_ORDER = {
    "payments.refund_items": "refund_id IN (SELECT id FROM payments.refunds WHERE order_id = :id)",
    "payments.refunds": "order_id = :id",
    "payments.disputes": _OF_PAYMENT,
    "payments.dead_letter_history": f"dead_letter_id IN (SELECT id FROM payments.dead_letters WHERE {_OF_PAYMENT})",
    "payments.dead_letters": _OF_PAYMENT,
    "payments.payment_events": _OF_PAYMENT,
    "payments.payments": "order_id = :id",
    "addresses.geocode_failures": "order_id = :id",
    "addresses.review_steps": "review_id IN (SELECT id FROM addresses.reviews WHERE order_id = :id)",
    "addresses.reviews": "order_id = :id",
    "inventory.reservations": "order_id = :id",
    "orders.reallocations": "order_id = :id",
    "orders.order_address_versions": "order_id = :id",
    "fulfillment.shipment_items": "order_id = :id",
    "fulfillment.shipments": "order_id = :id",
    "orders.order_allocations": "order_id = :id",
    "orders.order_items": "order_id = :id",
    "orders.order_operations": "order_id = :id",
    "orders.idempotency_keys": "order_id = :id",
    "orders.order_status_history": "order_id = :id",
    "orders.orders": "id = :id",
}
WITHOUT_FOREIGN_KEY = {
    "orders.order_status_history": "partitioned, and dropped by the month; its trigger holds it to its order",
}
REMEMBERS_AN_ORDER = {
    "inventory.stock_movements": "the ledger outlives what moved the stock",
    "notifications.messages": "what was told of it, purged by its own age",
    "operations.outbox": "published and purged by its own age",
    "operations.process_failures": "a person's inbox",
    "operations.audit_log": "dropped by the month",
    "operations.api_calls": "purged by its own age",
    "archive.archive_index": "where the order is, once it has gone",
    "archive.archived_orders": "the order itself, once it has gone",
    "archive.batch_leaves": "what the chain was made of",
    "archive.discrepancies": "what was found wrong with the archive",
    "archive.legal_holds": "who wanted it kept, on record for good",
    "archive.payment_references": "news of a payment finds its archived order by it",
    "payments.money_differences": "the books of a day outlive its orders",
}
"""Tables that carry ids of orders and payments as plain values, without a foreign key."""


def children(db: Address, parent: str) -> set[str]:
    with acting(db) as connection:
        rows = connection.run(
            "SELECT DISTINCT conrelid::regclass::text FROM pg_constraint"
            " WHERE contype = 'f' AND confrelid = CAST(:p AS regclass)",
            p=parent,
        )
    return {row[0] for row in rows}


def test_every_foreign_key_into_an_order_is_from_what_belongs_to_it(shops: TwoShops) -> None:
    found, frontier = set[str](), {"orders.orders", "payments.payments"}
    while frontier:
        found |= frontier
        frontier = set().union(*(children(shops.superuser, table) for table in frontier)) - found
    assert found | set(WITHOUT_FOREIGN_KEY) == set(BELONGS_TO_AN_ORDER)


def test_the_archive_takes_all_of_it_along(shops: TwoShops) -> None:
    """Every table that belongs to an order is listed in ``archive.parts`` and is purged after what refers to it."""
    with acting(shops.superuser) as connection:
        rows = connection.run("SELECT table_name::text FROM archive.parts ORDER BY position DESC")
        keys = connection.run(
            "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"
        )
    purged = [row[0] for row in rows]
    assert sorted(purged) == sorted(BELONGS_TO_AN_ORDER)
    for child, parent in keys:
        if child in purged and parent in purged and child != parent:
            assert purged.index(child) < purged.index(parent), f"{child} refers to {parent}"


def test_whatever_carries_an_order_id_is_known(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        rows = connection.run(
            "SELECT DISTINCT attrelid::regclass::text FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
            " WHERE c.relnamespace::regnamespace::text = ANY (:schemas) AND c.relkind IN ('r', 'p')"
            " AND NOT c.relispartition"
            " AND attname IN ('order_id', 'payment_id', 'related_id', 'reference_id', 'aggregate_id', 'record_id')",
            schemas=list(SCHEMAS),
        )
    carriers = {row[0] for row in rows}
    assert carriers <= set(BELONGS_TO_AN_ORDER) | set(REMEMBERS_AN_ORDER)
    assert set(REMEMBERS_AN_ORDER) <= carriers


def test_an_order_can_be_purged_with_all_that_belongs_to_it(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        [[order_id]] = connection.run("SELECT order_id FROM payments.refunds ORDER BY id LIMIT 1")
        for table, condition in BELONGS_TO_AN_ORDER.items():
            connection.run(f"DELETE FROM {table} WHERE {condition}", id=order_id)
        connection.run("SET CONSTRAINTS ALL IMMEDIATE")
        left = connection.run("SELECT 1 FROM orders.orders WHERE id = :id", id=order_id)
    assert left == []


@pytest.fixture
def system(superuser: Address) -> Iterator[Runtime]:
    runtime = runtime_of(superuser, SYSTEM)
    yield runtime
    runtime.database.engine.dispose()


@pytest.fixture
def seeded(superuser: Address) -> tuple[Shop, Shop]:
    return seed(superuser, orders=400, variants=40, customers=40)


_NOW = "CAST(:now AS timestamptz)"
KEPT = {
    "operations.outbox": f"published_at IS NULL OR published_at >= {_NOW} - interval '7 days'",
    "orders.idempotency_keys": f"expires_at >= {_NOW}",
    "notifications.messages": f"created_at >= {_NOW} - interval '400 days'",
    "operations.api_calls": f"created_at >= {_NOW} - interval '90 days'",
    "addresses.geocode_cache": f"expires_at >= {_NOW}",
    "inventory.capacity_overrides": f"ends_on >= {_NOW}::date - 90",
}


def test_what_has_outlived_its_use_goes_for_every_tenant_and_nothing_else(
    superuser: Address, seeded: tuple[Shop, Shop], system: Runtime
) -> None:
    now = seeded[0].now + timedelta(days=2)
    with connected(superuser) as connection:
        expected, before = {}, {}
        for table, condition in KEPT.items():
            expected[table] = connection.run(
                f"SELECT organization_id, count(*) FROM {table} WHERE {condition} GROUP BY 1 ORDER BY 1", now=now
            )
            before[table] = connection.run(f"SELECT count(*) FROM {table}")[0][0]
        kept = keep_house(system, lambda: now, lambda: 60.0)
        for table in KEPT:
            left = connection.run(f"SELECT organization_id, count(*) FROM {table} GROUP BY 1 ORDER BY 1")
            assert left == expected[table], table
            assert len(left) == 2, f"both shops keep something in {table}"
            gone = before[table] - sum(count for _, count in left)
            assert kept.purged[table.split(".")[1]] == gone > 0


def test_purging_goes_on_batch_by_batch_and_stops_when_the_time_is_up(
    superuser: Address, seeded: tuple[Shop, Shop], system: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house_keeping, "PURGE_BATCH_MAX_ROWS", 30)
    now = seeded[0].now + timedelta(days=2)
    asked: list[float] = []

    def time_left() -> float:
        asked.append(1.0)
        return 3.0 - len(asked)

    first = keep_house(system, lambda: now, time_left)
    assert first.purged["outbox"] == 60
    rest = keep_house(system, lambda: now, lambda: 60.0)
    again = keep_house(system, lambda: now, lambda: 60.0)
    assert rest.purged["outbox"] > 60
    assert set(again.purged.values()) == {0}


def test_an_unpublished_row_is_never_too_old(superuser: Address, seeded: tuple[Shop, Shop], system: Runtime) -> None:
    with connected(superuser) as connection:
        connection.run("UPDATE operations.outbox SET published_at = NULL")
        keep_house(system, lambda: seeded[0].now + timedelta(days=400), lambda: 60.0)
        assert connection.run("SELECT count(*) FROM operations.outbox") == [[400]]


def test_months_past_their_retention_and_months_that_the_archive_emptied_are_dropped_whole(
    superuser: Address, seeded: tuple[Shop, Shop], system: Runtime
) -> None:
    now = seeded[0].now
    with connected(superuser) as connection:
        for table in ("operations.audit_log", "orders.order_status_history"):
            for month in ("2001-05-01", "2002-06-01"):
                connection.run("SELECT operations.make_partition(CAST(:t AS regclass), :m)", t=table, m=month)
        connection.run("SET session_replication_role = replica")
        connection.run(
            "INSERT INTO orders.order_status_history (organization_id, order_id, sequence, to_status, changed_by,"
            " created_at) VALUES (gen_random_uuid(), tenancy.uuid_v7('2001-05-07'), 1, 'pending_payment', 'test',"
            " now())"
        )
        connection.run(
            "INSERT INTO operations.audit_log (id, organization_id, actor, action, table_name, record_id, created_at)"
            " VALUES (tenancy.uuid_v7('2001-05-07'), gen_random_uuid(), 'test', 'insert', 't', gen_random_uuid(),"
            " now())"
        )
        assert keep_house(system, lambda: now, lambda: 60.0).months_dropped == 3
        left = connection.run("SELECT relname FROM pg_class WHERE relname ~ '_200[12]_0[56]$' AND relkind = 'r'")
    assert left == [["order_status_history_2001_05"]]
