-- What keeps an order where it is, what brings a month back, and what is left of a ledger's month that goes.

-- Legal holds: who wants an order kept, and why. Nothing is deleted here: a hold is placed once and released once. An
-- order that is held is neither archived, purged, exported nor erased, and may be held for several reasons at a time.
CREATE TABLE archive.legal_holds (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    reason text NOT NULL,
    placed_by text NOT NULL,
    created_at timestamptz NOT NULL,
    released_at timestamptz,
    released_by text,
    release_reason text,
    CONSTRAINT legal_holds_pkey PRIMARY KEY (organization_id, id),
    -- Whoever erases the customer holds their row: a hold waits for that, and that for a hold.
    CONSTRAINT legal_holds_customer_fkey FOREIGN KEY (organization_id, customer_id) REFERENCES tenancy.customers (organization_id, id),
    CONSTRAINT legal_holds_released CHECK ((released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (release_reason IS NULL))
);
-- The same reason holds an order once. Named query: the holds on an order
CREATE UNIQUE INDEX legal_holds_once ON archive.legal_holds (organization_id, order_id, reason) WHERE released_at IS NULL;
-- named query: the holds on a customer's orders
CREATE INDEX legal_holds_of_customer ON archive.legal_holds (organization_id, customer_id);
-- named query: legal holds that stand, newest first
CREATE INDEX legal_holds_open ON archive.legal_holds (organization_id, id) WHERE released_at IS NULL;
CALL tenancy.isolate('archive.legal_holds');
GRANT SELECT, INSERT ON archive.legal_holds TO holdfast_app;
GRANT UPDATE (released_at, released_by, release_reason) ON archive.legal_holds TO holdfast_app;
GRANT SELECT ON archive.legal_holds TO holdfast_system;

-- The index says of an archived order whether it is held, so that whoever moves it needs no other table, and waits for
-- whoever places a hold.
CREATE FUNCTION archive.project_hold() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE archive.archive_index x
       SET legal_hold = EXISTS (SELECT 1 FROM archive.legal_holds h
                                 WHERE h.organization_id = NEW.organization_id AND h.order_id = NEW.order_id AND h.released_at IS NULL)
     WHERE x.organization_id = NEW.organization_id AND x.order_id = NEW.order_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER project_hold AFTER INSERT OR UPDATE ON archive.legal_holds FOR EACH ROW EXECUTE FUNCTION archive.project_hold();

-- An order that is held is not settled: archiving, purging and erasing ask this.
-- squawk-ignore renaming-object -- in this transaction another one takes its name
ALTER FUNCTION archive.unsettled(uuid, uuid[]) RENAME TO under_way;
CREATE FUNCTION archive.unsettled(p_organization_id uuid, p_order_ids uuid[]) RETURNS uuid[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN archive.under_way(p_organization_id, p_order_ids)
        || ARRAY(SELECT h.order_id FROM archive.legal_holds h WHERE h.organization_id = p_organization_id AND h.order_id = ANY (p_order_ids)
                    AND h.released_at IS NULL);
END
$$;
GRANT EXECUTE ON FUNCTION archive.unsettled(uuid, uuid[]) TO holdfast_app, holdfast_system;

-- Months that somebody wants back among the archived orders. A month is many files, and a file many row groups: a run
-- does what it has time for, and the place where it ended is committed with the orders up to there.
CREATE TABLE archive.month_restores (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    month date NOT NULL,
    state text NOT NULL DEFAULT 'running',
    orders integer NOT NULL DEFAULT 0, -- brought back; those that were there are not counted
    file_id uuid, -- the last file that was begun, and how many of its row groups are done
    row_groups integer NOT NULL DEFAULT 0,
    stays_until timestamptz NOT NULL, -- the month does not go to cold storage again before
    lease_until timestamptz,
    reason text NOT NULL,
    requested_by text NOT NULL,
    failure text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT month_restores_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT month_restores_state CHECK (state IN ('running', 'done', 'failed')),
    CONSTRAINT month_restores_month_begins CHECK (month = date_trunc('month', month::timestamp)::date),
    CONSTRAINT month_restores_counts_not_negative CHECK (orders >= 0 AND row_groups >= 0),
    CONSTRAINT month_restores_finished CHECK ((state = 'running') = (finished_at IS NULL) AND (state = 'failed') = (failure IS NOT NULL))
);
-- A month is brought back once at a time.
CREATE UNIQUE INDEX month_restores_one_running ON archive.month_restores (organization_id, month) WHERE state = 'running';
-- named query: how long a month stays that was brought back
CREATE INDEX month_restores_of_month ON archive.month_restores (organization_id, month, stays_until);
CREATE TRIGGER touch BEFORE UPDATE ON archive.month_restores FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('archive.month_restores');
GRANT SELECT, INSERT ON archive.month_restores TO holdfast_app;
GRANT SELECT ON archive.month_restores TO holdfast_system;
GRANT UPDATE (state, orders, file_id, row_groups, lease_until, failure, updated_at, finished_at) ON archive.month_restores TO holdfast_system;

-- A row group at a time instead of an order at a time.
-- squawk-ignore ban-drop-function -- no release has called it
DROP FUNCTION archive.refile(uuid, uuid, integer, text);
-- Puts documents from cold storage back among the archived ones, if every one of them is the one that was sealed.
-- Answers how many were not there.
CREATE FUNCTION archive.refile_orders(p_organization_id uuid, p_order_ids uuid[], p_versions integer[], p_documents json) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    sealed integer;
    written integer;
BEGIN
    SELECT count(*) INTO sealed
      FROM ROWS FROM (unnest(p_order_ids), unnest(p_versions), json_array_elements_text(p_documents)) AS g (order_id, version, document)
      JOIN archive.batch_leaves l ON l.organization_id = p_organization_id AND l.order_id = g.order_id AND l.version = g.version
       AND l.checksum = sha256(convert_to(g.document, 'UTF8'));
    IF sealed <> cardinality(p_order_ids) OR sealed <> json_array_length(p_documents) THEN
        RAISE EXCEPTION 'a document is not the one that was sealed' USING ERRCODE = 'HF003', CONSTRAINT = 'archive_checksum';
    END IF;
    INSERT INTO archive.archived_orders (organization_id, order_id, version, batch_id, order_number, customer_id, status, payment_status,
                                         fulfillment_status, ordered_at, currency, total, refunded, items, document)
    SELECT p_organization_id, g.order_id, g.version, l.batch_id, o.order_number, o.customer_id, o.status, o.payment_status,
           o.fulfillment_status, o.created_at, o.currency, o.total, o.refunded, COALESCE(jsonb_array_length(d.j -> 'items'), 0), g.document
      FROM ROWS FROM (unnest(p_order_ids), unnest(p_versions), json_array_elements_text(p_documents)) AS g (order_id, version, document)
      JOIN archive.batch_leaves l ON l.organization_id = p_organization_id AND l.order_id = g.order_id AND l.version = g.version
     CROSS JOIN LATERAL (SELECT g.document::jsonb AS j OFFSET 0) AS d
     CROSS JOIN LATERAL jsonb_populate_record(NULL::orders.orders, d.j -> 'order') AS o
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS written = ROW_COUNT;
    UPDATE archive.archive_index x SET location = 'archived', cold_path = NULL, cold_row_group = NULL
      FROM unnest(p_order_ids, p_versions) AS g (order_id, version)
     WHERE x.organization_id = p_organization_id AND x.order_id = g.order_id AND x.version = g.version AND x.location = 'cold_storage';
    RETURN written;
END
$$;
GRANT EXECUTE ON FUNCTION archive.refile_orders(uuid, uuid[], integer[], json) TO holdfast_system;
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        ALTER FUNCTION archive.refile_orders(uuid, uuid[], integer[], json) SET default_toast_compression = 'lz4';
    END IF;
END
$$;

-- Drops the oldest month of the ledger that is past its retention, whole. Every level that has something in it leaves an
-- opening balance in the month that is then the oldest: a movement that moves nothing and carries what the level was, so
-- that the ledger replays from there. Answers the month; NULL when there is none, or somebody uses it.
CREATE FUNCTION inventory.drop_month_of_movements(p_before date, p_now timestamptz) RETURNS date
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s'
AS $$
DECLARE
    oldest text;
    month date;
    following date;
BEGIN
    SELECT p.name, p.month, lead(p.month) OVER (ORDER BY p.month) INTO oldest, month, following
      FROM (SELECT c.oid::regclass::text AS name, to_date(right(c.relname, 7), 'YYYY_MM') AS month
              FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'inventory.stock_movements'::regclass AND c.relname ~ '_[0-9]{4}_[0-9]{2}$') AS p
     ORDER BY p.month LIMIT 1;
    IF month IS NULL OR month >= p_before OR following IS NULL THEN
        RETURN NULL;
    END IF;
    BEGIN
        -- Readers go on while the balances are taken; nobody writes into a month that is over.
        EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', oldest);
        EXECUTE format(
            'INSERT INTO inventory.stock_movements (organization_id, id, warehouse_id, variant_id, level_version, type, quantity, '
            'on_hand_before, on_hand_after, reserved_before, reserved_after, reference_type, reason, performed_by, created_at) '
            'SELECT s.organization_id, tenancy.uuid_v7($1), s.warehouse_id, s.variant_id, m.level_version, ''adjustment'', 0, '
            'm.on_hand_after, m.on_hand_after, m.reserved_after, m.reserved_after, ''opening_balance'', $2, ''system:housekeeping'', $3 '
            'FROM inventory.stock_levels s CROSS JOIN LATERAL (SELECT l.level_version, l.on_hand_after, l.reserved_after FROM %s l '
            'WHERE l.organization_id = s.organization_id AND l.warehouse_id = s.warehouse_id AND l.variant_id = s.variant_id '
            'ORDER BY l.level_version DESC LIMIT 1) AS m', oldest)
            USING following::timestamp AT TIME ZONE 'UTC', format('what the level was at the end of %s', to_char(month, 'YYYY-MM')), p_now;
        EXECUTE 'LOCK TABLE ONLY inventory.stock_movements IN ACCESS EXCLUSIVE MODE';
        EXECUTE format('DROP TABLE %s', oldest);
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        RETURN NULL;
    END;
    RETURN month;
END
$$;
GRANT EXECUTE ON FUNCTION inventory.drop_month_of_movements(date, timestamptz) TO holdfast_system;

-- As before, and beginning anew at an opening balance: what was before it has gone.
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
                       max(l.level_version) FILTER (WHERE l.reference_type = 'opening_balance')
                           OVER (PARTITION BY l.warehouse_id, l.variant_id) AS opening_version,
                       lag(l.level_version) OVER w AS version_then, lag(l.on_hand_after) OVER w AS on_hand_then,
                       lag(l.reserved_after) OVER w AS reserved_then
                  FROM inventory.stock_movements l
                 WHERE l.organization_id = p_organization_id
                   AND l.id >= COALESCE(tenancy.uuid_v7_floor(p_since), '00000000-0000-0000-0000-000000000000')
                WINDOW w AS (PARTITION BY l.warehouse_id, l.variant_id ORDER BY l.level_version)) AS c
         WHERE c.level_version > COALESCE(c.opening_version, 0)
           AND CASE WHEN c.version_then IS NOT NULL
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
