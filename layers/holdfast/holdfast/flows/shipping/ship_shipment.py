"""Ship a shipment, or a part of it: its share of the money is captured first, and it leaves once that is done.

There are three short steps, and the process may crash after any of them. First the decision is committed: the shipment
waits for its money, and the capture is owed. Then the gateway is called, outside any transaction. Finally the outcome
of the capture lets the shipment leave, in the transaction that records the outcome, whoever records it. An order whose
money is captured already skips the first two.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.claims.idempotency import Answer, Claim, Earlier, claim_key, store_answer_and_commit
from holdfast.flows.money.capture_payment import capture_due
from holdfast.flows.money.request_capture import CaptureReason, request_capture, what_is_left_to_capture
from holdfast.flows.money.whole_steps import step_of
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.decide_and_finish import decide_and_finish
from holdfast.flows.orders.locked_order import LockedPayment
from holdfast.flows.shipping.follow_shipments import follow_shipments, plan_shipments
from holdfast.flows.shipping.leave_warehouse import depart, is_first, is_last, leave_if_paid, was_captured_for
from holdfast.flows.shipping.locked_shipments import (
    LockedParcels,
    check_order_ships,
    check_version,
    lock_shipment,
    order_of,
    paying,
)
from holdfast.flows.shipping.read_shipments import shipment_view
from holdfast.fulfillment.contents import check_may_leave, split, worth_of
from holdfast.fulfillment.lifecycle import check_step
from holdfast.fulfillment.tracking import tracking_url
from holdfast.gateways.registry import GATEWAYS
from holdfast.payments.capture_policy import Leaving, Share, share_of_shipment
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict
from holdfast.values.shipping import ShipmentStatus

OPERATION: Final = "ship_shipment"

Render = Callable[[Mapping[str, Any], str | None], Answer]
"""Turns the shipment, and what went wrong with its money if anything did, into the answer."""


@dataclass(frozen=True, slots=True)
class ShipShipment:
    """A request by the staff to ship a shipment with a carrier.

    If not all of it leaves, ``items`` maps order lines to the quantities that do. The rest waits in another shipment of
    the same warehouse.
    """

    caller: Caller
    claim: Claim
    shipment_id: UUID
    version: int
    carrier: str
    tracking_number: str | None = None
    estimated_delivery_at: datetime | None = None
    items: Mapping[UUID, int] = field(default_factory=dict)


def ship_shipment(runtime: Runtime, command: ShipShipment, clock: Callable[[], datetime], render: Render) -> Answer:
    """Capture the shipment's share of the money, let it leave, and return the answer with the result.

    If the shipment already waits for its money, only the state of the capture is checked again, whatever else the
    request says. Raises NotFound, Forbidden, InvalidInput, TransitionRefused, Conflict (it changed since; its goods
    were refunded; the order's money fell through; another shipment of the order waits for its money),
    IdempotencyKeyReused or RequestInProgress.
    """

    def decide(transaction: Transaction) -> UUID | Earlier:
        require(transaction, command.caller, Operation.SHIP_SHIPMENT)
        order_id = order_of(transaction, command.shipment_id)
        earlier = claim_key(transaction, command.claim, order_id)
        if earlier is not None:
            return earlier
        parcels = lock_shipment(transaction, command.shipment_id)
        if parcels.shipment.is_leaving:
            return order_id
        _check(parcels, command)
        if not _take_money(transaction, _pack(transaction, parcels, command)):
            answer = render(shipment_view(transaction, command.shipment_id), None)
            store_answer_and_commit(transaction, command.claim, answer)
            return answer
        return order_id

    finish = partial(_finish, runtime, command, clock, render)
    answer = decide_and_finish(runtime, command.caller, command.claim, clock, decide, finish)
    ring_outbox_bell(runtime)
    return answer


def _check(parcels: LockedParcels, command: ShipShipment) -> None:
    check_version(parcels.shipment, command.version)
    check_step(parcels.shipment.status, ShipmentStatus.SHIPPED)
    check_order_ships(parcels.order)
    if parcels.order.leaving is not None:
        raise Conflict(
            "another shipment of this order waits for its money: what this one takes depends on it",
            shipment_id=str(parcels.order.leaving),
        )


def _pack(transaction: Transaction, parcels: LockedParcels, command: ShipShipment) -> LockedParcels:
    """Write carrier and tracking. Keep in the shipment what leaves, and put the rest on another one of the warehouse.

    Return the order and its shipments as they are then.
    """
    shipment = parcels.shipment
    leaving = split(shipment.pieces, command.items) if command.items else shipment.pieces
    check_may_leave(parcels.lines, leaving)
    own_links = transaction.value(
        "SELECT g.settings -> 'tracking_links' FROM tenancy.organizations g WHERE g.id = :organization_id",
        organization_id=transaction.tenant,
    )
    links = own_links if isinstance(own_links, dict) else {}
    transaction.execute(
        """
        UPDATE fulfillment.shipments
           SET status = 'packed', picked_at = COALESCE(picked_at, :now), packed_at = COALESCE(packed_at, :now),
               carrier = :carrier, tracking_number = :tracking_number, tracking_url = :tracking_url,
               estimated_delivery_at = :estimated_delivery_at
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=shipment.id,
        carrier=command.carrier,
        tracking_number=command.tracking_number,
        tracking_url=tracking_url(command.carrier, command.tracking_number, links),
        estimated_delivery_at=command.estimated_delivery_at,
        now=transaction.now,
    )
    if leaving != shipment.pieces:
        transaction.execute(
            """
            WITH kept AS (
                SELECT * FROM unnest(CAST(:allocations AS uuid[]), CAST(:quantities AS integer[]))
                           AS k (allocation_id, quantity)
            ), taken_out AS (
                DELETE FROM fulfillment.shipment_items i
                 WHERE i.organization_id = :organization_id AND i.shipment_id = :id
                   AND NOT EXISTS (SELECT 1 FROM kept k WHERE k.allocation_id = i.allocation_id)
            )
            UPDATE fulfillment.shipment_items i SET quantity = k.quantity FROM kept k
             WHERE i.organization_id = :organization_id AND i.shipment_id = :id AND i.allocation_id = k.allocation_id
            """,
            organization_id=transaction.tenant,
            id=shipment.id,
            allocations=[piece.allocation_id for piece in leaving],
            quantities=[piece.quantity for piece in leaving],
        )
        plan_shipments(transaction, parcels.order.id)
    return lock_shipment(transaction, shipment.id)


def _take_money(transaction: Transaction, parcels: LockedParcels) -> bool:
    """Decide what to capture for the shipment. Return False if no capture is needed: then the shipment has left.

    Raises Conflict if money that is still to be captured can no longer be.
    """
    order, shipment = parcels.order, parcels.shipment
    payment = paying(order)
    if payment is None:
        depart(transaction, parcels)
        return False
    held_minor = payment.facts.remaining_minor
    decided_minor = payment.captured_amount + held_minor - what_is_left_to_capture(transaction, order, payment)
    share = _share(transaction, parcels, payment, decided_minor)
    if payment.captured_amount >= (needed_minor := decided_minor + share.amount_minor):
        depart(transaction, parcels)
        return False
    transaction.execute(
        """
        UPDATE fulfillment.shipments SET leaving_since = :now, captured_when_left = :needed, version = version + 1
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=shipment.id,
        needed=needed_minor,
        now=transaction.now,
    )
    if share.amount_minor:
        request_capture(
            transaction,
            order,
            payment,
            share.amount_minor,
            reason=CaptureReason.SHIPMENT,
            subject_id=shipment.id,
            is_final=share.is_final,
        )
    follow_shipments(transaction, order, f"{shipment.number} packed")
    return True


def _share(transaction: Transaction, parcels: LockedParcels, payment: LockedPayment, decided_minor: int) -> Share:
    """Return the share of the authorized money to capture for the shipment.

    A shipment that is sent again has had its share, and so has one for which a capture succeeded without letting it
    leave, or is still undecided at the gateway. Money that a final capture released is no longer owed.
    """
    order, shipment = parcels.order, parcels.shipment
    collectable_minor = payment.captured_amount + payment.facts.remaining_minor
    if payment.facts.expired and collectable_minor < order.total:
        raise Conflict("what was still held of the order's money ran out: nothing more of it is shipped")
    shipping_minor = order.shipping if is_first(parcels.all) else 0
    had_share = shipment.reships_id is not None or was_captured_for(transaction, shipment, payment)
    worth_minor = 0 if had_share else worth_of(parcels.lines, shipment.pieces, shipping_minor=shipping_minor)
    return share_of_shipment(
        order.capture_policy,
        Leaving(worth_minor, is_last(parcels.all, shipment)),
        owed_minor=min(order.total, collectable_minor),
        captured_minor=decided_minor,
        multiple_captures=GATEWAYS[payment.gateway].multiple_captures,
        step_minor=step_of(payment),
    )


def _finish(
    runtime: Runtime, command: ShipShipment, clock: Callable[[], datetime], render: Render, order_id: UUID
) -> Answer:
    """Call the gateway, then answer with the shipment as it is: it left, waits, or stays because its money failed."""
    caller = command.caller
    capture_due(runtime, caller.organization_id, order_id, clock)

    def work(transaction: Transaction) -> Answer:
        leave_if_paid(transaction, order_id)
        went_wrong = transaction.value(
            """
            SELECT COALESCE(x.last_error, 'the money could not be taken') FROM orders.order_operations x
             WHERE x.organization_id = :organization_id AND x.order_id = :order_id AND x.operation = 'capture'
               AND x.state <> 'running'
             ORDER BY x.id DESC LIMIT 1
            """,
            organization_id=transaction.tenant,
            order_id=order_id,
        )
        answer = render(shipment_view(transaction, command.shipment_id), went_wrong)
        store_answer_and_commit(transaction, command.claim, answer)
        return answer

    return runtime.database.transact(caller.organization_id, work, now=clock(), actor=caller.actor)
