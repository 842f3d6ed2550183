"""Money on its way back, killed everywhere."""

from tests.faults.gauntlet import Gauntlet
from tests.faults.production import Production
from tests.faults.scenes import cancellation_of_a_paid_order
from tests.faults.victims import Victims
from tests.house import House


def test_a_cancellation_killed_at_any_point_returns_goods_and_money_once(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: cancellation_of_a_paid_order(house, repeats=True))
    survey.assert_clean(points_min=35, through=("checkout.settle", "stripe POST /v1/refunds, sent"))
