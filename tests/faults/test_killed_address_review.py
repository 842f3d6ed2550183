"""An address is settled, or its deadline passes, and the process dies at any point: one ending, and all is right."""

import pytest

from prove.trap import Deed
from tests.faults.gauntlet import Gauntlet
from tests.faults.production import Production
from tests.faults.scenes import correction_by_link, correction_by_staff, deadline_of_a_review, reminder_of_a_review
from tests.faults.settings import HEAVY
from tests.faults.victims import Victims
from tests.flows import moving
from tests.flows.actions import staff
from tests.house import House

SHARE = 1 if HEAVY else 3


@pytest.fixture
def reviewing(house: House) -> House:
    """A house whose goods are in two places, and where corrections of addresses lower the price."""
    moving.shop(house)
    house.add_variant(stock={"EWR": 1_000, "RNO": 1_000})
    return house


def test_a_correction_killed_at_any_point_is_made_once(
    reviewing: House, production: Production, victims: Victims
) -> None:
    survey = Gauntlet(production, victims).run(lambda: correction_by_link(reviewing))
    survey.assert_clean(points_min=12, through=("checkout.settle", "checkout.readdress", "checkout.move_goods"))


def test_a_correction_whose_connection_ends_anywhere_is_made_once(
    reviewing: House, production: Production, victims: Victims
) -> None:
    survey = Gauntlet(production, victims).run(lambda: correction_by_link(reviewing), Deed.END_CONNECTION, every=SHARE)
    survey.assert_clean(points_min=12 // SHARE, through=("",))


def test_a_correction_by_staff_killed_at_any_point_is_made_once(
    reviewing: House, production: Production, victims: Victims
) -> None:
    manager = staff(reviewing)
    survey = Gauntlet(production, victims).run(lambda: correction_by_staff(reviewing, manager), every=SHARE)
    survey.assert_clean(points_min=12 // SHARE, through=("",))


def test_the_deadline_killed_at_any_point_cancels_once_and_returns_everything(
    reviewing: House, production: Production, victims: Victims
) -> None:
    survey = Gauntlet(production, victims).run(lambda: deadline_of_a_review(reviewing))
    survey.assert_clean(points_min=12, through=("checkout.settle", "/refunds, sent"))


def test_a_reminder_killed_at_any_point_goes_out_once(
    reviewing: House, production: Production, victims: Victims
) -> None:
    survey = Gauntlet(production, victims).run(lambda: reminder_of_a_review(reviewing))
    survey.assert_clean(points_min=3, through=("WITH due AS",))
