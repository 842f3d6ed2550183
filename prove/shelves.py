"""What lies in the warehouses and is not in the book, told twice: by the function that a count is held against, which
reads what is under way, and from every allocation there is."""

from typing import Final

SOLD_UNSHIPPED: Final = """
    SELECT v.organization_id, v.id, COALESCE(o.pieces, 0) AS out_of_book, COALESCE(u.pieces, 0) AS sold_unshipped
      FROM catalog.variants v
      LEFT JOIN (
        SELECT a.organization_id, a.variant_id, sum(a.quantity - a.restocked_quantity - sent.pieces) AS pieces
          FROM orders.order_allocations a
          JOIN orders.orders o ON o.organization_id = a.organization_id AND o.id = a.order_id
               AND o.status <> 'cancelled'
         CROSS JOIN LATERAL (SELECT COALESCE(sum(i.quantity), 0) AS pieces FROM fulfillment.shipment_items i
                               JOIN fulfillment.shipments s ON s.organization_id = i.organization_id
                                    AND s.id = i.shipment_id AND s.shipped_at IS NOT NULL
                              WHERE i.organization_id = a.organization_id AND i.allocation_id = a.id) AS sent
         WHERE a.superseded_at IS NULL AND EXISTS (
               SELECT 1 FROM inventory.reservations r WHERE r.organization_id = a.organization_id
                  AND r.order_id = a.order_id AND r.status = 'completed') GROUP BY 1, 2) o
        ON o.organization_id = v.organization_id AND o.variant_id = v.id
      LEFT JOIN (
        -- What came back after it had left, and what is not counted because it is said to be damaged or lost.
        SELECT i.organization_id, i.variant_id,
               COALESCE(sum(ri.quantity - ri.unshipped_quantity) FILTER (
                   WHERE r.status = 'succeeded' AND ri.restock), 0)
               - COALESCE(sum(ri.unshipped_quantity) FILTER (
                   WHERE r.status IN ('pending', 'processing', 'succeeded')
                     AND ri.restock_reason <> 'resellable'), 0) AS pieces,
               bool_or(r.status = 'failed' AND ri.restock) AS is_unclear
          FROM payments.refund_items ri
          JOIN payments.refunds r ON r.organization_id = ri.organization_id AND r.id = ri.refund_id
          JOIN orders.order_items i ON i.organization_id = ri.organization_id AND i.id = ri.order_item_id
          JOIN orders.orders o ON o.organization_id = i.organization_id AND o.id = i.order_id
               AND o.status <> 'cancelled'
         GROUP BY 1, 2) told ON told.organization_id = v.organization_id AND told.variant_id = v.id
      LEFT JOIN (
        SELECT g.id AS organization_id, b.variant_id, sum(b.quantity) AS pieces
          FROM tenancy.organizations g
         CROSS JOIN LATERAL (SELECT array_agg(s.warehouse_id) AS warehouses, array_agg(s.variant_id) AS variants
                               FROM inventory.stock_levels s WHERE s.organization_id = g.id) AS l
         CROSS JOIN LATERAL fulfillment.sold_unshipped(g.id, l.warehouses, l.variants) AS b
         GROUP BY 1, 2) u ON u.organization_id = v.organization_id AND u.variant_id = v.id
     WHERE COALESCE(u.pieces, 0) <> COALESCE(o.pieces, 0) + COALESCE(told.pieces, 0)
       AND told.is_unclear IS NOT TRUE -- a refund may have failed before or after its goods came back
"""
"""The variants of which the two say different."""
