"""A refund on its way, killed at every point, above all between the gateway's answer and the commit."""

import pytest

from holdfast.payments.refund_plan import Wanted
from prove.steps import watch
from prove.trap import Deed
from tests.faults.gauntlet import Gauntlet, Scene
from tests.faults.production import Production, asked_again
from tests.faults.scenes import ends
from tests.faults.settings import HEAVY
from tests.faults.victims import Victims
from tests.flows.actions import ordered, staff
from tests.house import House
from tests.refunding import at_gateway, given_back, line, refund, refund_command, run_refund, total, units
from tests.shipping import only, shipped

SHARE = 1 if HEAVY else 4


def refund_of_everything(house: House, *, repeats: bool) -> Scene:
    """Staff refund all of a paid order, and ask again with the same key when no answer came."""
    order_id = ordered(house, {"TEE": 2})
    command = refund_command(order_id, Wanted(), staff(house), key=f"refund-{order_id}")
    again = asked_again(lambda: run_refund(house.runtime, house.clock, command))
    return Scene(
        run_refund,
        (command,),
        again=again if repeats else None,
        check=lambda: ends(house, order_id, "cancelled", *(() if repeats else ("confirmed",))),
    )


def refund_of_what_left_in_part(house: House) -> Scene:
    """One of two units has left when everything is refunded; the other must go back to its shelf, whoever dies."""
    order_id = ordered(house, {"TEE": 2})
    shipped(house, only(house, order_id), items={"TEE": 1})
    command = refund_command(order_id, Wanted(), staff(house), key=f"refund-{order_id}")

    def came_back_once() -> list[str]:
        returned = house.value(
            "SELECT sum(quantity) FROM inventory.stock_movements WHERE reference_id = :id AND type = 'return'",
            id=order_id,
        )
        return [*ends(house, order_id, "refunded"), *([] if returned == 1 else [f"{returned} pieces came back"])]

    again = asked_again(lambda: run_refund(house.runtime, house.clock, command))
    return Scene(run_refund, (command,), again=again, check=came_back_once)


def refund_of_a_line(house: House) -> Scene:
    """One of two units is refunded, and asked for until there is an answer; then the rest, to leave nothing behind."""
    order_id, caller = ordered(house, {"TEE": 2}), staff(house)
    command = refund_command(order_id, units(house, order_id, 1), caller, key=f"refund-{order_id}")

    def came_back_once() -> list[str]:
        returned = house.value(
            "SELECT sum(quantity) FROM inventory.stock_movements WHERE reference_id = :id AND type = 'return'",
            id=order_id,
        )
        known = (line(house, order_id)[0], returned, len(at_gateway(house, order_id)))
        problems = [] if known == (1, 1, 1) else [f"units, goods and refunds at the gateway: {known}"]
        if given_back(house, order_id) != sum(amount for _, amount in at_gateway(house, order_id)):
            problems.append("the order and the gateway do not agree on the money")
        refund(house, order_id)
        if given_back(house, order_id) != total(house, order_id):
            problems.append("the rest could not be given back")
        return problems

    def until_it_is_known() -> None:
        asked_again(lambda: run_refund(house.runtime, house.clock, command))()
        house.clock.advance(seconds=120)
        watch(house.system, house.clock)

    return Scene(run_refund, (command,), again=until_it_is_known, check=came_back_once)


def refund_left_to_the_watchdog(house: House) -> Scene:
    """The gateway was down when it was asked, and the watchdog's next run finishes the refund."""
    order_id = ordered(house, {"TEE": 2})
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=503)
    refund(house, order_id)
    house.clock.advance(seconds=120)
    return Scene(watch, as_system=True, check=lambda: ends(house, order_id, "cancelled"))


def test_a_refund_killed_at_any_point_gives_goods_and_money_back_once(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: refund_of_everything(house, repeats=True))
    survey.assert_clean(points_min=20, through=("checkout.settle", "stripe POST /v1/refunds, sent", "COMMIT, sent"))


@pytest.mark.parametrize("deed", [Deed.KILL_PROCESS, Deed.END_CONNECTION])
def test_a_refund_cut_off_anywhere_and_never_repeated_happens_whole_or_not_at_all(
    house: House, production: Production, victims: Victims, deed: Deed
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: refund_of_everything(house, repeats=False), deed, every=SHARE)
    survey.assert_clean(points_min=20 // SHARE, through=())


def test_a_refund_of_a_line_killed_at_any_point_restocks_it_once(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: refund_of_a_line(house), every=SHARE)
    survey.assert_clean(points_min=20 // SHARE, through=())


def test_a_refund_of_a_partly_shipped_order_killed_at_any_point_brings_back_once_what_never_left(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: refund_of_what_left_in_part(house), every=SHARE)
    survey.assert_clean(points_min=20 // SHARE, through=())


def test_a_watchdog_killed_while_it_resumes_a_refund_is_made_up_for_by_its_next_run(
    house: House, production: Production, victims: Victims
) -> None:
    house.add_variant(stock=1_000)
    survey = Gauntlet(production, victims).run(lambda: refund_left_to_the_watchdog(house), every=1 if HEAVY else 2)
    survey.assert_clean(points_min=6, through=())
