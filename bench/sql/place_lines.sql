-- Placing an order: every row that checkout.place() writes, as plain statements of the application's role, and nothing
-- else. No idempotency check, no price, no allocation, no read of stock beyond the update itself.
\set first random(1, :variants - :lines)
\set customer random(1, :customers)
BEGIN;
SELECT set_config('holdfast.organization_id', :organization, true), set_config('holdfast.actor', 'pgbench', true),
       set_config('holdfast.now', now()::text, true), uuidv7() AS order_id \gset
INSERT INTO orders.idempotency_keys (organization_id, caller, operation, key, fingerprint, lease_until, order_id, created_at, expires_at)
VALUES (CAST(:organization AS uuid), 'customer-pgbench', 'checkout', :order_id, :fingerprint, now() + interval '30 seconds',
        CAST(:order_id AS uuid), now(), now() + interval '1 day');
INSERT INTO orders.orders (
    organization_id, id, order_number, customer_id, email, status, status_changed_at, payment_status, currency,
    subtotal, tax, shipping, discount, total, tax_lines, shipping_preference, is_split_shipment, shipping_address, billing_address,
    shipping_latitude, shipping_longitude, geocode_quality, geocode_requires_review, allocation_reasons, source, created_at)
VALUES (CAST(:organization AS uuid), CAST(:order_id AS uuid), :order_id, CAST('01930000-0000-7000-9000-' || lpad(to_hex(CAST(:customer AS integer)), 12, '0') AS uuid), 'shopper@example.com',
        'pending_payment', now(), 'pending', 'USD', 1000, 0, 600, 0, 1600, CAST(:tax_lines AS jsonb), 'standard', false,
        CAST(:address AS jsonb), CAST(:address AS jsonb), 39.7, -105.0, 'centroid', false, CAST(:reasons AS jsonb), 'api', now());
WITH items AS (
    INSERT INTO orders.order_items (organization_id, id, order_id, variant_id, position, sku, name, unit_price, quantity, subtotal, tax, created_at)
    SELECT CAST(:organization AS uuid), uuidv7(), CAST(:order_id AS uuid),
           CAST('01930000-0000-7000-8000-' || lpad(to_hex(CAST(:first AS integer) + n), 12, '0') AS uuid), n, 'SKU-0000', 'Product 0000', 1000, 1, 1000, 0, now()
      FROM generate_series(1, CAST(:lines AS integer)) AS n
    RETURNING id, order_id, variant_id
), allocations AS (
    INSERT INTO orders.order_allocations (organization_id, id, order_id, order_item_id, warehouse_id, variant_id, quantity,
                                          load_date, shipping_cost, distance_km, score, created_at)
    SELECT CAST(:organization AS uuid), uuidv7(), order_id, id, CAST(:warehouse AS uuid), variant_id, 1, current_date, 600, 1000.5, 0.5, now()
      FROM items
)
INSERT INTO inventory.reservations (organization_id, id, order_id, customer_id, warehouse_id, variant_id, quantity, expires_at, load_date, created_at)
SELECT CAST(:organization AS uuid), uuidv7(), order_id, CAST('01930000-0000-7000-9000-' || lpad(to_hex(CAST(:customer AS integer)), 12, '0') AS uuid), CAST(:warehouse AS uuid), variant_id, 1,
       now() + interval '15 minutes', CASE WHEN row_number() OVER () = 1 THEN current_date END, now()
  FROM items;
INSERT INTO orders.order_status_history (organization_id, order_id, sequence, to_status, changed_by, notes, created_at)
VALUES (CAST(:organization AS uuid), CAST(:order_id AS uuid), 1, 'pending_payment', 'customer-pgbench', 'placed', now());
INSERT INTO payments.payments (organization_id, id, order_id, attempt, gateway, gateway_account_id, method_token, amount, currency,
                               capture_now, idempotency_key, next_check_at, created_at)
VALUES (CAST(:organization AS uuid), uuidv7(), CAST(:order_id AS uuid), 1, 'stripe', CAST(:gateway_account AS uuid), 'pm_card_visa', 1600, 'USD',
        true, CAST(:order_id AS text) || '-1', now() + interval '1 minute', now());
INSERT INTO operations.outbox (organization_id, id, topic, aggregate_type, aggregate_id, sequence, payload, created_at)
VALUES (CAST(:organization AS uuid), uuidv7(), 'order.created', 'order', CAST(:order_id AS uuid), 1,
        jsonb_build_object('order_id', CAST(:order_id AS text), 'order_number', CAST(:order_id AS text), 'total', 1600, 'currency', 'USD', 'status', 'pending_payment'), now());
INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)
VALUES (CAST(:organization AS uuid), CAST(:warehouse AS uuid), current_date, uuidv7(), 1);
WITH moved AS (
    UPDATE inventory.stock_levels s SET reserved = s.reserved + 1, version = s.version + 1
      FROM (SELECT CAST('01930000-0000-7000-8000-' || lpad(to_hex(CAST(:first AS integer) + n), 12, '0') AS uuid) AS variant_id
              FROM generate_series(1, CAST(:lines AS integer)) AS n) w
     WHERE s.organization_id = CAST(:organization AS uuid) AND s.warehouse_id = CAST(:warehouse AS uuid) AND s.variant_id = w.variant_id
    RETURNING s.variant_id, s.version, s.on_hand, s.reserved)
INSERT INTO inventory.stock_movements (organization_id, id, warehouse_id, variant_id, level_version, type, quantity, on_hand_before, on_hand_after,
                                       reserved_before, reserved_after, reference_type, reference_id, performed_by, created_at)
SELECT CAST(:organization AS uuid), uuidv7(), CAST(:warehouse AS uuid), variant_id, version, 'reserve', 1, on_hand, on_hand,
       reserved - 1, reserved, 'order', CAST(:order_id AS uuid), 'customer-pgbench', now()
  FROM moved;
COMMIT;
