-- Money: payments, every event about them, refunds, disputes.

CREATE TABLE payments.payments (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    attempt integer NOT NULL,
    gateway text NOT NULL,
    gateway_account_id uuid NOT NULL,
    gateway_transaction_id text,
    gateway_customer_id text,
    method_token text, -- a gateway's token, never card data; needed to repeat the call under the same key
    method text,
    brand text,
    last_four text,
    amount bigint NOT NULL,
    captured_amount bigint NOT NULL DEFAULT 0,
    capturable_amount bigint NOT NULL DEFAULT 0, -- what is still held: authorized, and neither captured nor let go
    refunded_amount bigint NOT NULL DEFAULT 0,
    refunding_amount bigint NOT NULL DEFAULT 0,
    charged_back_amount bigint NOT NULL DEFAULT 0, -- what lost disputes took of what was captured and not given back
    currency char(3) NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    facts jsonb NOT NULL DEFAULT '{}', -- the join of everything heard about the payment; status is derived from it
    capture_now boolean NOT NULL DEFAULT true,
    save_method boolean NOT NULL DEFAULT false, -- the shopper agreed that the method is kept for later
    client_action jsonb, -- what the shopper's client needs while the gateway wants the shopper
    failure_code text,
    failure_message text,
    idempotency_key text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    authorization_expires_at timestamptz,
    authorized_at timestamptz,
    captured_at timestamptz,
    failed_at timestamptz,
    refunded_at timestamptz,
    next_check_at timestamptz, -- when the watchdog looks next; NULL: nothing is awaited
    checks integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT payments_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT payments_order_fkey FOREIGN KEY (organization_id, order_id) REFERENCES orders.orders (organization_id, id),
    CONSTRAINT payments_gateway_account_fkey FOREIGN KEY (organization_id, gateway_account_id) REFERENCES tenancy.gateway_accounts (organization_id, id),
    -- named query: payments of an order
    CONSTRAINT payments_attempt_unique UNIQUE (organization_id, order_id, attempt),
    CONSTRAINT payments_idempotency_key_unique UNIQUE (organization_id, idempotency_key),
    CONSTRAINT payments_gateway CHECK (gateway IN ('stripe', 'paypal', 'square', 'adyen')),
    CONSTRAINT payments_status CHECK (status IN (
        'pending', 'processing', 'requires_action', 'authorized', 'captured', 'partially_refunded', 'refunded', 'failed', 'cancelled')),
    CONSTRAINT payments_amount_positive CHECK (amount > 0),
    CONSTRAINT payments_attempt_positive CHECK (attempt > 0),
    CONSTRAINT payments_captured_within_amount CHECK (captured_amount BETWEEN 0 AND amount),
    CONSTRAINT payments_captures_within_amount CHECK (capturable_amount >= 0 AND captured_amount + capturable_amount <= amount),
    CONSTRAINT payments_refunds_within_captured CHECK (
        refunded_amount >= 0 AND refunding_amount >= 0 AND charged_back_amount >= 0
        AND refunded_amount + refunding_amount + charged_back_amount <= captured_amount),
    CONSTRAINT payments_currency_form CHECK (currency ~ '^[A-Z]{3}$')
) WITH (fillfactor = 70);
-- An order has one open attempt at a time: two cards at once would be two charges.
CREATE UNIQUE INDEX payments_one_open_attempt ON payments.payments (organization_id, order_id)
    WHERE status IN ('pending', 'processing', 'requires_action');
-- named query: payment by gateway id
CREATE UNIQUE INDEX payments_by_gateway_id ON payments.payments (organization_id, gateway_account_id, gateway_transaction_id)
    WHERE gateway_transaction_id IS NOT NULL;
-- named query: payments pending too long, over all tenants
CREATE INDEX payments_to_check ON payments.payments (next_check_at) WHERE next_check_at IS NOT NULL;
-- named query: authorizations about to expire, over all tenants
CREATE INDEX payments_expiring_authorizations ON payments.payments (authorization_expires_at) WHERE capturable_amount > 0;
CREATE TRIGGER touch BEFORE UPDATE ON payments.payments FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('payments.payments');
CALL tenancy.open_to_system('payments.payments', 'select');
GRANT SELECT, INSERT ON payments.payments TO holdfast_app;
GRANT SELECT ON payments.payments TO holdfast_system;
GRANT UPDATE (gateway_transaction_id, gateway_customer_id, method_token, method, brand, last_four, captured_amount, capturable_amount,
    refunded_amount, refunding_amount, charged_back_amount, status, facts, client_action, failure_code, failure_message, metadata, authorization_expires_at, authorized_at,
    captured_at, failed_at, refunded_at, next_check_at, checks, updated_at) ON payments.payments TO holdfast_app, holdfast_system;

-- Append-only but for the processing columns. An event's type and payload are never overwritten.
CREATE TABLE payments.payment_events (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    payment_id uuid, -- NULL while unmatched
    gateway text NOT NULL,
    gateway_account_id uuid NOT NULL,
    gateway_event_id text NOT NULL,
    gateway_transaction_id text,
    event_type text, -- NULL: a type that nothing is done about, kept all the same
    gateway_event_type text NOT NULL,
    news jsonb NOT NULL, -- what the event says, in the domain's words
    payload jsonb NOT NULL, -- what the gateway sent
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    correlation_id text,
    state text NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    last_error text,
    processed_at timestamptz,
    CONSTRAINT payment_events_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT payment_events_once UNIQUE (organization_id, gateway_account_id, gateway_event_id),
    CONSTRAINT payment_events_payment_fkey FOREIGN KEY (organization_id, payment_id) REFERENCES payments.payments (organization_id, id),
    CONSTRAINT payment_events_event_type CHECK (event_type IN (
        'payment_initiated', 'payment_processing', 'authorization_requested', 'authorization_succeeded', 'authorization_failed',
        'authorization_expired', 'action_required', 'capture_requested', 'capture_succeeded', 'capture_failed',
        'cancellation_requested', 'cancellation_succeeded', 'cancellation_failed', 'refund_requested', 'refund_succeeded',
        'refund_failed', 'dispute_opened', 'dispute_updated', 'dispute_closed')),
    CONSTRAINT payment_events_state CHECK (state IN ('pending', 'processed', 'retry_scheduled', 'dead_lettered', 'ignored')),
    CONSTRAINT payment_events_untyped_is_ignored CHECK (event_type IS NOT NULL OR state = 'ignored'),
    CONSTRAINT payment_events_attempts_not_negative CHECK (attempts >= 0)
) WITH (fillfactor = 80);
-- named query: payment events unprocessed and due, over all tenants
CREATE INDEX payment_events_due ON payments.payment_events (next_attempt_at) WHERE state IN ('pending', 'retry_scheduled');
-- named query: events of a payment
CREATE INDEX payment_events_of_payment ON payments.payment_events (organization_id, payment_id, id) WHERE payment_id IS NOT NULL;
-- named query: an account's last webhook
CREATE INDEX payment_events_webhooks ON payments.payment_events (organization_id, gateway_account_id, received_at)
    WHERE gateway_event_type <> 'answer';
-- named query: payment events unmatched
CREATE INDEX payment_events_unmatched ON payments.payment_events (organization_id, id) WHERE payment_id IS NULL;
CALL tenancy.isolate('payments.payment_events');
CALL tenancy.open_to_system('payments.payment_events', 'select');
GRANT SELECT, INSERT ON payments.payment_events TO holdfast_app, holdfast_system;
GRANT UPDATE (payment_id, state, attempts, next_attempt_at, last_error, processed_at) ON payments.payment_events TO holdfast_app, holdfast_system;

CREATE TABLE payments.refunds (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    amount bigint NOT NULL,
    shipping_amount bigint NOT NULL DEFAULT 0,
    currency char(3) NOT NULL,
    reason text NOT NULL,
    is_full_refund boolean NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    gateway_refund_id text,
    gateway_capture_id text, -- the capture it gives back, at a gateway whose refunds are each of one capture
    failure_code text,
    notes text,
    request_key text, -- the Idempotency-Key it was asked for under: an interrupted request finds its refunds by it
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    completed_at timestamptz,
    CONSTRAINT refunds_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT refunds_order_fkey FOREIGN KEY (organization_id, order_id) REFERENCES orders.orders (organization_id, id),
    CONSTRAINT refunds_payment_fkey FOREIGN KEY (organization_id, payment_id) REFERENCES payments.payments (organization_id, id),
    CONSTRAINT refunds_amount_positive CHECK (amount > 0),
    CONSTRAINT refunds_shipping_within_amount CHECK (shipping_amount BETWEEN 0 AND amount),
    CONSTRAINT refunds_reason CHECK (reason IN ('customer_request', 'fraud', 'duplicate', 'product_issue', 'damaged', 'late_payment', 'price_difference', 'other')),
    CONSTRAINT refunds_status CHECK (status IN ('pending', 'processing', 'succeeded', 'failed', 'cancelled'))
);
-- named query: refunds of an order
CREATE INDEX refunds_of_order ON payments.refunds (organization_id, order_id);
-- named query: refunds of a payment
CREATE INDEX refunds_of_payment ON payments.refunds (organization_id, payment_id);
-- named query: refunds pending, over all tenants
CREATE INDEX refunds_pending ON payments.refunds (created_at) WHERE status IN ('pending', 'processing');
-- A refund of the gateway is one row.
CREATE UNIQUE INDEX refunds_by_gateway_id ON payments.refunds (organization_id, payment_id, gateway_refund_id) WHERE gateway_refund_id IS NOT NULL;
CREATE TRIGGER touch BEFORE UPDATE ON payments.refunds FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('payments.refunds');
CALL tenancy.open_to_system('payments.refunds', 'select');
GRANT SELECT, INSERT, UPDATE ON payments.refunds TO holdfast_app, holdfast_system;

CREATE TABLE payments.refund_items (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    refund_id uuid NOT NULL,
    order_item_id uuid NOT NULL,
    quantity integer NOT NULL, -- 0: the rest of a line's money, from another payment than its units
    worth bigint NOT NULL, -- what the units cost the shopper; the next refund of the line counts on from it
    amount bigint NOT NULL, -- what of it goes back: less, where the shop keeps a fee
    restock boolean NOT NULL DEFAULT false,
    restock_reason text, -- NULL: nobody said where the goods are
    unshipped_quantity integer NOT NULL DEFAULT 0, -- how many of the units had not left when it was asked for: they stay
    CONSTRAINT refund_items_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT refund_items_refund_fkey FOREIGN KEY (organization_id, refund_id) REFERENCES payments.refunds (organization_id, id),
    CONSTRAINT refund_items_order_item_fkey FOREIGN KEY (organization_id, order_item_id) REFERENCES orders.order_items (organization_id, id),
    CONSTRAINT refund_items_quantity_not_negative CHECK (quantity >= 0),
    CONSTRAINT refund_items_unshipped_within_quantity CHECK (unshipped_quantity BETWEEN 0 AND quantity),
    CONSTRAINT refund_items_amount_within_worth CHECK (amount BETWEEN 0 AND worth),
    CONSTRAINT refund_items_say_something CHECK (quantity > 0 OR worth > 0),
    CONSTRAINT refund_items_restock_reason CHECK (restock_reason IN ('resellable', 'damaged', 'customer_kept', 'other')),
    CONSTRAINT refund_items_only_resellable_goes_back CHECK (NOT restock OR restock_reason = 'resellable')
);
-- named query: items of a refund
CREATE INDEX refund_items_of_refund ON payments.refund_items (organization_id, refund_id);
-- named query: refunds of an item
CREATE INDEX refund_items_of_order_item ON payments.refund_items (organization_id, order_item_id);
CALL tenancy.isolate('payments.refund_items');
GRANT SELECT, INSERT ON payments.refund_items TO holdfast_app, holdfast_system;

CREATE TABLE payments.disputes (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    payment_id uuid NOT NULL,
    gateway_dispute_id text NOT NULL,
    reason text,
    amount bigint NOT NULL,
    lost_amount bigint NOT NULL DEFAULT 0, -- what the gateway took back by it; it may have been refunded before
    currency char(3) NOT NULL,
    status text NOT NULL,
    due_at timestamptz,
    outcome text,
    closed_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT disputes_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT disputes_payment_fkey FOREIGN KEY (organization_id, payment_id) REFERENCES payments.payments (organization_id, id),
    CONSTRAINT disputes_once UNIQUE (organization_id, payment_id, gateway_dispute_id),
    CONSTRAINT disputes_amount_not_negative CHECK (amount >= 0 AND lost_amount >= 0),
    CONSTRAINT disputes_closed CHECK ((status = 'closed') = (closed_at IS NOT NULL)),
    CONSTRAINT disputes_open_is_undecided CHECK (status = 'closed' OR lost_amount = 0),
    CONSTRAINT disputes_status CHECK (status IN ('opened', 'under_review', 'closed')),
    CONSTRAINT disputes_outcome CHECK (outcome IN ('won', 'lost', 'withdrawn'))
);
-- named query: disputes by status, newest first
CREATE INDEX disputes_by_status ON payments.disputes (organization_id, status, id DESC);
CREATE TRIGGER touch BEFORE UPDATE ON payments.disputes FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('payments.disputes');
GRANT SELECT, INSERT, UPDATE ON payments.disputes TO holdfast_app, holdfast_system;

-- Operations of several steps (a cancellation whose money follows) that resume where they were interrupted.
CREATE TABLE orders.order_operations (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    payment_id uuid,
    operation text NOT NULL,
    subject_id uuid, -- what it is about, if not the payment as a whole: a refund; a shipment, for a capture
    amount bigint, -- how much of the payment, if not all; minor units of its currency
    is_final boolean NOT NULL DEFAULT true, -- a capture: no other follows, and what is left is let go
    gateway_id text, -- a capture: what the gateway calls it, once it has said so
    request_key text, -- the Idempotency-Key it was asked for under: an interrupted request finds its operation by it
    state text NOT NULL DEFAULT 'running',
    reason text,
    requested_by text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    last_error text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT order_operations_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT order_operations_order_fkey FOREIGN KEY (organization_id, order_id) REFERENCES orders.orders (organization_id, id),
    CONSTRAINT order_operations_operation CHECK (operation IN ('return_money', 'refund', 'capture')),
    CONSTRAINT order_operations_state CHECK (state IN ('running', 'done', 'failed')),
    CONSTRAINT order_operations_capture_says_how_much CHECK (
        operation <> 'capture' OR (payment_id IS NOT NULL AND amount IS NOT NULL AND amount > 0)),
    CONSTRAINT order_operations_finished CHECK ((state = 'running') = (finished_at IS NULL))
);
-- named query: operations of an order
CREATE INDEX order_operations_of_order ON orders.order_operations (organization_id, order_id);
-- The same step of the same order is owed once at a time. Those that are due are found here too: few are running.
CREATE UNIQUE INDEX order_operations_one_running ON orders.order_operations (organization_id, order_id, operation, payment_id, subject_id)
    NULLS NOT DISTINCT WHERE state = 'running';
-- A shipment, or whatever a capture is for, is captured once: also after a crash, and by whoever asks.
CREATE UNIQUE INDEX order_operations_one_capture_of_a_subject ON orders.order_operations (organization_id, payment_id, subject_id)
    WHERE operation = 'capture' AND state IN ('running', 'done') AND subject_id IS NOT NULL;
CREATE TRIGGER touch BEFORE UPDATE ON orders.order_operations FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('orders.order_operations');
CALL tenancy.open_to_system('orders.order_operations', 'select');
GRANT SELECT, INSERT, UPDATE ON orders.order_operations TO holdfast_app, holdfast_system;
