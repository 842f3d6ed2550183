"""Payments are the fold of their events: recomputing them shows exactly what differs, and writes nothing."""

import json
from typing import Any

import pytest

from holdfast.flows.money.refold_payments import Chosen, refold_all
from tests.flows.actions import authenticate, check, ordered, resume
from tests.house import House


@pytest.fixture(autouse=True)
def _shelf(house: House) -> None:
    house.add_variant(stock=50)


def refolded(house: House, **chosen: Any) -> list[dict[str, Any]]:
    pages = refold_all(house.system, house.organization_id, Chosen(**chosen), house.clock())
    return [found for page in pages for found in page["differences"]]


def payment_of(house: House, order_id: str) -> str:
    return str(house.value("SELECT id FROM payments.payments WHERE order_id = :id", id=order_id))


def test_a_payment_told_by_its_answer_and_its_webhooks_is_their_fold(house: House) -> None:
    order_id = ordered(house)
    for event in house.webhooks("payment_intent.succeeded", "charge.succeeded", count=2):
        house.deliver(event)
    house.work()
    house.cancel(order_id)
    resume(house)
    assert refolded(house) == []


def test_answers_that_are_given_again_and_again_add_nothing(house: House) -> None:
    order_id = ordered(house, token="pm_card_authenticationRequired")
    for _ in range(3):
        house.clock.advance(minutes=40)
        check(house)
    assert refolded(house) == []
    before = house.value("SELECT count(*) FROM payments.payment_events")
    house.sql("UPDATE payments.payments SET next_check_at = :now", now=house.clock())
    check(house)
    assert house.value("SELECT count(*) FROM payments.payment_events") - before <= 1
    assert order_id


def test_an_unfinished_and_a_refused_payment_are_folded_too(house: House) -> None:
    ordered(house, token="pm_card_chargeDeclined")
    waiting = ordered(house, token="pm_card_authenticationRequired")
    assert refolded(house) == []
    authenticate(house, waiting, succeed=False)
    house.clock.advance(minutes=40)
    check(house)
    assert refolded(house) == []


@pytest.mark.parametrize(
    ("forged", "differences"),
    [
        ("captured_amount = captured_amount - 1", {"captured_amount"}),
        ("status = 'authorized'", {"status"}),
        ("facts = jsonb_set(facts, '{captured_minor}', '1')", {"facts.captured_minor"}),
        ("facts = facts || '{\"failed\": true}'", {"facts.failed"}),
        ("facts = '{}', status = 'pending', captured_amount = 0", None),
    ],
)
def test_what_was_changed_behind_the_events_back_is_shown_and_nothing_else(
    house: House, forged: str, differences: set[str] | None
) -> None:
    kept, changed = payment_of(house, ordered(house)), payment_of(house, ordered(house))
    house.sql(f"UPDATE payments.payments SET {forged} WHERE id = :id", id=changed)
    before = house.rows("SELECT * FROM payments.payments ORDER BY id")
    found = refolded(house)
    assert {each["payment_id"] for each in found} == {changed} != {kept}
    if differences is not None:
        assert {each["field"] for each in found} == differences
    assert all(each["stored"] != each["refolded"] for each in found)
    assert json.dumps(found)
    assert house.rows("SELECT * FROM payments.payments ORDER BY id") == before


def test_an_event_that_is_not_processed_says_nothing_yet(house: House) -> None:
    order_id = ordered(house)
    house.sql("UPDATE payments.payment_events SET state = 'dead_lettered', processed_at = NULL")
    assert {each["payment_id"] for each in refolded(house)} == {payment_of(house, order_id)}


def test_pages_are_bounded_and_none_is_left_out(house: House) -> None:
    made = [payment_of(house, ordered(house)) for _ in range(5)]
    house.sql("UPDATE payments.payments SET failure_code = 'forged'")
    pages = list(refold_all(house.system, house.organization_id, Chosen(limit=2), house.clock()))
    assert [page["checked"] for page in pages] == [2, 2, 1]
    assert [found["payment_id"] for page in pages for found in page["differences"]] == sorted(made)


def test_one_payment_or_those_since_an_instant_can_be_chosen(house: House) -> None:
    first = payment_of(house, ordered(house))
    house.clock.advance(hours=1)
    since = house.clock()
    second = payment_of(house, ordered(house))
    house.sql("UPDATE payments.payments SET failure_code = 'forged'")
    assert [each["payment_id"] for each in refolded(house, payment_id=first)] == [first]
    assert [each["payment_id"] for each in refolded(house, since=since)] == [second]


def test_an_event_that_cannot_be_read_any_more_is_shown_and_stops_nothing(house: House) -> None:
    kept, changed = payment_of(house, ordered(house)), payment_of(house, ordered(house))
    house.sql("UPDATE payments.payment_events SET news = '{}' WHERE payment_id = :id", id=changed)
    (found,) = refolded(house)
    assert (found["payment_id"], found["field"]) == (changed, "events")
    assert kept != changed
