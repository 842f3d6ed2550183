"""Actions of the conformance cases, at whichever gateway stands behind the stage."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from holdfast.gateways.port import (
    CaptureOutcome,
    GatewayEvent,
    GatewayRefused,
    Outcome,
    PaymentSnapshot,
    RefundOutcome,
    RefundSnapshot,
)
from holdfast.values.money import Money
from tests.gateways.stage import Asked, Stage

DEADLINE_SECONDS = 5.0


def held(stage: Stage, amount_minor: int = 1999) -> PaymentSnapshot:
    request = stage.request(capture_now=False, amount_minor=amount_minor)
    return stage.gateway.authorize(request, deadline_seconds=DEADLINE_SECONDS)


def paid(stage: Stage, amount_minor: int = 1999) -> PaymentSnapshot:
    return stage.gateway.authorize(stage.request(amount_minor=amount_minor), deadline_seconds=DEADLINE_SECONDS)


def give_back(stage: Stage, payment: PaymentSnapshot, amount_minor: int) -> RefundSnapshot:
    return stage.gateway.refund(
        payment.gateway_transaction_id,
        Money(amount_minor, "USD"),
        idempotency_key=f"refund-{uuid4()}",
        refund_id=uuid4(),
        reason="requested_by_customer",
        deadline_seconds=DEADLINE_SECONDS,
    )


def fetch(stage: Stage, payment: PaymentSnapshot) -> PaymentSnapshot:
    return stage.truth(payment.gateway_transaction_id)


def settled(stage: Stage, refund: RefundSnapshot) -> RefundSnapshot:
    """Return the refund in its final state; at some gateways it is pending at first."""
    if not stage.refunds_settle_later:
        return refund
    assert refund.status is RefundOutcome.PENDING
    stage.events_until("refund_succeeded")
    return stage.truth_of_refund(refund.gateway_refund_id)


def changed(stage: Stage, answer: PaymentSnapshot, *news: str) -> PaymentSnapshot:
    """Return what a change led to, by its answer or, where the answer only says "received", by the news."""
    if not stage.settles_later:
        return answer
    assert (answer.outcome, answer.amount) == (Outcome.PROCESSING, None)
    stage.events_until(*news)
    return fetch(stage, answer)


@contextmanager
def refusal(stage: Stage, asked: Asked) -> Iterator[None]:
    """Expect a refusal of the request inside: at once, or by webhook after the request was accepted."""
    if stage.settles_later:
        yield
        stage.await_refusal(asked)
    else:
        with pytest.raises(GatewayRefused):
            yield


def take(
    stage: Stage, payment: PaymentSnapshot, amount_minor: int, *, is_final: bool = True, key: str | None = None
) -> PaymentSnapshot:
    return stage.gateway.capture(
        payment.gateway_transaction_id,
        Money(amount_minor, "USD"),
        idempotency_key=key or f"capture-{uuid4()}",
        is_final=is_final,
        deadline_seconds=DEADLINE_SECONDS,
    )


def taken(stage: Stage, payment: PaymentSnapshot, amount_minor: int, *, is_final: bool, nth: int) -> PaymentSnapshot:
    """Capture, and return the payment once news of its `nth` capture has arrived."""
    answer = take(stage, payment, amount_minor, is_final=is_final)
    stage.events_until(*["capture_succeeded"] * nth)
    return fetch(stage, payment) if stage.settles_later else answer


def let_go(stage: Stage, payment: PaymentSnapshot) -> PaymentSnapshot:
    """Release what the captures left, where a final capture does not do so by itself."""
    if stage.gateway.releases_rest:
        return fetch(stage, payment)
    return changed(stage, cancel(stage, payment), "cancellation_succeeded")


def cancel(stage: Stage, payment: PaymentSnapshot) -> PaymentSnapshot:
    return stage.gateway.cancel(
        payment.gateway_transaction_id, idempotency_key=f"cancel-{uuid4()}", deadline_seconds=DEADLINE_SECONDS
    )


def told_of_captures(event: GatewayEvent) -> int:
    """Return how much an event says was captured, by its cumulative figure or else by the captures that it names."""
    named = sum(one.amount.amount_minor for one in event.captures if one.status is CaptureOutcome.SUCCEEDED)
    return event.captured_minor or named
