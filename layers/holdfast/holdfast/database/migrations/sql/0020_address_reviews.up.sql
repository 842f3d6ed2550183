-- Reviews of addresses that could not be located: one for each time an order goes to address_review, by a deadline.

-- Why an address was not found is its failure's (addresses.geocode_failures); what is done about it is here.
CREATE TABLE addresses.reviews (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    nonce text NOT NULL, -- signed into its link, so that the link of an earlier review is none of this one
    timezone text NOT NULL, -- whose wall clock the deadline was counted on
    first_deadline_at timestamptz NOT NULL,
    deadline_at timestamptz NOT NULL,
    reminder_at timestamptz NOT NULL,
    reminded_at timestamptz,
    notified_at timestamptz,
    steps integer NOT NULL DEFAULT 0, -- how many are on record
    version integer NOT NULL DEFAULT 1, -- of what people did; a reminder leaves it alone
    resolved_at timestamptz,
    resolved_by text,
    created_at timestamptz NOT NULL, -- when it began
    CONSTRAINT reviews_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT reviews_order_fkey FOREIGN KEY (organization_id, order_id) REFERENCES orders.orders (organization_id, id),
    CONSTRAINT reviews_status CHECK (status IN ('pending', 'customer_contacted', 'corrected', 'resolved', 'cancelled')),
    CONSTRAINT reviews_resolved CHECK (
        (status IN ('corrected', 'resolved', 'cancelled')) = (resolved_at IS NOT NULL)
        AND (resolved_at IS NULL) = (resolved_by IS NULL)),
    CONSTRAINT reviews_nonce_form CHECK (nonce ~ '^[0-9a-f]{32}$'),
    CONSTRAINT reviews_reminded_before_the_deadline CHECK (reminder_at BETWEEN created_at AND deadline_at),
    -- As addresses/review_deadline.py has it.
    CONSTRAINT reviews_extended_within_bounds CHECK (deadline_at BETWEEN first_deadline_at AND first_deadline_at + interval '336 hours')
) WITH (fillfactor = 90);
-- An order has one review at a time.
CREATE UNIQUE INDEX reviews_one_open ON addresses.reviews (organization_id, order_id) WHERE resolved_at IS NULL;
-- named query: reviews of an order
CREATE INDEX reviews_of_order ON addresses.reviews (organization_id, order_id);
-- named query: open reviews by deadline; those past it, over all tenants (few are open: they are read as they lie)
CREATE INDEX reviews_open_by_deadline ON addresses.reviews (organization_id, deadline_at, id) WHERE resolved_at IS NULL;
-- named query: reviews by status and deadline
CREATE INDEX reviews_by_status ON addresses.reviews (organization_id, status, deadline_at, id);
-- named query: reminders that are due, over all tenants
CREATE INDEX reviews_to_remind ON addresses.reviews (reminder_at) WHERE resolved_at IS NULL AND reminded_at IS NULL;
CALL tenancy.isolate('addresses.reviews');
CALL tenancy.open_to_system('addresses.reviews', 'select');
GRANT SELECT, INSERT ON addresses.reviews TO holdfast_app, holdfast_system;
GRANT UPDATE (status, deadline_at, reminder_at, reminded_at, notified_at, steps, version, resolved_at, resolved_by)
    ON addresses.reviews TO holdfast_app, holdfast_system;

-- Everything that was done about a review, in order. Append-only.
CREATE TABLE addresses.review_steps (
    organization_id uuid NOT NULL,
    review_id uuid NOT NULL,
    sequence integer NOT NULL,
    step text NOT NULL,
    taken_by text NOT NULL,
    notes text,
    details jsonb NOT NULL DEFAULT '{}', -- instants and ids; no personal data
    created_at timestamptz NOT NULL,
    -- named query: steps of a review
    CONSTRAINT review_steps_pkey PRIMARY KEY (organization_id, review_id, sequence),
    CONSTRAINT review_steps_review_fkey FOREIGN KEY (organization_id, review_id) REFERENCES addresses.reviews (organization_id, id),
    CONSTRAINT review_steps_step CHECK (step IN (
        'begun', 'customer_contacted', 'reminded', 'extended', 'corrected', 'resolved', 'cancelled', 'expired')),
    CONSTRAINT review_steps_sequence_positive CHECK (sequence >= 1)
);
CALL tenancy.isolate('addresses.review_steps');
GRANT SELECT, INSERT ON addresses.review_steps TO holdfast_app, holdfast_system;

-- Puts a step on record. The review's row is written, so that steps of one review come one after the other.
CREATE FUNCTION addresses.take_review_step(
    p_organization_id uuid, p_review_id uuid, p_step text, p_notes text, p_details jsonb, p_now timestamptz, p_taken_by text
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_sequence integer;
BEGIN
    UPDATE addresses.reviews SET steps = steps + 1 WHERE organization_id = p_organization_id AND id = p_review_id
    RETURNING steps INTO STRICT v_sequence;
    INSERT INTO addresses.review_steps (organization_id, review_id, sequence, step, taken_by, notes, details, created_at)
    VALUES (p_organization_id, p_review_id, v_sequence, p_step, p_taken_by, p_notes, COALESCE(p_details, '{}'), p_now);
    RETURN v_sequence;
END
$$;

-- Begins the review of an order that goes to address_review, with the step that takes it there.
-- p: {id, nonce, timezone, deadline_at, reminder_at, details}
CREATE FUNCTION addresses.begin_review(p_organization_id uuid, p_order_id uuid, p_now timestamptz, p_actor text, p jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    INSERT INTO addresses.reviews (organization_id, id, order_id, nonce, timezone, first_deadline_at, deadline_at, reminder_at, created_at)
    VALUES (p_organization_id, (p ->> 'id')::uuid, p_order_id, p ->> 'nonce', p ->> 'timezone', (p ->> 'deadline_at')::timestamptz,
            (p ->> 'deadline_at')::timestamptz, (p ->> 'reminder_at')::timestamptz, p_now);
    PERFORM addresses.take_review_step(p_organization_id, (p ->> 'id')::uuid, 'begun', NULL, p -> 'details', p_now, p_actor);
END
$$;

-- Ends the review of an order that leaves address_review, whoever takes it away.
-- p: {status, step, notes, details}
CREATE FUNCTION addresses.end_review(p_organization_id uuid, p_order_id uuid, p_now timestamptz, p_actor text, p jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_review_id uuid;
BEGIN
    UPDATE addresses.reviews
       SET status = p ->> 'status', resolved_at = p_now, resolved_by = p_actor, version = version + 1
     WHERE organization_id = p_organization_id AND order_id = p_order_id AND resolved_at IS NULL
    RETURNING id INTO v_review_id;
    IF FOUND THEN
        PERFORM addresses.take_review_step(p_organization_id, v_review_id, p ->> 'step', p ->> 'notes', p -> 'details', p_now, p_actor);
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION addresses.take_review_step(uuid, uuid, text, text, jsonb, timestamptz, text),
    addresses.begin_review(uuid, uuid, timestamptz, text, jsonb), addresses.end_review(uuid, uuid, timestamptz, text, jsonb)
    TO holdfast_app, holdfast_system;
