-- What lies in a warehouse is more than its book: a sale takes the goods out of the book when the money has come, and a
-- shipment takes them out of the warehouse, later. What lies between the two has to be known to whoever counts.

-- named query: what left a warehouse since an instant
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX shipments_left ON fulfillment.shipments (organization_id, warehouse_id, shipped_at) WHERE shipped_at IS NOT NULL;
-- named query: what is sold and has not left (refunded before it left, and nobody said where it is)
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX refund_items_of_goods_nobody_told_of ON payments.refund_items (organization_id, refund_id)
    WHERE unshipped_quantity > 0 AND restock_reason IS NULL;

-- Of each of these levels, if there are any: how many pieces are out of the book and have not left the warehouse. Whoever
-- counts finds on_hand and these. They are
-- * in a shipment that has not left (one that is sent again as well: its goods were taken by the shipment itself);
-- * of an order that is paid and not planned yet (its address is looked at);
-- * refunded before they left, until the refund that calls them resellable succeeds and they are back in the book; and if
--   nobody said where they are, for good: what may come back by itself must not be found by a count as well.
-- Not those that a refund says are damaged or lost: nobody counts them.
-- Read along what is under way, never along what was sold: it costs what the warehouses have to ship. The lateral parts keep
-- it to index scans whatever the planner believes of the backlog.
CREATE FUNCTION fulfillment.sold_unshipped(p_organization_id uuid, p_warehouse_ids uuid[], p_variant_ids uuid[])
RETURNS TABLE (warehouse_id uuid, variant_id uuid, quantity integer)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH wanted AS MATERIALIZED (
        SELECT DISTINCT u.warehouse_id, u.variant_id FROM unnest(p_warehouse_ids, p_variant_ids) AS u (warehouse_id, variant_id)
    ), places AS MATERIALIZED (
        SELECT DISTINCT w.warehouse_id FROM wanted w
    ), packed AS (
        SELECT a.warehouse_id, a.variant_id, i.quantity
          FROM places p
          JOIN fulfillment.shipments s ON s.organization_id = p_organization_id AND s.status IN ('pending', 'picked', 'packed')
               AND s.warehouse_id = p.warehouse_id
         CROSS JOIN LATERAL (SELECT si.allocation_id, si.quantity FROM fulfillment.shipment_items si
                              WHERE si.organization_id = p_organization_id AND si.shipment_id = s.id OFFSET 0) AS i
         CROSS JOIN LATERAL (SELECT o.warehouse_id, o.variant_id FROM orders.order_allocations o
                              WHERE o.organization_id = p_organization_id AND o.id = i.allocation_id OFFSET 0) AS a
    ), loose AS ( -- orders that may have sold pieces on no shipment
        SELECT o.id FROM orders.orders o
         WHERE o.organization_id = p_organization_id AND o.status IN ('payment_confirmed', 'address_review')
         UNION
        SELECT r.order_id FROM payments.refunds r
         WHERE r.organization_id = p_organization_id AND r.status IN ('pending', 'processing')
         UNION
        SELECT r.order_id FROM payments.refund_items ri
         CROSS JOIN LATERAL (SELECT f.order_id FROM payments.refunds f
                              WHERE f.organization_id = p_organization_id AND f.id = ri.refund_id OFFSET 0) AS r
         WHERE ri.organization_id = p_organization_id AND ri.unshipped_quantity > 0 AND ri.restock_reason IS NULL
         UNION -- its money went back whole while a part of it had not left
        SELECT s.order_id FROM places p
          JOIN fulfillment.shipments s ON s.organization_id = p_organization_id AND s.status = 'cancelled' AND s.warehouse_id = p.warehouse_id
         CROSS JOIN LATERAL (SELECT 1 FROM orders.orders o
                              WHERE o.organization_id = p_organization_id AND o.id = s.order_id AND o.status = 'refunded' OFFSET 0) AS over
    ), allocated AS MATERIALIZED (
        SELECT l.id AS order_id, a.id, a.order_item_id, a.warehouse_id, a.variant_id, a.restocked_quantity AS restocked,
               a.quantity - x.packed AS idle, x.sent
          FROM loose l
         CROSS JOIN LATERAL (SELECT q.status FROM orders.orders q
                              WHERE q.organization_id = p_organization_id AND q.id = l.id AND q.status <> 'cancelled' OFFSET 0) AS o
         CROSS JOIN LATERAL (SELECT n.* FROM orders.order_allocations n
                              WHERE n.organization_id = p_organization_id AND n.order_id = l.id AND n.superseded_at IS NULL OFFSET 0) AS a
         CROSS JOIN LATERAL (SELECT COALESCE(sum(si.quantity), 0) AS packed,
                                    COALESCE(sum(si.quantity) FILTER (WHERE s.shipped_at IS NOT NULL), 0) AS sent
                               FROM fulfillment.shipment_items si
                               JOIN fulfillment.shipments s ON s.organization_id = p_organization_id AND s.id = si.shipment_id
                              WHERE si.organization_id = p_organization_id AND si.allocation_id = a.id AND s.status <> 'cancelled') AS x
         WHERE EXISTS (SELECT 1 FROM inventory.reservations h
                        WHERE h.organization_id = p_organization_id AND h.order_id = l.id AND h.status = 'completed')
    ), lines AS ( -- how many of each line's idle pieces are here and out of the book
        SELECT i.order_item_id,
               greatest(0, i.idle - i.lost - least(i.idle, greatest(i.restocked - i.sent, least(i.restocked, i.back)))) AS due
          FROM (SELECT c.order_item_id, c.idle, c.sent, c.restocked, t.lost,
                       -- those that came back before they had left; a refund may have failed after they had
                       t.back + least(t.failed, greatest(0, c.restocked - t.resellable)) AS back
                  FROM (SELECT a.order_item_id, sum(a.idle) AS idle, sum(a.sent) AS sent, sum(a.restocked) AS restocked
                          FROM allocated a GROUP BY a.order_item_id HAVING sum(a.idle) > 0) AS c
                 CROSS JOIN LATERAL (
                    SELECT COALESCE(sum(ri.unshipped_quantity) FILTER (
                               WHERE r.status IN ('pending', 'processing', 'succeeded') AND ri.restock_reason <> 'resellable'), 0) AS lost,
                           COALESCE(sum(ri.unshipped_quantity) FILTER (WHERE r.status = 'succeeded' AND ri.restock), 0) AS back,
                           COALESCE(sum(ri.quantity) FILTER (WHERE r.status = 'succeeded' AND ri.restock), 0) AS resellable,
                           COALESCE(sum(ri.unshipped_quantity) FILTER (WHERE r.status = 'failed' AND ri.restock), 0) AS failed
                      FROM payments.refund_items ri
                      JOIN payments.refunds r ON r.organization_id = p_organization_id AND r.id = ri.refund_id
                     WHERE ri.organization_id = p_organization_id AND ri.order_item_id = c.order_item_id) AS t) AS i
    ), shared AS ( -- where they are, in the order in which checkout.restock takes them
        SELECT r.warehouse_id, r.variant_id,
               greatest(0, least(r.room, l.due - (sum(r.room) OVER w - r.room)))
               + CASE WHEN row_number() OVER w = 1 THEN greatest(0, l.due - sum(r.room) OVER (PARTITION BY r.order_item_id)) ELSE 0 END AS quantity
          FROM (SELECT a.*, a.idle - least(a.idle, a.restocked) AS room FROM allocated a WHERE a.idle > 0) AS r
          JOIN lines l ON l.order_item_id = r.order_item_id
        WINDOW w AS (PARTITION BY r.order_item_id ORDER BY r.id)
    )
    SELECT f.warehouse_id, f.variant_id, sum(f.quantity)::integer
      FROM (SELECT * FROM packed UNION ALL SELECT * FROM shared) AS f
      JOIN wanted w ON w.warehouse_id = f.warehouse_id AND w.variant_id = f.variant_id
     GROUP BY f.warehouse_id, f.variant_id HAVING sum(f.quantity) > 0;
END
$$;

-- Of each of these levels, if there are any: how many pieces left the warehouse after an instant.
CREATE FUNCTION fulfillment.left_since(p_organization_id uuid, p_warehouse_ids uuid[], p_variant_ids uuid[], p_since timestamptz)
RETURNS TABLE (warehouse_id uuid, variant_id uuid, quantity integer)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH wanted AS MATERIALIZED (
        SELECT DISTINCT u.warehouse_id, u.variant_id FROM unnest(p_warehouse_ids, p_variant_ids) AS u (warehouse_id, variant_id)
    )
    SELECT a.warehouse_id, a.variant_id, sum(i.quantity)::integer
      FROM (SELECT DISTINCT w.warehouse_id FROM wanted w) AS p
      JOIN fulfillment.shipments s ON s.organization_id = p_organization_id AND s.warehouse_id = p.warehouse_id AND s.shipped_at > p_since
     CROSS JOIN LATERAL (SELECT si.allocation_id, si.quantity FROM fulfillment.shipment_items si
                          WHERE si.organization_id = p_organization_id AND si.shipment_id = s.id OFFSET 0) AS i
     CROSS JOIN LATERAL (SELECT o.warehouse_id, o.variant_id FROM orders.order_allocations o
                          WHERE o.organization_id = p_organization_id AND o.id = i.allocation_id OFFSET 0) AS a
      JOIN wanted w ON w.warehouse_id = a.warehouse_id AND w.variant_id = a.variant_id
     GROUP BY a.warehouse_id, a.variant_id;
END
$$;
GRANT EXECUTE ON FUNCTION fulfillment.sold_unshipped(uuid, uuid[], uuid[]), fulfillment.left_since(uuid, uuid[], uuid[], timestamptz)
    TO holdfast_app, holdfast_system;
