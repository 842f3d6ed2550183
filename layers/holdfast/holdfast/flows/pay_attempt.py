"""Pay an attempt and answer the request that made it; or take over from a process that died on the way."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.flows.charge_payment import Attempt, ask_gateway, attempt_of, record_answer
from holdfast.flows.idempotency import Answer, Claim, Resume, store_answer_and_commit, take_over
from holdfast.flows.locked_order import lock_order
from holdfast.flows.return_money import return_money_owed
from holdfast.flows.ring_bell import ring_outbox_bell
from holdfast.runtime import Runtime
from holdfast.values.caller import Caller

Render = Callable[[Mapping[str, Any], UUID], Answer]
"""Turns the order's view and the payment's id into the answer that is stored and sent."""


def pay_attempt(
    runtime: Runtime, attempt: Attempt, claim: Claim, actor: str, clock: Callable[[], datetime], render: Render
) -> Answer:
    """Ask the gateway, then store outcome and answer in one transaction."""
    gateway_answer = ask_gateway(runtime, attempt, clock)
    now = clock()
    with runtime.database.transaction(attempt.organization_id, now=now, actor=actor) as transaction:
        view = record_answer(transaction, attempt, gateway_answer)
        answer = render(view, attempt.payment_id)
        store_answer_and_commit(transaction, claim, answer)
    if view["status"] == "cancelled":
        return_money_owed(runtime, attempt.organization_id, attempt.order_id, clock)
    ring_outbox_bell(runtime)
    return answer


def resume_attempt(
    runtime: Runtime, caller: Caller, claim: Claim, resume: Resume, clock: Callable[[], datetime], render: Render
) -> Answer:
    """Take over a claim whose holder died and answer it; somebody faster makes this a repetition."""
    now = clock()
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        mine = take_over(transaction, claim, now)
        order = lock_order(transaction, resume.order_id)
    latest = order.payments[-1]
    if mine and latest.is_open:
        attempt = attempt_of(caller.organization_id, order, latest)
        return pay_attempt(runtime, attempt, claim, caller.actor, clock, render)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        view: Mapping[str, Any] = transaction.value(
            "SELECT checkout.order_view(:organization_id, :order_id)",
            organization_id=caller.organization_id,
            order_id=resume.order_id,
        )
        answer = render(view, latest.id)
        if mine:
            store_answer_and_commit(transaction, claim, answer)
    return answer
