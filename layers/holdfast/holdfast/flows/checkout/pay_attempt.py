"""Pay an attempt and answer the request that made it, or take over from a process that died halfway."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.charge_payment import (
    Attempt,
    AttemptTooOld,
    GatewayAnswer,
    Question,
    ask_gateway,
    attempt_of,
    record_answer,
)
from holdfast.flows.claims.idempotency import Answer, Claim, Resume, store_answer_and_commit, take_over
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.locked_order import lock_order
from holdfast.runtime import Runtime
from holdfast.values.caller import Caller

Render = Callable[[Mapping[str, Any], UUID], Answer]
"""Turns the order's view and the payment's id into the answer that is stored and sent."""


def pay_attempt(
    runtime: Runtime, attempt: Attempt, claim: Claim, actor: str, clock: Callable[[], datetime], render: Render
) -> Answer:
    """Charge, then store the outcome and the answer in one transaction."""
    return _store(runtime, attempt, ask_gateway(runtime, attempt, clock), claim, actor, clock, render)


def _store(
    runtime: Runtime,
    attempt: Attempt,
    gateway_answer: GatewayAnswer,
    claim: Claim,
    actor: str,
    clock: Callable[[], datetime],
    render: Render,
) -> Answer:
    def work(transaction: Transaction) -> tuple[bool, Answer]:
        recorded = record_answer(transaction, attempt, gateway_answer)
        answer = render(recorded.view, attempt.payment_id)
        store_answer_and_commit(transaction, claim, answer)
        return recorded.owes_money, answer

    owes_money, answer = runtime.database.transact(attempt.organization_id, work, now=clock(), actor=actor)
    if owes_money:
        return_money_owed(runtime, attempt.organization_id, attempt.order_id, clock)
    ring_outbox_bell(runtime)
    return answer


def resume_attempt(
    runtime: Runtime,
    caller: Caller,
    claim: Claim,
    resume: Resume,
    clock: Callable[[], datetime],
    render: Render,
    *,
    first_attempt: bool,
) -> Answer | None:
    """Take over a claim whose holder died, and answer it.

    Return ``None`` if another process was faster and has answered or will answer. The claim is for the order's first
    attempt, or with ``first_attempt=False`` for its latest. The outcome of the charge is looked up under its own
    idempotency key. If the attempt is too old for that, the answer is the order as it stands.
    """
    now = clock()
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        # Lock the order before the claim, as storing an answer does, so that the two cannot deadlock.
        order = lock_order(transaction, resume.order_id)
        if not take_over(transaction, claim, now):
            return None
    payment = order.payments[0 if first_attempt else -1]
    if payment.is_open:
        attempt = attempt_of(caller.organization_id, order, payment)
        with suppress(AttemptTooOld):
            found = ask_gateway(runtime, attempt, clock, Question.LOOK_UP)
            return _store(runtime, attempt, found, claim, caller.actor, clock, render)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        view: Mapping[str, Any] = transaction.value(
            "SELECT checkout.order_view(:organization_id, :order_id)",
            organization_id=caller.organization_id,
            order_id=resume.order_id,
        )
        answer = render(view, payment.id)
        store_answer_and_commit(transaction, claim, answer)
    return answer
