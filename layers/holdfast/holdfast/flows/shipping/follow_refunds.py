"""What a refund means for shipments: a lost one is settled once its pieces are refunded; nothing may be left to ship.

Whoever records news of a refund calls ``follow_refunds`` in the same transaction. Everything is derived anew from what
is refunded now, so news that arrives twice and a refund that fails later need no code of their own.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.operations.process_names import Process
from holdfast.flows.orders.locked_order import LockedOrder, lock_order
from holdfast.flows.shipping.follow_shipments import follow_shipments
from holdfast.orders.lifecycle import SHIPS, OrderStatus
from holdfast.orders.model import FulfillmentStatus
from holdfast.values.shipping import ShipmentStatus

REFUNDED: Final = "what was in it is refunded"
"""The resolution notes of a process failure that refunds resolved. Only failures resolved like this are reopened when
a refund fails, never those that a person resolved."""


def may_move_parcels(order: LockedOrder, settlement: Settlement) -> bool:
    """Whether ``follow_refunds`` must be called once the settlement is written.

    It must for a reversal. It also must if the settlement records a refund, or that the whole order is refunded, and
    something of the order was to leave or had left when it was locked.
    """
    is_of_refund = bool(settlement.refunds) or OrderStatus.REFUNDED in settlement.path
    return settlement.is_reversal or (is_of_refund and order.status in SHIPS | {OrderStatus.REFUNDED})


def follow_refunds(transaction: Transaction, order_id: UUID, view: Mapping[str, Any], *, is_reversal: bool) -> None:
    """Resolve or reopen the process failures about lost shipments, and move the order to the status of its goods.

    ``view`` is the order's view as the settlement left it. The caller holds the lock on the order's row.

    A reversal returned the order to its status before the refund. Its goods may have come further meanwhile, and no
    more news will come of goods that are delivered, so the order's status is derived here. No more news comes either of
    an order that a refund left with nothing to ship.
    """
    has_failed = any(one["status"] == ShipmentStatus.FAILED for one in view["shipments"])
    ships_nothing = view["fulfillment_status"] == FulfillmentStatus.CANCELLED and view["status"] in SHIPS
    if has_failed:
        _call_or_let_go(transaction, order_id)
    if has_failed or ships_nothing or is_reversal:
        notes = "its goods had come further" if is_reversal else "nothing more of it is waited for"
        follow_shipments(transaction, lock_order(transaction, order_id), notes)


def _call_or_let_go(transaction: Transaction, order_id: UUID) -> None:
    transaction.execute(
        """
        UPDATE operations.process_failures f
           SET status = c.status,
               resolved_by = CASE c.status WHEN 'resolved' THEN :actor END,
               resolved_at = CASE c.status WHEN 'resolved' THEN CAST(:now AS timestamptz) END,
               resolution_notes = CASE c.status WHEN 'resolved' THEN :refunded END,
               reopening_notes = CASE c.status WHEN 'open' THEN 'the refund failed' ELSE f.reopening_notes END,
               version = f.version + 1
          FROM (SELECT s.id, CASE WHEN s.id IN (SELECT fulfillment.given_up(:organization_id, :order_id))
                                  THEN 'resolved' ELSE 'open' END AS status
                  FROM fulfillment.shipments s
                 WHERE s.organization_id = :organization_id AND s.order_id = :order_id AND s.status = 'failed'
                   AND s.reshipped_at IS NULL) AS c
         WHERE f.organization_id = :organization_id AND f.process_name = :process AND f.related_id = c.id
           AND f.status <> c.status AND (f.status = 'open' OR f.resolution_notes = :refunded)
        """,
        organization_id=transaction.tenant,
        order_id=order_id,
        process=Process.SHIPMENT_FAILED,
        actor=transaction.actor,
        now=transaction.now,
        refunded=REFUNDED,
    )
