"""Many at once: threads that start together, separate shoppers, and runtimes with a connection for each."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import pytest

from holdfast.flows.checkout import place_order as placing
from holdfast.flows.claims.idempotency import Answer
from holdfast.runtime import Runtime
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.ids import uuid7
from tests.house import House

T = TypeVar("T")
PLACED = Answer(201, "placed; the payment is left out")


def rush(jobs: Sequence[Callable[[], T]], *, at_once: int | None = None) -> list[T | Exception]:
    """Run the jobs in threads, ``at_once`` of them at a time (all by default).

    The first of them start at the same instant. Return what each job returned or raised, in the order of the jobs.
    """
    width = min(at_once or len(jobs), len(jobs))
    start = threading.Barrier(width)

    def run(number: int, job: Callable[[], T]) -> T | Exception:
        if number < width:
            start.wait(30)
        try:
            return job()
        except Exception as error:  # noqa: BLE001 -- what was raised is the outcome
            return error

    with ThreadPoolExecutor(width) as threads:
        return list(threads.map(run, range(len(jobs)), jobs))


def tally(outcomes: Sequence[object]) -> Counter[str]:
    """Count how often each status was answered and each error raised.

    Results of any other kind are counted by their text.
    """
    return Counter(_name(outcome) for outcome in outcomes)


def _name(outcome: object) -> str:
    match outcome:
        case Answer(status=status):
            return str(status)
        case Exception():
            return type(outcome).__name__
        case _:
            return str(outcome)


@contextmanager
def crowd_of(house: House, connections: int, *, as_system: bool = False) -> Iterator[Runtime]:
    """Open a runtime whose pool holds this many open connections, as that many sandboxes with one each would have."""
    pattern = house.system if as_system else house.runtime
    database = replace(pattern.settings.database, pool_max_connections=connections)
    runtime = Runtime(replace(pattern.settings, database=database))
    runtime.__dict__["secrets"] = pattern.secrets
    engine = runtime.database.engine
    try:
        for connection in [engine.connect() for _ in range(connections)]:
            connection.close()
        yield runtime
    finally:
        engine.dispose()


def guest(house: House) -> Caller:
    """Return a shopper who was never seen before."""
    guest_id = uuid7(house.clock())
    return Caller(house.organization_id, CallerKind.GUEST, f"guest:{guest_id}", guest_id=guest_id)


def without_payment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the last step of ``place_order``: the gateway is not called, and orders stay unpaid.

    What the race is about is decided before that step. With it, a race of thousands would measure the gateway.
    """
    monkeypatch.setattr(placing, "pay_attempt", lambda *_, **__: PLACED)
