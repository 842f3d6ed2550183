import threading
from datetime import timedelta
from typing import Any

import pytest

from holdfast.database.errors import ConnectionLost
from holdfast.database.transaction import Transaction
from holdfast.flows.claims.idempotency import WAIT_MAX_SECONDS, fingerprint_of
from holdfast.flows.operations.keep_house import keep_house
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import IdempotencyKeyReused, OutOfStock, RequestInProgress
from tests.flows.actions import at_once, intents, killed_before_the_gateway_was_asked, ordered
from tests.house import House, document

ASKS = "pm_card_authenticationRequired"


def orders(house: House) -> int:
    return int(house.value("SELECT count(*) FROM orders.orders"))


def test_the_same_key_gets_the_same_answer_byte_for_byte(house: House) -> None:
    house.add_variant(stock=10)
    first = house.place(key="k")
    house.clock.advance(hours=3)
    house.cancel(document(first)["order"]["id"])
    assert house.place(key="k") == first
    assert (orders(house), house.charges()["charges_captured"]) == (1, 1)
    assert house.violations() == []


def test_a_decline_is_repeated_too(house: House) -> None:
    house.add_variant(stock=10)
    first = house.place(key="k", token="pm_card_chargeDeclined")
    assert house.place(key="k", token="pm_card_chargeDeclined") == first
    assert (first.status, orders(house), house.charges()["charges"]) == (402, 1, 1)


def test_the_same_key_with_another_body_is_refused_and_writes_nothing(house: House) -> None:
    house.add_variant(stock=10)
    house.place(key="k")
    with pytest.raises(IdempotencyKeyReused):
        house.place({"TEE": 2}, key="k")
    assert orders(house) == 1
    assert house.violations() == []


def test_the_same_key_of_another_caller_is_another_key(house: House) -> None:
    house.add_variant(stock=10)
    house.place(key="k")
    house.place(key="k", caller=Caller(house.organization_id, CallerKind.CUSTOMER, "bob", "bob@example.com"))
    assert orders(house) == 2
    assert house.violations() == []


def test_a_refusal_leaves_no_claim_and_a_later_try_is_judged_anew(house: House) -> None:
    house.add_variant(stock=0)
    with pytest.raises(OutOfStock):
        house.place(key="k")
    house.receive("TEE", "EWR", 1)
    assert house.place(key="k").status == 201
    assert house.violations() == []


def test_many_requests_with_one_key_at_once_are_one_order_and_one_answer(house: House) -> None:
    house.add_variant(stock=10)
    answers = at_once(*[lambda: house.place(key="k")] * 6)
    assert len(set(answers)) == 1
    assert (orders(house), house.charges()["charges_captured"]) == (1, 1)
    assert house.violations() == []


def test_a_second_request_waits_two_seconds_at_most_and_is_told_to_come_back(house: House) -> None:
    house.add_variant(stock=10)
    killed_before_the_gateway_was_asked(house, key="k")
    waited: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("holdfast.flows.checkout.place_order.time.sleep", waited.append)
        with pytest.raises(RequestInProgress) as refused:
            house.place(key="k")
    assert WAIT_MAX_SECONDS / 2 < sum(waited) <= WAIT_MAX_SECONDS
    assert refused.value.facts["retry_after_seconds"] == 2
    assert house.charges()["charges"] == 0
    assert house.violations() == []


def test_a_second_request_gets_the_answer_that_comes_while_it_waits(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, delay_seconds=0.5)
    first, second = at_once(lambda: house.place(key="k"), lambda: house.place(key="k"))
    assert first == second
    assert house.violations() == []


def test_after_the_lease_the_same_key_pays_what_was_placed(house: House) -> None:
    house.add_variant(stock=10)
    order_id = killed_before_the_gateway_was_asked(house, key="k")
    house.clock.advance(seconds=31)
    answer = house.place(key="k")
    assert document(answer)["order"]["id"] == order_id
    assert document(answer)["order"]["status"] == "confirmed"
    assert house.place(key="k") == answer
    assert (orders(house), len(intents(house, order_id))) == (1, 1)
    assert house.violations() == []


def test_of_many_that_resume_one_pays(house: House) -> None:
    house.add_variant(stock=10)
    killed_before_the_gateway_was_asked(house, key="k")
    house.clock.advance(seconds=31)
    statuses = [answer.status for answer in at_once(*[lambda: house.place(key="k")] * 4)]
    assert statuses == [201] * 4
    assert (orders(house), house.charges()["charges_captured"]) == (1, 1)
    assert house.violations() == []


def test_a_resumed_checkout_answers_for_its_own_attempt_and_not_for_a_later_one(house: House) -> None:
    house.add_variant(stock=10)
    order_id = killed_before_the_gateway_was_asked(house, key="k", token=ASKS)
    assert house.pay_again(order_id).status == 201
    house.clock.advance(seconds=31)
    assert document(house.place(key="k", token=ASKS))["payment"]["attempt"] == 1
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_a_resumed_checkout_that_is_too_old_charges_nothing(house: House) -> None:
    house.add_variant(stock=10)
    order_id = killed_before_the_gateway_was_asked(house, key="k")
    house.clock.advance(hours=25)
    assert document(house.place(key="k"))["payment"]["status"] == "pending"
    assert intents(house, order_id) == []


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_answer_is_lost_is_looked_up_and_paid_once(house: House, committed: bool) -> None:
    house.add_variant(stock=10)
    real = Transaction.execute_and_commit
    lost = threading.Event()

    def lose_the_answer(transaction: Transaction, statement: str, **parameters: Any) -> Any:
        if "checkout.place" not in statement or lost.is_set():
            return real(transaction, statement, **parameters)
        lost.set()
        if committed:
            real(transaction, statement, **parameters)
        raise ConnectionLost("the connection broke at COMMIT")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transaction, "execute_and_commit", lose_the_answer)
        answer = house.place(key="k")
    assert (answer.status, document(answer)["order"]["status"]) == (201, "confirmed")
    assert (orders(house), house.charges()["charges_captured"]) == (1, 1)
    assert house.violations() == []


def test_keys_are_kept_for_a_day(house: House) -> None:
    house.add_variant(stock=10)
    ordered(house, key="k")
    house.clock.advance(hours=23)
    keep_house(house.system, house.clock, lambda: 60.0)
    assert house.value("SELECT count(*) FROM orders.idempotency_keys") == 1
    house.clock.now += timedelta(hours=1, seconds=1)
    keep_house(house.system, house.clock, lambda: 60.0)
    assert house.value("SELECT count(*) FROM orders.idempotency_keys") == 0


def test_the_fingerprint_is_of_the_meaning_and_not_of_the_spelling() -> None:
    assert fingerprint_of({"a": 1, "b": [1, 2]}) == fingerprint_of({"b": [1, 2], "a": 1})
    assert fingerprint_of({"a": [1, 2]}) != fingerprint_of({"a": [2, 1]})
    assert fingerprint_of({"a": 1}) != fingerprint_of({"a": "1"})
