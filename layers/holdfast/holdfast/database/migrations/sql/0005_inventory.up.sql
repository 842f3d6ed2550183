-- What is where: warehouses, their load and capacity, stock levels, and every movement.

CREATE TABLE inventory.warehouses (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    address jsonb NOT NULL,
    latitude double precision NOT NULL,
    longitude double precision NOT NULL,
    status text NOT NULL DEFAULT 'active',
    priority integer NOT NULL DEFAULT 100,
    base_daily_capacity integer, -- NULL: unlimited
    shipping_cost_base bigint NOT NULL,
    timezone text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT warehouses_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT warehouses_organization_fkey FOREIGN KEY (organization_id) REFERENCES tenancy.organizations (id),
    CONSTRAINT warehouses_code_unique UNIQUE (organization_id, code),
    CONSTRAINT warehouses_status CHECK (status IN ('active', 'inactive', 'maintenance')),
    CONSTRAINT warehouses_latitude_on_globe CHECK (latitude BETWEEN -90 AND 90),
    CONSTRAINT warehouses_longitude_on_globe CHECK (longitude BETWEEN -180 AND 180),
    CONSTRAINT warehouses_base_daily_capacity_not_negative CHECK (base_daily_capacity >= 0),
    CONSTRAINT warehouses_shipping_cost_base_not_negative CHECK (shipping_cost_base >= 0)
);
CREATE TRIGGER touch BEFORE UPDATE ON inventory.warehouses FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON inventory.warehouses FOR EACH ROW EXECUTE FUNCTION operations.audit('organization_id', 'id');
CALL tenancy.isolate('inventory.warehouses');
GRANT SELECT, INSERT, UPDATE ON inventory.warehouses TO holdfast_app;
GRANT SELECT ON inventory.warehouses TO holdfast_system;

-- Orders booked per warehouse and its local date. Every checkout appends a row and none updates one, so no row is
-- hot; a reader sums. One checkout in 64 folds the rows of its warehouses and dates into one, and a system job the rest,
-- so the sum stays short. Giving back appends a negative row.
CREATE TABLE inventory.warehouse_daily_load (
    organization_id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    load_date date NOT NULL,
    id uuid NOT NULL,
    orders integer NOT NULL,
    CONSTRAINT warehouse_daily_load_pkey PRIMARY KEY (organization_id, warehouse_id, load_date, id) INCLUDE (orders),
    CONSTRAINT warehouse_daily_load_warehouse_fkey FOREIGN KEY (organization_id, warehouse_id) REFERENCES inventory.warehouses (organization_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CALL tenancy.isolate('inventory.warehouse_daily_load');
GRANT SELECT, INSERT, DELETE ON inventory.warehouse_daily_load TO holdfast_app, holdfast_system;
GRANT UPDATE (orders) ON inventory.warehouse_daily_load TO holdfast_app, holdfast_system; -- FOR UPDATE asks for it
-- Dates whose appended rows want rolling up are looked for over all tenants.
CALL tenancy.open_to_system('inventory.warehouse_daily_load', 'select');

CREATE TABLE inventory.capacity_overrides (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    capacity_multiplier numeric(6, 3),
    hard_capacity_limit integer,
    reason text NOT NULL,
    created_by text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT capacity_overrides_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT capacity_overrides_warehouse_fkey FOREIGN KEY (organization_id, warehouse_id) REFERENCES inventory.warehouses (organization_id, id),
    CONSTRAINT capacity_overrides_range_ordered CHECK (starts_on <= ends_on),
    CONSTRAINT capacity_overrides_multiplier_positive CHECK (capacity_multiplier > 0),
    CONSTRAINT capacity_overrides_hard_limit_positive CHECK (hard_capacity_limit > 0),
    CONSTRAINT capacity_overrides_do_not_overlap EXCLUDE USING gist
        (organization_id WITH =, warehouse_id WITH =, daterange(starts_on, ends_on, '[]') WITH &&)
);
-- named query: overrides covering a date. Range operators are not leakproof, so the constraint's index cannot serve it
-- under row-level security; and as overrides do not overlap, the first that has not ended is the only candidate.
CREATE INDEX capacity_overrides_by_end ON inventory.capacity_overrides (organization_id, warehouse_id, ends_on);
CREATE TRIGGER touch BEFORE UPDATE ON inventory.capacity_overrides FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON inventory.capacity_overrides FOR EACH ROW EXECUTE FUNCTION operations.audit('organization_id', 'id');
CALL tenancy.isolate('inventory.capacity_overrides');
GRANT SELECT, INSERT, UPDATE, DELETE ON inventory.capacity_overrides TO holdfast_app;
GRANT SELECT, DELETE ON inventory.capacity_overrides TO holdfast_system;
CALL tenancy.open_to_system('inventory.capacity_overrides', 'select', 'delete');

-- fillfactor leaves room for heap-only updates: the hot row of a flash sale is rewritten thousands of times.
CREATE TABLE inventory.stock_levels (
    organization_id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    variant_id uuid NOT NULL,
    on_hand integer NOT NULL DEFAULT 0,
    reserved integer NOT NULL DEFAULT 0,
    incoming integer NOT NULL DEFAULT 0,
    safety_stock integer NOT NULL DEFAULT 0,
    last_restock_at timestamptz,
    version bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    CONSTRAINT stock_levels_pkey PRIMARY KEY (organization_id, warehouse_id, variant_id),
    CONSTRAINT stock_levels_warehouse_fkey FOREIGN KEY (organization_id, warehouse_id) REFERENCES inventory.warehouses (organization_id, id),
    CONSTRAINT stock_levels_variant_fkey FOREIGN KEY (organization_id, variant_id) REFERENCES catalog.variants (organization_id, id),
    CONSTRAINT stock_levels_on_hand_not_negative CHECK (on_hand >= 0),
    CONSTRAINT stock_levels_reserved_not_negative CHECK (reserved >= 0),
    CONSTRAINT stock_levels_reserved_within_on_hand CHECK (reserved <= on_hand),
    CONSTRAINT stock_levels_incoming_not_negative CHECK (incoming >= 0),
    CONSTRAINT stock_levels_safety_stock_not_negative CHECK (safety_stock >= 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
-- named query: stock of a variant over warehouses. (Low stock of a warehouse is read along the primary key: an index on
-- quantities would make every sale rewrite it.)
CREATE INDEX stock_levels_of_variant ON inventory.stock_levels (organization_id, variant_id);
CALL tenancy.isolate('inventory.stock_levels');
GRANT SELECT, INSERT ON inventory.stock_levels TO holdfast_app;
GRANT SELECT ON inventory.stock_levels TO holdfast_system;
GRANT UPDATE (on_hand, reserved, incoming, safety_stock, last_restock_at, version) ON inventory.stock_levels TO holdfast_app, holdfast_system;

-- Append-only ledger: level_version orders the movements of a level without gaps; replaying them gives its row.
CREATE TABLE inventory.stock_movements (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    variant_id uuid NOT NULL,
    level_version bigint NOT NULL,
    type text NOT NULL,
    quantity integer NOT NULL, -- signed: its effect on reserved for reserve and release, on on_hand for the rest
    on_hand_before integer NOT NULL,
    on_hand_after integer NOT NULL,
    reserved_before integer NOT NULL,
    reserved_after integer NOT NULL,
    reference_type text NOT NULL,
    reference_id uuid,
    reason text,
    performed_by text NOT NULL,
    created_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_movements_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT stock_movements_adds_up CHECK (
        CASE
            WHEN type IN ('reserve', 'release') THEN
                on_hand_after = on_hand_before AND reserved_after = reserved_before + quantity AND (quantity > 0) = (type = 'reserve')
            WHEN type = 'sale' THEN
                quantity < 0 AND on_hand_after = on_hand_before + quantity AND reserved_after = reserved_before + quantity
            WHEN type IN ('receive', 'return', 'transfer_in') THEN
                quantity > 0 AND on_hand_after = on_hand_before + quantity AND reserved_after = reserved_before
            WHEN type IN ('damage', 'transfer_out') THEN
                quantity < 0 AND on_hand_after = on_hand_before + quantity AND reserved_after = reserved_before
            WHEN type = 'adjustment' THEN
                on_hand_after = on_hand_before + quantity AND reserved_after = reserved_before
            ELSE false
        END)
) PARTITION BY RANGE (id);
CREATE TABLE inventory.stock_movements_default PARTITION OF inventory.stock_movements DEFAULT;
-- named query: movements of a level, in order
CREATE INDEX stock_movements_of_level ON inventory.stock_movements (organization_id, warehouse_id, variant_id, level_version);
-- named query: movements that an order caused
CREATE INDEX stock_movements_of_reference ON inventory.stock_movements (organization_id, reference_id) WHERE reference_id IS NOT NULL;
INSERT INTO operations.partitioned_tables VALUES ('inventory.stock_movements', 'id');
CALL tenancy.isolate('inventory.stock_movements');
CALL tenancy.isolate('inventory.stock_movements_default');
GRANT SELECT, INSERT ON inventory.stock_movements TO holdfast_app, holdfast_system;

-- The one place where stock changes, and the one place that locks it: levels in order of (warehouse, variant),
-- so that checkouts, workers, expiry, transfers and shipments cannot deadlock on them.
-- Raises HF001 (stock_levels_reserved_within_on_hand) when a level cannot bear the movement: nothing is moved then.
-- The generic plan is forced, for the arrays would make the planner begin anew each time, under the row's lock.
CREATE FUNCTION inventory.move_stock(
    p_organization_id uuid, p_now timestamptz, p_type text,
    p_warehouse_ids uuid[], p_variant_ids uuid[], p_quantities integer[],
    p_reference_type text, p_reference_id uuid, p_reason text, p_performed_by text
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    on_hand_sign integer := CASE
        WHEN p_type IN ('receive', 'return', 'transfer_in', 'adjustment') THEN 1
        WHEN p_type IN ('sale', 'damage', 'transfer_out') THEN -1
        ELSE 0 END;
    reserved_sign integer := CASE WHEN p_type = 'reserve' THEN 1 WHEN p_type IN ('release', 'sale') THEN -1 ELSE 0 END;
    wanted_levels integer;
    moved_levels integer;
BEGIN
    IF cardinality(p_variant_ids) > 1 THEN
        -- UPDATE ... FROM promises no order, an ordered SELECT ... FOR UPDATE does. One level needs no order.
        PERFORM 1
           FROM inventory.stock_levels s
           JOIN (SELECT DISTINCT * FROM unnest(p_warehouse_ids, p_variant_ids) AS u (warehouse_id, variant_id)) w
             ON s.warehouse_id = w.warehouse_id AND s.variant_id = w.variant_id
          WHERE s.organization_id = p_organization_id
          ORDER BY s.warehouse_id, s.variant_id
            FOR NO KEY UPDATE OF s;
    END IF;
    WITH wanted AS (
        SELECT u.warehouse_id, u.variant_id, sum(u.quantity)::integer AS quantity
          FROM unnest(p_warehouse_ids, p_variant_ids, p_quantities) AS u (warehouse_id, variant_id, quantity)
         GROUP BY u.warehouse_id, u.variant_id
    ), moved AS (
        UPDATE inventory.stock_levels s
           SET on_hand = s.on_hand + on_hand_sign * w.quantity,
               reserved = s.reserved + reserved_sign * w.quantity,
               last_restock_at = CASE WHEN p_type IN ('receive', 'transfer_in') THEN p_now ELSE s.last_restock_at END,
               version = s.version + 1
          FROM wanted w
         WHERE s.organization_id = p_organization_id
           AND s.warehouse_id = w.warehouse_id
           AND s.variant_id = w.variant_id
           AND s.reserved + reserved_sign * w.quantity BETWEEN 0 AND s.on_hand + on_hand_sign * w.quantity
        RETURNING s.warehouse_id, s.variant_id, s.version, s.on_hand, s.reserved, w.quantity
    ), written AS (
        INSERT INTO inventory.stock_movements
            (organization_id, id, warehouse_id, variant_id, level_version, type, quantity,
             on_hand_before, on_hand_after, reserved_before, reserved_after,
             reference_type, reference_id, reason, performed_by, created_at)
        SELECT p_organization_id, tenancy.uuid_v7(p_now), m.warehouse_id, m.variant_id, m.version, p_type,
               CASE WHEN on_hand_sign = 0 THEN reserved_sign ELSE on_hand_sign END * m.quantity,
               m.on_hand - on_hand_sign * m.quantity, m.on_hand,
               m.reserved - reserved_sign * m.quantity, m.reserved,
               p_reference_type, p_reference_id, p_reason, p_performed_by, p_now
          FROM moved m
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM wanted), (SELECT count(*) FROM written) INTO wanted_levels, moved_levels;
    IF moved_levels <> wanted_levels THEN
        RAISE EXCEPTION 'stock does not bear the movement %: % of % levels', p_type, moved_levels, wanted_levels
            USING ERRCODE = 'HF001', CONSTRAINT = 'stock_levels_reserved_within_on_hand';
    END IF;
END
$$;

-- Ends an order's live holds. 'completed' sells the goods; 'expired', 'cancelled' and 'reallocated' give them back,
-- and with them the day's load. Answers how many holds it ended.
CREATE FUNCTION inventory.resolve_reservations(
    p_organization_id uuid, p_order_id uuid, p_now timestamptz, p_status text, p_reason text, p_performed_by text
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    ended integer;
    warehouses uuid[];
    variants uuid[];
    quantities integer[];
BEGIN
    WITH live AS (
        SELECT id FROM inventory.reservations
         WHERE organization_id = p_organization_id AND order_id = p_order_id AND status = 'active'
         ORDER BY id FOR NO KEY UPDATE
    ), resolved AS (
        UPDATE inventory.reservations r
           SET status = p_status, reason = p_reason,
               completed_at = CASE WHEN p_status = 'completed' THEN p_now END,
               released_at = CASE WHEN p_status <> 'completed' THEN p_now END
          FROM live
         WHERE r.organization_id = p_organization_id AND r.id = live.id
        RETURNING r.warehouse_id, r.variant_id, r.quantity, r.load_date
    ), load_given_back AS (
        INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)
        SELECT p_organization_id, warehouse_id, load_date, tenancy.uuid_v7(p_now), -1
          FROM resolved WHERE load_date IS NOT NULL AND p_status <> 'completed'
    )
    SELECT count(*), array_agg(warehouse_id), array_agg(variant_id), array_agg(quantity)
      INTO ended, warehouses, variants, quantities
      FROM resolved;
    IF ended > 0 THEN
        PERFORM inventory.move_stock(
            p_organization_id, p_now, CASE WHEN p_status = 'completed' THEN 'sale' ELSE 'release' END,
            warehouses, variants, quantities, 'order', p_order_id, p_reason, p_performed_by);
    END IF;
    RETURN ended;
END
$$;

-- Folds the appended load rows of some warehouses and dates into one row each. Rows that another transaction is
-- folding are left to it. Answers how many rows it wrote.
CREATE FUNCTION inventory.fold_daily_load(
    p_organization_id uuid, p_warehouse_ids uuid[], p_load_dates date[], p_now timestamptz
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    folds integer;
BEGIN
    WITH taken AS (
        SELECT l.warehouse_id, l.load_date, l.id
          FROM (SELECT DISTINCT * FROM unnest(p_warehouse_ids, p_load_dates) AS u (warehouse_id, load_date)) d
          JOIN inventory.warehouse_daily_load l
            ON l.organization_id = p_organization_id AND l.warehouse_id = d.warehouse_id AND l.load_date = d.load_date
           FOR UPDATE OF l SKIP LOCKED
    ), folded AS (
        DELETE FROM inventory.warehouse_daily_load l USING taken t
         WHERE l.organization_id = p_organization_id AND l.warehouse_id = t.warehouse_id
           AND l.load_date = t.load_date AND l.id = t.id
        RETURNING l.warehouse_id, l.load_date, l.orders
    ), written AS (
        INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)
        SELECT p_organization_id, warehouse_id, load_date, tenancy.uuid_v7(p_now), sum(orders)
          FROM folded GROUP BY warehouse_id, load_date
        RETURNING 1
    )
    SELECT count(*) INTO folds FROM written;
    RETURN folds;
END
$$;

-- Folds whatever the current tenant has more than one row of.
CREATE FUNCTION inventory.roll_up_daily_load(p_organization_id uuid, p_now timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    warehouses uuid[];
    dates date[];
BEGIN
    SELECT array_agg(warehouse_id), array_agg(load_date) INTO warehouses, dates
      FROM (SELECT warehouse_id, load_date FROM inventory.warehouse_daily_load
             WHERE organization_id = p_organization_id
             GROUP BY warehouse_id, load_date HAVING count(*) > 1) AS crowded;
    RETURN inventory.fold_daily_load(p_organization_id, warehouses, dates, p_now);
END
$$;

GRANT EXECUTE ON FUNCTION
    inventory.move_stock(uuid, timestamptz, text, uuid[], uuid[], integer[], text, uuid, text, text),
    inventory.resolve_reservations(uuid, uuid, timestamptz, text, text, text),
    inventory.fold_daily_load(uuid, uuid[], date[], timestamptz)
    TO holdfast_app, holdfast_system;
GRANT EXECUTE ON FUNCTION inventory.roll_up_daily_load(uuid, timestamptz) TO holdfast_system;
