"""Payment events from a batch of ten messages to applied, against the same SQL by pgbench.

``python -m bench.events [--rounds 3] [--events 2000] [--workers 1 2]``
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine, text

from bench import pgbench
from bench.cluster import Cluster, cluster, connected, run_sql, run_statements
from bench.report import Spread, heading, percentile, ratios, table
from bench.shop import ORGANIZATION_ID, Shopper, make_runtime, open_shop, utc_now
from bench.statements import count
from holdfast.flows.money.apply_payment_event import ACTOR, LEASE_SECONDS
from holdfast.flows.money.event_record import store_event, tidings_from
from holdfast.flows.money.settlement import decide, write
from holdfast.flows.orders.locked_order import lock_order
from holdfast.gateways.port import GatewayEvent
from holdfast.runtime import Runtime, use
from holdfast.values.payment_events import EventType
from local.postgres import Address

TEMPLATE: Final = "bench_events_template"
DATABASE: Final = "bench_events"
BATCH_MESSAGES: Final = 10
"""How many messages SQS passes to the function at a time."""
LINES: Final = 3
_HANDLER: Final = Path(__file__).parents[1] / "functions" / "payment_events" / "app.py"
_WORK: Final = """
CREATE SCHEMA bench;
GRANT USAGE ON SCHEMA bench TO holdfast_app;
CREATE TABLE bench.work (
    number bigint PRIMARY KEY, event_id uuid NOT NULL, order_id uuid NOT NULL, settlement text NOT NULL);
CREATE SEQUENCE bench.next;
GRANT SELECT ON bench.work TO holdfast_app;
GRANT USAGE ON SEQUENCE bench.next TO holdfast_app;
"""


class _TakenBack(Exception):
    """Ends a transaction that was only inspected, so that it is rolled back."""


class _Notebook:
    """Replaces the transaction that ``settlement.write`` expects, and keeps the document instead of sending it."""

    def __init__(self, now: Any, actor: str) -> None:
        self.tenant, self.now, self.actor = ORGANIZATION_ID, now, actor
        self.document: dict[str, Any] = {}

    def value(self, _statement: str, *, settlement: dict[str, Any], **_: object) -> None:
        self.document = settlement


def prepare(cluster: Cluster, events: int) -> None:
    """Prepare orders that wait for their money, the events that report it, and what settling these will write."""
    admin = cluster.create(TEMPLATE)
    runtime = make_runtime(admin, role="holdfast_app")
    with connected(admin) as engine:
        open_shop(engine)
        run_statements(engine, _WORK)
        shopper = Shopper(runtime, seed=1)
        for _ in range(events):
            shopper.place(shopper.lines(LINES))
        with engine.connect() as connection:
            payments = connection.execute(
                text("SELECT id, order_id, gateway_account_id, amount, currency FROM payments.payments ORDER BY id")
            ).all()
        for number, payment in enumerate(payments, start=1):
            event_id = _store(runtime, payment)
            document = _decision(runtime, event_id, payment.order_id, payment.id)
            run_sql(
                engine,
                "INSERT INTO bench.work VALUES (:number, :event_id, :order_id, :settlement)",
                number=number,
                event_id=event_id,
                order_id=payment.order_id,
                settlement=json.dumps(document),
            )
        run_sql(engine, "VACUUM ANALYZE")
        run_sql(engine, "CHECKPOINT")
    runtime.database.engine.dispose()


def _store(runtime: Runtime, payment: Any) -> UUID:
    """Store the event of a webhook as receiving it does."""
    event = GatewayEvent(
        gateway_event_id=f"evt_{payment.id.hex}",
        gateway_event_type="payment_intent.succeeded",
        event_type=EventType.CAPTURE_SUCCEEDED,
        occurred_at=utc_now(),
        gateway_transaction_id=f"pi_{payment.id.hex}",
        payment_id=payment.id,
        amount_minor=payment.amount,
        currency=payment.currency,
        authorized_minor=payment.amount,
        captured_minor=payment.amount,
        payload={"id": f"evt_{payment.id.hex}", "object": "event"},
    )
    with runtime.database.transaction(ORGANIZATION_ID, now=utc_now(), actor="webhook:stripe") as transaction:
        stored = store_event(
            transaction, event, gateway="stripe", gateway_account_id=payment.gateway_account_id, commit=True
        )
    if stored is None:
        raise RuntimeError("the event was stored before")
    return stored


def _decision(runtime: Runtime, event_id: UUID, order_id: UUID, payment_id: UUID) -> dict[str, Any]:
    """Return what settling the event will write, without writing it."""
    notebook = _Notebook(utc_now(), ACTOR)
    with (
        suppress(_TakenBack),
        runtime.database.transaction(ORGANIZATION_ID, now=notebook.now, actor=ACTOR) as transaction,
    ):
        claimed = transaction.value(
            "SELECT payments.claim_event(:organization_id, :event_id, :now, :lease_seconds)",
            organization_id=ORGANIZATION_ID,
            event_id=event_id,
            now=notebook.now,
            lease_seconds=LEASE_SECONDS,
        )
        order = lock_order(transaction, order_id)
        settlement = decide(order, order.payment(payment_id), tidings_from(claimed), notebook.now)
        write(notebook, order, settlement)  # type: ignore[arg-type]
        raise _TakenBack
    return notebook.document


def batches(engine: Engine) -> list[dict[str, Any]]:
    """Return the stored events as SQS would pass them to the function."""
    with engine.connect() as connection:
        ids = connection.execute(text("SELECT event_id FROM bench.work ORDER BY number")).scalars().all()
    records = [
        {
            "messageId": str(event_id),
            "body": json.dumps({"organization_id": str(ORGANIZATION_ID), "payment_event_id": str(event_id)}),
        }
        for event_id in ids
    ]
    return [{"Records": records[start : start + BATCH_MESSAGES]} for start in range(0, len(records), BATCH_MESSAGES)]


def apply_all(database: Address, work: Sequence[dict[str, Any]], workers: int) -> tuple[float, list[float]]:
    """Run every batch through the function's handler, in as many processes as there are workers.

    Return the events per second, and the seconds that each batch took. There is no real queue: each process takes its
    batches from a list.
    """
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[tuple[float, float, list[float]]] = context.Queue()
    gate = context.Barrier(workers)
    processes = [
        context.Process(target=_work, args=(database, work[number::workers], gate, answers))
        for number in range(workers)
    ]
    for process in processes:
        process.start()
    done = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    seconds = max(end for _, end, _ in done) - min(begin for begin, _, _ in done)
    return sum(len(batch["Records"]) for batch in work) / seconds, [took for _, _, all_ in done for took in all_]


def _work(database: Address, work: Sequence[dict[str, Any]], gate: Any, answers: Any) -> None:
    runtime = make_runtime(database)
    use(runtime)
    spec = importlib.util.spec_from_file_location("payment_events_function", _HANDLER)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"there is no function at {_HANDLER}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with runtime.database.transaction(None, now=utc_now()) as transaction:
        transaction.value("SELECT 1")
    took: list[float] = []
    gate.wait()
    begin = time.perf_counter()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # for the handler's metrics
        for batch in work:
            at = time.perf_counter()
            failures = module.handler(batch, None)["batchItemFailures"]
            took.append(time.perf_counter() - at)
            if failures:
                raise RuntimeError(f"{len(failures)} messages of a batch were not recorded")
    end = time.perf_counter()
    runtime.database.engine.dispose()
    answers.put((begin, end, took))


def script_per_second(cluster: Cluster, database: Address, events: int, clients: int) -> float:
    """Return the events per second when pgbench runs the same statements."""
    result = pgbench.run(
        cluster,
        database,
        pgbench.read_script("apply_events.sql"),
        clients=clients,
        transactions=events // clients,
        variables={"organization": ORGANIZATION_ID},
        session={
            "holdfast.organization_id": str(ORGANIZATION_ID),
            "holdfast.actor": ACTOR,
        },
    )
    return result.per_second


@contextmanager
def fresh(cluster: Cluster) -> Iterator[tuple[Address, Engine]]:
    """Create a copy of the prepared database."""
    try:
        database = cluster.create(DATABASE, TEMPLATE)
        with connected(database) as engine:
            yield database, engine
    finally:
        cluster.drop(DATABASE)


def check(engine: Engine, events: int) -> None:
    """Report it if an event is left waiting, or if not every order is what its event made it."""
    waiting = count(engine, "SELECT count(*) FROM payments.payment_events WHERE state <> 'processed'")
    confirmed = count(engine, "SELECT count(*) FROM orders.orders WHERE status = 'confirmed'")
    if waiting or confirmed != events:
        print(f"   NOT APPLIED: {waiting} events wait, {confirmed} of {events} orders are confirmed")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.events", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=2_000, help="a multiple of the workers")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args(arguments)
    events: int = options.events
    heading(
        f"events: {events:,} captures that confirm an order of {LINES} lines, each in two transactions",
        f"{options.rounds} rounds, both sides on a copy of one database, vacuumed; fsync on; median [min .. max]",
        f"ours: functions/payment_events with batches of {BATCH_MESSAGES} messages, one process a worker; the queue is",
        "a list in that process (the SQS emulation takes 60 to 170 messages a second, which would be what is measured)",
        "limit: sql/apply_events.sql by pgbench: the same statements with decisions that were made beforehand",
    )
    rows = []
    with cluster() as running:
        prepare(running, events)
        for workers in options.workers:
            ours: list[float] = []
            limits: list[float] = []
            took: list[float] = []
            for _ in range(options.rounds):
                with fresh(running) as (database, engine):
                    limits.append(script_per_second(running, database, events, workers))
                    check(engine, events)
                with fresh(running) as (database, engine):
                    per_second, seconds = apply_all(database, batches(engine), workers)
                    ours.append(per_second)
                    took += seconds
                    check(engine, events)
            rows.append(
                [
                    f"{workers} workers",
                    f"{Spread.of(ours):.0f}",
                    f"{Spread.of(limits):.0f}",
                    f"{ratios(ours, limits):.2f}",
                    f"{percentile(took, 50) * 1000:.0f}",
                    f"{percentile(took, 99) * 1000:.0f}",
                ]
            )
    table(("", "events/s", "limit", "of the limit", "batch p50 ms", "p99"), rows)


if __name__ == "__main__":
    main()
