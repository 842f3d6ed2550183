-- Three statements of every order, in functions that keep their plans: PostgreSQL planned each anew every time, which took
-- longer than running it.

-- What became of an attempt to send a mail, unless somebody took the mail over meanwhile. Answers how many mails it is true
-- of: 1 or 0. p: {status, error, next_at, provider_id, recipient, language}.
CREATE FUNCTION notifications.record_attempt(p_organization_id uuid, p_message_id uuid, p_attempts integer, p jsonb, p_now timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    recorded integer;
BEGIN
    UPDATE notifications.messages
       SET status = p ->> 'status', last_error = p ->> 'error', next_attempt_at = (p ->> 'next_at')::timestamptz,
           provider_id = COALESCE(p ->> 'provider_id', provider_id),
           recipient = COALESCE(p ->> 'recipient', recipient),
           language = COALESCE(p ->> 'language', language),
           sent_at = CASE WHEN p ->> 'status' = 'sent' THEN p_now ELSE sent_at END
     WHERE organization_id = p_organization_id AND id = p_message_id AND status = 'sending' AND attempts = p_attempts;
    GET DIAGNOSTICS recorded = ROW_COUNT;
    RETURN recorded;
END
$$;
GRANT EXECUTE ON FUNCTION notifications.record_attempt(uuid, uuid, integer, jsonb, timestamptz) TO holdfast_system;

-- The facts of a payment that has some, of an order that is here and that nobody works on at the moment. The order's row is
-- shared until the transaction ends, so that no archive is made of the order meanwhile; nobody is waited for.
CREATE FUNCTION payments.facts_at_rest(p_organization_id uuid, p_payment_id uuid, p_gateway_account_id uuid)
RETURNS TABLE (facts jsonb, amount bigint, currency text, gateway_transaction_id text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT p.facts, p.amount, p.currency::text, p.gateway_transaction_id
      FROM payments.payments p
      JOIN orders.orders o ON o.organization_id = p.organization_id AND o.id = p.order_id
     WHERE p.organization_id = p_organization_id AND p.id = p_payment_id AND p.gateway_account_id = p_gateway_account_id
       AND p.facts <> '{}' AND o.deleted_at IS NULL
       FOR SHARE OF o SKIP LOCKED;
END
$$;
GRANT EXECUTE ON FUNCTION payments.facts_at_rest(uuid, uuid, uuid) TO holdfast_app, holdfast_system;

-- Stores the answer to a claimed request. Answers how many claims it belongs to: 1 or 0.
CREATE FUNCTION orders.store_answer(p_organization_id uuid, p_caller text, p_operation text, p_key text, p_status integer, p_body text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    stored integer;
BEGIN
    UPDATE orders.idempotency_keys SET state = 'done', response_status = p_status, response_body = p_body
     WHERE organization_id = p_organization_id AND caller = p_caller AND operation = p_operation AND key = p_key;
    GET DIAGNOSTICS stored = ROW_COUNT;
    RETURN stored;
END
$$;
GRANT EXECUTE ON FUNCTION orders.store_answer(uuid, text, text, text, integer, text) TO holdfast_app;
