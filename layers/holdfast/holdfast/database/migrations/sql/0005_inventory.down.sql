DELETE FROM operations.partitioned_tables WHERE table_name = 'inventory.stock_movements'::regclass;
DROP FUNCTION inventory.roll_up_daily_load(uuid, timestamptz);
DROP FUNCTION inventory.fold_daily_load(uuid, uuid[], date[], timestamptz);
DROP FUNCTION inventory.resolve_reservations(uuid, uuid, timestamptz, text, text, text);
DROP FUNCTION inventory.move_stock(uuid, timestamptz, text, uuid[], uuid[], integer[], text, uuid, text, text);
DROP TABLE inventory.stock_movements, inventory.stock_levels, inventory.capacity_overrides,
    inventory.warehouse_daily_load, inventory.warehouses;
