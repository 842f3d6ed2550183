"""Two refunds of the same money at the same time."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import pytest
from sqlalchemy import text

from holdfast.payments.refund_plan import Wanted
from holdfast.values.errors import Conflict, RefundExceeds
from local.postgres import Server
from prove import steps
from tests.faults.errands import Remains
from tests.faults.production import Production
from tests.faults.scenes import stored_event
from tests.faults.settings import HEAVY
from tests.faults.verdict import Verdict
from tests.faults.victims import Nursery, Victims
from tests.flows.actions import ordered, staff
from tests.house import House
from tests.races.crowd import crowd_of, rush, tally
from tests.refunding import (
    at_gateway,
    given_back,
    line,
    refund,
    refund_command,
    refunds_at_console,
    run_refund,
    total,
    units,
)
from tests.shipping import only, shipped

ROUNDS: Final = 60 if HEAVY else 10
PATIENCE_SECONDS: Final = 30.0
_WAITING: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event_type = 'Lock'"


def test_two_refunds_of_everything_at_the_same_instant_are_one(house: House, production: Production) -> None:
    house.add_variant(stock=100)
    caller = staff(house)
    with crowd_of(house, 4) as runtime:
        for number in range(ROUNDS):
            order_id = ordered(house, {"TEE": 2})
            if number % 2:  # what never left goes back once as well
                shipped(house, only(house, order_id), items={"TEE": 1})
            jobs = [
                partial(run_refund, runtime, house.clock, refund_command(order_id, Wanted(), caller)) for _ in range(4)
            ]
            assert tally(rush(jobs)) == {"201": 1, "RefundExceeds": 3}
            assert at_gateway(house, order_id) == [("succeeded", total(house, order_id))]
    production.until_quiet()
    assert house.stock() == {"EWR": (100 - ROUNDS // 2, 0)}
    assert Verdict(production).news() == []


@pytest.fixture
def pair(house: House, aws: str, production: Production) -> Iterator[list[Victims]]:
    """Two processes, each with its own database connection."""
    with Nursery() as one, Nursery() as other:
        yield [Victims(nursery, house.secret_reference, production.bell_url, house.clock) for nursery in (one, other)]


def test_two_processes_that_refund_everything_at_the_same_instant_refund_it_once(
    house: House, production: Production, postgres: Server, pair: list[Victims]
) -> None:
    house.add_variant(stock=100)
    caller = staff(house)
    for _ in range(max(3, ROUNDS // 3)):
        order_id = ordered(house, {"TEE": 2})
        remains = at_the_same_instant(
            house,
            postgres,
            order_id,
            [
                partial(victims.send, house.runtime, run_refund, (refund_command(order_id, Wanted(), caller),))
                for victims in pair
            ],
        )
        errors = sorted(str(end.error).split(":")[0] for end in remains)
        assert errors == ["None", "RefundExceeds"], remains
        assert at_gateway(house, order_id) == [("succeeded", total(house, order_id))]
    production.until_quiet()
    assert house.stock() == {"EWR": (100, 0)}
    assert Verdict(production).news() == []


def at_the_same_instant(
    house: House, server: Server, order_id: str, errands: list[Callable[[], Remains]]
) -> list[Remains]:
    """Lock the order until every process waits for it, then release it."""
    with ThreadPoolExecutor(len(errands)) as threads, house.engine.connect() as connection:
        waiting = _WAITING.format(house.owner.database)
        connection.execute(text("BEGIN"))
        connection.execute(text("SELECT 1 FROM orders.orders WHERE id = :id FOR NO KEY UPDATE"), {"id": order_id})
        sent = [threads.submit(errand) for errand in errands]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while server.admin.execute(waiting)[0][0] < len(errands):
            assert time.monotonic() < deadline, "the processes do not meet"
        connection.execute(text("ROLLBACK"))
        return [future.result() for future in sent]


def test_units_that_many_refund_at_once_are_given_back_as_often_as_they_were_bought(
    house: House, production: Production
) -> None:
    house.add_variant(stock=100, price=999)
    caller = staff(house)
    with crowd_of(house, 6) as runtime:
        for _ in range(ROUNDS):
            order_id = ordered(house, {"TEE": 3})
            wanted = units(house, order_id, 1)
            jobs = [
                partial(run_refund, runtime, house.clock, refund_command(order_id, wanted, caller)) for _ in range(6)
            ]
            assert tally(rush(jobs)) == {"201": 3, "RefundExceeds": 3}
            assert line(house, order_id)[0] == len(at_gateway(house, order_id)) == 3
            refund(house, order_id, caller=caller)
            assert given_back(house, order_id) == total(house, order_id)
    production.until_quiet()
    assert house.stock() == {"EWR": (100, 0)}
    assert Verdict(production).news() == []


def test_a_refund_that_meets_a_cancellation_gives_everything_back_once(house: House, production: Production) -> None:
    house.add_variant(stock=100)
    caller = staff(house)
    for number in range(ROUNDS):
        order_id = ordered(house, {"TEE": 2})
        wanted = Wanted() if number % 2 else units(house, order_id, 1)
        outcomes = rush(
            [
                partial(run_refund, house.runtime, house.clock, refund_command(order_id, wanted, caller)),
                partial(house.cancel, order_id),
            ]
        )
        refused = isinstance(outcomes[0], (Conflict, RefundExceeds))
        assert refused or tally(outcomes[:1]) == {"201": 1}, outcomes
        assert tally(outcomes[1:]) == {"200": 1}, outcomes
        production.until_quiet()
        assert house.order(order_id)["status"] == "cancelled"
        assert sum(amount for _, amount in at_gateway(house, order_id)) == total(house, order_id)
    assert house.stock() == {"EWR": (100, 0)}
    assert Verdict(production).news() == []


def test_a_refund_that_meets_one_made_by_hand_never_gives_back_more_than_was_paid(
    house: House, production: Production
) -> None:
    house.add_variant(stock=100)
    caller = staff(house)
    for _ in range(ROUNDS):
        order_id = ordered(house, {"TEE": 2})
        event_id = stored_event(house, refunds_at_console(house, order_id, 1_000))
        outcomes = rush(
            [
                partial(run_refund, house.runtime, house.clock, refund_command(order_id, Wanted(), caller)),
                partial(steps.apply, house.runtime, house.clock, house.organization_id, event_id),
            ]
        )
        assert not any(isinstance(outcome, Exception) for outcome in outcomes), outcomes
        production.until_quiet()
        if given_back(house, order_id) < total(house, order_id):
            assert given_back(house, order_id) == 1_000
            refund(house, order_id, caller=caller)
        assert given_back(house, order_id) == sum(
            amount for state, amount in at_gateway(house, order_id) if state == "succeeded"
        )
        assert house.order(order_id)["status"] == "cancelled"
    assert house.stock() == {"EWR": (100, 0)}
    production.until_quiet()
    news = Verdict(production, frozenset({"RefundFailed"})).news()
    assert [sentence for sentence in news if not sentence.startswith("money owed back")] == []
