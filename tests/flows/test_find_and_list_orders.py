from typing import Any
from uuid import UUID

import pytest

from holdfast.flows.orders.find_order import find_order
from holdfast.flows.orders.list_orders import PAGE_MAX_ROWS, list_orders
from holdfast.orders.lifecycle import OrderStatus
from holdfast.secrets.store import SecretStore
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import Forbidden, NotFound
from local.postgres import Address
from tests.flows.actions import guest, ordered, staff
from tests.house import House


def page(
    house: House,
    caller: Caller,
    *,
    limit: int = 10,
    before: str | None = None,
    status: OrderStatus | None = None,
) -> dict[str, Any]:
    return list_orders(
        house.runtime,
        caller,
        status=status,
        before=None if before is None else UUID(before),
        limit=limit,
        now=house.clock(),
    )


def ids(found: dict[str, Any]) -> list[str]:
    return [order["id"] for order in found["orders"]]


def test_an_order_is_found_by_id_and_by_number_whatever_its_case(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    number = house.order(order_id)["order_number"]
    assert house.order(number)["id"] == house.order(number.lower())["id"] == order_id
    with pytest.raises(NotFound):
        house.order("HF-0000-0000-0000-0000")
    with pytest.raises(NotFound):
        house.order("'; DROP TABLE orders.orders; --")


def test_the_timeline_tells_every_step_in_order_and_who_took_it(house: House) -> None:
    house.add_variant(stock=10)
    timeline = house.order(ordered(house))["timeline"]
    assert [step["sequence"] for step in timeline] == [1, 2, 3, 4]
    assert [step["from"] for step in timeline] == [None, *[step["to"] for step in timeline[:-1]]]
    assert {step["changed_by"] for step in timeline} == {"customer"}, "a kind, and nobody's name"


def test_shoppers_see_their_own_orders_and_staff_see_all(house: House) -> None:
    house.add_variant(stock=10)
    bob = Caller(house.organization_id, CallerKind.CUSTOMER, "bob", "bob@example.com")
    visitor = guest(house)
    mine, bobs, visitors = ordered(house), ordered(house, caller=bob), ordered(house, caller=visitor)
    assert ids(page(house, house.customer)) == [mine]
    assert ids(page(house, bob)) == [bobs]
    assert ids(page(house, visitor)) == [visitors]
    assert ids(page(house, guest(house))) == []
    assert ids(page(house, Caller(house.organization_id, CallerKind.CUSTOMER, "nobody", None))) == []
    assert sorted(ids(page(house, staff(house, "viewer")))) == sorted([mine, bobs, visitors])
    for caller, foreign in ((bob, mine), (visitor, mine), (house.customer, visitors)):
        with pytest.raises(NotFound):
            find_order(house.runtime, caller, foreign, house.clock())
    with pytest.raises(Forbidden):
        page(house, Caller(house.organization_id, CallerKind.STAFF, "dismissed"))


def test_another_shops_orders_do_not_exist(
    house: House, db: Address, stripe_url: str, secret_store: SecretStore
) -> None:
    with House(db, stripe_url, secret_store) as other:
        other.add_variant(stock=10)
        theirs = ordered(other)
        house.add_variant(stock=10)
        mine = ordered(house)
        manager = staff(house)
        for caller in (house.customer, manager):
            with pytest.raises(NotFound):
                find_order(house.runtime, caller, theirs, house.clock())
        assert ids(page(house, manager)) == [mine]
        with pytest.raises(NotFound):
            house.cancel(theirs, caller=manager)
        assert other.order(theirs)["status"] == "confirmed"


def test_pages_follow_one_another_newest_first_without_gap_or_repetition(house: House) -> None:
    house.add_variant(stock=10)
    placed = []
    for _ in range(5):
        placed.append(ordered(house))
        house.clock.advance(seconds=1)
    for caller in (house.customer, staff(house)):
        seen: list[str] = []
        before = None
        for _ in range(3):
            found = page(house, caller, limit=2, before=before)
            seen += ids(found)
            before = found["next_before"]
        assert seen == placed[::-1]
        assert before is None


def test_a_list_can_be_of_one_status_alone(house: House) -> None:
    house.add_variant(stock=10)
    paid, failed = ordered(house), ordered(house, token="pm_card_chargeDeclined")
    for caller in (house.customer, staff(house)):
        assert ids(page(house, caller, status=OrderStatus.CONFIRMED)) == [paid]
        assert ids(page(house, caller, status=OrderStatus.PAYMENT_FAILED)) == [failed]
        assert ids(page(house, caller, status=OrderStatus.SHIPPED)) == []


def test_a_page_is_bounded(house: House) -> None:
    house.add_variant(stock=10)
    ordered(house)
    house.sql(
        "INSERT INTO orders.orders SELECT (jsonb_populate_record(o, jsonb_build_object('id', tenancy.uuid_v7(:now),"
        " 'order_number', 'HF-' || n))).* FROM orders.orders o, generate_series(1, 150) AS n",
        now=house.clock.now,
    )
    assert len(ids(page(house, house.customer, limit=1_000_000))) == PAGE_MAX_ROWS
