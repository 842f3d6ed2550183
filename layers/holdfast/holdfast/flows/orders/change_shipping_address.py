"""A shopper or the staff give an order another shipping address, before anything of it is picked.

The address is looked up first, outside any transaction. The claim of the idempotency key, the address, the price, the
goods, what is owed and the answer are then written in one transaction, so a crash leaves all of it or nothing. What is
owed is carried out after that; the watchdog resumes it if it is interrupted.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.addresses.locate_address import AddressSearch
from holdfast.flows.checkout.planning import read_facts
from holdfast.flows.claims.idempotency import Answer, Claim, Patience, claim_key, store_answer_and_commit
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.money.settlement import write
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.find_order import order_id_of
from holdfast.flows.orders.locked_order import LockedOrder, lock_order
from holdfast.flows.orders.readdress_order import NewAddress, Readdressed, readdress
from holdfast.inventory.reallocation import Cause
from holdfast.orders.lifecycle import ADDRESS_CHANGES, OrderStatus
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.address import Address
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import Conflict

OPERATION: Final = "change_shipping_address"
PROCESS: Final = Process.ADDRESS_NOT_FOUND


@dataclass(frozen=True, slots=True)
class ChangeShippingAddress:
    """A request to ship an order elsewhere. ``expected_version`` is the order's version as the caller saw it."""

    caller: Caller
    claim: Claim
    reference: str
    address: Address
    expected_version: int | None = None


Render = Callable[[Mapping[str, Any], Readdressed], Answer]


def change_shipping_address(
    runtime: Runtime, command: ChangeShippingAddress, clock: Callable[[], datetime], render: Render
) -> Answer:
    """Change the address. The answer says what became of the goods and of the price.

    Raises NotFound, Forbidden, Conflict (the order is too far along, or was changed meanwhile), InvalidInput (the shop
    does not ship there), IdempotencyKeyReused or RequestInProgress.
    """
    caller = command.caller
    search = AddressSearch(runtime, caller.organization_id, command.address)
    _look_for(runtime, command, search, clock)
    now = clock()

    def work(transaction: Transaction) -> tuple[UUID | None, Answer] | None:
        order_id = order_id_of(transaction, caller, command.reference, Operation.CHANGE_SHIPPING_ADDRESS)
        earlier = claim_key(transaction, command.claim, order_id)
        if earlier is not None:
            return (None, earlier) if isinstance(earlier, Answer) else None
        order = lock_order(transaction, order_id)
        _refuse_unless_changeable(order.status)
        _refuse_picked(transaction, order)
        is_shoppers_wish = caller.kind is not CallerKind.STAFF
        changed = readdress(
            transaction,
            order,
            NewAddress(command.address, search, Cause.ADDRESS_CHANGE, is_shoppers_wish, command.expected_version),
        )
        view = write(transaction, order, _reviewed(transaction, order, changed))
        answer = render(view, changed)
        store_answer_and_commit(transaction, command.claim, answer)
        return order_id, answer

    patience = Patience(time.sleep)
    while (done := runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)) is None:
        patience.wait()
    order_id, answer = done
    if order_id is not None:
        search.written(clock())
        return_money_owed(runtime, caller.organization_id, order_id, clock)
        ring_outbox_bell(runtime)
    return answer


def _look_for(
    runtime: Runtime, command: ChangeShippingAddress, search: AddressSearch, clock: Callable[[], datetime]
) -> None:
    """Look the address up. A request that will be refused anyway does not call the geocoder."""
    caller, now = command.caller, clock()
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        order_id = order_id_of(transaction, caller, command.reference, Operation.CHANGE_SHIPPING_ADDRESS)
        seen = transaction.row(
            """
            SELECT o.status, EXISTS (
                       SELECT 1 FROM orders.idempotency_keys k
                        WHERE k.organization_id = o.organization_id AND k.caller = :caller AND k.operation = :operation
                          AND k.key = :key) AS is_claimed
              FROM orders.orders o WHERE o.organization_id = :organization_id AND o.id = :order_id
            """,
            organization_id=transaction.tenant,
            order_id=order_id,
            caller=command.claim.caller,
            operation=command.claim.operation,
            key=command.claim.key,
        )
        if seen is not None and not seen.is_claimed:
            _refuse_unless_changeable(OrderStatus(seen.status))
        wanted = search.wanted(now)
        place = None if wanted is None else read_facts(transaction, caller, [], address=wanted)["place"]
    if search.known(place, now) is None:
        search.asked(clock())


def _refuse_unless_changeable(status: OrderStatus) -> None:
    if status is OrderStatus.ADDRESS_REVIEW:
        raise Conflict("the address of this order is being reviewed: the review corrects it", current=status.value)
    if status not in ADDRESS_CHANGES:
        raise Conflict(f"the address of an order that is {status} cannot be changed", current=status.value)


def _refuse_picked(transaction: Transaction, order: LockedOrder) -> None:
    """Raise Conflict if anything was picked: picked goods go where their label says.

    Picking locks the order's row too, so it cannot begin meanwhile.
    """
    picked = transaction.value(
        """
        SELECT s.status FROM fulfillment.shipments s
         WHERE s.organization_id = :organization_id AND s.order_id = :order_id
           AND s.status NOT IN ('pending', 'cancelled') LIMIT 1
        """,
        organization_id=transaction.tenant,
        order_id=order.id,
    )
    if picked is not None:
        raise Conflict("some of the order is picked: its address cannot be changed", current=order.status.value)


def _reviewed(transaction: Transaction, order: LockedOrder, changed: Readdressed) -> Settlement:
    """Return the settlement with the review that an address needs if it was not found.

    As at the checkout, the review comes after the payment if the order is not paid yet. An order that is being made
    ready to ship is not stopped; a person is called instead.
    """
    settlement = changed.settlement
    if not changed.needs_review:
        return settlement
    if order.status is OrderStatus.CONFIRMED:
        return replace(
            settlement,
            path=(OrderStatus.ADDRESS_REVIEW,),
            notes="the address was changed to one that was not found",
            topics=(*settlement.topics, "order.address_review_needed"),
        )
    if order.status is OrderStatus.PROCESSING:
        details = f"order {order.order_number} is made ready to ship, and its new address was found only approximately"
        call_person(transaction, PROCESS, order.id, details)
    return settlement
