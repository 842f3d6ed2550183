DROP FUNCTION inventory.compensate_level(uuid, timestamptz, uuid, uuid, uuid, text);
DROP FUNCTION inventory.ledger_differences(uuid, timestamptz, integer);
DROP TABLE inventory.stock_imports, inventory.capacity_alerts, inventory.transfers;
