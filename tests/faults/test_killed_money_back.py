"""Money on its way back, killed at every point."""

import json

import pytest

from prove.trap import Deed
from tests.faults.gauntlet import Gauntlet
from tests.faults.production import Production
from tests.faults.scenes import cancellation_of_a_paid_order
from tests.faults.settings import HEAVY
from tests.faults.victims import Victims
from tests.house import House

SHARE = 1 if HEAVY else 4


def test_a_cancellation_killed_at_any_point_returns_goods_and_money_once(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: cancellation_of_a_paid_order(house, repeats=True))
    survey.assert_clean(points_min=24, through=("checkout.settle", "stripe POST /v1/refunds, sent"))


@pytest.mark.parametrize(
    ("repeats", "deed"), [(False, Deed.KILL_PROCESS), (True, Deed.END_CONNECTION), (False, Deed.END_CONNECTION)]
)
def test_a_cancellation_cut_off_anywhere_and_perhaps_never_repeated_happens_whole_or_not_at_all(
    house: House, production: Production, victims: Victims, repeats: bool, deed: Deed
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(
        lambda: cancellation_of_a_paid_order(house, repeats=repeats), deed, every=SHARE
    )
    survey.assert_clean(points_min=24 // SHARE, through=("stripe POST",))


def test_a_cancellation_of_money_that_was_only_held_lets_go_of_it_once(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    house.sql(
        "UPDATE tenancy.organizations SET settings = CAST(:settings AS jsonb) WHERE id = :o",
        settings=json.dumps({"currency": "USD", "capture_policy": "at_first_shipment"}),
        o=house.organization_id,
    )
    survey = Gauntlet(production, victims).run(lambda: cancellation_of_a_paid_order(house, repeats=True))
    survey.assert_clean(points_min=22, through=("checkout.settle", "/cancel, sent"))
    assert house.charges()["captured"] == 0
