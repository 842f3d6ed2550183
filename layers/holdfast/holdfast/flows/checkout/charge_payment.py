"""Ask the gateway about an attempt whose row is committed, and record the result.

The call is made outside any transaction and has a deadline. Whatever happens to its answer, the gateway knows the
attempt by its idempotency key, and the watchdog finishes it. A gateway's answer and a webhook are processed in the same
way; whichever comes first settles the payment.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final, Self
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.money.event_record import store_event, stored_at, tidings_of
from holdfast.flows.money.settlement import decide, write
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, lock_order
from holdfast.flows.orders.reserve_again import reserve_again
from holdfast.flows.shipping.follow_refunds import follow_refunds, may_move_parcels
from holdfast.flows.shipping.leave_warehouse import leave_if_paid
from holdfast.gateways.answers import event_from_snapshot
from holdfast.gateways.port import AuthorizeRequest, Gateway, GatewayEvent, GatewayRefused, Outcome, PaymentSnapshot
from holdfast.payments.state import derive_status, join
from holdfast.runtime import Runtime
from holdfast.values.errors import InvalidInput, Rejected, Transient
from holdfast.values.ids import uuid7
from holdfast.values.money import Money
from holdfast.values.payment_events import EventType

GATEWAY_DEADLINE_SECONDS: Final = 8.0
ANSWERED: Final = 200
REFUSED: Final = 400
UNDECIDED: Final = frozenset({Outcome.REQUIRES_ACTION, Outcome.PROCESSING})


class AttemptTooOld(Rejected):
    """The attempt's outcome is unknown, and asking the gateway could charge again: a person must look there."""

    code: ClassVar[str] = "attempt_too_old"


class Question(StrEnum):
    """What a gateway is asked about an attempt."""

    CHARGE = "charge"
    """Take the money. This is the first call, made by the process that committed the attempt."""
    LOOK_UP = "look_up"
    """Look up the attempt's state. This may execute an attempt that never reached the gateway."""
    GIVE_UP = "give_up"
    """Look up the attempt's state and cancel it if it is undecided. This never returns money that was taken."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to pay, as committed: what the gateway is asked for, and for which order and customer."""

    organization_id: UUID
    order_id: UUID
    order_number: str
    payment_id: UUID
    gateway: str
    gateway_account_id: UUID
    secret_reference: str
    merchant_account: str | None
    amount: Money
    token: str
    capture_now: bool
    idempotency_key: str
    begun_at: datetime
    customer_id: UUID
    gateway_customer_id: str | None = None
    save_method: bool = False
    gateway_transaction_id: str | None = None
    return_url: str | None = None

    def metadata(self) -> dict[str, str]:
        """Return what is stored with the attempt, so that its request stays the same when the settings change."""
        return {} if self.return_url is None else {"return_url": self.return_url}

    def request(self) -> AuthorizeRequest:
        """Return the attempt in the gateway's terms: always the same request under the same idempotency key."""
        return AuthorizeRequest(
            payment_id=self.payment_id,
            order_id=self.order_id,
            order_number=self.order_number,
            organization_id=self.organization_id,
            amount=self.amount,
            token=self.token,
            idempotency_key=self.idempotency_key,
            capture_now=self.capture_now,
            return_url=self.return_url,
            customer_id=self.customer_id,
            gateway_customer_id=self.gateway_customer_id,
            save_method=self.save_method,
        )


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """What the gateway answered, or that it gave no usable answer."""

    asked: str
    event: GatewayEvent
    snapshot: PaymentSnapshot | None
    duration_ms: int
    status: int | None = ANSWERED
    """ANSWERED or REFUSED; None if no answer came, or none that could be used."""

    @property
    def is_heard(self) -> bool:
        """Whether the gateway gave a usable answer."""
        return self.status is not None


def ask_gateway(
    runtime: Runtime, attempt: Attempt, clock: Callable[[], datetime], question: Question = Question.CHARGE
) -> GatewayAnswer:
    """Ask the gateway within the deadline and return its answer. Refusals and outages are answers too, never raised.

    Without an answer the payment counts as being processed, and the watchdog will ask again. If the gateway refuses the
    charge itself (such as an unknown token), the attempt has failed. If it refuses only a look-up, that says nothing
    about the attempt. Raises AttemptTooOld for a question that must not be asked any more.
    """
    begun = time.monotonic()
    snapshot: PaymentSnapshot | None = None
    status: int | None = ANSWERED
    try:
        gateway = runtime.gateways.gateway(attempt.gateway, attempt.secret_reference, attempt.merchant_account)
        snapshot = _put(gateway, attempt, question, clock())
        if snapshot is None:
            event = _own_event(
                attempt, EventType.AUTHORIZATION_FAILED, clock(), "never_arrived", "the gateway knows nothing of it"
            )
        else:
            event = event_from_snapshot(snapshot, attempt.payment_id, clock())
    except AttemptTooOld:
        raise
    except Rejected as refusal:
        code = refusal.failure_code if isinstance(refusal, GatewayRefused) else refusal.code
        kind = EventType.AUTHORIZATION_FAILED if _ends(refusal, attempt, question) else EventType.PAYMENT_PROCESSING
        event, status = _own_event(attempt, kind, clock(), code, refusal.detail), REFUSED
    except Transient as silence:
        event = _own_event(attempt, EventType.PAYMENT_PROCESSING, clock(), type(silence).__name__, silence.detail)
        status = None
    return GatewayAnswer(question, event, snapshot, round((time.monotonic() - begun) * 1000), status)


def _put(gateway: Gateway, attempt: Attempt, question: Question, now: datetime) -> PaymentSnapshot | None:
    """Make the call that answers the question. Return ``None`` if the gateway certainly never received the attempt."""
    if question is Question.CHARGE:
        return gateway.authorize(attempt.request(), deadline_seconds=GATEWAY_DEADLINE_SECONDS)
    begun = time.monotonic()
    if attempt.gateway_transaction_id is None:
        found = find_attempt(gateway, attempt, now)
    else:
        found = _fetch(gateway, attempt, attempt.gateway_transaction_id, question)
    left_seconds = GATEWAY_DEADLINE_SECONDS - (time.monotonic() - begun)
    if found is None or question is Question.LOOK_UP or found.outcome not in UNDECIDED or left_seconds <= 0:
        return found
    # Each cancellation has a new idempotency key: under an old one the gateway may repeat an old refusal. Cancelling
    # twice does no harm.
    key = f"cancel-{attempt.payment_id}-{now.timestamp():.0f}"
    try:
        return gateway.cancel(found.gateway_transaction_id, idempotency_key=key, deadline_seconds=left_seconds)
    except (Rejected, Transient):
        # The snapshot is still worth recording although the cancellation failed; the next try cancels the attempt.
        return found


def _fetch(gateway: Gateway, attempt: Attempt, transaction_id: str, question: Question) -> PaymentSnapshot:
    """Fetch the transaction. One that the gateway no longer has is over, if it is to be given up.

    Only undecided attempts are given up. Of money that is held or taken, a gateway that does not know it says nothing:
    the account may be another one.
    """
    try:
        return gateway.fetch(transaction_id, deadline_seconds=GATEWAY_DEADLINE_SECONDS)
    except GatewayRefused as refused:
        if not (question is Question.GIVE_UP and refused.is_missing):
            raise
        return PaymentSnapshot(
            gateway_transaction_id=transaction_id,
            outcome=Outcome.CANCELLED,
            amount=attempt.amount,
            failure_code=refused.failure_code,
            failure_message=refused.detail,
        )


def find_attempt(gateway: Gateway, attempt: Attempt, now: datetime) -> PaymentSnapshot | None:
    """Call ``Gateway.find`` while that is safe.

    Raises AttemptTooOld once the gateway may have forgotten the attempt.
    """
    if (now - attempt.begun_at).total_seconds() > gateway.repeatable_seconds:
        raise AttemptTooOld(
            f"nothing is known of attempt {attempt.idempotency_key}, and it is too old to be repeated: "
            f"look for payment {attempt.payment_id} at {attempt.gateway}"
        )
    return gateway.find(attempt.request(), deadline_seconds=GATEWAY_DEADLINE_SECONDS)


def _ends(refusal: Rejected, attempt: Attempt, question: Question) -> bool:
    """Return whether the refusal ends the attempt: it refuses the charge itself, whether made now or before."""
    if question is Question.CHARGE:
        return True
    about_attempt = not isinstance(refusal, GatewayRefused) or refusal.is_about_attempt
    return attempt.gateway_transaction_id is None and about_attempt


@dataclass(frozen=True, slots=True)
class Recorded:
    """The result of an answer: the order's view, and whether money is now owed back."""

    view: Mapping[str, Any]
    owes_money: bool

    @classmethod
    def of(cls, view: Mapping[str, Any], settlement: Settlement) -> Self:
        """Return the view, and whether the settlement left something to be carried out at a gateway."""
        return cls(view, bool(settlement.return_money_of or settlement.operations))


def record(
    runtime: Runtime, attempt: Attempt, answer: GatewayAnswer, clock: Callable[[], datetime], actor: str
) -> Recorded:
    """Call ``record_answer`` in a transaction of its own."""

    def work(transaction: Transaction) -> Recorded:
        return record_answer(transaction, attempt, answer)

    return runtime.database.transact(attempt.organization_id, work, now=clock(), actor=actor)


def record_answer(transaction: Transaction, attempt: Attempt, answer: GatewayAnswer) -> Recorded:
    """Store the answer as an event and settle it. The caller commits."""
    event = answer.event
    event_id = store_event(
        transaction,
        event,
        gateway=attempt.gateway,
        gateway_account_id=attempt.gateway_account_id,
        call={"method": "POST", "path": answer.asked, "duration_ms": answer.duration_ms, "status": answer.status},
    )
    order = lock_order(transaction, attempt.order_id)
    payment = order.payment(attempt.payment_id)
    if event_id is None:
        event, event_id = _said_again(transaction, attempt, payment, event)
    settlement = decide(order, payment, tidings_of(event, event_id, answer.snapshot), transaction.now)
    if settlement.needs_stock:
        settlement = reserve_again(transaction, order, payment, settlement)
    recorded = Recorded.of(write(transaction, order, settlement), settlement)
    if order.leaving is not None:
        leave_if_paid(transaction, order.id)
    if may_move_parcels(order, settlement):
        follow_refunds(transaction, order.id, recorded.view, is_reversal=settlement.is_reversal)
    return recorded


def _said_again(
    transaction: Transaction, attempt: Attempt, payment: LockedPayment, event: GatewayEvent
) -> tuple[GatewayEvent, UUID | None]:
    """Return an event that was stored before, as it is to be settled, with its new id if it was stored again.

    If it changes nothing that is known, it keeps the date it was stored with, and there is no new id. If it changes
    something (the authorization was renewed, or a capture stands after all), it is stored again under an id of its own.
    Either way the payment's state follows from the stored events alone.
    """
    known = joined = payment.facts
    with suppress(InvalidInput):
        joined = join(known, tidings_of(event, None).news)
    if replace(joined, captured_at=known.captured_at) == known and derive_status(joined) == derive_status(known):
        return replace(event, occurred_at=stored_at(transaction, attempt.gateway_account_id, event)), None
    anew = replace(event, gateway_event_id=f"{event.gateway_event_id}:{uuid7(transaction.now)}")
    account = attempt.gateway_account_id
    return anew, store_event(transaction, anew, gateway=attempt.gateway, gateway_account_id=account)


def attempt_of(organization_id: UUID, order: LockedOrder, payment: LockedPayment) -> Attempt:
    """Return an attempt as stored, to be finished by another process than the one that began it."""
    return Attempt(
        organization_id=organization_id,
        order_id=order.id,
        order_number=order.order_number,
        payment_id=payment.id,
        gateway=payment.gateway,
        gateway_account_id=payment.gateway_account_id,
        secret_reference=payment.secret_reference,
        merchant_account=payment.merchant_account,
        amount=Money(payment.amount, payment.currency),
        token=payment.token or "",
        capture_now=payment.capture_now,
        idempotency_key=payment.idempotency_key,
        begun_at=payment.created_at,
        customer_id=order.customer_id,
        gateway_customer_id=payment.gateway_customer_id,
        save_method=payment.save_method,
        gateway_transaction_id=payment.gateway_transaction_id,
        return_url=payment.return_url,
    )


def _own_event(attempt: Attempt, event_type: EventType, now: datetime, code: str, message: str) -> GatewayEvent:
    """Return an event that no gateway sent. Its id is new each time, because each such answer is its own event."""
    return GatewayEvent(
        gateway_event_id=f"ours:{uuid7(now)}",
        gateway_event_type="answer",
        event_type=event_type,
        occurred_at=now,
        payment_id=attempt.payment_id,
        failure_code=code if event_type is EventType.AUTHORIZATION_FAILED else None,
        failure_message=message if event_type is EventType.AUTHORIZATION_FAILED else None,
        payload={"code": code, "message": message},
    )
