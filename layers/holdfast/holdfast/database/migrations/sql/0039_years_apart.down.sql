CREATE OR REPLACE FUNCTION tenancy.uuid_v7_floor(p_at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT rpad(lpad(to_hex(floor(extract(epoch FROM p_at) * 1000)::bigint), 12, '0'), 32, '0')::uuid $$;

CREATE OR REPLACE FUNCTION archive.erase_rows(
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

DROP FUNCTION operations.make_earlier_partitions(date);
