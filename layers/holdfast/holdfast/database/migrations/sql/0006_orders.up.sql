-- Orders: what was bought, from where it ships, the holds on its stock, and every status it ever had.

CREATE TABLE orders.orders (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    order_number text NOT NULL,
    customer_id uuid NOT NULL,
    email text NOT NULL,
    status text NOT NULL, -- projected from the history by trigger; nobody else may write it
    status_sequence integer NOT NULL DEFAULT 1,
    status_changed_at timestamptz NOT NULL,
    payment_status text NOT NULL DEFAULT 'pending',
    fulfillment_status text NOT NULL DEFAULT 'unfulfilled',
    currency char(3) NOT NULL,
    subtotal bigint NOT NULL,
    tax bigint NOT NULL,
    shipping bigint NOT NULL,
    discount bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL,
    refunded bigint NOT NULL DEFAULT 0,
    tax_lines jsonb NOT NULL DEFAULT '[]',
    shipping_preference text NOT NULL,
    is_split_shipment boolean NOT NULL DEFAULT false,
    has_open_dispute boolean NOT NULL DEFAULT false,
    shipping_address jsonb NOT NULL,
    billing_address jsonb NOT NULL,
    shipping_latitude double precision,
    shipping_longitude double precision,
    geocode_quality text,
    geocode_requires_review boolean NOT NULL DEFAULT false,
    allocation_reasons jsonb NOT NULL DEFAULT '{}',
    customer_notes text,
    internal_notes text,
    language text, -- BCP 47: what the shopper is written in; NULL: the shop's
    source text NOT NULL DEFAULT 'api',
    metadata jsonb NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    paid_at timestamptz,
    confirmed_at timestamptz,
    shipped_at timestamptz,
    delivered_at timestamptz,
    cancelled_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT orders_pkey PRIMARY KEY (organization_id, id),
    -- The customer vouches for the organization: a key to it as well would have every checkout lock its one row.
    CONSTRAINT orders_customer_fkey FOREIGN KEY (organization_id, customer_id) REFERENCES tenancy.customers (organization_id, id),
    -- named query: order by number
    CONSTRAINT orders_order_number_unique UNIQUE (organization_id, order_number),
    CONSTRAINT orders_status CHECK (status IN (
        'pending_acceptance', 'acceptance_failed', 'accepted', 'pending_payment', 'payment_processing', 'payment_failed',
        'payment_confirmed', 'address_review', 'confirmed', 'processing', 'partially_shipped', 'shipped', 'delivered',
        'cancelled', 'refunded', 'partially_refunded')),
    CONSTRAINT orders_payment_status CHECK (payment_status IN (
        'pending', 'processing', 'requires_action', 'authorized', 'captured', 'partially_refunded', 'refunded', 'failed', 'cancelled')),
    CONSTRAINT orders_fulfillment_status CHECK (fulfillment_status IN (
        'unfulfilled', 'in_preparation', 'partially_shipped', 'shipped', 'delivered', 'cancelled')),
    CONSTRAINT orders_source CHECK (source IN ('web', 'mobile', 'api', 'marketplace')),
    CONSTRAINT orders_shipping_preference CHECK (shipping_preference IN ('economy', 'standard', 'expedited')),
    CONSTRAINT orders_geocode_quality CHECK (geocode_quality IN ('rooftop', 'range_interpolated', 'centroid', 'approximate')),
    CONSTRAINT orders_language_form CHECK (language ~ '^[a-z]{2,3}(-[A-Z]{2})?$'),
    CONSTRAINT orders_currency_form CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT orders_amounts_not_negative CHECK (subtotal >= 0 AND tax >= 0 AND shipping >= 0 AND discount >= 0),
    CONSTRAINT orders_total_adds_up CHECK (total = subtotal + tax + shipping - discount AND total >= 0),
    CONSTRAINT orders_refunded_within_total CHECK (refunded BETWEEN 0 AND total)
) WITH (fillfactor = 80);
-- named query: orders of a customer, newest first
CREATE INDEX orders_of_customer ON orders.orders (organization_id, customer_id, id DESC);
-- named query: orders by status and age, newest first
CREATE INDEX orders_by_status ON orders.orders (organization_id, status, id DESC);
-- named query: orders by status and last update, of those that wait for money
CREATE INDEX orders_waiting_for_money ON orders.orders (organization_id, status_changed_at)
    WHERE status IN ('pending_payment', 'payment_failed', 'payment_processing');
-- named query: orders needing address review
CREATE INDEX orders_needing_address_review ON orders.orders (organization_id, id) WHERE geocode_requires_review;
-- named query: orders split and unshipped
CREATE INDEX orders_split_unshipped ON orders.orders (organization_id, id) WHERE is_split_shipment AND shipped_at IS NULL;
-- named query: orders that may be archived, in order
CREATE INDEX orders_to_archive ON orders.orders (organization_id, id)
    WHERE deleted_at IS NULL AND status IN ('delivered', 'cancelled', 'refunded', 'partially_refunded');
CREATE TRIGGER touch BEFORE UPDATE ON orders.orders FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
-- Statuses have the history as their record; the audit log takes what people change.
CREATE TRIGGER audit AFTER UPDATE OF email, shipping_address, billing_address, customer_notes, internal_notes, metadata
    ON orders.orders FOR EACH ROW EXECUTE FUNCTION operations.audit('organization_id', 'id');
CALL tenancy.isolate('orders.orders');
CALL tenancy.open_to_system('orders.orders', 'select');
-- An order begins where its history begins; no insert may skip ahead.
CREATE POLICY begins_at_the_beginning ON orders.orders AS RESTRICTIVE FOR INSERT TO holdfast_app, holdfast_system
    WITH CHECK (status IN ('pending_payment', 'pending_acceptance') AND status_sequence = 1);
GRANT SELECT, INSERT ON orders.orders TO holdfast_app;
GRANT SELECT ON orders.orders TO holdfast_system;
GRANT UPDATE (payment_status, fulfillment_status, refunded, is_split_shipment, has_open_dispute, shipping_address, billing_address,
    shipping_latitude, shipping_longitude, geocode_quality, geocode_requires_review, allocation_reasons, customer_notes,
    internal_notes, metadata, version, updated_at, deleted_at) ON orders.orders TO holdfast_app, holdfast_system;

CREATE TABLE orders.order_items (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    variant_id uuid NOT NULL,
    position integer NOT NULL,
    sku text NOT NULL,
    name text NOT NULL,
    option_values jsonb NOT NULL DEFAULT '{}',
    image_url text,
    unit_price bigint NOT NULL,
    quantity integer NOT NULL,
    subtotal bigint NOT NULL,
    tax bigint NOT NULL,
    discount bigint NOT NULL DEFAULT 0,
    refunded_quantity integer NOT NULL DEFAULT 0,
    refunded_amount bigint NOT NULL DEFAULT 0,
    restocked_quantity integer NOT NULL DEFAULT 0, -- how many came back into stock, by whatever refund or cancellation
    created_at timestamptz NOT NULL,
    CONSTRAINT order_items_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT order_items_order_fkey FOREIGN KEY (organization_id, order_id) REFERENCES orders.orders (organization_id, id),
    CONSTRAINT order_items_quantity_positive CHECK (quantity > 0),
    CONSTRAINT order_items_subtotal_adds_up CHECK (subtotal = unit_price * quantity),
    CONSTRAINT order_items_amounts_not_negative CHECK (unit_price >= 0 AND tax >= 0 AND discount BETWEEN 0 AND subtotal),
    CONSTRAINT order_items_refunded_quantity_within_bought CHECK (refunded_quantity BETWEEN 0 AND quantity),
    CONSTRAINT order_items_restocked_quantity_within_bought CHECK (restocked_quantity BETWEEN 0 AND quantity),
    CONSTRAINT order_items_refunded_amount_within_paid CHECK (refunded_amount BETWEEN 0 AND subtotal - discount + tax),
    -- named query: items of an order
    CONSTRAINT order_items_of_order UNIQUE (organization_id, order_id, id)
);
CALL tenancy.isolate('orders.order_items');
GRANT SELECT, INSERT ON orders.order_items TO holdfast_app;
GRANT SELECT ON orders.order_items TO holdfast_system;
GRANT UPDATE (refunded_quantity, refunded_amount, restocked_quantity) ON orders.order_items TO holdfast_app, holdfast_system;

CREATE TABLE orders.order_allocations (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    order_item_id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    variant_id uuid NOT NULL,
    quantity integer NOT NULL,
    load_date date NOT NULL,
    shipping_cost bigint NOT NULL,
    distance_km double precision,
    score double precision NOT NULL,
    created_at timestamptz NOT NULL,
    superseded_at timestamptz,
    restocked_quantity integer NOT NULL DEFAULT 0, -- how many came back to the warehouse's shelf
    CONSTRAINT order_allocations_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT order_allocations_item_fkey FOREIGN KEY (organization_id, order_id, order_item_id)
        REFERENCES orders.order_items (organization_id, order_id, id),
    CONSTRAINT order_allocations_warehouse_fkey FOREIGN KEY (organization_id, warehouse_id) REFERENCES inventory.warehouses (organization_id, id),
    CONSTRAINT order_allocations_quantity_positive CHECK (quantity > 0),
    CONSTRAINT order_allocations_restocked_within_quantity CHECK (restocked_quantity BETWEEN 0 AND quantity)
);
-- named query: allocations of an order
CREATE INDEX order_allocations_of_order ON orders.order_allocations (organization_id, order_id, order_item_id);
-- named query: orders by warehouse and status
CREATE INDEX order_allocations_of_warehouse ON orders.order_allocations (organization_id, warehouse_id, order_id);
CALL tenancy.isolate('orders.order_allocations');
GRANT SELECT, INSERT ON orders.order_allocations TO holdfast_app, holdfast_system;
GRANT UPDATE (superseded_at, restocked_quantity) ON orders.order_allocations TO holdfast_app, holdfast_system;

-- Holds. load_date is set on exactly one reservation of an order and warehouse: the one that booked the day's load,
-- and gives it back when it is released.
CREATE TABLE inventory.reservations (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    variant_id uuid NOT NULL,
    quantity integer NOT NULL,
    status text NOT NULL DEFAULT 'active',
    expires_at timestamptz NOT NULL,
    load_date date,
    created_at timestamptz NOT NULL,
    completed_at timestamptz,
    released_at timestamptz,
    reason text,
    CONSTRAINT reservations_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT reservations_order_fkey FOREIGN KEY (organization_id, order_id) REFERENCES orders.orders (organization_id, id),
    CONSTRAINT reservations_stock_level_fkey FOREIGN KEY (organization_id, warehouse_id, variant_id)
        REFERENCES inventory.stock_levels (organization_id, warehouse_id, variant_id),
    CONSTRAINT reservations_quantity_positive CHECK (quantity > 0),
    CONSTRAINT reservations_status CHECK (status IN ('active', 'completed', 'expired', 'cancelled', 'reallocated')),
    CONSTRAINT reservations_resolved_once CHECK (
        (status = 'active' AND completed_at IS NULL AND released_at IS NULL)
        OR (status = 'completed' AND completed_at IS NOT NULL AND released_at IS NULL)
        OR (status IN ('expired', 'cancelled') AND completed_at IS NULL AND released_at IS NOT NULL)
        OR (status = 'reallocated' AND released_at IS NOT NULL)) -- goods that were sold already may move too
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
-- named query: reservations that are due
CREATE INDEX reservations_due ON inventory.reservations (organization_id, expires_at) WHERE status = 'active';
-- named query: reservations of an order
CREATE INDEX reservations_of_order ON inventory.reservations (organization_id, order_id);
-- named query: live reservations of a variant
CREATE INDEX reservations_live_of_variant ON inventory.reservations (organization_id, variant_id, warehouse_id) WHERE status = 'active';
CALL tenancy.isolate('inventory.reservations');
CALL tenancy.open_to_system('inventory.reservations', 'select');
GRANT SELECT, INSERT ON inventory.reservations TO holdfast_app, holdfast_system;
GRANT UPDATE (status, expires_at, completed_at, released_at, reason) ON inventory.reservations TO holdfast_app, holdfast_system;

CREATE TABLE orders.status_transitions (
    from_status text NOT NULL,
    to_status text NOT NULL,
    CONSTRAINT status_transitions_pkey PRIMARY KEY (from_status, to_status)
);
INSERT INTO orders.status_transitions (from_status, to_status) VALUES
    ('pending_payment', 'payment_processing'), ('pending_payment', 'payment_failed'), ('pending_payment', 'cancelled'),
    ('payment_processing', 'payment_confirmed'), ('payment_processing', 'payment_failed'), ('payment_processing', 'cancelled'),
    ('payment_failed', 'pending_payment'), ('payment_failed', 'cancelled'),
    ('payment_confirmed', 'confirmed'), ('payment_confirmed', 'address_review'), ('payment_confirmed', 'cancelled'),
    ('address_review', 'confirmed'), ('address_review', 'cancelled'),
    ('confirmed', 'processing'), ('confirmed', 'address_review'), ('confirmed', 'cancelled'), ('confirmed', 'refunded'),
    ('processing', 'partially_shipped'), ('processing', 'shipped'), ('processing', 'cancelled'), ('processing', 'refunded'),
    ('partially_shipped', 'shipped'), ('partially_shipped', 'refunded'),
    ('shipped', 'delivered'), ('shipped', 'refunded'),
    ('delivered', 'partially_refunded'), ('delivered', 'refunded'),
    ('partially_refunded', 'refunded'),
    ('pending_acceptance', 'accepted'), ('pending_acceptance', 'acceptance_failed'), ('pending_acceptance', 'cancelled'),
    ('acceptance_failed', 'pending_acceptance'), ('acceptance_failed', 'cancelled'),
    ('accepted', 'confirmed'), ('accepted', 'cancelled');
GRANT SELECT ON orders.status_transitions TO holdfast_app, holdfast_system;

-- Append-only source of truth for statuses. Partitioned by the order's id, which carries the order's month: the whole
-- history of an order lies in one partition, and its primary key finds it there.
CREATE TABLE orders.order_status_history (
    organization_id uuid NOT NULL,
    order_id uuid NOT NULL,
    sequence integer NOT NULL,
    from_status text,
    to_status text NOT NULL,
    is_reversal boolean NOT NULL DEFAULT false, -- the one backward step: a refund that failed later, back to the status before
    changed_by text NOT NULL,
    notes text,
    created_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT order_status_history_pkey PRIMARY KEY (organization_id, order_id, sequence),
    CONSTRAINT order_status_history_sequence_positive CHECK (sequence >= 1),
    CONSTRAINT order_status_history_first_has_no_origin CHECK ((sequence = 1) = (from_status IS NULL)),
    CONSTRAINT order_status_history_reversal_takes_back_a_refund CHECK (NOT is_reversal OR from_status IN ('refunded', 'partially_refunded'))
) PARTITION BY RANGE (order_id);
CREATE TABLE orders.order_status_history_default PARTITION OF orders.order_status_history DEFAULT;
INSERT INTO operations.partitioned_tables VALUES ('orders.order_status_history', 'order_id');
CALL tenancy.isolate('orders.order_status_history');
CALL tenancy.isolate('orders.order_status_history_default');
GRANT SELECT, INSERT ON orders.order_status_history TO holdfast_app, holdfast_system;

-- Projects a history row into the order. Its owner has a policy of its own, and it raises unless exactly one order
-- moved: a silent zero would leave history and order apart. The first status comes with the order's own insert.
CREATE FUNCTION orders.project_status() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    listed boolean;
    changed integer;
BEGIN
    IF NEW.sequence = 1 THEN
        IF NEW.to_status NOT IN ('pending_payment', 'pending_acceptance') THEN
            RAISE EXCEPTION 'an order does not begin as %', NEW.to_status
                USING ERRCODE = 'HF002', CONSTRAINT = 'order_status_transition';
        END IF;
        PERFORM 1 FROM orders.orders
          WHERE organization_id = NEW.organization_id AND id = NEW.order_id
            AND status = NEW.to_status AND status_sequence = 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the first history row does not match its order'
                USING ERRCODE = 'HF002', CONSTRAINT = 'order_status_projection';
        END IF;
        RETURN NULL;
    END IF;
    IF NEW.is_reversal THEN
        -- Back to where the order was when the refund took it away, and nowhere else.
        listed := NEW.to_status = (SELECT h.from_status FROM orders.order_status_history h
                                    WHERE h.organization_id = NEW.organization_id AND h.order_id = NEW.order_id
                                      AND h.sequence < NEW.sequence AND h.to_status = NEW.from_status AND NOT h.is_reversal
                                    ORDER BY h.sequence DESC LIMIT 1);
    ELSE
        listed := EXISTS (SELECT 1 FROM orders.status_transitions
                           WHERE from_status = NEW.from_status AND to_status = NEW.to_status);
    END IF;
    IF listed IS NOT TRUE THEN
        RAISE EXCEPTION 'an order does not go from % to %', NEW.from_status, NEW.to_status
            USING ERRCODE = 'HF002', CONSTRAINT = 'order_status_transition';
    END IF;
    UPDATE orders.orders
       SET status = NEW.to_status,
           status_sequence = NEW.sequence,
           status_changed_at = NEW.created_at,
           paid_at = CASE WHEN NEW.to_status = 'payment_confirmed' THEN NEW.created_at ELSE paid_at END,
           confirmed_at = CASE WHEN NEW.to_status = 'confirmed' THEN COALESCE(confirmed_at, NEW.created_at) ELSE confirmed_at END,
           shipped_at = CASE WHEN NEW.to_status = 'shipped' THEN NEW.created_at ELSE shipped_at END,
           delivered_at = CASE WHEN NEW.to_status = 'delivered' THEN NEW.created_at ELSE delivered_at END,
           cancelled_at = CASE WHEN NEW.to_status = 'cancelled' THEN NEW.created_at ELSE cancelled_at END
     WHERE organization_id = NEW.organization_id AND id = NEW.order_id
       AND status = NEW.from_status AND status_sequence = NEW.sequence - 1;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> 1 THEN
        RAISE EXCEPTION 'the order moved on before its history row %', NEW.sequence
            USING ERRCODE = 'HF001', CONSTRAINT = 'order_status_projection';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER project_status AFTER INSERT ON orders.order_status_history FOR EACH ROW EXECUTE FUNCTION orders.project_status();

-- Walks an order through several statuses at once. The caller holds the order's row.
CREATE FUNCTION orders.walk_status(
    p_organization_id uuid, p_order_id uuid, p_from text, p_sequence integer, p_path text[], p_changed_by text, p_notes text, p_now timestamptz
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO orders.order_status_history
        (organization_id, order_id, sequence, from_status, to_status, changed_by, notes, created_at)
    SELECT p_organization_id, p_order_id, p_sequence + step, COALESCE(p_path[step - 1], p_from), p_path[step], p_changed_by,
           CASE WHEN step = cardinality(p_path) THEN p_notes END, p_now
      FROM generate_series(1, cardinality(p_path)) AS step
     ORDER BY step;
END
$$;
GRANT EXECUTE ON FUNCTION orders.walk_status(uuid, uuid, text, integer, text[], text, text, timestamptz) TO holdfast_app, holdfast_system;

-- The claim commits with the order, in_progress and with a lease; the answer is stored when it is known.
CREATE TABLE orders.idempotency_keys (
    organization_id uuid NOT NULL,
    caller text NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    state text NOT NULL DEFAULT 'in_progress',
    lease_until timestamptz NOT NULL,
    order_id uuid,
    response_status integer,
    response_body text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (organization_id, caller, operation, key),
    CONSTRAINT idempotency_keys_state CHECK (state IN ('in_progress', 'done')),
    CONSTRAINT idempotency_keys_done_has_answer CHECK ((state = 'done') = (response_status IS NOT NULL AND response_body IS NOT NULL))
) WITH (fillfactor = 70);
-- named query: expired keys
CREATE INDEX idempotency_keys_expired ON orders.idempotency_keys (expires_at);
-- named query: keys of an order (they are purged with it)
CREATE INDEX idempotency_keys_of_order ON orders.idempotency_keys (organization_id, order_id) WHERE order_id IS NOT NULL;
-- The claim is written before its order, so that a repeated request does no work: the check waits for the commit.
ALTER TABLE orders.idempotency_keys ADD CONSTRAINT idempotency_keys_order_fkey
    FOREIGN KEY (organization_id, order_id) REFERENCES orders.orders (organization_id, id) DEFERRABLE INITIALLY DEFERRED;
CALL tenancy.isolate('orders.idempotency_keys');
CALL tenancy.open_to_system('orders.idempotency_keys', 'select', 'delete');
GRANT SELECT, INSERT, DELETE ON orders.idempotency_keys TO holdfast_app;
GRANT UPDATE (state, lease_until, response_status, response_body) ON orders.idempotency_keys TO holdfast_app;
GRANT SELECT, DELETE ON orders.idempotency_keys TO holdfast_system;

-- Claims a key for the caller's transaction. NULL: it is yours. {"outcome": "busy"}: another transaction is claiming it
-- at this moment (a try-lock answers at once where a second INSERT would wait for the first to commit).
-- {"outcome": "claimed", ...}: it was used before, and this is what it led to.
CREATE FUNCTION orders.claim_key(p_organization_id uuid, p_claim jsonb, p_order_id uuid, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    earlier jsonb;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended(
        concat_ws('/', p_organization_id, p_claim ->> 'caller', p_claim ->> 'operation', p_claim ->> 'key'), 0))
    THEN
        RETURN jsonb_build_object('outcome', 'busy');
    END IF;
    SELECT jsonb_build_object('outcome', 'claimed', 'fingerprint', k.fingerprint, 'state', k.state, 'lease_until', k.lease_until,
                              'order_id', k.order_id, 'status', k.response_status, 'body', k.response_body)
      INTO earlier
      FROM orders.idempotency_keys k
     WHERE k.organization_id = p_organization_id AND k.caller = p_claim ->> 'caller'
       AND k.operation = p_claim ->> 'operation' AND k.key = p_claim ->> 'key';
    IF earlier IS NOT NULL THEN
        RETURN earlier;
    END IF;
    INSERT INTO orders.idempotency_keys (organization_id, caller, operation, key, fingerprint, lease_until, order_id, created_at, expires_at)
    VALUES (p_organization_id, p_claim ->> 'caller', p_claim ->> 'operation', p_claim ->> 'key', p_claim ->> 'fingerprint',
            (p_claim ->> 'lease_until')::timestamptz, p_order_id, p_now, (p_claim ->> 'expires_at')::timestamptz);
    RETURN NULL;
END
$$;
GRANT EXECUTE ON FUNCTION orders.claim_key(uuid, jsonb, uuid, timestamptz) TO holdfast_app;
