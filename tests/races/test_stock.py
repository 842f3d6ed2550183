"""Many buyers want the same goods."""

import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final

import pytest

from holdfast.flows.checkout.place_order import place_order
from holdfast.flows.claims.idempotency import Answer
from holdfast.flows.operations import in_batches
from holdfast.flows.orders import expire_reservations as expiry
from holdfast.runtime import Runtime
from holdfast.values.errors import OutOfStock, StockContended
from holdfast.web.answers import payment_answer
from tests.faults.production import Production
from tests.faults.settings import HEAVY
from tests.faults.verdict import Verdict
from tests.house import House
from tests.races.crowd import crowd_of, guest, rush, tally, without_payment

ATTEMPTS_FOR_A_THOUSAND: Final = 10_000 if HEAVY else 5_000
DEADLOCK_SECONDS: Final = 30.0 if HEAVY else 4.0


def buyer(house: House, runtime: Runtime, items: dict[str, int], *, strict: bool = False) -> Callable[[], Answer]:
    """Return a job by which a guest buys these items."""
    command = house.command(items, caller=guest(house), allow_capacity_overflow=not strict)
    return lambda: place_order(runtime, command, house.clock, payment_answer)


def test_of_a_hundred_buyers_of_the_last_unit_one_gets_it_and_all_others_are_told(
    house: House, production: Production
) -> None:
    house.add_variant(stock=1)
    with crowd_of(house, 100) as runtime:
        outcomes = tally(rush([buyer(house, runtime, {"TEE": 1}) for _ in range(100)]))
    assert outcomes["201"] == 1
    assert outcomes["OutOfStock"] + outcomes["StockContended"] == 99, outcomes
    assert house.value("SELECT count(*) FROM orders.orders") == 1
    assert house.stock() == {"EWR": (0, 0)}
    production.until_quiet()
    assert Verdict(production).news() == []


def test_of_a_thousand_units_exactly_a_thousand_are_sold_to_thousands_of_buyers(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_payment(monkeypatch)
    house.add_variant(stock=1_000)
    with crowd_of(house, 32) as runtime:
        jobs = [buyer(house, runtime, {"TEE": 1}) for _ in range(ATTEMPTS_FOR_A_THOUSAND)]
        outcomes = tally(rush(jobs, at_once=32))
    assert outcomes["201"] == 1_000, outcomes
    assert outcomes["OutOfStock"] + outcomes["StockContended"] == ATTEMPTS_FOR_A_THOUSAND - 1_000, outcomes
    assert house.stock() == {"EWR": (1_000, 1_000)}
    assert house.violations() == []


def test_orders_of_the_same_goods_in_opposite_order_never_deadlock(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_payment(monkeypatch)
    goods = {"EWR": 400, "RNO": 400}
    house.add_variant("LEFT", stock=goods)
    house.add_variant("RIGHT", stock=goods)
    over = threading.Event()
    there, back = {"LEFT": 1, "RIGHT": 2}, {"RIGHT": 1, "LEFT": 2}

    def buy_on_and_on(runtime: Runtime, number: int) -> int:
        for turn in itertools.count(number):
            if over.is_set():
                break
            with suppress(OutOfStock, StockContended):
                buyer(house, runtime, there if turn % 2 else back)()
        return turn - number

    def give_back_on_and_on() -> int:
        later = house.clock() + timedelta(hours=2)
        while not over.is_set():
            expiry.expire_reservations(house.system, lambda: later, lambda: 60.0)
        return 1

    with crowd_of(house, 16) as runtime:
        shoppers: list[Callable[[], int]] = [partial(buy_on_and_on, runtime, number) for number in range(16)]
        threading.Timer(DEADLOCK_SECONDS, over.set).start()
        turns = rush([*shoppers, give_back_on_and_on, give_back_on_and_on])
    assert all(isinstance(turn, int) for turn in turns), turns
    assert sum(turn for turn in turns if isinstance(turn, int)) > 50
    house.system.database.engine.dispose()  # a session hands in its statistics when it ends
    assert house.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    assert house.violations() == []


@pytest.mark.parametrize("while_rolling_up", [False, True])
def test_strict_capacity_is_filled_and_never_exceeded(
    house: House, monkeypatch: pytest.MonkeyPatch, while_rolling_up: bool
) -> None:
    without_payment(monkeypatch)
    house.add_warehouse("SMALL", capacity=20)
    house.add_variant(stock={"SMALL": 1_000})
    over = threading.Event()

    def roll_up_on_and_on() -> int:
        while while_rolling_up and not over.is_set():
            expiry.expire_reservations(house.system, house.clock, lambda: 60.0)
        return 0

    roller = threading.Thread(target=roll_up_on_and_on)
    roller.start()
    with crowd_of(house, 50) as runtime:
        outcomes = tally(rush([buyer(house, runtime, {"TEE": 1}, strict=True) for _ in range(50)]))
    over.set()
    roller.join()
    booked = house.value("SELECT sum(orders) FROM inventory.warehouse_daily_load")
    assert booked == outcomes["201"] == 20, outcomes
    assert outcomes["CapacityExceeded"] + outcomes["StockContended"] == 30, outcomes
    assert house.violations() == []


def test_the_daily_load_adds_up_though_it_is_rolled_up_while_orders_are_placed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_payment(monkeypatch)
    house.add_variant(stock={"EWR": 500, "RNO": 500})
    with crowd_of(house, 8) as runtime, crowd_of(house, 2, as_system=True) as system:
        over = threading.Event()

        def roll_up_on_and_on() -> int:
            rolled = 0
            while not over.is_set():
                rolled += expiry.expire_reservations(system, house.clock, lambda: 60.0).rolled_up
            return rolled

        def buy() -> int:
            outcomes = tally(rush([buyer(house, runtime, {"TEE": 1}) for _ in range(240)], at_once=8))
            over.set()
            return outcomes["201"]

        placed, *rolled = rush([buy, roll_up_on_and_on, roll_up_on_and_on])
    assert placed == 240
    assert all(isinstance(count, int) and count > 0 for count in rolled), rolled
    expiry.expire_reservations(house.system, house.clock, lambda: 60.0)
    rows = house.rows("SELECT orders FROM inventory.warehouse_daily_load")
    assert [row["orders"] for row in rows] == [240]
    assert house.violations() == []


def test_runs_of_expiry_at_once_release_every_hold_exactly_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    without_payment(monkeypatch)
    monkeypatch.setattr(in_batches, "BATCH_MAX_ROWS", 7)
    goods = {"EWR": 200, "RNO": 200}
    house.add_variant("LEFT", stock=goods)
    house.add_variant("RIGHT", stock=goods)
    with crowd_of(house, 8) as runtime:
        jobs = [buyer(house, runtime, {"LEFT": 1, "RIGHT": 1}) for _ in range(80)]
        assert tally(rush(jobs, at_once=8)) == {"201": 80}
    house.clock.advance(hours=2)
    with crowd_of(house, 4, as_system=True) as system:
        runs = rush([lambda: expiry.expire_reservations(system, house.clock, lambda: 60.0)] * 4)
    released = [run.released for run in runs if isinstance(run, expiry.Expired)]
    assert len(released) == 4, runs
    left = expiry.expire_reservations(house.system, house.clock, lambda: 60.0).released
    assert sum(released) + left == 160
    assert sum(count > 0 for count in released) > 1, "one run did all the work: nothing was raced"
    assert house.stock("LEFT") == house.stock("RIGHT") == {"EWR": (200, 0), "RNO": (200, 0)}
    assert house.violations() == []
