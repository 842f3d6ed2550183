"""How the cost of placing an order grows with what is already there: the curve must be flat.

``python -m bench.growth [--sizes 1000 10000 100000 1000000] [--levels 3000 30000 300000 1000000] [--orders 200]``
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sqlalchemy import Engine

from bench import pgbench, statements
from bench.checkout import place_orders, run_script
from bench.cluster import Cluster, cluster, connected, run_sql, run_statements
from bench.report import Spread, heading, ratios, table
from bench.shop import ORGANIZATION_ID, open_shop
from local.postgres import Address

DATABASE = "bench_growth"


def main(arguments: Sequence[str] | None = None) -> None:
    """Fill up to each size, measure, and print the curve."""
    parser = argparse.ArgumentParser(prog="bench.growth", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="orders that are there")
    parser.add_argument("--levels", type=int, nargs="+", default=[3_000, 30_000, 300_000], help="stock levels there")
    parser.add_argument("--orders", type=int, default=200, help="placed at each size, a round and side")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    heading(
        "growth: database time of placing an order of 3 lines, by what is there: orders with two resolved reservations",
        "each and all that belongs to them, then stock levels",
        f"{options.rounds} rounds of {options.orders} orders a side at each size, measured as in bench.checkout;",
        "all tables analysed at each size; median [min .. max]",
    )
    with cluster() as running:
        database = running.create(DATABASE)
        with connected(database) as engine:
            open_shop(engine)
            place_orders(running, engine, database, 3, 1, pays=False)
            curves = {
                "orders there": (options.sizes, "present_orders.sql", "SELECT count(*) FROM orders.orders"),
                "stock levels": (options.levels, "present_levels.sql", "SELECT count(*) FROM inventory.stock_levels"),
            }
            for name, (sizes, script, counted) in curves.items():
                rows = []
                for size in sorted(sizes):
                    _fill(engine, script, size - statements.count(engine, counted))
                    rows.append([f"{size:,}", *_measured(running, engine, database, options)])
                table((name, "database ms", "script's ms", "ratio"), rows)


def _fill(engine: Engine, script: str, missing: int) -> None:
    """Add as many rows as are missing, and analyse everything."""
    if missing > 0:
        words = {"ORGANIZATION": str(ORGANIZATION_ID), "MISSING": str(missing)}
        filled = pgbench.read_script(script)
        for word, value in words.items():
            filled = filled.replace(word, value)
        run_statements(engine, filled)
    run_sql(engine, "VACUUM ANALYZE")


def _measured(running: Cluster, engine: Engine, database: Address, options: argparse.Namespace) -> list[str]:
    ours, limit = [], []
    for _ in range(options.rounds):
        ours.append(place_orders(running, engine, database, 3, options.orders, pays=False).database_ms)
        limit.append(run_script(running, engine, database, 3, options.orders).database_ms)
    return [f"{Spread.of(ours):.2f}", f"{Spread.of(limit):.2f}", f"{ratios(ours, limit):.2f}"]


if __name__ == "__main__":
    main()
