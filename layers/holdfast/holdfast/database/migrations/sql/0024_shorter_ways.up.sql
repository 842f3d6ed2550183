-- Shorter ways for what every order does: its mail is read in one function whose plan is kept, its first parcels are
-- planned in one statement, and an event that says nothing new is stored as done.

-- Everything a mail may say of an order, in one read; NULL: the order is no longer here.
-- What is returned with a cancellation is what was taken and had not gone back before it; with a late payment it is that
-- payment alone.
CREATE FUNCTION notifications.order_facts(p_organization_id uuid, p_order_id uuid, p_refund_id uuid, p_is_late boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN (
    SELECT jsonb_build_object(
        'shop', jsonb_build_object('name', g.name, 'settings', g.settings),
        'order', jsonb_build_object(
            'number', o.order_number, 'status', o.status, 'email', o.email, 'language', o.language,
            'currency', o.currency, 'subtotal', o.subtotal, 'discount', o.discount, 'shipping', o.shipping,
            'tax', o.tax, 'total', o.total, 'refunded', o.refunded, 'address', o.shipping_address,
            'created_at', o.created_at),
        'is_suppressed', EXISTS (SELECT 1 FROM notifications.suppressions s
                                  WHERE s.organization_id = p_organization_id AND s.address = lower(o.email) AND s.lifted_at IS NULL),
        'timezone', c.timezone,
        'parcels', (SELECT count(*) FROM fulfillment.shipments s
                     WHERE s.organization_id = p_organization_id AND s.order_id = p_order_id
                       AND s.status NOT IN ('cancelled', 'failed')),
        'lines', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                             'name', i.name, 'option_values', i.option_values, 'quantity', i.quantity,
                             'amount', i.subtotal) ORDER BY i.position), '[]')
                    FROM orders.order_items i WHERE i.organization_id = p_organization_id AND i.order_id = p_order_id),
        'money', (SELECT jsonb_build_object(
                             'taken', COALESCE(sum(p.captured_amount - p.charged_back_amount), 0)
                                      - COALESCE(sum(b.returned), 0),
                             'was_held', COALESCE(bool_or(p.authorized_at IS NOT NULL
                                                          OR p.status IN ('authorized', 'processing')), false))
                    FROM payments.payments p
                   CROSS JOIN LATERAL (
                         SELECT sum(r.amount) AS returned FROM payments.refunds r
                          WHERE r.organization_id = p.organization_id AND r.order_id = p.order_id
                            AND r.payment_id = p.id AND r.status = 'succeeded' AND r.completed_at < o.cancelled_at) AS b
                   WHERE p.organization_id = p_organization_id AND p.order_id = p_order_id
                     AND (NOT p_is_late OR EXISTS (
                         SELECT 1 FROM orders.order_operations x
                          WHERE x.organization_id = p.organization_id AND x.order_id = p.order_id
                            AND x.payment_id = p.id AND x.operation = 'return_money' AND x.reason = 'late_payment'))),
        'refund', (SELECT jsonb_build_object('amount', r.amount, 'currency', r.currency, 'status', r.status)
                     FROM payments.refunds r WHERE r.organization_id = p_organization_id AND r.id = p_refund_id),
        'review', (SELECT jsonb_build_object('deadline', v.deadline_at)
                     FROM addresses.reviews v
                    WHERE v.organization_id = p_organization_id AND v.order_id = p_order_id AND v.resolved_at IS NULL))
      FROM orders.orders o
      JOIN tenancy.organizations g ON g.id = o.organization_id
      LEFT JOIN tenancy.customers c ON c.organization_id = o.organization_id AND c.id = o.customer_id
     WHERE o.organization_id = p_organization_id AND o.id = p_order_id AND o.deleted_at IS NULL);
END
$$;
GRANT EXECUTE ON FUNCTION notifications.order_facts(uuid, uuid, uuid, boolean) TO holdfast_system;

-- Stores an event once. Answers its id, or NULL when it was stored before. An event whose payment is not known yet is
-- stored unmatched; one that is stored as processed was known before it came. p.call, if there is one, is the call whose
-- answer the event is.
CREATE OR REPLACE FUNCTION payments.store_event(p_organization_id uuid, p jsonb) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    stored uuid;
    v_payment_id uuid;
BEGIN
    SELECT m.id INTO v_payment_id FROM payments.payments m
     WHERE m.organization_id = p_organization_id AND m.id = (p ->> 'payment_id')::uuid;
    IF v_payment_id IS NULL THEN
        SELECT m.id INTO v_payment_id FROM payments.payments m
         WHERE m.organization_id = p_organization_id AND m.gateway_account_id = (p ->> 'gateway_account_id')::uuid
           AND m.gateway_transaction_id = p ->> 'gateway_transaction_id';
    END IF;
    INSERT INTO payments.payment_events (
        organization_id, id, payment_id, gateway, gateway_account_id, gateway_event_id, gateway_transaction_id, event_type,
        gateway_event_type, news, payload, occurred_at, received_at, correlation_id, state, next_attempt_at, processed_at)
    VALUES (
        p_organization_id, (p ->> 'id')::uuid, v_payment_id, p ->> 'gateway', (p ->> 'gateway_account_id')::uuid,
        p ->> 'gateway_event_id', p ->> 'gateway_transaction_id', p ->> 'event_type', p ->> 'gateway_event_type',
        p -> 'news', p -> 'payload', (p ->> 'occurred_at')::timestamptz, (p ->> 'received_at')::timestamptz,
        p ->> 'correlation_id', p ->> 'state', (p ->> 'received_at')::timestamptz,
        CASE WHEN p ->> 'state' = 'processed' THEN (p ->> 'received_at')::timestamptz END)
    ON CONFLICT ON CONSTRAINT payment_events_once DO NOTHING
    RETURNING id INTO stored;
    IF p -> 'call' IS NOT NULL THEN
        INSERT INTO operations.api_calls (organization_id, id, target, method, path, status, duration_ms, related_id, request, response, created_at)
        VALUES (p_organization_id, tenancy.uuid_v7((p ->> 'received_at')::timestamptz), p ->> 'gateway', p #>> '{call,method}',
                p #>> '{call,path}', (p #>> '{call,status}')::integer, (p #>> '{call,duration_ms}')::integer, v_payment_id,
                p #> '{call,request}', p #> '{call,response}', (p ->> 'received_at')::timestamptz);
    END IF;
    RETURN stored;
END
$$;

-- Brings the planned shipments of an order to what is to be shipped of it (see 0017).
CREATE OR REPLACE FUNCTION fulfillment.plan_shipments(p_organization_id uuid, p_order_id uuid, p_now timestamptz, p_actor text) RETURNS integer
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
    -- The usual case, in one statement: nothing of the order was planned before.
    IF NOT o.is_over AND NOT EXISTS (SELECT 1 FROM fulfillment.shipments s
                                      WHERE s.organization_id = p_organization_id AND s.order_id = p_order_id) THEN
        WITH w AS MATERIALIZED (
            SELECT * FROM fulfillment.unplanned(p_organization_id, p_order_id)
        ), parcels AS MATERIALIZED (
            SELECT w.warehouse_id, max(w.cost) AS cost, tenancy.uuid_v7(p_now) AS id FROM w GROUP BY w.warehouse_id
        ), inserted AS (
            INSERT INTO fulfillment.shipments (organization_id, id, order_id, warehouse_id, shipment_number, cost, created_at)
            SELECT p_organization_id, m.id, p_order_id, m.warehouse_id, o.order_number || '-' || row_number() OVER (ORDER BY m.id), m.cost, p_now
              FROM parcels m
        ), put_in AS (
            INSERT INTO fulfillment.shipment_items (organization_id, order_id, shipment_id, allocation_id, order_item_id, quantity)
            SELECT p_organization_id, p_order_id, m.id, w.allocation_id, w.order_item_id, w.quantity FROM w JOIN parcels m USING (warehouse_id)
        )
        SELECT count(*) INTO touched FROM parcels;
        PERFORM fulfillment.project_fulfillment(p_organization_id, p_order_id);
        RETURN touched;
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
    ), missing AS MATERIALIZED (
        SELECT w.warehouse_id, max(w.cost) AS cost, tenancy.uuid_v7(p_now) AS id
          FROM w
         WHERE NOT EXISTS (SELECT 1 FROM fulfillment.shipments s
                            WHERE s.organization_id = p_organization_id AND s.order_id = p_order_id
                              AND s.warehouse_id = w.warehouse_id AND s.status = 'pending' AND s.reships_id IS NULL)
         GROUP BY w.warehouse_id
    ), inserted AS (
        INSERT INTO fulfillment.shipments (organization_id, id, order_id, warehouse_id, shipment_number, cost, created_at)
        SELECT p_organization_id, m.id, p_order_id, m.warehouse_id,
               o.order_number || '-' || (row_number() OVER (ORDER BY m.id) + (SELECT count(*) FROM fulfillment.shipments s
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
