-- Whoever buys is looked at again when the order is written, guests as registered customers are; the facts say in which
-- region a postal code lies; and an e-mail address is nobody's alone.

-- In which state or province a geocoder found an address, by whose rates it is taxed.
ALTER TABLE addresses.geocode_cache ADD COLUMN admin_area_1 text;
GRANT UPDATE (admin_area_1) ON addresses.geocode_cache TO holdfast_app;

-- As before, and with that.
CREATE OR REPLACE FUNCTION addresses.note_place(p_organization_id uuid, p_order_id uuid, p_now timestamptz, p jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    found_place jsonb := p -> 'found';
    used jsonb := p -> 'used';
    failure jsonb := p -> 'failure';
BEGIN
    IF found_place IS NOT NULL THEN
        INSERT INTO addresses.geocode_cache AS c (organization_id, country, postal_code, address_key, latitude, longitude, quality, admin_area_1,
                                                  last_accessed_at, expires_at, created_at)
        VALUES (p_organization_id, p ->> 'country', p ->> 'postal_code', p ->> 'key', (found_place ->> 'latitude')::double precision,
                (found_place ->> 'longitude')::double precision, found_place ->> 'quality', found_place ->> 'region', p_now,
                (found_place ->> 'expires_at')::timestamptz, p_now)
        ON CONFLICT ON CONSTRAINT geocode_cache_pkey DO UPDATE
           SET latitude = EXCLUDED.latitude, longitude = EXCLUDED.longitude, quality = EXCLUDED.quality,
               admin_area_1 = EXCLUDED.admin_area_1,
               last_accessed_at = EXCLUDED.last_accessed_at, expires_at = EXCLUDED.expires_at, created_at = EXCLUDED.created_at
         WHERE c.expires_at <= p_now; -- another checkout was as fast: its answer is as good
    END IF;
    IF used IS NOT NULL THEN
        -- Nobody waits for a statistic: an entry that another checkout is counting is left to it.
        UPDATE addresses.geocode_cache c
           SET hit_count = c.hit_count + (used ->> 'hits')::integer,
               last_accessed_at = GREATEST(c.last_accessed_at, p_now),
               expires_at = CASE WHEN c.hit_count + (used ->> 'hits')::integer >= (used ->> 'frequent_hits')::integer
                                 THEN GREATEST(c.expires_at, LEAST((used ->> 'expires_at')::timestamptz,
                                                                   c.created_at + make_interval(secs => (used ->> 'age_max_seconds')::integer)))
                                 ELSE c.expires_at END
          FROM (SELECT l.address_key FROM addresses.geocode_cache l
                 WHERE l.organization_id = p_organization_id AND l.country = p ->> 'country'
                   AND l.postal_code = p ->> 'postal_code' AND l.address_key = p ->> 'key'
                   FOR NO KEY UPDATE SKIP LOCKED) AS locked
         WHERE c.organization_id = p_organization_id AND c.country = p ->> 'country'
           AND c.postal_code = p ->> 'postal_code' AND c.address_key = locked.address_key;
    END IF;
    IF failure IS NOT NULL THEN
        INSERT INTO addresses.geocode_failures (organization_id, id, order_id, address, reason, fallback, created_at)
        VALUES (p_organization_id, (failure ->> 'id')::uuid, p_order_id, failure -> 'address', failure ->> 'reason',
                failure ->> 'fallback', p_now);
    END IF;
END
$$;

-- As before, with one argument more, which code that does not know it need not give.
-- squawk-ignore ban-drop-function
DROP FUNCTION checkout.facts(uuid, timestamptz, text[], uuid[], text, text, text, text, text, text, text, text, uuid, boolean);
CREATE FUNCTION checkout.facts(
    p_organization_id uuid, p_now timestamptz, p_skus text[], p_variant_ids uuid[],
    p_gateway text, p_auth_subject text, p_caller text, p_operation text, p_key text,
    p_country text DEFAULT NULL, p_postal_code text DEFAULT NULL, p_address_key text DEFAULT NULL,
    p_payment_method_id uuid DEFAULT NULL, p_save_method boolean DEFAULT false, p_guest_id uuid DEFAULT NULL
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
        -- Of a guest the row with the id in the token, also when it was erased: there will be no other.
        'customer', COALESCE(
            (SELECT jsonb_build_object('id', c.id, 'status', c.status, 'email', c.email)
               FROM tenancy.customers c
              WHERE c.organization_id = p_organization_id AND c.auth_subject = p_auth_subject AND c.deleted_at IS NULL),
            (SELECT jsonb_build_object('id', c.id, 'status', CASE WHEN c.deleted_at IS NULL THEN c.status ELSE 'deleted' END,
                                       'email', c.email)
               FROM tenancy.customers c
              WHERE c.organization_id = p_organization_id AND c.id = p_guest_id)),
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
        -- What a geocoder once answered for this very address, else where its postal code is; and in which region that lies.
        'place', COALESCE(
            (SELECT jsonb_build_object('tier', 'cache', 'latitude', g.latitude, 'longitude', g.longitude, 'quality', g.quality,
                                       'region', COALESCE((SELECT r.admin_area_1 FROM addresses.geocode_reference r
                                                            WHERE r.country = p_country AND r.postal_code = p_postal_code),
                                                          g.admin_area_1))
               FROM addresses.geocode_cache g
              WHERE g.organization_id = p_organization_id AND g.country = p_country AND g.postal_code = p_postal_code
                AND g.address_key = p_address_key AND g.expires_at > p_now),
            (SELECT jsonb_build_object('tier', 'reference', 'latitude', r.latitude, 'longitude', r.longitude, 'quality', r.quality,
                                       'region', r.admin_area_1)
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
GRANT EXECUTE ON FUNCTION checkout.facts(uuid, timestamptz, text[], uuid[], text, text, text, text, text, text, text, text, uuid, boolean, uuid)
    TO holdfast_app, holdfast_system;

-- As before, and the customer's row is held and looked at.
CREATE OR REPLACE FUNCTION checkout.place(p_organization_id uuid, p jsonb) RETURNS jsonb
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
    -- Who was suspended or erased since the facts were read buys nothing; who is to be waits until the order is there.
    PERFORM 1 FROM tenancy.customers c
      WHERE c.organization_id = p_organization_id AND c.id = v_customer_id AND c.status = 'active' AND c.deleted_at IS NULL
        FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'customer % is not active any more', v_customer_id
            USING ERRCODE = 'HF001', CONSTRAINT = 'orders_customer_active';
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

-- Two accounts at the identity provider may have the same address, one after the other or at once. Nothing is looked up
-- by it.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX tenancy.customers_email_unique;

-- As before. customers.email is what a token vouches for, and an order may be written to at another address.
CREATE OR REPLACE FUNCTION archive.erase_customer(
    p_organization_id uuid, p_customer_id uuid, p_now timestamptz, p_tombstone_id uuid, p_reason text, p_requested_by text
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    active uuid[];
    written_to text[];
    archived_count integer;
    target record;
    changes text;
BEGIN
    IF p_organization_id IS DISTINCT FROM NULLIF(current_setting('holdfast.organization_id', true), '')::uuid THEN
        RAISE EXCEPTION 'the customer is of another organization' USING ERRCODE = '42501';
    END IF;
    PERFORM 1 FROM tenancy.customers WHERE organization_id = p_organization_id AND id = p_customer_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('outcome', 'unknown');
    END IF;
    IF EXISTS (SELECT 1 FROM archive.erasures WHERE organization_id = p_organization_id AND customer_id = p_customer_id) THEN
        RETURN jsonb_build_object('outcome', 'erased_before');
    END IF;
    SELECT array_agg(l.id) INTO active
      FROM (SELECT o.id FROM orders.orders o WHERE o.organization_id = p_organization_id AND o.customer_id = p_customer_id
             ORDER BY o.id FOR UPDATE) AS l;
    IF EXISTS (SELECT 1 FROM archive.archive_index x
                WHERE x.organization_id = p_organization_id AND x.customer_id = p_customer_id AND x.legal_hold) THEN
        RETURN jsonb_build_object('outcome', 'held');
    END IF;
    IF EXISTS (SELECT 1 FROM orders.orders o WHERE o.organization_id = p_organization_id AND o.id = ANY (active)
                AND (o.status NOT IN ('delivered', 'cancelled', 'refunded', 'partially_refunded')
                     OR archive.is_unsettled(p_organization_id, o.id))) THEN
        RETURN jsonb_build_object('outcome', 'under_way');
    END IF;
    SELECT array_agg(DISTINCT lower(o.email)) INTO written_to
      FROM orders.orders o WHERE o.organization_id = p_organization_id AND o.id = ANY (active);
    FOR target IN SELECT part, table_name, owner_column, parent FROM archive.parts WHERE cardinality(personal) > 0 ORDER BY position LOOP
        SELECT string_agg(format('%I = %s', c.name, CASE WHEN c.required THEN quote_literal(archive.erased_value(c.name, c.type)) ELSE 'NULL' END), ', ')
          INTO changes FROM archive.columns_of(target.part) c WHERE c.is_personal;
        EXECUTE CASE WHEN target.parent IS NULL
            THEN format('UPDATE %s SET %s WHERE organization_id = $1 AND %I = ANY ($2)', target.table_name, changes, target.owner_column)
            ELSE format('UPDATE %s SET %s WHERE organization_id = $1 AND %I IN (SELECT %I.id FROM %s)', target.table_name, changes,
                        target.owner_column, target.parent, archive.rows_of(target.parent)) END
            USING p_organization_id, active;
    END LOOP;
    UPDATE operations.audit_log a SET old_values = NULL, changed_values = '{"erased": true}',
           actor = CASE WHEN a.actor LIKE 'customer:%' THEN 'customer:erased' ELSE a.actor END
      FROM (SELECT unnest(active) AS id UNION SELECT x.order_id FROM archive.archive_index x
             WHERE x.organization_id = p_organization_id AND x.customer_id = p_customer_id) AS o
     WHERE a.organization_id = p_organization_id AND a.table_name = 'orders.orders' AND a.record_id = o.id;
    -- What a carrier calls a parcel leads to whom it went to.
    UPDATE operations.audit_log a
       SET old_values = a.old_values - '{tracking_number,tracking_url,failure_notes}'::text[],
           changed_values = a.changed_values - '{tracking_number,tracking_url,failure_notes}'::text[]
      FROM fulfillment.shipments s
     WHERE s.organization_id = p_organization_id AND s.order_id = ANY (active)
       AND a.organization_id = p_organization_id AND a.table_name = 'fulfillment.shipments' AND a.record_id = s.id;
    DELETE FROM orders.idempotency_keys WHERE organization_id = p_organization_id AND order_id = ANY (active);
    -- The ledger keeps what moved, and that a customer moved it.
    UPDATE inventory.stock_movements m SET performed_by = 'customer:erased'
      FROM (SELECT unnest(active) AS id UNION SELECT x.order_id FROM archive.archive_index x
             WHERE x.organization_id = p_organization_id AND x.customer_id = p_customer_id) AS o
     WHERE m.organization_id = p_organization_id AND m.reference_id = o.id AND m.performed_by LIKE 'customer:%';
    UPDATE operations.api_calls SET request = NULL, response = NULL
     WHERE organization_id = p_organization_id
       AND related_id IN (SELECT p.id FROM payments.payments p WHERE p.organization_id = p_organization_id AND p.order_id = ANY (active));
    -- Whoever gets no mail any more needs no suppression: neither of the address in the token nor of those of the orders.
    DELETE FROM notifications.suppressions s
     WHERE s.organization_id = p_organization_id
       AND s.address IN (
           SELECT lower(c.email) FROM tenancy.customers c WHERE c.organization_id = p_organization_id AND c.id = p_customer_id
           UNION
           SELECT unnest(written_to)
           UNION
           SELECT lower(m.recipient)
             FROM (SELECT unnest(active) AS id UNION SELECT x.order_id FROM archive.archive_index x
                    WHERE x.organization_id = p_organization_id AND x.customer_id = p_customer_id) AS o
             JOIN notifications.messages m ON m.organization_id = p_organization_id AND m.order_id = o.id);
    -- What was told stays, and to whom does not; what was to be told goes to nobody.
    UPDATE notifications.messages m
       SET recipient = NULL, next_attempt_at = NULL,
           status = CASE WHEN m.status IN ('pending', 'sending') THEN 'skipped' ELSE m.status END
      FROM (SELECT unnest(active) AS id UNION SELECT x.order_id FROM archive.archive_index x
             WHERE x.organization_id = p_organization_id AND x.customer_id = p_customer_id) AS o
     WHERE m.organization_id = p_organization_id AND m.order_id = o.id
       AND (m.recipient IS NOT NULL OR m.status IN ('pending', 'sending'));
    UPDATE tenancy.customer_addresses SET address = '{}', deleted_at = COALESCE(deleted_at, p_now), is_default = false
     WHERE organization_id = p_organization_id AND customer_id = p_customer_id;
    UPDATE tenancy.payment_methods SET deleted_at = COALESCE(deleted_at, p_now), forget_at = p_now, is_default = false
     WHERE organization_id = p_organization_id AND customer_id = p_customer_id AND deleted_at IS NULL;
    UPDATE tenancy.customers SET auth_subject = NULL, email = NULL, phone = NULL, first_name = NULL, last_name = NULL, timezone = NULL,
           status = 'deleted', deleted_at = p_now, version = version + 1
     WHERE organization_id = p_organization_id AND id = p_customer_id;
    INSERT INTO archive.customer_keys AS k (organization_id, customer_id, wrapped_key, created_at, destroyed_at)
    VALUES (p_organization_id, p_customer_id, NULL, p_now, p_now)
    ON CONFLICT ON CONSTRAINT customer_keys_pkey DO UPDATE SET wrapped_key = NULL, destroyed_at = p_now;
    SELECT count(*) INTO archived_count FROM archive.archive_index x
     WHERE x.organization_id = p_organization_id AND x.customer_id = p_customer_id;
    INSERT INTO archive.erasures (organization_id, id, customer_id, active_orders, archived_orders, reason, requested_by, created_at)
    VALUES (p_organization_id, p_tombstone_id, p_customer_id, COALESCE(cardinality(active), 0), archived_count, p_reason, p_requested_by, p_now);
    RETURN jsonb_build_object('outcome', 'erased');
END
$$;
