-- One prepared event: the statements of flows/money/apply_payment_event.py in its two transactions, with a decision that
-- was made beforehand. Read first, so that the reading of the decision is the only thing here that ours does not do.
SELECT event_id, order_id, settlement FROM bench.work WHERE number = (SELECT nextval('bench.next')) \gset
BEGIN;
SELECT payments.claim_event(CAST(:organization AS uuid), CAST(:event_id AS uuid), now(), 90);
COMMIT;
BEGIN;
SELECT checkout.lock_order(CAST(:organization AS uuid), CAST(:order_id AS uuid));
SELECT checkout.settle(CAST(:organization AS uuid), CAST(:settlement AS jsonb));
COMMIT;
