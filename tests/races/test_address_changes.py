"""An order gets another address while something else happens to it, or to the goods that it wants."""

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from sqlalchemy import text

from holdfast.flows.checkout.place_order import place_order
from holdfast.flows.claims.idempotency import Answer, Claim, fingerprint_of
from holdfast.flows.orders.expire_reservations import expire_reservations
from holdfast.flows.shipping.prepare_shipment import Request, pick_shipment
from holdfast.payments.refund_plan import Wanted
from holdfast.runtime import Runtime
from holdfast.web.answers import change_answer, payment_answer
from prove import steps
from tests.faults.production import Production
from tests.faults.scenes import stored_event
from tests.faults.settings import HEAVY
from tests.faults.verdict import Verdict
from tests.flows.actions import authenticate, intents, ordered, staff, status
from tests.flows.moving import NEWARK, PORTLAND, RENO, readdress_command, refunds, run_readdress, shop
from tests.house import House
from tests.races.crowd import crowd_of, guest, rush, tally
from tests.refunding import refund_command, run_refund

ROUNDS: Final = 40 if HEAVY else 6
ASKS: Final = "pm_card_authenticationRequired"
DIFFERENCE: Final = 265
CHEAPER: Final = 4_799
AGREED: Final = 5_064


def change(house: House, runtime: Runtime, order_id: str, address: Any = PORTLAND) -> Callable[[], Answer]:
    return partial(run_readdress, runtime, house.clock, readdress_command(order_id, address, house.customer))


def buyer(house: House, runtime: Runtime, items: dict[str, int], address: Any = RENO) -> Callable[[], Answer]:
    command = house.command(items, caller=guest(house), address=address)
    return lambda: place_order(runtime, command, house.clock, payment_answer)


def at_gateway(house: House, order_id: str) -> int:
    return sum(made["amount"] for intent in intents(house, order_id) for made in intent["refunds"])


@contextmanager
def watched(house: House, order_id: str, quantity: int) -> Iterator[None]:
    """Watch the order's goods all the while: at every instant, all of them must be set aside."""
    over = threading.Event()
    seen: set[int] = set()

    def look() -> None:
        with house.engine.connect() as connection:
            while not over.is_set():
                row = connection.execute(
                    text(
                        "SELECT sum(quantity) FROM inventory.reservations WHERE order_id = :id"
                        " AND status IN ('active', 'completed')"
                    ),
                    {"id": order_id},
                ).one()
                seen.add(row[0])

    eyes = threading.Thread(target=look)
    eyes.start()
    try:
        yield
    finally:
        over.set()
        eyes.join(30)
    assert seen == {quantity}


def test_the_last_unit_there_is_taken_once_and_the_goods_are_never_free(house: House, production: Production) -> None:
    shop(house)
    for number in range(ROUNDS):
        sku = f"LAST-{number}"
        house.add_variant(sku, stock={"EWR": 20, "RNO": 1})
        order_id = ordered(house, {sku: 1}, address=NEWARK)
        with crowd_of(house, 4) as runtime, watched(house, order_id, 1):
            jobs = [change(house, runtime, order_id, RENO), *(buyer(house, runtime, {sku: 1}) for _ in range(3))]
            assert tally(rush(jobs)) == {"200": 1, "201": 3}
        stock = house.stock(sku)
        assert stock["RNO"] == (0, 0)
        assert stock["EWR"] == (17, 0)
        assert house.violations() == []
    production.until_quiet()
    assert Verdict(production).news() == []


def test_orders_that_change_places_all_at_once_do_not_stop_each_other(house: House, production: Production) -> None:
    shop(house, east_cost=300, west_cost=300)
    skus = ("ONE", "TWO", "THREE")
    for sku in skus:
        house.add_variant(sku, stock={"EWR": 100, "RNO": 100})
    orders = [ordered(house, dict.fromkeys(skus, 1), address=NEWARK if n % 2 else RENO) for n in range(8)]
    with crowd_of(house, 8) as runtime:
        for round_number in range(ROUNDS):
            # One warehouse is cheap and near in one round, the other in the next, so all orders move there and back.
            east, west = (300, 900) if round_number % 2 else (900, 300)
            for code, cost in (("EWR", east), ("RNO", west)):
                house.sql("UPDATE inventory.warehouses SET shipping_cost_base = :c WHERE code = :w", c=cost, w=code)
            address = (RENO, NEWARK)[round_number % 2]
            jobs = [change(house, runtime, order_id, address) for order_id in orders]
            jobs += [buyer(house, runtime, {"THREE": 1, "ONE": 1}) for _ in range(2)]
            assert tally(rush(jobs)) == {"200": 8, "201": 2}
    applied = house.value("SELECT count(*) FROM orders.reallocations WHERE outcome = 'applied'")
    assert applied == 4 + 8 * (ROUNDS - 1)
    assert house.violations() == []
    production.until_quiet()
    assert Verdict(production).news() == []


def test_a_hold_that_expires_while_it_moves_is_let_go_where_it_is(house: House, production: Production) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 20, "RNO": 20})
    for _ in range(ROUNDS):
        order_id = ordered(house, {"TEE": 2}, address=NEWARK, token="pm_card_chargeDeclined")
        house.clock.advance(minutes=16)
        with crowd_of(house, 2) as runtime, crowd_of(house, 2, as_system=True) as system:
            outcomes = rush(
                [
                    change(house, runtime, order_id),
                    lambda system=system: str(expire_reservations(system, house.clock, lambda: 60.0).finished),
                ]
            )
        assert tally(outcomes) == {"200": 1, "True": 1}
        production.minute()
        assert house.stock() == {"EWR": (20, 0), "RNO": (20, 0)}
        assert house.violations() == []
    production.until_quiet()
    assert Verdict(production).news() == []


def test_a_change_that_meets_a_cancellation_leaves_nothing_behind(house: House, production: Production) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 20, "RNO": 20})
    for _ in range(ROUNDS):
        order_id = ordered(house, {"TEE": 2}, address=NEWARK)
        with crowd_of(house, 2) as runtime:
            outcomes = tally(rush([change(house, runtime, order_id), partial(house.cancel, order_id)]))
        assert outcomes["200"] + outcomes["Conflict"] == 2
        production.until_quiet()
        assert status(house, order_id) == "cancelled"
        assert house.stock() == {"EWR": (20, 0), "RNO": (20, 0)}
        assert at_gateway(house, order_id) == AGREED
    assert Verdict(production).news() == []


def test_a_change_that_meets_the_money_gives_the_difference_back_once(house: House, production: Production) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 100, "RNO": 100})
    for _ in range(ROUNDS):
        order_id = ordered(house, {"TEE": 2}, address=NEWARK, token=ASKS)
        authenticate(house, order_id)
        (webhook,) = house.webhooks("payment_intent.succeeded", order_id=order_id)
        event_id = stored_event(house, webhook)
        with crowd_of(house, 3) as runtime, watched(house, order_id, 2):
            settle = partial(steps.apply, runtime, house.clock, house.organization_id, event_id)
            outcomes = tally(rush([change(house, runtime, order_id), settle, settle]))
        assert outcomes["200"] == 1
        production.until_quiet()
        assert status(house, order_id) == "confirmed"
        assert refunds(house, order_id) == [("price_difference", DIFFERENCE, "succeeded")]
        assert at_gateway(house, order_id) == DIFFERENCE
    assert Verdict(production).news() == []


def test_a_difference_and_a_refund_of_everything_are_never_more_than_was_taken(
    house: House, production: Production
) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 100, "RNO": 100})
    caller = staff(house)
    for _ in range(ROUNDS):
        order_id = ordered(house, {"TEE": 2}, address=NEWARK)
        with crowd_of(house, 4) as runtime:
            jobs: list[Callable[[], Answer]] = [
                change(house, runtime, order_id),
                change(house, runtime, order_id, RENO),
                partial(run_refund, runtime, house.clock, refund_command(order_id, Wanted(), caller)),
                partial(run_refund, runtime, house.clock, refund_command(order_id, Wanted(amount_minor=4_900), caller)),
            ]
            outcomes = tally(rush(jobs))
        assert set(outcomes) <= {"200", "201", "Conflict", "RefundExceeds"}
        assert house.violations() == []
        production.until_quiet()
        assert at_gateway(house, order_id) <= AGREED
        if status(house, order_id) == "cancelled":
            assert at_gateway(house, order_id) == AGREED
    assert Verdict(production).news() == []


def test_two_changes_at_the_same_instant_leave_one_address_and_the_lowest_price(
    house: House, production: Production
) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 100, "RNO": 100})
    for _ in range(ROUNDS):
        order_id = ordered(house, {"TEE": 2}, address=NEWARK)
        with crowd_of(house, 4) as runtime:
            places = (PORTLAND, RENO, NEWARK, PORTLAND)
            assert tally(rush([change(house, runtime, order_id, place) for place in places])) == {"200": 4}
        order = house.order(order_id)
        assert order["amounts"]["total_minor"] == CHEAPER
        assert refunds(house, order_id) == [("price_difference", DIFFERENCE, "succeeded")]
        assert order["version"] == 1 + len(order["address_changes"])
        assert house.violations() == []
    production.until_quiet()
    # Whoever came last may have asked for an address at which the order would cost more.
    assert set(Verdict(production).news()) <= {"a person was called for DifferenceBorne"}


def test_goods_that_are_picked_at_the_same_instant_go_where_their_label_says(
    house: House, production: Production
) -> None:
    shop(house)
    house.add_variant(stock={"EWR": 100, "RNO": 100})
    caller = staff(house)
    outcomes: Counter[str] = Counter()
    for _ in range(ROUNDS):
        order_id = ordered(house, {"TEE": 2}, address=NEWARK)
        shipment_id = house.value("SELECT id FROM fulfillment.shipments WHERE order_id = :id", id=order_id)
        claim = Claim(caller.actor, "pick_shipment", uuid.uuid4().hex, fingerprint_of({"shipment": shipment_id}))
        with crowd_of(house, 2) as runtime:
            pick = partial(
                pick_shipment, runtime, Request(caller, claim, shipment_id, 1), house.clock(), change_answer("shipment")
            )
            outcomes += tally(rush([change(house, runtime, order_id), pick]))
        order = house.order(order_id)
        moved = order["shipping_address"]["city"] == "Portland"
        picked = house.rows(
            "SELECT w.code FROM fulfillment.shipments s JOIN inventory.warehouses w"
            " ON w.organization_id = s.organization_id AND w.id = s.warehouse_id"
            " WHERE s.order_id = :id AND s.status = 'picked'",
            id=order_id,
        )
        assert [row["code"] for row in picked] == ([] if moved else ["EWR"])
        assert order["status"] == ("confirmed" if moved else "processing")
        assert house.violations() == []
    # One of the two wins each time, and the one that comes second is told so.
    assert outcomes["200"] + outcomes["201"] == ROUNDS
