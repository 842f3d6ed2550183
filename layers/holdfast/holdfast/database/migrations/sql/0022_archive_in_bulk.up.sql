-- The archive at a hundred thousand orders: the same documents, checks and rows, for a fraction of the work. The functions
-- keep their signatures: a release that knows nothing of this goes on working.

-- The object of a part's row, as an expression: without what is NULL, so that a column added later and empty in an old
-- order changes no byte of its document. concat_ws leaves out what is NULL, and its separator with it.
CREATE OR REPLACE FUNCTION archive.object_of(p_part text, p_personal boolean) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '''{'' || concat_ws('', '', ' || string_agg(
               format('''%s: '' || %s', to_json(c.name), archive.json_of(format('%I.%I', p_part, c.name), c.type)), ', ' ORDER BY c.rank)
           || ') || ''}'''
      FROM archive.columns_of(p_part) c
     WHERE c.is_personal = p_personal
$$;
CALL archive.define_documents(1);

-- Every look at an order writes when it was. An index of those instants that keeps ranges of them, and no entry for each
-- order, leaves the other five alone (a heap-only update), if the row finds room on its page.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX archive.archive_index_verified_at;
-- named query: archived orders by verification age
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX archive_index_verified_at ON archive.archive_index USING brin (organization_id, last_verified_at) WITH (pages_per_range = 16, autosummarize = on);
ALTER TABLE archive.archive_index SET (fillfactor = 50);

-- Those of some orders of which something is still going on.
CREATE OR REPLACE FUNCTION archive.unsettled(p_organization_id uuid, p_order_ids uuid[]) RETURNS uuid[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN (
        WITH paid AS MATERIALIZED (
            SELECT p.id, p.order_id, p.status, p.refunding_amount
              FROM payments.payments p WHERE p.organization_id = p_organization_id AND p.order_id = ANY (p_order_ids)
        )
        SELECT COALESCE(array_agg(u.id), '{}') FROM (
            SELECT r.order_id AS id FROM payments.refunds r WHERE r.organization_id = p_organization_id AND r.order_id = ANY (p_order_ids)
               AND r.status IN ('pending', 'processing')
            UNION ALL
            SELECT x.order_id FROM orders.order_operations x WHERE x.organization_id = p_organization_id AND x.order_id = ANY (p_order_ids)
               AND x.state = 'running'
            UNION ALL
            SELECT h.order_id FROM inventory.reservations h WHERE h.organization_id = p_organization_id AND h.order_id = ANY (p_order_ids)
               AND h.status = 'active'
            UNION ALL
            SELECT v.order_id FROM addresses.reviews v WHERE v.organization_id = p_organization_id AND v.order_id = ANY (p_order_ids)
               AND v.resolved_at IS NULL
            UNION ALL
            SELECT s.order_id FROM fulfillment.shipments s WHERE s.organization_id = p_organization_id AND s.order_id = ANY (p_order_ids)
               AND s.status NOT IN ('delivered', 'failed', 'cancelled')
            UNION ALL
            SELECT f.related_id FROM operations.process_failures f WHERE f.organization_id = p_organization_id
               AND f.related_id = ANY (p_order_ids) AND f.status = 'open'
            UNION ALL
            SELECT p.order_id FROM paid p WHERE p.status IN ('pending', 'processing', 'requires_action') OR p.refunding_amount > 0
            UNION ALL
            SELECT p.order_id FROM paid p JOIN payments.disputes d ON d.organization_id = p_organization_id AND d.payment_id = p.id
             WHERE d.status <> 'closed'
            UNION ALL
            SELECT p.order_id FROM paid p JOIN operations.process_failures f ON f.organization_id = p_organization_id AND f.related_id = p.id
             WHERE f.status = 'open'
            UNION ALL
            SELECT p.order_id FROM paid p JOIN payments.payment_events e ON e.organization_id = p_organization_id AND e.payment_id = p.id
              LEFT JOIN payments.dead_letters b ON b.organization_id = p_organization_id AND b.event_id = e.id AND b.resolved_at IS NULL
             WHERE e.state IN ('pending', 'retry_scheduled') OR b.id IS NOT NULL
        ) AS u);
END
$$;
GRANT EXECUTE ON FUNCTION archive.unsettled(uuid, uuid[]) TO holdfast_app, holdfast_system;

-- Whether something of one order is still going on.
CREATE OR REPLACE FUNCTION archive.is_unsettled(p_organization_id uuid, p_order_id uuid) RETURNS boolean
LANGUAGE sql STABLE
AS $$ SELECT archive.unsettled(p_organization_id, ARRAY[p_order_id]) <> '{}' $$;

-- Claims the next orders that may be archived: in a terminal state, old, long settled, with nothing going on. Orders
-- that somebody else holds are left to the next run.
CREATE OR REPLACE FUNCTION archive.claim_orders(
    p_organization_id uuid, p_placed_before timestamptz, p_settled_before timestamptz, p_after uuid, p_limit integer
) RETURNS uuid[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    seen_up_to uuid := p_after;
    held uuid[];
    busy uuid[];
    claimed uuid[] := '{}';
BEGIN
    WHILE cardinality(claimed) < p_limit LOOP
        SELECT array_agg(next.id ORDER BY next.id) INTO held
          FROM (SELECT o.id FROM orders.orders o
                 WHERE o.organization_id = p_organization_id AND o.deleted_at IS NULL
                   AND o.status IN ('delivered', 'cancelled', 'refunded', 'partially_refunded')
                   AND o.id > seen_up_to AND o.id < tenancy.uuid_v7_floor(p_placed_before) AND o.status_changed_at <= p_settled_before
                 ORDER BY o.id LIMIT p_limit - cardinality(claimed)
                   FOR NO KEY UPDATE OF o SKIP LOCKED) AS next;
        EXIT WHEN held IS NULL;
        seen_up_to := held[cardinality(held)];
        busy := archive.unsettled(p_organization_id, held);
        claimed := claimed || ARRAY(SELECT h.id FROM unnest(held) AS h (id) WHERE h.id <> ALL (busy) ORDER BY h.id);
    END LOOP;
    RETURN NULLIF(claimed, '{}');
END
$$;

-- Copies claimed orders, indexes them with their checksums and marks them; p_sealed are their personal parts, sealed with
-- their customers' keys, in the order of p_order_ids. Answers how many. One pass over the documents, which fit into
-- work_mem (a batch of a thousand is some 10 MB). The index counts the versions: no look at it comes first. The batch is
-- sealed apart (archive.seal_batch), so that nobody waits for the head of the chain while documents are made.
CREATE OR REPLACE FUNCTION archive.fill_batch(
    p_organization_id uuid, p_now timestamptz, p_batch jsonb, p_order_ids uuid[], p_sealed text[]
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET work_mem = '64MB'
AS $$
DECLARE
    v_batch_id uuid := (p_batch ->> 'id')::uuid;
    v_high_value bigint := (p_batch ->> 'high_value_minor')::bigint;
    archived_count integer;
BEGIN
    WITH made AS MATERIALIZED (
        SELECT o.id, o.order_number, o.customer_id, o.status, o.payment_status, o.fulfillment_status, o.created_at, o.currency, o.total, o.refunded,
               d.document, sha256(convert_to(d.document, 'UTF8')) AS checksum, COALESCE(i.items, 0) AS items
          FROM unnest(p_order_ids, p_sealed) AS u (order_id, sealed)
          JOIN archive.skeletons(p_organization_id, p_order_ids) s ON s.order_id = u.order_id
          JOIN orders.orders o ON o.organization_id = p_organization_id AND o.id = u.order_id
          LEFT JOIN (SELECT i.order_id, count(*) AS items FROM orders.order_items i
                      WHERE i.organization_id = p_organization_id AND i.order_id = ANY (p_order_ids) GROUP BY i.order_id) AS i ON i.order_id = u.order_id
         CROSS JOIN LATERAL (SELECT s.head || u.sealed || s.tail AS document OFFSET 0) AS d
    ), batch AS (
        INSERT INTO archive.archive_batches (organization_id, id, cutoff_at, strategy, document_schema, created_at, orders, oldest_order_at,
                                             newest_order_at, totals)
        SELECT p_organization_id, v_batch_id, (p_batch ->> 'cutoff_at')::timestamptz, p_batch ->> 'strategy', (p_batch ->> 'document_schema')::integer,
               p_now, sum(c.orders), min(c.oldest), max(c.newest), jsonb_object_agg(c.currency, c.total)
          FROM (SELECT m.currency, count(*) AS orders, sum(m.total) AS total, min(m.created_at) AS oldest, max(m.created_at) AS newest
                  FROM made m GROUP BY m.currency) AS c
        RETURNING orders
    ), indexed AS (
        INSERT INTO archive.archive_index AS x (organization_id, order_id, version, order_number, customer_id, status, payment_status,
                                                fulfillment_status, ordered_at, currency, total, refunded, batch_id, archived_at, tier, checksum, last_verified_at)
        SELECT p_organization_id, m.id, 1, m.order_number, m.customer_id, m.status, m.payment_status, m.fulfillment_status, m.created_at,
               m.currency, m.total, m.refunded, v_batch_id, p_now, CASE WHEN m.total >= v_high_value THEN 'high_value' ELSE 'standard' END, m.checksum, p_now
          FROM made m ORDER BY m.id
        ON CONFLICT ON CONSTRAINT archive_index_pkey DO UPDATE
           SET version = x.version + 1, status = excluded.status, payment_status = excluded.payment_status,
               fulfillment_status = excluded.fulfillment_status, refunded = excluded.refunded, location = 'archived', batch_id = excluded.batch_id,
               archived_at = excluded.archived_at, cold_path = NULL, cold_row_group = NULL, checksum = excluded.checksum,
               verification = 'ok', last_verified_at = excluded.last_verified_at
        RETURNING order_id, version
    ), copied AS (
        INSERT INTO archive.archived_orders (organization_id, order_id, version, batch_id, order_number, customer_id, status, payment_status,
                                             fulfillment_status, ordered_at, currency, total, refunded, items, document)
        SELECT p_organization_id, m.id, x.version, v_batch_id, m.order_number, m.customer_id, m.status, m.payment_status, m.fulfillment_status,
               m.created_at, m.currency, m.total, m.refunded, m.items, m.document
          FROM indexed x JOIN made m ON m.id = x.order_id
    ), leaves AS (
        INSERT INTO archive.batch_leaves (organization_id, batch_id, order_id, version, checksum)
        SELECT p_organization_id, v_batch_id, m.id, x.version, m.checksum
          FROM indexed x JOIN made m ON m.id = x.order_id
    ), referred AS (
        INSERT INTO archive.payment_references (organization_id, payment_id, order_id, gateway_account_id, gateway_transaction_id)
        SELECT p_organization_id, p.id, p.order_id, p.gateway_account_id, p.gateway_transaction_id
          FROM payments.payments p WHERE p.organization_id = p_organization_id AND p.order_id = ANY (p_order_ids)
        ON CONFLICT DO NOTHING
    ), marked AS (
        UPDATE orders.orders o SET deleted_at = p_now WHERE o.organization_id = p_organization_id AND o.id = ANY (p_order_ids)
    )
    SELECT b.orders INTO archived_count FROM batch b;
    IF archived_count IS DISTINCT FROM cardinality(p_order_ids) THEN
        RAISE EXCEPTION '% of % claimed orders were archived', archived_count, cardinality(p_order_ids);
    END IF;
    RETURN archived_count;
END
$$;

-- What is wrong with orders of a batch. p_sealed: their personal parts sealed anew, NULL where the active rows are gone
-- or not to be asked; where the customer's key is destroyed, an empty text: the sealed part of the document stands in.
-- A document that its source gives once more, byte by byte, says what the source's row says: only the others are parsed.
CREATE OR REPLACE FUNCTION archive.examine(p_organization_id uuid, p_batch_id uuid, p_order_ids uuid[], p_sealed text[])
RETURNS TABLE (order_id uuid, kind text, details text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET plan_cache_mode = force_generic_plan
    SET work_mem = '64MB'
AS $$
DECLARE
    active uuid[] := (SELECT array_agg(u.id) FROM unnest(p_order_ids, p_sealed) AS u (id, sealed) WHERE u.sealed IS NOT NULL);
BEGIN
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT u.id, s.order_id IS NOT NULL AS has_source, s.head, u.sealed, s.tail, COALESCE(i.items, 0) AS items
          FROM unnest(p_order_ids, p_sealed) AS u (id, sealed)
          LEFT JOIN archive.skeletons(p_organization_id, active) s ON s.order_id = u.id
          LEFT JOIN (SELECT i.order_id, count(*) AS items FROM orders.order_items i
                      WHERE i.organization_id = p_organization_id AND i.order_id = ANY (active) GROUP BY i.order_id) AS i ON i.order_id = u.id
    ), seen AS MATERIALIZED (
        SELECT l.order_id, l.checksum, x.order_id IS NOT NULL AS is_indexed,
               COALESCE(x.version = l.version, false) AS is_latest, x.location, x.checksum AS index_checksum,
               (x.order_number, x.customer_id, x.status, x.payment_status, x.fulfillment_status, x.ordered_at, x.currency, x.total,
                x.refunded, x.batch_id) AS index_says,
               (a.order_number, a.customer_id, a.status, a.payment_status, a.fulfillment_status, a.ordered_at, a.currency, a.total,
                a.refunded, a.batch_id) AS copy_says,
               date_trunc('month', x.ordered_at)::date AS month,
               a.order_id IS NOT NULL AS is_copied, h.actual, a.batch_id AS copy_batch_id, h.is_source,
               o.id IS NOT NULL AND o.deleted_at IS NULL AS is_active, o.deleted_at IS NOT NULL AS is_marked,
               CASE WHEN h.is_source THEN
                   (a.order_number, a.customer_id, a.status, a.payment_status, a.fulfillment_status, a.currency, a.total, a.refunded, a.ordered_at, a.items)
                   IS DISTINCT FROM
                   (o.order_number, o.customer_id, o.status, o.payment_status, o.fulfillment_status, o.currency, o.total, o.refunded, o.created_at, c.items)
               WHEN d.j IS NOT NULL THEN
                   a.order_number || ' ' || a.customer_id || ' ' || a.status || ' ' || a.payment_status || ' ' || a.fulfillment_status
                   || ' ' || a.currency || ' ' || a.total || ' ' || a.refunded || ' ' || (to_json(a.ordered_at) #>> '{}') || ' ' || a.items
                   IS DISTINCT FROM
                   (d.j #>> '{order,order_number}') || ' ' || (d.j #>> '{order,customer_id}') || ' ' || (d.j #>> '{order,status}') || ' '
                   || (d.j #>> '{order,payment_status}') || ' ' || (d.j #>> '{order,fulfillment_status}') || ' ' || (d.j #>> '{order,currency}')
                   || ' ' || (d.j #>> '{order,total}') || ' ' || (d.j #>> '{order,refunded}') || ' '
                   || (d.j #>> '{order,created_at}') || ' ' || COALESCE(jsonb_array_length(d.j -> 'items'), 0)
               END AS columns_differ,
               c.has_source AND d.j IS NOT NULL
                   AND c.head || COALESCE(NULLIF(c.sealed, ''), d.j ->> 'personal') || c.tail IS DISTINCT FROM t.document AS source_differs
          FROM asked c
          JOIN archive.batch_leaves l ON l.organization_id = p_organization_id AND l.batch_id = p_batch_id AND l.order_id = c.id
          LEFT JOIN archive.archive_index x ON x.organization_id = p_organization_id AND x.order_id = l.order_id
          LEFT JOIN archive.archived_orders a ON a.organization_id = p_organization_id AND a.order_id = l.order_id AND a.version = l.version
          LEFT JOIN orders.orders o ON o.organization_id = p_organization_id AND o.id = l.order_id
         -- Glued to nothing it is fetched and unpacked once, and not for each use.
         CROSS JOIN LATERAL (SELECT a.document || '' AS document OFFSET 0) AS t
         CROSS JOIN LATERAL (SELECT sha256(convert_to(t.document, 'UTF8')) AS actual,
                                    COALESCE(c.head || c.sealed || c.tail = t.document, false) AS is_source OFFSET 0) AS h
         CROSS JOIN LATERAL (SELECT CASE WHEN h.actual = l.checksum AND NOT h.is_source THEN t.document::jsonb END AS j OFFSET 0) AS d
    ), judged AS (
        SELECT s.order_id, v.kind, v.details
          FROM seen s
         CROSS JOIN LATERAL (VALUES
            (NOT s.is_indexed, 'missing', 'the index does not know the order'),
            (s.is_indexed AND NOT s.is_copied AND s.location <> 'cold_storage' AND ((s.is_latest AND s.location = 'archived') OR NOT EXISTS (
                -- An earlier version may lie in a file, which is proven by itself.
                SELECT 1 FROM archive.cold_files f WHERE f.organization_id = p_organization_id AND f.month = s.month AND f.state = 'verified')),
             'missing', 'the archived document is gone'),
            (s.actual <> s.checksum, 'inconsistent', 'the archived document is not the one that was sealed'),
            (s.is_latest AND s.index_checksum <> s.checksum, 'inconsistent', 'the checksum in the index is not the one that was sealed'),
            (s.is_latest AND s.is_copied AND s.index_says IS DISTINCT FROM s.copy_says, 'inconsistent',
             'the index says something else than the archived row'),
            (s.copy_batch_id <> p_batch_id OR s.columns_differ, 'inconsistent', 'the archived row says something else than its document'),
            (s.is_latest AND s.is_active AND s.location <> 'restored', 'duplicate', 'the order is both active and archived'),
            (s.is_latest AND s.is_marked AND s.source_differs, 'inconsistent', 'the active rows are not what was archived')) AS v (applies, kind, details)
         WHERE v.applies
    )
    SELECT j.order_id, j.kind, j.details FROM judged j
    UNION ALL
    SELECT a.order_id, 'duplicate', 'there is an archived document that no batch knows'
      FROM archive.archived_orders a
     WHERE a.organization_id = p_organization_id AND a.order_id = ANY (p_order_ids)
       AND NOT EXISTS (SELECT 1 FROM archive.batch_leaves l WHERE l.organization_id = p_organization_id
                          AND l.order_id = a.order_id AND l.version = a.version)
    UNION ALL
    SELECT x.order_id, 'duplicate', 'the index names an order that its batch does not know'
      FROM archive.archive_index x
     WHERE x.organization_id = p_organization_id AND x.batch_id = p_batch_id
       AND NOT EXISTS (SELECT 1 FROM archive.batch_leaves l WHERE l.organization_id = p_organization_id
                          AND l.batch_id = p_batch_id AND l.order_id = x.order_id);
END
$$;

-- Takes orders of a verified batch out of the active tables. It holds every condition itself, whoever calls: verified,
-- the grace over, nothing found wrong, the document there and as sealed, the order marked and nothing going on. The order
-- rows are held before the rest is asked. A batch that another run works on is left to it.
CREATE OR REPLACE FUNCTION archive.purge_batch(p_organization_id uuid, p_batch_id uuid, p_verified_before timestamptz, p_now timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    batch archive.archive_batches;
    target record;
    held uuid[];
    busy uuid[];
    gone uuid[];
    remaining boolean;
BEGIN
    IF p_organization_id IS DISTINCT FROM NULLIF(current_setting('holdfast.organization_id', true), '')::uuid THEN
        RAISE EXCEPTION 'the batch is of another organization' USING ERRCODE = '42501';
    END IF;
    SELECT * INTO batch FROM archive.archive_batches
     WHERE organization_id = p_organization_id AND id = p_batch_id FOR NO KEY UPDATE SKIP LOCKED;
    IF batch.status IS DISTINCT FROM 'verified' OR batch.verified_at > p_verified_before OR p_verified_before > p_now OR batch.purged_at IS NOT NULL
        OR EXISTS (SELECT 1 FROM archive.discrepancies d
                    WHERE d.organization_id = p_organization_id AND d.batch_id = p_batch_id AND d.resolved_at IS NULL)
    THEN
        RETURN 0;
    END IF;
    SELECT array_agg(l.id ORDER BY l.id) INTO held
      FROM (SELECT o.id FROM archive.archive_index x
              JOIN orders.orders o ON o.organization_id = p_organization_id AND o.id = x.order_id
             WHERE x.organization_id = p_organization_id AND x.batch_id = p_batch_id AND x.location = 'archived' AND x.verification = 'ok'
               AND o.deleted_at IS NOT NULL
             ORDER BY o.id FOR UPDATE OF o) AS l;
    busy := archive.unsettled(p_organization_id, held);
    -- The document of each by its key (a scalar sub-select), and of no others: in a join its hash might be the key.
    SELECT array_agg(u.id) INTO gone
      FROM unnest(held) AS u (id)
      JOIN archive.archive_index x ON x.organization_id = p_organization_id AND x.order_id = u.id
      JOIN archive.batch_leaves s ON s.organization_id = p_organization_id AND s.batch_id = p_batch_id
                                 AND s.order_id = u.id AND s.version = x.version
     WHERE x.batch_id = p_batch_id AND x.location = 'archived' AND x.verification = 'ok' AND x.checksum = s.checksum
       AND u.id <> ALL (busy)
       AND (SELECT sha256(convert_to(a.document, 'UTF8')) FROM archive.archived_orders a
             WHERE a.organization_id = p_organization_id AND a.order_id = u.id AND a.version = x.version) = s.checksum;
    IF gone IS NOT NULL THEN
        FOR target IN SELECT part, table_name, owner_column, parent FROM archive.parts ORDER BY position DESC LOOP
            EXECUTE CASE WHEN target.parent IS NULL
                THEN format('DELETE FROM %s WHERE organization_id = $1 AND %I = ANY ($2)', target.table_name, target.owner_column)
                ELSE format('DELETE FROM %s WHERE organization_id = $1 AND %I IN (SELECT %I.id FROM %s)',
                            target.table_name, target.owner_column, target.parent, archive.rows_of(target.parent)) END
                USING p_organization_id, gone;
        END LOOP;
    END IF;
    remaining := EXISTS (SELECT 1 FROM archive.archive_index x
                           JOIN orders.orders o ON o.organization_id = p_organization_id AND o.id = x.order_id
                          WHERE x.organization_id = p_organization_id AND x.batch_id = p_batch_id AND x.location = 'archived');
    UPDATE archive.archive_batches
       SET purged_orders = purged_orders + COALESCE(cardinality(gone), 0), purged_at = CASE WHEN NOT remaining THEN p_now END
     WHERE organization_id = p_organization_id AND id = p_batch_id;
    RETURN COALESCE(cardinality(gone), 0);
END
$$;

-- lz4 packs a document as small as PostgreSQL's own way does, in a fifth of the time. Not every build has it.
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        ALTER FUNCTION archive.fill_batch(uuid, timestamptz, jsonb, uuid[], text[]) SET default_toast_compression = 'lz4';
        ALTER FUNCTION archive.refile(uuid, uuid, integer, text) SET default_toast_compression = 'lz4';
    END IF;
END
$$;
