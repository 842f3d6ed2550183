-- Rows that were erased meanwhile stay as they are.
ALTER TABLE payments.dead_letters
    DROP CONSTRAINT dead_letters_discarded_says_why,
    ADD CONSTRAINT dead_letters_discarded_says_why CHECK (status <> 'discarded' OR resolution_notes IS NOT NULL) NOT VALID;
ALTER TABLE addresses.reviews
    DROP CONSTRAINT reviews_resolved,
    ADD CONSTRAINT reviews_resolved CHECK (
        (status IN ('corrected', 'resolved', 'cancelled')) = (resolved_at IS NOT NULL) AND (resolved_at IS NULL) = (resolved_by IS NULL)
    ) NOT VALID,
    DROP CONSTRAINT reviews_nonce_form,
    ADD CONSTRAINT reviews_nonce_form CHECK (nonce ~ '^[0-9a-f]{32}$') NOT VALID;
