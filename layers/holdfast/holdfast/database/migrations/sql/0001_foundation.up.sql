-- The ground every table stands on: schemas, the tenant setting, the business clock, time-ordered ids, monthly partitions.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE SCHEMA tenancy;
CREATE SCHEMA operations;
CREATE SCHEMA catalog;
CREATE SCHEMA inventory;
CREATE SCHEMA orders;
CREATE SCHEMA payments;
CREATE SCHEMA checkout;

GRANT USAGE ON SCHEMA tenancy, operations, catalog, inventory, orders, payments, checkout TO holdfast_app, holdfast_system;

-- A function is callable by those it is granted to, by nobody else.
ALTER DEFAULT PRIVILEGES FOR ROLE holdfast_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- The business clock of the transaction: set beside the tenant, so that triggers can travel in time with the flow.
-- (No SET clause here and in the next two: it would keep them from being inlined where they are called.)
CREATE FUNCTION tenancy.clock() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT COALESCE(NULLIF(current_setting('holdfast.now', true), '')::timestamptz, now()) $$;

-- UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, version, variant, randomness.
CREATE FUNCTION tenancy.uuid_v7(p_at timestamptz) RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send(floor(extract(epoch FROM p_at) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;

-- The smallest UUIDv7 of an instant: the bound of a partition.
CREATE FUNCTION tenancy.uuid_v7_floor(p_at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT rpad(lpad(to_hex(floor(extract(epoch FROM p_at) * 1000)::bigint), 12, '0'), 32, '0')::uuid $$;

CREATE FUNCTION tenancy.touch_updated_at() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := tenancy.clock();
    RETURN NEW;
END
$$;

-- Row-level security of a tenant table: forced, and silent without a setting. The setting reads '' after a
-- transaction that used it, hence NULLIF; the sub-select makes the planner evaluate it once a statement.
CREATE PROCEDURE tenancy.isolate(p_table regclass, p_column text DEFAULT 'organization_id')
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', p_table);
    EXECUTE format(
        'CREATE POLICY tenant ON %s TO holdfast_app, holdfast_system '
        'USING (%I = (SELECT NULLIF(current_setting(''holdfast.organization_id'', true), '''')::uuid)) '
        'WITH CHECK (%I = (SELECT NULLIF(current_setting(''holdfast.organization_id'', true), '''')::uuid))',
        p_table, p_column, p_column);
    -- The owner runs migrations and the few definer functions (the status projection, the partition maker).
    EXECUTE format('CREATE POLICY owner ON %s TO holdfast_owner USING (true) WITH CHECK (true)', p_table);
END
$$;

-- Lets the jobs of the system look over all tenants for some commands, while they have set none. A job that works for
-- one tenant sets it, and is then as blind to the others as the application is.
CREATE PROCEDURE tenancy.open_to_system(p_table regclass, VARIADIC p_commands text[])
LANGUAGE plpgsql
AS $$
DECLARE
    command text;
    all_tenants CONSTANT text := '((SELECT NULLIF(current_setting(''holdfast.organization_id'', true), '''')) IS NULL)';
BEGIN
    FOREACH command IN ARRAY p_commands LOOP
        EXECUTE format('CREATE POLICY %I ON %s FOR %s TO holdfast_system USING %s',
                       'system_' || command || '_all', p_table, command, all_tenants);
    END LOOP;
END
$$;

-- Which tables are partitioned by month, and by which UUIDv7 column. The maker below reads it.
CREATE TABLE operations.partitioned_tables (
    table_name regclass PRIMARY KEY,
    key_column text NOT NULL
);
GRANT SELECT ON operations.partitioned_tables TO holdfast_app, holdfast_system;

-- Makes the partition of one month, with the rows of that month that its absence sent to the default partition.
-- The month is built beside its parent, filled, and attached: the parent stays readable and writable meanwhile, only
-- the default partition is locked, and nobody waits longer than lock_timeout behind a maker that waits itself.
CREATE FUNCTION operations.make_partition(p_table regclass, p_month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s'
AS $$
DECLARE
    parent_schema text;
    parent_name text;
    partition_name text;
    default_name text;
    key_column_name text;
    lower_bound uuid := tenancy.uuid_v7_floor(date_trunc('month', p_month::timestamp) AT TIME ZONE 'UTC');
    upper_bound uuid := tenancy.uuid_v7_floor((date_trunc('month', p_month::timestamp) + interval '1 month') AT TIME ZONE 'UTC');
BEGIN
    SELECT n.nspname, c.relname, t.key_column
      INTO STRICT parent_schema, parent_name, key_column_name
      FROM operations.partitioned_tables t
      JOIN pg_class c ON c.oid = t.table_name
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE t.table_name = p_table;
    partition_name := format('%I.%I', parent_schema, parent_name || to_char(p_month, '_YYYY_MM'));
    default_name := format('%I.%I', parent_schema, parent_name || '_default');
    IF to_regclass(partition_name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition_name, p_table);
    -- Partitions are reached through their parent; row-level security of their own closes the side door.
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', partition_name);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', partition_name);
    EXECUTE format('CREATE POLICY owner ON %s TO holdfast_owner USING (true) WITH CHECK (true)', partition_name);
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', default_name);
    EXECUTE format('WITH moved AS (DELETE FROM %s WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO %s SELECT * FROM moved',
                   default_name, key_column_name, lower_bound, key_column_name, upper_bound, partition_name);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
                   p_table, partition_name, lower_bound, upper_bound);
    RETURN true;
END
$$;

-- Partitions of every partitioned table from the month of p_from through p_months_ahead months later. Safe to run twice.
CREATE FUNCTION operations.make_partitions(p_from date, p_months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made integer := 0;
    target regclass;
    month_offset integer;
BEGIN
    IF p_months_ahead NOT BETWEEN 0 AND 240 THEN
        RAISE EXCEPTION 'months ahead out of bounds: %', p_months_ahead;
    END IF;
    FOR target IN SELECT table_name FROM operations.partitioned_tables ORDER BY table_name::text LOOP
        FOR month_offset IN 0..p_months_ahead LOOP
            IF operations.make_partition(target, (p_from + make_interval(months => month_offset))::date) THEN
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;

-- Rows that sit in default partitions: more than none raises an alarm, and the next make_partitions moves them.
CREATE FUNCTION operations.default_partition_rows() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    total bigint := 0;
    counted bigint;
    target regclass;
BEGIN
    FOR target IN SELECT table_name FROM operations.partitioned_tables LOOP
        EXECUTE format('SELECT count(*) FROM %s', (target::text || '_default')::regclass) INTO counted;
        total := total + counted;
    END LOOP;
    RETURN total;
END
$$;

GRANT EXECUTE ON FUNCTION tenancy.clock(), tenancy.uuid_v7(timestamptz), tenancy.uuid_v7_floor(timestamptz)
    TO holdfast_app, holdfast_system;
GRANT EXECUTE ON FUNCTION operations.make_partitions(date, integer), operations.default_partition_rows() TO holdfast_system;
