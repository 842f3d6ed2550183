"""A change of address, killed at every point: the goods are somewhere, and the difference is refunded once."""

import pytest

from prove.trap import Deed
from tests.faults.gauntlet import Gauntlet, Scene
from tests.faults.production import Production, asked_again
from tests.faults.scenes import ends, fresh_sku
from tests.faults.settings import HEAVY
from tests.faults.victims import Victims
from tests.flows.actions import intents, ordered
from tests.flows.moving import NEWARK, PORTLAND, holds, readdress_command, refunds, run_readdress, shop
from tests.house import House

SHARE = 1 if HEAVY else 4
DIFFERENCE = 265


def sold_in_two_places(house: House) -> str:
    sku = fresh_sku(house, 10)
    house.receive(sku, "RNO", 10)
    return sku


def paid_order_moves(house: House, *, repeats: bool) -> Scene:
    """The shopper of a paid order moves to where no tax is due, and asks again with the same key if unanswered."""
    order_id = ordered(house, {sold_in_two_places(house): 2}, address=NEWARK)
    command = readdress_command(order_id, PORTLAND, house.customer, key=f"moves-{order_id}")
    again = asked_again(lambda: run_readdress(house.runtime, house.clock, command))

    def all_or_nothing() -> list[str]:
        problems = ends(house, order_id, "confirmed")
        moved = house.order(order_id)["shipping_address"]["city"] == "Portland"
        if repeats and not moved:
            problems.append("the address was not changed")
        known = (holds(house, order_id), refunds(house, order_id), at_gateway(house, order_id))
        if known not in (BEFORE, AFTER) or (known == AFTER) != moved:
            problems.append(f"holds, refunds and refunds at the gateway: {known}")
        return problems

    return Scene(run_readdress, (command,), again=again if repeats else None, check=all_or_nothing)


BEFORE = ([("EWR", 2, "completed")], [], [])
AFTER = (
    [("EWR", 2, "reallocated"), ("RNO", 2, "completed")],
    [("price_difference", DIFFERENCE, "succeeded")],
    [DIFFERENCE],
)


def at_gateway(house: House, order_id: str) -> list[int]:
    """Return the amount of each refund at Stripe."""
    return [made["amount"] for intent in intents(house, order_id) for made in intent["refunds"]]


def unpaid_order_moves(house: House) -> Scene:
    """The order is held and declined. Its hold moves whole or not at all, and is released in the end."""
    order_id = ordered(house, {sold_in_two_places(house): 2}, address=NEWARK, token="pm_card_chargeDeclined")
    command = readdress_command(order_id, PORTLAND, house.customer)
    return Scene(run_readdress, (command,), check=lambda: ends(house, order_id, "cancelled"))


def test_a_change_of_a_paid_order_killed_at_any_point_moves_it_and_gives_the_difference_back_once(
    house: House, production: Production, victims: Victims
) -> None:
    shop(house)
    survey = Gauntlet(production, victims).run(lambda: paid_order_moves(house, repeats=True), every=1 if HEAVY else 2)
    survey.assert_clean(
        points_min=20 if HEAVY else 10,
        through=("checkout.move_goods", "checkout.settle", "stripe POST /v1/refunds, sent") if HEAVY else (),
    )


@pytest.mark.parametrize("deed", [Deed.KILL_PROCESS, Deed.END_CONNECTION])
def test_a_change_cut_off_anywhere_and_never_repeated_happens_whole_or_not_at_all(
    house: House, production: Production, victims: Victims, deed: Deed
) -> None:
    shop(house)
    survey = Gauntlet(production, victims).run(lambda: paid_order_moves(house, repeats=False), deed, every=SHARE)
    survey.assert_clean(points_min=20 // SHARE, through=())


def test_a_change_of_an_unpaid_order_killed_at_any_point_holds_its_goods_somewhere(
    house: House, production: Production, victims: Victims
) -> None:
    shop(house)
    survey = Gauntlet(production, victims).run(lambda: unpaid_order_moves(house), every=SHARE)
    survey.assert_clean(points_min=12 // SHARE, through=())
