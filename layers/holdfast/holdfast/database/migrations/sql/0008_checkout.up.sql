-- The checkout's two short steps: facts() reads everything a decision needs, place() writes everything it decided.
-- Between them a pure function in Python decides. Both run with the caller's rights.
-- Functions whose every statement is a few index lookups force the generic plan: a new connection does not plan its
-- first calls one by one, and an array among the parameters does not make the planner begin anew at every call.

-- Everything a checkout decides on, in one read. Dates are the warehouses' own.
CREATE FUNCTION checkout.facts(
    p_organization_id uuid, p_now timestamptz, p_skus text[], p_variant_ids uuid[],
    p_gateway text, p_auth_subject text, p_caller text, p_operation text, p_key text,
    p_country text DEFAULT NULL, p_postal_code text DEFAULT NULL, p_address_key text DEFAULT NULL,
    p_payment_method_id uuid DEFAULT NULL, p_save_method boolean DEFAULT false
) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    result jsonb;
    chosen uuid[];
    saved tenancy.payment_methods;
BEGIN
    -- A saved method is its customer's alone, and good for the account that it was made with.
    IF p_payment_method_id IS NOT NULL THEN
        SELECT m.* INTO saved FROM tenancy.payment_methods m
          JOIN tenancy.customers c ON c.organization_id = m.organization_id AND c.id = m.customer_id
         WHERE m.organization_id = p_organization_id AND m.id = p_payment_method_id AND m.deleted_at IS NULL
           AND c.auth_subject = p_auth_subject AND c.deleted_at IS NULL;
    END IF;
    SELECT jsonb_build_object(
        'organization', (SELECT jsonb_build_object('status', o.status, 'settings', o.settings)
                           FROM tenancy.organizations o WHERE o.id = p_organization_id AND o.deleted_at IS NULL),
        'claim', (SELECT jsonb_build_object('fingerprint', k.fingerprint, 'state', k.state, 'lease_until', k.lease_until,
                                            'order_id', k.order_id, 'status', k.response_status, 'body', k.response_body)
                    FROM orders.idempotency_keys k
                   WHERE k.organization_id = p_organization_id AND k.caller = p_caller AND k.operation = p_operation
                     AND k.key = p_key),
        'customer', (SELECT jsonb_build_object('id', c.id, 'status', c.status, 'email', c.email)
                       FROM tenancy.customers c
                      WHERE c.organization_id = p_organization_id AND c.auth_subject = p_auth_subject AND c.deleted_at IS NULL),
        'gateway_account', (SELECT jsonb_build_object('id', a.id, 'gateway', a.gateway, 'secret_reference', a.secret_reference,
                                                      'merchant_account', a.merchant_account,
                                'customer_id', CASE WHEN p_save_method THEN (
                                    SELECT m.gateway_customer_id FROM tenancy.payment_methods m
                                      JOIN tenancy.customers c ON c.organization_id = m.organization_id AND c.id = m.customer_id
                                     WHERE m.organization_id = p_organization_id AND m.gateway_account_id = a.id
                                       AND c.auth_subject = p_auth_subject AND c.deleted_at IS NULL
                                     ORDER BY m.id DESC LIMIT 1) END)
                              FROM tenancy.gateway_accounts a
                             WHERE a.organization_id = p_organization_id AND a.gateway = COALESCE(saved.gateway, p_gateway)
                               AND a.status = 'active' AND (saved.id IS NULL OR a.id = saved.gateway_account_id)
                             ORDER BY a.id LIMIT 1),
        -- What a geocoder once answered for this very address, else where its postal code is.
        'place', COALESCE(
            (SELECT jsonb_build_object('tier', 'cache', 'latitude', g.latitude, 'longitude', g.longitude, 'quality', g.quality)
               FROM addresses.geocode_cache g
              WHERE g.organization_id = p_organization_id AND g.country = p_country AND g.postal_code = p_postal_code
                AND g.address_key = p_address_key AND g.expires_at > p_now),
            (SELECT jsonb_build_object('tier', 'reference', 'latitude', r.latitude, 'longitude', r.longitude, 'quality', r.quality)
               FROM addresses.geocode_reference r
              WHERE r.country = p_country AND r.postal_code = p_postal_code)),
        'payment_method', CASE WHEN saved.id IS NOT NULL THEN jsonb_build_object(
            'token', saved.token, 'gateway_customer_id', saved.gateway_customer_id) END,
        'variants', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                            'id', v.id, 'sku', v.sku, 'price', v.price, 'currency', v.currency, 'option_values', v.option_values,
                            'tax_code', v.tax_code, 'name', p.name, 'image_url', p.image_url, 'requires_shipping', p.requires_shipping,
                            'sellable', v.status = 'active' AND p.status = 'active' AND p.deleted_at IS NULL) ORDER BY v.id), '[]')
                       FROM catalog.variants v
                       JOIN catalog.products p ON p.organization_id = v.organization_id AND p.id = v.product_id
                      WHERE v.organization_id = p_organization_id AND v.deleted_at IS NULL
                        AND (v.sku = ANY (p_skus) OR v.id = ANY (p_variant_ids))))
      INTO result;
    chosen := ARRAY(SELECT (v ->> 'id')::uuid FROM jsonb_array_elements(result -> 'variants') AS v);
    RETURN result || jsonb_build_object('warehouses', (
        SELECT COALESCE(jsonb_agg(jsonb_build_object(
                   'id', w.id, 'code', w.code, 'latitude', w.latitude, 'longitude', w.longitude, 'priority', w.priority,
                   'shipping_cost_base', w.shipping_cost_base, 'base_daily_capacity', w.base_daily_capacity,
                   'load_date', d.load_date, 'available', stock.available,
                   'orders_today', (SELECT COALESCE(sum(l.orders), 0) FROM inventory.warehouse_daily_load l
                                     WHERE l.organization_id = p_organization_id AND l.warehouse_id = w.id AND l.load_date = d.load_date),
                   'override', (SELECT CASE WHEN c.starts_on <= d.load_date THEN
                                           jsonb_build_object('multiplier', c.capacity_multiplier, 'hard_limit', c.hard_capacity_limit) END
                                  FROM inventory.capacity_overrides c
                                 WHERE c.organization_id = p_organization_id AND c.warehouse_id = w.id AND c.ends_on >= d.load_date
                                 ORDER BY c.ends_on LIMIT 1))), '[]')
          FROM inventory.warehouses w
         CROSS JOIN LATERAL (SELECT (p_now AT TIME ZONE w.timezone)::date AS load_date) AS d
          JOIN (SELECT s.warehouse_id, jsonb_object_agg(s.variant_id, s.on_hand - s.reserved) AS available
                  FROM inventory.stock_levels s
                 WHERE s.organization_id = p_organization_id AND s.variant_id = ANY (chosen) AND s.on_hand > s.reserved
                 GROUP BY s.warehouse_id) AS stock ON stock.warehouse_id = w.id
         WHERE w.organization_id = p_organization_id AND w.status = 'active'));
END
$$;

-- Holds stock for an order: reservations, allocations, the day's load, and, last of all, the contended stock levels.
-- p: {order_id, customer_id, now, hold_expires_at, performed_by, strict_capacity,
--     allocations: [{id, item_id, warehouse_id, variant_id, quantity, load_date, shipping_cost, distance_km, score,
--                    reservation_id, books_load, capacity}]}
-- Raises HF001 when stock or (with strict_capacity) capacity is no longer what the decision was made on.
CREATE FUNCTION checkout.hold(p_organization_id uuid, p jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := (p ->> 'now')::timestamptz;
    v_order_id uuid := (p ->> 'order_id')::uuid;
    warehouses uuid[];
    variants uuid[];
    quantities integer[];
    load_dates date[];
    booked record;
BEGIN
    WITH a AS (
        SELECT * FROM jsonb_to_recordset(p -> 'allocations') AS a (
            id uuid, item_id uuid, warehouse_id uuid, variant_id uuid, quantity integer, load_date date, shipping_cost bigint,
            distance_km double precision, score double precision, reservation_id uuid, books_load boolean)
    ), allocated AS (
        INSERT INTO orders.order_allocations (organization_id, id, order_id, order_item_id, warehouse_id, variant_id, quantity,
                                              load_date, shipping_cost, distance_km, score, created_at)
        SELECT p_organization_id, id, v_order_id, item_id, warehouse_id, variant_id, quantity, load_date, shipping_cost, distance_km, score, v_now
          FROM a
    ), reserved AS (
        INSERT INTO inventory.reservations (organization_id, id, order_id, customer_id, warehouse_id, variant_id, quantity,
                                            expires_at, load_date, created_at)
        SELECT p_organization_id, reservation_id, v_order_id, (p ->> 'customer_id')::uuid, warehouse_id, variant_id, quantity,
               (p ->> 'hold_expires_at')::timestamptz, CASE WHEN books_load THEN load_date END, v_now
          FROM a
    ), loaded AS (
        INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)
        SELECT p_organization_id, warehouse_id, load_date, reservation_id, 1 FROM a WHERE books_load
    )
    SELECT array_agg(warehouse_id), array_agg(variant_id), array_agg(quantity), array_agg(load_date)
      INTO warehouses, variants, quantities, load_dates FROM a;
    IF get_byte(uuid_send(v_order_id), 15) < 4 THEN -- chance: one order in 64
        PERFORM inventory.fold_daily_load(p_organization_id, warehouses, load_dates, v_now);
    END IF;

    IF (p ->> 'strict_capacity')::boolean THEN
        -- Strict capacity is a count of what others booked: it takes one lock per warehouse and date, in order.
        FOR booked IN
            SELECT a.warehouse_id, a.load_date, max(a.capacity) AS capacity
              FROM jsonb_to_recordset(p -> 'allocations') AS a (warehouse_id uuid, load_date date, capacity integer)
             WHERE a.capacity IS NOT NULL
             GROUP BY a.warehouse_id, a.load_date ORDER BY a.warehouse_id, a.load_date
        LOOP
            PERFORM pg_advisory_xact_lock(hashtextextended('capacity' || booked.warehouse_id || booked.load_date, 0));
            IF (SELECT sum(l.orders) FROM inventory.warehouse_daily_load l
                 WHERE l.organization_id = p_organization_id AND l.warehouse_id = booked.warehouse_id
                   AND l.load_date = booked.load_date) > booked.capacity
            THEN
                RAISE EXCEPTION 'warehouse % is at its capacity', booked.warehouse_id
                    USING ERRCODE = 'HF001', CONSTRAINT = 'warehouse_capacity';
            END IF;
        END LOOP;
    END IF;

    PERFORM inventory.move_stock(p_organization_id, v_now, 'reserve', warehouses, variants, quantities,
                                 'order', v_order_id, NULL, p ->> 'performed_by');
END
$$;

-- Writes a decided checkout, all or nothing. Answers {"outcome": "placed"}, or "busy" when the same key is being
-- placed at this moment, or "claimed" with the stored claim when the key was used before.
CREATE FUNCTION checkout.place(p_organization_id uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := (p #>> '{hold,now}')::timestamptz;
    o jsonb := p -> 'order';
    m jsonb := p -> 'payment';
    v_order_id uuid := (o ->> 'id')::uuid;
    v_customer_id uuid := (p #>> '{hold,customer_id}')::uuid;
    claimed jsonb;
BEGIN
    claimed := orders.claim_key(p_organization_id, p -> 'claim', v_order_id, v_now);
    IF claimed IS NOT NULL THEN
        RETURN claimed;
    END IF;

    IF p -> 'customer' <> 'null'::jsonb THEN
        INSERT INTO tenancy.customers (organization_id, id, auth_subject, email, phone, first_name, created_at)
        VALUES (p_organization_id, v_customer_id, p #>> '{customer,auth_subject}', p #>> '{customer,email}', p #>> '{customer,phone}',
                p #>> '{customer,name}', v_now)
        ON CONFLICT ON CONSTRAINT customers_pkey DO NOTHING;
    END IF;

    INSERT INTO orders.orders (
        organization_id, id, order_number, customer_id, email, status, status_changed_at, payment_status, currency,
        subtotal, tax, shipping, discount, total, tax_lines, shipping_preference, is_split_shipment, shipping_address, billing_address,
        shipping_latitude, shipping_longitude, geocode_quality, geocode_requires_review, allocation_reasons, customer_notes, language, source, created_at)
    VALUES (
        p_organization_id, v_order_id, o ->> 'order_number', v_customer_id, o ->> 'email', 'pending_payment', v_now, 'pending', o ->> 'currency',
        (o ->> 'subtotal')::bigint, (o ->> 'tax')::bigint, (o ->> 'shipping')::bigint, (o ->> 'discount')::bigint, (o ->> 'total')::bigint,
        o -> 'tax_lines', o ->> 'shipping_preference', (o ->> 'is_split_shipment')::boolean, o -> 'shipping_address', o -> 'billing_address',
        (o ->> 'latitude')::double precision, (o ->> 'longitude')::double precision, o ->> 'geocode_quality',
        (o ->> 'geocode_requires_review')::boolean, o -> 'allocation_reasons', o ->> 'customer_notes', o ->> 'language', o ->> 'source', v_now);

    INSERT INTO orders.order_items (organization_id, id, order_id, variant_id, position, sku, name, option_values, image_url,
                                    unit_price, quantity, subtotal, tax, discount, created_at)
    SELECT p_organization_id, i.id, v_order_id, i.variant_id, i.position, i.sku, i.name, i.option_values, i.image_url,
           i.unit_price, i.quantity, i.subtotal, i.tax, i.discount, v_now
      FROM jsonb_to_recordset(p -> 'items') AS i (
           id uuid, variant_id uuid, position integer, sku text, name text, option_values jsonb, image_url text,
           unit_price bigint, quantity integer, subtotal bigint, tax bigint, discount bigint);

    INSERT INTO orders.order_status_history (organization_id, order_id, sequence, to_status, changed_by, notes, created_at)
    VALUES (p_organization_id, v_order_id, 1, 'pending_payment', p #>> '{hold,performed_by}', 'placed', v_now);

    INSERT INTO payments.payments (organization_id, id, order_id, attempt, gateway, gateway_account_id, method_token, amount, currency,
                                   capture_now, save_method, gateway_customer_id, idempotency_key, metadata,
                                   next_check_at, created_at)
    VALUES (p_organization_id, (m ->> 'id')::uuid, v_order_id, 1, m ->> 'gateway', (m ->> 'gateway_account_id')::uuid, m ->> 'token',
            (o ->> 'total')::bigint, o ->> 'currency', (m ->> 'capture_now')::boolean,
            COALESCE((m ->> 'save_method')::boolean, false), m ->> 'gateway_customer_id', m ->> 'idempotency_key',
            COALESCE(m -> 'metadata', '{}'),
            (m ->> 'next_check_at')::timestamptz, v_now);

    INSERT INTO operations.outbox (organization_id, id, topic, aggregate_type, aggregate_id, sequence, payload, created_at)
    VALUES (p_organization_id, (p ->> 'outbox_id')::uuid, 'order.created', 'order', v_order_id, 1,
            jsonb_build_object('order_id', v_order_id, 'order_number', o ->> 'order_number', 'total', (o ->> 'total')::bigint,
                               'currency', o ->> 'currency', 'status', 'pending_payment'), v_now);

    IF p -> 'place' <> 'null'::jsonb THEN
        PERFORM addresses.note_place(p_organization_id, v_order_id, v_now, p -> 'place');
    END IF;
    PERFORM checkout.hold(p_organization_id, p -> 'hold');
    RETURN jsonb_build_object('outcome', 'placed');
END
$$;

-- Releases one batch of due holds of the current tenant. Holds whose payment is still open are left to the watchdog
-- until the grace has passed, for the gateway may have taken the money. Answers how many it released.
-- One release movement per level and batch; the reservations keep the details.
-- The claim comes first and hands over an array: whatever the planner thinks of p_limit, the rest finds rows by key. The
-- open payment is asked for hold by hold (a scalar sub-select), for EXISTS could become a hash of all open payments.
CREATE FUNCTION checkout.release_due_holds(
    p_organization_id uuid, p_now timestamptz, p_limit integer, p_grace_seconds integer, p_performed_by text
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    due uuid[];
    released integer;
    warehouses uuid[];
    variants uuid[];
    quantities integer[];
BEGIN
    SELECT array_agg(claimed.id) INTO due
      FROM (SELECT r.id FROM inventory.reservations r
             WHERE r.organization_id = p_organization_id AND r.status = 'active' AND r.expires_at <= p_now
               AND (r.expires_at <= p_now - make_interval(secs => p_grace_seconds)
                    OR (SELECT true FROM payments.payments p
                         WHERE p.organization_id = p_organization_id AND p.order_id = r.order_id
                           AND p.status IN ('pending', 'processing', 'requires_action') LIMIT 1) IS NULL)
             ORDER BY r.expires_at LIMIT p_limit
               FOR NO KEY UPDATE OF r SKIP LOCKED) AS claimed;
    IF due IS NULL THEN
        RETURN 0;
    END IF;
    WITH expired AS (
        UPDATE inventory.reservations r
           SET status = 'expired', released_at = p_now, reason = 'hold expired'
         WHERE r.organization_id = p_organization_id AND r.id = ANY (due)
        RETURNING r.warehouse_id, r.variant_id, r.quantity, r.load_date
    ), load_given_back AS (
        INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)
        SELECT p_organization_id, warehouse_id, load_date, tenancy.uuid_v7(p_now), -count(*)
          FROM expired WHERE load_date IS NOT NULL GROUP BY warehouse_id, load_date
    ), per_level AS (
        SELECT warehouse_id, variant_id, sum(quantity)::integer AS quantity, count(*) AS holds
          FROM expired GROUP BY warehouse_id, variant_id
    )
    SELECT COALESCE(sum(holds), 0), array_agg(warehouse_id), array_agg(variant_id), array_agg(quantity)
      INTO released, warehouses, variants, quantities
      FROM per_level;
    PERFORM inventory.move_stock(p_organization_id, p_now, 'release', warehouses, variants, quantities,
                                 'expiry', NULL, 'hold expired', p_performed_by);
    RETURN released;
END
$$;

-- Whether nothing of an order is alive: no hold, and no payment that is open or has money.
CREATE FUNCTION checkout.is_abandoned(p_organization_id uuid, p_order_id uuid) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT (SELECT true FROM inventory.reservations r
             WHERE r.organization_id = p_organization_id AND r.order_id = p_order_id AND r.status = 'active' LIMIT 1) IS NULL
       AND (SELECT true FROM payments.payments p
             WHERE p.organization_id = p_organization_id AND p.order_id = p_order_id
               AND p.status NOT IN ('failed', 'cancelled') LIMIT 1) IS NULL
$$;

-- Cancels one batch of the current tenant's orders whose money never came: no live hold, no payment that is open or has
-- money, and no change since p_unchanged_since. Orders that somebody else holds are left to the next run.
-- What the lock is taken on may be older than the lock, so holds and payments are looked at again under it.
CREATE FUNCTION checkout.cancel_abandoned_orders(
    p_organization_id uuid, p_now timestamptz, p_unchanged_since timestamptz, p_limit integer, p_changed_by text
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    abandoned uuid[];
    cancelled integer;
BEGIN
    SELECT array_agg(locked.id) INTO abandoned
      FROM (SELECT o.id FROM orders.orders o
             WHERE o.organization_id = p_organization_id AND o.status IN ('pending_payment', 'payment_failed')
               AND o.status_changed_at <= p_unchanged_since
               AND checkout.is_abandoned(p_organization_id, o.id)
             ORDER BY o.status_changed_at LIMIT p_limit
               FOR NO KEY UPDATE OF o SKIP LOCKED) AS locked;
    WITH recorded AS (
        INSERT INTO orders.order_status_history (organization_id, order_id, sequence, from_status, to_status, changed_by, notes, created_at)
        SELECT p_organization_id, o.id, o.status_sequence + 1, o.status, 'cancelled', p_changed_by, 'the payment never came', p_now
          FROM orders.orders o
         WHERE o.organization_id = p_organization_id AND o.id = ANY (abandoned)
           AND checkout.is_abandoned(p_organization_id, o.id)
        RETURNING order_id, sequence
    ), announced AS (
        INSERT INTO operations.outbox (organization_id, id, topic, aggregate_type, aggregate_id, sequence, payload, created_at)
        SELECT p_organization_id, tenancy.uuid_v7(p_now), 'order.cancelled', 'order', r.order_id, r.sequence,
               jsonb_build_object('order_id', r.order_id, 'order_number', o.order_number, 'status', 'cancelled', 'reason', 'payment never came'), p_now
          FROM recorded r JOIN orders.orders o ON o.organization_id = p_organization_id AND o.id = r.order_id
    )
    SELECT count(*) INTO cancelled FROM recorded;
    RETURN cancelled;
END
$$;

GRANT EXECUTE ON FUNCTION checkout.cancel_abandoned_orders(uuid, timestamptz, timestamptz, integer, text), checkout.is_abandoned(uuid, uuid)
    TO holdfast_system;
GRANT EXECUTE ON FUNCTION checkout.facts(uuid, timestamptz, text[], uuid[], text, text, text, text, text, text, text, text, uuid, boolean),
    checkout.hold(uuid, jsonb) TO holdfast_app, holdfast_system;
GRANT EXECUTE ON FUNCTION checkout.place(uuid, jsonb) TO holdfast_app;
GRANT EXECUTE ON FUNCTION checkout.release_due_holds(uuid, timestamptz, integer, integer, text) TO holdfast_system;
