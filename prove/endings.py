"""What must hold of an order that is over: a part of ``INVARIANTS``."""

from collections.abc import Mapping
from typing import Final

ENDINGS: Final[Mapping[str, str]] = {
    "nothing of an order that is over, or not begun, waits to leave": """
        SELECT o.id, o.status, s.id AS shipment_id, s.status AS shipment_status FROM orders.orders o
          JOIN fulfillment.shipments s ON s.organization_id = o.organization_id AND s.order_id = o.id
         WHERE (o.status IN ('cancelled', 'refunded') AND s.status IN ('pending', 'picked', 'packed'))
            OR o.status IN ('pending_payment', 'payment_processing', 'payment_failed', 'payment_confirmed')
            OR (o.status = 'cancelled' AND s.shipped_at IS NOT NULL)
    """,
    "no piece of an order that is over vanished": """
        SELECT o.id, o.status, i.id AS item_id, taken.pieces AS taken, taken.stayed, gone.pieces AS gone,
               lost.pieces AS lost
          FROM orders.orders o
          JOIN orders.order_items i ON i.organization_id = o.organization_id AND i.order_id = o.id
         CROSS JOIN LATERAL (SELECT COALESCE(sum(a.quantity), 0) AS pieces, sum(a.restocked_quantity) AS back,
                                    sum(COALESCE(a.restocked_unshipped_quantity, a.restocked_quantity)) AS stayed
                               FROM orders.order_allocations a
                              WHERE a.organization_id = i.organization_id AND a.order_item_id = i.id
                                AND a.superseded_at IS NULL) taken
         CROSS JOIN LATERAL (SELECT COALESCE(sum(si.quantity), 0) AS pieces FROM fulfillment.shipment_items si
                               JOIN fulfillment.shipments s ON s.organization_id = si.organization_id
                                    AND s.id = si.shipment_id AND s.shipped_at IS NOT NULL
                              WHERE si.organization_id = i.organization_id AND si.order_item_id = i.id) gone
         CROSS JOIN LATERAL (SELECT COALESCE(sum(ri.unshipped_quantity), 0) AS pieces FROM payments.refund_items ri
                              WHERE ri.organization_id = i.organization_id AND ri.order_item_id = i.id
                                AND ri.restock_reason <> 'resellable') lost
         WHERE o.status IN ('cancelled', 'refunded')
           AND EXISTS (SELECT 1 FROM inventory.reservations r WHERE r.organization_id = o.organization_id
                        AND r.order_id = o.id AND r.status = 'completed')
           AND (taken.pieces - gone.pieces - taken.stayed NOT BETWEEN 0 AND lost.pieces
                OR taken.back - taken.stayed > gone.pieces)
    """,
}
