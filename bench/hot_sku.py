"""One hot SKU: buyers at once through the real placing transaction, against pgbench with the best known form.

``python -m bench.hot_sku [--rounds 3] [--seconds 5] [--buyers 8 32] [--admitted 4 8]``
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from bench import pgbench, statements
from bench.checkout import pattern, place_orders, roll_up, run_script
from bench.cluster import Cluster, cluster, connected, run_sql, run_statements
from bench.report import Spread, heading, percentile, ratios, table
from bench.shop import CUSTOMERS, HOT_SKU, Shopper, make_runtime, open_shop
from local.postgres import Address

DATABASE = "bench_hot"
PRESENT_ORDERS = 3_000
WARM_UP_ORDERS = 10
_FUNCTION = """
\\set customer random(1, :customers)
SELECT bench.place(
    CAST(:organization AS uuid),
    CAST('01930000-0000-7000-9000-' || lpad(to_hex(CAST(:customer AS integer)), 12, '0') AS uuid),
    CAST(:gateway_account AS uuid), CAST(:warehouse AS uuid), CAST('01930000-0000-7000-8000-000000000001' AS uuid),
    CAST(:tax_lines AS jsonb), CAST(:address AS jsonb), CAST(:reasons AS jsonb), :fingerprint);
"""


@dataclass(frozen=True, slots=True)
class Sale:
    """The result of one way of selling in one round: orders per second, and how long buyers waited for their order."""

    per_second: float
    p50_ms: float
    p95_ms: float


def sell(database: Address, *, buyers: int, connections: int, seconds: float, hot: bool) -> Sale:
    """Run buyers in as many processes as there are cores, each with its share of the connections."""
    processes = min(os.cpu_count() or 1, connections)
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[list[float]] = context.Queue()
    gate = context.Barrier(processes)
    workers = [
        context.Process(
            target=_buy,
            args=(
                database,
                _share(buyers, processes, n),
                _share(connections, processes, n),
                seconds,
                hot,
                gate,
                answers,
            ),
        )
        for n in range(processes)
    ]
    for worker in workers:
        worker.start()
    latencies = [latency for _ in workers for latency in answers.get()]
    for worker in workers:
        worker.join()
    return Sale(len(latencies) / seconds, percentile(latencies, 50) * 1000, percentile(latencies, 95) * 1000)


def _share(whole: int, parts: int, number: int) -> int:
    return whole // parts + (number < whole % parts)


def _buy(database: Address, buyers: int, connections: int, seconds: float, hot: bool, gate: Any, answers: Any) -> None:
    """Run the buyers of one process, as threads that share its connection pool.

    Report the latencies of the orders that began in time.
    """
    runtime = make_runtime(database, connections=connections)
    latencies: list[float] = []
    shoppers = [Shopper(runtime) for _ in range(buyers)]

    def warm_up(shopper: Shopper) -> None:
        for _ in range(WARM_UP_ORDERS):
            shopper.place(shopper.lines(1))

    def buy(shopper: Shopper) -> None:
        while (begin := time.perf_counter()) < end:
            shopper.place({HOT_SKU: 1} if hot else shopper.lines(1))
            latencies.append(time.perf_counter() - begin)

    _at_once(warm_up, shoppers)
    gate.wait()
    end = time.perf_counter() + seconds
    _at_once(buy, shoppers)
    runtime.database.engine.dispose()
    answers.put(latencies)


def _at_once(work: Any, shoppers: Sequence[Shopper]) -> None:
    threads = [threading.Thread(target=work, args=(shopper,)) for shopper in shoppers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def script_sale(cluster: Cluster, engine: Engine, database: Address, script: str, clients: int, seconds: float) -> Sale:
    """Make the same writes with pgbench."""
    variables: Mapping[str, object] = pattern(engine) | {"customers": CUSTOMERS}
    result = pgbench.run(cluster, database, script, clients=clients, seconds=seconds, variables=variables)
    return Sale(result.per_second, result.latency_ms, 0)


def compare(
    cluster: Cluster,
    engine: Engine,
    database: Address,
    buyers: int,
    admitted: Sequence[int],
    rounds: int,
    seconds: float,
) -> list[list[str]]:
    """Run all ways in turn with one number of buyers, round after round. Return the rows of the table."""
    ways: dict[str, list[Sale]] = {}

    def note(name: str, sale: Sale) -> None:
        ways.setdefault(name, []).append(sale)
        roll_up(engine)

    for _ in range(rounds):
        note("limit: one function", script_sale(cluster, engine, database, _FUNCTION, buyers, seconds))
        note("ours", sell(database, buyers=buyers, connections=buyers, seconds=seconds, hot=True))
        for connections in admitted:
            if connections < buyers:
                bounded = sell(database, buyers=buyers, connections=connections, seconds=seconds, hot=True)
                note(f"ours, {connections} admitted", bounded)
        note("ours, any SKU", sell(database, buyers=buyers, connections=buyers, seconds=seconds, hot=False))
    limits = [sale.per_second for sale in ways["limit: one function"]]
    return [
        [
            f"{buyers} buyers, {name}",
            f"{Spread.of([sale.per_second for sale in sales]):.0f}",
            f"{ratios([sale.per_second for sale in sales], limits):.2f}",
            f"{Spread.of([sale.p50_ms for sale in sales]).median:.1f}",
            f"{Spread.of([sale.p95_ms for sale in sales]).median:.1f}" if sales[0].p95_ms else "",
        ]
        for name, sales in ways.items()
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.hot_sku", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="per round and way")
    parser.add_argument("--buyers", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--admitted", type=int, nargs="*", default=[4, 8], help="connections of the bounded variants")
    options = parser.parse_args(arguments)
    heading(
        "hot SKU: placing orders of one line for one stock level",
        f"{options.rounds} rounds of {options.seconds:g} s a way, ways in turn; fsync on, everything on one machine",
        "ours: placing an order up to the call of the gateway (buyers are threads over one process a core)",
        "limit: sql/place_function.sql by pgbench: one function, one round trip, the contended update last, same rows",
        "median [min .. max]; latency of limit is pgbench's mean",
    )
    with cluster() as running:
        database = running.create(DATABASE)
        with connected(database) as engine:
            open_shop(engine)
            run_statements(engine, pgbench.read_script("place_function.sql"))
            place_orders(running, engine, database, 1, 1, pays=False)
            run_script(running, engine, database, 1, PRESENT_ORDERS)
            run_sql(engine, "VACUUM ANALYZE")
            rows = []
            for buyers in options.buyers:
                rows += compare(running, engine, database, buyers, options.admitted, options.rounds, options.seconds)
            table(("way", "orders/s", "of the limit", "p50 ms", "p95 ms"), rows)
            print(f"   {oversold(engine)}")


def oversold(engine: Engine) -> str:
    """Say whether what must hold at any speed does hold."""
    wrong = statements.count(
        engine,
        """
        SELECT count(*) FROM inventory.stock_levels s
          LEFT JOIN (SELECT warehouse_id, variant_id, sum(quantity) AS held FROM inventory.reservations
                      WHERE status = 'active' GROUP BY warehouse_id, variant_id) r USING (warehouse_id, variant_id)
         WHERE s.reserved <> COALESCE(r.held, 0) OR s.reserved > s.on_hand
        """,
    )
    return (
        "stock and reservations agree on every level"
        if wrong == 0
        else f"{wrong} LEVELS DO NOT AGREE WITH THEIR RESERVATIONS"
    )


if __name__ == "__main__":
    main()
