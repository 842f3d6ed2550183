"""The proof of the proof: one guard at a time is switched off, and a report must say so.

A rule about money or stock is enforced in two or more places, so a mutation names the layers of its rule and removes
every one that would hide the others' absence. Functions of the database are changed in place, statement by statement. A
fragment that no longer exists is an error, so that a mutation cannot silently become a change of nothing.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from pg8000.native import Connection as Schema

from holdfast.flows.checkout import charge_payment, pay_order
from holdfast.flows.dead_letters import replay_dead_letter
from holdfast.flows.money import apply_payment_event, refund_at_gateway, refund_order, settlement
from holdfast.flows.operations import relay_outbox
from holdfast.flows.orders.locked_order import LockedOrder
from holdfast.flows.stock import change_stock, locked_levels, transfers
from holdfast.orders.lifecycle import OrderStatus, path_to_confirmed
from holdfast.payments.refund_plan import Left, Line, Purse
from holdfast.runtime import Runtime
from prove import steps
from prove.replacing import edit, everywhere, put


@dataclass(frozen=True, slots=True)
class Mutation:
    """A guard that is switched off. ``layers`` names the places that enforce it; all of them are removed."""

    name: str
    layers: str
    breaks: str
    """The invariant that no longer holds, by its sentence. Another one may be the first to be broken."""
    change_schema: Callable[[Schema], None] = lambda _: None
    change_code: Callable[[], None] = lambda: None
    takes_years: bool = False
    """Whether only the years bring the guard into play. If so, every seed that hunts this mutation has years."""


# --- stock ------------------------------------------------------------------------------------------------------------


def _no_stock_guard(schema: Schema) -> None:
    guard = "AND s.reserved + reserved_sign * w.quantity BETWEEN 0 AND s.on_hand + on_hand_sign * w.quantity"
    edit(schema, "inventory.move_stock", (guard, ""))
    for rule in ("on_hand_not_negative", "reserved_not_negative", "reserved_within_on_hand"):
        schema.run(f"ALTER TABLE inventory.stock_levels DROP CONSTRAINT stock_levels_{rule}")


def _locks_as_they_come() -> None:
    ordered = locked_levels.lock_levels

    def one_by_one(transaction: Any, keys: Iterable[Any]) -> Mapping[Any, Any]:
        return {key: level for each in keys for key, level in ordered(transaction, [each]).items()}

    for module in (transfers, change_stock):
        put(module, "lock_levels", one_by_one)


def _forgets_what_was_restocked(schema: Schema) -> None:
    edit(schema, "checkout.restock", ("i.restocked_quantity AS before", "0 AS before"))
    edit(
        schema,
        "fulfillment.pieces",
        ("a.restocked_quantity AS restocked", "0 AS restocked"),
        ("COALESCE(a.restocked_unshipped_quantity,", "COALESCE(0,"),
    )


# --- orders -----------------------------------------------------------------------------------------------------------


def _no_order_lock(schema: Schema) -> None:
    edit(schema, "checkout.lock_order", ("FOR NO KEY UPDATE", ""))


def _any_transition(schema: Schema) -> None:
    edit(schema, "orders.project_status", ("IF listed IS NOT TRUE THEN", "IF false THEN"))


def _cancelled_orders_rise() -> None:
    put(settlement, "TERMINAL", frozenset())
    put(settlement, "_WAITING_FOR_MONEY", settlement._WAITING_FOR_MONEY | {OrderStatus.CANCELLED})
    known = path_to_confirmed

    def path(status: OrderStatus) -> Any:
        risen = (OrderStatus.PAYMENT_CONFIRMED, OrderStatus.CONFIRMED)
        return risen if status is OrderStatus.CANCELLED else known(status)

    put(settlement, "path_to_confirmed", path)


def _no_second_look_at_the_abandoned(schema: Schema) -> None:
    edit(
        schema, "checkout.cancel_abandoned_orders", ("AND checkout.is_abandoned(p_organization_id, o.id)", "")
    )  # both checks: the one that finds the orders, and the one under the lock


def _no_idempotency(schema: Schema) -> None:
    edit(
        schema,
        "orders.claim_key",
        ("IF earlier IS NOT NULL THEN", "IF false THEN"),
        (
            "(p_claim ->> 'expires_at')::timestamptz);",
            "(p_claim ->> 'expires_at')::timestamptz) ON CONFLICT DO NOTHING;",
        ),
    )
    edit(schema, "checkout.facts", ("AND k.key = p_key", "AND k.key = p_key AND false"))


# --- money ------------------------------------------------------------------------------------------------------------


def _confirms_without_stock() -> None:
    def confirmed(_transaction: object, order: LockedOrder, _payment: object, decided: Any) -> Any:
        return settlement.confirm(order, decided)

    for module in (charge_payment, apply_payment_event):
        put(module, "reserve_again", confirmed)


def _two_attempts(schema: Schema) -> None:
    schema.run("DROP INDEX payments.payments_one_open_attempt")


def _pays_beside_an_open_attempt() -> None:
    check = pay_order._check_payable

    def payable(order: LockedOrder) -> None:
        check(replace(order, payments=tuple(each for each in order.payments if not each.is_open)))

    put(pay_order, "_end_open_attempt", lambda *_: None)
    put(pay_order, "_check_payable", payable)


def _no_refund_bound(schema: Schema) -> None:
    schema.run("ALTER TABLE payments.payments DROP CONSTRAINT payments_refunds_within_captured")


def _forgets_refunds() -> None:
    def everything(order: LockedOrder) -> Left:
        lines = tuple(
            Line(order_item_id=each.id, quantity=each.quantity, worth_minor=each.worth) for each in order.items
        )
        purses = tuple(
            Purse(each.id, each.captured_amount, each.captured_amount)
            for each in order.payments
            if each.captured_amount
        )
        return Left(lines, order.shipping, purses)

    put(refund_order, "what_is_left", everything)


def _new_charge_key_each_time() -> None:
    known = charge_payment.Attempt.request

    def request(attempt: charge_payment.Attempt) -> Any:
        return replace(known(attempt), idempotency_key=secrets.token_hex(16))

    put(charge_payment.Attempt, "request", request)


def _new_refund_key_each_time() -> None:
    class Forgetful:
        """A gateway that never sees the same key twice."""

        def __init__(self, gateway: Any) -> None:
            self._gateway = gateway

        def __getattr__(self, name: str) -> Any:
            return getattr(self._gateway, name)

        def refund(self, *arguments: Any, **options: Any) -> Any:
            return self._gateway.refund(*arguments, **{**options, "idempotency_key": secrets.token_hex(16)})

    known: Callable[..., Any] = refund_at_gateway.ask_for_refund
    everywhere("ask_for_refund", lambda payment, refund, clock, one: known(payment, refund, clock, Forgetful(one)))


# --- events, dead letters, messages -----------------------------------------------------------------------------------


def _stores_webhooks_again(schema: Schema) -> None:
    edit(schema, "payments.store_event", ("ON CONFLICT ON CONSTRAINT payment_events_once DO NOTHING", ""))
    schema.run("ALTER TABLE payments.payment_events DROP CONSTRAINT payment_events_once")


def _counts_attempts_when_they_fail(schema: Schema) -> None:
    edit(
        schema,
        "payments.claim_event",
        ("attempts = e.attempts + 1,", ""),
        ("'attempts', e.attempts,", "'attempts', e.attempts + 1,"),
    )
    schema.run(
        "CREATE FUNCTION prove.count_failure() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.attempts := OLD.attempts + 1; RETURN NEW; END $$"
    )
    schema.run(
        "CREATE TRIGGER prove_count BEFORE UPDATE OF last_error ON payments.payment_events FOR EACH ROW"
        " EXECUTE FUNCTION prove.count_failure()"
    )


def _drops_what_it_gives_up() -> None:
    put(apply_payment_event, "bury", lambda *_: None)


def _no_replay_lease() -> None:
    check = replay_dead_letter._refuse_unless_replayable

    def without_lease(row: Any, status: Any, now: datetime, *, automatic: bool) -> None:
        free = type("Free", (), {**row._mapping, "replay_lease_until": None})
        check(free, status, now, automatic=automatic)

    put(replay_dead_letter, "_refuse_unless_replayable", without_lease)


def _leaves_orders_in_the_archive() -> None:
    for module in (apply_payment_event, replay_dead_letter):
        put(module, "recall_for_event", lambda _runtime, _organization_id, claimed, *_: claimed)


def _writes_to_whom_it_should_not(schema: Schema) -> None:
    edit(schema, "notifications.order_facts", ("AND s.lifted_at IS NULL", "AND false"))


def _outbox_after_the_commit(schema: Schema) -> None:
    schema.run(
        "CREATE TABLE prove.later (LIKE operations.outbox INCLUDING DEFAULTS, pid integer DEFAULT pg_backend_pid())"
    )
    schema.run("GRANT INSERT ON prove.later TO PUBLIC")
    columns = "organization_id, id, topic, aggregate_type, aggregate_id, sequence, payload, created_at"
    schema.run(
        "CREATE FUNCTION prove.send_now() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ WITH mine AS ("
        f" DELETE FROM prove.later WHERE pid = pg_backend_pid() RETURNING {columns})"
        f" INSERT INTO operations.outbox ({columns}) SELECT {columns} FROM mine $$"
    )
    for function in ("checkout.place", "checkout.settle"):
        edit(schema, function, ("INSERT INTO operations.outbox", "INSERT INTO prove.later"))


def _sends_after_the_commit() -> None:
    def send(runtime: Runtime) -> None:
        with runtime.database.transaction(None, now=datetime.now().astimezone()) as transaction:
            transaction.rows("SELECT prove.send_now()")

    everywhere("ring_outbox_bell", send)


def _marks_before_it_publishes() -> None:
    def relay(runtime: Runtime, clock: steps.Clock, _time_left: Callable[[], float]) -> int:
        with runtime.database.transaction(None, now=clock(), actor=relay_outbox.ACTOR) as transaction:
            events = relay_outbox._claim(transaction, [])
            if events:
                relay_outbox._mark(transaction, events, [event.id for event in events])
        return len(runtime.event_bus.publish(events)) if events else 0

    put(steps, "relay_outbox", relay)


MUTATIONS: Final[Sequence[Mutation]] = (
    Mutation(
        "stock_guard",
        "the guarded update of inventory.move_stock and the three CHECKs of stock_levels",
        "no level is oversold",
        _no_stock_guard,
    ),
    Mutation(
        "ordered_locks",
        "the ordered locks of staff's changes of stock",
        "nobody deadlocked",
        change_code=_locks_as_they_come,
    ),
    Mutation(
        "restocked_once",
        "the counts of what came back, of each line and of each allocation",
        "what came back into stock is what the movements say",
        _forgets_what_was_restocked,
    ),
    Mutation(
        "order_lock", "the row locks of checkout.lock_order", "a payment is the fold of its events", _no_order_lock
    ),
    Mutation(
        "transitions",
        "the trigger's look at the transition table, and the decision's that what is over stays over",
        "an order walks only where the table lets it",
        _any_transition,
        _cancelled_orders_rise,
    ),
    Mutation(
        "expiry_looks_again",
        "both looks at holds and payments before an order is called abandoned",
        "the expiry cancels only what nobody paid",
        _no_second_look_at_the_abandoned,
    ),
    Mutation(
        "idempotency_claim",
        "the look of checkout.facts, that of orders.claim_key, and the claim's primary key",
        "one key places one order",
        _no_idempotency,
    ),
    Mutation(
        "late_payment_reserves",
        "the new reservation for money that came after the hold",
        "a confirmed order has its stock",
        change_code=_confirms_without_stock,
    ),
    Mutation(
        "one_open_attempt",
        "the partial unique index, the end of the attempt before, and the check under the order's lock",
        "at no instant was a rule of stock or money broken",
        _two_attempts,
        _pays_beside_an_open_attempt,
    ),
    Mutation(
        "refund_bound",
        "the plan's count of what is left and the CHECK of payments",
        "at no instant was a rule of stock or money broken",
        _no_refund_bound,
        _forgets_refunds,
    ),
    Mutation(
        "charge_key",
        "the charge's idempotency key",
        "an attempt is charged once",
        change_code=_new_charge_key_each_time,
    ),
    Mutation(
        "refund_key", "the refund's idempotency key", "a refund is made once", change_code=_new_refund_key_each_time
    ),
    Mutation(
        "webhook_dedupe",
        "ON CONFLICT of payments.store_event and the unique constraint",
        "an acknowledged webhook is stored, once",
        _stores_webhooks_again,
    ),
    Mutation(
        "attempt_counted_first",
        "the attempt that is committed with the claim",
        "an event that kills its process is given up in the end",
        _counts_attempts_when_they_fail,
    ),
    Mutation(
        "dead_letter_kept",
        "the dead letter in the transaction that gives an event up",
        "an event that was given up has its dead letter, and one that was replayed is processed",
        change_code=_drops_what_it_gives_up,
    ),
    Mutation(
        "replay_lease",
        "the lease of a replay",
        "a dead letter is replayed by one at a time",
        change_code=_no_replay_lease,
    ),
    Mutation(
        "outbox_in_the_transaction",
        "the outbox rows of checkout.place and checkout.settle in the change's own transaction",
        "every step that is told of was told",
        _outbox_after_the_commit,
        _sends_after_the_commit,
    ),
    Mutation(
        "marked_after_publishing",
        "the mark in the outbox after the bus has taken the message",
        "every committed message reached the bus",
        change_code=_marks_before_it_publishes,
    ),
    Mutation(
        "mail_suppressed",
        "the look at who takes no more mail",
        "whose mail came back, or who complained, gets no more",
        _writes_to_whom_it_should_not,
    ),
    Mutation(
        "late_news_recalls",
        "the return of an order from the archive for news of its payment",
        "late news of an order that was put away reached it",
        change_code=_leaves_orders_in_the_archive,
        takes_years=True,
    ),
)
BY_NAME: Final = {mutation.name: mutation for mutation in MUTATIONS}
