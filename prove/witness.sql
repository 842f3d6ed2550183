-- What stands beside the product's own tables while it is proved: witnesses that see every committed change and know
-- nothing of the guards, a way to break events, and what the outside world saw, for the report to compare with.

CREATE SCHEMA prove;

CREATE TABLE prove.seen (rule text NOT NULL, subject uuid, detail jsonb NOT NULL);

CREATE FUNCTION prove.see_payment() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (SELECT count(*) FROM payments.payments p
         WHERE p.organization_id = NEW.organization_id AND p.order_id = NEW.order_id
           AND p.status IN ('pending', 'processing', 'requires_action')) > 1
    THEN
        INSERT INTO prove.seen VALUES ('two attempts were open', NEW.order_id, jsonb_build_object('attempt', NEW.attempt));
    END IF;
    IF NEW.refunded_amount + NEW.refunding_amount + NEW.charged_back_amount > NEW.captured_amount OR NEW.captured_amount > NEW.amount THEN
        INSERT INTO prove.seen VALUES ('more money went than came', NEW.id, to_jsonb(NEW) - 'facts');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER prove_see AFTER INSERT OR UPDATE ON payments.payments FOR EACH ROW EXECUTE FUNCTION prove.see_payment();

-- At the end of its transaction, for a refund and its payment are written one after the other. What was forgotten here
-- and is learned again from a webhook was forgotten all the same.
CREATE FUNCTION prove.see_refunds() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    counted bigint := (SELECT p.refunded_amount FROM payments.payments p WHERE p.organization_id = NEW.organization_id AND p.id = NEW.id);
    given bigint := (SELECT COALESCE(sum(r.amount), 0) FROM payments.refunds r
                      WHERE r.organization_id = NEW.organization_id AND r.payment_id = NEW.id AND r.status = 'succeeded');
BEGIN
    IF counted <> given THEN
        INSERT INTO prove.seen VALUES ('a refund was not counted', NEW.id, jsonb_build_object('counted', counted, 'given', given));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER prove_see_refunds AFTER INSERT OR UPDATE ON payments.payments DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION prove.see_refunds();

CREATE FUNCTION prove.see_level() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.reserved > NEW.on_hand OR NEW.reserved < 0 OR NEW.on_hand < 0 THEN
        INSERT INTO prove.seen VALUES ('a level was oversold', NEW.variant_id,
                                       jsonb_build_object('on_hand', NEW.on_hand, 'reserved', NEW.reserved));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER prove_see AFTER INSERT OR UPDATE ON inventory.stock_levels FOR EACH ROW EXECUTE FUNCTION prove.see_level();

-- An event that is named here cannot be marked processed: its work is rolled back, its attempt is not.
-- With 23514 it is tried again and again; 22021 is what no retry cures: it is given up at once.
CREATE TABLE prove.breakage (gateway_event_id text PRIMARY KEY, code text NOT NULL);
CREATE FUNCTION prove.break_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    broken text := (SELECT b.code FROM prove.breakage b WHERE b.gateway_event_id = NEW.gateway_event_id);
BEGIN
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'The ledger is closed' USING ERRCODE = broken, CONSTRAINT = 'ledger_closed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER prove_break BEFORE UPDATE ON payments.payment_events FOR EACH ROW
    WHEN (NEW.state = 'processed') EXECUTE FUNCTION prove.break_event();

-- What the gateway says of each attempt, in minor units.
CREATE TABLE prove.at_gateway (
    transaction_id text PRIMARY KEY, payment_id uuid, order_id uuid, status text NOT NULL, charges_captured integer NOT NULL,
    captured bigint NOT NULL, refunded bigint NOT NULL, held bigint NOT NULL);
CREATE TABLE prove.refunds_at_gateway (id text PRIMARY KEY, refund_id uuid, amount bigint NOT NULL, status text NOT NULL);
-- Events that were tried for as long as it takes, and neither processed nor given up.
CREATE TABLE prove.tried_for_ever (event_id uuid NOT NULL, state text NOT NULL, attempts integer NOT NULL);
-- Every webhook that was answered with a 2xx.
CREATE TABLE prove.acknowledged (gateway_event_id text NOT NULL);
-- Every message that the bus took.
CREATE TABLE prove.published (id uuid NOT NULL, aggregate_id uuid NOT NULL, sequence integer NOT NULL, topic text NOT NULL);
-- Every mail that the mail service took: whether its sender could not say so, and whether its shopper had refused more.
CREATE TABLE prove.mails (message_id uuid NOT NULL, recipient text NOT NULL, is_orphan boolean NOT NULL, is_unwanted boolean NOT NULL);
-- Every order there ever was, and those in the archive that a bank asked about.
CREATE TABLE prove.known_orders (id uuid PRIMARY KEY);
CREATE TABLE prove.late_news (order_id uuid NOT NULL);
-- Every answer that a caller got under an Idempotency-Key.
CREATE TABLE prove.answers (caller text NOT NULL, operation text NOT NULL, key text NOT NULL, status integer NOT NULL, body text NOT NULL);
-- Who waited for whom, of each deadlock.
CREATE TABLE prove.deadlocks (waiting text NOT NULL);
-- What a step raised that no caller is told about.
CREATE TABLE prove.surprises (move integer NOT NULL, step text NOT NULL, error text NOT NULL, detail text NOT NULL);
-- Successes that error classes were given, for ten replays take longer than a plan.
CREATE TABLE prove.merits (class_id uuid NOT NULL, successes integer NOT NULL);
-- Every message that was ever committed: the outbox itself is cleaned up.
CREATE TABLE prove.committed_messages (id uuid PRIMARY KEY, aggregate_id uuid NOT NULL, topic text NOT NULL);
CREATE FUNCTION prove.see_message() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO prove.committed_messages VALUES (NEW.id, NEW.aggregate_id, NEW.topic);
    RETURN NULL;
END $$;
CREATE TRIGGER prove_see AFTER INSERT ON operations.outbox FOR EACH ROW EXECUTE FUNCTION prove.see_message();
-- The ids that the database makes are drawn from the seed as well, so that a seed tells the same story again.
CREATE SEQUENCE prove.draws;
CREATE FUNCTION prove.chance() RETURNS uuid LANGUAGE sql VOLATILE SECURITY DEFINER AS $$
    SELECT overlay(overlay(md5(nextval('prove.draws')::text) PLACING '4' FROM 13 FOR 1) PLACING '8' FROM 17 FOR 1)::uuid
$$;
GRANT USAGE ON SCHEMA prove TO PUBLIC;
