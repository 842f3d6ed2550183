"""Placing and paying, killed everywhere."""

import pytest

from tests.faults import steps
from tests.faults.errand import Deed
from tests.faults.gauntlet import Gauntlet, Scene
from tests.faults.production import Production
from tests.faults.victims import Victims
from tests.house import House

THROUGH = ("checkout.facts", "checkout.place", "stripe POST /v1/payment_intents, sent", "checkout.settle", "aws SendMessage")


@pytest.mark.parametrize("shopper_returns", [True, False])
def test_a_checkout_killed_at_any_point_ends_confirmed_or_without_a_trace(
    house: House, production: Production, victims: Victims, shopper_returns: bool
) -> None:
    house.add_variant(stock=1_000)

    def scene() -> Scene:
        command = house.command({"TEE": 2})

        def same_answer_twice() -> list[str]:
            first, second = (steps.place(house.runtime, house.clock, command) for _ in range(2))
            return [] if first == second else ["the same key was answered differently"]

        return Scene(
            steps.place,
            (command,),
            again=same_answer_twice if shopper_returns else None,
            check=same_answer_twice,
        )

    survey = Gauntlet(production, victims).run(scene)
    survey.assert_clean(points_min=16, through=THROUGH)
