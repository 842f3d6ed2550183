"""A dispute over a payment, as each gateway reports it: news in any order, and however often, ends in one state."""

from itertools import permutations

import pytest

from holdfast.flows.money.event_record import tidings_of
from holdfast.gateways.port import GatewayEvent
from holdfast.payments.state import PaymentFacts, join
from holdfast.values.payment_events import DisputeOutcome
from tests.gateways.stage import Stage


def told_about(stage: Stage, *, won: bool | None) -> list[GatewayEvent]:
    """Return the news about a disputed payment and, given ``won``, about how the dispute ends."""
    payment = stage.gateway.authorize(stage.request(), deadline_seconds=5).gateway_transaction_id
    stage.events_until("capture_succeeded")
    stage.dispute(payment)
    expected = ["capture_succeeded", "dispute_opened"]
    if won is not None:
        stage.dispute(payment, won=won)
        expected.append("dispute_closed")
        expected += ["refund_succeeded"] if stage.gateway.name == "paypal" and not won else []
        expected += ["dispute_closed"] if stage.gateway.name == "stripe" and won else []
    return [event for event in stage.events_until(*expected) if event.event_type]


def ends_of(events: list[GatewayEvent]) -> PaymentFacts:
    """Return the one state in which every order of arrival ends, with and without repetitions."""
    ends = set()
    for order in permutations(events):
        for arrivals in (order, (*order, *reversed(order))):
            facts = PaymentFacts(amount_minor=1999)
            for event in arrivals:
                facts = join(facts, tidings_of(event, None).news)
            ends.add(facts)
    (end,) = ends
    return end


def test_a_dispute_is_opened_with_its_amount_and_the_day_to_answer_by(stage: Stage) -> None:
    facts = ends_of(told_about(stage, won=None))
    (dispute,) = facts.disputes
    assert facts.is_disputed
    assert (dispute.latest.amount_minor, facts.charged_back_minor) == (1999, 0)
    assert dispute.due_at is not None
    assert dispute.reason is not None


@pytest.mark.parametrize("won", [True, False])
def test_a_decided_dispute_leaves_the_money_where_the_gateway_put_it(stage: Stage, won: bool) -> None:
    facts = ends_of(told_about(stage, won=won))
    (dispute,) = facts.disputes
    assert not facts.is_disputed
    assert dispute.outcome is (DisputeOutcome.WON if won else DisputeOutcome.LOST)
    assert facts.refunded_minor + facts.charged_back_minor == (0 if won else 1999)
