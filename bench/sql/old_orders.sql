-- Delivered orders of three lines, placed evenly between two instants long ago: paid by card, with their history, their
-- events, their holds. Ids are those of their instants. What stands in capitals is filled in.
SET LOCAL session_replication_role = replica; -- they come whole: no trigger has to lead them anywhere

CREATE TEMPORARY TABLE placed ON COMMIT DROP AS
    SELECT n, at, tenancy.uuid_v7(at) AS id, tenancy.uuid_v7(at) AS payment_id,
           ('01930000-0000-7000-9000-' || lpad(to_hex(1 + n % 1000), 12, '0'))::uuid AS customer_id,
           CASE WHEN n % 40 = 0 THEN 150000 ELSE 2000 + n % 7000 END AS price
      FROM generate_series(FIRST, LAST) AS n
     CROSS JOIN LATERAL (SELECT timestamptz 'OLDEST' + (timestamptz 'NEWEST' - timestamptz 'OLDEST') * ((n - FIRST) / (LAST - FIRST + 1.0)) AS at) AS t;

CREATE TEMPORARY TABLE lines ON COMMIT DROP AS
    SELECT p.id AS order_id, p.at, p.price, l, tenancy.uuid_v7(p.at) AS id,
           ('01930000-0000-7000-8000-' || lpad(to_hex(1 + (p.n + l) % 1000), 12, '0'))::uuid AS variant_id, p.n
      FROM placed p, generate_series(1, 3) AS l;

INSERT INTO orders.orders (organization_id, id, order_number, customer_id, email, status, status_sequence, status_changed_at, payment_status,
                           fulfillment_status, currency, subtotal, tax, shipping, total, shipping_preference, shipping_address, billing_address,
                           shipping_latitude, shipping_longitude, geocode_quality, created_at, paid_at, confirmed_at, shipped_at, delivered_at)
    SELECT 'ORGANIZATION', id, 'OLD-' || n, customer_id, 'shopper-' || n % 1000 || '@example.com', 'delivered', 7, at + interval '3 days', 'captured',
           'delivered', CASE WHEN n % 5 = 0 THEN 'EUR' ELSE 'USD' END, 3 * price, 0, 600, 3 * price + 600, 'standard', a.address, a.address,
           39.7528, -104.9992, 'centroid', at, at + interval '1 minute', at + interval '1 minute', at + interval '1 day', at + interval '3 days'
      FROM placed
     CROSS JOIN LATERAL (SELECT jsonb_build_object('name', 'Shopper ' || n, 'line1', n || ' Analytical Way', 'city', 'Denver', 'region', 'CO',
                                                   'postal_code', '80202', 'country', 'US') AS address) AS a;

INSERT INTO orders.order_items (organization_id, id, order_id, variant_id, position, sku, name, unit_price, quantity, subtotal, tax, created_at)
    SELECT 'ORGANIZATION', id, order_id, variant_id, l, 'SKU-' || lpad((1 + (n + l) % 1000)::text, 4, '0'), 'Product ' || 1 + (n + l) % 1000,
           price, 1, price, 0, at FROM lines;

INSERT INTO orders.order_allocations (organization_id, id, order_id, order_item_id, warehouse_id, variant_id, quantity, load_date,
                                      shipping_cost, distance_km, score, created_at)
    SELECT 'ORGANIZATION', tenancy.uuid_v7(at), order_id, id, (SELECT w.id FROM inventory.warehouses w ORDER BY w.code LIMIT 1), variant_id, 1,
           at::date, 200, 2533.123456789, 0.8765432109, at FROM lines;

INSERT INTO inventory.reservations (organization_id, id, order_id, customer_id, warehouse_id, variant_id, quantity, status, expires_at,
                                    created_at, completed_at)
    SELECT 'ORGANIZATION', tenancy.uuid_v7(l.at), l.order_id, p.customer_id, (SELECT w.id FROM inventory.warehouses w ORDER BY w.code LIMIT 1),
           l.variant_id, 1, 'completed', l.at + interval '15 minutes', l.at, l.at + interval '1 minute'
      FROM lines l JOIN placed p ON p.id = l.order_id;

INSERT INTO orders.order_status_history (organization_id, order_id, sequence, from_status, to_status, changed_by, notes, created_at)
    SELECT 'ORGANIZATION', p.id, s.sequence, lag(s.status) OVER (PARTITION BY p.id ORDER BY s.sequence), s.status,
           CASE s.sequence WHEN 1 THEN 'customer:shopper-' || p.n % 1000 ELSE 'system:payment_events' END, CASE s.sequence WHEN 1 THEN 'placed' END,
           p.at + s.after
      FROM placed p
     CROSS JOIN (VALUES (1, 'pending_payment', interval '0'), (2, 'payment_processing', interval '1 second'),
                        (3, 'payment_confirmed', interval '1 minute'), (4, 'confirmed', interval '1 minute'),
                        (5, 'processing', interval '1 hour'), (6, 'shipped', interval '1 day'),
                        (7, 'delivered', interval '3 days')) AS s (sequence, status, after);

INSERT INTO payments.payments (organization_id, id, order_id, attempt, gateway, gateway_account_id, gateway_transaction_id, method_token, method,
                               brand, last_four, amount, captured_amount, currency, status, facts, idempotency_key, captured_at, created_at)
    SELECT 'ORGANIZATION', payment_id, id, 1, 'stripe', (SELECT g.id FROM tenancy.gateway_accounts g LIMIT 1), 'pi_old_' || n, 'pm_card_visa', 'card',
           'visa', '4242', 3 * price + 600, 3 * price + 600, CASE WHEN n % 5 = 0 THEN 'EUR' ELSE 'USD' END, 'captured',
           jsonb_build_object('captured_minor', 3 * price + 600, 'outcome', 'succeeded'), id || '-1', at + interval '1 minute', at
      FROM placed;

INSERT INTO payments.payment_events (organization_id, id, payment_id, gateway, gateway_account_id, gateway_event_id, gateway_transaction_id,
                                     event_type, gateway_event_type, news, payload, occurred_at, received_at, state, next_attempt_at, processed_at)
    SELECT 'ORGANIZATION', tenancy.uuid_v7(p.at + e * interval '1 second'), p.payment_id, 'stripe',
           (SELECT g.id FROM tenancy.gateway_accounts g LIMIT 1), 'evt_old_' || p.n || '_' || e, 'pi_old_' || p.n, 'capture_succeeded',
           'payment_intent.succeeded', jsonb_build_object('captured_minor', 3 * p.price + 600),
           jsonb_build_object('id', 'evt_old_' || p.n || '_' || e, 'object', 'event', 'livemode', false, 'type', 'payment_intent.succeeded',
                              'data', jsonb_build_object('object', jsonb_build_object('id', 'pi_old_' || p.n, 'object', 'payment_intent',
                                  'amount', 3 * p.price + 600, 'receipt_email', 'shopper-' || p.n % 1000 || '@example.com', 'status', 'succeeded'))),
           p.at, p.at, 'processed', p.at, p.at
      FROM placed p, generate_series(1, 2) AS e;
