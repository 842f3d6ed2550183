"""Draining due reservations with the real flow, against the smallest SQL that writes the same; and checkouts meanwhile.

``python -m bench.expiry [--rounds 3] [--holds 100000] [--checkouts-per-second 20]``
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench import pgbench, statements
from bench.cluster import SYSTEM_ROLE, Cluster, cluster, connected, run_sql, run_statements
from bench.report import Spread, heading, percentile, ratios, table
from bench.shop import ORGANIZATION_ID, Shopper, make_runtime, open_shop, utc_now
from holdfast.flows.operations.in_batches import BATCH_MAX_ROWS
from holdfast.flows.orders.expire_reservations import expire_reservations
from local.postgres import Address

TEMPLATE = "bench_expiry_template"
DATABASE = "bench_expiry"
QUIET_SECONDS = 4.0
SHOPPERS = 8
"""Enough that a checkout that waits does not delay the next one."""
_ACTIVE = "SELECT count(*) FROM inventory.reservations WHERE status = 'active' AND expires_at < now()"


@dataclass(frozen=True, slots=True)
class Drain:
    """The result of one run of the flow, in a process of its own."""

    released: int
    seconds: float
    first_tenth_seconds: float
    last_tenth_seconds: float
    grown_mb: float
    peak_mb: float


def drain(database: Address) -> Drain:
    """Run the flow until nothing is due."""
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[Drain] = context.Queue()
    process = context.Process(target=_drain, args=(database, answers))
    process.start()
    result = answers.get()
    process.join()
    return result


def _drain(database: Address, answers: Any) -> None:
    runtime = make_runtime(database, role=SYSTEM_ROLE)
    with runtime.database.transaction(None, now=utc_now()) as transaction:
        transaction.value("SELECT 1")
    batches: list[float] = []

    def clock() -> Any:
        batches.append(time.perf_counter())  # the flow asks for the time once per batch
        return utc_now()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    done = expire_reservations(runtime, clock, lambda: math.inf)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    runtime.database.engine.dispose()
    tenth = max(1, done.released // BATCH_MAX_ROWS // 10)
    releases = batches[1 : done.released // BATCH_MAX_ROWS + 2]
    answers.put(
        Drain(
            released=done.released,
            seconds=seconds,
            first_tenth_seconds=releases[tenth] - releases[0],
            last_tenth_seconds=releases[-1] - releases[-1 - tenth],
            grown_mb=(peak - before) / 1024,
            peak_mb=peak / 1024,
        )
    )


def script_seconds(cluster: Cluster, database: Address, holds: int) -> float:
    """Return the seconds that pgbench takes for the same batches, with one client."""
    result = pgbench.run(
        cluster,
        database,
        pgbench.read_script("expire_batch.sql"),
        transactions=math.ceil(holds / BATCH_MAX_ROWS),
        role=SYSTEM_ROLE,
        variables={"organization": ORGANIZATION_ID},
        session={"holdfast.organization_id": str(ORGANIZATION_ID)},
    )
    return result.transactions / result.per_second


@dataclass(slots=True)
class Checkouts:
    """Places orders at a steady pace, and records how long each took from the moment it was due to be placed."""

    database: Address
    per_second: float
    latencies: list[tuple[float, float]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Place orders until stopped."""
        runtime = make_runtime(self.database, connections=SHOPPERS)
        threads = [threading.Thread(target=self._shop, args=(Shopper(runtime), number)) for number in range(SHOPPERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        runtime.database.engine.dispose()

    def _shop(self, shopper: Shopper, number: int) -> None:
        due = time.perf_counter() + number / self.per_second
        while not self._stop.wait(max(0.0, due - time.perf_counter())):
            shopper.place(shopper.lines(3))
            self.latencies.append((due, time.perf_counter() - due))
            due += SHOPPERS / self.per_second

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Place orders during the block."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def p95_ms(self, begin: float, end: float) -> float:
        """Return the 95th percentile, in milliseconds, of orders that were due in this stretch of time."""
        return percentile([seconds for due, seconds in self.latencies if begin <= due < end], 95) * 1000


def build_template(cluster: Cluster, holds: int) -> None:
    """Create a shop with expired holds, vacuumed and analysed."""
    admin = cluster.create(TEMPLATE)
    with connected(admin) as engine:
        open_shop(engine)
        script = pgbench.read_script("due_holds.sql")
        run_statements(engine, script.replace("ORGANIZATION", str(ORGANIZATION_ID)).replace("HOLDS", str(holds)))
        run_sql(engine, "VACUUM ANALYZE")
        run_sql(engine, "CHECKPOINT")


@contextmanager
def fresh(cluster: Cluster) -> Iterator[Address]:
    """Create a copy of the template."""
    try:
        yield cluster.create(DATABASE, TEMPLATE)
    finally:
        cluster.drop(DATABASE)


def check(database: Address, released: int, holds: int) -> None:
    """Report it if anything due was not released, or if the stock does not agree."""
    with connected(database) as engine:
        left = statements.count(engine, _ACTIVE)
        reserved = statements.count(engine, "SELECT sum(reserved) FROM inventory.stock_levels")
        held = statements.count(
            engine, "SELECT COALESCE(sum(quantity), 0) FROM inventory.reservations WHERE status = 'active'"
        )
    if left or released != holds or reserved != held:
        print(f"   NOT DRAINED: {released} of {holds} released, {left} left, {reserved} reserved, {held} held")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.expiry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--holds", type=int, default=100_000)
    parser.add_argument("--checkouts-per-second", type=float, default=20)
    options = parser.parse_args(arguments)
    holds: int = options.holds
    heading(
        f"expiry: draining {holds:,} due reservations of {holds // 2:,} orders on 3,000 stock levels",
        f"{options.rounds} rounds, each side on a copy of one database, vacuumed; batches of {BATCH_MAX_ROWS}",
        "ours: flows/orders/expire_reservations.py in a process of its own; median [min .. max]",
        "limit: sql/expire_batch.sql by pgbench: the same rows under the same role and policies",
        f"checkouts: {options.checkouts_per_second:g}/s of 3 lines on the same levels, p95 from when each was due",
    )
    ours: list[Drain] = []
    limits: list[float] = []
    quiet: list[float] = []
    busy: list[float] = []
    with cluster() as running:
        build_template(running, holds)
        for _ in range(options.rounds):
            with fresh(running) as database:
                limits.append(script_seconds(running, database, holds))
                check(database, holds, holds)
            with fresh(running) as database:
                ours.append(drain(database))
                check(database, ours[-1].released, holds)
            with fresh(running) as database:
                shopping = Checkouts(database, options.checkouts_per_second)
                with shopping.going_on():
                    time.sleep(QUIET_SECONDS)  # the measurement itself: a stretch without the drain
                    begin = time.perf_counter()
                    drain(database)
                    end = time.perf_counter()
                quiet.append(shopping.p95_ms(begin - QUIET_SECONDS * 0.75, begin))
                busy.append(shopping.p95_ms(begin, end))
    report(holds, ours, limits, quiet, busy)


def report(
    holds: int, ours: Sequence[Drain], limits: Sequence[float], quiet: Sequence[float], busy: Sequence[float]
) -> None:
    """Print what was measured."""
    mine = [run.released / run.seconds for run in ours]
    theirs = [holds / seconds for seconds in limits]
    slowing = [run.last_tenth_seconds / run.first_tenth_seconds for run in ours]
    peak, grown = Spread.of([run.peak_mb for run in ours]), Spread.of([run.grown_mb for run in ours])
    table(
        ("", "median [min .. max]"),
        [
            ["the real flow, rows/s", f"{Spread.of(mine):,.0f}"],
            ["the smallest SQL with the same writes, rows/s", f"{Spread.of(theirs):,.0f}"],
            ["of the limit", f"{ratios(mine, theirs):.2f}"],
            ["time of the last tenth to the first", f"{Spread.of(slowing):.2f}"],
            ["memory of the process at its peak, MB", f"{peak:.1f}"],
            ["of it grown by the drain, MB", f"{grown:.1f}"],
            ["p95 of checkouts without the drain, ms", f"{Spread.of(quiet):.1f}"],
            ["p95 of checkouts during the drain, ms", f"{Spread.of(busy):.1f}"],
            ["ratio of the two", f"{ratios(busy, quiet):.2f}"],
        ],
    )


if __name__ == "__main__":
    main()
