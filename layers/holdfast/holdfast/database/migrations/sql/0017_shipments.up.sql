-- What leaves which warehouse, and how far it has come.

CREATE SCHEMA fulfillment;
GRANT USAGE ON SCHEMA fulfillment TO holdfast_app, holdfast_system;

-- One parcel of an order from one warehouse. While it is pending it is a plan, and follows the allocation; from picked on
-- it is goods in somebody's hands. Whoever changes one holds its order's row.
CREATE TABLE fulfillment.shipments (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    shipment_number text NOT NULL, -- the order's number and which of its shipments it is
    status text NOT NULL DEFAULT 'pending',
    carrier text,
    tracking_number text,
    tracking_url text,
    cost bigint NOT NULL, -- what the parcel costs the shop, as allocated; minor units of the order's currency
    estimated_delivery_at timestamptz,
    actual_delivery_at timestamptz, -- when the carrier handed it over; delivered_at is when we heard of it
    leaving_since timestamptz, -- it has been said to leave, and waits for its money
    captured_when_left bigint, -- what has to be captured of the order before it leaves; minor units
    reships_id uuid, -- the failed shipment whose goods it sends again
    reshipped_at timestamptz, -- of a failed one: its goods travel again in another
    failure_reason text,
    failure_notes text,
    cancel_reason text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    picked_at timestamptz,
    packed_at timestamptz,
    shipped_at timestamptz,
    delivered_at timestamptz,
    failed_at timestamptz,
    cancelled_at timestamptz,
    notification_sent_at timestamptz, -- when the customer was told that it is under way
    CONSTRAINT shipments_pkey PRIMARY KEY (organization_id, id),
    -- named query: shipments of an order
    CONSTRAINT shipments_of_order UNIQUE (organization_id, order_id, id),
    CONSTRAINT shipments_order_fkey FOREIGN KEY (organization_id, order_id) REFERENCES orders.orders (organization_id, id),
    CONSTRAINT shipments_warehouse_fkey FOREIGN KEY (organization_id, warehouse_id) REFERENCES inventory.warehouses (organization_id, id),
    CONSTRAINT shipments_reships_fkey FOREIGN KEY (organization_id, order_id, reships_id)
        REFERENCES fulfillment.shipments (organization_id, order_id, id),
    CONSTRAINT shipments_shipment_number_unique UNIQUE (organization_id, shipment_number),
    CONSTRAINT shipments_status CHECK (status IN (
        'pending', 'picked', 'packed', 'shipped', 'in_transit', 'delivered', 'failed', 'cancelled')),
    CONSTRAINT shipments_failure_reason CHECK (failure_reason IN ('lost', 'returned_to_sender', 'damaged')),
    CONSTRAINT shipments_cost_not_negative CHECK (cost >= 0),
    CONSTRAINT shipments_left_when_shipped CHECK (
        (shipped_at IS NOT NULL) = (status IN ('shipped', 'in_transit', 'delivered', 'failed'))),
    CONSTRAINT shipments_shipped_by_a_carrier CHECK (shipped_at IS NULL OR carrier IS NOT NULL),
    CONSTRAINT shipments_delivered_says_when CHECK (
        (delivered_at IS NOT NULL) = (status = 'delivered') AND (actual_delivery_at IS NOT NULL) = (status = 'delivered')),
    CONSTRAINT shipments_failed_says_why CHECK (
        (failed_at IS NOT NULL) = (status = 'failed') AND (failure_reason IS NOT NULL) = (status = 'failed')),
    CONSTRAINT shipments_cancelled_says_when CHECK ((cancelled_at IS NOT NULL) = (status = 'cancelled')),
    CONSTRAINT shipments_only_packed_ones_leave CHECK (leaving_since IS NULL OR status = 'packed'),
    CONSTRAINT shipments_leave_for_money CHECK (
        captured_when_left >= 0 AND (captured_when_left IS NOT NULL) = (leaving_since IS NOT NULL OR shipped_at IS NOT NULL)),
    CONSTRAINT shipments_only_failed_ones_travel_again CHECK (reshipped_at IS NULL OR status = 'failed'),
    CONSTRAINT shipments_told_after_leaving CHECK (notification_sent_at IS NULL OR shipped_at IS NOT NULL)
) WITH (fillfactor = 80);
-- A warehouse has one plan of an order; what is sent again is none.
CREATE UNIQUE INDEX shipments_one_plan ON fulfillment.shipments (organization_id, order_id, warehouse_id)
    WHERE status = 'pending' AND reships_id IS NULL;
-- A failed shipment's goods travel again once.
CREATE UNIQUE INDEX shipments_reshipped_once ON fulfillment.shipments (organization_id, order_id, reships_id) WHERE reships_id IS NOT NULL;
-- named query: shipments by status and warehouse, oldest first
CREATE INDEX shipments_by_status ON fulfillment.shipments (organization_id, status, warehouse_id, id);
-- named query: shipments of a warehouse
CREATE INDEX shipments_of_warehouse ON fulfillment.shipments (organization_id, warehouse_id, id);
-- named query: shipments by tracking number
CREATE INDEX shipments_by_tracking_number ON fulfillment.shipments (organization_id, tracking_number) WHERE tracking_number IS NOT NULL;
-- named query: shipments whose customer was not told, over all tenants
CREATE INDEX shipments_to_notify ON fulfillment.shipments (shipped_at) WHERE shipped_at IS NOT NULL AND notification_sent_at IS NULL;
-- One shipment of an order waits for its money at a time: what the next one takes depends on it.
CREATE UNIQUE INDEX shipments_one_leaving ON fulfillment.shipments (organization_id, order_id) WHERE leaving_since IS NOT NULL;
CREATE TRIGGER touch BEFORE UPDATE ON fulfillment.shipments FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
-- What people do to a shipment; that it was planned is on record as the order's confirmation.
CREATE TRIGGER audit AFTER UPDATE OF status, carrier, tracking_number, estimated_delivery_at, leaving_since, reshipped_at
    ON fulfillment.shipments FOR EACH ROW EXECUTE FUNCTION operations.audit('organization_id', 'id');
CALL tenancy.isolate('fulfillment.shipments');
CALL tenancy.open_to_system('fulfillment.shipments', 'select');
GRANT SELECT, INSERT ON fulfillment.shipments TO holdfast_app, holdfast_system;
GRANT UPDATE (status, carrier, tracking_number, tracking_url, cost, estimated_delivery_at, actual_delivery_at, leaving_since, captured_when_left,
              reshipped_at, failure_reason, failure_notes, cancel_reason, version, updated_at, picked_at, packed_at, shipped_at,
              delivered_at, failed_at, cancelled_at, notification_sent_at)
    ON fulfillment.shipments TO holdfast_app, holdfast_system;

-- Which step may follow which: fulfillment/lifecycle.py holds the same rows. Steps may be skipped forward.
CREATE TABLE fulfillment.shipment_transitions (
    from_status text NOT NULL,
    to_status text NOT NULL,
    CONSTRAINT shipment_transitions_pkey PRIMARY KEY (from_status, to_status)
);
INSERT INTO fulfillment.shipment_transitions (from_status, to_status) VALUES
    ('pending', 'picked'), ('pending', 'packed'), ('pending', 'shipped'), ('pending', 'cancelled'),
    ('picked', 'packed'), ('picked', 'shipped'), ('picked', 'cancelled'),
    ('packed', 'shipped'), ('packed', 'cancelled'),
    ('shipped', 'in_transit'), ('shipped', 'delivered'), ('shipped', 'failed'),
    ('in_transit', 'delivered'), ('in_transit', 'failed');
GRANT SELECT ON fulfillment.shipment_transitions TO holdfast_app, holdfast_system;

CREATE FUNCTION fulfillment.check_transition() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM fulfillment.shipment_transitions t WHERE t.from_status = OLD.status AND t.to_status = NEW.status) THEN
        RAISE EXCEPTION 'a shipment does not go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'HF002', CONSTRAINT = 'shipment_status_transition';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER check_transition BEFORE UPDATE OF status ON fulfillment.shipments FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION fulfillment.check_transition();

-- What is in a shipment: pieces of a line, from the allocation that took them out of the warehouse's stock.
CREATE TABLE fulfillment.shipment_items (
    organization_id uuid NOT NULL,
    order_id uuid NOT NULL,
    shipment_id uuid NOT NULL,
    allocation_id uuid NOT NULL,
    order_item_id uuid NOT NULL,
    quantity integer NOT NULL,
    CONSTRAINT shipment_items_pkey PRIMARY KEY (organization_id, shipment_id, allocation_id),
    CONSTRAINT shipment_items_shipment_fkey FOREIGN KEY (organization_id, order_id, shipment_id)
        REFERENCES fulfillment.shipments (organization_id, order_id, id),
    CONSTRAINT shipment_items_allocation_fkey FOREIGN KEY (organization_id, allocation_id)
        REFERENCES orders.order_allocations (organization_id, id),
    CONSTRAINT shipment_items_quantity_positive CHECK (quantity > 0)
);
-- named query: where the pieces of an allocation are
CREATE INDEX shipment_items_of_allocation ON fulfillment.shipment_items (organization_id, allocation_id);
-- named query: items of an order's shipments
CREATE INDEX shipment_items_of_order ON fulfillment.shipment_items (organization_id, order_id, shipment_id);
CALL tenancy.isolate('fulfillment.shipment_items');
GRANT SELECT, INSERT, DELETE ON fulfillment.shipment_items TO holdfast_app, holdfast_system;
GRANT UPDATE (quantity) ON fulfillment.shipment_items TO holdfast_app, holdfast_system;

-- Never more of an allocation in shipments than it has, whatever the writer believed: those that are cancelled do not
-- count, those that failed do, for their goods are gone. And a shipment carries what is allocated to its warehouse.
CREATE FUNCTION fulfillment.check_items() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    wrong record;
BEGIN
    FOR wrong IN
        SELECT a.id, a.quantity AS allocated, sum(si.quantity) AS shipped,
               bool_and(a.order_id = si.order_id AND a.order_item_id = si.order_item_id AND a.warehouse_id = s.warehouse_id) AS belongs
          FROM (SELECT DISTINCT c.organization_id, c.allocation_id FROM changed c) AS c
          JOIN orders.order_allocations a ON a.organization_id = c.organization_id AND a.id = c.allocation_id
          JOIN fulfillment.shipment_items si ON si.organization_id = a.organization_id AND si.allocation_id = a.id
          JOIN fulfillment.shipments s ON s.organization_id = si.organization_id AND s.id = si.shipment_id AND s.status <> 'cancelled'
         GROUP BY a.id, a.quantity
    LOOP
        IF NOT wrong.belongs THEN
            RAISE EXCEPTION 'allocation % is not of this shipment''s order, line and warehouse', wrong.id
                USING ERRCODE = '23514', CONSTRAINT = 'shipment_items_of_their_allocation';
        END IF;
        IF wrong.shipped > wrong.allocated THEN
            RAISE EXCEPTION '% pieces of allocation % in shipments, of %', wrong.shipped, wrong.id, wrong.allocated
                USING ERRCODE = '23514', CONSTRAINT = 'shipment_items_within_allocation';
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER check_added AFTER INSERT ON fulfillment.shipment_items REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION fulfillment.check_items();
CREATE TRIGGER check_changed AFTER UPDATE ON fulfillment.shipment_items REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION fulfillment.check_items();

-- How far an order's goods have come, over all its shipments: orders/model.py derives the same. A cancelled shipment
-- counts only when there is no other; a failed one counts as not yet shipped until its goods travel again.
CREATE FUNCTION fulfillment.status_of(p_organization_id uuid, p_order_id uuid) RETURNS text
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

-- Writes it into the order, whose row the caller holds, and answers it.
CREATE FUNCTION fulfillment.project_fulfillment(p_organization_id uuid, p_order_id uuid) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    derived text := fulfillment.status_of(p_organization_id, p_order_id);
BEGIN
    UPDATE orders.orders q SET fulfillment_status = derived
     WHERE q.organization_id = p_organization_id AND q.id = p_order_id AND q.fulfillment_status <> derived;
    RETURN derived;
END
$$;

-- Cancels those of an order's shipments that are named and have not left, and announces it. Answers how many.
CREATE FUNCTION fulfillment.cancel_shipments(
    p_organization_id uuid, p_order_id uuid, p_shipment_ids uuid[], p_now timestamptz, p_reason text
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    cancelled integer;
BEGIN
    WITH called_off AS (
        UPDATE fulfillment.shipments s
           SET status = 'cancelled', cancelled_at = p_now, cancel_reason = p_reason, leaving_since = NULL, captured_when_left = NULL,
               version = s.version + 1
         WHERE s.organization_id = p_organization_id AND s.order_id = p_order_id AND s.id = ANY (p_shipment_ids)
           AND s.status IN ('pending', 'picked', 'packed')
        RETURNING s.id, s.shipment_number, s.version
    ), announced AS (
        INSERT INTO operations.outbox (organization_id, id, topic, aggregate_type, aggregate_id, sequence, payload, created_at)
        SELECT p_organization_id, tenancy.uuid_v7(p_now), 'shipment.cancelled', 'shipment', c.id, c.version,
               jsonb_build_object('order_id', o.id, 'order_number', o.order_number, 'shipment_id', c.id, 'shipment_number', c.shipment_number), p_now
          FROM called_off c JOIN orders.orders o ON o.organization_id = p_organization_id AND o.id = p_order_id
    )
    SELECT count(*) INTO cancelled FROM called_off;
    RETURN cancelled;
END
$$;

-- How many pieces of each line are not to leave: a refund took them off before they left. One that counts (asked for, under
-- way or done) keeps them back; so does one that failed after its goods had gone back to the shelf, for others may have them.
CREATE FUNCTION fulfillment.withheld(p_organization_id uuid, p_order_id uuid) RETURNS TABLE (order_item_id uuid, quantity integer)
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

-- What of an order's allocations is in nobody's hands: on no shipment but a plan.
CREATE FUNCTION fulfillment.free_pieces(p_organization_id uuid, p_order_id uuid)
RETURNS TABLE (allocation_id uuid, order_item_id uuid, warehouse_id uuid, quantity integer, cost bigint, was_restocked boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.id, a.order_item_id, a.warehouse_id,
           (a.quantity - COALESCE((
               SELECT sum(si.quantity) FROM fulfillment.shipment_items si
                 JOIN fulfillment.shipments s ON s.organization_id = si.organization_id AND s.id = si.shipment_id
                WHERE si.organization_id = a.organization_id AND si.allocation_id = a.id
                  AND s.status <> 'cancelled' AND (s.status <> 'pending' OR s.reships_id IS NOT NULL)), 0))::integer,
           a.shipping_cost, a.restocked_quantity > 0
      FROM orders.order_allocations a
     WHERE a.organization_id = p_organization_id AND a.order_id = p_order_id AND a.superseded_at IS NULL
$$;

-- What of it is to leave. What refunds keep back is taken from where goods have gone back to the shelf first, then in the
-- order of the allocations.
CREATE FUNCTION fulfillment.unplanned(p_organization_id uuid, p_order_id uuid)
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

-- Calls off what is picked or packed of lines of which a refund keeps back more than is free, the newest first: its goods
-- return to the plan, without those. Answers how many.
CREATE FUNCTION fulfillment.take_apart(p_organization_id uuid, p_order_id uuid, p_now timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    packed uuid;
    taken integer := 0;
BEGIN
    FOR packed IN
        SELECT s.id FROM fulfillment.shipments s
         WHERE s.organization_id = p_organization_id AND s.order_id = p_order_id
           AND (s.status IN ('picked', 'packed') OR (s.status = 'pending' AND s.reships_id IS NOT NULL))
         ORDER BY s.id DESC
    LOOP
        IF EXISTS (
            SELECT 1 FROM fulfillment.withheld(p_organization_id, p_order_id) AS w
              JOIN fulfillment.shipment_items si ON si.organization_id = p_organization_id AND si.shipment_id = packed
                   AND si.order_item_id = w.order_item_id
             WHERE w.quantity > (SELECT sum(f.quantity) FROM fulfillment.free_pieces(p_organization_id, p_order_id) AS f
                                  WHERE f.order_item_id = w.order_item_id))
        THEN
            taken := taken + fulfillment.cancel_shipments(p_organization_id, p_order_id, ARRAY[packed], p_now, 'goods in it were refunded');
        END IF;
    END LOOP;
    RETURN taken;
END
$$;

-- Brings the pending shipments of an order, whose row the caller holds, to what its allocations say: one per warehouse of
-- what is on no shipment yet; those that no longer match are cancelled, missing ones are made. Of an order that is over
-- nothing leaves any more. Saying it twice changes nothing. Answers how many shipments it made, changed or cancelled.
CREATE FUNCTION fulfillment.plan_shipments(p_organization_id uuid, p_order_id uuid, p_now timestamptz, p_actor text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    o record;
    wanted jsonb;
    touched integer := 0;
    made uuid[];
    changed integer;
BEGIN
    SELECT q.order_number, q.status IN ('cancelled', 'refunded') AS is_over,
           q.status IN ('confirmed', 'processing', 'partially_shipped', 'shipped', 'delivered', 'partially_refunded') AS ships INTO o
      FROM orders.orders q WHERE q.organization_id = p_organization_id AND q.id = p_order_id;
    IF NOT o.ships AND NOT (o.is_over AND EXISTS (SELECT 1 FROM fulfillment.shipments s
                                                   WHERE s.organization_id = p_organization_id AND s.order_id = p_order_id)) THEN
        RETURN 0;
    END IF;
    IF NOT o.is_over THEN
        touched := fulfillment.take_apart(p_organization_id, p_order_id, p_now);
        SELECT jsonb_agg(to_jsonb(w)) INTO wanted FROM fulfillment.unplanned(p_organization_id, p_order_id) AS w;
    END IF;
    touched := touched + fulfillment.cancel_shipments(p_organization_id, p_order_id, ARRAY(
        SELECT s.id FROM fulfillment.shipments s
         WHERE s.organization_id = p_organization_id AND s.order_id = p_order_id
           AND (o.is_over OR (s.status = 'pending' AND s.reships_id IS NULL AND NOT EXISTS (
                SELECT 1 FROM jsonb_to_recordset(wanted) AS w (warehouse_id uuid) WHERE w.warehouse_id = s.warehouse_id)))),
        p_now, 'by ' || p_actor || CASE WHEN o.is_over THEN ': the order is over' ELSE ': nothing of it is left to ship' END);

    WITH w AS (
        SELECT * FROM jsonb_to_recordset(wanted) AS w (allocation_id uuid, order_item_id uuid, warehouse_id uuid, quantity integer, cost bigint)
    ), missing AS (
        SELECT w.warehouse_id, max(w.cost) AS cost, row_number() OVER (ORDER BY w.warehouse_id) AS number
          FROM w
         WHERE NOT EXISTS (SELECT 1 FROM fulfillment.shipments s
                            WHERE s.organization_id = p_organization_id AND s.order_id = p_order_id
                              AND s.warehouse_id = w.warehouse_id AND s.status = 'pending' AND s.reships_id IS NULL)
         GROUP BY w.warehouse_id
    ), inserted AS (
        INSERT INTO fulfillment.shipments (organization_id, id, order_id, warehouse_id, shipment_number, cost, created_at)
        SELECT p_organization_id, tenancy.uuid_v7(p_now), p_order_id, m.warehouse_id,
               o.order_number || '-' || (m.number + (SELECT count(*) FROM fulfillment.shipments s
                                                      WHERE s.organization_id = p_organization_id AND s.order_id = p_order_id)),
               m.cost, p_now
          FROM missing m
        RETURNING id
    )
    SELECT array_agg(id) INTO made FROM inserted;

    WITH should AS (
        SELECT s.id AS shipment_id, w.allocation_id, w.order_item_id, w.quantity
          FROM jsonb_to_recordset(wanted) AS w (allocation_id uuid, order_item_id uuid, warehouse_id uuid, quantity integer)
          JOIN fulfillment.shipments s ON s.organization_id = p_organization_id AND s.order_id = p_order_id
               AND s.warehouse_id = w.warehouse_id AND s.status = 'pending' AND s.reships_id IS NULL
    ), taken_out AS (
        DELETE FROM fulfillment.shipment_items si
         USING fulfillment.shipments s
         WHERE s.organization_id = p_organization_id AND s.order_id = p_order_id AND s.status = 'pending' AND s.reships_id IS NULL
           AND si.organization_id = s.organization_id AND si.order_id = s.order_id AND si.shipment_id = s.id
           AND NOT EXISTS (SELECT 1 FROM should x WHERE x.shipment_id = si.shipment_id AND x.allocation_id = si.allocation_id)
        RETURNING si.shipment_id
    ), put_in AS (
        INSERT INTO fulfillment.shipment_items AS si (organization_id, order_id, shipment_id, allocation_id, order_item_id, quantity)
        SELECT p_organization_id, p_order_id, x.shipment_id, x.allocation_id, x.order_item_id, x.quantity FROM should x
        ON CONFLICT ON CONSTRAINT shipment_items_pkey DO UPDATE SET quantity = excluded.quantity WHERE si.quantity <> excluded.quantity
        RETURNING si.shipment_id
    )
    UPDATE fulfillment.shipments s SET version = s.version + 1
      FROM (SELECT shipment_id FROM taken_out UNION SELECT shipment_id FROM put_in) AS c
     WHERE s.organization_id = p_organization_id AND s.id = c.shipment_id AND s.id <> ALL (COALESCE(made, '{}'));
    GET DIAGNOSTICS changed = ROW_COUNT;

    PERFORM fulfillment.project_fulfillment(p_organization_id, p_order_id);
    RETURN touched + changed + COALESCE(cardinality(made), 0);
END
$$;

GRANT EXECUTE ON FUNCTION fulfillment.check_items(), fulfillment.check_transition(), fulfillment.status_of(uuid, uuid),
    fulfillment.project_fulfillment(uuid, uuid), fulfillment.withheld(uuid, uuid), fulfillment.free_pieces(uuid, uuid),
    fulfillment.unplanned(uuid, uuid), fulfillment.take_apart(uuid, uuid, timestamptz),
    fulfillment.cancel_shipments(uuid, uuid, uuid[], timestamptz, text), fulfillment.plan_shipments(uuid, uuid, timestamptz, text)
    TO holdfast_app, holdfast_system;
