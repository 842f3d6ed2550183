"""Pay an order again after a decline, with another method: under its live holds, or with new ones if they expired.

Only one attempt is open at a time. An earlier attempt that is still open is first cancelled at the gateway; if it turns
out to have taken the money, there is nothing left to pay.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.charge_payment import Attempt, AttemptTooOld, Question, ask_gateway, attempt_of, record
from holdfast.flows.checkout.pay_attempt import Render, pay_attempt, resume_attempt
from holdfast.flows.checkout.payment_means import PaymentMeans, choose
from holdfast.flows.claims.idempotency import Answer, Claim, Earlier, InUse, Patience, Resume, claim_key
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.money.settlement import FIRST_CHECK_SECONDS, write
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.cancel_order import cancellation
from holdfast.flows.orders.find_order import order_id_of
from holdfast.flows.orders.locked_order import LockedOrder, lock_order
from holdfast.flows.orders.reserve_again import hold_again
from holdfast.inventory.reallocation import Cause
from holdfast.orders.lifecycle import TERMINAL, OrderStatus
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.caller import Caller
from holdfast.values.errors import (
    Conflict,
    Forbidden,
    OutOfStock,
    StockContended,
    TransitionRefused,
)
from holdfast.values.ids import uuid7
from holdfast.values.money import Money
from holdfast.values.return_url import return_url_of

OPERATION: Final = "pay_order"
ATTEMPTS_MAX: Final = 20
"""How many payment methods a shopper may try on one order."""

_PAYABLE: Final = frozenset({OrderStatus.PENDING_PAYMENT, OrderStatus.PAYMENT_PROCESSING, OrderStatus.PAYMENT_FAILED})


@dataclass(frozen=True, slots=True)
class PayOrder:
    """A request to try again to pay an order."""

    caller: Caller
    claim: Claim
    reference: str
    gateway: str | None
    token: str | None
    save_method: bool = False
    payment_method_id: UUID | None = None

    @property
    def means(self) -> PaymentMeans:
        """The means to pay with."""
        return PaymentMeans(self.gateway, self.token, self.save_method, self.payment_method_id)


def pay_order(runtime: Runtime, command: PayOrder, clock: Callable[[], datetime], render: Render) -> Answer:
    """Start a new attempt and charge it.

    Raises NotFound, Forbidden (the customer is suspended), Conflict (already paid), TransitionRefused (cancelled or the
    like), OutOfStock (the hold had expired and the goods are gone, so the order is now cancelled),
    IdempotencyKeyReused, RequestInProgress or Transient.
    """
    command.means.check_caller(command.caller)
    _end_open_attempt(runtime, command, clock)
    patience = Patience(time.sleep)
    while True:
        begun = _begin(runtime, command, clock())
        match begun:
            case InUse():
                patience.wait()
            case Answer():
                return begun
            case Resume():
                answer = resume_attempt(
                    runtime, command.caller, command.claim, begun, clock, render, first_attempt=False
                )
                if answer is not None:
                    return answer
                patience.wait()
            case OutOfStock():
                ring_outbox_bell(runtime)
                raise begun
            case Attempt():
                return pay_attempt(runtime, begun, command.claim, command.caller.actor, clock, render)


def _end_open_attempt(runtime: Runtime, command: PayOrder, clock: Callable[[], datetime]) -> None:
    """Cancel an attempt that is still open at the gateway, unless this same request began it."""
    caller, now = command.caller, clock()
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        order_id = order_id_of(transaction, caller, command.reference, Operation.PAY_ORDER)
        order = lock_order(transaction, order_id)
        # This is read under the order's lock: without a claim now, this request cannot have begun the open attempt.
        if _earlier(transaction, command.claim) is not None:
            return
    payment = order.open_payment
    if payment is None or order.status not in _PAYABLE:
        return
    attempt = attempt_of(caller.organization_id, order, payment)
    try:
        answer = ask_gateway(runtime, attempt, clock, Question.GIVE_UP)
    except AttemptTooOld as lost:
        raise Conflict("an earlier payment of this order is still undecided; the shop is looking into it") from lost
    recorded = record(runtime, attempt, answer, clock, caller.actor)
    if recorded.owes_money:
        return_money_owed(runtime, caller.organization_id, order_id, clock)
    ring_outbox_bell(runtime)


def _earlier(transaction: Transaction, claim: Claim) -> object:
    return transaction.value(
        """
        SELECT 1 FROM orders.idempotency_keys
         WHERE organization_id = :organization_id AND caller = :caller AND operation = :operation AND key = :key
        """,
        organization_id=transaction.tenant,
        caller=claim.caller,
        operation=claim.operation,
        key=claim.key,
    )


def _begin(runtime: Runtime, command: PayOrder, now: datetime) -> Attempt | Earlier | OutOfStock:
    """Commit the new attempt, or cancel the order if its hold had expired and the goods are gone."""
    caller = command.caller

    def work(transaction: Transaction) -> Attempt | Earlier | OutOfStock:
        order_id = order_id_of(transaction, caller, command.reference, Operation.PAY_ORDER)
        earlier = claim_key(transaction, command.claim, order_id)
        if earlier is not None:
            return earlier
        _refuse_inactive(transaction, order_id)
        order = lock_order(transaction, order_id)
        _check_payable(order)
        if not order.is_held:
            try:
                hold_again(transaction, order, Cause.PAID_AGAIN)
            except (OutOfStock, StockContended) as shortage:
                write(transaction, order, cancellation(order, "paid again too late: the stock was gone", "other"))
                _forget_claim(transaction, command.claim)
                return OutOfStock(shortage.detail, **shortage.facts)
        return _new_attempt(transaction, order, command, runtime.settings.storefront_return_url)

    return runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)


def _refuse_inactive(transaction: Transaction, order_id: UUID) -> None:
    """Raise Forbidden if the order's customer is suspended. Whoever suspends them waits until the attempt is written.

    The customer's row is locked before the order's, as an erasure locks them.
    """
    active = transaction.value(
        """
        SELECT 1 FROM orders.orders o
          JOIN tenancy.customers c ON c.organization_id = o.organization_id AND c.id = o.customer_id
         WHERE o.organization_id = :organization_id AND o.id = :order_id AND c.status = 'active'
           FOR SHARE OF c
        """,
        organization_id=transaction.tenant,
        order_id=order_id,
    )
    if active is None:
        raise Forbidden("this customer's account is not active")


def _check_payable(order: LockedOrder) -> None:
    if order.status not in TERMINAL and any(payment.has_money for payment in order.payments):
        raise Conflict("this order is paid")
    if order.status in _PAYABLE and order.open_payment is not None:
        raise Conflict("a payment of this order is still being decided at the gateway; try again in a moment")
    if order.status not in _PAYABLE:
        raise TransitionRefused(
            f"an order that is {order.status} cannot be paid", current=str(order.status), allowed=[]
        )
    if len(order.payments) >= ATTEMPTS_MAX:
        raise Conflict(f"{ATTEMPTS_MAX} payments of this order failed; place it anew")


def _new_attempt(transaction: Transaction, order: LockedOrder, command: PayOrder, default_return_url: str) -> Attempt:
    now = transaction.now
    chosen = choose(transaction, order.customer_id, command.means)
    number = max((payment.attempt for payment in order.payments), default=0) + 1
    payment_id: UUID = uuid7(now)
    attempt = Attempt(
        organization_id=transaction.tenant,
        order_id=order.id,
        order_number=order.order_number,
        payment_id=payment_id,
        gateway=chosen.gateway,
        gateway_account_id=chosen.gateway_account_id,
        secret_reference=chosen.secret_reference,
        merchant_account=chosen.merchant_account,
        amount=Money(order.total, order.currency),
        token=chosen.token,
        capture_now=order.payments[-1].capture_now if order.payments else True,
        idempotency_key=f"{order.id}-{number}",
        begun_at=now,
        return_url=return_url_of(chosen.settings, default_return_url, order.id),
        customer_id=order.customer_id,
        gateway_customer_id=chosen.gateway_customer_id,
        save_method=chosen.save_method,
    )
    _insert(transaction, attempt, number)
    path = (OrderStatus.PENDING_PAYMENT,) if order.status is OrderStatus.PAYMENT_FAILED else ()
    write(
        transaction,
        order,
        Settlement(
            order_id=order.id,
            path=path,
            notes="paying again" if path else None,
            payment_status="pending",
            extend_holds_until=order.held_until(now),
        ),
    )
    return attempt


def _insert(transaction: Transaction, attempt: Attempt, number: int) -> None:
    transaction.execute(
        """
        INSERT INTO payments.payments (organization_id, id, order_id, attempt, gateway, gateway_account_id,
                                       method_token, amount, currency, capture_now, save_method,
                                       gateway_customer_id, idempotency_key, metadata, next_check_at, created_at)
        VALUES (:organization_id, :id, :order_id, :attempt, :gateway, :gateway_account_id, :token,
                :amount, :currency, :capture_now, :save_method, :gateway_customer_id, :idempotency_key,
                CAST(:metadata AS jsonb), :next_check_at, :now)
        """,
        organization_id=transaction.tenant,
        id=attempt.payment_id,
        order_id=attempt.order_id,
        attempt=number,
        gateway=attempt.gateway,
        gateway_account_id=attempt.gateway_account_id,
        token=attempt.token,
        amount=attempt.amount.amount_minor,
        currency=attempt.amount.currency,
        capture_now=attempt.capture_now,
        save_method=attempt.save_method,
        gateway_customer_id=attempt.gateway_customer_id,
        idempotency_key=attempt.idempotency_key,
        metadata=attempt.metadata(),
        next_check_at=transaction.now + timedelta(seconds=FIRST_CHECK_SECONDS),
        now=transaction.now,
    )


def _forget_claim(transaction: Transaction, claim: Claim) -> None:
    """Delete the claim. Even a refusal that cancels the order leaves none, so that a later try is judged anew."""
    transaction.execute(
        """
        DELETE FROM orders.idempotency_keys
         WHERE organization_id = :organization_id AND caller = :caller AND operation = :operation AND key = :key
        """,
        organization_id=transaction.tenant,
        caller=claim.caller,
        operation=claim.operation,
        key=claim.key,
    )
