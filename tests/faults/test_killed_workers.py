"""Workers and schedules, killed at every point."""

import pytest

from prove.trap import Deed
from tests.faults.gauntlet import Gauntlet
from tests.faults.production import Production
from tests.faults.scenes import (
    event_of_a_late_payment,
    event_of_a_payment,
    expiry_with_work,
    watchdog_with_work,
    webhook_on_its_way,
)
from tests.faults.settings import HEAVY
from tests.faults.victims import Victims
from tests.house import House

SHARE = 1 if HEAVY else 3


@pytest.mark.parametrize("deed", [Deed.KILL_PROCESS, Deed.END_CONNECTION])
def test_an_event_whose_worker_dies_at_any_point_is_applied_once(
    house: House, production: Production, victims: Victims, deed: Deed
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: event_of_a_payment(house), deed)
    survey.assert_clean(points_min=6, through=("payments.claim_event", "checkout.settle"))


def test_a_late_payment_whose_worker_dies_at_any_point_gets_its_stock_again(
    house: House, production: Production, victims: Victims
) -> None:
    survey = Gauntlet(production, victims).run(lambda: event_of_a_late_payment(house, is_sold=False))
    survey.assert_clean(points_min=10, through=("checkout.hold", "checkout.settle"))


def test_a_payment_too_late_whose_worker_dies_at_any_point_is_given_back(
    house: House, production: Production, victims: Victims
) -> None:
    survey = Gauntlet(production, victims, frozenset({"LatePayment"})).run(
        lambda: event_of_a_late_payment(house, is_sold=True)
    )
    survey.assert_clean(points_min=25, through=("checkout.settle", "stripe POST /v1/refunds, sent"))


@pytest.mark.parametrize("repeats", [True, False])
def test_a_webhook_whose_receiver_dies_at_any_point_is_heard_or_made_up_for(
    house: House, production: Production, victims: Victims, repeats: bool
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: webhook_on_its_way(house, repeats=repeats))
    survey.assert_clean(points_min=6, through=("payments.store_event", "aws SendMessage"))


def test_a_run_of_expiry_that_dies_at_any_point_releases_each_hold_once(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: expiry_with_work(house))
    survey.assert_clean(points_min=14, through=("release_due_holds", "cancel_abandoned_orders"))


def test_a_run_of_the_watchdog_that_dies_at_any_point_is_made_up_for_by_the_next(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: watchdog_with_work(house), every=SHARE)
    survey.assert_clean(points_min=40 // SHARE, through=("stripe POST", "COMMIT, sent"))
