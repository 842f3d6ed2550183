"""Orders a second through the local HTTP API, from the request to the confirmed order with nothing left to do.

``python -m bench.http [--clients 1 8 32] [--seconds 15] [--lines 3] [--sandboxes 16] [--moto]``
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any
from unittest.mock import patch
from urllib.request import urlopen

from sqlalchemy import Engine

from bench.cluster import connected, end_in_good_order, run_sql
from bench.hot_sku import oversold
from bench.load import Load, generate
from bench.processes import cpu_by_part
from bench.report import heading, percentile, table
from bench.statements import count
from local import supervisor
from local.children import Child, Children
from local.system import LocalSystem

SHOPPERS = 50
STOCK = 1_000_000
WARM_UP_SECONDS = 3.0
PRODUCT = ("functions", "PostgreSQL")
"""The parts that are the product itself. The others play the cloud, the gateways and the shoppers on the same cores."""
BACKLOG_TIMEOUT_SECONDS = 300.0
POLL_SECONDS = 0.25
BEST_OF_OTHERS_PER_SECOND = 15.0
"""The orders per second of Vendure 3.7, the fastest of the open-source servers measured on two such cores."""
_PENDING_EVENTS = "SELECT count(*) FROM payments.payment_events WHERE state IN ('pending', 'retry_scheduled')"
_UNPUBLISHED = "SELECT count(*) FROM operations.outbox WHERE published_at IS NULL"
_CONFIRMED_UNTOLD = """
    SELECT (SELECT count(*) FROM orders.orders WHERE status = 'confirmed')
         - (SELECT count(*) FROM notifications.messages WHERE kind = 'order_confirmed' AND status = 'sent')
"""
_CONFIRMED = "SELECT count(*) FROM orders.orders WHERE status = 'confirmed'"


class _Watched(Children):
    """Children whose process ids are known by name, with the light AWS in place of moto's server."""

    light_aws = True
    parts: dict[int, str] = {}  # noqa: RUF012 -- one system runs at a time

    def start(
        self,
        name: str,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        fd: int | None = None,
    ) -> Child:
        if name == "aws" and self.light_aws:
            module = "bench.aws_server"
        child = super().start(name, module, *arguments, environment=environment, fd=fd)
        self.parts[child.process.pid] = name.partition("-")[0]
        return child

    def adopt(self, name: str, process: Popen[bytes], log: Path) -> None:
        self.parts[process.pid] = name
        super().adopt(name, process, log)


@dataclass(frozen=True, slots=True)
class Stretch:
    """The result of one stretch of load, and what it left to be done."""

    clients: int
    load: Load
    cpu: Mapping[str, float]
    left_events: int
    left_rows: int
    left_mails: int
    settled_seconds: float | None
    """The seconds until no payment event, outbox row or mail was waiting, or ``None`` if that took too long."""

    @property
    def placed(self) -> int:
        """The number of orders answered with 201."""
        return self.load.statuses[201]


@contextmanager
def system(options: argparse.Namespace) -> Iterator[LocalSystem]:
    """Run the local system as ``make run`` starts it, durable, with plenty of stock."""
    os.environ.pop("DATABASE_URL", None)
    end_in_good_order()
    _Watched.light_aws = not options.moto
    _Watched.parts = {}
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        patch.object(supervisor, "Children", _Watched),
    ):
        wanted = supervisor.Options(state=Path(folder), port=0, workers=options.workers, sandboxes=options.sandboxes)
        with supervisor.running(wanted) as (running, _):
            yield running


def fill(engine: Engine, organization_id: str) -> list[str]:
    """Receive a million pieces for every stock level, through the ledger. Return the SKUs."""
    run_sql(
        engine,
        """
        SELECT inventory.move_stock(CAST(:o AS uuid), now(), 'receive', array_agg(warehouse_id), array_agg(variant_id),
                                    array_agg(CAST(:stock AS integer)), 'bench', NULL, NULL, 'bench')
          FROM inventory.stock_levels WHERE organization_id = CAST(:o AS uuid)
        """,
        o=organization_id,
        stock=STOCK,
    )
    run_sql(engine, "VACUUM ANALYZE")
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT sku FROM catalog.variants ORDER BY sku").scalars())


def requests(running: LocalSystem, skus: Sequence[str], lines: int) -> Callable[[], bytes]:
    """Return a maker of requests.

    Each is a checkout of ``lines`` random SKUs with a key of its own, by one of a few shoppers.
    """
    tokens = [running.token("customer", subject=f"shopper-{number}") for number in range(SHOPPERS)]
    host = running.api_url.partition("//")[2]
    address = {
        "name": "Ada",
        "line1": "12 Analytical Way",
        "city": "Denver",
        "region": "CO",
        "postal_code": "80202",
        "country": "US",
    }
    fixed = {
        "shipping_address": address,
        "payment": {"gateway": "stripe", "token": "pm_card_visa"},
    }

    def request() -> bytes:
        shopper = random.randrange(SHOPPERS)
        items = [{"sku": sku, "quantity": 1} for sku in random.sample(skus, lines)]
        body = json.dumps({"items": items, "email": f"shopper-{shopper}@example.com", **fixed}).encode()
        head = (
            f"POST /v1/checkout HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {tokens[shopper]}\r\n"
            f"idempotency-key: {uuid.uuid4()}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    return request


def settle(engine: Engine) -> tuple[int, int, int, float | None]:
    """Return what was waiting at the end of the load, and the seconds until nothing was."""
    begin = time.perf_counter()
    first: tuple[int, int, int] | None = None
    while (passed := time.perf_counter() - begin) < BACKLOG_TIMEOUT_SECONDS:
        waiting = count(engine, _PENDING_EVENTS), count(engine, _UNPUBLISHED), count(engine, _CONFIRMED_UNTOLD)
        first = first or waiting
        if waiting == (0, 0, 0):
            return *first, passed
        time.sleep(POLL_SECONDS)
    return *(first or (0, 0, 0)), None


def stretch(
    running: LocalSystem, engine: Engine, request: Callable[[], bytes], clients: int, seconds: float
) -> Stretch:
    """Run one stretch of load until its last consequence is settled. CPU time is counted until then."""
    before = cpu_by_part(_Watched.parts)
    load = generate(running.api_url, request, clients=clients, seconds=seconds)
    events, rows, mails, settled = settle(engine)
    after = cpu_by_part(_Watched.parts)
    cpu = {name: after[name] - before[name] for name in after} | {"generator": load.cpu_seconds}
    return Stretch(clients, load, cpu, events, rows, mails, settled)


def report(stretches: Sequence[Stretch]) -> None:
    """Print what was measured."""
    rows = []
    for run in stretches:
        per_second = run.placed / run.load.seconds
        done = run.load.seconds + (run.settled_seconds or 0)
        percentiles = [f"{percentile(run.load.latencies, percent) * 1000:.0f}" for percent in (50, 95, 99)]
        rows.append(
            [
                f"{run.clients} clients",
                f"{per_second:.0f}",
                f"{per_second / BEST_OF_OTHERS_PER_SECOND:.0f}x",
                *percentiles,
                f"{run.left_events} + {run.left_rows} + {run.left_mails}",
                "not empty" if run.settled_seconds is None else f"{run.settled_seconds:.1f}",
                f"{run.placed / done:.0f}",
            ]
        )
    head = ("", "orders/s", "of 15/s", "p50 ms", "p95", "p99", "left waiting", "s to empty", "all done/s")
    table(head, rows)
    print(
        "   left waiting: payment events not applied + outbox rows not published + mails not sent when the load ended"
    )
    parts = sorted(stretches[-1].cpu, key=lambda name: -stretches[-1].cpu[name])
    table(
        ("CPU ms an order", *(f"{run.clients} clients" for run in stretches)),
        [[name, *(f"{run.cpu[name] * 1000 / max(1, run.placed):.2f}" for run in stretches)] for name in parts]
        + [
            ["the product: functions and PostgreSQL", *(_cpu_ms(run, PRODUCT) for run in stretches)],
            ["all", *(_cpu_ms(run, run.cpu) for run in stretches)],
        ],
    )
    for run in stretches:
        if run.load.statuses.keys() - {201}:
            print(f"   {run.clients} clients: statuses {dict(run.load.statuses)}; one body: {run.load.refusal[:300]!r}")


def _cpu_ms(run: Stretch, parts: Iterable[str]) -> str:
    return f"{sum(run.cpu[part] for part in parts) * 1000 / max(1, run.placed):.2f}"


def aws_state(running: LocalSystem) -> str:
    """Say what the light AWS has seen, and what is left in its queues."""
    with urlopen(f"{running.aws_url}/_state", timeout=5) as answer:
        state: dict[str, Any] = json.load(answer)
    left = {name: queue for name, queue in state["queues"].items() if any(queue.values())}
    return f"AWS calls: {state['calls']}; queues that are not empty: {left or 'none'}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.http", description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--lines", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="processes of the HTTP API")
    parser.add_argument("--sandboxes", type=int, default=16, help="requests handled at once")
    parser.add_argument("--moto", action="store_true", help="the AWS emulation of `make run` instead of the light one")
    options = parser.parse_args(arguments)
    heading(
        f"http: POST /v1/checkout with {options.lines} lines, paid by card, through the whole local system",
        f"{options.seconds:g} s for each number of clients after {WARM_UP_SECONDS:g} s of warm-up; a client waits",
        f"{options.workers} HTTP workers, {options.sandboxes} sandboxes, queue workers, clock, Stripe and webhooks,",
        "PostgreSQL with fsync; CPU of an order counts everything until nothing of it is left to do",
        "SQS, EventBridge: moto's server"
        if options.moto
        else "SQS, EventBridge, secrets: bench/aws_server.py (moto's takes 60 to 170 messages a second)",
        "generator: one process, asyncio over raw sockets; its CPU is in the table",
    )
    with system(options) as running, connected(running.database) as engine:
        shop = running.shop
        if shop is None:
            raise RuntimeError("the seed made no shop")
        request = requests(running, fill(engine, shop.organization_id), options.lines)
        already = count(engine, _CONFIRMED)
        warm_up = stretch(running, engine, request, max(8, *options.clients), WARM_UP_SECONDS)
        run_sql(engine, "VACUUM ANALYZE")
        stretches = [stretch(running, engine, request, clients, options.seconds) for clients in options.clients]
        report(stretches)
        answered = warm_up.placed + sum(run.placed for run in stretches)
        print(f"   {answered} orders answered 201, {count(engine, _CONFIRMED) - already} confirmed; {oversold(engine)}")
        if not options.moto:
            print(f"   {aws_state(running)}")


if __name__ == "__main__":
    main()
