"""Placing an order: round trips, statements and database time, against the smallest script that writes the same.

``python -m bench.checkout [--rounds 5] [--orders 400] [--lines 1 3 10] [--profile]``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from bench import pgbench, statements
from bench.cluster import APP_ROLE, Cluster, cluster, connected, run_sql
from bench.report import Spread, heading, percentile, ratios, table
from bench.shop import CUSTOMERS, ORGANIZATION_ID, VARIANTS, Shopper, make_runtime, open_shop
from local.postgres import Address

WARM_UP_ORDERS = 20
COMPARED_ORDERS = 100
SAME_WITHIN = 0.1
"""The tolerance, in rows per order. One checkout in many also folds the day's load, upkeep that no script does."""
PRESENT_ORDERS = 3_000
"""Orders that exist before the measurement, in analysed tables: plans made on empty tables would give other figures."""
DATABASE = "bench_checkout"


@dataclass(frozen=True, slots=True)
class Round:
    """One side of one round."""

    orders: int
    database_ms: float
    cpu_ms: float
    wall_ms: float
    statements: float
    round_trips: float
    by_query: Mapping[str, float]


def place_orders(cluster: Cluster, engine: Engine, database: Address, lines: int, orders: int, *, pays: bool) -> Round:
    """Place orders through the real flow, one after another on one connection."""
    roll_up(engine)
    runtime = make_runtime(database)
    shopper = Shopper(runtime, pays=pays)
    cpu = cluster.backend_cpu_seconds()
    for _ in range(WARM_UP_ORDERS):
        shopper.place(shopper.lines(lines))
    with runtime.database.engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
    statements.reset(engine)
    trips, latencies = raw.round_trips, []
    for _ in range(orders):
        items = shopper.lines(lines)
        begin = time.perf_counter()
        shopper.place(items)
        latencies.append(time.perf_counter() - begin)
    trips = raw.round_trips - trips
    runtime.database.engine.dispose()
    statements.wait_for_role_to_leave(engine)
    counted = statements.read(engine)
    return Round(
        orders=orders,
        database_ms=counted.milliseconds / orders,
        cpu_ms=(cluster.backend_cpu_seconds() - cpu) * 1000 / (orders + WARM_UP_ORDERS),
        wall_ms=percentile(latencies, 50) * 1000,
        statements=counted.calls / orders,
        round_trips=trips / orders,
        by_query={query: milliseconds / orders for query, milliseconds in counted.by_query.items()},
    )


def run_script(cluster: Cluster, engine: Engine, database: Address, lines: int, orders: int) -> Round:
    """Make the same writes with pgbench, one client."""
    roll_up(engine)
    cpu = cluster.backend_cpu_seconds()
    statements.reset(engine)
    variables = pattern(engine) | {"lines": lines, "variants": VARIANTS, "customers": CUSTOMERS}
    result = pgbench.run(
        cluster, database, pgbench.read_script("place_lines.sql"), transactions=orders, variables=variables
    )
    statements.wait_for_role_to_leave(engine)
    counted = statements.read(engine)
    return Round(
        orders=orders,
        database_ms=counted.milliseconds / orders,
        cpu_ms=(cluster.backend_cpu_seconds() - cpu) * 1000 / orders,
        wall_ms=result.latency_ms,
        statements=counted.calls / orders,
        round_trips=counted.calls / orders,
        by_query={query: milliseconds / orders for query, milliseconds in counted.by_query.items()},
    )


def pattern(engine: Engine) -> dict[str, str]:
    """Return documents as large as a real order's, and the ids that the script needs. At least one order must exist."""
    with engine.connect() as connection:
        row = connection.execute(
            text("""
                SELECT o.tax_lines::text AS tax_lines, o.shipping_address::text AS address,
                       o.allocation_reasons::text AS reasons, k.fingerprint,
                       (SELECT id::text FROM tenancy.gateway_accounts LIMIT 1) AS gateway_account,
                       (SELECT warehouse_id::text FROM orders.order_allocations WHERE order_id = o.id LIMIT 1)
                           AS warehouse
                  FROM orders.orders o JOIN orders.idempotency_keys k ON k.order_id = o.id
                 ORDER BY o.id DESC LIMIT 1
            """)
        )
        documents = {str(name): str(value) for name, value in row.mappings().one().items()}
    return {"organization": str(ORGANIZATION_ID), **documents}


def counted_writes(cluster: Cluster, engine: Engine, database: Address, lines: int) -> str:
    """Say whether both sides write the same rows, as counted by PostgreSQL over a few orders of each."""
    marks = [statements.writes(engine)]
    place_orders(cluster, engine, database, lines, COMPARED_ORDERS - WARM_UP_ORDERS, pays=False)
    marks.append(statements.writes(engine))
    run_script(cluster, engine, database, lines, COMPARED_ORDERS)
    marks.append(statements.writes(engine))
    ours = statements.per_order(marks[0], marks[1], COMPARED_ORDERS)
    theirs = statements.per_order(marks[1], marks[2], COMPARED_ORDERS)
    nothing = (0.0, 0.0)
    differing = [
        f"{name} {ours.get(name, nothing)} and {theirs.get(name, nothing)}"
        for name in sorted(ours.keys() | theirs.keys())
        if any(
            abs(a - b) > SAME_WITHIN for a, b in zip(ours.get(name, nothing), theirs.get(name, nothing), strict=True)
        )
    ]
    if differing:
        return f"WRITES DIFFER (inserted, updated an order): {'; '.join(differing)}"
    inserted, updated = (sum(figures) for figures in zip(*theirs.values(), strict=True))
    return f"{inserted:g} rows inserted, {updated:g} updated in {len(theirs)} tables an order, on both sides"


def roll_up(engine: Engine) -> None:
    """Roll up the day's load, as the job of each minute does."""
    run_sql(engine, f"SELECT inventory.roll_up_daily_load('{ORGANIZATION_ID}', now())")


def compare(cluster: Cluster, engine: Engine, database: Address, lines: int, rounds: int, orders: int) -> list[str]:
    """Run rounds of both sides in turn, with each side first every other time. Return one row of the table."""
    ours: list[Round] = []
    theirs: list[Round] = []
    for number in range(rounds):
        for is_ours in (number % 2 == 0, number % 2 == 1):
            if is_ours:
                ours.append(place_orders(cluster, engine, database, lines, orders, pays=False))
            else:
                theirs.append(run_script(cluster, engine, database, lines, orders))
    return [
        f"{lines}",
        f"{Spread.of([r.round_trips for r in ours]):.1f}",
        f"{ours[0].statements:.1f}",
        f"{Spread.of([r.database_ms for r in ours]):.2f}",
        f"{Spread.of([r.database_ms for r in theirs]):.2f}",
        f"{ratios([r.database_ms for r in ours], [r.database_ms for r in theirs]):.2f}",
        f"{ratios([r.cpu_ms for r in ours], [r.cpu_ms for r in theirs]):.2f}",
        f"{Spread.of([r.wall_ms for r in ours]):.2f}",
    ]


def show_statements(title: str, measured: Round) -> None:
    """Print where the database's time for an order goes, by statement of the client."""
    counts = f"{measured.statements:.1f} statements, {measured.round_trips:.1f} round trips"
    print(f"   {title}: {counts}, {measured.database_ms:.2f} ms")
    for query, milliseconds in list(measured.by_query.items())[:12]:
        print(f"      {milliseconds:7.3f} ms  {query[:130]}")


def profile(cluster: Cluster, engine: Engine, database: Address, lines: int, orders: int) -> None:
    """Print the statements inside the functions that the real flow calls."""
    run_sql(engine, f"ALTER ROLE {APP_ROLE} SET pg_stat_statements.track = 'all'")
    place_orders(cluster, engine, database, lines, orders, pays=True)
    print(f"   inside the functions, {lines} lines, paid and settled:")
    for inner in statements.nested(engine, 40):
        plan, execution = inner.plan_ms / orders, inner.execution_ms / orders
        print(f"      {execution:6.3f} ms + {plan:6.3f} ms plan {inner.calls / orders:5.1f} calls  {inner.query[:130]}")
    run_sql(engine, f"ALTER ROLE {APP_ROLE} RESET pg_stat_statements.track")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.checkout", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--orders", type=int, default=400, help="per round and side")
    parser.add_argument("--lines", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--profile", action="store_true", help="show the statements inside the functions")
    options = parser.parse_args(arguments)
    heading(
        "checkout: database work of placing an order",
        f"{options.rounds} rounds of {options.orders} orders a side, sides in turn, one connection each;",
        f"{VARIANTS} variants, 3 warehouses, {PRESENT_ORDERS} orders there before; median [min .. max]",
        "ours: begin, checkout.facts, the decision in Python, checkout.place with COMMIT; no gateway",
        "limit: sql/place_lines.sql by pgbench, prepared: the same rows, role, policies, triggers and constraints",
        "database time: pg_stat_statements, planning and execution of the client's statements (track = top: what runs",
        "inside a function or a trigger is in its caller's time); COMMIT's flush is in neither side's",
    )
    with cluster() as running:
        database = running.create(DATABASE)
        with connected(database) as engine:
            open_shop(engine)
            place_orders(running, engine, database, 3, 1, pays=False)
            run_script(running, engine, database, 3, PRESENT_ORDERS)
            run_sql(engine, "VACUUM ANALYZE")
            said = [f"   {lines} lines: {counted_writes(running, engine, database, lines)}" for lines in options.lines]
            print("\n".join(said))
            rows = [
                compare(running, engine, database, lines, options.rounds, options.orders) for lines in options.lines
            ]
            table(
                (
                    "lines",
                    "round trips",
                    "statements",
                    "database ms",
                    "script's ms",
                    "ratio",
                    "CPU ratio",
                    "wall ms p50",
                ),
                rows,
            )
            show_statements("placing, 3 lines", place_orders(running, engine, database, 3, options.orders, pays=False))
            whole = place_orders(running, engine, database, 3, options.orders, pays=True)
            show_statements("whole checkout, paid and settled at once, 3 lines", whole)
            show_statements("script, 3 lines", run_script(running, engine, database, 3, options.orders))
            if options.profile:
                profile(running, engine, database, 3, options.orders)


if __name__ == "__main__":
    main()
