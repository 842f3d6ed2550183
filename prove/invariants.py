"""The invariants that must hold at every moment, asked of the database itself.

Every query returns the rows that break its invariant.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Engine, text

from prove.endings import ENDINGS
from prove.shelves import SOLD_UNSHIPPED

INVARIANTS: Final[Mapping[str, str]] = {
    "no level is oversold": """
        SELECT warehouse_id, variant_id, on_hand, reserved FROM inventory.stock_levels
         WHERE reserved > on_hand OR reserved < 0 OR on_hand < 0
    """,
    "reserved is the sum of live reservations": """
        SELECT s.warehouse_id, s.variant_id, s.reserved, COALESCE(sum(r.quantity), 0) AS held
          FROM inventory.stock_levels s
          LEFT JOIN inventory.reservations r ON r.organization_id = s.organization_id
               AND r.warehouse_id = s.warehouse_id AND r.variant_id = s.variant_id AND r.status = 'active'
         GROUP BY s.organization_id, s.warehouse_id, s.variant_id, s.reserved
        HAVING s.reserved <> COALESCE(sum(r.quantity), 0)
    """,
    "replaying the movements gives the level": """
        SELECT s.warehouse_id, s.variant_id, s.on_hand, s.reserved
          FROM inventory.stock_levels s
          LEFT JOIN inventory.stock_movements m ON m.organization_id = s.organization_id
               AND m.warehouse_id = s.warehouse_id AND m.variant_id = s.variant_id
         GROUP BY s.organization_id, s.warehouse_id, s.variant_id, s.on_hand, s.reserved, s.version
        HAVING s.on_hand <> COALESCE(sum(m.on_hand_after - m.on_hand_before), 0)
            OR s.reserved <> COALESCE(sum(m.reserved_after - m.reserved_before), 0)
            OR s.version <> COALESCE(max(m.level_version), 0) OR s.version <> count(m.id)
    """,
    "incoming is what is in transit": """
        SELECT s.warehouse_id, s.variant_id, s.incoming, COALESCE(t.pieces, 0) AS in_transit
          FROM inventory.stock_levels s
          LEFT JOIN (SELECT organization_id, to_warehouse_id, variant_id,
                            sum(quantity - received_quantity - written_off_quantity) AS pieces
                       FROM inventory.transfers WHERE status = 'in_transit' GROUP BY 1, 2, 3) t
                 ON t.organization_id = s.organization_id AND t.to_warehouse_id = s.warehouse_id
                    AND t.variant_id = s.variant_id
         WHERE s.incoming <> COALESCE(t.pieces, 0)
    """,
    "no goods are lost or found on the way": """
        SELECT t.id, t.status, m.moved FROM inventory.transfers t
          LEFT JOIN (SELECT organization_id, reference_id, sum(on_hand_after - on_hand_before) AS moved
                       FROM inventory.stock_movements WHERE reference_type = 'transfer' GROUP BY 1, 2) m
                 ON m.organization_id = t.organization_id AND m.reference_id = t.id
         WHERE COALESCE(m.moved, 0) <> CASE WHEN t.shipped_at IS NULL THEN 0
                                            ELSE t.received_quantity + t.returned_quantity - t.quantity END
    """,
    "movements of a level join without a gap": """
        SELECT * FROM (
            SELECT warehouse_id, variant_id, level_version, on_hand_before, reserved_before,
                   lag(on_hand_after) OVER w AS on_hand_then, lag(reserved_after) OVER w AS reserved_then
              FROM inventory.stock_movements
            WINDOW w AS (PARTITION BY organization_id, warehouse_id, variant_id ORDER BY level_version)) chained
         WHERE on_hand_before <> COALESCE(on_hand_then, 0) OR reserved_before <> COALESCE(reserved_then, 0)
    """,
    "an order is where its history says": """
        SELECT o.id, o.status, h.to_status
          FROM orders.orders o
          LEFT JOIN LATERAL (SELECT to_status, sequence FROM orders.order_status_history h
                         WHERE h.organization_id = o.organization_id AND h.order_id = o.id
                         ORDER BY sequence DESC LIMIT 1) h ON true
         WHERE o.status IS DISTINCT FROM h.to_status OR o.status_sequence IS DISTINCT FROM h.sequence
    """,
    "captured and held is within authorized, and what was given back or lost within captured": """
        SELECT id, amount, captured_amount, capturable_amount, refunded_amount, refunding_amount, charged_back_amount
          FROM payments.payments
         WHERE captured_amount + capturable_amount > amount
            OR refunded_amount + refunding_amount + charged_back_amount > captured_amount
    """,
    "what was charged back was lost in a dispute": """
        SELECT p.id, p.charged_back_amount FROM payments.payments p
         WHERE p.charged_back_amount > (SELECT COALESCE(sum(d.lost_amount), 0) FROM payments.disputes d
                                         WHERE d.organization_id = p.organization_id AND d.payment_id = p.id)
    """,
    "an order is flagged while a dispute is open": """
        SELECT o.id, o.has_open_dispute FROM orders.orders o
         WHERE o.has_open_dispute <> EXISTS (
               SELECT 1 FROM payments.payments p
                 JOIN payments.disputes d ON d.organization_id = p.organization_id AND d.payment_id = p.id
                WHERE p.organization_id = o.organization_id AND p.order_id = o.id AND d.status <> 'closed')
    """,
    "a payment's refunds are its refunds": """
        SELECT p.id, p.refunded_amount, p.refunding_amount, r.succeeded, r.open FROM payments.payments p
          JOIN LATERAL (SELECT COALESCE(sum(amount) FILTER (WHERE status = 'succeeded'), 0) AS succeeded,
                               COALESCE(sum(amount) FILTER (WHERE status IN ('pending', 'processing')), 0) AS open
                          FROM payments.refunds r
                         WHERE r.organization_id = p.organization_id AND r.payment_id = p.id) r ON true
         WHERE p.refunded_amount <> r.succeeded OR p.refunding_amount <> r.open
    """,
    "what is decided to be captured is held or taken": """
        SELECT p.id, p.amount, sum(x.amount) FROM payments.payments p
          JOIN orders.order_operations x ON x.organization_id = p.organization_id AND x.order_id = p.order_id
               AND x.payment_id = p.id AND x.operation = 'capture' AND x.state <> 'failed'
         WHERE x.last_error IS DISTINCT FROM 'not captured: the money goes back'
         GROUP BY p.organization_id, p.id, p.amount HAVING sum(x.amount) > p.amount
    """,
    "no capture gives back more than it took": """
        SELECT p.id, c.id, c.amount, g.amount FROM payments.payments p
          JOIN LATERAL (SELECT e ->> 'gateway_capture_id' AS id, (e ->> 'amount_minor')::bigint AS amount
                          FROM jsonb_array_elements(p.facts -> 'captures') e) c ON true
          JOIN LATERAL (SELECT COALESCE(sum(r.amount), 0) AS amount FROM payments.refunds r
                         WHERE r.organization_id = p.organization_id AND r.payment_id = p.id
                           AND r.gateway_capture_id = c.id
                           AND r.status IN ('pending', 'processing', 'succeeded')) g ON true
         WHERE g.amount > c.amount
    """,
    "a line was given back as its refunds say": """
        SELECT i.id, i.refunded_quantity, i.refunded_amount, r.quantity, r.amount FROM orders.order_items i
          JOIN LATERAL (SELECT COALESCE(sum(ri.quantity), 0) AS quantity, COALESCE(sum(ri.amount), 0) AS amount
                          FROM payments.refund_items ri JOIN payments.refunds r
                            ON r.organization_id = ri.organization_id AND r.id = ri.refund_id
                         WHERE ri.organization_id = i.organization_id AND ri.order_item_id = i.id
                           AND r.status = 'succeeded') r ON true
         WHERE i.refunded_quantity <> r.quantity OR i.refunded_amount <> r.amount
    """,
    "a refund is what its lines and its shipping say, or more": """
        SELECT r.id, r.amount, r.shipping_amount FROM payments.refunds r
         WHERE r.amount < r.shipping_amount + (SELECT COALESCE(sum(ri.amount), 0) FROM payments.refund_items ri
                                                WHERE ri.organization_id = r.organization_id AND ri.refund_id = r.id)
    """,
    "no more is promised of an order than was bought": """
        SELECT o.id FROM orders.orders o
          JOIN LATERAL (SELECT COALESCE(sum(r.shipping_amount), 0) AS shipping FROM payments.refunds r
                         WHERE r.organization_id = o.organization_id AND r.order_id = o.id
                           AND r.status IN ('pending', 'processing', 'succeeded')) promised ON true
         WHERE promised.shipping > o.shipping
        UNION ALL
        SELECT i.id FROM orders.order_items i
          JOIN LATERAL (SELECT COALESCE(sum(ri.quantity), 0) AS quantity, COALESCE(sum(ri.worth), 0) AS worth
                          FROM payments.refund_items ri JOIN payments.refunds r
                            ON r.organization_id = ri.organization_id AND r.id = ri.refund_id
                         WHERE ri.organization_id = i.organization_id AND ri.order_item_id = i.id
                           AND r.status IN ('pending', 'processing', 'succeeded')) promised ON true
         WHERE promised.quantity > i.quantity OR promised.worth > i.subtotal - i.discount + i.tax
    """,
    "no price difference is more than what was paid beyond the price": """
        SELECT p.id, p.captured_amount, o.total, r.differences FROM payments.payments p
          JOIN orders.orders o ON o.organization_id = p.organization_id AND o.id = p.order_id
          JOIN LATERAL (SELECT COALESCE(sum(amount), 0) AS differences FROM payments.refunds r
                         WHERE r.organization_id = p.organization_id AND r.payment_id = p.id
                           AND r.reason = 'price_difference' AND r.status IN ('pending', 'processing', 'succeeded')
                       ) r ON true
         WHERE r.differences > GREATEST(p.captured_amount - o.total, 0)
    """,
    "what was paid beyond the price is given back, or somebody was told": """
        SELECT p.id, p.captured_amount, o.total, r.differences FROM payments.payments p
          JOIN orders.orders o ON o.organization_id = p.organization_id AND o.id = p.order_id
          JOIN LATERAL (SELECT COALESCE(sum(amount), 0) AS differences FROM payments.refunds r
                         WHERE r.organization_id = p.organization_id AND r.payment_id = p.id
                           AND r.reason = 'price_difference') r ON true
         WHERE o.status NOT IN ('cancelled', 'refunded')
           AND LEAST(p.captured_amount - o.total - r.differences, p.captured_amount - p.refunded_amount
                     - p.refunding_amount - p.charged_back_amount) > 0
           AND NOT EXISTS (SELECT 1 FROM orders.order_operations x WHERE x.organization_id = p.organization_id
                            AND x.payment_id = p.id AND x.operation = 'return_money')
    """,
    "an order costs what it was last given an address for": """
        SELECT o.id, o.total, v.total_after FROM orders.orders o
          JOIN LATERAL (SELECT v.total_after FROM orders.order_address_versions v
                         WHERE v.organization_id = o.organization_id AND v.order_id = o.id
                         ORDER BY v.version DESC LIMIT 1) v ON true
         WHERE o.total <> v.total_after
    """,
    "goods are set aside where the allocation says": """
        SELECT COALESCE(a.order_id, r.order_id) AS order_id, a.quantity AS allocated, r.quantity AS set_aside FROM (
            SELECT order_id, warehouse_id, variant_id, sum(quantity) AS quantity FROM orders.order_allocations a
             WHERE a.superseded_at IS NULL AND EXISTS (
                   SELECT 1 FROM inventory.reservations r WHERE r.organization_id = a.organization_id
                      AND r.order_id = a.order_id AND r.status = 'completed') GROUP BY 1, 2, 3) a
          FULL JOIN (
            -- What is sent again is taken out of stock by its shipment, not set aside by a hold.
            SELECT order_id, warehouse_id, variant_id, sum(quantity) AS quantity FROM (
                SELECT order_id, warehouse_id, variant_id, quantity FROM inventory.reservations r
                 WHERE r.status = 'completed'
                UNION ALL
                SELECT s.order_id, m.warehouse_id, m.variant_id, -m.quantity FROM inventory.stock_movements m
                  JOIN fulfillment.shipments s ON s.organization_id = m.organization_id AND s.id = m.reference_id
                 WHERE m.reference_type = 'shipment' AND m.type = 'sale') AS taken GROUP BY 1, 2, 3) r
         USING (order_id, warehouse_id, variant_id)
         WHERE a.quantity IS DISTINCT FROM r.quantity
    """,
    "what is sold lies in its warehouse until it leaves, and a count finds it there": SOLD_UNSHIPPED,
    "what came back into stock is what the movements say": """
        SELECT o.id, moved.quantity, items.restocked FROM orders.orders o
          JOIN LATERAL (SELECT COALESCE(sum(m.quantity), 0) AS quantity FROM inventory.stock_movements m
                         WHERE m.organization_id = o.organization_id AND m.reference_id = o.id AND m.type = 'return'
                       ) moved ON true
          JOIN LATERAL (SELECT COALESCE(sum(i.restocked_quantity), 0) AS restocked FROM orders.order_items i
                         WHERE i.organization_id = o.organization_id AND i.order_id = o.id) items ON true
         WHERE moved.quantity <> items.restocked
    """,
    "a confirmed order has money, or a person was told that it fell through": """
        SELECT o.id, o.status FROM orders.orders o
         WHERE o.status IN ('payment_confirmed', 'address_review', 'confirmed', 'processing', 'partially_shipped',
                            'shipped')
           AND o.source <> 'marketplace'
           AND NOT EXISTS (SELECT 1 FROM operations.process_failures f WHERE f.organization_id = o.organization_id
                            AND f.related_id = o.id AND f.process_name = 'PaymentFellThrough')
           AND NOT EXISTS (SELECT 1 FROM payments.payments p
                            WHERE p.organization_id = o.organization_id AND p.order_id = o.id
                              AND p.status IN ('authorized', 'captured', 'partially_refunded'))
    """,
    "an order is under review exactly while its review is open": """
        SELECT o.id, o.status, r.id AS review_id FROM orders.orders o
          LEFT JOIN addresses.reviews r ON r.organization_id = o.organization_id AND r.order_id = o.id
               AND r.resolved_at IS NULL
         WHERE (o.status = 'address_review') <> (r.id IS NOT NULL)
    """,
    "every step of a review is on record": """
        SELECT r.id, r.status, r.steps, s.steps AS on_record, s.last FROM addresses.reviews r
          JOIN LATERAL (SELECT count(*) AS steps, max(sequence) AS highest, bool_or(step = 'begun') AS has_begun,
                               (array_agg(step ORDER BY sequence DESC))[1] AS last,
                               count(*) FILTER (WHERE step = 'reminded') AS reminded
                          FROM addresses.review_steps s
                         WHERE s.organization_id = r.organization_id AND s.review_id = r.id) s ON true
         WHERE r.steps <> s.steps OR r.steps <> s.highest OR NOT s.has_begun
            OR (r.resolved_at IS NOT NULL) <> (s.last IN ('corrected', 'resolved', 'cancelled', 'expired'))
            OR s.reminded <> (SELECT count(*) FROM operations.outbox b
                               WHERE b.organization_id = r.organization_id AND b.aggregate_id = r.order_id
                                 AND b.topic = 'order.address_review_reminder'
                                 AND b.payload ->> 'review_id' = r.id::text)
    """,
    "a confirmed order has its stock": """
        SELECT i.order_id, i.variant_id, i.quantity FROM orders.order_items i
          JOIN orders.orders o ON o.organization_id = i.organization_id AND o.id = i.order_id
         WHERE o.status IN ('confirmed', 'processing')
           AND i.quantity <> (SELECT COALESCE(sum(r.quantity), 0) FROM inventory.reservations r
                               WHERE r.organization_id = i.organization_id AND r.order_id = i.order_id
                                 AND r.variant_id = i.variant_id AND r.status = 'completed')
    """,
    "no more of an allocation is in shipments than it has": """
        SELECT a.id, a.quantity, i.shipped FROM orders.order_allocations a
          JOIN (SELECT i.organization_id, i.allocation_id, sum(i.quantity) AS shipped
                  FROM fulfillment.shipment_items i
                  JOIN fulfillment.shipments s ON s.organization_id = i.organization_id AND s.id = i.shipment_id
                 WHERE s.status <> 'cancelled' GROUP BY 1, 2) i
            ON i.organization_id = a.organization_id AND i.allocation_id = a.id
         WHERE i.shipped > a.quantity
    """,
    "what is to ship is on a shipment, and what was kept back is on none": """
        SELECT o.id, o.status, w.* FROM orders.orders o
          CROSS JOIN LATERAL (
            SELECT i.id AS item_id, i.quantity - COALESCE(h.quantity, 0) AS to_ship,
                   (SELECT COALESCE(sum(si.quantity), 0) FROM fulfillment.shipment_items si
                      JOIN fulfillment.shipments s ON s.organization_id = si.organization_id AND s.id = si.shipment_id
                     WHERE si.organization_id = i.organization_id AND si.order_item_id = i.id
                       AND s.status <> 'cancelled' AND s.reships_id IS NULL) AS planned
              FROM orders.order_items i
              LEFT JOIN fulfillment.withheld(o.organization_id, o.id) h ON h.order_item_id = i.id
             WHERE i.organization_id = o.organization_id AND i.order_id = o.id) w
         WHERE o.status IN ('confirmed', 'processing', 'partially_shipped', 'shipped', 'delivered')
           AND NOT EXISTS (SELECT 1 FROM fulfillment.shipments s WHERE s.organization_id = o.organization_id
                            AND s.order_id = o.id AND s.reships_id IS NOT NULL)
           AND w.planned <> w.to_ship
    """,
    **ENDINGS,
    "a shipment left with its money taken": """
        SELECT s.id, s.status, s.captured_when_left, p.captured FROM fulfillment.shipments s
          CROSS JOIN LATERAL (SELECT COALESCE(sum(p.captured_amount), 0) AS captured, count(*) AS payments
                                FROM payments.payments p
                               WHERE p.organization_id = s.organization_id AND p.order_id = s.order_id) p
         WHERE s.shipped_at IS NOT NULL AND p.payments > 0
           AND NOT EXISTS (SELECT 1 FROM operations.process_failures f WHERE f.organization_id = s.organization_id
                            AND f.related_id = s.order_id AND f.process_name IN ('PaymentFellThrough', 'CaptureFailed'))
           AND (p.captured < s.captured_when_left OR (p.captured = 0 AND s.captured_when_left = 0 AND EXISTS (
                SELECT 1 FROM orders.orders o WHERE o.organization_id = s.organization_id AND o.id = s.order_id
                   AND o.total > 0)))
    """,
    "an order is where its shipments are": """
        SELECT o.id, o.status, o.fulfillment_status, f.derived FROM orders.orders o
          CROSS JOIN LATERAL (SELECT fulfillment.status_of(o.organization_id, o.id) AS derived) f
         WHERE EXISTS (SELECT 1 FROM fulfillment.shipments s
                        WHERE s.organization_id = o.organization_id AND s.order_id = o.id)
           AND (o.fulfillment_status <> f.derived
                OR (f.derived = 'in_preparation' AND o.status = 'confirmed')
                OR (f.derived = 'partially_shipped' AND o.status IN ('confirmed', 'processing'))
                OR (f.derived = 'shipped' AND o.status IN ('confirmed', 'processing', 'partially_shipped'))
                OR (f.derived = 'delivered'
                    AND o.status NOT IN ('delivered', 'partially_refunded', 'refunded'))
                -- Refunded (lost, or before it left), and nothing is on its way: an end, once the refund is certain.
                OR (f.derived = 'cancelled' AND o.status IN ('confirmed', 'processing', 'partially_shipped', 'shipped')
                    AND NOT EXISTS (SELECT 1 FROM payments.refunds r WHERE r.organization_id = o.organization_id
                                     AND r.order_id = o.id AND r.status IN ('pending', 'processing'))))
    """,
    "an allocation got back what its line did": """
        SELECT i.id, i.restocked_quantity, a.restocked FROM orders.order_items i
          JOIN LATERAL (SELECT COALESCE(sum(a.restocked_quantity), 0) AS restocked FROM orders.order_allocations a
                         WHERE a.organization_id = i.organization_id AND a.order_item_id = i.id) a ON true
         WHERE i.restocked_quantity <> a.restocked
    """,
    "what is sent again was taken out of stock": """
        SELECT s.id, sent.pieces, taken.pieces FROM fulfillment.shipments s
          CROSS JOIN LATERAL (SELECT COALESCE(sum(i.quantity), 0) AS pieces FROM fulfillment.shipment_items i
                               WHERE i.organization_id = s.organization_id AND i.shipment_id = s.id) sent
          CROSS JOIN LATERAL (SELECT COALESCE(-sum(m.quantity), 0) AS pieces FROM inventory.stock_movements m
                               WHERE m.organization_id = s.organization_id AND m.reference_type = 'shipment'
                                 AND m.reference_id = s.id AND m.type = 'sale') taken
         WHERE s.reships_id IS NOT NULL AND sent.pieces > taken.pieces
    """,
    "no captured money without a live order, a refund or somebody who returns it": """
        SELECT p.id, p.status, o.status AS order_status FROM payments.payments p
          JOIN orders.orders o ON o.organization_id = p.organization_id AND o.id = p.order_id
         WHERE p.captured_amount > p.refunded_amount + p.refunding_amount + p.charged_back_amount
           AND o.status IN ('pending_payment', 'payment_processing', 'payment_failed', 'cancelled')
           AND NOT EXISTS (SELECT 1 FROM orders.order_operations x WHERE x.organization_id = o.organization_id
                            AND x.order_id = o.id AND x.state IN ('running', 'failed'))
    """,
    "an order has at most one payment that keeps money": """
        SELECT p.order_id FROM payments.payments p
         WHERE p.status IN ('authorized', 'captured', 'partially_refunded')
           AND NOT EXISTS (SELECT 1 FROM orders.order_operations x WHERE x.organization_id = p.organization_id
                            AND x.payment_id = p.id AND x.state = 'running')
         GROUP BY p.organization_id, p.order_id HAVING count(*) > 1
    """,
    "every order was announced": """
        SELECT o.id FROM orders.orders o
         WHERE NOT EXISTS (SELECT 1 FROM operations.outbox b WHERE b.organization_id = o.organization_id
                            AND b.aggregate_id = o.id AND b.topic = 'order.created')
    """,
    "no event is in a fourth place": """
        SELECT id, state FROM payments.payment_events
         WHERE (state = 'processed') <> (processed_at IS NOT NULL)
    """,
    "an event that was given up has its dead letter, and one that was replayed is processed": """
        SELECT e.id, e.state, d.status FROM payments.payment_events e
          LEFT JOIN payments.dead_letters d ON d.organization_id = e.organization_id AND d.event_id = e.id
         WHERE (e.state = 'dead_lettered' AND (d.id IS NULL OR d.status = 'replayed'))
            OR (e.state IN ('pending', 'retry_scheduled') AND d.id IS NOT NULL)
    """,
    "a dead letter is where its history says": """
        SELECT d.id, d.status, h.to_status FROM payments.dead_letters d
          JOIN LATERAL (SELECT to_status FROM payments.dead_letter_history h
                         WHERE h.organization_id = d.organization_id AND h.dead_letter_id = d.id
                         ORDER BY sequence DESC LIMIT 1) h ON true
         WHERE d.status <> h.to_status
    """,
    "load booked is load of orders that stand": """
        SELECT l.organization_id, l.warehouse_id, l.load_date, l.orders, b.booked FROM (
            SELECT organization_id, warehouse_id, load_date, sum(orders) AS orders
              FROM inventory.warehouse_daily_load GROUP BY 1, 2, 3) l
          LEFT JOIN (
            SELECT r.organization_id, r.warehouse_id, r.load_date, count(*) AS booked
              FROM inventory.reservations r
              JOIN orders.orders o ON o.organization_id = r.organization_id AND o.id = r.order_id
             WHERE r.load_date IS NOT NULL
               AND (r.status = 'active' OR (r.status = 'completed' AND o.status <> 'cancelled')) GROUP BY 1, 2, 3) b
            USING (organization_id, warehouse_id, load_date)
         WHERE l.orders <> COALESCE(b.booked, 0)
           AND NOT EXISTS (SELECT 1 FROM archive.archive_index x -- its orders have gone, long after their day
                            WHERE x.organization_id = l.organization_id AND x.location <> 'restored'
                              AND x.ordered_at::date BETWEEN l.load_date - 7 AND l.load_date + 1)
    """,
}


LEDGER: Final[Mapping[str, str]] = {
    name: INVARIANTS[name]
    for name in (
        "replaying the movements gives the level",
        "movements of a level join without a gap",
        "incoming is what is in transit",
    )
}
"""The invariants that are checked after every test on a ``House``, asked or not: stock is what its ledger says."""


def violations(engine: Engine, invariants: Mapping[str, str] = INVARIANTS) -> list[str]:
    """Return every invariant that does not hold, as text, with the first rows that break it."""
    found: list[str] = []
    with engine.connect() as connection:
        for name, query in invariants.items():
            rows = connection.execute(text(query)).fetchmany(3)
            found.extend(f"{name}: {dict(row._mapping)}" for row in rows)
    return found
