-- HOLDS holds that ran out, two to an order, spread over warehouses and variants; orders whose payment failed. Written
-- without triggers and foreign keys, and with the stock levels, ledger and load that such holds leave behind.
SET session_replication_role = replica;
CREATE TEMPORARY TABLE due AS
SELECT n, uuidv7(interval '-20 minutes') AS order_id, ('01930000-0000-7000-9000-' || lpad(to_hex(1 + mod(n, 1000)), 12, '0'))::uuid AS customer_id,
       (ARRAY(SELECT id FROM inventory.warehouses ORDER BY code))[1 + mod(n, 3)] AS warehouse_id
  FROM generate_series(1, HOLDS / 2) AS n;
INSERT INTO orders.orders (
    organization_id, id, order_number, customer_id, email, status, status_sequence, status_changed_at, payment_status, currency, subtotal,
    tax, shipping, total, shipping_preference, shipping_address, billing_address, created_at)
SELECT 'ORGANIZATION', order_id, order_id::text, customer_id, 'shopper@example.com', 'payment_failed', 2, now() - interval '19 minutes', 'failed',
       'USD', 2000, 0, 600, 2600, 'standard', '{"city": "Denver", "country": "US"}', '{"city": "Denver", "country": "US"}',
       now() - interval '20 minutes'
  FROM due;
INSERT INTO payments.payments (organization_id, id, order_id, attempt, gateway, gateway_account_id, amount, currency, status, idempotency_key, created_at)
SELECT 'ORGANIZATION', uuidv7(interval '-20 minutes'), order_id, 1, 'stripe', (SELECT id FROM tenancy.gateway_accounts LIMIT 1), 2600, 'USD', 'failed',
       order_id || '-1', now() - interval '20 minutes'
  FROM due;
INSERT INTO inventory.reservations (organization_id, id, order_id, customer_id, warehouse_id, variant_id, quantity, expires_at, load_date, created_at)
SELECT 'ORGANIZATION', uuidv7(interval '-20 minutes'), order_id, customer_id, warehouse_id,
       ('01930000-0000-7000-8000-' || lpad(to_hex(1 + mod(n * 7 + line * 13, 1000)), 12, '0'))::uuid, 1,
       now() - interval '5 minutes' + n * interval '1 microsecond', CASE WHEN line = 1 THEN current_date END, now() - interval '20 minutes'
  FROM due CROSS JOIN generate_series(1, 2) AS line;
INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)
SELECT 'ORGANIZATION', warehouse_id, current_date, uuidv7(), count(*) FROM due GROUP BY warehouse_id;
SET session_replication_role = origin;
SELECT inventory.move_stock('ORGANIZATION', now(), 'reserve', array_agg(warehouse_id), array_agg(variant_id), array_agg(quantity),
                            'bench', NULL, NULL, 'bench')
  FROM (SELECT warehouse_id, variant_id, sum(quantity)::integer AS quantity FROM inventory.reservations GROUP BY 1, 2) AS held;
DROP TABLE due;
