-- Orders that left the active tables: as readable as before, and provably as they were.

CREATE SCHEMA archive;
GRANT USAGE ON SCHEMA archive TO holdfast_app, holdfast_system;

-- The head of each organization's chain: whoever seals a batch holds this row.
CREATE TABLE archive.chain_heads (
    organization_id uuid NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    root bytea NOT NULL DEFAULT '\x0000000000000000000000000000000000000000000000000000000000000000',
    updated_at timestamptz,
    CONSTRAINT chain_heads_pkey PRIMARY KEY (organization_id),
    CONSTRAINT chain_heads_position_not_negative CHECK (position >= 0),
    CONSTRAINT chain_heads_root_is_sha256 CHECK (length(root) = 32)
);
CREATE TRIGGER touch BEFORE UPDATE ON archive.chain_heads FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('archive.chain_heads');
GRANT SELECT ON archive.chain_heads TO holdfast_app;
GRANT SELECT, INSERT ON archive.chain_heads TO holdfast_system;
GRANT UPDATE (position, root, updated_at) ON archive.chain_heads TO holdfast_system;

-- A batch is sealed in the transaction that fills it: its root covers its orders' checksums and the root before it.
CREATE TABLE archive.archive_batches (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    cutoff_at timestamptz NOT NULL, -- orders that were placed before it
    status text NOT NULL DEFAULT 'in_progress',
    strategy text NOT NULL,
    document_schema integer NOT NULL,
    orders integer NOT NULL DEFAULT 0,
    oldest_order_at timestamptz,
    newest_order_at timestamptz,
    totals jsonb NOT NULL DEFAULT '{}', -- sum of the orders' totals by currency, in minor units
    chain_position bigint,
    merkle_root bytea,
    previous_root bytea,
    root bytea,
    population integer NOT NULL DEFAULT 0, -- what the last verification could choose from
    target_sample_size integer,
    sample_size integer, -- how many it looked at
    high_value_verified integer NOT NULL DEFAULT 0,
    confidence_level numeric(5, 4) NOT NULL DEFAULT 0.95,
    margin_of_error numeric(5, 4) NOT NULL DEFAULT 0.05,
    detectable_fraction numeric(7, 6), -- the smallest corrupt part that it finds at this level of confidence
    strata jsonb NOT NULL DEFAULT '[]',
    discrepancies integer NOT NULL DEFAULT 0,
    purged_orders integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    completed_at timestamptz,
    verified_at timestamptz,
    purged_at timestamptz,
    CONSTRAINT archive_batches_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT archive_batches_status CHECK (status IN ('in_progress', 'completed', 'failed', 'verified')),
    CONSTRAINT archive_batches_strategy CHECK (strategy IN ('full', 'sampled', 'high_value_only')),
    CONSTRAINT archive_batches_position_unique UNIQUE (organization_id, chain_position),
    CONSTRAINT archive_batches_sealed CHECK (status = 'in_progress' OR (
        chain_position IS NOT NULL AND merkle_root IS NOT NULL AND previous_root IS NOT NULL AND root IS NOT NULL AND completed_at IS NOT NULL)),
    CONSTRAINT archive_batches_verified CHECK (status <> 'verified' OR verified_at IS NOT NULL),
    CONSTRAINT archive_batches_purged_was_verified CHECK (purged_orders = 0 OR verified_at IS NOT NULL),
    CONSTRAINT archive_batches_counts_not_negative CHECK (
        orders >= 0 AND population >= 0 AND discrepancies >= 0 AND high_value_verified >= 0 AND purged_orders BETWEEN 0 AND orders)
);
-- named query: archive batches by status, oldest first
CREATE INDEX archive_batches_by_status ON archive.archive_batches (organization_id, status, id);
CREATE TRIGGER touch BEFORE UPDATE ON archive.archive_batches FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('archive.archive_batches');
GRANT SELECT ON archive.archive_batches TO holdfast_app;
GRANT SELECT, INSERT ON archive.archive_batches TO holdfast_system;
GRANT UPDATE (status, strategy, population, target_sample_size, sample_size, high_value_verified, confidence_level, margin_of_error,
    detectable_fraction, strata, discrepancies, verified_at, updated_at) ON archive.archive_batches TO holdfast_app, holdfast_system;
GRANT UPDATE (orders, oldest_order_at, newest_order_at, totals, chain_position, merkle_root, previous_root, root, completed_at)
    ON archive.archive_batches TO holdfast_system;

-- What a batch's root was made of: one leaf for each version of each order that was ever archived. Append-only.
CREATE TABLE archive.batch_leaves (
    organization_id uuid NOT NULL,
    batch_id uuid NOT NULL,
    order_id uuid NOT NULL,
    version integer NOT NULL,
    checksum bytea NOT NULL, -- SHA-256 of the canonical document
    CONSTRAINT batch_leaves_pkey PRIMARY KEY (organization_id, batch_id, order_id),
    CONSTRAINT batch_leaves_batch_fkey FOREIGN KEY (organization_id, batch_id) REFERENCES archive.archive_batches (organization_id, id),
    CONSTRAINT batch_leaves_version_unique UNIQUE (organization_id, order_id, version),
    CONSTRAINT batch_leaves_version_positive CHECK (version >= 1),
    CONSTRAINT batch_leaves_checksum_is_sha256 CHECK (length(checksum) = 32)
);
CALL tenancy.isolate('archive.batch_leaves');
GRANT SELECT ON archive.batch_leaves TO holdfast_app;
GRANT SELECT, INSERT ON archive.batch_leaves TO holdfast_system;

-- One row for every order that left the active tables: where it is, and what is known of it without opening it.
CREATE TABLE archive.archive_index (
    organization_id uuid NOT NULL,
    order_id uuid NOT NULL,
    version integer NOT NULL, -- how often it was archived
    order_number text NOT NULL,
    customer_id uuid NOT NULL,
    status text NOT NULL,
    payment_status text NOT NULL,
    fulfillment_status text NOT NULL,
    ordered_at timestamptz NOT NULL,
    currency char(3) NOT NULL,
    total bigint NOT NULL,
    refunded bigint NOT NULL,
    location text NOT NULL DEFAULT 'archived',
    legal_hold boolean NOT NULL DEFAULT false, -- while it is set the order is neither erased nor moved
    batch_id uuid NOT NULL,
    archived_at timestamptz NOT NULL,
    cold_path text,
    cold_row_group integer,
    tier text NOT NULL,
    checksum bytea NOT NULL,
    verification text NOT NULL DEFAULT 'ok',
    last_verified_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT archive_index_pkey PRIMARY KEY (organization_id, order_id),
    CONSTRAINT archive_index_batch_fkey FOREIGN KEY (organization_id, batch_id) REFERENCES archive.archive_batches (organization_id, id),
    -- named query: archived order by number
    CONSTRAINT archive_index_order_number_unique UNIQUE (organization_id, order_number),
    CONSTRAINT archive_index_location CHECK (location IN ('archived', 'cold_storage', 'restored')),
    CONSTRAINT archive_index_cold_has_place CHECK (location <> 'cold_storage' OR (cold_path IS NOT NULL AND cold_row_group IS NOT NULL)),
    CONSTRAINT archive_index_tier CHECK (tier IN ('standard', 'high_value')),
    CONSTRAINT archive_index_verification CHECK (verification IN ('ok', 'missing', 'duplicate', 'inconsistent')),
    CONSTRAINT archive_index_checksum_is_sha256 CHECK (length(checksum) = 32),
    CONSTRAINT archive_index_version_positive CHECK (version >= 1)
);
-- named query: archived orders of a customer, newest first
CREATE INDEX archive_index_of_customer ON archive.archive_index (organization_id, customer_id, order_id DESC);
-- named query: archived orders by status, newest first
CREATE INDEX archive_index_by_status ON archive.archive_index (organization_id, status, order_id DESC);
-- named query: archived orders of a batch
CREATE INDEX archive_index_of_batch ON archive.archive_index (organization_id, batch_id);
-- named query: archived orders by verification age
CREATE INDEX archive_index_verified_at ON archive.archive_index (organization_id, last_verified_at);
CREATE TRIGGER touch BEFORE UPDATE ON archive.archive_index FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('archive.archive_index');
GRANT SELECT, INSERT ON archive.archive_index TO holdfast_app, holdfast_system;
GRANT UPDATE (version, status, payment_status, fulfillment_status, refunded, location, legal_hold, batch_id, archived_at, cold_path, cold_row_group, checksum, total, tier, verification,
    last_verified_at, updated_at) ON archive.archive_index TO holdfast_app, holdfast_system;

-- The documents, as text: jsonb would have its own idea of them. Months are dropped whole once they lie in cold storage.
CREATE TABLE archive.archived_orders (
    organization_id uuid NOT NULL,
    order_id uuid NOT NULL,
    version integer NOT NULL,
    batch_id uuid NOT NULL,
    order_number text NOT NULL,
    customer_id uuid NOT NULL,
    status text NOT NULL,
    payment_status text NOT NULL,
    fulfillment_status text NOT NULL,
    ordered_at timestamptz NOT NULL,
    currency char(3) NOT NULL,
    total bigint NOT NULL,
    refunded bigint NOT NULL,
    items integer NOT NULL,
    document text NOT NULL,
    CONSTRAINT archived_orders_pkey PRIMARY KEY (organization_id, order_id, version)
) PARTITION BY RANGE (order_id);
CREATE TABLE archive.archived_orders_default PARTITION OF archive.archived_orders DEFAULT;
INSERT INTO operations.partitioned_tables VALUES ('archive.archived_orders', 'order_id');
CALL tenancy.isolate('archive.archived_orders');
CALL tenancy.isolate('archive.archived_orders_default');
GRANT SELECT, INSERT ON archive.archived_orders TO holdfast_app, holdfast_system;

-- Which order a gateway's transaction belongs to, once its payment has gone: news of it may come years later.
CREATE TABLE archive.payment_references (
    organization_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    order_id uuid NOT NULL,
    gateway_account_id uuid NOT NULL,
    gateway_transaction_id text,
    CONSTRAINT payment_references_pkey PRIMARY KEY (organization_id, payment_id),
    -- named query: the archived order of a gateway's transaction
    CONSTRAINT payment_references_transaction_unique UNIQUE (organization_id, gateway_account_id, gateway_transaction_id)
);
CALL tenancy.isolate('archive.payment_references');
GRANT SELECT ON archive.payment_references TO holdfast_app;
GRANT SELECT, INSERT ON archive.payment_references TO holdfast_system;

-- A key for each customer, wrapped by one that no database holds. It lies beside the archive, never in it: with the key
-- everything personal in the customer's archived orders ends, and no archived byte changes.
CREATE TABLE archive.customer_keys (
    organization_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    wrapped_key bytea,
    created_at timestamptz NOT NULL,
    destroyed_at timestamptz,
    CONSTRAINT customer_keys_pkey PRIMARY KEY (organization_id, customer_id),
    CONSTRAINT customer_keys_destroyed_is_gone CHECK ((wrapped_key IS NULL) = (destroyed_at IS NOT NULL))
);
CALL tenancy.isolate('archive.customer_keys');
GRANT SELECT, INSERT ON archive.customer_keys TO holdfast_app, holdfast_system;
GRANT UPDATE (wrapped_key, destroyed_at) ON archive.customer_keys TO holdfast_app, holdfast_system;

-- Tombstones: that a customer was erased, when and by whom. Append-only.
CREATE TABLE archive.erasures (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    active_orders integer NOT NULL,
    archived_orders integer NOT NULL,
    reason text NOT NULL,
    requested_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT erasures_pkey PRIMARY KEY (organization_id, id),
    -- A customer is erased once.
    CONSTRAINT erasures_customer_unique UNIQUE (organization_id, customer_id),
    CONSTRAINT erasures_customer_fkey FOREIGN KEY (organization_id, customer_id) REFERENCES tenancy.customers (organization_id, id)
);
CALL tenancy.isolate('archive.erasures');
GRANT SELECT, INSERT ON archive.erasures TO holdfast_app;
GRANT SELECT ON archive.erasures TO holdfast_system;

-- Every look at the archive, and what it found. Append-only.
CREATE TABLE archive.reconciliation_log (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    type text NOT NULL,
    batch_id uuid,
    checked integer NOT NULL,
    found integer NOT NULL,
    resolved integer NOT NULL,
    checksum_failures integer NOT NULL,
    is_complete boolean NOT NULL,
    continues_after uuid, -- where a full scan that ran out of time goes on
    duration_ms integer NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    requested_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT reconciliation_log_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT reconciliation_log_type CHECK (type IN ('post_archive', 'spot_check', 'full_scan', 'chain', 'location_repair', 'restore')),
    CONSTRAINT reconciliation_log_counts_not_negative CHECK (
        checked >= 0 AND found >= 0 AND resolved >= 0 AND checksum_failures >= 0 AND duration_ms >= 0)
);
-- named query: the last look of a type at the archive
CREATE INDEX reconciliation_log_of_type ON archive.reconciliation_log (organization_id, type, id DESC);
CALL tenancy.isolate('archive.reconciliation_log');
GRANT SELECT, INSERT ON archive.reconciliation_log TO holdfast_app, holdfast_system;

-- What a look found wrong with an order or a batch. One that stands open blocks the purge of its batch.
CREATE TABLE archive.discrepancies (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    batch_id uuid,
    order_id uuid NOT NULL, -- the batch's own id, where the batch as a whole is wrong
    kind text NOT NULL,
    details text NOT NULL,
    found_by text NOT NULL,
    created_at timestamptz NOT NULL,
    resolved_at timestamptz,
    resolved_by text,
    resolution text,
    CONSTRAINT discrepancies_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT discrepancies_batch_fkey FOREIGN KEY (organization_id, batch_id) REFERENCES archive.archive_batches (organization_id, id),
    CONSTRAINT discrepancies_kind CHECK (kind IN ('missing', 'duplicate', 'inconsistent')),
    CONSTRAINT discrepancies_resolved CHECK ((resolved_at IS NULL) = (resolved_by IS NULL) AND (resolved_at IS NULL) = (resolution IS NULL))
);
-- The same trouble of the same order is one open row.
CREATE UNIQUE INDEX discrepancies_open_once ON archive.discrepancies (organization_id, order_id, kind, details) WHERE resolved_at IS NULL;
-- named query: discrepancies of a batch
CREATE INDEX discrepancies_of_batch ON archive.discrepancies (organization_id, batch_id) WHERE batch_id IS NOT NULL;
-- named query: discrepancies that stand open
CREATE INDEX discrepancies_open ON archive.discrepancies (organization_id, id) WHERE resolved_at IS NULL;
CALL tenancy.isolate('archive.discrepancies');
GRANT SELECT, INSERT ON archive.discrepancies TO holdfast_app, holdfast_system;
GRANT UPDATE (resolved_at, resolved_by, resolution) ON archive.discrepancies TO holdfast_app, holdfast_system;

-- The files of cold storage: one for each organization, month and generation, written before any row goes.
CREATE TABLE archive.cold_files (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    month date NOT NULL,
    path text NOT NULL,
    manifest_path text NOT NULL,
    state text NOT NULL DEFAULT 'writing',
    orders integer NOT NULL,
    row_groups integer NOT NULL DEFAULT 0,
    size_bytes bigint NOT NULL DEFAULT 0,
    digest bytea, -- SHA-256 of the file
    merkle_root bytea, -- over the checksums of its orders
    totals jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    verified_at timestamptz,
    CONSTRAINT cold_files_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT cold_files_path_unique UNIQUE (organization_id, path),
    CONSTRAINT cold_files_state CHECK (state IN ('writing', 'verified', 'broken')),
    CONSTRAINT cold_files_verified CHECK (state <> 'verified' OR (digest IS NOT NULL AND merkle_root IS NOT NULL AND verified_at IS NOT NULL)),
    CONSTRAINT cold_files_counts_not_negative CHECK (orders >= 0 AND row_groups >= 0 AND size_bytes >= 0)
);
-- A month has one file at a time that is being written.
CREATE UNIQUE INDEX cold_files_one_writing ON archive.cold_files (organization_id, month) WHERE state = 'writing';
CALL tenancy.isolate('archive.cold_files');
GRANT SELECT ON archive.cold_files TO holdfast_app;
GRANT SELECT, INSERT, UPDATE ON archive.cold_files TO holdfast_system;
GRANT UPDATE (state) ON archive.cold_files TO holdfast_app;
