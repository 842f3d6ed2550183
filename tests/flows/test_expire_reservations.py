from collections import Counter
from datetime import timedelta

import pytest

from holdfast.database.transaction import Transaction
from holdfast.flows.operations import in_batches
from holdfast.flows.orders.cancel_unpaid_orders import ABANDONED_AFTER_SECONDS
from holdfast.flows.orders.expire_reservations import GRACE_SECONDS
from holdfast.secrets.store import SecretStore
from local.postgres import Address
from tests.flows.actions import at_once, expire, movements, ordered, status, topics
from tests.house import House

ASKS = "pm_card_authenticationRequired"
DECLINED = "pm_card_chargeDeclined"
HOLD = timedelta(seconds=900)


def many_declined(house: House, orders: int) -> list[str]:
    return [ordered(house, {"TEE": 1}, token=DECLINED) for _ in range(orders)]


def test_due_holds_give_their_stock_back_with_one_movement_per_level_and_batch(house: House) -> None:
    house.add_variant(stock=10)
    order_ids = many_declined(house, 4)
    house.clock.now += HOLD
    expired = expire(house)
    assert (expired.released, expired.finished) == (4, True)
    assert house.stock() == {"EWR": (10, 0)}
    assert movements(house, "release") == [-4]
    assert {status(house, order_id) for order_id in order_ids} == {"payment_failed"}
    assert house.violations() == []


def test_a_hold_that_is_not_due_is_left_alone(house: House) -> None:
    house.add_variant(stock=10)
    many_declined(house, 1)
    house.clock.now += HOLD - timedelta(seconds=1)
    assert expire(house).released == 0
    assert house.stock() == {"EWR": (10, 1)}


def test_a_backlog_is_drained_in_batches(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_batches, "BATCH_MAX_ROWS", 2)
    house.add_variant(stock=10)
    many_declined(house, 5)
    house.clock.now += HOLD
    assert expire(house).released == 5
    assert movements(house, "release") == [-2, -2, -1]
    assert house.violations() == []


def test_two_runs_at_once_release_every_hold_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_batches, "BATCH_MAX_ROWS", 3)
    house.add_variant(stock=20)
    many_declined(house, 10)
    house.clock.now += HOLD
    runs = at_once(*[lambda: expire(house)] * 3)
    expire(house)
    assert sum(run.released for run in runs) <= 10
    assert house.stock() == {"EWR": (20, 0)}
    assert sum(movements(house, "release")) == -10
    assert house.violations() == []


def test_a_hold_whose_payment_is_undecided_is_left_to_the_watchdog_until_the_grace_has_passed(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=ASKS)
    house.clock.advance(seconds=1800)
    assert expire(house).released == 0
    house.clock.advance(seconds=GRACE_SECONDS - 1)
    assert expire(house).released == 0
    house.clock.advance(seconds=1)
    assert expire(house).released == 1
    assert status(house, order_id) == "payment_processing"
    assert house.violations() == []


def test_an_order_nobody_pays_is_cancelled_after_two_hours(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=DECLINED)
    house.clock.advance(seconds=ABANDONED_AFTER_SECONDS - 1)
    assert (expire(house).released, expire(house).cancelled) == (1, 0)
    house.clock.advance(seconds=1)
    assert expire(house).cancelled == 1
    assert status(house, order_id) == "cancelled"
    assert topics(house, order_id)[-1][1] == "order.cancelled"
    assert expire(house).cancelled == 0
    assert house.violations() == []


def test_an_order_somebody_still_pays_or_has_paid_is_not_abandoned(house: House) -> None:
    house.add_variant(stock=10)
    asked, paid = ordered(house, token=ASKS), ordered(house)
    house.clock.advance(hours=3)
    assert expire(house).cancelled == 0
    assert (status(house, asked), status(house, paid)) == ("payment_processing", "confirmed")


def test_when_nothing_is_due_a_run_costs_a_look_and_no_write(house: House) -> None:
    house.add_variant(stock=10)
    ordered(house)
    statements: Counter[str] = Counter()
    real = Transaction.execute_and_commit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Transaction,
            "execute_and_commit",
            lambda *a, **k: (statements.update([a[1]]), real(*a, **k))[1],
        )
        expired = expire(house)
    assert (expired.released, expired.cancelled, expired.finished) == (0, 0, True)
    assert not statements


def test_the_days_load_is_rolled_up_and_stays_what_it_was(house: House) -> None:
    house.add_variant(stock=10)
    many_declined(house, 3)
    ordered(house)
    house.clock.now += HOLD
    runs = at_once(*[lambda: expire(house)] * 2)
    expire(house)
    rows = house.rows("SELECT orders FROM inventory.warehouse_daily_load")
    assert [row["orders"] for row in rows] == [1]
    assert sum(run.released for run in runs) == 3
    assert house.violations() == []


def test_every_organization_has_its_turn_and_one_that_fails_keeps_nobody_waiting(
    house: House, db: Address, stripe_url: str, secret_store: SecretStore
) -> None:
    with House(db, stripe_url, secret_store) as other:
        for shop in (house, other):
            shop.add_variant(stock=5)
            ordered(shop, token=DECLINED)
        # The level says that less is reserved than is held, so releasing the hold would take it below zero.
        house.sql("UPDATE inventory.stock_levels SET reserved = 0 WHERE organization_id = :o", o=house.organization_id)
        house.clock.now = other.clock.now + HOLD
        expired = expire(house)
        assert (expired.released, expired.finished) == (1, False)
        assert other.stock() == {"EWR": (5, 0)}
        house.sql("UPDATE inventory.stock_levels SET reserved = 1 WHERE organization_id = :o", o=house.organization_id)
        expired = expire(house)
        assert (expired.released, expired.finished) == (1, True)
        assert house.violations() == []


def test_a_run_stops_when_its_time_is_up_and_the_next_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_batches, "BATCH_MAX_ROWS", 2)
    house.add_variant(stock=10)
    many_declined(house, 5)
    house.clock.now += HOLD
    left = iter([30.0, 0.0])
    expired = expire(house, time_left_seconds=lambda: next(left, 0.0))
    assert (expired.released, expired.finished) == (2, False)
    assert expire(house).released == 3
    assert house.violations() == []


def test_a_hold_released_while_its_payment_is_settled_is_never_sold(house: House) -> None:
    """The expiry takes holds without their orders, so the two flows meet at the hold."""
    house.add_variant(stock=30)
    for _ in range(6):
        order_id = ordered(house, token=ASKS)
        (intent,) = house.stripe("GET", f"/payment_intents?metadata[order_id]={order_id}")
        house.stripe("POST", f"/payment_intents/{intent['id']}/authenticate", {"succeed": True})
        (webhook,) = house.webhooks("payment_intent.succeeded", order_id=order_id)
        house.clock.advance(seconds=1800 + GRACE_SECONDS + 1)
        house.deliver(webhook)
        at_once(house.work, lambda: expire(house))
        assert status(house, order_id) == "confirmed"
        assert house.violations() == []
    assert house.stock() == {"EWR": (24, 0)}
