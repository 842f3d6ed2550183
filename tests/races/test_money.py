"""Two decisions about the same money at the same time."""

import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

import pytest

from holdfast.flows.checkout.place_order import place_order
from holdfast.flows.claims.idempotency import Answer
from holdfast.flows.operations import relay_outbox as relaying
from holdfast.web.answers import payment_answer
from prove import steps
from tests.faults.production import Production
from tests.faults.scenes import HOLD_AND_GRACE_SECONDS, fresh_sku, pay_unheard, stored_event
from tests.faults.settings import HEAVY
from tests.faults.steps import place_without_paying
from tests.faults.verdict import Verdict
from tests.house import House, document
from tests.races.crowd import crowd_of, rush, tally

ROUNDS: Final = 200 if HEAVY else 25


def test_one_key_sent_twenty_times_at_once_is_one_order_one_charge_and_one_answer(
    house: House, production: Production
) -> None:
    house.add_variant(stock=100)
    command = house.command({"TEE": 1})
    with crowd_of(house, 20) as runtime:
        outcomes = rush([lambda: place_order(runtime, command, house.clock, payment_answer)] * 20)
    assert tally(outcomes).keys() <= {"201", "RequestInProgress"}, tally(outcomes)
    answers = {outcome for outcome in outcomes if isinstance(outcome, Answer)}
    assert len(answers) == 1
    assert answers == {place_order(house.runtime, command, house.clock, payment_answer)}
    assert house.value("SELECT count(*) FROM orders.orders") == 1
    assert house.value("SELECT count(*) FROM orders.idempotency_keys WHERE state = 'done'") == 1
    assert house.charges()["charges"] == 1
    production.until_quiet()
    assert Verdict(production).news() == []


def test_one_key_resumed_by_many_at_once_after_a_crash_is_one_charge_and_one_answer(
    house: House, production: Production
) -> None:
    house.add_variant(stock=100)
    command = house.command({"TEE": 1})
    with crowd_of(house, 12) as runtime:
        place_without_paying(house.runtime, house.clock, command)
        house.clock.advance(seconds=31)
        outcomes = rush([lambda: place_order(runtime, command, house.clock, payment_answer)] * 12)
    assert tally(outcomes).keys() <= {"201", "RequestInProgress"}, tally(outcomes)
    answers = {outcome for outcome in outcomes if isinstance(outcome, Answer)}
    assert answers == {place_order(house.runtime, command, house.clock, payment_answer)}
    assert house.charges()["charges"] == 1
    production.until_quiet()
    assert Verdict(production).news() == []


def test_a_payment_that_meets_expiry_and_a_rival_ends_with_goods_or_with_its_money_back(
    house: House, production: Production
) -> None:
    for _ in range(ROUNDS):
        sku = fresh_sku(house, 1)
        order_id, webhook = pay_unheard(house, {sku: 1})
        event_id = stored_event(house, webhook)
        house.clock.advance(seconds=HOLD_AND_GRACE_SECONDS)
        jobs: list[Callable[[], object]] = [
            partial(steps.apply, house.runtime, house.clock, house.organization_id, event_id),
            partial(steps.expire, house.system, house.clock),
            partial(steps.expire, house.system, house.clock),
            partial(house.place, {sku: 1}),
        ]
        outcomes = rush(jobs)
        assert not {name for name in tally(outcomes[:3]) if "Error" in name or name == "SerializationFailure"}, outcomes
        assert tally(outcomes[3:]).keys() <= {"201", "OutOfStock", "StockContended"}, outcomes[3]
        production.until_quiet()
        assert house.order(order_id)["status"] in ("confirmed", "cancelled")
    assert Verdict(production, frozenset({"LatePayment"})).news() == []


def test_a_cancellation_that_meets_the_capture_gives_the_money_back_once(house: House, production: Production) -> None:
    house.add_variant(stock=100)
    for _ in range(ROUNDS):
        order_id, webhook = pay_unheard(house, {"TEE": 1})
        event_id = stored_event(house, webhook)
        jobs: list[Callable[[], object]] = [
            partial(steps.apply, house.runtime, house.clock, house.organization_id, event_id),
            partial(house.cancel, order_id),
            partial(house.cancel, order_id),
        ]
        outcomes = rush(jobs)
        assert not any(isinstance(outcome, Exception) for outcome in outcomes), outcomes
        production.until_quiet()
        assert house.order(order_id)["status"] == "cancelled"
    totals = house.charges()
    assert totals["refunded"] == totals["captured"]
    assert totals["charges_captured"] == ROUNDS
    assert Verdict(production).news() == []


def test_paying_again_twice_at_once_charges_once(house: House, production: Production) -> None:
    house.add_variant(stock=100)
    for _ in range(ROUNDS):
        order_id = document(house.place({"TEE": 1}, token="pm_card_chargeDeclined"))["order"]["id"]
        outcomes = tally(rush([partial(house.pay_again, order_id)] * 3))
        assert outcomes["201"] >= 1, outcomes
        assert outcomes.keys() <= {"201", "402", "Conflict", "RequestInProgress"}, outcomes
        production.until_quiet()
        assert house.order(order_id)["status"] == "confirmed"
    assert Verdict(production).news() == []


def test_webhooks_that_come_many_times_while_the_answer_is_recorded_count_once(
    house: House, production: Production
) -> None:
    house.add_variant(stock=100)
    for number in range(ROUNDS):
        house.stripe_behaves(
            match={"operation": "payment_intents.create"}, webhooks={"before_answer": True, "duplicates": 2}
        )
        over = threading.Event()

        def bring_in(over: threading.Event = over) -> int:
            brought = 0
            while not over.is_set():
                for delivery in house.receiver.received[-6:]:
                    house.deliver(json.loads(delivery.body))
                    brought += 1
                house.work()
            return brought

        def pay(over: threading.Event = over) -> Answer:
            try:
                return house.place({"TEE": 1})
            finally:
                over.set()

        answer, *brought = rush([pay, bring_in, bring_in])
        assert isinstance(answer, Answer), answer
        assert all(isinstance(count, int) for count in brought), brought
        production.webhooks_arrive()
        assert house.charges()["charges_captured"] == number + 1
    production.until_quiet()
    assert house.stock() == {"EWR": (100 - ROUNDS, 0)}
    assert Verdict(production).news() == []


def test_relays_at_once_publish_every_event_exactly_once_when_none_of_them_dies(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add_variant(stock=1_000)
    for _ in range(20):
        place_without_paying(house.runtime, house.clock, house.command({"TEE": 1}))
    monkeypatch.setattr(relaying, "BATCH_MAX_ROWS", 3)
    with crowd_of(house, 4, as_system=True) as system:
        runs = rush([lambda: steps.relay(system, house.clock)] * 4)
    published = [run for run in runs if isinstance(run, int)]
    assert len(published) == 4, runs
    assert sum(published) == 20
    assert sum(count > 0 for count in published) > 1, "one relay did all the work: nothing was raced"
    assert house.value("SELECT count(*) FROM operations.outbox WHERE published_at IS NULL OR attempts <> 1") == 0
    assert house.violations() == []
