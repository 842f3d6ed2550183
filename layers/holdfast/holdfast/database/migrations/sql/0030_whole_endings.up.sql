-- squawk-ignore-file ban-drop-constraint
-- An order that is over leaves nothing behind: pieces that never left go back to their shelves, and a parcel that was lost
-- and refunded is done.

-- NULL: none, or, where pieces came back before this was counted, what fulfillment.pieces takes them for.
ALTER TABLE orders.order_allocations
    ADD COLUMN restocked_unshipped_quantity integer; -- how many of those that came back had never left
ALTER TABLE orders.order_allocations
    ADD CONSTRAINT order_allocations_unshipped_within_restocked
        CHECK (restocked_unshipped_quantity BETWEEN 0 AND restocked_quantity) NOT VALID; -- no row has one: nothing to look at
GRANT UPDATE (restocked_unshipped_quantity) ON orders.order_allocations TO holdfast_app, holdfast_system;
-- What is sent again is taken out of stock a second time, and may come back beside what came back before: no allocation gets
-- back more than it gave, and a line what its allocations do.
ALTER TABLE orders.order_items
    DROP CONSTRAINT order_items_restocked_quantity_within_bought,
    ADD CONSTRAINT order_items_restocked_quantity_not_negative CHECK (restocked_quantity >= 0) NOT VALID; -- the former rule said so too
CALL archive.define_documents(1);

-- Where the pieces of an order's allocations are: idle ones are on no shipment that counts, planned ones on a pending one
-- that follows the allocation, sent ones have left; the others are in somebody's hands, or wait to be sent again. Of those
-- that came back to the shelf, restocked_idle had never left, and are among the idle ones.
CREATE FUNCTION fulfillment.pieces(p_organization_id uuid, p_order_id uuid)
RETURNS TABLE (allocation_id uuid, order_item_id uuid, warehouse_id uuid, variant_id uuid, cost bigint, quantity integer, idle integer,
               planned integer, sent integer, restocked integer, restocked_idle integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.id, a.order_item_id, a.warehouse_id, a.variant_id, a.shipping_cost, a.quantity, x.idle, x.planned, x.sent,
           a.restocked_quantity AS restocked,
           COALESCE(a.restocked_unshipped_quantity, CASE WHEN a.restocked_quantity = 0 THEN 0 ELSE least(a.restocked_quantity, x.idle, (
               SELECT CASE WHEN q.status = 'cancelled' THEN a.quantity ELSE COALESCE(sum(ri.unshipped_quantity), 0) END
                 FROM orders.orders q
                 LEFT JOIN payments.refunds r ON r.organization_id = q.organization_id AND r.order_id = q.id
                      AND r.status IN ('succeeded', 'failed')
                 LEFT JOIN payments.refund_items ri ON ri.organization_id = r.organization_id AND ri.refund_id = r.id
                      AND ri.order_item_id = a.order_item_id AND ri.restock
                WHERE q.organization_id = p_organization_id AND q.id = p_order_id
                GROUP BY q.status))::integer END)
      FROM orders.order_allocations a
     CROSS JOIN LATERAL (
           SELECT (a.quantity - COALESCE(sum(si.quantity), 0))::integer AS idle,
                  COALESCE(sum(si.quantity) FILTER (WHERE s.status = 'pending' AND s.reships_id IS NULL), 0)::integer AS planned,
                  COALESCE(sum(si.quantity) FILTER (WHERE s.shipped_at IS NOT NULL), 0)::integer AS sent
             FROM fulfillment.shipment_items si
             JOIN fulfillment.shipments s ON s.organization_id = si.organization_id AND s.id = si.shipment_id
            WHERE si.organization_id = a.organization_id AND si.allocation_id = a.id AND s.status <> 'cancelled') AS x
     WHERE a.organization_id = p_organization_id AND a.order_id = p_order_id AND a.superseded_at IS NULL
$$;

-- How many pieces of each line are not to leave: a refund that counts (asked for, under way or done) took them off before they
-- left; or they are back on the shelf, where others may have them, also when the refund that brought them there failed later.
CREATE OR REPLACE FUNCTION fulfillment.withheld(p_organization_id uuid, p_order_id uuid) RETURNS TABLE (order_item_id uuid, quantity integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT i.id, least(p.here, COALESCE(t.lost, 0) + greatest(COALESCE(t.kept, 0), p.restocked_idle))::integer
      FROM orders.order_items i
      JOIN (SELECT c.order_item_id, sum(c.quantity - c.sent) AS here, sum(c.restocked_idle) AS restocked_idle
              FROM fulfillment.pieces(p_organization_id, p_order_id) AS c
             -- The usual order has no refund, and is not looked through.
             WHERE EXISTS (SELECT 1 FROM payments.refunds r WHERE r.organization_id = p_organization_id AND r.order_id = p_order_id)
             GROUP BY c.order_item_id) AS p ON p.order_item_id = i.id
      LEFT JOIN (SELECT ri.order_item_id,
                        sum(ri.unshipped_quantity) FILTER (WHERE ri.restock_reason <> 'resellable') AS lost,
                        sum(ri.unshipped_quantity) FILTER (WHERE COALESCE(ri.restock_reason, 'resellable') = 'resellable') AS kept
                   FROM payments.refunds r
                   JOIN payments.refund_items ri ON ri.organization_id = r.organization_id AND ri.refund_id = r.id
                  WHERE r.organization_id = p_organization_id AND r.order_id = p_order_id
                    AND r.status IN ('pending', 'processing', 'succeeded')
                  GROUP BY ri.order_item_id) AS t ON t.order_item_id = i.id
     WHERE i.organization_id = p_organization_id AND i.order_id = p_order_id
       AND (t.order_item_id IS NOT NULL OR p.restocked_idle > 0)
$$;

-- What of an order's allocations is to leave and is in nobody's hands. What is back on the shelf stays there; what else refunds
-- keep back is taken in the order of the allocations.
CREATE OR REPLACE FUNCTION fulfillment.unplanned(p_organization_id uuid, p_order_id uuid)
RETURNS TABLE (allocation_id uuid, order_item_id uuid, warehouse_id uuid, quantity integer, cost bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.allocation_id, f.order_item_id, f.warehouse_id,
           (f.free - greatest(0, COALESCE(w.quantity, 0) - f.kept - f.before))::integer, f.cost
      FROM (SELECT c.allocation_id, c.order_item_id, c.warehouse_id, c.cost, c.idle + c.planned - c.restocked_idle AS free,
                   sum(c.restocked_idle) OVER (PARTITION BY c.order_item_id) AS kept,
                   sum(c.idle + c.planned - c.restocked_idle) OVER (PARTITION BY c.order_item_id ORDER BY c.allocation_id)
                       - (c.idle + c.planned - c.restocked_idle) AS before
              FROM fulfillment.pieces(p_organization_id, p_order_id) AS c) AS f
      LEFT JOIN fulfillment.withheld(p_organization_id, p_order_id) AS w ON w.order_item_id = f.order_item_id
     WHERE f.free > greatest(0, COALESCE(w.quantity, 0) - f.kept - f.before)
$$;

-- The failed shipments of an order that nobody waits for any more: all that was in them was refunded, or the whole order was.
-- Which shipment a refund of pieces that had left was about nobody says: it is taken to be the one that failed, the first
-- first. What a failed one did not send again had been refunded before, and covers no other: what is sent again is allocated
-- beyond what was bought.
CREATE FUNCTION fulfillment.given_up(p_organization_id uuid, p_order_id uuid) RETURNS SETOF uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    WITH lost AS (
        SELECT s.id, si.order_item_id, s.reshipped_at IS NOT NULL AS travels_again, sum(si.quantity) AS quantity
          FROM fulfillment.shipments s
          JOIN fulfillment.shipment_items si ON si.organization_id = s.organization_id AND si.order_id = s.order_id AND si.shipment_id = s.id
         WHERE s.organization_id = p_organization_id AND s.order_id = p_order_id AND s.status = 'failed'
         GROUP BY s.id, si.order_item_id, s.reshipped_at
    ), refunded AS ( -- of what is said not to have left no more than is here did not
        SELECT p.order_item_id,
               COALESCE(t.quantity - least(t.unshipped, p.here), 0) - COALESCE(l.quantity, 0) + p.quantity - i.quantity AS quantity
          FROM orders.order_items i
          JOIN (SELECT c.order_item_id, sum(c.quantity) AS quantity, sum(c.quantity - c.sent) AS here
                  FROM fulfillment.pieces(p_organization_id, p_order_id) AS c GROUP BY c.order_item_id) AS p ON p.order_item_id = i.id
          LEFT JOIN (SELECT ri.order_item_id, sum(ri.quantity) AS quantity, sum(ri.unshipped_quantity) AS unshipped
                       FROM payments.refunds r
                       JOIN payments.refund_items ri ON ri.organization_id = r.organization_id AND ri.refund_id = r.id
                      WHERE r.organization_id = p_organization_id AND r.order_id = p_order_id AND r.status = 'succeeded'
                      GROUP BY ri.order_item_id) AS t ON t.order_item_id = i.id
          LEFT JOIN (SELECT c.order_item_id, sum(c.quantity) AS quantity FROM lost c WHERE c.travels_again
                      GROUP BY c.order_item_id) AS l ON l.order_item_id = i.id
         WHERE i.organization_id = p_organization_id AND i.order_id = p_order_id
    ), waited_for AS (
        SELECT l.id, r.quantity >= sum(l.quantity) OVER (PARTITION BY l.order_item_id ORDER BY l.id) AS is_refunded
          FROM lost l JOIN refunded r ON r.order_item_id = l.order_item_id
         WHERE NOT l.travels_again
    )
    SELECT w.id FROM waited_for w
     GROUP BY w.id
    HAVING bool_and(w.is_refunded)
        OR EXISTS (SELECT 1 FROM orders.orders q WHERE q.organization_id = p_organization_id AND q.id = p_order_id AND q.status = 'refunded')
$$;

-- How far an order's goods have come, over all its shipments: orders/model.py derives the same. A cancelled shipment
-- counts only when there is no other; a failed one counts as not yet shipped until its goods travel again, and as cancelled
-- once it is given up.
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
      FROM (SELECT CASE WHEN c.status = 'failed' AND c.id IN (SELECT fulfillment.given_up(p_organization_id, p_order_id)) THEN 'cancelled'
                        ELSE c.status END AS status
              FROM fulfillment.shipments c
             WHERE c.organization_id = p_organization_id AND c.order_id = p_order_id AND c.reshipped_at IS NULL) AS s
$$;

-- Takes goods of an order back into stock: those that refunds which succeeded call resellable; and, once it is cancelled or
-- refunded, all that never left but what a refund calls lost; with p_all (it is over now) a cancelled one gives back the load it
-- booked. Pieces that never left go back to a warehouse that holds them back, those that were sent to one that sent them. The
-- two are counted apart, and line and allocation remember how many came back, so that saying it twice moves nothing, and no
-- warehouse gets more than it gave: also after a refund failed, for its goods have come back all the same. Answers how many
-- levels rose.
CREATE OR REPLACE FUNCTION checkout.restock(
    p_organization_id uuid, p_order_id uuid, p_now timestamptz, p_all boolean, p_reason text, p_performed_by text
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_status text := (SELECT q.status FROM orders.orders q WHERE q.organization_id = p_organization_id AND q.id = p_order_id);
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
        SELECT ri.order_item_id, sum(ri.unshipped_quantity) FILTER (WHERE ri.restock AND r.status = 'succeeded') AS idle,
               sum(ri.quantity - ri.unshipped_quantity) FILTER (WHERE ri.restock AND r.status = 'succeeded') AS sent,
               sum(ri.unshipped_quantity) FILTER (WHERE ri.restock_reason <> 'resellable') AS lost
          FROM payments.refunds r
          JOIN payments.refund_items ri ON ri.organization_id = r.organization_id AND ri.refund_id = r.id
         WHERE r.organization_id = p_organization_id AND r.order_id = p_order_id AND r.status IN ('pending', 'processing', 'succeeded')
         GROUP BY ri.order_item_id
    ), placed AS MATERIALIZED (
        SELECT * FROM fulfillment.pieces(p_organization_id, p_order_id)
    ), due AS (
        SELECT i.id, i.restocked_quantity AS before,
               greatest(0, CASE WHEN v_status IN ('cancelled', 'refunded') THEN p.idle - COALESCE(t.lost, 0) ELSE COALESCE(t.idle, 0) END
                           - p.restocked_idle) AS idle,
               greatest(0, COALESCE(t.sent, 0) - (p.restocked - p.restocked_idle)) AS sent
          FROM orders.order_items i
          JOIN (SELECT c.order_item_id, sum(c.idle) AS idle, sum(c.restocked) AS restocked, sum(c.restocked_idle) AS restocked_idle
                  FROM placed c GROUP BY c.order_item_id) AS p ON p.order_item_id = i.id
          LEFT JOIN told t ON t.order_item_id = i.id
         WHERE i.organization_id = p_organization_id AND i.order_id = p_order_id
    ), counted AS (
        SELECT p.*, d.idle AS idle_due, d.idle + d.sent AS due,
               greatest(0, least(p.idle - p.restocked_idle, p.quantity - p.restocked)) AS idle_room
          FROM placed p JOIN due d ON d.id = p.order_item_id AND d.idle + d.sent > 0
    ), first AS ( -- those that never left
        SELECT c.*, greatest(0, least(c.idle_room, c.idle_due - (sum(c.idle_room) OVER w - c.idle_room))) AS taken
          FROM counted c WINDOW w AS (PARTITION BY c.order_item_id ORDER BY c.allocation_id)
    ), second AS ( -- then those that were sent
        SELECT f.*, f.due - sum(f.taken) OVER (PARTITION BY f.order_item_id) AS rest,
               greatest(0, least(f.quantity - f.restocked - f.taken, f.sent - (f.restocked - f.restocked_idle))) AS sent_room
          FROM first f
    ), third AS ( -- and should that not be all of them, whatever is left of the allocations
        SELECT s.*, greatest(0, least(s.sent_room, s.rest - (sum(s.sent_room) OVER w - s.sent_room))) AS returned
          FROM second s WINDOW w AS (PARTITION BY s.order_item_id ORDER BY s.allocation_id)
    ), last AS (
        SELECT t.*, t.rest - sum(t.returned) OVER (PARTITION BY t.order_item_id) AS left_over,
               t.quantity - t.restocked - t.taken - t.returned AS room
          FROM third t
    ), back AS (
        SELECT l.allocation_id, l.order_item_id, l.warehouse_id, l.variant_id, (l.restocked_idle + l.taken)::integer AS restocked_idle,
               (l.taken + l.returned + greatest(0, least(l.room, l.left_over - (sum(l.room) OVER w - l.room))))::integer AS quantity
          FROM last l WINDOW w AS (PARTITION BY l.order_item_id ORDER BY l.allocation_id)
    ), marked AS (
        UPDATE orders.order_items i SET restocked_quantity = d.before + b.quantity
          FROM due d
          JOIN (SELECT c.order_item_id, sum(c.quantity)::integer AS quantity FROM back c GROUP BY c.order_item_id) AS b ON b.order_item_id = d.id
         WHERE i.organization_id = p_organization_id AND i.id = d.id AND b.quantity > 0
    ), remembered AS (
        UPDATE orders.order_allocations a
           SET restocked_quantity = a.restocked_quantity + b.quantity, restocked_unshipped_quantity = b.restocked_idle
          FROM back b
         WHERE a.organization_id = p_organization_id AND a.id = b.allocation_id AND b.quantity > 0
    )
    SELECT count(*), array_agg(warehouse_id), array_agg(variant_id), array_agg(quantity)
      INTO risen, warehouses, variants, quantities FROM back WHERE quantity > 0;
    IF p_all AND v_status = 'cancelled' THEN
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

GRANT EXECUTE ON FUNCTION fulfillment.pieces(uuid, uuid), fulfillment.given_up(uuid, uuid) TO holdfast_app, holdfast_system;

-- What came back though it had never left lies in the book again: it is not sold and unshipped any more.
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
               a.restocked_unshipped_quantity AS unsent,
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
               greatest(0, i.idle - i.lost
                           - COALESCE(i.unsent, least(i.idle, greatest(i.restocked - i.sent, least(i.restocked, i.back))))) AS due
          FROM (SELECT c.order_item_id, c.idle, c.sent, c.restocked, c.unsent, t.lost,
                       -- those that came back before they had left; a refund may have failed after they had
                       t.back + least(t.failed, greatest(0, c.restocked - t.resellable)) AS back
                  FROM (SELECT a.order_item_id, sum(a.idle) AS idle, sum(a.sent) AS sent, sum(a.restocked) AS restocked,
                               -- told since 0030; what came back before is taken for what it must have been
                               CASE WHEN bool_and(a.restocked = 0 OR a.unsent IS NOT NULL) THEN sum(COALESCE(a.unsent, 0)) END AS unsent
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
          FROM (SELECT a.*, a.idle - COALESCE(a.unsent, least(a.idle, a.restocked)) AS room FROM allocated a WHERE a.idle > 0) AS r
          JOIN lines l ON l.order_item_id = r.order_item_id
        WINDOW w AS (PARTITION BY r.order_item_id ORDER BY r.id)
    )
    SELECT f.warehouse_id, f.variant_id, sum(f.quantity)::integer
      FROM (SELECT * FROM packed UNION ALL SELECT * FROM shared) AS f
      JOIN wanted w ON w.warehouse_id = f.warehouse_id AND w.variant_id = f.variant_id
     GROUP BY f.warehouse_id, f.variant_id HAVING sum(f.quantity) > 0;
END
$$;
