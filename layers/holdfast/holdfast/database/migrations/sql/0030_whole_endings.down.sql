-- squawk-ignore-file ban-drop-constraint, ban-drop-column

CREATE OR REPLACE FUNCTION fulfillment.withheld(p_organization_id uuid, p_order_id uuid) RETURNS TABLE (order_item_id uuid, quantity integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT i.id, (t.counted + least(t.failed, greatest(0, i.restocked_quantity - t.resellable)))::integer
      FROM (SELECT ri.order_item_id,
                   COALESCE(sum(ri.unshipped_quantity) FILTER (WHERE r.status IN ('pending', 'processing', 'succeeded')), 0) AS counted,
                   COALESCE(sum(ri.unshipped_quantity) FILTER (WHERE r.status = 'failed' AND ri.restock), 0) AS failed,
                   COALESCE(sum(ri.quantity) FILTER (WHERE r.status = 'succeeded' AND ri.restock), 0) AS resellable
              FROM payments.refunds r
              JOIN payments.refund_items ri ON ri.organization_id = r.organization_id AND ri.refund_id = r.id
             WHERE r.organization_id = p_organization_id AND r.order_id = p_order_id
             GROUP BY ri.order_item_id) AS t
      JOIN orders.order_items i ON i.organization_id = p_organization_id AND i.id = t.order_item_id
$$;

CREATE OR REPLACE FUNCTION fulfillment.unplanned(p_organization_id uuid, p_order_id uuid)
RETURNS TABLE (allocation_id uuid, order_item_id uuid, warehouse_id uuid, quantity integer, cost bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.allocation_id, f.order_item_id, f.warehouse_id,
           (f.quantity - greatest(0, COALESCE(w.quantity, 0) - f.before))::integer, f.cost
      FROM (SELECT c.*, sum(c.quantity) OVER (PARTITION BY c.order_item_id ORDER BY c.was_restocked DESC, c.allocation_id) - c.quantity AS before
              FROM fulfillment.free_pieces(p_organization_id, p_order_id) AS c) AS f
      LEFT JOIN fulfillment.withheld(p_organization_id, p_order_id) AS w ON w.order_item_id = f.order_item_id
     WHERE f.quantity > greatest(0, COALESCE(w.quantity, 0) - f.before)
$$;

CREATE OR REPLACE FUNCTION fulfillment.status_of(p_organization_id uuid, p_order_id uuid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN count(*) = 0 THEN 'unfulfilled'
        WHEN count(*) FILTER (WHERE s.status <> 'cancelled') = 0 THEN 'cancelled'
        WHEN bool_and(s.status IN ('delivered', 'cancelled')) THEN 'delivered'
        WHEN bool_and(s.status IN ('shipped', 'in_transit', 'delivered', 'cancelled')) THEN 'shipped'
        WHEN bool_or(s.status IN ('shipped', 'in_transit', 'delivered')) THEN 'partially_shipped'
        WHEN bool_or(s.status IN ('picked', 'packed')) THEN 'in_preparation'
        ELSE 'unfulfilled' END
      FROM fulfillment.shipments s
     WHERE s.organization_id = p_organization_id AND s.order_id = p_order_id AND s.reshipped_at IS NULL
$$;

CREATE OR REPLACE FUNCTION checkout.restock(
    p_organization_id uuid, p_order_id uuid, p_now timestamptz, p_all boolean, p_reason text, p_performed_by text
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    risen integer;
    warehouses uuid[];
    variants uuid[];
    quantities integer[];
BEGIN
    IF NOT EXISTS (SELECT 1 FROM inventory.reservations
                    WHERE organization_id = p_organization_id AND order_id = p_order_id AND status = 'completed')
    THEN
        RETURN 0; -- nothing was sold: what is held is released, not returned
    END IF;
    WITH told AS (
        SELECT ri.order_item_id, sum(ri.quantity) FILTER (WHERE ri.restock) AS resellable,
               sum(ri.unshipped_quantity) FILTER (WHERE ri.restock) AS resellable_unshipped,
               sum(ri.quantity) FILTER (WHERE ri.restock_reason <> 'resellable') AS lost
          FROM payments.refunds r
          JOIN payments.refund_items ri ON ri.organization_id = r.organization_id AND ri.refund_id = r.id
         WHERE r.organization_id = p_organization_id AND r.order_id = p_order_id AND r.status = 'succeeded'
         GROUP BY ri.order_item_id
    ), due AS (
        SELECT i.id, COALESCE(t.resellable_unshipped, 0) AS unshipped, i.restocked_quantity AS before,
               least(i.quantity, CASE WHEN p_all THEN i.quantity - COALESCE(t.lost, 0) ELSE COALESCE(t.resellable, 0) END) AS after
          FROM orders.order_items i LEFT JOIN told t ON t.order_item_id = i.id
         WHERE i.organization_id = p_organization_id AND i.order_id = p_order_id
    ), marked AS (
        UPDATE orders.order_items i SET restocked_quantity = d.after
          FROM due d
         WHERE i.organization_id = p_organization_id AND i.id = d.id AND d.after > d.before
    ), placed AS ( -- where the line's pieces are: idle ones are on no shipment, sent ones have left
        SELECT a.id, a.order_item_id, a.warehouse_id, a.variant_id, a.quantity, a.restocked_quantity AS restocked,
               a.quantity - COALESCE(x.packed, 0) AS idle, COALESCE(x.sent, 0) AS sent
          FROM orders.order_allocations a
          LEFT JOIN LATERAL (SELECT sum(si.quantity) AS packed, sum(si.quantity) FILTER (WHERE s.shipped_at IS NOT NULL) AS sent
                               FROM fulfillment.shipment_items si
                               JOIN fulfillment.shipments s ON s.organization_id = si.organization_id AND s.id = si.shipment_id
                              WHERE si.organization_id = a.organization_id AND si.allocation_id = a.id AND s.status <> 'cancelled') AS x ON true
         WHERE a.organization_id = p_organization_id AND a.order_id = p_order_id AND a.superseded_at IS NULL
    ), counted AS ( -- of those that came back before, idle ones came first
        SELECT p.*, d.before, d.after, least(p.restocked, p.idle) AS idle_before,
               CASE WHEN p_all THEN d.after - d.before
                    ELSE greatest(0, least(d.after - d.before,
                                           d.unshipped - sum(least(p.restocked, p.idle)) OVER (PARTITION BY p.order_item_id))) END AS idle_due
          FROM placed p JOIN due d ON d.id = p.order_item_id AND d.after > d.before
    ), first AS ( -- those that never left
        SELECT c.*, greatest(0, least(c.idle - c.idle_before, c.idle_due - (sum(c.idle - c.idle_before) OVER w - (c.idle - c.idle_before)))) AS taken
          FROM counted c WINDOW w AS (PARTITION BY c.order_item_id ORDER BY c.id)
    ), second AS ( -- then those that were sent
        SELECT f.*, f.after - f.before - sum(f.taken) OVER (PARTITION BY f.order_item_id) AS rest,
               greatest(0, least(f.quantity - f.restocked - f.taken, f.sent - (f.restocked - f.idle_before))) AS sent_room
          FROM first f
    ), third AS ( -- and should that not be all of them, whatever is left of the allocations
        SELECT s.*, greatest(0, least(s.sent_room, s.rest - (sum(s.sent_room) OVER w - s.sent_room))) AS returned
          FROM second s WINDOW w AS (PARTITION BY s.order_item_id ORDER BY s.id)
    ), last AS (
        SELECT t.*, t.rest - sum(t.returned) OVER (PARTITION BY t.order_item_id) AS left_over,
               t.quantity - t.restocked - t.taken - t.returned AS room
          FROM third t
    ), back AS (
        SELECT l.id, l.warehouse_id, l.variant_id,
               (l.taken + l.returned + greatest(0, least(l.room, l.left_over - (sum(l.room) OVER w - l.room))))::integer AS quantity
          FROM last l WINDOW w AS (PARTITION BY l.order_item_id ORDER BY l.id)
    ), remembered AS (
        UPDATE orders.order_allocations a SET restocked_quantity = a.restocked_quantity + b.quantity
          FROM back b
         WHERE a.organization_id = p_organization_id AND a.id = b.id AND b.quantity > 0
    )
    SELECT count(*), array_agg(warehouse_id), array_agg(variant_id), array_agg(quantity)
      INTO risen, warehouses, variants, quantities FROM back WHERE quantity > 0;
    IF p_all THEN
        INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)
        SELECT p_organization_id, warehouse_id, load_date, tenancy.uuid_v7(p_now), -1
          FROM inventory.reservations
         WHERE organization_id = p_organization_id AND order_id = p_order_id AND status = 'completed' AND load_date IS NOT NULL;
    END IF;
    IF risen > 0 THEN
        PERFORM inventory.move_stock(
            p_organization_id, p_now, 'return', warehouses, variants, quantities, 'order', p_order_id, p_reason, p_performed_by);
    END IF;
    RETURN risen;
END
$$;

CREATE OR REPLACE FUNCTION fulfillment.sold_unshipped(p_organization_id uuid, p_warehouse_ids uuid[], p_variant_ids uuid[])
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

DROP FUNCTION fulfillment.given_up(uuid, uuid);
DROP FUNCTION fulfillment.pieces(uuid, uuid);
ALTER TABLE orders.order_items
    DROP CONSTRAINT order_items_restocked_quantity_not_negative,
    ADD CONSTRAINT order_items_restocked_quantity_within_bought CHECK (restocked_quantity BETWEEN 0 AND quantity) NOT VALID;
ALTER TABLE orders.order_allocations DROP COLUMN restocked_unshipped_quantity;
CALL archive.define_documents(1);
