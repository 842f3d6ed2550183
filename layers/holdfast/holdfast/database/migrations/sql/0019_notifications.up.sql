-- What shoppers are told, and which addresses take no more mail.

CREATE SCHEMA notifications;
GRANT USAGE ON SCHEMA notifications TO holdfast_app, holdfast_system;

-- One row for each mail that is owed to somebody: once for what it tells of (an event, or a shipment) and its kind. It
-- says of whom and of what; the words are made of the order as it is when it is sent. The mail's Message-ID is made of
-- the row's id: every attempt is the same mail.
-- No foreign key leads to the order: it moves to the archive, and its mails go after their own time.
CREATE TABLE notifications.messages (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    subject_id uuid NOT NULL, -- the event of the outbox, or the shipment
    kind text NOT NULL,
    order_id uuid NOT NULL,
    shipment_id uuid,
    refund_id uuid,
    recipient text, -- where the last attempt went. NULL: none yet, or forgotten on request
    language text,
    status text NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz, -- of what waits: when it is due; of what is being sent: when somebody else may
    provider_id text,
    last_error text,
    feedback text, -- what the mail service told of it afterwards
    feedback_at timestamptz,
    resends integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    sent_at timestamptz,
    updated_at timestamptz,
    CONSTRAINT messages_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT messages_once UNIQUE (organization_id, subject_id, kind),
    CONSTRAINT messages_kind CHECK (kind IN (
        'order_confirmed', 'payment_failed', 'shipment_shipped', 'shipment_delivered', 'order_refunded', 'address_check',
        'address_reminder', 'order_cancelled', 'late_payment_returned')),
    CONSTRAINT messages_status CHECK (status IN ('pending', 'sending', 'sent', 'failed', 'suppressed', 'skipped')),
    CONSTRAINT messages_feedback CHECK (feedback IN ('bounced', 'bounced_for_now', 'complained')),
    CONSTRAINT messages_feedback_has_instant CHECK ((feedback IS NULL) = (feedback_at IS NULL)),
    CONSTRAINT messages_due_while_open CHECK ((status IN ('pending', 'sending')) = (next_attempt_at IS NOT NULL)),
    CONSTRAINT messages_sent_is_proven CHECK (status <> 'sent' OR (sent_at IS NOT NULL AND provider_id IS NOT NULL)),
    CONSTRAINT messages_of_a_shipment_name_it CHECK ((kind IN ('shipment_shipped', 'shipment_delivered')) = (shipment_id IS NOT NULL)),
    CONSTRAINT messages_attempts_not_negative CHECK (attempts >= 0 AND resends >= 0)
) WITH (fillfactor = 80);
-- named query: messages that are due, over all tenants
CREATE INDEX messages_due ON notifications.messages (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
-- named query: messages of an order, newest first
CREATE INDEX messages_of_order ON notifications.messages (organization_id, order_id, id DESC);
-- named query: messages by status, newest first
CREATE INDEX messages_by_status ON notifications.messages (organization_id, status, id DESC);
-- named query: messages past their retention (ids are in order of time)
CREATE INDEX messages_age ON notifications.messages (id);
CREATE TRIGGER touch BEFORE UPDATE ON notifications.messages FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
-- What people do to a mail. Addresses stay out of the audit log: it records only what changed.
CREATE TRIGGER audit AFTER UPDATE OF resends ON notifications.messages FOR EACH ROW EXECUTE FUNCTION operations.audit('organization_id', 'id');
CALL tenancy.isolate('notifications.messages');
CALL tenancy.open_to_system('notifications.messages', 'select', 'delete');
GRANT SELECT ON notifications.messages TO holdfast_app;
GRANT UPDATE (status, attempts, next_attempt_at, last_error, resends) ON notifications.messages TO holdfast_app;
GRANT SELECT, INSERT, DELETE ON notifications.messages TO holdfast_system;
GRANT UPDATE (recipient, language, status, attempts, next_attempt_at, provider_id, last_error, feedback, feedback_at, sent_at)
    ON notifications.messages TO holdfast_system;

-- Addresses that gave a mail back for good, or whose owner called it unwanted. A person may lift that; the news that led
-- to it is known by its id, and coming again it does not undo what the person did.
CREATE TABLE notifications.suppressions (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    address text NOT NULL,
    reason text NOT NULL,
    message_id uuid NOT NULL,
    feedback_id text NOT NULL,
    created_at timestamptz NOT NULL,
    lifted_at timestamptz,
    lifted_by text,
    lift_reason text,
    CONSTRAINT suppressions_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT suppressions_organization_fkey FOREIGN KEY (organization_id) REFERENCES tenancy.organizations (id),
    CONSTRAINT suppressions_once UNIQUE (organization_id, feedback_id, address),
    CONSTRAINT suppressions_reason CHECK (reason IN ('bounce', 'complaint')),
    CONSTRAINT suppressions_address_is_lower_case CHECK (address = lower(address)),
    CONSTRAINT suppressions_lifted_says_by_whom_and_why CHECK (
        (lifted_at IS NULL) = (lifted_by IS NULL) AND (lifted_at IS NULL) = (lift_reason IS NULL))
);
-- An address is suppressed once. Named query: suppression of an address
CREATE UNIQUE INDEX suppressions_one_in_force ON notifications.suppressions (organization_id, address) WHERE lifted_at IS NULL;
-- named query: suppressions of an address, newest first, lifted ones included
CREATE INDEX suppressions_of_address ON notifications.suppressions (organization_id, address, id DESC);
CREATE TRIGGER audit AFTER UPDATE ON notifications.suppressions FOR EACH ROW EXECUTE FUNCTION operations.audit('organization_id', 'id');
CALL tenancy.isolate('notifications.suppressions');
GRANT SELECT ON notifications.suppressions TO holdfast_app;
GRANT UPDATE (lifted_at, lifted_by, lift_reason) ON notifications.suppressions TO holdfast_app;
GRANT SELECT, INSERT ON notifications.suppressions TO holdfast_system;
