DROP FUNCTION payments.claim_event(uuid, uuid, timestamptz, integer, boolean);
DROP FUNCTION payments.store_event(uuid, jsonb);
DROP FUNCTION checkout.settle(uuid, jsonb);
DROP FUNCTION checkout.restock(uuid, uuid, timestamptz, boolean, text, text);
DROP FUNCTION checkout.count_refunds(uuid, uuid);
DROP FUNCTION payments.refunding(uuid, uuid);
DROP FUNCTION checkout.keep_payment_method(uuid, uuid, uuid, jsonb, timestamptz);
DROP FUNCTION checkout.lock_order(uuid, uuid);
DROP FUNCTION checkout.order_view(uuid, uuid);
