DROP TABLE inventory.stock_imports, inventory.capacity_alerts, inventory.transfers;
