"""A parcel on its way out, killed at every point: money, parcel and order agree, and everything happens once."""

import pytest

from prove.trap import Deed
from tests.faults.gauntlet import Gauntlet
from tests.faults.production import Production
from tests.faults.scenes import parcel_about_to_leave
from tests.faults.settings import HEAVY
from tests.faults.victims import Victims
from tests.flows.actions import staff
from tests.house import House
from tests.shipping import capture_policy

SHARE = 1 if HEAVY else 3


@pytest.fixture
def holding(house: House) -> House:
    """A house whose money is held until its goods leave."""
    house.add_variant(stock=2_000)
    capture_policy(house, "at_first_shipment")
    return house


def test_a_parcel_killed_at_any_point_leaves_once_with_its_money(
    holding: House, production: Production, victims: Victims
) -> None:
    caller = staff(holding)
    survey = Gauntlet(production, victims).run(lambda: parcel_about_to_leave(holding, caller))
    survey.assert_clean(points_min=24, through=("checkout.settle", "/capture, sent", "fulfillment.shipments"))


def test_a_part_of_a_parcel_killed_at_any_point_leaves_once_and_the_rest_waits(
    holding: House, production: Production, victims: Victims
) -> None:
    caller = staff(holding)
    survey = Gauntlet(production, victims).run(lambda: parcel_about_to_leave(holding, caller, pieces=3), every=SHARE)
    survey.assert_clean(points_min=24 // SHARE, through=("",))


def test_a_parcel_that_nobody_asks_about_again_leaves_by_the_watchdog(
    holding: House, production: Production, victims: Victims
) -> None:
    caller = staff(holding)
    survey = Gauntlet(production, victims).run(
        lambda: parcel_about_to_leave(holding, caller, returns=False), every=SHARE
    )
    survey.assert_clean(points_min=24 // SHARE, through=("",))


def test_a_parcel_whose_connection_ends_anywhere_leaves_once_with_its_money(
    holding: House, production: Production, victims: Victims
) -> None:
    caller = staff(holding)
    survey = Gauntlet(production, victims).run(
        lambda: parcel_about_to_leave(holding, caller), Deed.END_CONNECTION, every=SHARE
    )
    survey.assert_clean(points_min=24 // SHARE, through=("",))
