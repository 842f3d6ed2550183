"""Only those who may buy do.

An address belongs to nobody until a token vouches for it. A shopper who was suspended or erased buys nothing, however
late that becomes known.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from holdfast.flows.archive.erase_customer import erase_customer
from holdfast.flows.archive.export_customer import export_customer
from holdfast.flows.checkout import place_order as placing
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import Forbidden
from holdfast.web.answers import payment_answer
from tests.archive.scenes import delivered
from tests.flows.actions import at_once, expire, guest, ordered, staff
from tests.house import House, document

VICTIM = "victim@example.com"


@pytest.fixture(autouse=True)
def goods(house: House) -> None:
    """Ten tees, for whoever may buy them."""
    house.add_variant(stock=10)


def registered(house: House, subject: str, email: str | None) -> Caller:
    return Caller(house.organization_id, CallerKind.CUSTOMER, subject, email)


def buys(house: House, caller: Caller, email: str | None = None) -> dict[str, Any]:
    command = replace(house.command(caller=caller), email=email)
    answer = placing.place_order(house.runtime, command, house.clock, payment_answer)
    assert answer.status == 201
    order: dict[str, Any] = document(answer)["order"]
    return order


def emails(house: House) -> dict[str, str | None]:
    rows = house.rows("SELECT COALESCE(auth_subject, 'a guest') AS who, email FROM tenancy.customers ORDER BY id")
    return {row["who"]: row["email"] for row in rows}


def erase(house: House, customer_id: str | UUID) -> dict[str, Any]:
    admin = staff(house, "admin")
    return erase_customer(house.runtime, admin, UUID(str(customer_id)), reason="asked for", now=house.clock())


def just_before_the_order_is_written(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[None]:
    """Do something once between reading the facts and writing the order; return a list with an entry per decision."""
    decisions: list[None] = []
    decide = placing._decided

    def decided(*told: Any) -> Any:
        decisions.append(None)
        if len(decisions) == 1:
            act()
        return decide(*told)

    monkeypatch.setattr(placing, "_decided", decided)
    return decisions


def test_the_address_that_somebody_writes_locks_nobody_out(house: House) -> None:
    """Buying with somebody else's address in the body once claimed it for good, and its owner got a 409."""
    assert buys(house, registered(house, "mallory", "mallory@example.com"), VICTIM)["email"] == VICTIM
    assert buys(house, registered(house, "nameless", None), VICTIM)["email"] == VICTIM
    assert buys(house, guest(house), VICTIM)["email"] == VICTIM
    assert buys(house, registered(house, "victim", VICTIM))["email"] == VICTIM
    assert emails(house) == {"mallory": "mallory@example.com", "nameless": None, "a guest": None, "victim": VICTIM}
    assert house.violations() == []


def test_two_accounts_with_one_address_both_buy(house: House) -> None:
    """Either the first was deleted at the identity provider and its owner came back, or the user pool allows it."""
    first, second = (registered(house, subject, VICTIM) for subject in ("first", "second"))
    assert buys(house, first)["customer_id"] != buys(house, second)["customer_id"]
    assert emails(house) == {"first": VICTIM, "second": VICTIM}
    at_once(*[lambda who=who: buys(house, who) for who in (first, second)])


def test_an_order_is_written_to_where_its_shopper_wrote_else_to_the_address_of_the_token(house: House) -> None:
    assert buys(house, house.customer)["email"] == "ada@example.com"
    assert buys(house, house.customer, "work@example.com")["email"] == "work@example.com"
    assert emails(house) == {"ada": "ada@example.com"}


@pytest.mark.parametrize("is_guest", [True, False])
def test_somebody_suspended_buys_nothing_and_asks_no_gateway(house: House, is_guest: bool) -> None:
    shopper = guest(house) if is_guest else house.customer
    ordered(house, caller=shopper)
    house.sql("UPDATE tenancy.customers SET status = 'suspended'")
    with pytest.raises(Forbidden):
        house.place(caller=shopper)
    house.sql("UPDATE tenancy.customers SET status = 'active'")
    ordered(house, caller=shopper)
    assert house.charges()["payment_intents"] == 2
    assert house.stock() == {"EWR": (8, 0)}


@pytest.mark.parametrize("is_held", [True, False])
def test_somebody_suspended_does_not_pay_an_order_placed_before(house: House, is_held: bool) -> None:
    order_id = ordered(house, token="pm_card_chargeDeclined")
    house.sql("UPDATE tenancy.customers SET status = 'suspended'")
    if not is_held:
        house.clock.advance(hours=1)
        assert expire(house).released == 1
    stock, charges = house.stock(), house.charges()
    with pytest.raises(Forbidden):
        house.pay_again(order_id)
    assert (house.stock(), house.charges()) == (stock, charges)
    assert house.value("SELECT count(*) FROM payments.payments") == 1
    house.sql("UPDATE tenancy.customers SET status = 'active'")
    assert document(house.pay_again(order_id))["order"]["status"] == "confirmed"
    assert house.violations() == []


def test_an_erased_guest_buys_in_a_new_session_and_its_orders_can_be_erased_too(house: House) -> None:
    shopper = guest(house)
    delivered(house, caller=shopper)
    erase(house, shopper.guest_id or "")
    with pytest.raises(Forbidden, match="new guest session"):
        house.place(caller=shopper)
    assert house.value("SELECT count(*) FROM orders.orders") == 1
    again = guest(house)
    delivered(house, caller=again)
    assert erase(house, again.guest_id or "")["active_orders"] == 1


def test_an_erased_customer_begins_anew_and_can_be_erased_again(house: House) -> None:
    [first] = delivered(house)
    erased = house.order(first)["customer_id"]
    erase(house, erased)
    [second] = delivered(house)
    anew = house.order(second)["customer_id"]
    assert anew != erased
    admin = staff(house, "admin")
    told = export_customer(house.runtime, admin, UUID(anew), before=None, limit=10, now=house.clock())
    assert told["customer"]["email"] == "ada@example.com"
    assert erase(house, anew)["active_orders"] == 1


@pytest.mark.parametrize("is_guest", [True, False])
def test_who_is_suspended_between_the_facts_and_the_order_buys_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, is_guest: bool
) -> None:
    shopper = guest(house) if is_guest else house.customer
    ordered(house, caller=shopper)
    decisions = just_before_the_order_is_written(
        monkeypatch, lambda: house.sql("UPDATE tenancy.customers SET status = 'suspended'")
    )
    with pytest.raises(Forbidden):
        house.place(caller=shopper)
    assert len(decisions) == 1, "refused by the facts that were read anew"
    assert house.value("SELECT count(*) FROM orders.orders") == 1
    assert house.value("SELECT count(*) FROM orders.idempotency_keys") == 1
    assert house.charges()["payment_intents"] == 1


def test_a_guest_who_is_erased_between_the_facts_and_the_order_buys_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopper = guest(house)
    delivered(house, caller=shopper)
    just_before_the_order_is_written(monkeypatch, lambda: erase(house, shopper.guest_id or ""))
    with pytest.raises(Forbidden, match="new guest session"):
        house.place(caller=shopper)
    assert house.value("SELECT count(*) FROM orders.orders") == 1


def test_a_customer_who_is_erased_between_the_facts_and_the_order_buys_as_somebody_new(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = delivered(house)
    erased = house.order(first)["customer_id"]
    decisions = just_before_the_order_is_written(monkeypatch, lambda: erase(house, erased))
    order = document(house.place())["order"]
    assert len(decisions) == 2
    assert order["customer_id"] != erased
    assert house.value("SELECT email FROM orders.orders WHERE id = :id", id=first) == "erased"
