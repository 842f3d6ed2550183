-- Payment events that every attempt failed: kept, classified by people's rules, worked on, replayed.

-- What people know of a kind of failure. The first active class that matches, by match_order, is a dead letter's.
CREATE TABLE payments.error_classes (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    match_order integer NOT NULL,
    active boolean NOT NULL DEFAULT true,
    class_name text NOT NULL,
    description text,
    event_type text, -- NULL: any
    gateway_pattern text, -- SQL LIKE; NULL: any
    failure_code_pattern text, -- SQL LIKE; NULL: any, also none
    message_keywords text[] NOT NULL DEFAULT '{}', -- all must appear in the failure's reason, whatever their case
    auto_replay_enabled boolean NOT NULL DEFAULT false,
    auto_replay_delay_seconds integer NOT NULL DEFAULT 300,
    min_confidence numeric(4, 1) NOT NULL DEFAULT 85.0,
    successful_replays integer NOT NULL DEFAULT 0,
    failed_replays integer NOT NULL DEFAULT 0,
    confidence numeric GENERATED ALWAYS AS ( -- in percent, cut off: never shown as more than it is
        CASE WHEN successful_replays + failed_replays > 0
             THEN trunc(100.0 * successful_replays / (successful_replays + failed_replays), 1) END) STORED,
    cooldown_until timestamptz,
    last_seen_at timestamptz,
    created_by text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT error_classes_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT error_classes_organization_fkey FOREIGN KEY (organization_id) REFERENCES tenancy.organizations (id),
    CONSTRAINT error_classes_match_order_unique UNIQUE (organization_id, match_order) DEFERRABLE, -- two may change places
    CONSTRAINT error_classes_class_name_unique UNIQUE (organization_id, class_name),
    CONSTRAINT error_classes_match_order_positive CHECK (match_order > 0),
    CONSTRAINT error_classes_event_type CHECK (event_type IN (
        'payment_initiated', 'payment_processing', 'authorization_requested', 'authorization_succeeded', 'authorization_failed',
        'authorization_expired', 'action_required', 'capture_requested', 'capture_succeeded', 'capture_failed',
        'cancellation_requested', 'cancellation_succeeded', 'cancellation_failed', 'refund_requested', 'refund_succeeded',
        'refund_failed', 'dispute_opened', 'dispute_updated', 'dispute_closed')),
    CONSTRAINT error_classes_delay_bounded CHECK (auto_replay_delay_seconds BETWEEN 0 AND 86400),
    CONSTRAINT error_classes_min_confidence_is_percent CHECK (min_confidence BETWEEN 0 AND 100),
    CONSTRAINT error_classes_counters_not_negative CHECK (successful_replays >= 0 AND failed_replays >= 0),
    CONSTRAINT error_classes_auto_replay_is_earned CHECK (NOT auto_replay_enabled OR (
        successful_replays >= 10 AND 100 * successful_replays >= min_confidence * (successful_replays + failed_replays)))
);
CREATE TRIGGER touch BEFORE UPDATE ON payments.error_classes FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
-- What people decide, not what the replays count.
CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF match_order, active, class_name, description, event_type, gateway_pattern,
    failure_code_pattern, message_keywords, auto_replay_enabled, auto_replay_delay_seconds, min_confidence
    ON payments.error_classes FOR EACH ROW EXECUTE FUNCTION operations.audit('organization_id', 'id');
CALL tenancy.isolate('payments.error_classes');
GRANT SELECT, INSERT, UPDATE ON payments.error_classes TO holdfast_app, holdfast_system;

-- One row for an event that was given up, however often it is given up again. The event keeps its type and its payload.
CREATE TABLE payments.dead_letters (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    event_id uuid NOT NULL,
    payment_id uuid,
    gateway text NOT NULL,
    event_type text NOT NULL,
    payload jsonb NOT NULL,
    failure_reason text NOT NULL, -- the exception's class and text
    failure_code text, -- the code of the gateway or of our error, if there was one
    fingerprint text NOT NULL, -- event type, gateway code, exception class and first frame of ours: equal ones are one trouble
    error_class_id uuid,
    attempts integer NOT NULL,
    status text NOT NULL,
    priority text NOT NULL,
    urgency integer GENERATED ALWAYS AS ( -- the priority as a number to order by, the most urgent first
        CASE priority WHEN 'critical' THEN 1 WHEN 'high' THEN 2 WHEN 'medium' THEN 3 ELSE 4 END) STORED,
    assigned_to text,
    replay_at timestamptz, -- when it replays by itself
    replays integer NOT NULL DEFAULT 0,
    replay_lease_until timestamptz, -- somebody replays it now; past: that replay died
    last_replayed_at timestamptz,
    was_auto_replayed boolean NOT NULL DEFAULT false, -- how the last replay came about
    alerted_at timestamptz,
    resolved_at timestamptz,
    resolution_notes text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT dead_letters_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT dead_letters_once UNIQUE (organization_id, event_id),
    CONSTRAINT dead_letters_event_fkey FOREIGN KEY (organization_id, event_id) REFERENCES payments.payment_events (organization_id, id),
    CONSTRAINT dead_letters_error_class_fkey FOREIGN KEY (organization_id, error_class_id) REFERENCES payments.error_classes (organization_id, id),
    CONSTRAINT dead_letters_status CHECK (status IN (
        'pending_classification', 'pending_review', 'investigating', 'auto_replay_scheduled', 'ready_for_replay', 'replayed', 'discarded')),
    CONSTRAINT dead_letters_priority CHECK (priority IN ('low', 'medium', 'high', 'critical')),
    CONSTRAINT dead_letters_scheduled_has_time CHECK ((status = 'auto_replay_scheduled') = (replay_at IS NOT NULL)),
    CONSTRAINT dead_letters_resolved CHECK ((status IN ('replayed', 'discarded')) = (resolved_at IS NOT NULL)),
    CONSTRAINT dead_letters_discarded_says_why CHECK (status <> 'discarded' OR resolution_notes IS NOT NULL),
    CONSTRAINT dead_letters_no_end_during_a_replay CHECK (resolved_at IS NULL OR replay_lease_until IS NULL),
    CONSTRAINT dead_letters_replays_not_negative CHECK (replays >= 0)
);
-- named query: dead letters as a queue by status and priority
CREATE INDEX dead_letters_queue ON payments.dead_letters (organization_id, status, urgency, id);
-- named query: dead letters of a class
CREATE INDEX dead_letters_of_class ON payments.dead_letters (organization_id, error_class_id, status, urgency, id)
    WHERE error_class_id IS NOT NULL;
-- named query: dead letters of an assignee
CREATE INDEX dead_letters_of_assignee ON payments.dead_letters (organization_id, assigned_to, status, urgency, id)
    WHERE assigned_to IS NOT NULL;
-- named query: dead letters of one trouble
CREATE INDEX dead_letters_of_fingerprint ON payments.dead_letters (organization_id, fingerprint, id);
-- named query: dead letters that replay by themselves and are due, over all tenants
CREATE INDEX dead_letters_to_replay ON payments.dead_letters (replay_at) WHERE replay_at IS NOT NULL;
-- named query: dead letters whose alert was not sent, over all tenants. Nobody is called for one that replays by itself
CREATE INDEX dead_letters_to_alert ON payments.dead_letters (created_at)
    WHERE alerted_at IS NULL AND priority IN ('critical', 'high') AND status IN ('pending_classification', 'pending_review');
-- named query: dead letters that are open, over all tenants
CREATE INDEX dead_letters_open ON payments.dead_letters (id) WHERE resolved_at IS NULL;
-- named query: dead letters resolved since an instant, over all tenants
CREATE INDEX dead_letters_resolved_at ON payments.dead_letters (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE TRIGGER touch BEFORE UPDATE ON payments.dead_letters FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('payments.dead_letters');
CALL tenancy.open_to_system('payments.dead_letters', 'select');
GRANT SELECT, INSERT, UPDATE ON payments.dead_letters TO holdfast_app, holdfast_system;

-- Append-only: each step of a dead letter, by whom and why.
CREATE TABLE payments.dead_letter_history (
    organization_id uuid NOT NULL,
    dead_letter_id uuid NOT NULL,
    sequence integer NOT NULL,
    action text NOT NULL,
    from_status text,
    to_status text NOT NULL,
    changed_by text NOT NULL,
    notes text,
    created_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT dead_letter_history_pkey PRIMARY KEY (organization_id, dead_letter_id, sequence),
    CONSTRAINT dead_letter_history_dead_letter_fkey FOREIGN KEY (organization_id, dead_letter_id)
        REFERENCES payments.dead_letters (organization_id, id),
    CONSTRAINT dead_letter_history_action CHECK (action IN (
        'dead_lettered', 'classified', 'assigned', 'investigated', 'made_ready', 'auto_replay_scheduled', 'replay_began',
        'replay_failed', 'replayed', 'discarded')),
    CONSTRAINT dead_letter_history_sequence_positive CHECK (sequence >= 1)
);
CALL tenancy.isolate('payments.dead_letter_history');
GRANT SELECT, INSERT ON payments.dead_letter_history TO holdfast_app, holdfast_system;

-- A row per organization and UTC day, kept by the replaying schedule.
CREATE TABLE payments.dlq_metrics_daily (
    organization_id uuid NOT NULL,
    day date NOT NULL,
    counts_by_status jsonb NOT NULL, -- of the open ones, as they stood at the day's last count
    created integer NOT NULL,
    replayed integer NOT NULL,
    auto_replayed integer NOT NULL,
    discarded integer NOT NULL,
    average_resolution_hours numeric, -- of those resolved that day
    critical_open integer NOT NULL,
    counted_at timestamptz NOT NULL,
    CONSTRAINT dlq_metrics_daily_pkey PRIMARY KEY (organization_id, day)
);
CALL tenancy.isolate('payments.dlq_metrics_daily');
GRANT SELECT ON payments.dlq_metrics_daily TO holdfast_app;
GRANT SELECT, INSERT, UPDATE ON payments.dlq_metrics_daily TO holdfast_system;

-- The replay of a whole group at a bounded rate: asked for by a person, done slice by slice, stopped by the first relapse.
CREATE TABLE payments.group_replays (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    fingerprint text NOT NULL,
    per_minute integer NOT NULL,
    max_replays integer NOT NULL,
    replayed integer NOT NULL DEFAULT 0,
    skipped integer NOT NULL DEFAULT 0, -- in somebody else's hands when their turn came
    after_id uuid, -- the dead letter whose turn came last
    state text NOT NULL DEFAULT 'running',
    relapsed_id uuid, -- the dead letter that failed again
    last_error text,
    requested_by text NOT NULL,
    next_at timestamptz NOT NULL, -- when the next slice may begin; while a slice runs, a minute after it began
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT group_replays_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT group_replays_organization_fkey FOREIGN KEY (organization_id) REFERENCES tenancy.organizations (id),
    CONSTRAINT group_replays_state CHECK (state IN ('running', 'finished', 'stopped', 'cancelled')),
    CONSTRAINT group_replays_finished CHECK ((state = 'running') = (finished_at IS NULL)),
    CONSTRAINT group_replays_rate_bounded CHECK (per_minute BETWEEN 1 AND 600),
    CONSTRAINT group_replays_bounded CHECK (max_replays BETWEEN 1 AND 10000 AND replayed BETWEEN 0 AND max_replays AND skipped >= 0)
);
-- A group is replayed once at a time.
CREATE UNIQUE INDEX group_replays_one_running ON payments.group_replays (organization_id, fingerprint) WHERE state = 'running';
-- named query: group replays that are due, over all tenants
CREATE INDEX group_replays_due ON payments.group_replays (next_at) WHERE state = 'running';
CREATE TRIGGER touch BEFORE UPDATE ON payments.group_replays FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('payments.group_replays');
CALL tenancy.open_to_system('payments.group_replays', 'select');
GRANT SELECT, INSERT, UPDATE ON payments.group_replays TO holdfast_app, holdfast_system;
