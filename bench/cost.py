"""What an order consumes, counted: the figures that the cost page multiplies by prices.

``python -m bench.cost [--seconds 15] [--clients 1]``
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

from sqlalchemy import Engine, text

from bench.cluster import connected, run_sql
from bench.http import fill, requests, settle, system
from bench.load import generate
from bench.report import heading, percentile, table
from local.clock import Timetable
from local.model import Plan
from local.system import LocalSystem

DAY_SECONDS = 86_400
WARM_UP_SECONDS = 2.0
_REPORT = re.compile(rb"^REPORT RequestId: \S+\tDuration: ([0-9.]+) ms$", re.MULTILINE)
_TABLES = """
    SELECT COALESCE(i.inhparent::regclass, c.oid::regclass)::text AS name, sum(pg_total_relation_size(c.oid)) AS bytes
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
     WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') GROUP BY 1
"""
_DATABASE = """
    SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS wal_bytes, d.xact_commit AS transactions
      FROM pg_stat_database d WHERE d.datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """All counters at one moment."""

    durations: Mapping[str, Sequence[float]]
    """The milliseconds of every invocation so far, by function."""
    log_bytes: Mapping[str, int]
    aws: Mapping[str, int]
    wal_bytes: int
    transactions: int
    table_bytes: Mapping[str, int]


def counted(running: LocalSystem, engine: Engine) -> Counted:
    """Read all counters. Idle sessions have sent their statistics a second after their last transaction."""
    durations, log_bytes = {}, {}
    for log in (running.state / "logs").glob("*.log"):
        written = log.read_bytes()
        durations[log.stem] = [float(found) for found in _REPORT.findall(written)]
        log_bytes[log.stem] = len(_REPORT.sub(b"", written))
    with urlopen(f"{running.aws_url}/_state", timeout=5) as answer:
        aws: dict[str, int] = json.load(answer)["calls"]
    with engine.connect() as connection:
        database = connection.execute(text(_DATABASE)).one()
        tables = {row.name: int(row.bytes) for row in connection.execute(text(_TABLES))}
    return Counted(durations, log_bytes, aws, int(database.wal_bytes), int(database.transactions), tables)


def functions(before: Counted, after: Counted, orders: int) -> list[list[str]]:
    """Return a row for each function that ran: invocations per order, milliseconds, and bytes of log."""
    rows = []
    for name in sorted(after.durations):
        made = after.durations[name][len(before.durations.get(name, ())) :]
        if not made:
            continue
        bytes_logged = after.log_bytes[name] - before.log_bytes.get(name, 0)
        rows.append(
            [
                name,
                f"{len(made) / orders:.3f}",
                f"{statistics.fmean(made):.1f}",
                f"{percentile(made, 50):.1f}",
                f"{percentile(made, 99):.1f}",
                f"{sum(made) / orders:.2f}",
                f"{bytes_logged / orders:,.0f}",
            ]
        )
    return sorted(rows, key=lambda row: -float(row[5]))


def scheduled(plan: Plan) -> list[list[str]]:
    """Return the invocations of a day that no order causes."""
    rows = []
    for function in plan.functions:
        for schedule in function.schedules:
            period = Timetable.parse(schedule.expression, schedule.timezone).period_seconds
            rows.append([function.name, schedule.expression, str(DAY_SECONDS // period) if period else "1 or fewer"])
    return rows


def report(running: LocalSystem, before: Counted, after: Counted, orders: int, answer_bytes: float) -> None:
    """Print what was counted, per order."""
    head = ("function", "invocations an order", "mean ms", "p50 ms", "p99 ms", "ms an order", "log bytes an order")
    table(head, functions(before, after, orders))
    calls = {name: after.aws[name] - before.aws.get(name, 0) for name in sorted(after.aws)}
    table(
        ("AWS call", "an order"),
        [[name, f"{number / orders:.3f}"] for name, number in calls.items() if number > 0],
    )
    kept = {name: size - before.table_bytes.get(name, 0) for name, size in after.table_bytes.items()}
    grown = sorted(((size, name) for name, size in kept.items() if size > 0), reverse=True)
    table(
        ("database", "an order"),
        [
            ["transactions", f"{(after.transactions - before.transactions) / orders:.1f}"],
            ["bytes of write-ahead log", f"{(after.wal_bytes - before.wal_bytes) / orders:,.0f}"],
            ["bytes kept, with indexes", f"{sum(size for size, _ in grown) / orders:,.0f}"],
            *([f"of them {name}", f"{size / orders:,.0f}"] for size, name in grown[:8]),
            ["bytes of the answer", f"{answer_bytes:,.0f}"],
        ],
    )
    if running.plan is not None:
        table(("function", "schedule", "invocations a day"), scheduled(running.plan))


def main(arguments: Sequence[str] | None = None) -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(prog="bench.cost", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--clients", type=int, default=1)
    options: Any = parser.parse_args(arguments)
    heading(
        "cost: what an order of 3 lines, paid by card, consumes until nothing of it is left to do",
        f"{options.seconds:g} s of checkouts from {options.clients} clients through the whole local system, warm",
        "durations are wall time of this machine, which also plays the cloud; schedules run meanwhile;",
        "the write-ahead log has the pages that are written whole after a checkpoint, which Aurora does not write",
        "SQS' ReceiveMessage is Lambda's own affair in the cloud: long polls, whether there are orders or not",
    )
    http = argparse.Namespace(workers=2, sandboxes=16, moto=False)
    with system(http) as running, connected(running.database) as engine:
        if running.shop is None:
            raise RuntimeError("the seed made no shop")
        request = requests(running, fill(engine, running.shop.organization_id), 3)
        generate(running.api_url, request, clients=max(2, options.clients), seconds=WARM_UP_SECONDS)
        settle(engine)
        before = counted(running, engine)
        load = generate(running.api_url, request, clients=options.clients, seconds=options.seconds)
        settle(engine)
        run_sql(engine, "SELECT pg_sleep(1.5)")  # backends send their statistics once a second
        report(
            running, before, counted(running, engine), max(1, load.statuses[201]), load.bytes_read / len(load.latencies)
        )


if __name__ == "__main__":
    main()
