-- As migration 0035 left it.
CREATE OR REPLACE FUNCTION checkout.settle(p_organization_id uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := (p ->> 'now')::timestamptz;
    v_order_id uuid := (p ->> 'order_id')::uuid;
    v_actor text := p ->> 'actor';
    m jsonb := NULLIF(p -> 'payment', 'null');
    o jsonb := p -> 'order';
    v_payment_id uuid := (p #>> '{payment,id}')::uuid;
    v_goods_notes text := COALESCE(o ->> 'goods_notes', o ->> 'notes');
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
        PERFORM inventory.resolve_reservations(p_organization_id, v_order_id, v_now, p ->> 'resolve_holds', v_goods_notes, v_actor);
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
        PERFORM fulfillment.plan_shipments(p_organization_id, v_order_id, v_now, regexp_replace(v_actor, '^(customer|guest):.*', '\1'));
    END IF;
    IF (p ->> 'return_sold')::boolean OR jsonb_array_length(p -> 'refunds') > 0 THEN
        PERFORM checkout.restock(p_organization_id, v_order_id, v_now, (p ->> 'return_sold')::boolean, v_goods_notes, v_actor);
    END IF;

    INSERT INTO operations.outbox (organization_id, id, topic, aggregate_type, aggregate_id, sequence, payload, created_at)
    SELECT p_organization_id, b.id, b.topic, 'order', v_order_id, b.sequence, b.payload, v_now
      FROM jsonb_to_recordset(p -> 'outbox') AS b (id uuid, topic text, sequence integer, payload jsonb);
    INSERT INTO orders.order_operations (organization_id, id, order_id, payment_id, operation, subject_id, amount, reason, requested_by,
                                         next_attempt_at, created_at)
    SELECT p_organization_id, b.id, v_order_id, b.payment_id, b.operation, b.subject_id, b.amount, b.reason, v_actor, v_now, v_now
      FROM jsonb_to_recordset(p -> 'operations') AS b (id uuid, payment_id uuid, operation text, subject_id uuid, amount bigint, reason text)
     -- One that was given up is with a person, and is not begun again behind that person's back; unless there was nothing to
     -- return yet when it was: the money that was waited for then, or held, has been heard of since.
     WHERE NOT EXISTS (SELECT 1 FROM orders.order_operations x
                         JOIN payments.payments y ON y.organization_id = x.organization_id AND y.id = x.payment_id
                        WHERE x.organization_id = p_organization_id AND x.order_id = v_order_id AND x.operation = b.operation
                          AND x.payment_id = b.payment_id AND x.subject_id IS NOT DISTINCT FROM b.subject_id AND x.state = 'failed'
                          AND (b.operation <> 'return_money'
                               OR x.finished_at >= COALESCE(GREATEST(y.authorized_at, y.captured_at), '-infinity')))
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
