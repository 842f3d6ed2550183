"""Placing and paying an order, killed at every point."""

import pytest

from prove.trap import Deed
from tests.faults.gauntlet import Gauntlet
from tests.faults.production import Production
from tests.faults.scenes import checkout, paying_again
from tests.faults.victims import Victims
from tests.house import House

CHECKOUT = (
    "checkout.facts",
    "checkout.place($1, CAST($2 AS jsonb)) + COMMIT, sent",
    "stripe POST /v1/payment_intents, sent",
    "checkout.settle",
    "aws SendMessage",
)


@pytest.mark.parametrize("returns", [True, False])
def test_a_checkout_killed_at_any_point_is_finished_once_and_answered_once(
    house: House, production: Production, victims: Victims, returns: bool
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: checkout(house, returns=returns))
    survey.assert_clean(points_min=12, through=CHECKOUT)


def test_a_checkout_that_loses_its_connection_at_any_point_is_finished_once_and_answered_once(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: checkout(house, returns=True), Deed.END_CONNECTION)
    survey.assert_clean(points_min=12, through=CHECKOUT[:-1])


def test_paying_again_killed_at_any_point_charges_once(house: House, production: Production, victims: Victims) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(
        lambda: paying_again(production, first="pm_card_chargeDeclined", repeats=True)
    )
    survey.assert_clean(points_min=18, through=("INSERT INTO payments.payments", "/v1/payment_intents, sent"))


def test_paying_with_another_card_killed_at_any_point_ends_the_first_attempt_and_charges_once(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(
        lambda: paying_again(production, first="pm_card_authenticationRequired", repeats=True)
    )
    survey.assert_clean(points_min=25, through=("/cancel, sent", "/v1/payment_intents, sent"))


def test_paying_late_killed_at_any_point_charges_once_for_stock_held_again(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(
        lambda: paying_again(production, first="pm_card_chargeDeclined", repeats=False, is_late=True)
    )
    survey.assert_clean(points_min=22, through=("checkout.hold", "/v1/payment_intents, sent"))
