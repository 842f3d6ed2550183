DROP FUNCTION payments.claim_event(uuid, uuid, timestamptz, integer, boolean);
DROP FUNCTION payments.store_event(uuid, jsonb);
DROP FUNCTION checkout.settle(uuid, jsonb);
DROP FUNCTION checkout.lock_order(uuid, uuid);
DROP FUNCTION checkout.order_view(uuid, uuid);
