-- The functions as they were before.

DROP FUNCTION notifications.order_facts(uuid, uuid, uuid, boolean);

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
        gateway_event_type, news, payload, occurred_at, received_at, correlation_id, state, next_attempt_at)
    VALUES (
        p_organization_id, (p ->> 'id')::uuid, v_payment_id, p ->> 'gateway', (p ->> 'gateway_account_id')::uuid,
        p ->> 'gateway_event_id', p ->> 'gateway_transaction_id', p ->> 'event_type', p ->> 'gateway_event_type',
        p -> 'news', p -> 'payload', (p ->> 'occurred_at')::timestamptz, (p ->> 'received_at')::timestamptz,
        p ->> 'correlation_id', p ->> 'state', (p ->> 'received_at')::timestamptz)
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
