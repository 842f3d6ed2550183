"""Every named query finds its rows through an index, among 10^5 orders of two shops and without planner tricks."""

import re

import pytest

from tests.database.acting import SCHEMAS, acting
from tests.database.conftest import TwoShops
from tests.database.named_queries import (
    addresses,
    archive,
    customers,
    dead_letters,
    operations,
    orders,
    payments,
    shipments,
    stock,
)
from tests.database.named_queries.asking import Named
from tests.database.rehearsal import LARGE_TABLE_MIN_ROWS, Cost, cost_of, rehearsing

SUBJECTS = (orders, stock, shipments, addresses, archive, payments, dead_letters, operations, customers)
NAMED = {name: named for subject in SUBJECTS for name, named in subject.NAMED.items()}
TOO_SMALL_TO_NEED_THEIRS = {"tenancy.gateway_accounts_of_gateway"}
"""Indexes that the data here does not need: with one account per gateway in a shop, the planner reads the table."""

_seen: dict[str, Cost] = {}


def cost(shops: TwoShops, named: Named, mode: str) -> Cost:
    with rehearsing(shops.superuser, named.role, mode, SCHEMAS) as runtime:
        named.ask(runtime, shops.a)
        return cost_of(runtime)


@pytest.mark.parametrize(
    ("name", "mode"),
    [(name, "auto") for name in NAMED] + [(name, "force_custom_plan") for name in NAMED if NAMED[name].in_functions],
)
def test_a_named_query_finds_its_rows_by_an_index(large_shops: TwoShops, name: str, mode: str) -> None:
    found = _seen[name] = cost(large_shops, NAMED[name], mode)
    plans = "\n\n".join(found.plans)
    assert found.sequential == {}, f"large tables were read from end to end:\n{plans}"
    assert found.rows <= NAMED[name].rows_max, f"{found.rows} rows and index entries were read:\n{plans}"
    for table in large_tables(large_shops):
        assert not re.search(rf"Seq Scan on {table}\b", plans), plans


def large_tables(shops: TwoShops) -> list[str]:
    with acting(shops.superuser) as connection:
        rows = connection.run(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples >= :least"
            " AND relnamespace::regnamespace::text = ANY (:schemas)",
            least=LARGE_TABLE_MIN_ROWS,
            schemas=list(SCHEMAS),
        )
    return [row[0] for row in rows]


def test_no_name_is_given_twice() -> None:
    assert len(NAMED) == sum(len(subject.NAMED) for subject in SUBJECTS)


def test_the_tables_that_grow_are_large_here(large_shops: TwoShops) -> None:
    assert set(large_tables(large_shops)) >= {
        "orders",
        "order_items",
        "order_allocations",
        "reservations",
        "stock_levels",
        "payments",
        "payment_events",
        "refunds",
        "outbox",
        "api_calls",
        "idempotency_keys",
        "customers",
        "products",
        "variants",
    }


def test_functions_keep_a_plan_that_needs_no_second_thought(large_shops: TwoShops) -> None:
    """The entry points of a checkout force the generic plan, which is among the plans checked above."""
    with acting(large_shops.superuser) as connection:
        rows = connection.run(
            "SELECT proname FROM pg_proc WHERE 'plan_cache_mode=force_generic_plan' = ANY (proconfig)"
            " AND pronamespace::regnamespace::text = ANY (:schemas)",
            schemas=list(SCHEMAS),
        )
    assert {row[0] for row in rows} >= {
        "facts",
        "place",
        "hold",
        "move_stock",
        "release_due_holds",
        "cancel_abandoned_orders",
        "settle",
        "lock_order",
        "order_view",
        "store_event",
        "claim_event",
    }


def test_every_index_serves_a_named_query_or_a_rule(large_shops: TwoShops) -> None:
    """Unique indexes enforce rules; any other index has to be used by one of the queries above."""
    for name, named in NAMED.items():
        if name not in _seen:
            _seen[name] = cost(large_shops, named, "auto")
    used = set().union(*(each.indexes for each in _seen.values()))
    with acting(large_shops.superuser) as connection:
        rows = connection.run(
            "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE c.relnamespace::regnamespace::text = ANY (:schemas) AND NOT c.relispartition"
            " AND NOT i.indisunique AND NOT i.indisexclusion",
            schemas=list(SCHEMAS),
        )
    assert {row[0] for row in rows} - used == TOO_SMALL_TO_NEED_THEIRS
