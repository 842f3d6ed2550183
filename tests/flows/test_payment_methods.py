"""A payment method is kept once, with its shopper's consent, and pays for its own customer alone until removed."""

import json
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest

from holdfast.flows.checkout.payment_methods import (
    FORGET_ATTEMPTS_MAX,
    forget_methods,
    list_payment_methods,
    make_default,
    remove_payment_method,
)
from holdfast.secrets.store import SecretStore
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import Forbidden, InvalidInput, NotFound
from tests.flows.actions import (
    at_once,
    authenticate,
    check,
    guest,
    intents,
    last_payment,
    ordered,
    staff,
    status,
)
from tests.house import House, document

DETACH = {"operation": "payment_methods.detach"}


def kept(house: House, caller: Caller | None = None) -> list[dict[str, Any]]:
    """Return the methods that are kept for the customer."""
    listed = list_payment_methods(house.runtime, caller or house.customer, house.clock())
    return [dict(row) for row in listed["payment_methods"]]


def keep(house: House, **how: Any) -> UUID:
    """Check out with a new card that is to be kept, and return the id of the kept method."""
    before = {row["id"] for row in kept(house, how.get("caller"))}
    assert house.place(save=True, **how).status == 201
    (fresh,) = {row["id"] for row in kept(house, how.get("caller"))} - before
    return UUID(str(fresh))


def other_customer(house: House) -> Caller:
    return Caller(house.organization_id, CallerKind.CUSTOMER, "bob", "bob@example.com")


def token_of(house: House, payment_method_id: UUID) -> str:
    """Return Stripe's token of the method, as long as it is stored here."""
    return str(house.value("SELECT token FROM tenancy.payment_methods WHERE id = :id", id=payment_method_id))


def at_stripe(house: House, token: str) -> dict[str, Any]:
    """Return the method as Stripe has it."""
    answer = house.http.request(
        "GET", f"{house.stripe_url}/v1/payment_methods/{token}", headers={"Authorization": f"Bearer {house.api_key}"}
    )
    assert answer.status == 200, answer.data
    found: dict[str, Any] = answer.json()
    return found


def test_a_card_is_kept_only_with_consent_and_known_by_its_last_digits(house: House) -> None:
    house.add_variant(stock=10)
    house.place()
    assert kept(house) == []
    keep(house)
    (method,) = kept(house)
    assert (method["gateway"], method["brand"], method["last_four"]) == ("stripe", "visa", "4242")
    assert str(method["expires_on"]) == "2034-12-31"
    assert method["is_default"]
    assert house.violations() == []


def test_no_card_is_kept_of_a_payment_that_failed(house: House) -> None:
    house.add_variant(stock=10)
    assert house.place(save=True, token="pm_card_chargeDeclined").status == 402
    assert kept(house) == []


def test_a_kept_card_pays_in_checkout_and_belongs_to_one_customer_at_the_gateway(house: House) -> None:
    house.add_variant(stock=10)
    first = keep(house)
    keep(house, token="pm_card_mastercard")
    for _ in range(2):
        answer = house.place(payment_method_id=first)
        assert answer.status == 201
        payment = document(answer)["payment"]
        assert (payment["status"], payment["last_four"]) == ("captured", "4242")
    customers = house.rows("SELECT DISTINCT gateway_customer_id FROM payments.payments")
    assert len(customers) == 1
    assert len(kept(house)) == 2, "paying with a kept card keeps nothing new"
    assert house.violations() == []


def test_a_kept_card_pays_again_after_a_decline(house: House) -> None:
    house.add_variant(stock=10)
    method = keep(house)
    order_id = str(document(house.place(token="pm_card_chargeDeclined"))["order"]["id"])
    assert house.pay_again(order_id, payment_method_id=method).status == 201
    assert status(house, order_id) == "confirmed"
    assert house.violations() == []


def test_a_card_can_be_kept_when_paying_again(house: House) -> None:
    house.add_variant(stock=10)
    order_id = str(document(house.place(token="pm_card_chargeDeclined"))["order"]["id"])
    assert house.pay_again(order_id, save=True).status == 201
    assert len(kept(house)) == 1


def test_a_card_whose_bank_asks_is_kept_when_the_money_came(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token="pm_card_authenticationRequired", save=True)
    assert kept(house) == []
    authenticate(house, order_id)
    for webhook in house.webhooks("payment_intent.succeeded"):
        house.deliver(webhook)
        house.work()
    house.clock.advance(hours=1)
    check(house)
    assert len(kept(house)) == 1
    assert house.violations() == []


def test_an_answer_and_all_its_webhooks_keep_one_card(house: House) -> None:
    house.add_variant(stock=10)
    keep(house)
    for webhook in house.webhooks("payment_intent.succeeded", "charge.succeeded", count=2):
        house.deliver(webhook)
    house.work()
    assert len(kept(house)) == 1


def test_a_card_of_a_lost_answer_is_kept_once_and_under_one_customer(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, fault="timeout_after")
    order_id = ordered(house, save=True)
    house.clock.advance(seconds=61)
    check(house)
    assert status(house, order_id) == "confirmed"
    assert len(kept(house)) == 1
    assert len(intents(house, order_id)) == 1


def test_a_guest_keeps_nothing_and_pays_with_nothing_kept(house: House) -> None:
    house.add_variant(stock=10)
    method = keep(house)
    for how in ({"save": True}, {"payment_method_id": method}):
        with pytest.raises(InvalidInput):
            house.place(caller=guest(house), **how)
    for caller in (guest(house), staff(house)):
        with pytest.raises(Forbidden):
            list_payment_methods(house.runtime, caller, house.clock())


def test_somebody_elses_card_is_none_at_all(house: House) -> None:
    house.add_variant(stock=10)
    method, bob = keep(house), other_customer(house)
    house.place(caller=bob)
    assert kept(house, bob) == []
    for stranger in (method, uuid4()):
        with pytest.raises(InvalidInput):
            house.place(caller=bob, payment_method_id=stranger)
        with pytest.raises(NotFound):
            make_default(house.runtime, bob, stranger, house.clock())
        with pytest.raises(NotFound):
            remove_payment_method(house.runtime, bob, stranger, house.clock)
    assert len(kept(house)) == 1


def test_another_shops_card_is_none_at_all(house: House, stripe_url: str, secret_store: SecretStore) -> None:
    house.add_variant(stock=10)
    method = keep(house)
    with House(house.owner, stripe_url, secret_store) as other:
        other.add_variant(stock=10)
        with pytest.raises(InvalidInput):
            other.place(payment_method_id=method)
        with pytest.raises(NotFound):
            remove_payment_method(other.runtime, other.customer, method, other.clock)
        assert kept(other) == []


def test_one_card_is_the_default(house: House) -> None:
    house.add_variant(stock=10)
    first, second = keep(house), keep(house)
    assert [(row["id"], row["is_default"]) for row in kept(house)] == [(first, True), (second, False)]
    make_default(house.runtime, house.customer, second, house.clock())
    make_default(house.runtime, house.customer, second, house.clock())
    assert [(row["id"], row["is_default"]) for row in kept(house)] == [(second, True), (first, False)]


def test_cards_kept_at_the_same_instant_are_all_kept_and_one_is_the_default(house: House) -> None:
    house.add_variant(stock=10)
    house.place()
    at_once(*[lambda: house.place(save=True)] * 4)
    assert sorted(row["is_default"] for row in kept(house)) == [False, False, False, True]
    assert house.violations() == []


def test_a_removed_card_is_gone_here_and_at_the_gateway(house: House) -> None:
    house.add_variant(stock=10)
    method = keep(house)
    token = token_of(house, method)
    assert at_stripe(house, token)["customer"] is not None
    remove_payment_method(house.runtime, house.customer, method, house.clock)
    assert kept(house) == []
    assert at_stripe(house, token)["customer"] is None
    [row] = house.rows("SELECT token, brand, last_four, expires_on, forget_at FROM tenancy.payment_methods")
    assert row.pop("token") == f"forgotten {sha256(token.encode()).hexdigest()}"
    assert set(row.values()) == {None}
    with pytest.raises(InvalidInput):
        house.place(payment_method_id=method)
    with pytest.raises(NotFound):
        remove_payment_method(house.runtime, house.customer, method, house.clock)
    house.clock.advance(days=1)
    assert forget_methods(house.system, house.clock) == 0


def test_a_gateway_that_did_not_hear_of_a_removal_is_told_again(house: House) -> None:
    house.add_variant(stock=10)
    method = keep(house)
    token = token_of(house, method)
    house.stripe_behaves(match=DETACH, http_status=503)
    remove_payment_method(house.runtime, house.customer, method, house.clock)
    assert kept(house) == []
    assert forget_methods(house.system, house.clock) == 0
    house.clock.advance(seconds=61)
    assert forget_methods(house.system, house.clock) == 1
    assert at_stripe(house, token)["customer"] is None
    house.clock.advance(days=1)
    assert forget_methods(house.system, house.clock) == 0
    assert house.failures() == []


def test_a_gateway_that_never_hears_of_a_removal_is_a_persons_task(house: House) -> None:
    house.add_variant(stock=10)
    method = keep(house)
    house.stripe_behaves(match=DETACH, http_status=503, times=None)
    remove_payment_method(house.runtime, house.customer, method, house.clock)
    for _ in range(FORGET_ATTEMPTS_MAX + 2):
        house.clock.advance(hours=1, seconds=1)
        forget_methods(house.system, house.clock)
    assert house.failures() == ["PaymentMethodKept"]
    assert house.value("SELECT forget_attempts FROM tenancy.payment_methods") == FORGET_ATTEMPTS_MAX


def test_late_news_of_its_payment_brings_no_removed_card_back(house: House) -> None:
    house.add_variant(stock=10)
    method = keep(house)
    house.clock.advance(minutes=1)
    remove_payment_method(house.runtime, house.customer, method, house.clock)
    for webhook in house.webhooks("payment_intent.succeeded"):
        house.deliver(webhook)
    assert house.work() == ["processed"]
    assert kept(house) == []


def test_a_removed_card_that_is_the_default_leaves_no_default(house: House) -> None:
    house.add_variant(stock=10)
    first, second = keep(house), keep(house)
    remove_payment_method(house.runtime, house.customer, first, house.clock)
    assert [(row["id"], row["is_default"]) for row in kept(house)] == [(second, False)]
    third = keep(house)
    assert [row["id"] for row in kept(house)] == [third, second]
    assert last_payment(house, ordered(house, payment_method_id=second))["status"] == "captured"


def test_a_card_that_was_forgotten_is_kept_again_by_a_later_payment_alone(house: House) -> None:
    house.add_variant(stock=10)
    method = keep(house)
    told = {"token": token_of(house, method), "gateway_customer_id": "cus_1", "brand": "visa", "last_four": "4242"}
    house.clock.advance(minutes=1)
    remove_payment_method(house.runtime, house.customer, method, house.clock)

    def told_again() -> list[dict[str, Any]]:
        house.sql(
            "SELECT checkout.keep_payment_method(:o, p.order_id, p.id, CAST(:told AS jsonb), :now)"
            " FROM payments.payments p ORDER BY p.created_at DESC LIMIT 1",
            o=house.organization_id,
            told=json.dumps({"id": str(uuid4()), **told}),
            now=house.clock(),
        )
        return kept(house)

    assert told_again() == []
    house.clock.advance(minutes=1)
    ordered(house)
    for _ in range(2):
        [again] = told_again()
        assert again["last_four"] == "4242"
    assert house.value("SELECT count(*) FROM tenancy.payment_methods") == 1
    house.sql("UPDATE tenancy.customers SET deleted_at = :now", now=house.clock())
    house.sql("DELETE FROM tenancy.payment_methods")
    assert told_again() == []
