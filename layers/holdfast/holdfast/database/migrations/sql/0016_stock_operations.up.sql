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
