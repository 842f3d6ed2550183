DELETE FROM operations.partitioned_tables WHERE table_name = 'orders.order_status_history'::regclass;
DROP FUNCTION orders.walk_status(uuid, uuid, text, integer, text[], text, text, timestamptz);
DROP FUNCTION orders.claim_key(uuid, jsonb, uuid, timestamptz);
DROP TABLE orders.idempotency_keys, orders.order_status_history, orders.status_transitions,
    inventory.reservations, orders.order_allocations, orders.order_items, orders.orders;
DROP FUNCTION orders.project_status();
