-- What operations live by: the outbox, the inbox of failures, the calls made to others, the audit log.

-- Transactional outbox: written with the change it announces, published at least once by the relay.
CREATE TABLE operations.outbox (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    topic text NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id uuid NOT NULL,
    sequence integer NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    published_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    CONSTRAINT outbox_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT outbox_topic_is_past_tense_event CHECK (topic ~ '^[a-z_]+\.[a-z_]+$')
) WITH (autovacuum_vacuum_scale_factor = 0.02);
-- named query: outbox rows unpublished, in order, over all tenants
CREATE INDEX outbox_unpublished ON operations.outbox (id) WHERE published_at IS NULL;
-- named query: outbox rows past their retention
CREATE INDEX outbox_published_at ON operations.outbox (published_at) WHERE published_at IS NOT NULL;
-- named query: messages about an order
CREATE INDEX outbox_of_aggregate ON operations.outbox (organization_id, aggregate_id);
CALL tenancy.isolate('operations.outbox');
CALL tenancy.open_to_system('operations.outbox', 'select', 'update', 'delete');
GRANT SELECT, INSERT ON operations.outbox TO holdfast_app;
GRANT SELECT, INSERT, DELETE ON operations.outbox TO holdfast_system;
GRANT UPDATE (published_at, attempts) ON operations.outbox TO holdfast_system;

-- The inbox of things that need a person.
CREATE TABLE operations.process_failures (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    process_name text NOT NULL,
    related_id uuid,
    details text NOT NULL,
    payload jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'open',
    assigned_to text,
    resolved_by text,
    resolved_at timestamptz,
    resolution_notes text,
    reopening_notes text, -- why it was opened again, the last time
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    version integer NOT NULL DEFAULT 1, -- of what people did; a worker's news of the same trouble leaves it alone
    CONSTRAINT process_failures_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT process_failures_status CHECK (status IN ('open', 'resolved')),
    CONSTRAINT process_failures_resolved_has_resolver CHECK ((status = 'resolved') = (resolved_at IS NOT NULL))
);
-- The same trouble of the same thing is one open row, however often it is met. Named query: open by process
CREATE UNIQUE INDEX process_failures_open_once ON operations.process_failures (organization_id, process_name, related_id)
    WHERE status = 'open';
-- named query: process failures by status, newest first
CREATE INDEX process_failures_by_status ON operations.process_failures (organization_id, status, id DESC);
-- named query: process failures of a process, newest first
CREATE INDEX process_failures_of_process ON operations.process_failures (organization_id, process_name, status, id DESC);
-- named query: process failures about a thing
CREATE INDEX process_failures_of_subject ON operations.process_failures (organization_id, related_id) WHERE related_id IS NOT NULL;
-- named query: process failures of an assignee, newest first
CREATE INDEX process_failures_of_assignee ON operations.process_failures (organization_id, assigned_to, status, id DESC)
    WHERE assigned_to IS NOT NULL;
CREATE TRIGGER touch BEFORE UPDATE ON operations.process_failures FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('operations.process_failures');
GRANT SELECT, INSERT, UPDATE ON operations.process_failures TO holdfast_app, holdfast_system;

-- Append-only: each step of a process failure, by whom and when. Written by trigger, whoever changes the failure, and
-- never by hand: nobody else may insert.
CREATE TABLE operations.process_failure_history (
    organization_id uuid NOT NULL,
    process_failure_id uuid NOT NULL,
    sequence integer NOT NULL, -- taken under the failure's row lock
    action text NOT NULL,
    assigned_to text, -- after the step
    changed_by text NOT NULL,
    notes text,
    created_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT process_failure_history_pkey PRIMARY KEY (organization_id, process_failure_id, sequence),
    CONSTRAINT process_failure_history_failure_fkey FOREIGN KEY (organization_id, process_failure_id)
        REFERENCES operations.process_failures (organization_id, id),
    CONSTRAINT process_failure_history_action CHECK (action IN ('opened', 'assigned', 'unassigned', 'resolved', 'reopened')),
    CONSTRAINT process_failure_history_sequence_positive CHECK (sequence >= 1)
);
CALL tenancy.isolate('operations.process_failure_history');
GRANT SELECT ON operations.process_failure_history TO holdfast_app, holdfast_system;

-- What a worker says anew of the same trouble (details, payload) is no step.
CREATE FUNCTION operations.note_process_failure() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_action text := CASE
        WHEN TG_OP = 'INSERT' THEN 'opened'
        WHEN NEW.status = 'resolved' AND OLD.status = 'open' THEN 'resolved'
        WHEN NEW.status = 'open' AND OLD.status = 'resolved' THEN 'reopened'
        WHEN NEW.assigned_to IS NULL AND OLD.assigned_to IS NOT NULL THEN 'unassigned'
        WHEN NEW.assigned_to IS DISTINCT FROM OLD.assigned_to THEN 'assigned' END;
BEGIN
    IF v_action IS NOT NULL THEN
        INSERT INTO operations.process_failure_history
            (organization_id, process_failure_id, sequence, action, assigned_to, changed_by, notes, created_at)
        SELECT NEW.organization_id, NEW.id, COALESCE(max(h.sequence), 0) + 1, v_action, NEW.assigned_to,
               COALESCE(NULLIF(current_setting('holdfast.actor', true), ''), session_user),
               CASE v_action WHEN 'resolved' THEN NEW.resolution_notes WHEN 'reopened' THEN NEW.reopening_notes END,
               CASE v_action WHEN 'opened' THEN NEW.created_at ELSE tenancy.clock() END
          FROM operations.process_failure_history h
         WHERE h.organization_id = NEW.organization_id AND h.process_failure_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OF status, assigned_to ON operations.process_failures
    FOR EACH ROW EXECUTE FUNCTION operations.note_process_failure();

-- Every call to a gateway, marketplace or geocoder, with secrets and card data masked before they get here.
CREATE TABLE operations.api_calls (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    target text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    status integer,
    duration_ms integer NOT NULL,
    related_id uuid,
    request jsonb,
    response jsonb,
    created_at timestamptz NOT NULL,
    CONSTRAINT api_calls_pkey PRIMARY KEY (organization_id, id)
);
-- named query: calls past their retention (ids are in order of time)
CREATE INDEX api_calls_age ON operations.api_calls (id);
-- named query: calls about a payment
CREATE INDEX api_calls_of_subject ON operations.api_calls (organization_id, related_id) WHERE related_id IS NOT NULL;
CALL tenancy.isolate('operations.api_calls');
CALL tenancy.open_to_system('operations.api_calls', 'select', 'delete');
GRANT SELECT, INSERT ON operations.api_calls TO holdfast_app, holdfast_system;
GRANT DELETE ON operations.api_calls TO holdfast_system;

-- Append-only record of who changed what; written by trigger, never by hand: nobody else may insert.
CREATE TABLE operations.audit_log (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    table_name text NOT NULL,
    record_id uuid NOT NULL,
    old_values jsonb,
    changed_values jsonb,
    created_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT audit_log_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT audit_log_action CHECK (action IN ('insert', 'update', 'delete'))
) PARTITION BY RANGE (id);
CREATE TABLE operations.audit_log_default PARTITION OF operations.audit_log DEFAULT;
-- named query: audit of a record
CREATE INDEX audit_log_of_record ON operations.audit_log (organization_id, table_name, record_id, id);
INSERT INTO operations.partitioned_tables VALUES ('operations.audit_log', 'id');
CALL tenancy.isolate('operations.audit_log');
CALL tenancy.isolate('operations.audit_log_default');
GRANT SELECT ON operations.audit_log TO holdfast_app, holdfast_system;

-- One trigger for every audited table. Its argument names the column that carries the tenant.
CREATE FUNCTION operations.audit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    record_row jsonb := COALESCE(after_row, before_row);
    changed jsonb;
    replaced jsonb;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT jsonb_object_agg(n.key, n.value), jsonb_object_agg(n.key, before_row -> n.key)
          INTO changed, replaced
          FROM jsonb_each(after_row) AS n
         WHERE n.value IS DISTINCT FROM before_row -> n.key AND n.key NOT IN ('updated_at', 'version');
        IF changed IS NULL THEN
            RETURN NULL;
        END IF;
    ELSE
        changed := after_row;
        replaced := before_row;
    END IF;
    INSERT INTO operations.audit_log
        (id, organization_id, actor, action, table_name, record_id, old_values, changed_values, created_at)
    VALUES (
        tenancy.uuid_v7(tenancy.clock()),
        (record_row ->> TG_ARGV[0])::uuid,
        COALESCE(NULLIF(current_setting('holdfast.actor', true), ''), session_user),
        lower(TG_OP),
        TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME,
        (record_row ->> TG_ARGV[1])::uuid,
        replaced, changed, tenancy.clock());
    RETURN NULL;
END
$$;

-- The inbox's own rows are no news for the audit log; what people and workers then do with them is.
CREATE TRIGGER audit AFTER UPDATE OF status, assigned_to, resolution_notes, reopening_notes
    ON operations.process_failures FOR EACH ROW EXECUTE FUNCTION operations.audit('organization_id', 'id');
