-- MISSING finished orders of two lines each, in every table that placing writes; for the curve of time per order.
-- Written without triggers and foreign keys.
SET session_replication_role = replica;
CREATE TEMPORARY TABLE present AS
SELECT n, uuidv7(interval '-1 day') AS order_id, ('01930000-0000-7000-9000-' || lpad(to_hex(1 + mod(n, 1000)), 12, '0'))::uuid AS customer_id,
       (ARRAY(SELECT id FROM inventory.warehouses ORDER BY code))[1 + mod(n, 3)] AS warehouse_id,
       (SELECT id FROM tenancy.gateway_accounts LIMIT 1) AS gateway_account_id
  FROM generate_series(1, MISSING) AS n;
CREATE TEMPORARY TABLE line AS
SELECT present.*, uuidv7(interval '-1 day') AS item_id, line,
       ('01930000-0000-7000-8000-' || lpad(to_hex(1 + mod(n * 7 + line * 13, 1000)), 12, '0'))::uuid AS variant_id
  FROM present CROSS JOIN generate_series(1, 2) AS line;
INSERT INTO orders.orders (
    organization_id, id, order_number, customer_id, email, status, status_sequence, status_changed_at, payment_status, currency, subtotal,
    tax, shipping, total, shipping_preference, shipping_address, billing_address, created_at)
SELECT 'ORGANIZATION', order_id, order_id::text, customer_id, 'shopper@example.com', 'confirmed', 4, now() - interval '1 day', 'captured',
       'USD', 2000, 0, 600, 2600, 'standard', '{"city": "Denver", "country": "US"}', '{"city": "Denver", "country": "US"}', now() - interval '1 day'
  FROM present;
INSERT INTO orders.order_items (organization_id, id, order_id, variant_id, position, sku, name, unit_price, quantity, subtotal, tax, created_at)
SELECT 'ORGANIZATION', item_id, order_id, variant_id, line, 'SKU-0000', 'Product 0000', 1000, 1, 1000, 0, now() - interval '1 day' FROM line;
INSERT INTO orders.order_allocations (organization_id, id, order_id, order_item_id, warehouse_id, variant_id, quantity, load_date, shipping_cost,
                                      score, created_at)
SELECT 'ORGANIZATION', uuidv7(interval '-1 day'), order_id, item_id, warehouse_id, variant_id, 1, current_date - 1, 600, 0.5, now() - interval '1 day'
  FROM line;
INSERT INTO inventory.reservations (organization_id, id, order_id, customer_id, warehouse_id, variant_id, quantity, status, expires_at, created_at,
                                    completed_at)
SELECT 'ORGANIZATION', uuidv7(interval '-1 day'), order_id, customer_id, warehouse_id, variant_id, 1, 'completed', now() - interval '1 day',
       now() - interval '1 day', now() - interval '1 day'
  FROM line;
INSERT INTO inventory.stock_movements (organization_id, id, warehouse_id, variant_id, level_version, type, quantity, on_hand_before, on_hand_after,
                                       reserved_before, reserved_after, reference_type, reference_id, performed_by, created_at)
SELECT 'ORGANIZATION', uuidv7(interval '-1 day'), warehouse_id, variant_id, n, 'reserve', 1, 1000, 1000, 0, 1, 'order', order_id, 'bench',
       now() - interval '1 day'
  FROM line;
INSERT INTO orders.order_status_history (organization_id, order_id, sequence, from_status, to_status, changed_by, created_at)
SELECT 'ORGANIZATION', order_id, step, CASE WHEN step > 1 THEN 'pending_payment' END, 'pending_payment', 'bench', now() - interval '1 day'
  FROM present CROSS JOIN generate_series(1, 4) AS step;
INSERT INTO payments.payments (organization_id, id, order_id, attempt, gateway, gateway_account_id, amount, captured_amount, currency, status,
                               idempotency_key, created_at)
SELECT 'ORGANIZATION', uuidv7(interval '-1 day'), order_id, 1, 'stripe', gateway_account_id, 2600, 2600, 'USD', 'captured', order_id || '-1',
       now() - interval '1 day'
  FROM present;
INSERT INTO operations.outbox (organization_id, id, topic, aggregate_type, aggregate_id, sequence, payload, created_at, published_at)
SELECT 'ORGANIZATION', uuidv7(interval '-1 day'), 'order.created', 'order', order_id, 1, '{}', now() - interval '1 day', now() - interval '1 day'
  FROM present;
INSERT INTO orders.idempotency_keys (organization_id, caller, operation, key, fingerprint, state, lease_until, order_id, response_status,
                                     response_body, created_at, expires_at)
SELECT 'ORGANIZATION', 'customer-bench', 'checkout', order_id::text, 'none', 'done', now(), order_id, 201, '{}', now() - interval '1 day', now()
  FROM present;
SET session_replication_role = origin;
DROP TABLE line, present;
