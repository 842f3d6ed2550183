"""How fast a webhook is answered while the worker has more to do than it can: signed events at a steady pace.

``python -m bench.webhooks [--seconds 20] [--per-second 20] [--orders 40]``
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import itertools
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Engine, text

from bench.cluster import connected, run_sql
from bench.http import fill, requests, settle, system
from bench.load import Load, generate
from bench.report import heading, percentile, table
from bench.statements import count
from local.system import SECRET_REFERENCE, LocalSystem

CLIENTS: Final = 8
"""The number of connections: enough that a late answer does not delay the next request."""
SEND_BATCH_MESSAGES: Final = 10
_WAITING: Final = "SELECT count(*) FROM payments.payment_events WHERE state IN ('pending', 'retry_scheduled')"
_PILE: Final = """
    INSERT INTO payments.payment_events (
        organization_id, id, payment_id, gateway, gateway_account_id, gateway_event_id, gateway_transaction_id,
        event_type, gateway_event_type, news, payload, occurred_at, received_at, correlation_id, next_attempt_at)
    SELECT organization_id, gen_random_uuid(), payment_id, gateway, gateway_account_id, 'pile-' || gen_random_uuid(),
           gateway_transaction_id, event_type, gateway_event_type, news, payload, occurred_at, received_at,
           correlation_id, now()
      FROM payments.payment_events CROSS JOIN generate_series(1, :copies)
     WHERE gateway_event_type = 'payment_intent.succeeded'
    RETURNING organization_id, id
"""


def webhook_requests(running: LocalSystem, engine: Engine) -> Callable[[], bytes]:
    """Return a maker of requests. Each is an event of its own, signed now, about a known payment."""
    secret = json.loads(running.aws("secretsmanager").get_secret_value(SecretId=SECRET_REFERENCE)["SecretString"])
    if running.shop is None:
        raise RuntimeError("the seed made no shop")
    with engine.connect() as connection:
        payloads = connection.execute(
            text("SELECT payload FROM payments.payment_events WHERE gateway_event_type = 'payment_intent.succeeded'")
        ).scalars()
        known = itertools.cycle(list(payloads))
    target = f"/v1/webhooks/stripe/{running.shop.endpoint_key}"
    host = running.api_url.partition("//")[2]

    def request() -> bytes:
        at = int(time.time())
        body = json.dumps(next(known) | {"id": f"evt_{uuid.uuid4().hex}", "created": at}).encode()
        key = str(secret["webhook_secrets"][0]).encode()
        signature = hmac.new(key, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        head = (
            f"POST {target} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            f"stripe-signature: t={at},v1={signature}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    return request


def pile_up(running: LocalSystem, engine: Engine, events: int) -> None:
    """Give the worker this many events at once, each announced by a message of its own."""
    originals = count(
        engine, "SELECT count(*) FROM payments.payment_events WHERE gateway_event_type = 'payment_intent.succeeded'"
    )
    copies = -(-events // originals)
    with engine.connect() as connection:
        rows = connection.execute(text(_PILE), {"copies": copies}).all()
    sqs = running.aws("sqs")
    if running.plan is None:
        raise RuntimeError("the system has no plan: it was not started here")
    worker = next(function for function in running.plan.functions if function.name == "payment_events")
    url = worker.queues[0].queue_url
    for start in range(0, len(rows), SEND_BATCH_MESSAGES):
        sqs.send_message_batch(
            QueueUrl=url,
            Entries=[
                {
                    "Id": str(number),
                    "MessageBody": json.dumps(
                        {"organization_id": str(row.organization_id), "payment_event_id": str(row.id)}
                    ),
                }
                for number, row in enumerate(rows[start : start + SEND_BATCH_MESSAGES])
            ],
        )


def report(loads: Mapping[str, Load], waiting: Mapping[str, tuple[int, int]]) -> None:
    """Print what was measured."""
    rows = [
        [
            name,
            f"{len(load.latencies)}",
            *(f"{percentile(load.latencies, percent) * 1000:.1f}" for percent in (50, 95, 99)),
            f"{max(load.latencies) * 1000:.1f}",
            "{} -> {}".format(*waiting[name]),
        ]
        for name, load in loads.items()
    ]
    table(("worker", "webhooks", "p50 ms", "p95", "p99", "max", "events waiting"), rows)
    quiet, busy = (percentile(load.latencies, 99) for load in loads.values())
    print(f"   p99 of the answers while the worker is saturated: {busy / quiet:.1f} times that of a quiet one")
    for name, load in loads.items():
        if load.statuses.keys() - {200}:
            print(f"   {name}: statuses {dict(load.statuses)}; one body: {load.refusal[:300]!r}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.webhooks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--per-second", type=float, default=20)
    parser.add_argument("--orders", type=int, default=40, help="that the events are about")
    parser.add_argument("--events-per-second", type=float, default=300, help="more than the worker can do")
    options = parser.parse_args(arguments)
    options.workers, options.sandboxes, options.moto = 2, 16, False
    heading(
        f"webhooks: {options.per_second:g} signed Stripe events a second for {options.seconds:g} s, to their answer",
        "the whole local system on one machine: gateway, function, PostgreSQL with fsync, queue, workers; a latency",
        "counts from when its request was due. Each is verified, stored and announced before it is answered.",
        "saturated: the worker is given more events than it can apply meanwhile, and has some left at the end",
    )
    with system(options) as running, connected(running.database) as engine:
        shop = running.shop
        if shop is None:
            raise RuntimeError("the seed made no shop")
        _place(running, engine, fill(engine, shop.organization_id), options.orders)
        request = webhook_requests(running, engine)
        generate(running.api_url, request, clients=CLIENTS, seconds=2, per_second=options.per_second)  # warm-up
        settle(engine)
        run_sql(engine, "VACUUM ANALYZE")
        loads: dict[str, Load] = {}
        waiting: dict[str, tuple[int, int]] = {}
        for name, events in (("quiet", 0), ("saturated", round(options.events_per_second * options.seconds))):
            if events:
                pile_up(running, engine, events)
            before = count(engine, _WAITING)
            loads[name] = generate(
                running.api_url, request, clients=CLIENTS, seconds=options.seconds, per_second=options.per_second
            )
            waiting[name] = before, count(engine, _WAITING)
        report(loads, waiting)
        if waiting["saturated"][1] == 0:
            print("   NOT SATURATED: the worker was done before the end; try --events-per-second with more")
        *_, seconds = settle(engine)
        print(f"   then everything was applied: {'no' if seconds is None else f'after {seconds:.1f} s'}")


def _place(running: LocalSystem, engine: Engine, skus: Sequence[str], orders: int) -> None:
    """Place orders until enough are confirmed, with their webhooks received and settled."""
    make: Any = requests(running, skus, 1)
    while count(engine, "SELECT count(*) FROM orders.orders WHERE status = 'confirmed'") < orders:
        generate(running.api_url, make, clients=4, seconds=0.5)
        settle(engine)


if __name__ == "__main__":
    main()
