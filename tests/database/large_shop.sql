-- Two shops and everything they can have. What stands in braces is filled in by large_shop.py.
-- key() makes a UUIDv7 out of an instant, the kind of thing it names, and its number.
CREATE FUNCTION pg_temp.instant(at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0')
$$;

CREATE FUNCTION pg_temp.key(kind text, n bigint, instant text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (instant || '7' || kind || '8000' || lpad(to_hex(n), 12, '0'))::uuid
$$;

CREATE TEMPORARY TABLE shop AS
    SELECT letter, base, i, pg_temp.key('001', number, i) AS id, pg_temp.key('002', number, i) AS account, variants
      FROM (VALUES ('a', 1, {variants}), ('b', 2, {variants} / 10)) AS s (letter, number, variants)
     CROSS JOIN LATERAL (SELECT timestamptz '{base}' + number * interval '1 second' AS base) AS b
     CROSS JOIN LATERAL (SELECT pg_temp.instant(base) AS i) AS t;

CREATE TEMPORARY TABLE placed AS
    SELECT n, s.id AS organization_id, s.account, at, o.i,
           pg_temp.key('00a', n, o.i) AS id, pg_temp.key('00b', n, o.i) AS item_id, pg_temp.key('00c', n, o.i) AS payment_id,
           pg_temp.key('003', 1 + n % ({customers} / 2), s.i) AS customer_id,
           pg_temp.key('004', 1 + n % 3, s.i) AS warehouse_id,
           pg_temp.key('005', 1 + n % s.variants, s.i) AS variant_id,
           CASE WHEN n % 100 = 0 THEN 'pending_payment' WHEN n % 200 = 1 THEN 'payment_failed'
                WHEN n % 50 = 2 THEN 'cancelled' WHEN n % 100 = 3 THEN 'processing' WHEN n % 4 = 0 THEN 'delivered'
                ELSE 'confirmed' END AS status
      FROM generate_series(1, {orders}) AS n
      JOIN shop s ON s.letter = CASE WHEN n % 5 = 4 THEN 'b' ELSE 'a' END
     CROSS JOIN LATERAL (SELECT s.base + n * interval '1 second' * {step} AS at) AS t
     CROSS JOIN LATERAL (SELECT pg_temp.instant(at) AS i OFFSET 0) AS o;

INSERT INTO tenancy.organizations (id, name, slug, publishable_key, settings, created_at)
    SELECT id, 'Shop ' || letter, 'shop-' || letter || letter, 'pk_0123456789abcdef' || letter, '{{"currency": "USD"}}',
           base FROM shop;

INSERT INTO tenancy.gateway_accounts (organization_id, id, gateway, endpoint_key, secret_reference, created_at)
    SELECT id, account, 'stripe', 'endpoint-' || letter, 'secret-' || letter, base FROM shop;

INSERT INTO tenancy.users (id, auth_subject, email, full_name, created_at)
    SELECT pg_temp.key('019', n, i), letter || '-staff-' || n, 's@example.com', 'Staff', base
      FROM shop, generate_series(1, 20) AS n;

INSERT INTO tenancy.organization_members (organization_id, user_id, role, created_at)
    SELECT id, pg_temp.key('019', n, i), CASE n WHEN 1 THEN 'owner' WHEN 2 THEN 'manager' ELSE 'viewer' END, base
      FROM shop, generate_series(1, 20) AS n;

INSERT INTO tenancy.customer_addresses (organization_id, id, customer_id, type, address, created_at)
    SELECT id, pg_temp.key('01a', n, i), pg_temp.key('003', n, i), 'shipping', '{{}}', base
      FROM shop, generate_series(1, {customers} / 2) AS n;

INSERT INTO tenancy.payment_methods (organization_id, id, customer_id, gateway, gateway_account_id, gateway_customer_id, token,
                                     created_at)
    SELECT id, pg_temp.key('01b', n, i), pg_temp.key('003', n, i), 'stripe', account, 'cus', 'pm', base
      FROM shop, generate_series(1, {customers} / 2) AS n;

INSERT INTO tenancy.customers (organization_id, id, auth_subject, email, created_at)
    SELECT id, pg_temp.key('003', n, i), 'subject-' || n, 'c' || n || '@example.com', base
      FROM shop, generate_series(1, {customers} / 2) AS n;

INSERT INTO inventory.warehouses (organization_id, id, code, name, address, latitude, longitude, base_daily_capacity,
                                  shipping_cost_base, timezone, created_at)
    SELECT id, pg_temp.key('004', n, i), 'W' || n, 'W' || n, '{{}}', 40, -100 + n, 100000, 600, 'UTC', base
      FROM shop, generate_series(1, 3) AS n;

INSERT INTO inventory.capacity_overrides (organization_id, id, warehouse_id, starts_on, ends_on, capacity_multiplier,
                                          reason, created_by, created_at)
    SELECT id, pg_temp.key('006', n, i), pg_temp.key('004', 1 + n % 3, i), base::date - n * 2, base::date - n * 2, 1.5,
           'peak', 'test', base FROM shop, generate_series(1, 600) AS n;

INSERT INTO catalog.products (organization_id, id, name, slug, category, status, created_at)
    SELECT id, pg_temp.key('007', n, i), 'Product ' || n, 'product-' || n, 'category-' || n % 50, 'active', base
      FROM shop, generate_series(1, variants) AS n;

INSERT INTO catalog.variants (organization_id, id, product_id, sku, price, currency, created_at)
    SELECT id, pg_temp.key('005', n, i), pg_temp.key('007', n, i), 'SKU-' || n, 1000, 'USD', base
      FROM shop, generate_series(1, variants) AS n;

INSERT INTO inventory.stock_levels (organization_id, warehouse_id, variant_id, on_hand, reserved, safety_stock,
                                    version, created_at)
    SELECT id, pg_temp.key('004', w, i), pg_temp.key('005', n, i), 1000, 50, CASE WHEN n % 100 = 0 THEN 2000 ELSE 10 END,
           1, base FROM shop, generate_series(1, variants) AS n, generate_series(1, 3) AS w;

INSERT INTO inventory.transfers (organization_id, id, variant_id, from_warehouse_id, to_warehouse_id, quantity, status,
                                 reason, requested_by, created_at, shipped_at, received_quantity)
    SELECT id, pg_temp.key('020', n, pg_temp.instant(base + n * interval '1 minute')), pg_temp.key('005', 1 + n % variants, i),
           pg_temp.key('004', 1, i), pg_temp.key('004', 2 + n % 2, i), 4,
           CASE WHEN n % 100 = 0 THEN 'in_transit' WHEN n % 100 = 1 THEN 'pending' ELSE 'completed' END, 'test', 'test', base,
           CASE WHEN n % 100 <> 1 THEN base END, CASE WHEN n % 100 > 1 THEN 4 ELSE 0 END
      FROM shop, generate_series(1, 20000) AS n;

INSERT INTO inventory.stock_imports (organization_id, id, digest, mode, status, rows, applied_rows, reason, imported_by,
                                     created_at, finished_at)
    SELECT id, pg_temp.key('022', n, i), lpad(to_hex(n), 64, '0'), 'levels', 'applied', 10, 10, 'test', 'test', base, base
      FROM shop, generate_series(1, 12000) AS n;

INSERT INTO inventory.capacity_alerts (organization_id, id, warehouse_id, type, load_date, orders, effective_capacity,
                                       utilization, raised_at, notified_at, resolved_at)
    SELECT id, pg_temp.key('021', n, i), pg_temp.key('004', 1 + n % 3, i), 'critical', base::date, 96, 100, 0.96,
           base - n * interval '1 day', base - n * interval '1 day', CASE WHEN n > 3 THEN base END
      FROM shop, generate_series(1, 12000) AS n;

INSERT INTO orders.orders (organization_id, id, order_number, customer_id, email, status, status_changed_at, currency,
                           subtotal, tax, shipping, total, shipping_preference, is_split_shipment, shipping_address,
                           billing_address, geocode_requires_review, created_at, shipped_at)
    SELECT organization_id, id, 'N' || n, customer_id, 'c@example.com', status, at, 'USD', 1000, 0, 0, 1000, 'standard',
           n % 29 = 0, '{{}}', '{{}}', n % 500 = 0, at, CASE WHEN n % 290 <> 0 THEN at END FROM placed;

INSERT INTO orders.order_status_history (organization_id, order_id, sequence, from_status, to_status, changed_by, created_at)
    SELECT organization_id, id, 1, NULL, 'pending_payment', 'test', at FROM placed;

INSERT INTO orders.order_items (organization_id, id, order_id, variant_id, position, sku, name, unit_price, quantity,
                                subtotal, tax, created_at)
    SELECT organization_id, item_id, id, variant_id, 1, 'SKU', 'Product', 1000, 1, 1000, 0, at FROM placed;

INSERT INTO orders.order_allocations (organization_id, id, order_id, order_item_id, warehouse_id, variant_id, quantity,
                                      load_date, shipping_cost, score, created_at)
    SELECT organization_id, pg_temp.key('00d', n, i), id, item_id, warehouse_id, variant_id, 1, at::date, 600, 1, at
      FROM placed;

-- Of the confirmed ones two in a thousand wait to be picked: what waits is little beside what has left.
INSERT INTO fulfillment.shipments (organization_id, id, order_id, warehouse_id, shipment_number, cost, status, carrier,
                                   tracking_number, captured_when_left, created_at, picked_at, shipped_at, delivered_at,
                                   actual_delivery_at, notification_sent_at)
    SELECT organization_id, pg_temp.key('031', n, i), id, warehouse_id, 'N' || n || '-1', 600, parcel, 'UPS', 'T' || n,
           CASE WHEN parcel IN ('shipped', 'delivered') THEN 1000 END, at, CASE WHEN parcel <> 'pending' THEN at END,
           CASE WHEN parcel IN ('shipped', 'delivered') THEN at END, CASE WHEN parcel = 'delivered' THEN at END,
           CASE WHEN parcel = 'delivered' THEN at END,
           CASE WHEN parcel IN ('shipped', 'delivered') AND n % 400 <> 4 THEN at END
      FROM placed
     CROSS JOIN LATERAL (SELECT CASE WHEN status = 'delivered' THEN 'delivered' WHEN status = 'processing' THEN 'picked'
                                     WHEN n % 1000 IN (5, 9) THEN 'pending' ELSE 'shipped' END AS parcel) AS p
     WHERE status IN ('confirmed', 'processing', 'delivered');

INSERT INTO fulfillment.shipment_items (organization_id, order_id, shipment_id, allocation_id, order_item_id, quantity)
    SELECT organization_id, id, pg_temp.key('031', n, i), pg_temp.key('00d', n, i), item_id, 1
      FROM placed WHERE status IN ('confirmed', 'processing', 'delivered');

INSERT INTO inventory.reservations (organization_id, id, order_id, customer_id, warehouse_id, variant_id, quantity,
                                    status, expires_at, load_date, created_at, completed_at, released_at)
    SELECT organization_id, pg_temp.key('00e', n, i), id, customer_id, warehouse_id, variant_id, 1,
           CASE WHEN n % 20 = 0 THEN 'active' WHEN n % 50 = 2 THEN 'cancelled' ELSE 'completed' END,
           at + interval '15 minutes', at::date, at,
           CASE WHEN n % 20 <> 0 AND n % 50 <> 2 THEN at END, CASE WHEN n % 20 <> 0 AND n % 50 = 2 THEN at END FROM placed;

INSERT INTO inventory.stock_movements (organization_id, id, warehouse_id, variant_id, level_version, type, quantity,
                                       on_hand_before, on_hand_after, reserved_before, reserved_after, reference_type,
                                       reference_id, performed_by, created_at)
    SELECT organization_id, pg_temp.key('00f', n, i), warehouse_id, variant_id, n, 'reserve', 1, 1000, 1000, 49, 50,
           'order', id, 'test', at FROM placed;

INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)
    SELECT s.id, pg_temp.key('004', w, i), base::date + d, pg_temp.key('010', w * 1000 + d, i), 100
      FROM shop s, generate_series(1, 3) AS w, generate_series(0, 365) AS d;

INSERT INTO payments.payments (organization_id, id, order_id, attempt, gateway, gateway_account_id, gateway_transaction_id,
                               amount, captured_amount, capturable_amount, currency, status, idempotency_key, authorization_expires_at,
                               next_check_at, created_at)
    SELECT organization_id, payment_id, id, 1, 'stripe', account, 'pi_' || n, 1000,
           CASE WHEN status IN ('pending_payment', 'payment_failed') OR n % 200 = 5 THEN 0 ELSE 1000 END,
           CASE WHEN status IN ('pending_payment', 'payment_failed') THEN 0 WHEN n % 200 = 5 THEN 1000 ELSE 0 END, 'USD',
           CASE WHEN status = 'pending_payment' THEN 'processing' WHEN status = 'payment_failed' THEN 'failed'
                WHEN n % 200 = 5 THEN 'authorized' ELSE 'captured' END,
           id || '-1', at + interval '7 days', CASE WHEN status = 'pending_payment' THEN at + interval '1 minute' END, at
      FROM placed;

INSERT INTO payments.payment_events (organization_id, id, payment_id, gateway, gateway_account_id, gateway_event_id,
                                     gateway_transaction_id, event_type, gateway_event_type, news, payload, occurred_at,
                                     received_at, state, next_attempt_at, processed_at)
    SELECT organization_id, pg_temp.key('011', n, i), CASE WHEN n % 500 <> 7 THEN payment_id END, 'stripe', account,
           'evt_' || n, 'pi_' || n, 'capture_succeeded', 'payment_intent.succeeded', '{{}}', '{{}}', at, at,
           CASE WHEN n % 250 = 7 THEN 'pending' ELSE 'processed' END, at, CASE WHEN n % 250 <> 7 THEN at END FROM placed;

INSERT INTO payments.refunds (organization_id, id, order_id, payment_id, amount, currency, reason, is_full_refund, status,
                              gateway_refund_id, created_by, created_at)
    SELECT organization_id, pg_temp.key('012', n, i), id, payment_id, 100, 'USD', 'other', false,
           CASE WHEN n % 1000 = 13 THEN 'pending' ELSE 'succeeded' END, 're_' || n, 'test', at FROM placed WHERE n % 5 > 2;

INSERT INTO payments.refund_items (organization_id, id, refund_id, order_item_id, quantity, worth, amount, unshipped_quantity)
    SELECT organization_id, pg_temp.key('017', n, i), pg_temp.key('012', n, i), item_id, 1, 100, 100,
           CASE WHEN n % 500 = 8 THEN 1 ELSE 0 END FROM placed WHERE n % 5 > 2;

INSERT INTO payments.disputes (organization_id, id, payment_id, gateway_dispute_id, amount, currency, status, outcome,
                               closed_at, created_at)
    SELECT organization_id, pg_temp.key('01c', n, i), payment_id, 'dp_' || n, 100, 'USD',
           CASE WHEN n % 500 IN (3, 4) THEN 'opened' ELSE 'closed' END, CASE WHEN n % 500 NOT IN (3, 4) THEN 'won' END,
           CASE WHEN n % 500 NOT IN (3, 4) THEN at END, at
      FROM placed WHERE n % 50 IN (3, 4);

INSERT INTO payments.error_classes (organization_id, id, match_order, class_name, created_by, created_at)
    SELECT id, pg_temp.key('01d', n, i), n, 'class ' || n, 'test', base FROM shop, generate_series(1, 50) AS n;

INSERT INTO payments.dead_letters (organization_id, id, event_id, payment_id, gateway, event_type, payload, failure_reason,
                                   fingerprint, error_class_id, attempts, status, priority, assigned_to, replay_at,
                                   resolved_at, created_at)
    SELECT p.organization_id, pg_temp.key('01e', n, p.i), pg_temp.key('011', n, p.i), payment_id, 'stripe',
           'capture_succeeded', '{{}}', 'ConnectionLost: gone', 'fingerprint-' || n % 5000,
           CASE WHEN n % 7 > 0 THEN pg_temp.key('01d', 1 + n % 50, s.i) END, 6, state,
           CASE WHEN n % 3 = 0 THEN 'critical' ELSE 'low' END, CASE WHEN n % 400 = 3 THEN 'a-staff-1' END,
           CASE WHEN state = 'auto_replay_scheduled' THEN at + interval '5 minutes' END,
           CASE WHEN state = 'replayed' THEN at + interval '1 hour' END, at
      FROM placed p JOIN shop s ON s.id = p.organization_id
     CROSS JOIN LATERAL (SELECT CASE WHEN n % 2000 IN (3, 4) THEN 'auto_replay_scheduled'
                                     WHEN n % 1000 IN (8, 9) THEN 'pending_review' ELSE 'replayed' END AS state) AS t
     WHERE n % 5 > 2;

INSERT INTO payments.dead_letter_history (organization_id, dead_letter_id, sequence, action, to_status, changed_by, created_at)
    SELECT organization_id, pg_temp.key('01e', n, i), 1, 'dead_lettered', 'pending_review', 'test', at FROM placed WHERE n % 5 > 2;

INSERT INTO payments.group_replays (organization_id, id, fingerprint, per_minute, max_replays, state, requested_by, next_at,
                                    created_at, finished_at)
    SELECT s.id, pg_temp.key('01f', n, i), 'fingerprint-' || n, 60, 100, CASE WHEN n > 3 THEN 'finished' ELSE 'running' END,
           'staff:a-staff-1', base, base, CASE WHEN n > 3 THEN base END
      FROM shop s, generate_series(1, 3000) AS n;

INSERT INTO payments.dlq_metrics_daily (organization_id, day, counts_by_status, created, replayed, auto_replayed, discarded,
                                        critical_open, counted_at)
    SELECT id, base::date + n, '{{}}', 0, 0, 0, 0, 0, base FROM shop, generate_series(0, 28) AS n;

INSERT INTO operations.outbox (organization_id, id, topic, aggregate_type, aggregate_id, sequence, payload, created_at,
                               published_at)
    SELECT organization_id, pg_temp.key('013', n, i), 'order.created', 'order', id, 1, '{{}}', at,
           CASE WHEN n % 250 <> 0 THEN at END FROM placed;

INSERT INTO operations.api_calls (organization_id, id, target, method, path, duration_ms, created_at)
    SELECT organization_id, pg_temp.key('014', n, pg_temp.instant(at - interval '75 days')), 'stripe', 'POST', 'authorize', 100,
           at - interval '75 days' FROM placed WHERE n % 4 = 0;

INSERT INTO operations.audit_log (organization_id, id, actor, action, table_name, record_id, created_at)
    SELECT organization_id, pg_temp.key('015', n, i), 'test', 'update', 'orders.orders', id, at FROM placed WHERE n % 4 = 1;

INSERT INTO operations.process_failures (organization_id, id, process_name, related_id, details, status, created_at,
                                         resolved_at)
    SELECT organization_id, pg_temp.key('016', n, i), 'PaymentEvent', id, 'details',
           CASE WHEN n % 1000 IN (1, 4) THEN 'open' ELSE 'resolved' END, at,
           CASE WHEN n % 1000 NOT IN (1, 4) THEN at END FROM placed WHERE n % 5 IN (1, 4);

INSERT INTO notifications.messages (organization_id, id, subject_id, kind, order_id, recipient, status, attempts,
                                    next_attempt_at, provider_id, created_at, sent_at)
    SELECT organization_id, pg_temp.key('040', n, pg_temp.instant(at - interval '385 days')), id, 'order_confirmed', id, 'c@example.com',
           CASE WHEN n % 500 = 0 THEN 'pending' WHEN n % 500 = 2 THEN 'failed' ELSE 'sent' END, 1,
           CASE WHEN n % 500 = 0 THEN at END, 'ses-' || n, at - interval '385 days', CASE WHEN n % 500 > 2 THEN at END
      FROM placed WHERE n % 2 = 0;

INSERT INTO notifications.suppressions (organization_id, id, address, reason, message_id, feedback_id, created_at, lifted_at,
                                        lifted_by, lift_reason)
    SELECT organization_id, pg_temp.key('041', n, i), 'c' || n || '@example.com', 'bounce', pg_temp.key('040', n, i), 'f-' || n, at,
           CASE WHEN n % 50 IN (1, 4) THEN at END, CASE WHEN n % 50 IN (1, 4) THEN 'test' END,
           CASE WHEN n % 50 IN (1, 4) THEN 'test' END
      FROM placed WHERE n % 5 IN (1, 4);

UPDATE operations.process_failures SET assigned_to = 'grace' WHERE ('x' || right(id::text, 1))::bit(4)::int = 7;

INSERT INTO operations.process_failure_history (organization_id, process_failure_id, sequence, action, changed_by, created_at)
    SELECT organization_id, id, 1, 'opened', 'test', created_at FROM operations.process_failures;

INSERT INTO orders.idempotency_keys (organization_id, caller, operation, key, fingerprint, state, lease_until, order_id,
                                     response_status, response_body, created_at, expires_at)
    SELECT organization_id, 'customer:' || customer_id, 'checkout', 'key-' || n, 'f', 'done', at, id, 201, '{{}}', at,
           at + interval '24 hours' + interval '26 days' FROM placed WHERE n % 4 = 2;

INSERT INTO orders.order_operations (organization_id, id, order_id, payment_id, operation, state, requested_by,
                                     next_attempt_at, created_at, finished_at)
    SELECT organization_id, pg_temp.key('018', n, i), id, payment_id, 'return_money',
           CASE WHEN n % 1000 IN (1, 4) THEN 'running' ELSE 'done' END, 'test', at, at,
           CASE WHEN n % 1000 NOT IN (1, 4) THEN at END FROM placed WHERE n % 5 IN (1, 4);

INSERT INTO orders.reallocations (organization_id, id, order_id, sequence, cause, outcome, old_cost, new_cost, saving, reason,
                                  reasons, decided_by, created_at)
    SELECT organization_id, pg_temp.key('035', n, i), id, 1, 'address_change', 'honoured', 600, 500, 100, 'reason', '{{}}', 'test', at
      FROM placed WHERE n % 5 > 2;

INSERT INTO orders.order_address_versions (organization_id, order_id, version, shipping_address, required_review, cause, total,
                                           total_anew, total_after, replaced_by, created_at)
    SELECT organization_id, id, 1, '{{}}', false, 'address_change', 1000, 1000, 1000, 'test', at FROM placed WHERE n % 5 > 2;

INSERT INTO addresses.geocode_reference (country, postal_code, latitude, longitude, quality, data_source, dataset_version, created_at)
    SELECT country, lpad(n::text, 5, '0'), 40, -100, 'centroid', 'test', '1', now()
      FROM generate_series(1, {orders} / 5) AS n, unnest(ARRAY['US', 'DE']) AS country;

INSERT INTO addresses.geocode_import_staging (import_id, line, country, postal_code, latitude, longitude, quality, data_source, dataset_version)
    SELECT pg_temp.key('01f', n % 4, instant), n, 'US', lpad(n::text, 5, '0'), 40, -100, 'centroid', 'test', '1'
      FROM generate_series(1, {orders} / 5) AS n,
           LATERAL (SELECT pg_temp.instant(timestamptz '{base}' + n % 4 * interval '10 days') AS instant) AS i;

INSERT INTO addresses.geocode_cache (organization_id, country, postal_code, address_key, latitude, longitude, quality,
                                     last_accessed_at, expires_at, created_at)
    SELECT organization_id, 'CA', 'K1A' || n % 1000, encode(sha256(n::text::bytea), 'hex'), 45, -75, 'rooftop', at,
           at + interval '26 days', at FROM placed WHERE n % 4 IN (0, 1);

INSERT INTO addresses.geocode_failures (organization_id, id, order_id, address, reason, fallback, created_at)
    SELECT organization_id, pg_temp.key('020', n, i), id, '{{}}', 'not_found', 'country', at FROM placed WHERE n % 5 > 2;

INSERT INTO addresses.reviews (organization_id, id, order_id, status, nonce, timezone, first_deadline_at, deadline_at, reminder_at,
                               reminded_at, steps, resolved_at, resolved_by, created_at)
    SELECT organization_id, pg_temp.key('031', n, i), id, CASE WHEN is_open THEN 'pending' ELSE 'corrected' END, md5(n::text), 'UTC',
           at + interval '72 hours', at + interval '72 hours', at + interval '36 hours', CASE WHEN n % 1000 = 3 OR NOT is_open THEN at END,
           1, CASE WHEN NOT is_open THEN at END, CASE WHEN NOT is_open THEN 'customer:1' END, at
      FROM placed, LATERAL (SELECT n % 500 IN (3, 4) AS is_open) AS state WHERE n % 5 > 2;

INSERT INTO addresses.review_steps (organization_id, review_id, sequence, step, taken_by, created_at)
    SELECT organization_id, pg_temp.key('031', n, i), 1, 'begun', 'system', at FROM placed WHERE n % 5 > 2;

INSERT INTO payments.money_report_daily (organization_id, day, currency, computed_at)
    SELECT id, base::date + d, 'USD', base FROM shop, generate_series(0, 365) AS d;

INSERT INTO payments.money_sweeps (organization_id, day, after_event_id, created_at)
    SELECT id, base::date + d, id, base FROM shop, generate_series(0, 365) AS d;

INSERT INTO payments.money_differences (organization_id, id, day, kind, subject_id, payment_id, ours, gateways,
                                        amount_at_risk, currency, status, details, resolution, first_seen_at, last_seen_at,
                                        resolved_at)
    SELECT organization_id, pg_temp.key('030', n, i), at::date, 'captured_differs', payment_id, payment_id, 1000, 900, 100,
           'USD', CASE WHEN n % 1000 IN (1, 4) THEN 'open' ELSE 'resolved' END, 'details',
           CASE WHEN n % 1000 NOT IN (1, 4) THEN 'gone' END, at, at, CASE WHEN n % 1000 NOT IN (1, 4) THEN at END
      FROM placed WHERE n % 50 IN (1, 4);

-- The archive: a batch of ten orders each, none of them among the active ones.
CREATE TEMPORARY TABLE filed AS
    SELECT n, s.id AS organization_id, s.account, at, f.i, pg_temp.key('023', n, f.i) AS id, pg_temp.key('024', n / 10, s.i) AS batch_id,
           pg_temp.key('003', 1 + n % ({customers} / 2), s.i) AS customer_id
      FROM generate_series(1, {orders}) AS n
      JOIN shop s ON s.letter = CASE WHEN n % 50 > 39 THEN 'b' ELSE 'a' END
     CROSS JOIN LATERAL (SELECT s.base - n * interval '1 minute' AS at) AS t
     CROSS JOIN LATERAL (SELECT pg_temp.instant(at) AS i OFFSET 0) AS f;

INSERT INTO archive.archive_batches (organization_id, id, cutoff_at, status, strategy, document_schema, orders, chain_position, merkle_root,
                                     previous_root, root, created_at, completed_at, verified_at)
    SELECT organization_id, batch_id, min(at), CASE min(n) % 1000 / 10 WHEN 1 THEN 'completed' WHEN 41 THEN 'completed' ELSE 'verified' END, 'full', 1,
           count(*), row_number() OVER (PARTITION BY organization_id ORDER BY batch_id), sha256(''), sha256(''), sha256(''), min(at), min(at),
           min(at)
      FROM filed GROUP BY organization_id, batch_id;

INSERT INTO archive.batch_leaves (organization_id, batch_id, order_id, version, checksum)
    SELECT organization_id, batch_id, id, 1, sha256('{{}}') FROM filed;

INSERT INTO archive.archive_index (organization_id, order_id, version, order_number, customer_id, status, payment_status, fulfillment_status,
                                   ordered_at, currency, total, refunded, batch_id, archived_at, tier, checksum, last_verified_at)
    SELECT organization_id, id, 1, 'A' || n, customer_id, CASE WHEN n % 3 = 0 THEN 'refunded' ELSE 'delivered' END, 'captured', 'delivered', at,
           'USD', 1000, 0, batch_id, at, 'standard', sha256('{{}}'), at FROM filed;

INSERT INTO archive.archived_orders (organization_id, order_id, version, batch_id, order_number, customer_id, status, payment_status,
                                     fulfillment_status, ordered_at, currency, total, refunded, items, document)
    SELECT organization_id, id, 1, batch_id, 'A' || n, customer_id, 'delivered', 'captured', 'delivered', at, 'USD', 1000, 0, 1, '{{}}' FROM filed;

INSERT INTO archive.payment_references (organization_id, payment_id, order_id, gateway_account_id, gateway_transaction_id)
    SELECT organization_id, pg_temp.key('025', n, i), id, account, 'pi_filed_' || n FROM filed;

INSERT INTO archive.customer_keys (organization_id, customer_id, wrapped_key, created_at)
    SELECT id, pg_temp.key('003', n, i), sha256('key'), base FROM shop, generate_series(1, {customers} / 2) AS n;

INSERT INTO archive.erasures (organization_id, id, customer_id, active_orders, archived_orders, reason, requested_by, created_at)
    SELECT id, pg_temp.key('026', n, i), pg_temp.key('003', n, i), 0, 1, 'asked for', 'test', base
      FROM shop, generate_series(1, {customers} / 10) AS n;

INSERT INTO archive.chain_heads (organization_id, position, root) SELECT id, 1, sha256('') FROM shop;

INSERT INTO archive.reconciliation_log (organization_id, id, type, checked, found, resolved, checksum_failures, is_complete, duration_ms,
                                        requested_by, created_at)
    SELECT id, pg_temp.key('027', n, i), CASE WHEN n % 100 = 0 THEN 'full_scan' ELSE 'post_archive' END, 10, 0, 0, 0, true, 1, 'test', base
      FROM shop, generate_series(1, 12000) AS n;

INSERT INTO archive.discrepancies (organization_id, id, batch_id, order_id, kind, details, found_by, created_at, resolved_at, resolved_by, resolution)
    SELECT organization_id, pg_temp.key('028', n, i), batch_id, id, 'inconsistent', 'test', 'test', at, CASE WHEN n % 500 > 0 THEN at END,
           CASE WHEN n % 500 > 0 THEN 'test' END, CASE WHEN n % 500 > 0 THEN 'test' END
      FROM filed WHERE n % 3 = 0;

INSERT INTO archive.cold_files (organization_id, id, month, path, manifest_path, orders, created_at)
    SELECT id, pg_temp.key('029', n, i), base::date - n * 31, 'p' || n, 'm' || n, 1, base FROM shop, generate_series(1, 100) AS n;

INSERT INTO archive.legal_holds (organization_id, id, order_id, customer_id, reason, placed_by, created_at, released_at, released_by, release_reason)
    SELECT organization_id, pg_temp.key('030', n, i), id, customer_id, 'case ' || n, 'test', at, CASE WHEN n % 50 > 0 THEN at END,
           CASE WHEN n % 50 > 0 THEN 'test' END, CASE WHEN n % 50 > 0 THEN 'over' END
      FROM filed WHERE n % 5 = 0;

INSERT INTO archive.month_restores (organization_id, id, month, state, stays_until, reason, requested_by, created_at, finished_at)
    SELECT id, pg_temp.key('031', n, i), date_trunc('month', base - n * interval '31 days')::date, 'done', base, 'an audit', 'test', base, base
      FROM shop, generate_series(1, 100) AS n;
