"""A checkout that keeps its card, killed at every point: one charge, one order, one card kept for it."""

from prove import steps
from prove.trap import Deed
from tests.faults.gauntlet import Gauntlet, Scene
from tests.faults.production import Production, asked_again
from tests.faults.settings import HEAVY
from tests.faults.victims import Victims
from tests.house import House

SHARE = 1 if HEAVY else 2


def keeping(house: House) -> Scene:
    command = house.command({"TEE": 1}, save=True)
    return Scene(steps.place, (command,), again=asked_again(lambda: steps.place(house.runtime, house.clock, command)))


def test_a_checkout_killed_at_any_point_keeps_one_card_for_each_order_that_was_paid(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: keeping(house), Deed.KILL_PROCESS, every=SHARE)
    survey.assert_clean(points_min=14 // SHARE, through=("stripe POST",))
    paid = house.value("SELECT count(*) FROM orders.orders WHERE status = 'confirmed'")
    assert paid > 0
    assert house.value("SELECT count(*) FROM tenancy.payment_methods WHERE deleted_at IS NULL") == paid
    assert house.value("SELECT count(*) FROM tenancy.payment_methods WHERE is_default") == 1
