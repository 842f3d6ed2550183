-- The best known form of placing: one function, one statement, one round trip, the contended update last.
-- It writes what checkout.place() writes for one line of one SKU, and decides nothing.
CREATE SCHEMA bench;
GRANT USAGE ON SCHEMA bench TO holdfast_app;
CREATE FUNCTION bench.place(
    p_organization_id uuid, p_customer_id uuid, p_gateway_account_id uuid, p_warehouse_id uuid, p_variant_id uuid,
    p_tax_lines jsonb, p_address jsonb, p_reasons jsonb, p_fingerprint text
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_order_id uuid := uuidv7();
    v_item_id uuid := uuidv7();
    v_now timestamptz := now();
BEGIN
    PERFORM set_config('holdfast.organization_id', p_organization_id::text, true), set_config('holdfast.actor', 'pgbench', true),
            set_config('holdfast.now', v_now::text, true);
    INSERT INTO orders.idempotency_keys (organization_id, caller, operation, key, fingerprint, lease_until, order_id, created_at, expires_at)
    VALUES (p_organization_id, 'customer-pgbench', 'checkout', v_order_id::text, p_fingerprint, v_now + interval '30 seconds', v_order_id,
            v_now, v_now + interval '1 day');
    INSERT INTO orders.orders (
        organization_id, id, order_number, customer_id, email, status, status_changed_at, payment_status, currency,
        subtotal, tax, shipping, discount, total, tax_lines, shipping_preference, is_split_shipment, shipping_address, billing_address,
        shipping_latitude, shipping_longitude, geocode_quality, geocode_requires_review, allocation_reasons, source, created_at)
    VALUES (p_organization_id, v_order_id, v_order_id::text, p_customer_id, 'shopper@example.com', 'pending_payment', v_now, 'pending', 'USD',
            1000, 0, 600, 0, 1600, p_tax_lines, 'standard', false, p_address, p_address, 39.7, -105.0, 'centroid', false, p_reasons,
            'api', v_now);
    INSERT INTO orders.order_items (organization_id, id, order_id, variant_id, position, sku, name, unit_price, quantity, subtotal, tax, created_at)
    VALUES (p_organization_id, v_item_id, v_order_id, p_variant_id, 1, 'SKU-0000', 'Product 0000', 1000, 1, 1000, 0, v_now);
    INSERT INTO orders.order_status_history (organization_id, order_id, sequence, to_status, changed_by, notes, created_at)
    VALUES (p_organization_id, v_order_id, 1, 'pending_payment', 'customer-pgbench', 'placed', v_now);
    INSERT INTO payments.payments (organization_id, id, order_id, attempt, gateway, gateway_account_id, method_token, amount, currency,
                                   capture_now, idempotency_key, next_check_at, created_at)
    VALUES (p_organization_id, uuidv7(), v_order_id, 1, 'stripe', p_gateway_account_id, 'pm_card_visa', 1600, 'USD', true,
            v_order_id || '-1', v_now + interval '1 minute', v_now);
    INSERT INTO operations.outbox (organization_id, id, topic, aggregate_type, aggregate_id, sequence, payload, created_at)
    VALUES (p_organization_id, uuidv7(), 'order.created', 'order', v_order_id, 1,
            jsonb_build_object('order_id', v_order_id, 'order_number', v_order_id, 'total', 1600, 'currency', 'USD', 'status', 'pending_payment'),
            v_now);
    INSERT INTO orders.order_allocations (organization_id, id, order_id, order_item_id, warehouse_id, variant_id, quantity, load_date,
                                          shipping_cost, distance_km, score, created_at)
    VALUES (p_organization_id, uuidv7(), v_order_id, v_item_id, p_warehouse_id, p_variant_id, 1, current_date, 600, 1000.5, 0.5, v_now);
    INSERT INTO inventory.reservations (organization_id, id, order_id, customer_id, warehouse_id, variant_id, quantity, expires_at,
                                        load_date, created_at)
    VALUES (p_organization_id, uuidv7(), v_order_id, p_customer_id, p_warehouse_id, p_variant_id, 1, v_now + interval '15 minutes',
            current_date, v_now);
    INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)
    VALUES (p_organization_id, p_warehouse_id, current_date, uuidv7(), 1);
    WITH moved AS (
        UPDATE inventory.stock_levels s SET reserved = s.reserved + 1, version = s.version + 1
         WHERE s.organization_id = p_organization_id AND s.warehouse_id = p_warehouse_id AND s.variant_id = p_variant_id
           AND s.on_hand > s.reserved
        RETURNING s.version, s.on_hand, s.reserved)
    INSERT INTO inventory.stock_movements (organization_id, id, warehouse_id, variant_id, level_version, type, quantity, on_hand_before,
                                           on_hand_after, reserved_before, reserved_after, reference_type, reference_id, performed_by, created_at)
    SELECT p_organization_id, uuidv7(), p_warehouse_id, p_variant_id, version, 'reserve', 1, on_hand, on_hand, reserved - 1, reserved,
           'order', v_order_id, 'customer-pgbench', v_now
      FROM moved;
END
$$;
GRANT EXECUTE ON FUNCTION bench.place(uuid, uuid, uuid, uuid, uuid, jsonb, jsonb, jsonb, text) TO holdfast_app;
