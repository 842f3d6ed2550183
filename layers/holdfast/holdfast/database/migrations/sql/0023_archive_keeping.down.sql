CREATE OR REPLACE FUNCTION inventory.ledger_differences(p_organization_id uuid, p_since timestamptz, p_limit integer)
RETURNS TABLE (warehouse_id uuid, variant_id uuid, on_hand integer, reserved integer, version bigint,
               ledger_on_hand integer, ledger_reserved integer, ledger_version bigint, broken_joins bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    WITH last AS (
        SELECT s.warehouse_id, s.variant_id, s.on_hand, s.reserved, s.version, m.on_hand_after, m.reserved_after, m.level_version
          FROM inventory.stock_levels s
          LEFT JOIN LATERAL (SELECT l.on_hand_after, l.reserved_after, l.level_version FROM inventory.stock_movements l
                              WHERE l.organization_id = p_organization_id AND l.warehouse_id = s.warehouse_id AND l.variant_id = s.variant_id
                              ORDER BY l.level_version DESC LIMIT 1) AS m ON true
         WHERE s.organization_id = p_organization_id
    ), joins AS (
        SELECT c.warehouse_id, c.variant_id, count(*) AS broken
          FROM (SELECT l.warehouse_id, l.variant_id, l.level_version, l.on_hand_before, l.reserved_before,
                       lag(l.level_version) OVER w AS version_then, lag(l.on_hand_after) OVER w AS on_hand_then,
                       lag(l.reserved_after) OVER w AS reserved_then
                  FROM inventory.stock_movements l
                 WHERE l.organization_id = p_organization_id
                   AND l.id >= COALESCE(tenancy.uuid_v7_floor(p_since), '00000000-0000-0000-0000-000000000000')
                WINDOW w AS (PARTITION BY l.warehouse_id, l.variant_id ORDER BY l.level_version)) AS c
         WHERE CASE WHEN c.version_then IS NOT NULL
                    THEN (c.level_version, c.on_hand_before, c.reserved_before) <> (c.version_then + 1, c.on_hand_then, c.reserved_then)
                    ELSE p_since IS NULL AND (c.level_version, c.on_hand_before, c.reserved_before) <> (1, 0, 0) END
         GROUP BY c.warehouse_id, c.variant_id
    )
    SELECT l.warehouse_id, l.variant_id, l.on_hand, l.reserved, l.version, COALESCE(l.on_hand_after, 0),
           COALESCE(l.reserved_after, 0), COALESCE(l.level_version, 0), COALESCE(j.broken, 0)
      FROM last l
      LEFT JOIN joins j ON j.warehouse_id = l.warehouse_id AND j.variant_id = l.variant_id
     WHERE (l.on_hand, l.reserved, l.version)
           <> (COALESCE(l.on_hand_after, 0), COALESCE(l.reserved_after, 0), COALESCE(l.level_version, 0))
        OR j.broken > 0
     ORDER BY 1, 2 LIMIT p_limit
$$;
DROP FUNCTION inventory.drop_month_of_movements(date, timestamptz);
DROP FUNCTION archive.refile_orders(uuid, uuid[], integer[], json);
CREATE FUNCTION archive.refile(p_organization_id uuid, p_order_id uuid, p_version integer, p_document text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    leaf archive.batch_leaves;
    j jsonb := p_document::jsonb;
    written boolean;
BEGIN
    SELECT * INTO leaf FROM archive.batch_leaves
     WHERE organization_id = p_organization_id AND order_id = p_order_id AND version = p_version;
    IF leaf.checksum IS DISTINCT FROM sha256(convert_to(p_document, 'UTF8')) THEN
        RAISE EXCEPTION 'the document is not the one that was sealed' USING ERRCODE = 'HF003', CONSTRAINT = 'archive_checksum';
    END IF;
    INSERT INTO archive.archived_orders (organization_id, order_id, version, batch_id, order_number, customer_id, status, payment_status,
                                         fulfillment_status, ordered_at, currency, total, refunded, items, document)
    SELECT p_organization_id, p_order_id, p_version, leaf.batch_id, o.order_number, o.customer_id, o.status, o.payment_status,
           o.fulfillment_status, o.created_at, o.currency, o.total, o.refunded, COALESCE(jsonb_array_length(j -> 'items'), 0), p_document
      FROM jsonb_populate_record(NULL::orders.orders, j -> 'order') AS o
    ON CONFLICT DO NOTHING;
    written := FOUND;
    UPDATE archive.archive_index SET location = 'archived', cold_path = NULL, cold_row_group = NULL
     WHERE organization_id = p_organization_id AND order_id = p_order_id AND version = p_version AND location = 'cold_storage';
    RETURN written;
END
$$;
GRANT EXECUTE ON FUNCTION archive.refile(uuid, uuid, integer, text) TO holdfast_system;
DROP TABLE archive.month_restores;
DROP FUNCTION archive.unsettled(uuid, uuid[]);
ALTER FUNCTION archive.under_way(uuid, uuid[]) RENAME TO unsettled;
DROP TABLE archive.legal_holds;
DROP FUNCTION archive.project_hold();
UPDATE archive.archive_index SET legal_hold = false WHERE legal_hold;
