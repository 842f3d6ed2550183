-- What erasure has not reached: a method that a payment's news names, a gateway's token of a method that is removed, and
-- what earlier code wrote in the clear.

-- A method that the gateway keeps is the shopper's own: it leaves the news, which is archived in the clear, for a column
-- that is sealed. An order without one has the document that it had.
ALTER TABLE payments.payment_events ADD COLUMN saved_method jsonb;
UPDATE archive.parts SET personal = '{payload,saved_method}' WHERE part = 'events';
CALL archive.define_documents(1);

-- As before, and a saved method goes into its own column.
CREATE OR REPLACE FUNCTION payments.store_event(p_organization_id uuid, p jsonb) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    stored uuid;
    v_payment_id uuid;
    said_method jsonb := NULLIF(p #> '{news,saved_method}', 'null');
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
        gateway_event_type, news, saved_method, payload, occurred_at, received_at, correlation_id, state, next_attempt_at, processed_at)
    VALUES (
        p_organization_id, (p ->> 'id')::uuid, v_payment_id, p ->> 'gateway', (p ->> 'gateway_account_id')::uuid,
        p ->> 'gateway_event_id', p ->> 'gateway_transaction_id', p ->> 'event_type', p ->> 'gateway_event_type',
        CASE WHEN said_method IS NULL THEN p -> 'news' ELSE p -> 'news' || '{"saved_method": null}' END, said_method, p -> 'payload', (p ->> 'occurred_at')::timestamptz, (p ->> 'received_at')::timestamptz,
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

-- As before, and a saved method comes back into the news.
CREATE OR REPLACE FUNCTION payments.claim_event(p_organization_id uuid, p_event_id uuid, p_now timestamptz, p_lease_seconds integer,
                                     p_again boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    claimed jsonb;
BEGIN
    UPDATE payments.payment_events e
       SET attempts = e.attempts + 1, next_attempt_at = p_now + make_interval(secs => p_lease_seconds),
           payment_id = COALESCE(e.payment_id, (
               SELECT p.id FROM payments.payments p
                WHERE p.organization_id = e.organization_id AND p.gateway_account_id = e.gateway_account_id
                  AND p.gateway_transaction_id = e.gateway_transaction_id))
     WHERE e.organization_id = p_organization_id AND e.id = p_event_id
       AND CASE WHEN p_again THEN e.state = 'dead_lettered'
                ELSE e.state IN ('pending', 'retry_scheduled') AND e.next_attempt_at <= p_now END
    RETURNING jsonb_build_object(
        'id', e.id, 'payment_id', e.payment_id, 'attempts', e.attempts, 'gateway', e.gateway, 'event_type', e.event_type,
        'news', CASE WHEN e.saved_method IS NULL THEN e.news ELSE e.news || jsonb_build_object('saved_method', e.saved_method) END,
        'gateway_event_id', e.gateway_event_id, 'gateway_transaction_id', e.gateway_transaction_id,
        'received_at', e.received_at, 'correlation_id', e.correlation_id,
        'order_id', (SELECT p.order_id FROM payments.payments p WHERE p.organization_id = e.organization_id AND p.id = e.payment_id),
        -- Its order was archived and is still here: it comes back before the event is applied.
        'is_archived', (SELECT o.deleted_at IS NOT NULL FROM payments.payments p
                          JOIN orders.orders o ON o.organization_id = p.organization_id AND o.id = p.order_id
                         WHERE p.organization_id = e.organization_id AND p.id = e.payment_id))
      INTO claimed;
    RETURN claimed;
END
$$;

-- What earlier code wrote in the clear beside what is sealed is set apart, before the orders are archived or erased: methods
-- in news (documents of then come back with them), a person's own words in holds, a shopper's name in parcels. Orders that
-- are archived already are not to be named: their rows must stay what was sealed.
CREATE FUNCTION archive.set_apart(p_organization_id uuid, p_order_ids uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    IF p_organization_id IS DISTINCT FROM NULLIF(current_setting('holdfast.organization_id', true), '')::uuid THEN
        RAISE EXCEPTION 'the orders are of another organization' USING ERRCODE = '42501';
    END IF;
    UPDATE payments.payment_events e
       SET saved_method = e.news -> 'saved_method', news = e.news || '{"saved_method": null}'
      FROM payments.payments p
     WHERE p.organization_id = p_organization_id AND p.order_id = ANY (p_order_ids)
       AND e.organization_id = p_organization_id AND e.payment_id = p.id AND jsonb_typeof(e.news -> 'saved_method') = 'object';
    UPDATE inventory.reservations r
       SET reason = CASE WHEN h.changed_by LIKE 'staff:%' THEN 'cancelled by the staff' ELSE 'cancelled by the shopper' END
      FROM orders.order_status_history h
     WHERE r.organization_id = p_organization_id AND r.order_id = ANY (p_order_ids) AND r.status = 'cancelled'
       AND r.reason NOT IN ('cancelled by the shopper', 'cancelled by the staff')
       AND h.organization_id = p_organization_id AND h.order_id = r.order_id AND h.to_status = 'cancelled' AND h.notes = r.reason
       AND h.changed_by ~ '^(customer|guest|staff):';
    UPDATE fulfillment.shipments s SET cancel_reason = regexp_replace(s.cancel_reason, '^by (customer|guest):.*: ([^:]*)$', 'by \1: \2')
     WHERE s.organization_id = p_organization_id AND s.order_id = ANY (p_order_ids) AND s.cancel_reason ~ '^by (customer|guest):';
END
$$;
GRANT EXECUTE ON FUNCTION archive.set_apart(uuid, uuid[]) TO holdfast_system;

-- As before, and what earlier code wrote in the clear is set apart first.
CREATE OR REPLACE FUNCTION archive.claim_orders(
    p_organization_id uuid, p_placed_before timestamptz, p_settled_before timestamptz, p_after uuid, p_limit integer
) RETURNS uuid[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    seen_up_to uuid := p_after;
    held uuid[];
    busy uuid[];
    claimed uuid[] := '{}';
BEGIN
    WHILE cardinality(claimed) < p_limit LOOP
        SELECT array_agg(next.id ORDER BY next.id) INTO held
          FROM (SELECT o.id FROM orders.orders o
                 WHERE o.organization_id = p_organization_id AND o.deleted_at IS NULL
                   AND o.status IN ('delivered', 'cancelled', 'refunded', 'partially_refunded')
                   AND o.id > seen_up_to AND o.id < tenancy.uuid_v7_floor(p_placed_before) AND o.status_changed_at <= p_settled_before
                 ORDER BY o.id LIMIT p_limit - cardinality(claimed)
                   FOR NO KEY UPDATE OF o SKIP LOCKED) AS next;
        EXIT WHEN held IS NULL;
        seen_up_to := held[cardinality(held)];
        busy := archive.unsettled(p_organization_id, held);
        claimed := claimed || ARRAY(SELECT h.id FROM unnest(held) AS h (id) WHERE h.id <> ALL (busy) ORDER BY h.id);
    END LOOP;
    PERFORM archive.set_apart(p_organization_id, claimed);
    RETURN NULLIF(claimed, '{}');
END
$$;

-- As before; nothing is kept of somebody who was erased, and a method that was forgotten after the payment stays so.
GRANT DELETE ON tenancy.payment_methods TO holdfast_app, holdfast_system;
CREATE OR REPLACE FUNCTION checkout.keep_payment_method(p_organization_id uuid, p_order_id uuid, p_payment_id uuid, p jsonb, p_now timestamptz)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_customer_id uuid := (SELECT o.customer_id FROM orders.orders o WHERE o.organization_id = p_organization_id AND o.id = p_order_id);
    v_account_id uuid;
    v_paid_at timestamptz;
    v_forgotten text := 'forgotten ' || encode(sha256(convert_to(p ->> 'token', 'UTF8')), 'hex');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('payment methods' || v_customer_id, 0));
    IF EXISTS (SELECT 1 FROM tenancy.customers c
                WHERE c.organization_id = p_organization_id AND c.id = v_customer_id AND c.deleted_at IS NOT NULL) THEN
        RETURN;
    END IF;
    SELECT m.gateway_account_id, m.created_at INTO v_account_id, v_paid_at
      FROM payments.payments m WHERE m.organization_id = p_organization_id AND m.id = p_payment_id;
    -- Of one that the gateway has forgotten no more is known than what its token would be.
    DELETE FROM tenancy.payment_methods f
     WHERE f.organization_id = p_organization_id AND f.customer_id = v_customer_id AND f.gateway_account_id = v_account_id
       AND f.token = v_forgotten AND f.deleted_at < v_paid_at;
    IF EXISTS (SELECT 1 FROM tenancy.payment_methods f
                WHERE f.organization_id = p_organization_id AND f.customer_id = v_customer_id AND f.gateway_account_id = v_account_id
                  AND f.token = v_forgotten) THEN
        RETURN;
    END IF;
    INSERT INTO tenancy.payment_methods AS kept (
        organization_id, id, customer_id, gateway, gateway_account_id, gateway_customer_id, token, brand, last_four, expires_on,
        is_default, created_at)
    SELECT p_organization_id, (p ->> 'id')::uuid, v_customer_id, m.gateway, m.gateway_account_id, p ->> 'gateway_customer_id',
           p ->> 'token', p ->> 'brand', p ->> 'last_four', (p ->> 'expires_on')::date,
           NOT EXISTS (SELECT 1 FROM tenancy.payment_methods d
                        WHERE d.organization_id = p_organization_id AND d.customer_id = v_customer_id AND d.is_default AND d.deleted_at IS NULL),
           p_now
      FROM payments.payments m WHERE m.organization_id = p_organization_id AND m.id = p_payment_id
    ON CONFLICT ON CONSTRAINT payment_methods_once DO UPDATE
       SET brand = COALESCE(kept.brand, excluded.brand), last_four = COALESCE(kept.last_four, excluded.last_four),
           expires_on = COALESCE(excluded.expires_on, kept.expires_on),
           is_default = CASE WHEN kept.deleted_at IS NULL THEN kept.is_default ELSE excluded.is_default END,
           deleted_at = NULL, forget_at = NULL, forget_attempts = 0
     WHERE kept.deleted_at IS NULL
        OR kept.deleted_at < v_paid_at;
END
$$;

-- Ends what is known of a customer, as before (see the function of that name until now), and what lies beside the orders: a
-- name in the ledger, in the inbox and in the audit log, own words in the ledger, claims, kept methods. A method is a row
-- for as long as its gateway has to be told.
-- squawk-ignore renaming-object -- in this transaction another one takes its name
ALTER FUNCTION archive.erase_customer(uuid, uuid, timestamptz, uuid, text, text) RENAME TO erase_rows;
REVOKE EXECUTE ON FUNCTION archive.erase_rows(uuid, uuid, timestamptz, uuid, text, text) FROM holdfast_app, holdfast_system;
CREATE FUNCTION archive.erase_customer(
    p_organization_id uuid, p_customer_id uuid, p_now timestamptz, p_tombstone_id uuid, p_reason text, p_requested_by text
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_subject text;
    active uuid[];
    not_archived uuid[];
    concerned uuid[];
    things uuid[];
    done jsonb;
BEGIN
    SELECT c.auth_subject INTO v_subject FROM tenancy.customers c
     WHERE c.organization_id = p_organization_id AND c.id = p_customer_id FOR UPDATE;
    SELECT array_agg(l.id), array_agg(l.id) FILTER (WHERE l.deleted_at IS NULL) INTO active, not_archived
      FROM (SELECT o.id, o.deleted_at FROM orders.orders o WHERE o.organization_id = p_organization_id AND o.customer_id = p_customer_id
             ORDER BY o.id FOR UPDATE) AS l;
    PERFORM archive.set_apart(p_organization_id, not_archived);
    done := archive.erase_rows(p_organization_id, p_customer_id, p_now, p_tombstone_id, p_reason, p_requested_by);
    IF done ->> 'outcome' <> 'erased' THEN
        RETURN done;
    END IF;
    SELECT array_agg(o.id) INTO concerned
      FROM (SELECT unnest(active) AS id UNION SELECT x.order_id FROM archive.archive_index x
             WHERE x.organization_id = p_organization_id AND x.customer_id = p_customer_id) AS o;
    UPDATE inventory.stock_movements m
       SET performed_by = regexp_replace(m.performed_by, '^(customer|guest):.*', '\1:erased'),
           reason = CASE WHEN m.type IN ('release', 'return') AND m.performed_by ~ '^(customer|guest|staff):' AND m.reason NOT IN (
                         'cancelled by the shopper', 'cancelled by the staff', 'cancelled on request', 'refunded in part', 'refunded in full')
                         THEN 'erased' ELSE m.reason END
     WHERE m.organization_id = p_organization_id AND m.reference_id = ANY (concerned) AND m.performed_by ~ '^(customer|guest|staff):';
    UPDATE inventory.stock_movements m SET performed_by = regexp_replace(m.performed_by, '^(customer|guest):.*', '\1:erased')
      FROM orders.reallocations r
     WHERE r.organization_id = p_organization_id AND r.order_id = ANY (active)
       AND m.organization_id = p_organization_id AND m.reference_id = r.id AND m.performed_by ~ '^(customer|guest):';

    UPDATE operations.audit_log a SET actor = regexp_replace(a.actor, '^(customer|guest):.*', '\1:erased')
     WHERE a.organization_id = p_organization_id AND a.table_name = 'orders.orders' AND a.record_id = ANY (concerned)
       AND a.actor ~ '^(customer|guest):';
    UPDATE operations.audit_log a
       SET actor = regexp_replace(a.actor, '^(customer|guest):.*', '\1'),
           old_values = a.old_values - 'cancel_reason', changed_values = a.changed_values - 'cancel_reason'
      FROM fulfillment.shipments s
     WHERE s.organization_id = p_organization_id AND s.order_id = ANY (active)
       AND a.organization_id = p_organization_id AND a.table_name = 'fulfillment.shipments' AND a.record_id = s.id;

    -- Trouble of an order, or of a payment of it, may have ended by what its shopper did.
    SELECT array_agg(t.id) INTO things
      FROM (SELECT unnest(concerned) AS id
            UNION SELECT p.id FROM payments.payments p WHERE p.organization_id = p_organization_id AND p.order_id = ANY (active)
            UNION SELECT p.payment_id FROM archive.payment_references p
                   WHERE p.organization_id = p_organization_id AND p.order_id = ANY (concerned)) AS t;
    UPDATE operations.process_failures f SET resolved_by = regexp_replace(f.resolved_by, '^(customer|guest):.*', '\1:erased')
     WHERE f.organization_id = p_organization_id AND f.related_id = ANY (things) AND f.resolved_by ~ '^(customer|guest):';
    UPDATE operations.process_failure_history h SET changed_by = regexp_replace(h.changed_by, '^(customer|guest):.*', '\1:erased')
      FROM operations.process_failures f
     WHERE f.organization_id = p_organization_id AND f.related_id = ANY (things)
       AND h.organization_id = p_organization_id AND h.process_failure_id = f.id AND h.changed_by ~ '^(customer|guest):';
    UPDATE operations.audit_log a SET actor = regexp_replace(a.actor, '^(customer|guest):.*', '\1:erased'),
           changed_values = a.changed_values - 'resolved_by'
      FROM operations.process_failures f
     WHERE f.organization_id = p_organization_id AND f.related_id = ANY (things)
       AND a.organization_id = p_organization_id AND a.table_name = 'operations.process_failures' AND a.record_id = f.id
       AND a.actor ~ '^(customer|guest):';

    -- Claims of requests that led to no order, by the name that a caller has there (values/caller.py).
    DELETE FROM orders.idempotency_keys k
     WHERE k.organization_id = p_organization_id AND k.caller = ANY (ARRAY[
           'customer:' || v_subject, 'guest:' || v_subject,
           'customer:sha256-' || encode(sha256(convert_to(v_subject, 'UTF8')), 'hex'),
           'guest:sha256-' || encode(sha256(convert_to(v_subject, 'UTF8')), 'hex')]);

    DELETE FROM tenancy.payment_methods
     WHERE organization_id = p_organization_id AND customer_id = p_customer_id AND token LIKE 'forgotten %';
    UPDATE tenancy.payment_methods
       SET brand = NULL, last_four = NULL, expires_on = NULL, forget_at = COALESCE(forget_at, p_now),
           forget_attempts = CASE WHEN forget_at IS NULL THEN 0 ELSE forget_attempts END
     WHERE organization_id = p_organization_id AND customer_id = p_customer_id;
    RETURN done;
END
$$;
GRANT EXECUTE ON FUNCTION archive.erase_customer(uuid, uuid, timestamptz, uuid, text, text) TO holdfast_app, holdfast_system;
