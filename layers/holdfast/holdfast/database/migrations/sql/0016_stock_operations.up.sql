-- What the operations team does with stock and capacity: goods under way between warehouses, alerts of full ones, and
-- files of stock.

-- Goods on their way from one warehouse to another. A pending transfer moves nothing; shipping takes the goods out of
-- the source and adds them to what is incoming at the destination; each arrival takes them from there. What is
-- neither received, written off nor returned is in transit.
CREATE TABLE inventory.transfers (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    variant_id uuid NOT NULL,
    from_warehouse_id uuid NOT NULL,
    to_warehouse_id uuid NOT NULL,
    quantity integer NOT NULL,
    received_quantity integer NOT NULL DEFAULT 0,
    written_off_quantity integer NOT NULL DEFAULT 0,
    returned_quantity integer NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'pending',
    reason text NOT NULL,
    write_off_reason text,
    cancel_reason text,
    requested_by text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    shipped_at timestamptz,
    received_at timestamptz,
    cancelled_at timestamptz,
    updated_at timestamptz,
    CONSTRAINT transfers_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT transfers_from_level_fkey FOREIGN KEY (organization_id, from_warehouse_id, variant_id)
        REFERENCES inventory.stock_levels (organization_id, warehouse_id, variant_id),
    CONSTRAINT transfers_to_level_fkey FOREIGN KEY (organization_id, to_warehouse_id, variant_id)
        REFERENCES inventory.stock_levels (organization_id, warehouse_id, variant_id),
    CONSTRAINT transfers_status CHECK (status IN ('pending', 'in_transit', 'completed', 'cancelled')),
    CONSTRAINT transfers_quantity_positive CHECK (quantity > 0),
    CONSTRAINT transfers_between_two_warehouses CHECK (from_warehouse_id <> to_warehouse_id),
    CONSTRAINT transfers_counts_not_negative CHECK (received_quantity >= 0 AND written_off_quantity >= 0 AND returned_quantity >= 0),
    CONSTRAINT transfers_write_off_says_why CHECK (written_off_quantity = 0 OR write_off_reason IS NOT NULL),
    CONSTRAINT transfers_status_adds_up CHECK (
        CASE status
            WHEN 'pending' THEN shipped_at IS NULL AND received_quantity + written_off_quantity + returned_quantity = 0
            WHEN 'in_transit' THEN shipped_at IS NOT NULL AND received_quantity + written_off_quantity + returned_quantity < quantity
            WHEN 'completed' THEN shipped_at IS NOT NULL AND received_quantity + written_off_quantity = quantity AND returned_quantity = 0
            WHEN 'cancelled' THEN cancelled_at IS NOT NULL AND received_quantity + written_off_quantity + returned_quantity
                                  = CASE WHEN shipped_at IS NULL THEN 0 ELSE quantity END
            ELSE false
        END)
);
-- named query: transfers by status, newest first
CREATE INDEX transfers_by_status ON inventory.transfers (organization_id, status, id);
-- named query: transfers in transit to a warehouse
CREATE INDEX transfers_in_transit_to ON inventory.transfers (organization_id, to_warehouse_id, id) WHERE status = 'in_transit';
CREATE TRIGGER touch BEFORE UPDATE ON inventory.transfers FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON inventory.transfers FOR EACH ROW EXECUTE FUNCTION operations.audit('organization_id', 'id');
CALL tenancy.isolate('inventory.transfers');
GRANT SELECT, INSERT ON inventory.transfers TO holdfast_app;
GRANT UPDATE (received_quantity, written_off_quantity, returned_quantity, status, write_off_reason, cancel_reason, version,
              shipped_at, received_at, cancelled_at) ON inventory.transfers TO holdfast_app;

-- A warehouse reached 80, 95 or 100 % of what it takes in a day. An alert is open until the load falls below its level;
-- one that comes back within the hour is the same alert, and nobody is told of a level twice in an hour.
CREATE TABLE inventory.capacity_alerts (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    type text NOT NULL,
    load_date date NOT NULL,
    orders integer NOT NULL,
    effective_capacity integer NOT NULL,
    utilization double precision NOT NULL,
    raised_at timestamptz NOT NULL,
    notified_at timestamptz NOT NULL,
    resolved_at timestamptz,
    CONSTRAINT capacity_alerts_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT capacity_alerts_warehouse_fkey FOREIGN KEY (organization_id, warehouse_id) REFERENCES inventory.warehouses (organization_id, id),
    CONSTRAINT capacity_alerts_type CHECK (type IN ('warning', 'critical', 'overflow'))
);
-- One open alert per level. Named query: unresolved alerts
CREATE UNIQUE INDEX capacity_alerts_open_once ON inventory.capacity_alerts (organization_id, warehouse_id, type) WHERE resolved_at IS NULL;
-- named query: last alerts of a warehouse
CREATE INDEX capacity_alerts_of_warehouse ON inventory.capacity_alerts (organization_id, warehouse_id, type, notified_at);
CALL tenancy.isolate('inventory.capacity_alerts');
GRANT SELECT ON inventory.capacity_alerts TO holdfast_app;
GRANT SELECT, INSERT ON inventory.capacity_alerts TO holdfast_system;
GRANT UPDATE (load_date, orders, effective_capacity, utilization, notified_at, resolved_at) ON inventory.capacity_alerts TO holdfast_system;

-- A file of stock that came in. What is applied is recorded with each batch, so that the same file again goes on where
-- it stopped; a refused one may come again, when what was wrong with it is mended.
CREATE TABLE inventory.stock_imports (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    digest text NOT NULL,
    mode text NOT NULL,
    status text NOT NULL,
    rows integer NOT NULL,
    applied_rows integer NOT NULL DEFAULT 0,
    changed_levels integer NOT NULL DEFAULT 0,
    bad_rows integer NOT NULL DEFAULT 0,
    errors jsonb NOT NULL DEFAULT '[]',
    reason text NOT NULL,
    imported_by text NOT NULL,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT stock_imports_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT stock_imports_organization_fkey FOREIGN KEY (organization_id) REFERENCES tenancy.organizations (id),
    CONSTRAINT stock_imports_mode CHECK (mode IN ('levels', 'receipts', 'adjustments')),
    CONSTRAINT stock_imports_status CHECK (status IN ('running', 'applied', 'refused')),
    CONSTRAINT stock_imports_digest_is_sha_256 CHECK (digest ~ '^[0-9a-f]{64}$'),
    CONSTRAINT stock_imports_status_adds_up CHECK (
        CASE status
            WHEN 'running' THEN applied_rows < rows AND bad_rows = 0 AND finished_at IS NULL
            WHEN 'applied' THEN applied_rows = rows AND bad_rows = 0 AND finished_at IS NOT NULL
            WHEN 'refused' THEN applied_rows = 0 AND bad_rows > 0 AND finished_at IS NOT NULL
            ELSE false
        END)
);
-- A file is applied once.
CREATE UNIQUE INDEX stock_imports_once ON inventory.stock_imports (organization_id, digest, mode) WHERE status <> 'refused';
CALL tenancy.isolate('inventory.stock_imports');
GRANT SELECT, INSERT ON inventory.stock_imports TO holdfast_app;
GRANT UPDATE (status, applied_rows, changed_levels, finished_at) ON inventory.stock_imports TO holdfast_app;

-- Replays the ledger of the current tenant's levels: those whose row is not what their movements add up to, or whose
-- movements do not join. p_since bounds the movements that are looked at one by one; each level's last is always held
-- against its row, so that with every movement looked at in some run the whole ledger is.
CREATE FUNCTION inventory.ledger_differences(p_organization_id uuid, p_since timestamptz, p_limit integer)
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
GRANT EXECUTE ON FUNCTION inventory.ledger_differences(uuid, timestamptz, integer) TO holdfast_system;

-- Brings the ledger of one level to what its row says, by a recorded movement: an adjustment of what is on hand, and a
-- reserve or a release of what is held. Answers the number of movements it wrote.
CREATE FUNCTION inventory.compensate_level(
    p_organization_id uuid, p_now timestamptz, p_warehouse_id uuid, p_variant_id uuid, p_reference_id uuid, p_performed_by text
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here record;
    said record;
    written integer := 0;
    latest bigint;
BEGIN
    SELECT s.on_hand, s.reserved, s.version INTO here FROM inventory.stock_levels s
     WHERE s.organization_id = p_organization_id AND s.warehouse_id = p_warehouse_id AND s.variant_id = p_variant_id
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT COALESCE(max(m.on_hand_after), 0) AS on_hand, COALESCE(max(m.reserved_after), 0) AS reserved,
           COALESCE(max(m.level_version), 0) AS version INTO said
      FROM (SELECT l.on_hand_after, l.reserved_after, l.level_version FROM inventory.stock_movements l
             WHERE l.organization_id = p_organization_id AND l.warehouse_id = p_warehouse_id AND l.variant_id = p_variant_id
             ORDER BY l.level_version DESC LIMIT 1) AS m;
    latest := said.version;
    IF here.on_hand <> said.on_hand OR (here.reserved = said.reserved AND here.version <> said.version) THEN
        written := written + 1;
        INSERT INTO inventory.stock_movements (organization_id, id, warehouse_id, variant_id, level_version, type, quantity, on_hand_before,
            on_hand_after, reserved_before, reserved_after, reference_type, reference_id, reason, performed_by, created_at)
        VALUES (p_organization_id, tenancy.uuid_v7(p_now), p_warehouse_id, p_variant_id, latest + written, 'adjustment',
            here.on_hand - said.on_hand, said.on_hand, here.on_hand, said.reserved, said.reserved, 'compensation',
            p_reference_id, 'ledger compensation', p_performed_by, p_now);
    END IF;
    IF here.reserved <> said.reserved THEN
        written := written + 1;
        INSERT INTO inventory.stock_movements (organization_id, id, warehouse_id, variant_id, level_version, type, quantity, on_hand_before,
            on_hand_after, reserved_before, reserved_after, reference_type, reference_id, reason, performed_by, created_at)
        VALUES (p_organization_id, tenancy.uuid_v7(p_now), p_warehouse_id, p_variant_id, latest + written,
            CASE WHEN here.reserved > said.reserved THEN 'reserve' ELSE 'release' END, here.reserved - said.reserved, here.on_hand,
            here.on_hand, said.reserved, here.reserved, 'compensation', p_reference_id, 'ledger compensation', p_performed_by, p_now);
    END IF;
    UPDATE inventory.stock_levels SET version = latest + written
     WHERE organization_id = p_organization_id AND warehouse_id = p_warehouse_id AND variant_id = p_variant_id
       AND version <> latest + written;
    RETURN written;
END
$$;
GRANT EXECUTE ON FUNCTION inventory.compensate_level(uuid, timestamptz, uuid, uuid, uuid, text) TO holdfast_app;
