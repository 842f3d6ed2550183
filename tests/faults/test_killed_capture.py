"""The capture of held money, killed at every point: after the watchdog, money and order agree, captured once."""

import json

import pytest

from prove.trap import Deed
from tests.faults.gauntlet import Gauntlet
from tests.faults.production import Production
from tests.faults.scenes import authorization_about_to_end, capture_by_hand
from tests.faults.settings import HEAVY
from tests.faults.victims import Victims
from tests.flows.actions import staff
from tests.house import House

SHARE = 1 if HEAVY else 3


@pytest.fixture
def holding(house: House) -> House:
    """A house whose money is held until its goods leave."""
    house.add_variant(stock=1_000)
    house.sql(
        "UPDATE tenancy.organizations SET settings = CAST(:settings AS jsonb) WHERE id = :o",
        settings=json.dumps({"currency": "USD", "capture_policy": "at_first_shipment"}),
        o=house.organization_id,
    )
    return house


def test_a_capture_killed_at_any_point_takes_the_money_once(
    holding: House, production: Production, victims: Victims
) -> None:
    caller = staff(holding)
    survey = Gauntlet(production, victims).run(lambda: capture_by_hand(holding, caller))
    survey.assert_clean(points_min=16, through=("checkout.settle", "/capture, sent"))


def test_a_capture_whose_connection_ends_anywhere_takes_the_money_once(
    holding: House, production: Production, victims: Victims
) -> None:
    caller = staff(holding)
    survey = Gauntlet(production, victims).run(
        lambda: capture_by_hand(holding, caller), Deed.END_CONNECTION, every=SHARE
    )
    survey.assert_clean(points_min=16 // SHARE, through=("",))


def test_the_watchdog_killed_over_an_authorization_about_to_end_takes_the_money_once(
    holding: House, production: Production, victims: Victims
) -> None:
    survey = Gauntlet(production, victims).run(lambda: authorization_about_to_end(holding), every=SHARE)
    survey.assert_clean(points_min=16 // SHARE, through=("",))
