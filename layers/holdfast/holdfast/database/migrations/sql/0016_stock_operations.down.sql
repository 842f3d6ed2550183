DROP TABLE inventory.capacity_alerts, inventory.transfers;
