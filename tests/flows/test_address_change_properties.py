"""All invariants hold, whatever addresses orders are given, however often, and whatever else happens to them."""

import random
from contextlib import suppress
from typing import Any

import pytest

from holdfast.payments.model import RestockReason
from holdfast.payments.refund_plan import Wanted
from holdfast.values.errors import Rejected
from tests.faults.settings import HEAVY
from tests.flows.actions import authenticate, expire, intents, ordered
from tests.flows.moving import BERLIN, NEWARK, NOWHERE, PORTLAND, RENO, readdress, settings, shop
from tests.flows.reviewing import ALSO_UNKNOWN, TO_RENO, answer, token, watch
from tests.house import House
from tests.premises import DENVER
from tests.refunding import refund, units

ADDRESSES = (DENVER, NEWARK, RENO, PORTLAND, BERLIN, NOWHERE)
TOKENS = ("pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired")
ACTIONS = 60 if HEAVY else 25
SEEDS = range(20 if HEAVY else 3)
SKUS = ("TEE", "CAP")


class Shoppers:
    """Take random actions, all drawn from one seed."""

    def __init__(self, house: House, seed: int) -> None:
        self.house, self.chance = house, random.Random(seed)
        self.orders: list[str] = []
        self.totals: dict[str, int] = {}

    def act(self) -> None:
        """Take one random action. A rejected action changes nothing, as the invariants show afterwards."""
        weights = {
            "buy": 3,
            "move": 8,
            "answer": 4,
            "pay": 2,
            "settle": 2,
            "cost": 2,
            "wait": 1,
            "give_back": 1,
            "cancel": 1,
        }
        (name,) = self.chance.choices(list(weights), list(weights.values()))
        with suppress(Rejected):
            getattr(self, name)()

    def buy(self) -> None:
        items = {sku: self.chance.randint(1, 2) for sku in self.chance.sample(SKUS, self.chance.randint(1, 2))}
        how: dict[str, Any] = {"address": self.chance.choice(ADDRESSES), "token": self.chance.choice(TOKENS)}
        self.orders.append(ordered(self.house, items, **how))

    def move(self) -> None:
        order_id = self.chance.choice(self.orders)
        answer = readdress(self.house, order_id, self.chance.choice(ADDRESSES))
        assert answer["price"]["total_minor"] <= self.totals.get(order_id, answer["price"]["agreed_minor"])
        reallocation = answer["reallocation"]
        if reallocation["applied"]:
            assert reallocation["saving_minor"] * 4 > reallocation["old_cost_minor"]

    def answer(self) -> None:
        """Correct an address that is under review as its shopper, or confirm it."""
        waiting = self.house.rows("SELECT order_id FROM addresses.reviews WHERE resolved_at IS NULL ORDER BY id")
        if waiting:
            link = token(self.house, str(self.chance.choice(waiting)["order_id"]))
            answer(self.house, link, self.chance.choice((None, TO_RENO, ALSO_UNKNOWN)), confirm=True)

    def pay(self) -> None:
        self.house.pay_again(self.chance.choice(self.orders))

    def settle(self) -> None:
        order_id = self.chance.choice(self.orders)
        if any(intent["status"] == "requires_action" for intent in intents(self.house, order_id)):
            authenticate(self.house, order_id)
            for webhook in self.house.webhooks("payment_intent.succeeded", order_id=order_id):
                self.house.deliver(webhook)
            self.house.work()

    def cost(self) -> None:
        for code in ("EWR", "RNO"):
            amount = self.chance.choice((0, 300, 500, 900))
            self.house.sql("UPDATE inventory.warehouses SET shipping_cost_base = :c WHERE code = :w", c=amount, w=code)

    def wait(self) -> None:
        self.house.clock.advance(minutes=self.chance.choice((5, 20, 60 * 26)))
        expire(self.house)
        watch(self.house)

    def give_back(self) -> None:
        order_id = self.chance.choice(self.orders)
        sku = self.house.order(order_id)["items"][0]["sku"]
        wanted = self.chance.choice(
            (
                Wanted(amount_minor=self.chance.randint(1, 500)),
                Wanted(shipping_minor=100),
                units(self.house, order_id, 1, RestockReason.RESELLABLE, sku=sku),
            )
        )
        refund(self.house, order_id, wanted)

    def cancel(self) -> None:
        self.house.cancel(self.chance.choice(self.orders))


@pytest.mark.parametrize("seed", SEEDS)
def test_orders_may_move_as_often_as_they_like(house: House, seed: int) -> None:
    shop(house)
    settings(house, capture_policy=random.Random(seed).choice(("at_once", "at_first_shipment")))
    for sku in SKUS:
        house.add_variant(sku, price=1_999, stock={"EWR": 12, "RNO": 12})
    shoppers = Shoppers(house, seed)
    shoppers.buy()
    for number in range(ACTIONS):
        shoppers.act()
        assert house.violations() == [], f"seed {seed}, action {number}"
        for order_id in shoppers.orders:
            total = house.order(order_id)["amounts"]["total_minor"]
            assert total <= shoppers.totals.get(order_id, total), f"seed {seed}, action {number}"
            shoppers.totals[order_id] = total
    for order_id in shoppers.orders:
        with suppress(Rejected):
            house.cancel(order_id)
    house.clock.advance(days=1)
    expire(house)
    watch(house)
    assert house.violations() == []
