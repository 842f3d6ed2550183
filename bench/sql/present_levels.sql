-- MISSING stock levels, three to a variant that nobody buys; for the curve of time per order.
SET session_replication_role = replica;
CREATE TEMPORARY TABLE present AS
SELECT uuidv7() AS product_id, uuidv7() AS id, n FROM generate_series(1, (MISSING + 2) / 3) AS n;
INSERT INTO catalog.products (organization_id, id, name, slug, status, created_at)
SELECT 'ORGANIZATION', product_id, 'Unsold', 'unsold-' || product_id, 'active', now() FROM present;
INSERT INTO catalog.variants (organization_id, id, product_id, sku, price, currency, created_at)
SELECT 'ORGANIZATION', id, product_id, 'UNSOLD-' || id, 900, 'USD', now() FROM present;
INSERT INTO inventory.stock_levels (organization_id, warehouse_id, variant_id, on_hand, created_at)
SELECT 'ORGANIZATION', w.id, p.id, 10, now() FROM present p CROSS JOIN inventory.warehouses w;
SET session_replication_role = origin;
DROP TABLE present;
