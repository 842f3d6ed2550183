"""The operations team changes stock while shoppers buy it."""

import time
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any, Final

import pytest

from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.flows.stock.capacity_overrides import Override, set_override
from holdfast.flows.stock.transfers import cancel_transfer, receive_transfer, ship_transfer
from holdfast.inventory.stock import ChangeType
from holdfast.values.errors import (
    Conflict,
)
from holdfast.web.answers import change_answer
from tests.faults.settings import HEAVY
from tests.house import House
from tests.races.crowd import crowd_of, rush, tally, without_payment
from tests.races.stock_acts import ACTS, RENDER, SHOP_ACTS, ask_for, busy, change, expire, manager, request

SECONDS: Final = 60.0 if HEAVY else 4.0
HAMMER_SECONDS: Final = 60.0 if HEAVY else 8.0


def test_a_receipt_announced_by_many_at_once_comes_in_once(house: House) -> None:
    house.add_variant(stock=1)
    who = manager(house)
    with crowd_of(house, 8) as runtime:

        def announce() -> Answer:
            return change(house, runtime, who, ChangeType.RECEIVE, {"TEE": 5}, "EWR", key="the-same")

        answers = rush([announce] * 8)
    assert house.stock() == {"EWR": (6, 0)}
    assert tally(answers) == {"201": 8}
    assert len({answer.body for answer in answers if isinstance(answer, Answer)}) == 1


def test_of_many_who_take_the_last_piece_out_one_does(house: House) -> None:
    house.add_variant(stock=1)
    who = manager(house)
    with crowd_of(house, 8) as runtime:

        def take() -> Answer:
            return change(house, runtime, who, ChangeType.DAMAGE, {"TEE": 1}, "EWR")

        assert tally(rush([take] * 8)) == {"201": 1, "Conflict": 7}
    assert house.stock() == {"EWR": (0, 0)}
    assert house.violations() == []


def test_a_level_that_many_are_the_first_to_fill_is_made_once(house: House) -> None:
    for sku in ("TEE", "CAP"):
        house.add_variant(sku, stock={})
    who = manager(house)
    with crowd_of(house, 8) as runtime:

        def fill(number: int) -> Callable[[], Answer]:
            skus = ["TEE", "CAP"] if number % 2 else ["CAP", "TEE"]
            return lambda: change(house, runtime, who, ChangeType.RECEIVE, dict.fromkeys(skus, 1), "RNO")

        assert tally(rush([fill(number) for number in range(8)])) == {"201": 8}
    assert house.stock() == {"RNO": (8, 0)}
    assert house.violations() == []


def test_everybody_at_the_same_levels_at_once_and_nothing_is_lost(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkouts, changes, transfers and expiry work on the same 20 levels: no deadlock escapes, and all adds up."""
    without_payment(monkeypatch)
    skus = [f"SKU-{number}" for number in range(10)]
    for sku in skus:
        house.add_variant(sku, stock={"EWR": 200, "RNO": 200})
    who = manager(house)
    until = time.monotonic() + SECONDS

    with crowd_of(house, 8) as runtime:
        jobs = [(lambda seed=seed: busy(house, runtime, who, skus, ACTS, seed, until)) for seed in range(7)]
        results: list[Any] = rush([*jobs, lambda: expire(house, until)])
    assert [result for result in results if isinstance(result, Exception)] == []
    done = {name for result in results for name in result}
    assert {name for name, _ in ACTS} <= done, results
    assert house.violations() == []


def test_parcels_refunds_transfers_checkouts_and_expiry_hammer_the_same_levels_and_all_adds_up(house: House) -> None:
    """Orders go through their whole life while others buy, move and count the same goods and unpaid holds expire.

    The orders are paid, picked, shipped, lost, sent again, refunded and cancelled. No deadlock escapes, and every
    invariant holds at the end.
    """
    skus = [f"SKU-{number}" for number in range(10)]
    for sku in skus:
        house.add_variant(sku, stock={"EWR": 120, "RNO": 120})
    who = manager(house)
    until = time.monotonic() + HAMMER_SECONDS

    with crowd_of(house, 16) as runtime:
        jobs = [(lambda seed=seed: busy(house, runtime, who, skus, SHOP_ACTS, seed, until)) for seed in range(7)]
        results: list[Any] = rush([*jobs, lambda: expire(house, until)])
    assert [result for result in results if isinstance(result, Exception)] == []
    tried = {name.removesuffix(" refused") for result in results for name in result}
    assert {name for name, _ in SHOP_ACTS} <= tried, results
    for table in ("fulfillment.shipments", "payments.refunds", "inventory.transfers"):
        assert house.value(f"SELECT count(*) FROM {table}") > 0
    assert house.value("SELECT count(*) FROM fulfillment.shipments WHERE shipped_at IS NOT NULL") > 0
    assert house.violations() == []


def test_of_two_overlapping_overrides_set_at_the_same_instant_the_second_is_refused_by_name(house: House) -> None:
    who = manager(house)
    with crowd_of(house, 8) as runtime:

        def set_one(number: int) -> Callable[[], Answer]:
            claim = Claim(who.actor, "set_override", uuid.uuid4().hex, "f")
            days = Override(date(2031, 1, 1 + number), date(2031, 1, 20), None, 5, "a race")
            return lambda: set_override(
                runtime, who, claim, house.warehouses["EWR"], days, house.clock(), change_answer("override")
            )

        outcomes = rush([set_one(number) for number in range(8)])
    assert tally(outcomes) == {"201": 1, "Conflict": 7}
    kept = str(house.value("SELECT id FROM inventory.capacity_overrides"))
    named = {outcome.facts["conflicting_override"]["id"] for outcome in outcomes if isinstance(outcome, Conflict)}
    assert named == {kept}


def test_a_transfer_that_many_ship_receive_and_call_off_at_once_happens_once(house: House) -> None:
    house.add_variant(stock=8)
    who = manager(house)
    with crowd_of(house, 9) as runtime:
        first = ask_for(house, runtime, who, "TEE", 8)
        shipped = rush([lambda: ship_transfer(runtime, request(who), first, house.clock(), RENDER)] * 8)
        assert tally(shipped) == {"201": 1, "Conflict": 7}

        def arrive() -> Answer:
            return receive_transfer(
                runtime,
                request(who),
                first,
                received_quantity=3,
                written_off_quantity=0,
                reason=None,
                now=house.clock(),
                render=RENDER,
            )

        def call_off() -> Answer:
            return cancel_transfer(runtime, request(who), first, "a race", house.clock(), RENDER)

        outcomes = tally(rush([*[arrive] * 8, call_off]))
    assert outcomes["201"] in (1, 2, 3)
    assert house.value("SELECT count(*) FROM inventory.transfers WHERE status = 'cancelled'") == 1
    assert sum(on_hand for on_hand, _ in house.stock().values()) == 8
    assert house.violations() == []
