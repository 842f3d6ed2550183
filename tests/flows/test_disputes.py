"""A disputed payment flags its order and tells a person in time, and money that was lost is not given back."""

from itertools import permutations
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from holdfast.payments.refund_plan import Wanted
from holdfast.values.errors import RefundExceeds
from tests.flows.actions import intents, last_payment, ordered, resume, topics
from tests.house import House
from tests.refunding import refund


@pytest.fixture(autouse=True)
def _shelf(house: House) -> None:
    house.add_variant(stock=50)


def disputed(house: House, order_id: str, *statuses: str) -> list[dict[str, Any]]:
    """Have the shopper's bank take the money back and report these statuses; return the webhooks in their order."""
    (intent,) = intents(house, order_id)
    for status in (None, *statuses):
        house.stripe("POST", f"/payment_intents/{intent['id']}/dispute", {"status": status})
    ends = sum({"won": 2, "lost": 1, "warning_closed": 1}.get(status, 1) for status in statuses)
    words = ("created", "funds_withdrawn", "updated", "closed", "funds_reinstated")

    def about(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [e for e in events if e["data"]["object"]["payment_intent"] == intent["id"]]

    count, expected = 1, 2 + ends
    while len(found := about(house.webhooks(*(f"charge.dispute.{word}" for word in words), count=count))) < expected:
        count += 1
    # Each webhook is an HTTP request of its own, so they may not arrive in the order in which they were sent.
    return sorted(found, key=lambda event: words.index(event["type"].rpartition(".")[2]))


def tell(house: House, *events: dict[str, Any]) -> None:
    for event in events:
        house.deliver(event)
        house.work()


def dispute_of(house: House, order_id: str) -> dict[str, Any]:
    (row,) = house.rows(
        "SELECT d.gateway_dispute_id, d.status, d.outcome, d.amount, d.lost_amount, d.reason, d.due_at, d.closed_at"
        " FROM payments.disputes d JOIN payments.payments p ON p.id = d.payment_id WHERE p.order_id = :id",
        id=order_id,
    )
    return dict(row)


def test_an_opened_dispute_flags_the_order_and_calls_a_person_with_the_date(house: House) -> None:
    order_id = ordered(house)
    events = disputed(house, order_id)
    tell(house, *events, events[0])
    dispute = dispute_of(house, order_id)
    assert (dispute["status"], dispute["outcome"], dispute["lost_amount"]) == ("opened", None, 0)
    assert dispute["reason"] == "fraudulent"
    assert house.order(order_id)["has_open_dispute"]
    assert house.failures() == ["DisputeOpened"]
    details = house.value("SELECT details FROM operations.process_failures")
    assert dispute["due_at"].isoformat() in details
    assert [topic for _, topic in topics(house, order_id)].count("order.dispute_opened") == 1
    assert house.violations() == []


def test_a_won_dispute_clears_the_flag_and_the_inbox(house: House) -> None:
    order_id = ordered(house)
    tell(house, *disputed(house, order_id, "under_review", "won"))
    assert dispute_of(house, order_id)["outcome"] == "won"
    assert not house.order(order_id)["has_open_dispute"]
    assert house.failures() == []
    note = house.value("SELECT resolution_notes FROM operations.process_failures")
    assert note.endswith("ended: won")
    assert last_payment(house, order_id)["charged_back_minor"] == 0
    assert [topic for _, topic in topics(house, order_id)].count("order.dispute_closed") == 1
    assert house.violations() == []


def test_a_lost_dispute_is_taken_off_what_can_be_given_back(house: House) -> None:
    order_id = ordered(house)
    tell(house, *disputed(house, order_id, "lost"))
    payment = last_payment(house, order_id)
    assert (payment["status"], payment["charged_back_minor"]) == ("captured", payment["captured_minor"])
    assert house.failures() == ["DisputeLost"]
    house.cancel(order_id)
    payment = last_payment(house, order_id)
    assert (payment["refunded_minor"], house.charges()["refunded"]) == (0, 0)
    assert house.value("SELECT state FROM orders.order_operations") == "done"
    assert house.violations() == []
    with pytest.raises(DBAPIError, match="payments_refunds_within_captured"):
        house.sql("UPDATE payments.payments SET refunding_amount = 1")


def test_every_order_of_arrival_with_repetitions_ends_in_the_same_rows(house: House) -> None:
    ends = []
    for number, order in enumerate(permutations(range(3))):
        order_id = ordered(house)
        opened, _, reviewed, closed = disputed(house, order_id, "under_review", "lost")
        told = [(opened, reviewed, closed)[position] for position in order]
        tell(house, *told, told[number % 3], told[0])
        row = dispute_of(house, order_id)
        del row["gateway_dispute_id"], row["due_at"], row["closed_at"]
        payment, shown = last_payment(house, order_id), house.order(order_id)
        ends.append((row, payment["status"], payment["charged_back_minor"], shown["status"], shown["has_open_dispute"]))
        told_topics = [topic for _, topic in topics(house, order_id)]
        assert told_topics.count("order.dispute_closed") == 1
        assert told_topics.count("order.dispute_opened") <= 1
    assert all(end == ends[0] for end in ends)
    assert ends[0][0]["outcome"] == "lost"
    assert house.violations() == []


def test_a_dispute_lost_after_a_refund_takes_only_what_was_left(house: House) -> None:
    order_id = ordered(house)
    (intent,) = intents(house, order_id)
    form = {"payment_intent": intent["id"], "amount": "700"}
    answer = house.http.request(
        "POST",
        f"{house.stripe_url}/v1/refunds",
        fields=form,
        headers={"Authorization": f"Bearer {house.api_key}"},
        encode_multipart=False,
    )
    assert answer.status == 200
    refunds = [e for e in house.webhooks("refund.created") if e["data"]["object"]["payment_intent"] == intent["id"]]
    events = [*disputed(house, order_id, "lost"), *refunds]
    tell(house, *events)
    payment = last_payment(house, order_id)
    assert (payment["refunded_minor"], payment["charged_back_minor"]) == (700, payment["captured_minor"] - 700)
    assert dispute_of(house, order_id)["lost_amount"] == payment["captured_minor"]
    assert house.violations() == []


def test_no_refund_is_made_of_what_a_dispute_took(house: House) -> None:
    order_id = ordered(house)
    tell(house, *disputed(house, order_id, "lost"))
    with pytest.raises(RefundExceeds):
        refund(house, order_id, Wanted(amount_minor=1))
    assert house.charges()["refunded"] == 0
    assert house.violations() == []


def test_a_dispute_lost_while_a_refund_is_under_way_takes_the_money_once_that_is_refused(house: House) -> None:
    order_id = ordered(house)
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=503)
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=400)
    refund(house, order_id)
    tell(house, *disputed(house, order_id, "lost"))
    assert last_payment(house, order_id)["charged_back_minor"] == 0, "the refund may have it"
    house.clock.advance(minutes=5)
    resume(house)
    payment = last_payment(house, order_id)
    assert payment["charged_back_minor"] == payment["captured_minor"] > 0
    with pytest.raises(RefundExceeds):
        refund(house, order_id, Wanted(amount_minor=1))
    assert house.charges()["refunded"] == 0
    assert house.violations() == []
