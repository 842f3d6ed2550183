"""The day's load of one warehouse: appended rows, against no load at all and against one counter row.

``python -m bench.capacity [--rounds 3] [--seconds 4] [--clients 8 32]``

All orders go to one warehouse and to many stock levels, so that nothing but the load can be what they queue for.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Engine, text

from bench import pgbench, statements
from bench.checkout import pattern, place_orders, roll_up, run_script
from bench.cluster import Cluster, cluster, connected, run_sql, run_statements
from bench.hot_sku import Sale, sell
from bench.report import Spread, heading, ratios, table
from bench.shop import CUSTOMERS, VARIANTS, open_shop
from local.postgres import Address

DATABASE = "bench_capacity"
PRESENT_ORDERS = 1_000
FUNCTIONS: Final = (
    "checkout.hold(uuid, jsonb)",
    "bench.place(uuid, uuid, uuid, uuid, uuid, jsonb, jsonb, jsonb, text)",
)
APPENDS: Final = """INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)"""
APPENDED: Final = {
    FUNCTIONS[0]: "SELECT p_organization_id, warehouse_id, load_date, reservation_id, 1 FROM a WHERE books_load",
    FUNCTIONS[1]: "VALUES (p_organization_id, p_warehouse_id, current_date, uuidv7(), 1)",
}
"""What each of the two functions appends, after the text above."""
NOTHING: Final = {FUNCTIONS[0]: "SELECT 1", FUNCTIONS[1]: "PERFORM 1"}
COUNTED: Final = {
    FUNCTIONS[0]: "SELECT p_organization_id, warehouse_id, load_date, 1 FROM a WHERE books_load",
    FUNCTIONS[1]: "VALUES (p_organization_id, p_warehouse_id, current_date, 1)",
}
COUNTER: Final = (
    """
    CREATE TABLE bench.daily_counter (
        organization_id uuid, warehouse_id uuid, load_date date, orders integer NOT NULL,
        PRIMARY KEY (organization_id, warehouse_id, load_date)) WITH (fillfactor = 50)
    """,
    "CALL tenancy.isolate('bench.daily_counter')",
    "GRANT SELECT, INSERT, UPDATE ON bench.daily_counter TO holdfast_app",
)
WAYS: Final = ("no load", "appended rows", "one counter row")
_FUNCTION: Final = """
\\set customer random(1, :customers)
\\set variant random(1, :variants)
SELECT bench.place(
    CAST(:organization AS uuid),
    CAST('01930000-0000-7000-9000-' || lpad(to_hex(CAST(:customer AS integer)), 12, '0') AS uuid),
    CAST(:gateway_account AS uuid), CAST(:warehouse AS uuid),
    CAST('01930000-0000-7000-8000-' || lpad(to_hex(CAST(:variant AS integer)), 12, '0') AS uuid),
    CAST(:tax_lines AS jsonb), CAST(:address AS jsonb), CAST(:reasons AS jsonb), :fingerprint);
"""


def variants_of(engine: Engine) -> Mapping[str, Sequence[str]]:
    """Return the definitions of both functions for each way. They differ in how the load is booked and in nothing else.

    Raises ValueError when a function no longer books the load in the way expected here.
    """
    made: dict[str, list[str]] = {way: [] for way in WAYS}
    with engine.connect() as connection:
        for function in FUNCTIONS:
            definition = str(
                connection.execute(
                    text("SELECT pg_get_functiondef(CAST(:name AS regprocedure))"), {"name": function}
                ).scalar_one()
            )
            before, found, after = definition.partition(APPENDS)
            gap, found_too, rest = after.partition(APPENDED[function])
            if not found or not found_too or gap.strip():
                raise ValueError(f"{function} does not book the load as this benchmark knows it")
            counter = f"""
                INSERT INTO bench.daily_counter (organization_id, warehouse_id, load_date, orders)
                {COUNTED[function]}
                ON CONFLICT (organization_id, warehouse_id, load_date) DO UPDATE SET orders = daily_counter.orders + 1
            """
            made["no load"].append(before + NOTHING[function] + rest)
            made["appended rows"].append(definition)
            made["one counter row"].append(before + counter + rest)
    return made


def by_pgbench(cluster: Cluster, engine: Engine, database: Address, clients: int, seconds: float) -> Sale:
    """Make the same writes in one function and one round trip: what the database alone can do."""
    variables: Mapping[str, object] = pattern(engine) | {"customers": CUSTOMERS, "variants": VARIANTS}
    result = pgbench.run(cluster, database, _FUNCTION, clients=clients, seconds=seconds, variables=variables)
    return Sale(result.per_second, result.latency_ms, 0)


def compare(
    cluster: Cluster, engine: Engine, database: Address, clients: int, rounds: int, seconds: float
) -> list[list[str]]:
    """Run all ways in turn with one number of clients, round after round. Return the rows of the table."""
    definitions = variants_of(engine)
    placed: dict[tuple[str, str], list[Sale]] = {}
    for _ in range(rounds):
        for way in WAYS:
            for definition in definitions[way]:
                run_statements(engine, definition)
            sale = sell(database, buyers=clients, connections=clients, seconds=seconds, hot=False)
            placed.setdefault(("placing", way), []).append(sale)
            sale = by_pgbench(cluster, engine, database, clients, seconds)
            placed.setdefault(("pgbench", way), []).append(sale)
            roll_up(engine)
    for definition in definitions["appended rows"]:
        run_statements(engine, definition)
    limits = {driver: [sale.per_second for sale in placed[driver, WAYS[0]]] for driver in ("placing", "pgbench")}
    return [
        [
            f"{clients} clients, {driver}, {way}",
            f"{Spread.of([sale.per_second for sale in sales]):.0f}",
            f"{ratios([sale.per_second for sale in sales], limits[driver]):.2f}",
            f"{Spread.of([sale.p50_ms for sale in sales]).median:.1f}",
            f"{Spread.of([sale.p95_ms for sale in sales]).median:.1f}" if sales[0].p95_ms else "",
        ]
        for (driver, way), sales in sorted(placed.items(), key=lambda item: item[0][0] == "pgbench")
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.capacity", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="per round, way and driver")
    parser.add_argument("--clients", type=int, nargs="+", default=[8, 32])
    options = parser.parse_args(arguments)
    heading(
        "capacity: the day's load of one warehouse",
        f"{options.rounds} rounds of {options.seconds:g} s a way, ways in turn; fsync on, everything on one machine",
        "orders of one line, all to one warehouse, over a thousand levels; the functions differ in one statement",
        "placing: the real placing up to the call of the gateway; pgbench: sql/place_function.sql, one round trip",
        "median [min .. max]; the ratio is to the same driver without a load; latency of pgbench is its mean",
    )
    with cluster() as running:
        database = running.create(DATABASE)
        with connected(database) as engine:
            open_shop(engine)
            run_statements(engine, pgbench.read_script("place_function.sql"))
            for statement in COUNTER:
                run_sql(engine, statement)
            place_orders(running, engine, database, 1, 1, pays=False)
            run_script(running, engine, database, 1, PRESENT_ORDERS)
            run_sql(engine, "VACUUM ANALYZE")
            rows = []
            for clients in options.clients:
                rows += compare(running, engine, database, clients, options.rounds, options.seconds)
            table(("way", "orders/s", "of no load", "p50 ms", "p95 ms"), rows)
            print(f"   {booked(engine)}")


def booked(engine: Engine) -> str:
    """Say whether all orders went to one warehouse, as the comparison requires."""
    warehouses = statements.count(engine, "SELECT count(DISTINCT warehouse_id) FROM orders.order_allocations")
    return "all orders left from one warehouse" if warehouses == 1 else f"ORDERS LEFT FROM {warehouses} WAREHOUSES"


if __name__ == "__main__":
    main()
