-- The books of a day: what orders, payments and gateways say of the same money, and where they differ.

-- A row per organization, UTC day and currency. What was asked for at the gateways is summed beside what is known here
-- of the same payments, so that the two can be compared; a gateway that cannot be asked is in neither.
CREATE TABLE payments.money_report_daily (
    organization_id uuid NOT NULL,
    day date NOT NULL,
    currency char(3) NOT NULL,
    orders integer NOT NULL DEFAULT 0, -- of the day that stand
    orders_total bigint NOT NULL DEFAULT 0,
    captured bigint NOT NULL DEFAULT 0, -- of payments begun that day
    refunded bigint NOT NULL DEFAULT 0,
    charged_back bigint NOT NULL DEFAULT 0,
    asked integer NOT NULL DEFAULT 0, -- payments with news of that day that a gateway was asked about
    asked_captured bigint NOT NULL DEFAULT 0,
    asked_refunded bigint NOT NULL DEFAULT 0,
    gateway_captured bigint NOT NULL DEFAULT 0,
    gateway_refunded bigint NOT NULL DEFAULT 0,
    computed_at timestamptz NOT NULL,
    CONSTRAINT money_report_daily_pkey PRIMARY KEY (organization_id, day, currency),
    CONSTRAINT money_report_daily_currency_form CHECK (currency ~ '^[A-Z]{3}$')
);
CALL tenancy.isolate('payments.money_report_daily');
GRANT SELECT ON payments.money_report_daily TO holdfast_app;
GRANT SELECT, INSERT, UPDATE ON payments.money_report_daily TO holdfast_system;

-- How far the gateways were asked about a day: the last event whose payment was looked at.
CREATE TABLE payments.money_sweeps (
    organization_id uuid NOT NULL,
    day date NOT NULL,
    after_event_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT money_sweeps_pkey PRIMARY KEY (organization_id, day)
);
CALL tenancy.isolate('payments.money_sweeps');
GRANT SELECT ON payments.money_sweeps TO holdfast_app;
GRANT SELECT, INSERT, UPDATE ON payments.money_sweeps TO holdfast_system;

-- Where two of the three disagree. Open until a look finds it gone.
CREATE TABLE payments.money_differences (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    day date NOT NULL, -- first seen
    kind text NOT NULL,
    subject_id uuid NOT NULL, -- the order, payment or event it is about
    order_id uuid,
    payment_id uuid,
    ours bigint NOT NULL,
    gateways bigint, -- NULL: the gateway has no part in it, or knows nothing
    amount_at_risk bigint NOT NULL,
    currency char(3) NOT NULL,
    status text NOT NULL DEFAULT 'open',
    details text NOT NULL,
    resolution text,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    resolved_at timestamptz,
    CONSTRAINT money_differences_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT money_differences_kind CHECK (kind IN (
        'captured_without_live_order', 'confirmed_without_money', 'captured_differs', 'refunded_differs', 'status_differs',
        'gateway_unknown', 'unmatched_event', 'authorization_expiring', 'undecided_too_long')),
    CONSTRAINT money_differences_status CHECK (status IN ('open', 'resolved')),
    CONSTRAINT money_differences_resolved CHECK (
        (status = 'resolved') = (resolved_at IS NOT NULL) AND (status = 'resolved') = (resolution IS NOT NULL)),
    CONSTRAINT money_differences_at_risk_not_negative CHECK (amount_at_risk >= 0)
);
-- The same difference of the same thing is one open row, however often it is met.
CREATE UNIQUE INDEX money_differences_open_once ON payments.money_differences (organization_id, kind, subject_id) WHERE status = 'open';
-- named query: differences of a day
CREATE INDEX money_differences_of_day ON payments.money_differences (organization_id, day, id);
CALL tenancy.isolate('payments.money_differences');
GRANT SELECT ON payments.money_differences TO holdfast_app;
GRANT SELECT, INSERT, UPDATE ON payments.money_differences TO holdfast_system;
