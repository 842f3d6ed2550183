DROP FUNCTION checkout.cancel_abandoned_orders(uuid, timestamptz, timestamptz, integer, text);
DROP FUNCTION checkout.is_abandoned(uuid, uuid);
DROP FUNCTION checkout.release_due_holds(uuid, timestamptz, integer, integer, text);
DROP FUNCTION checkout.place(uuid, jsonb);
DROP FUNCTION checkout.hold(uuid, jsonb);
DROP FUNCTION checkout.facts(uuid, timestamptz, text[], uuid[], text, text, text, text, text, text, text, text, uuid, boolean);
