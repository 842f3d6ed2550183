-- Money news is settled in two short steps around a pure decision: lock_order() takes the order's row and reads,
-- settle() writes. order_view() is the one way an order is shown.

-- Everything about an order that its owner may see, as one document.
CREATE FUNCTION checkout.order_view(p_organization_id uuid, p_order_id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN (
    SELECT jsonb_build_object(
        'id', o.id, 'order_number', o.order_number, 'customer_id', o.customer_id, 'email', o.email,
        'status', o.status, 'payment_status', o.payment_status, 'fulfillment_status', o.fulfillment_status,
        'currency', o.currency,
        'amounts', jsonb_build_object('subtotal_minor', o.subtotal, 'tax_minor', o.tax, 'shipping_minor', o.shipping,
                                      'discount_minor', o.discount, 'total_minor', o.total, 'refunded_minor', o.refunded),
        'has_open_dispute', o.has_open_dispute,
        'tax_lines', o.tax_lines, 'shipping_preference', o.shipping_preference, 'is_split_shipment', o.is_split_shipment,
        'shipping_address', o.shipping_address, 'billing_address', o.billing_address, 'notes', o.customer_notes, 'source', o.source,
        'version', o.version, 'created_at', o.created_at, 'confirmed_at', o.confirmed_at, 'cancelled_at', o.cancelled_at,
        'items', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                      'id', i.id, 'variant_id', i.variant_id, 'sku', i.sku, 'name', i.name, 'option_values', i.option_values,
                      'unit_price_minor', i.unit_price, 'quantity', i.quantity, 'subtotal_minor', i.subtotal, 'tax_minor', i.tax,
                      'discount_minor', i.discount, 'refunded_quantity', i.refunded_quantity,
                      'refunded_minor', i.refunded_amount) ORDER BY i.position), '[]')
                    FROM orders.order_items i WHERE i.organization_id = o.organization_id AND i.order_id = o.id),
        'allocations', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                      'order_item_id', a.order_item_id, 'warehouse_id', a.warehouse_id, 'warehouse', w.code, 'quantity', a.quantity,
                      'distance_km', round(a.distance_km::numeric, 1)) ORDER BY w.code, a.id), '[]')
                    FROM orders.order_allocations a
                    JOIN inventory.warehouses w ON w.organization_id = a.organization_id AND w.id = a.warehouse_id
                   WHERE a.organization_id = o.organization_id AND a.order_id = o.id AND a.superseded_at IS NULL),
        'reallocations', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                      'sequence', l.sequence, 'cause', l.cause, 'outcome', l.outcome, 'reason', l.reason, 'at', l.created_at)
                      ORDER BY l.sequence), '[]')
                    FROM orders.reallocations l WHERE l.organization_id = o.organization_id AND l.order_id = o.id),
        'address_changes', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                      'version', c.version, 'cause', c.cause, 'changed_by', split_part(c.replaced_by, ':', 1), 'at', c.created_at)
                      ORDER BY c.version), '[]')
                    FROM orders.order_address_versions c WHERE c.organization_id = o.organization_id AND c.order_id = o.id),
        'shipments', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                      'id', s.id, 'shipment_number', s.shipment_number, 'status', s.status, 'carrier', s.carrier,
                      'tracking_number', s.tracking_number, 'tracking_url', s.tracking_url,
                      'estimated_delivery_at', s.estimated_delivery_at, 'shipped_at', s.shipped_at, 'delivered_at', s.actual_delivery_at,
                      'items', (SELECT COALESCE(jsonb_agg(jsonb_build_object('order_item_id', c.order_item_id, 'quantity', c.quantity)
                                                          ORDER BY c.order_item_id), '[]')
                                  FROM (SELECT si.order_item_id, sum(si.quantity) AS quantity FROM fulfillment.shipment_items si
                                         WHERE si.organization_id = s.organization_id AND si.shipment_id = s.id
                                         GROUP BY si.order_item_id) AS c)) ORDER BY s.id), '[]')
                    FROM fulfillment.shipments s
                   WHERE s.organization_id = o.organization_id AND s.order_id = o.id AND s.status <> 'cancelled'),
        'payments', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                      'id', p.id, 'attempt', p.attempt, 'gateway', p.gateway, 'status', p.status, 'amount_minor', p.amount,
                      'captured_minor', p.captured_amount, 'capturable_minor', p.capturable_amount,
                      'captures', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                                       'amount_minor', c -> 'amount_minor', 'status', c ->> 'status', 'is_final', c -> 'is_final',
                                       'at', COALESCE(c ->> 'succeeded_at', c ->> 'failed_at'))
                                       ORDER BY c ->> 'succeeded_at', c ->> 'gateway_capture_id'), '[]')
                                     FROM jsonb_array_elements(p.facts -> 'captures') c),
                      'refunded_minor', p.refunded_amount, 'charged_back_minor', p.charged_back_amount, 'currency', p.currency,
                      'brand', p.brand, 'last_four', p.last_four, 'failure_code', p.failure_code, 'failure_message', p.failure_message,
                      'client_action', p.client_action, 'created_at', p.created_at) ORDER BY p.attempt), '[]')
                    FROM payments.payments p WHERE p.organization_id = o.organization_id AND p.order_id = o.id),
        'timeline', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                      'sequence', h.sequence, 'from', h.from_status, 'to', h.to_status, 'changed_by', split_part(h.changed_by, ':', 1), 'notes', h.notes,
                      'at', h.created_at) ORDER BY h.sequence), '[]')
                    FROM orders.order_status_history h WHERE h.organization_id = o.organization_id AND h.order_id = o.id))
      FROM orders.orders o
     WHERE o.organization_id = p_organization_id AND o.id = p_order_id AND o.deleted_at IS NULL);
END
$$;

-- Takes an order's row, which is the one lock for the order, its payments and its holds, and reads what a decision
-- about it needs. Each statement inside sees what was committed before the lock was granted.
CREATE FUNCTION checkout.lock_order(p_organization_id uuid, p_order_id uuid) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM 1 FROM orders.orders WHERE organization_id = p_organization_id AND id = p_order_id FOR NO KEY UPDATE;
    -- The expiry takes holds without their order: what is read here as live must stay so until it is resolved.
    PERFORM 1 FROM inventory.reservations
      WHERE organization_id = p_organization_id AND order_id = p_order_id AND status = 'active'
      ORDER BY id FOR NO KEY UPDATE;
    RETURN (
        SELECT jsonb_build_object(
            'order', jsonb_build_object(
                'id', o.id, 'order_number', o.order_number, 'customer_id', o.customer_id, 'email', o.email, 'status', o.status,
                'sequence', o.status_sequence, 'currency', o.currency, 'total', o.total, 'shipping', o.shipping, 'payment_status', o.payment_status,
                'fulfillment_status', o.fulfillment_status, 'shipping_preference', o.shipping_preference,
                'latitude', o.shipping_latitude, 'longitude', o.shipping_longitude, 'needs_address_review', o.geocode_requires_review,
                'hold_max_seconds', (SELECT g.settings ->> 'hold_max_seconds' FROM tenancy.organizations g
                                      WHERE g.id = o.organization_id),
                'payment_hold_seconds', (SELECT g.settings ->> 'payment_hold_seconds' FROM tenancy.organizations g
                                          WHERE g.id = o.organization_id),
                'capture_policy', (SELECT g.settings ->> 'capture_policy' FROM tenancy.organizations g WHERE g.id = o.organization_id),
                -- Where a refund took it from: a refund that fails later leads back there.
                'status_before', CASE WHEN o.status IN ('refunded', 'partially_refunded') THEN (
                    SELECT h.from_status FROM orders.order_status_history h
                     WHERE h.organization_id = o.organization_id AND h.order_id = o.id AND h.to_status = o.status AND NOT h.is_reversal
                     ORDER BY h.sequence DESC LIMIT 1) END,
                'leaving', (SELECT s.id FROM fulfillment.shipments s
                             WHERE s.organization_id = o.organization_id AND s.order_id = o.id AND s.leaving_since IS NOT NULL),
                'deleted', o.deleted_at IS NOT NULL),
            'payments', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                    'id', p.id, 'attempt', p.attempt, 'gateway', p.gateway, 'gateway_account_id', p.gateway_account_id,
                    'gateway_transaction_id', p.gateway_transaction_id, 'token', p.method_token, 'amount', p.amount,
                    'captured_amount', p.captured_amount, 'refunded_amount', p.refunded_amount, 'refunding_amount', p.refunding_amount,
                    'charged_back_amount', p.charged_back_amount,
                    'currency', p.currency, 'status', p.status, 'facts', p.facts, 'capture_now', p.capture_now,
                    'save_method', p.save_method, 'gateway_customer_id', p.gateway_customer_id,
                    'idempotency_key', p.idempotency_key, 'checks', p.checks, 'return_url', p.metadata ->> 'return_url', 'created_at', p.created_at,
                    'is_owed_back', EXISTS (SELECT 1 FROM orders.order_operations b
                                             WHERE b.organization_id = p.organization_id AND b.order_id = p.order_id
                                               AND b.payment_id = p.id AND b.operation = 'return_money'),
                    'is_being_returned', EXISTS (SELECT 1 FROM orders.order_operations b
                                                  WHERE b.organization_id = p.organization_id AND b.order_id = p.order_id
                                                    AND b.payment_id = p.id AND b.operation = 'return_money' AND b.state = 'running'),
                    'secret_reference', g.secret_reference, 'merchant_account', g.merchant_account) ORDER BY p.attempt), '[]')
                FROM payments.payments p
                JOIN tenancy.gateway_accounts g ON g.organization_id = p.organization_id AND g.id = p.gateway_account_id
               WHERE p.organization_id = o.organization_id AND p.order_id = o.id),
            'refunds', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                    'id', r.id, 'payment_id', r.payment_id, 'amount', r.amount, 'shipping_amount', r.shipping_amount,
                    'status', r.status, 'reason', r.reason, 'gateway_refund_id', r.gateway_refund_id,
                    'gateway_capture_id', r.gateway_capture_id,
                    'is_given_up', EXISTS (SELECT 1 FROM orders.order_operations b
                                            WHERE b.organization_id = r.organization_id AND b.order_id = r.order_id
                                              AND b.payment_id = r.payment_id AND b.state = 'failed'
                                              AND (b.subject_id = r.id OR b.operation = 'return_money')),
                    'items', (SELECT COALESCE(jsonb_agg(jsonb_build_object('order_item_id', i.order_item_id, 'quantity', i.quantity,
                                                                           'unshipped', i.unshipped_quantity, 'worth', i.worth)), '[]')
                                FROM payments.refund_items i
                               WHERE i.organization_id = r.organization_id AND i.refund_id = r.id)) ORDER BY r.id), '[]')
                FROM payments.refunds r WHERE r.organization_id = o.organization_id AND r.order_id = o.id),
            'holds', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                    'id', r.id, 'warehouse_id', r.warehouse_id, 'variant_id', r.variant_id, 'quantity', r.quantity,
                    'status', r.status, 'expires_at', r.expires_at, 'created_at', r.created_at) ORDER BY r.id), '[]')
                FROM inventory.reservations r WHERE r.organization_id = o.organization_id AND r.order_id = o.id),
            'items', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                    'id', i.id, 'variant_id', i.variant_id, 'sku', i.sku, 'quantity', i.quantity,
                    'left', COALESCE(l.quantity, 0), 'worth', i.subtotal - i.discount + i.tax) ORDER BY i.position), '[]')
                FROM orders.order_items i
                LEFT JOIN (SELECT si.order_item_id, sum(si.quantity) AS quantity
                             FROM fulfillment.shipment_items si
                             JOIN fulfillment.shipments s ON s.organization_id = si.organization_id AND s.id = si.shipment_id
                            WHERE si.organization_id = p_organization_id AND si.order_id = p_order_id
                              AND s.shipped_at IS NOT NULL AND s.reshipped_at IS NULL
                            GROUP BY si.order_item_id) AS l ON l.order_item_id = i.id
               WHERE i.organization_id = o.organization_id AND i.order_id = o.id))
          FROM orders.orders o
         WHERE o.organization_id = p_organization_id AND o.id = p_order_id);
END
$$;

-- What of a payment is on its way back. The payment's row is written with it, so that CHECK
-- payments_refunds_within_captured sees every refund at every instant.
CREATE FUNCTION payments.refunding(p_organization_id uuid, p_payment_id uuid) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT COALESCE(sum(amount), 0)::bigint FROM payments.refunds
     WHERE organization_id = p_organization_id AND payment_id = p_payment_id AND status IN ('pending', 'processing')
$$;

-- Brings the lines of an order to what its refunds say: counted anew from those that succeeded, never added to, so that
-- news that comes twice counts once and a refund that fails later counts no more. Never more than was bought: should the
-- gateway have carried out a refund that we gave up, the money is on record with the payment and the goods are not.
CREATE FUNCTION checkout.count_refunds(p_organization_id uuid, p_order_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    UPDATE orders.order_items i
       SET refunded_quantity = least(i.quantity, g.quantity), refunded_amount = least(i.subtotal - i.discount + i.tax, g.amount)
      FROM (SELECT ri.order_item_id, COALESCE(sum(ri.quantity) FILTER (WHERE r.status = 'succeeded'), 0) AS quantity,
                   COALESCE(sum(ri.amount) FILTER (WHERE r.status = 'succeeded'), 0) AS amount
              FROM payments.refunds r
              JOIN payments.refund_items ri ON ri.organization_id = r.organization_id AND ri.refund_id = r.id
             WHERE r.organization_id = p_organization_id AND r.order_id = p_order_id
             GROUP BY ri.order_item_id) g
     WHERE i.organization_id = p_organization_id AND i.id = g.order_item_id
       AND (i.refunded_quantity, i.refunded_amount)
           IS DISTINCT FROM (least(i.quantity, g.quantity), least(i.subtotal - i.discount + i.tax, g.amount));
END
$$;

-- Takes goods of an order back into stock: those that refunds which succeeded call resellable; with p_all (a cancellation)
-- all that were sold but those a refund says are lost, and with them the load they booked. Pieces that never left go back
-- to a warehouse that holds them back, those that were sent to one that sent them. Line and allocation remember how many
-- came back, so that saying it twice moves nothing, and no warehouse gets more than it gave: also after a refund failed,
-- for its goods have come back all the same. Answers how many levels rose.
CREATE FUNCTION checkout.restock(
    p_organization_id uuid, p_order_id uuid, p_now timestamptz, p_all boolean, p_reason text, p_performed_by text
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    risen integer;
    warehouses uuid[];
    variants uuid[];
    quantities integer[];
BEGIN
    IF NOT EXISTS (SELECT 1 FROM inventory.reservations
                    WHERE organization_id = p_organization_id AND order_id = p_order_id AND status = 'completed')
    THEN
        RETURN 0; -- nothing was sold: what is held is released, not returned
    END IF;
    WITH told AS (
        SELECT ri.order_item_id, sum(ri.quantity) FILTER (WHERE ri.restock) AS resellable,
               sum(ri.unshipped_quantity) FILTER (WHERE ri.restock) AS resellable_unshipped,
               sum(ri.quantity) FILTER (WHERE ri.restock_reason <> 'resellable') AS lost
          FROM payments.refunds r
          JOIN payments.refund_items ri ON ri.organization_id = r.organization_id AND ri.refund_id = r.id
         WHERE r.organization_id = p_organization_id AND r.order_id = p_order_id AND r.status = 'succeeded'
         GROUP BY ri.order_item_id
    ), due AS (
        SELECT i.id, COALESCE(t.resellable_unshipped, 0) AS unshipped, i.restocked_quantity AS before,
               least(i.quantity, CASE WHEN p_all THEN i.quantity - COALESCE(t.lost, 0) ELSE COALESCE(t.resellable, 0) END) AS after
          FROM orders.order_items i LEFT JOIN told t ON t.order_item_id = i.id
         WHERE i.organization_id = p_organization_id AND i.order_id = p_order_id
    ), marked AS (
        UPDATE orders.order_items i SET restocked_quantity = d.after
          FROM due d
         WHERE i.organization_id = p_organization_id AND i.id = d.id AND d.after > d.before
    ), placed AS ( -- where the line's pieces are: idle ones are on no shipment, sent ones have left
        SELECT a.id, a.order_item_id, a.warehouse_id, a.variant_id, a.quantity, a.restocked_quantity AS restocked,
               a.quantity - COALESCE(x.packed, 0) AS idle, COALESCE(x.sent, 0) AS sent
          FROM orders.order_allocations a
          LEFT JOIN LATERAL (SELECT sum(si.quantity) AS packed, sum(si.quantity) FILTER (WHERE s.shipped_at IS NOT NULL) AS sent
                               FROM fulfillment.shipment_items si
                               JOIN fulfillment.shipments s ON s.organization_id = si.organization_id AND s.id = si.shipment_id
                              WHERE si.organization_id = a.organization_id AND si.allocation_id = a.id AND s.status <> 'cancelled') AS x ON true
         WHERE a.organization_id = p_organization_id AND a.order_id = p_order_id AND a.superseded_at IS NULL
    ), counted AS ( -- of those that came back before, idle ones came first
        SELECT p.*, d.before, d.after, least(p.restocked, p.idle) AS idle_before,
               CASE WHEN p_all THEN d.after - d.before
                    ELSE greatest(0, least(d.after - d.before,
                                           d.unshipped - sum(least(p.restocked, p.idle)) OVER (PARTITION BY p.order_item_id))) END AS idle_due
          FROM placed p JOIN due d ON d.id = p.order_item_id AND d.after > d.before
    ), first AS ( -- those that never left
        SELECT c.*, greatest(0, least(c.idle - c.idle_before, c.idle_due - (sum(c.idle - c.idle_before) OVER w - (c.idle - c.idle_before)))) AS taken
          FROM counted c WINDOW w AS (PARTITION BY c.order_item_id ORDER BY c.id)
    ), second AS ( -- then those that were sent
        SELECT f.*, f.after - f.before - sum(f.taken) OVER (PARTITION BY f.order_item_id) AS rest,
               greatest(0, least(f.quantity - f.restocked - f.taken, f.sent - (f.restocked - f.idle_before))) AS sent_room
          FROM first f
    ), third AS ( -- and should that not be all of them, whatever is left of the allocations
        SELECT s.*, greatest(0, least(s.sent_room, s.rest - (sum(s.sent_room) OVER w - s.sent_room))) AS returned
          FROM second s WINDOW w AS (PARTITION BY s.order_item_id ORDER BY s.id)
    ), last AS (
        SELECT t.*, t.rest - sum(t.returned) OVER (PARTITION BY t.order_item_id) AS left_over,
               t.quantity - t.restocked - t.taken - t.returned AS room
          FROM third t
    ), back AS (
        SELECT l.id, l.warehouse_id, l.variant_id,
               (l.taken + l.returned + greatest(0, least(l.room, l.left_over - (sum(l.room) OVER w - l.room))))::integer AS quantity
          FROM last l WINDOW w AS (PARTITION BY l.order_item_id ORDER BY l.id)
    ), remembered AS (
        UPDATE orders.order_allocations a SET restocked_quantity = a.restocked_quantity + b.quantity
          FROM back b
         WHERE a.organization_id = p_organization_id AND a.id = b.id AND b.quantity > 0
    )
    SELECT count(*), array_agg(warehouse_id), array_agg(variant_id), array_agg(quantity)
      INTO risen, warehouses, variants, quantities FROM back WHERE quantity > 0;
    IF p_all THEN
        INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)
        SELECT p_organization_id, warehouse_id, load_date, tenancy.uuid_v7(p_now), -1
          FROM inventory.reservations
         WHERE organization_id = p_organization_id AND order_id = p_order_id AND status = 'completed' AND load_date IS NOT NULL;
    END IF;
    IF risen > 0 THEN
        PERFORM inventory.move_stock(
            p_organization_id, p_now, 'return', warehouses, variants, quantities, 'order', p_order_id, p_reason, p_performed_by);
    END IF;
    RETURN risen;
END
$$;

-- Keeps the method that an order was paid with, once; the customer's first is the default. One that was removed after this
-- payment stays removed. The lock is taken last of all: whoever holds it waits for nothing else.
CREATE FUNCTION checkout.keep_payment_method(p_organization_id uuid, p_order_id uuid, p_payment_id uuid, p jsonb, p_now timestamptz)
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

-- Writes one settled decision about an order whose row the caller holds, and answers the order's new view.
-- p: {now, actor, order_id,
--     event_id, payment: {id, status, facts, ...} | absent,
--     refunds: [{id, payment_id, status, gateway_refund_id, amount, shipping_amount, failure_code, created_by, ...}],
--     refund_items: [{id, refund_id, order_item_id, quantity, unshipped_quantity, worth, amount, restock, restock_reason}],
--     dispute: {id, gateway_dispute_id, status, amount, lost_amount, ...} | null,
--     order: {from, sequence, path: [...], is_reversal, notes, payment_status, refunded, has_open_dispute},
--     resolve_holds: 'completed' | 'cancelled' | null, return_sold: bool, extend_holds_until,
--     review: {begin: {id, nonce, timezone, deadline_at, ...}} | {end: {status, step, notes, details}} | null,
--     outbox: [{id, topic, sequence, payload}], operations: [{id, payment_id, operation, subject_id, amount, reason}],
--     failures: [{id, process_name, details, payload}], resolved: [{process_name, note}]}
CREATE FUNCTION checkout.settle(p_organization_id uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := (p ->> 'now')::timestamptz;
    v_order_id uuid := (p ->> 'order_id')::uuid;
    v_actor text := p ->> 'actor';
    m jsonb := NULLIF(p -> 'payment', 'null');
    o jsonb := p -> 'order';
    v_payment_id uuid := (p #>> '{payment,id}')::uuid;
BEGIN
    IF jsonb_array_length(p -> 'refunds') > 0 THEN
        INSERT INTO payments.refunds (organization_id, id, order_id, payment_id, amount, shipping_amount, currency, reason, is_full_refund,
                                      status, gateway_refund_id, gateway_capture_id, failure_code, notes, request_key, created_by,
                                      created_at, completed_at)
        SELECT p_organization_id, r.id, v_order_id, r.payment_id, r.amount, COALESCE(r.shipping_amount, 0), r.currency, r.reason,
               r.is_full_refund, r.status, r.gateway_refund_id, r.gateway_capture_id, r.failure_code, r.notes, r.request_key,
               r.created_by, v_now,
               CASE WHEN r.status IN ('succeeded', 'failed') THEN v_now END
          FROM jsonb_to_recordset(p -> 'refunds') AS r (id uuid, payment_id uuid, amount bigint, shipping_amount bigint, currency text,
               reason text, is_full_refund boolean, status text, gateway_refund_id text, gateway_capture_id text, failure_code text,
               notes text, request_key text, created_by text)
        ON CONFLICT ON CONSTRAINT refunds_pkey DO UPDATE
           SET status = excluded.status, gateway_refund_id = COALESCE(excluded.gateway_refund_id, refunds.gateway_refund_id),
               gateway_capture_id = COALESCE(refunds.gateway_capture_id, excluded.gateway_capture_id),
               failure_code = excluded.failure_code, completed_at = COALESCE(excluded.completed_at, refunds.completed_at);
        INSERT INTO payments.refund_items (organization_id, id, refund_id, order_item_id, quantity, unshipped_quantity, worth, amount,
                                           restock, restock_reason)
        SELECT p_organization_id, i.id, i.refund_id, i.order_item_id, i.quantity, COALESCE(i.unshipped_quantity, 0), i.worth, i.amount, i.restock,
               i.restock_reason
          FROM jsonb_to_recordset(p -> 'refund_items') AS i (id uuid, refund_id uuid, order_item_id uuid, quantity integer,
               unshipped_quantity integer, worth bigint, amount bigint, restock boolean, restock_reason text);
        IF m IS NULL THEN
            UPDATE payments.payments y SET refunding_amount = payments.refunding(p_organization_id, y.id)
             WHERE y.organization_id = p_organization_id
               AND y.id IN (SELECT r.payment_id FROM jsonb_to_recordset(p -> 'refunds') AS r (payment_id uuid));
        END IF;
    END IF;

    IF m IS NOT NULL THEN
        UPDATE payments.payments
           SET status = m ->> 'status',
               facts = m -> 'facts',
               captured_amount = (m ->> 'captured_amount')::bigint,
               capturable_amount = (m ->> 'capturable_amount')::bigint,
               refunded_amount = (m ->> 'refunded_amount')::bigint,
               refunding_amount = payments.refunding(p_organization_id, v_payment_id),
               -- A refund that is under way has the money; what a lost dispute takes beyond the rest was lost twice.
               charged_back_amount = GREATEST(LEAST((m ->> 'charged_back_amount')::bigint, (m ->> 'captured_amount')::bigint
                                                    - (m ->> 'refunded_amount')::bigint - payments.refunding(p_organization_id, v_payment_id)), 0),
               gateway_transaction_id = COALESCE(gateway_transaction_id, m ->> 'gateway_transaction_id'),
               gateway_customer_id = COALESCE(m #>> '{saved_method,gateway_customer_id}', gateway_customer_id),
               method_token = CASE WHEN m ->> 'status' IN ('pending', 'processing', 'requires_action') THEN method_token END,
               method = COALESCE(m ->> 'method', method), brand = COALESCE(m ->> 'brand', brand), last_four = COALESCE(m ->> 'last_four', last_four),
               client_action = CASE WHEN m ->> 'status' = 'requires_action' THEN COALESCE(NULLIF(m -> 'client_action', 'null'), client_action) END,
               failure_code = m ->> 'failure_code', failure_message = m ->> 'failure_message',
               authorization_expires_at = COALESCE((m ->> 'authorization_expires_at')::timestamptz, authorization_expires_at),
               authorized_at = COALESCE(authorized_at, CASE WHEN m ->> 'status' IN ('authorized', 'captured') THEN v_now END),
               captured_at = COALESCE(captured_at, CASE WHEN (m ->> 'captured_amount')::bigint > 0 THEN v_now END),
               failed_at = COALESCE(failed_at, CASE WHEN m ->> 'status' = 'failed' THEN v_now END),
               refunded_at = COALESCE(refunded_at, CASE WHEN m ->> 'status' = 'refunded' THEN v_now END),
               next_check_at = (m ->> 'next_check_at')::timestamptz,
               checks = (m ->> 'checks')::integer
         WHERE organization_id = p_organization_id AND id = v_payment_id;
    END IF;

    IF jsonb_typeof(p -> 'dispute') = 'object' THEN
        INSERT INTO payments.disputes (organization_id, id, payment_id, gateway_dispute_id, reason, amount, lost_amount, currency,
                                       status, due_at, outcome, closed_at, created_at)
        SELECT p_organization_id, d.id, v_payment_id, d.gateway_dispute_id, d.reason, d.amount, d.lost_amount, d.currency,
               d.status, d.due_at, d.outcome, d.closed_at, v_now
          FROM jsonb_to_record(p -> 'dispute') AS d (id uuid, gateway_dispute_id text, reason text, amount bigint, lost_amount bigint,
               currency text, status text, due_at timestamptz, outcome text, closed_at timestamptz)
        ON CONFLICT ON CONSTRAINT disputes_once DO UPDATE
           SET reason = excluded.reason, amount = excluded.amount, lost_amount = excluded.lost_amount, status = excluded.status,
               due_at = excluded.due_at, outcome = excluded.outcome, closed_at = excluded.closed_at;
    END IF;

    IF p ->> 'event_id' IS NOT NULL THEN
        UPDATE payments.payment_events
           SET state = 'processed', processed_at = v_now, last_error = NULL, payment_id = COALESCE(payment_id, v_payment_id)
         WHERE organization_id = p_organization_id AND id = (p ->> 'event_id')::uuid;
    END IF;

    -- Holds before the status: what is confirmed has its stock, or nothing of this happened.
    IF p ->> 'resolve_holds' IS NOT NULL THEN
        PERFORM inventory.resolve_reservations(p_organization_id, v_order_id, v_now, p ->> 'resolve_holds', o ->> 'notes', v_actor);
    END IF;
    IF jsonb_array_length(p -> 'refunds') > 0 THEN
        PERFORM checkout.count_refunds(p_organization_id, v_order_id);
    END IF;
    IF p ->> 'extend_holds_until' IS NOT NULL THEN
        UPDATE inventory.reservations SET expires_at = (p ->> 'extend_holds_until')::timestamptz
         WHERE organization_id = p_organization_id AND order_id = v_order_id AND status = 'active'
           AND expires_at < (p ->> 'extend_holds_until')::timestamptz;
    END IF;
    IF o ->> 'payment_status' IS NOT NULL THEN
        UPDATE orders.orders SET payment_status = o ->> 'payment_status', refunded = COALESCE((o ->> 'refunded')::bigint, refunded),
               has_open_dispute = COALESCE((o ->> 'has_open_dispute')::boolean, has_open_dispute)
         WHERE organization_id = p_organization_id AND id = v_order_id
           AND (payment_status, refunded, has_open_dispute) IS DISTINCT FROM (
                o ->> 'payment_status', COALESCE((o ->> 'refunded')::bigint, refunded),
                COALESCE((o ->> 'has_open_dispute')::boolean, has_open_dispute));
    END IF;
    IF (o ->> 'is_reversal')::boolean THEN
        INSERT INTO orders.order_status_history
            (organization_id, order_id, sequence, from_status, to_status, is_reversal, changed_by, notes, created_at)
        VALUES (p_organization_id, v_order_id, (o ->> 'sequence')::integer + 1, o ->> 'from', o #>> '{path,0}', true, v_actor,
                o ->> 'notes', v_now);
    ELSIF jsonb_array_length(o -> 'path') > 0 THEN
        PERFORM orders.walk_status(p_organization_id, v_order_id, o ->> 'from', (o ->> 'sequence')::integer,
                                   ARRAY(SELECT jsonb_array_elements_text(o -> 'path')), v_actor, o ->> 'notes', v_now);
    END IF;
    -- An order is under review exactly while its review is open.
    IF p #> '{review,end}' IS NOT NULL THEN
        PERFORM addresses.end_review(p_organization_id, v_order_id, v_now, v_actor, p -> 'review' -> 'end');
        UPDATE orders.orders SET geocode_requires_review = false
         WHERE organization_id = p_organization_id AND id = v_order_id AND geocode_requires_review;
    ELSIF p #> '{review,begin}' IS NOT NULL THEN
        PERFORM addresses.begin_review(p_organization_id, v_order_id, v_now, v_actor, p -> 'review' -> 'begin');
    END IF;
    -- What is confirmed is to ship; what is cancelled, refunded or kept back by a refund is not.
    IF o #>> '{path,-1}' IN ('confirmed', 'cancelled', 'refunded') OR (o ->> 'is_reversal')::boolean
        OR jsonb_array_length(p -> 'refunds') > 0
    THEN
        PERFORM fulfillment.plan_shipments(p_organization_id, v_order_id, v_now, v_actor);
    END IF;
    IF (p ->> 'return_sold')::boolean OR jsonb_array_length(p -> 'refunds') > 0 THEN
        PERFORM checkout.restock(p_organization_id, v_order_id, v_now, (p ->> 'return_sold')::boolean, o ->> 'notes', v_actor);
    END IF;

    INSERT INTO operations.outbox (organization_id, id, topic, aggregate_type, aggregate_id, sequence, payload, created_at)
    SELECT p_organization_id, b.id, b.topic, 'order', v_order_id, b.sequence, b.payload, v_now
      FROM jsonb_to_recordset(p -> 'outbox') AS b (id uuid, topic text, sequence integer, payload jsonb);
    INSERT INTO orders.order_operations (organization_id, id, order_id, payment_id, operation, subject_id, amount, reason, requested_by,
                                         next_attempt_at, created_at)
    SELECT p_organization_id, b.id, v_order_id, b.payment_id, b.operation, b.subject_id, b.amount, b.reason, v_actor, v_now, v_now
      FROM jsonb_to_recordset(p -> 'operations') AS b (id uuid, payment_id uuid, operation text, subject_id uuid, amount bigint, reason text)
     -- One that was given up is with a person, and is not begun again behind that person's back.
     WHERE NOT EXISTS (SELECT 1 FROM orders.order_operations x
                        WHERE x.organization_id = p_organization_id AND x.order_id = v_order_id AND x.operation = b.operation
                          AND x.payment_id = b.payment_id AND x.subject_id IS NOT DISTINCT FROM b.subject_id AND x.state = 'failed')
    ON CONFLICT (organization_id, order_id, operation, payment_id, subject_id) WHERE state = 'running' DO NOTHING;
    INSERT INTO operations.process_failures (organization_id, id, process_name, related_id, details, payload, created_at)
    SELECT p_organization_id, b.id, b.process_name, v_order_id, b.details, b.payload, v_now
      FROM jsonb_to_recordset(p -> 'failures') AS b (id uuid, process_name text, details text, payload jsonb)
    ON CONFLICT (organization_id, process_name, related_id) WHERE status = 'open' DO NOTHING;

    UPDATE operations.process_failures f
       SET status = 'resolved', resolved_by = v_actor, resolved_at = v_now, resolution_notes = r.note, version = version + 1
      FROM jsonb_to_recordset(p -> 'resolved') AS r (process_name text, note text)
     WHERE f.organization_id = p_organization_id AND f.process_name = r.process_name AND f.related_id = v_order_id
       AND f.status = 'open';

    IF m ->> 'saved_method' IS NOT NULL THEN
        PERFORM checkout.keep_payment_method(p_organization_id, v_order_id, v_payment_id, m -> 'saved_method', v_now);
    END IF;
    RETURN checkout.order_view(p_organization_id, v_order_id);
END
$$;

-- Stores an event once. Answers its id, or NULL when it was stored before. An event whose payment is not known yet is
-- stored unmatched. p.call, if there is one, is the call whose answer the event is.
CREATE FUNCTION payments.store_event(p_organization_id uuid, p jsonb) RETURNS uuid
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
        gateway_event_type, news, payload, occurred_at, received_at, correlation_id, state, next_attempt_at)
    VALUES (
        p_organization_id, (p ->> 'id')::uuid, v_payment_id, p ->> 'gateway', (p ->> 'gateway_account_id')::uuid,
        p ->> 'gateway_event_id', p ->> 'gateway_transaction_id', p ->> 'event_type', p ->> 'gateway_event_type',
        p -> 'news', p -> 'payload', (p ->> 'occurred_at')::timestamptz, (p ->> 'received_at')::timestamptz,
        p ->> 'correlation_id', p ->> 'state', (p ->> 'received_at')::timestamptz)
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

-- Claims one event for processing. The attempt is counted and committed before the work begins, so that an event that
-- kills its process runs out of attempts too; the lease is when somebody else may take it. p_again takes one that was
-- given up, for a replay: its dead letter says who may, and when.
CREATE FUNCTION payments.claim_event(p_organization_id uuid, p_event_id uuid, p_now timestamptz, p_lease_seconds integer,
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

GRANT EXECUTE ON FUNCTION checkout.order_view(uuid, uuid), checkout.lock_order(uuid, uuid), checkout.settle(uuid, jsonb),
    checkout.count_refunds(uuid, uuid), checkout.restock(uuid, uuid, timestamptz, boolean, text, text), payments.refunding(uuid, uuid),
    checkout.keep_payment_method(uuid, uuid, uuid, jsonb, timestamptz), payments.store_event(uuid, jsonb),
    payments.claim_event(uuid, uuid, timestamptz, integer, boolean) TO holdfast_app, holdfast_system;
