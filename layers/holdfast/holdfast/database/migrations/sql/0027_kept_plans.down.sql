DROP FUNCTION orders.store_answer(uuid, text, text, text, integer, text);
DROP FUNCTION payments.facts_at_rest(uuid, uuid, uuid);
DROP FUNCTION notifications.record_attempt(uuid, uuid, integer, jsonb, timestamptz);
