DROP FUNCTION archive.erase_customer(uuid, uuid, timestamptz, uuid, text, text);
ALTER FUNCTION archive.erase_rows(uuid, uuid, timestamptz, uuid, text, text) RENAME TO erase_customer;
GRANT EXECUTE ON FUNCTION archive.erase_customer(uuid, uuid, timestamptz, uuid, text, text) TO holdfast_app, holdfast_system;

REVOKE DELETE ON tenancy.payment_methods FROM holdfast_app, holdfast_system;
CREATE OR REPLACE FUNCTION checkout.keep_payment_method(p_organization_id uuid, p_order_id uuid, p_payment_id uuid, p jsonb, p_now timestamptz)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_customer_id uuid := (SELECT o.customer_id FROM orders.orders o WHERE o.organization_id = p_organization_id AND o.id = p_order_id);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('payment methods' || v_customer_id, 0));
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
        OR kept.deleted_at < (SELECT m.created_at FROM payments.payments m WHERE m.organization_id = p_organization_id AND m.id = p_payment_id);
END
$$;

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
    RETURN NULLIF(claimed, '{}');
END
$$;

DROP FUNCTION archive.set_apart(uuid, uuid[]);
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
        'id', e.id, 'payment_id', e.payment_id, 'attempts', e.attempts, 'gateway', e.gateway, 'event_type', e.event_type, 'news', e.news,
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

-- What was sealed with a method in its own column stays sealed; the rows have it where they had it.
UPDATE payments.payment_events SET news = news || jsonb_build_object('saved_method', saved_method) WHERE saved_method IS NOT NULL;
UPDATE archive.parts SET personal = '{payload}' WHERE part = 'events';
ALTER TABLE payments.payment_events DROP COLUMN saved_method;
CALL archive.define_documents(1);
