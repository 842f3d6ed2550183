"""How the cost of placing an order grows with what is already there: the curve must be flat.

``python -m bench.growth [--sizes 1000 10000 100000] [--orders 200]``
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bench import pgbench, statements
from bench.checkout import place_orders, run_script
from bench.cluster import cluster, connected, run_sql, run_statements
from bench.report import Spread, heading, table
from bench.shop import ORGANIZATION_ID, open_shop

DATABASE = "bench_growth"


def main(arguments: Sequence[str] | None = None) -> None:
    """Fill up to each size, measure, print the curve."""
    parser = argparse.ArgumentParser(prog="bench.growth", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="orders that are there")
    parser.add_argument("--orders", type=int, default=200, help="placed at each size, a round and side")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    heading(
        "growth: database time of placing an order of 3 lines, by the number of orders that are there",
        f"{options.rounds} rounds of {options.orders} orders a side at each size, measured as in bench.checkout;",
        "all tables analysed at each size; median [min .. max]",
    )
    with cluster() as running:
        database = running.create(DATABASE)
        script = pgbench.read_script("present_orders.sql").replace("ORGANIZATION", str(ORGANIZATION_ID))
        rows = []
        with connected(database) as engine:
            open_shop(engine)
            place_orders(running, engine, database, 3, 1, pays=False)
            for size in sorted(options.sizes):
                present = statements.count(engine, "SELECT count(*) FROM orders.orders")
                if size > present:
                    run_statements(engine, script.replace("ORDERS", str(size - present)))
                run_sql(engine, "VACUUM ANALYZE")
                ours, limit = [], []
                for _ in range(options.rounds):
                    ours.append(place_orders(running, engine, database, 3, options.orders, pays=False).database_ms)
                    limit.append(run_script(running, engine, database, 3, options.orders).database_ms)
                rows.append([f"{size:,}", f"{Spread.of(ours):.2f}", f"{Spread.of(limit):.2f}"])
        table(("orders there", "database ms", "script's ms"), rows)


if __name__ == "__main__":
    main()
