-- The archive's work: claim, fill, seal, examine, purge, bring back.

-- Hashes carry what they are hashes of in their first byte, so that a leaf never passes for a node (RFC 6962, 2.1).
CREATE FUNCTION archive.leaf_hash(p_order_id uuid, p_version integer, p_checksum bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT sha256('\x00'::bytea || uuid_send(p_order_id) || int4send(p_version) || p_checksum) $$;

-- The root of a Merkle tree over leaf hashes in their order; a node without a neighbor rises as it is.
CREATE FUNCTION archive.merkle_root(p_leaves bytea[]) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    level bytea[] := p_leaves;
BEGIN
    WHILE cardinality(level) > 1 LOOP
        SELECT array_agg(CASE WHEN n.neighbor IS NULL THEN n.node ELSE sha256('\x01'::bytea || n.node || n.neighbor) END ORDER BY n.place)
          INTO level
          FROM (SELECT u.node, u.place, lead(u.node) OVER (ORDER BY u.place) AS neighbor
                  FROM unnest(level) WITH ORDINALITY AS u (node, place)) AS n
         WHERE n.place % 2 = 1;
    END LOOP;
    RETURN COALESCE(level[1], sha256(''::bytea));
END
$$;

CREATE FUNCTION archive.merkle_root_of(p_organization_id uuid, p_batch_id uuid) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT archive.merkle_root(array_agg(archive.leaf_hash(l.order_id, l.version, l.checksum) ORDER BY l.order_id))
      FROM archive.batch_leaves l WHERE l.organization_id = p_organization_id AND l.batch_id = p_batch_id
$$;

-- A batch's root: what it holds, where it stands in the chain, and the root before it.
CREATE FUNCTION archive.batch_root(p_previous bytea, p_position bigint, p_batch_id uuid, p_orders integer, p_merkle_root bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT sha256('\x02'::bytea || p_previous || int8send(p_position) || uuid_send(p_batch_id) || int4send(p_orders) || p_merkle_root) $$;

-- Whether something of an order is still going on. Each question finds its rows by a key (a scalar sub-select).
CREATE FUNCTION archive.is_unsettled(p_organization_id uuid, p_order_id uuid) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT (SELECT true FROM payments.refunds r WHERE r.organization_id = p_organization_id AND r.order_id = p_order_id
               AND r.status IN ('pending', 'processing') LIMIT 1) IS NOT NULL
        OR (SELECT true FROM orders.order_operations x WHERE x.organization_id = p_organization_id AND x.order_id = p_order_id
               AND x.state = 'running' LIMIT 1) IS NOT NULL
        OR (SELECT true FROM inventory.reservations h WHERE h.organization_id = p_organization_id AND h.order_id = p_order_id
               AND h.status = 'active' LIMIT 1) IS NOT NULL
        OR (SELECT true FROM addresses.reviews v WHERE v.organization_id = p_organization_id AND v.order_id = p_order_id
               AND v.resolved_at IS NULL LIMIT 1) IS NOT NULL
        OR (SELECT true FROM fulfillment.shipments s WHERE s.organization_id = p_organization_id AND s.order_id = p_order_id
               AND s.status NOT IN ('delivered', 'failed', 'cancelled') LIMIT 1) IS NOT NULL
        OR (SELECT true FROM operations.process_failures f WHERE f.organization_id = p_organization_id AND f.related_id = p_order_id
               AND f.status = 'open' LIMIT 1) IS NOT NULL
        OR (SELECT true FROM payments.payments p WHERE p.organization_id = p_organization_id AND p.order_id = p_order_id
               AND (p.status IN ('pending', 'processing', 'requires_action') OR p.refunding_amount > 0
                    OR (SELECT true FROM payments.disputes d WHERE d.organization_id = p.organization_id AND d.payment_id = p.id
                           AND d.status <> 'closed' LIMIT 1) IS NOT NULL
                    OR (SELECT true FROM operations.process_failures f WHERE f.organization_id = p.organization_id AND f.related_id = p.id
                           AND f.status = 'open' LIMIT 1) IS NOT NULL
                    OR (SELECT true FROM payments.payment_events e WHERE e.organization_id = p.organization_id AND e.payment_id = p.id
                           AND (e.state IN ('pending', 'retry_scheduled')
                                OR (SELECT true FROM payments.dead_letters b WHERE b.organization_id = e.organization_id
                                       AND b.event_id = e.id AND b.resolved_at IS NULL) IS NOT NULL) LIMIT 1) IS NOT NULL)
             LIMIT 1) IS NOT NULL
$$;

-- Claims the next orders that may be archived: in a terminal state, old, long settled, with nothing going on. Orders
-- that somebody else holds are left to the next run.
CREATE FUNCTION archive.claim_orders(
    p_organization_id uuid, p_placed_before timestamptz, p_settled_before timestamptz, p_after uuid, p_limit integer
) RETURNS uuid[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN (SELECT array_agg(claimed.id ORDER BY claimed.id)
      FROM (SELECT o.id FROM orders.orders o
             WHERE o.organization_id = p_organization_id AND o.deleted_at IS NULL
               AND o.status IN ('delivered', 'cancelled', 'refunded', 'partially_refunded')
               AND o.id > p_after AND o.id < tenancy.uuid_v7_floor(p_placed_before) AND o.status_changed_at <= p_settled_before
               AND NOT archive.is_unsettled(p_organization_id, o.id)
             ORDER BY o.id LIMIT p_limit
               FOR NO KEY UPDATE OF o SKIP LOCKED) AS claimed);
END
$$;

-- Copies claimed orders, indexes them with their checksums and marks them; p_sealed are their personal parts, sealed with
-- their customers' keys, in the order of p_order_ids. Answers how many. The batch is sealed apart (archive.seal_batch),
-- so that nobody waits for the head of the chain while documents are made.
CREATE FUNCTION archive.fill_batch(
    p_organization_id uuid, p_now timestamptz, p_batch jsonb, p_order_ids uuid[], p_sealed text[]
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_batch_id uuid := (p_batch ->> 'id')::uuid;
    archived_count integer;
BEGIN
    INSERT INTO archive.archive_batches (organization_id, id, cutoff_at, strategy, document_schema, created_at)
    VALUES (p_organization_id, v_batch_id, (p_batch ->> 'cutoff_at')::timestamptz, p_batch ->> 'strategy',
            (p_batch ->> 'document_schema')::integer, p_now);
    WITH made AS MATERIALIZED (
        SELECT o.id, o.order_number, o.customer_id, o.status, o.payment_status, o.fulfillment_status, o.created_at, o.currency, o.total, o.refunded,
               COALESCE((SELECT x.version FROM archive.archive_index x
                          WHERE x.organization_id = p_organization_id AND x.order_id = o.id), 0) + 1 AS version,
               d.document, sha256(convert_to(d.document, 'UTF8')) AS checksum
          FROM unnest(p_order_ids, p_sealed) AS u (order_id, sealed)
          JOIN archive.skeletons(p_organization_id, p_order_ids) s ON s.order_id = u.order_id
          JOIN orders.orders o ON o.organization_id = p_organization_id AND o.id = u.order_id
         CROSS JOIN LATERAL (SELECT s.head || u.sealed || s.tail AS document) AS d
    ), copied AS (
        INSERT INTO archive.archived_orders (organization_id, order_id, version, batch_id, order_number, customer_id, status, payment_status,
                                             fulfillment_status, ordered_at, currency, total, refunded, items, document)
        SELECT p_organization_id, m.id, m.version, v_batch_id, m.order_number, m.customer_id, m.status, m.payment_status, m.fulfillment_status,
               m.created_at, m.currency, m.total, m.refunded, (SELECT count(*) FROM orders.order_items i WHERE i.organization_id = p_organization_id AND i.order_id = m.id),
               m.document
          FROM made m
    ), leaves AS (
        INSERT INTO archive.batch_leaves (organization_id, batch_id, order_id, version, checksum)
        SELECT p_organization_id, v_batch_id, m.id, m.version, m.checksum FROM made m
    ), indexed AS (
        INSERT INTO archive.archive_index AS x (organization_id, order_id, version, order_number, customer_id, status, payment_status,
                                                fulfillment_status, ordered_at, currency, total, refunded, batch_id, archived_at, tier, checksum, last_verified_at)
        SELECT p_organization_id, m.id, m.version, m.order_number, m.customer_id, m.status, m.payment_status, m.fulfillment_status, m.created_at,
               m.currency, m.total, m.refunded, v_batch_id, p_now, CASE WHEN m.total >= (p_batch ->> 'high_value_minor')::bigint THEN 'high_value' ELSE 'standard' END, m.checksum, p_now
          FROM made m
        ON CONFLICT ON CONSTRAINT archive_index_pkey DO UPDATE
           SET version = excluded.version, status = excluded.status, payment_status = excluded.payment_status,
               fulfillment_status = excluded.fulfillment_status, refunded = excluded.refunded, location = 'archived', batch_id = excluded.batch_id,
               archived_at = excluded.archived_at, cold_path = NULL, cold_row_group = NULL, checksum = excluded.checksum,
               verification = 'ok', last_verified_at = excluded.last_verified_at
    ), referred AS (
        INSERT INTO archive.payment_references (organization_id, payment_id, order_id, gateway_account_id, gateway_transaction_id)
        SELECT p_organization_id, p.id, p.order_id, p.gateway_account_id, p.gateway_transaction_id
          FROM made m JOIN payments.payments p ON p.organization_id = p_organization_id AND p.order_id = m.id
        ON CONFLICT DO NOTHING
    ), marked AS (
        UPDATE orders.orders o SET deleted_at = p_now
          FROM made m WHERE o.organization_id = p_organization_id AND o.id = m.id
    )
    SELECT count(*) INTO archived_count FROM made;
    IF archived_count <> cardinality(p_order_ids) THEN
        RAISE EXCEPTION '% of % claimed orders were archived', archived_count, cardinality(p_order_ids);
    END IF;
    UPDATE archive.archive_batches b
       SET orders = archived_count, oldest_order_at = t.oldest, newest_order_at = t.newest, totals = t.totals
      FROM (SELECT min(c.oldest) AS oldest, max(c.newest) AS newest, jsonb_object_agg(c.currency, c.total) AS totals
              FROM (SELECT x.currency, sum(x.total) AS total, min(x.ordered_at) AS oldest, max(x.ordered_at) AS newest
                      FROM archive.archive_index x WHERE x.organization_id = p_organization_id AND x.order_id = ANY (p_order_ids)
                     GROUP BY x.currency) AS c) AS t
     WHERE b.organization_id = p_organization_id AND b.id = v_batch_id;
    RETURN archived_count;
END
$$;

-- Gives a filled batch its place in the chain, under the lock of the chain's head. Answers its position; NULL when it
-- has one already.
CREATE FUNCTION archive.seal_batch(p_organization_id uuid, p_batch_id uuid, p_now timestamptz) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    chain archive.chain_heads;
    merkle bytea;
    sealed bytea;
    v_orders integer;
BEGIN
    INSERT INTO archive.chain_heads (organization_id) VALUES (p_organization_id) ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT chain FROM archive.chain_heads WHERE organization_id = p_organization_id FOR NO KEY UPDATE;
    SELECT orders INTO v_orders FROM archive.archive_batches
     WHERE organization_id = p_organization_id AND id = p_batch_id AND status = 'in_progress';
    IF v_orders IS NULL THEN
        RETURN NULL;
    END IF;
    merkle := archive.merkle_root_of(p_organization_id, p_batch_id);
    sealed := archive.batch_root(chain.root, chain.position + 1, p_batch_id, v_orders, merkle);
    UPDATE archive.archive_batches
       SET status = 'completed', chain_position = chain.position + 1, merkle_root = merkle, previous_root = chain.root, root = sealed,
           completed_at = p_now
     WHERE organization_id = p_organization_id AND id = p_batch_id;
    UPDATE archive.chain_heads SET position = chain.position + 1, root = sealed WHERE organization_id = p_organization_id;
    RETURN chain.position + 1;
END
$$;

-- Where a batch breaks the chain, in words; NULL: nowhere. p_previous is the root before it.
CREATE FUNCTION archive.break_of(p_organization_id uuid, p_batch_id uuid, p_position bigint, p_previous bytea) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch archive.archive_batches;
    leaves integer;
BEGIN
    SELECT * INTO STRICT batch FROM archive.archive_batches WHERE organization_id = p_organization_id AND id = p_batch_id;
    SELECT count(*) INTO leaves FROM archive.batch_leaves WHERE organization_id = p_organization_id AND batch_id = p_batch_id;
    RETURN CASE
        WHEN batch.chain_position <> p_position THEN format('position %s is missing', p_position)
        WHEN leaves <> batch.orders THEN format('the batch has %s orders and %s leaves', batch.orders, leaves)
        WHEN archive.merkle_root_of(p_organization_id, p_batch_id) <> batch.merkle_root THEN 'its leaves are not those it was sealed with'
        WHEN batch.previous_root <> p_previous THEN 'it does not follow the batch before it'
        WHEN archive.batch_root(p_previous, p_position, p_batch_id, batch.orders, batch.merkle_root) <> batch.root
            THEN 'its root is not the one of what it holds' END;
END
$$;

-- What is wrong with orders of a batch. p_sealed: their personal parts sealed anew, NULL where the active rows are gone
-- or not to be asked; where the customer's key is destroyed, an empty text: the sealed part of the document stands in.
CREATE FUNCTION archive.examine(p_organization_id uuid, p_batch_id uuid, p_order_ids uuid[], p_sealed text[])
RETURNS TABLE (order_id uuid, kind text, details text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    active uuid[] := (SELECT array_agg(u.id) FROM unnest(p_order_ids, p_sealed) AS u (id, sealed) WHERE u.sealed IS NOT NULL);
BEGIN
    RETURN QUERY
    WITH source AS MATERIALIZED (
        SELECT s.order_id, s.head, u.sealed, s.tail
          FROM archive.skeletons(p_organization_id, active) s
          JOIN unnest(p_order_ids, p_sealed) AS u (id, sealed) ON u.id = s.order_id
    ), seen AS MATERIALIZED (
        SELECT l.order_id, l.version, l.checksum, x.order_id IS NOT NULL AS is_indexed,
               COALESCE(x.version = l.version, false) AS is_latest, x.location, x.checksum AS index_checksum,
               (x.order_number, x.customer_id, x.status, x.payment_status, x.fulfillment_status, x.ordered_at, x.currency, x.total,
                x.refunded, x.batch_id) AS index_says,
               (a.order_number, a.customer_id, a.status, a.payment_status, a.fulfillment_status, a.ordered_at, a.currency, a.total,
                a.refunded, a.batch_id) AS copy_says,
               a.order_number || ' ' || a.customer_id || ' ' || a.status || ' ' || a.payment_status || ' ' || a.fulfillment_status
                   || ' ' || a.currency || ' ' || a.total || ' ' || a.refunded
                   || ' ' || (to_json(a.ordered_at) #>> '{}') || ' ' || a.items AS columns_say,
               date_trunc('month', x.ordered_at)::date AS month,
               a.document, sha256(convert_to(a.document, 'UTF8')) AS actual, a.batch_id AS copy_batch_id,
               o.id IS NOT NULL AND o.deleted_at IS NULL AS is_active, o.deleted_at IS NOT NULL AS is_marked
          FROM archive.batch_leaves l
          LEFT JOIN archive.archive_index x ON x.organization_id = p_organization_id AND x.order_id = l.order_id
          LEFT JOIN archive.archived_orders a ON a.organization_id = p_organization_id AND a.order_id = l.order_id AND a.version = l.version
          LEFT JOIN orders.orders o ON o.organization_id = p_organization_id AND o.id = l.order_id
         WHERE l.organization_id = p_organization_id AND l.batch_id = p_batch_id AND l.order_id = ANY (p_order_ids)
    ), judged AS (
        SELECT s.order_id, v.kind, v.details
          FROM seen s
          LEFT JOIN source c ON c.order_id = s.order_id
         CROSS JOIN LATERAL (SELECT CASE WHEN s.document IS NOT NULL AND s.actual = s.checksum THEN s.document::jsonb END AS j OFFSET 0) AS d
         CROSS JOIN LATERAL (VALUES
            (NOT s.is_indexed, 'missing', 'the index does not know the order'),
            (s.is_indexed AND s.document IS NULL AND s.location <> 'cold_storage' AND ((s.is_latest AND s.location = 'archived') OR NOT EXISTS (
                -- An earlier version may lie in a file, which is proven by itself.
                SELECT 1 FROM archive.cold_files f WHERE f.organization_id = p_organization_id AND f.month = s.month AND f.state = 'verified')),
             'missing', 'the archived document is gone'),
            (s.actual <> s.checksum, 'inconsistent', 'the archived document is not the one that was sealed'),
            (s.is_latest AND s.index_checksum <> s.checksum, 'inconsistent', 'the checksum in the index is not the one that was sealed'),
            (s.is_latest AND s.document IS NOT NULL AND s.index_says IS DISTINCT FROM s.copy_says, 'inconsistent',
             'the index says something else than the archived row'),
            (s.copy_batch_id <> p_batch_id OR (d.j IS NOT NULL AND s.columns_say IS DISTINCT FROM (
                (d.j #>> '{order,order_number}') || ' ' || (d.j #>> '{order,customer_id}') || ' ' || (d.j #>> '{order,status}') || ' '
                || (d.j #>> '{order,payment_status}') || ' ' || (d.j #>> '{order,fulfillment_status}') || ' ' || (d.j #>> '{order,currency}') || ' ' || (d.j #>> '{order,total}') || ' ' || (d.j #>> '{order,refunded}') || ' '
                || (d.j #>> '{order,created_at}') || ' ' || COALESCE(jsonb_array_length(d.j -> 'items'), 0))), 'inconsistent',
             'the archived row says something else than its document'),
            (s.is_latest AND s.is_active AND s.location <> 'restored', 'duplicate', 'the order is both active and archived'),
            (s.is_latest AND s.is_marked AND c.order_id IS NOT NULL AND s.actual = s.checksum
             AND c.head || COALESCE(NULLIF(c.sealed, ''), d.j ->> 'personal') || c.tail <> s.document, 'inconsistent',
             'the active rows are not what was archived')) AS v (applies, kind, details)
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
-- the grace over, nothing found wrong, the document there and as sealed, the order marked and nothing going on.
CREATE FUNCTION archive.purge_batch(p_organization_id uuid, p_batch_id uuid, p_verified_before timestamptz, p_now timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    batch archive.archive_batches;
    target record;
    gone uuid[];
    remaining boolean;
BEGIN
    IF p_organization_id IS DISTINCT FROM NULLIF(current_setting('holdfast.organization_id', true), '')::uuid THEN
        RAISE EXCEPTION 'the batch is of another organization' USING ERRCODE = '42501';
    END IF;
    SELECT * INTO batch FROM archive.archive_batches WHERE organization_id = p_organization_id AND id = p_batch_id FOR NO KEY UPDATE;
    IF batch.status IS DISTINCT FROM 'verified' OR batch.verified_at > p_verified_before OR p_verified_before > p_now OR batch.purged_at IS NOT NULL
        OR EXISTS (SELECT 1 FROM archive.discrepancies d
                    WHERE d.organization_id = p_organization_id AND d.batch_id = p_batch_id AND d.resolved_at IS NULL)
    THEN
        RETURN 0;
    END IF;
    SELECT array_agg(l.id) INTO gone
      FROM (SELECT o.id FROM archive.archive_index x
              JOIN orders.orders o ON o.organization_id = p_organization_id AND o.id = x.order_id
              JOIN archive.batch_leaves s ON s.organization_id = p_organization_id AND s.batch_id = p_batch_id
                                         AND s.order_id = x.order_id AND s.version = x.version
              JOIN archive.archived_orders a ON a.organization_id = p_organization_id AND a.order_id = x.order_id AND a.version = x.version
             WHERE x.organization_id = p_organization_id AND x.batch_id = p_batch_id AND x.location = 'archived' AND x.verification = 'ok'
               AND o.deleted_at IS NOT NULL AND NOT archive.is_unsettled(p_organization_id, o.id)
               AND sha256(convert_to(a.document, 'UTF8')) = s.checksum AND x.checksum = s.checksum
             ORDER BY o.id FOR UPDATE OF o) AS l;
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

-- Brings an order back into the active tables out of its document, which is proven first: what is marked is unmarked,
-- what is gone is written anew. p_personal is the sealed part in the clear, NULL where the customer was erased.
-- The history is replayed, so that the order stands where its own record leads it. Answers whether anything was done.
CREATE FUNCTION archive.bring_back(p_organization_id uuid, p_order_id uuid, p_document text, p_personal jsonb) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    entry archive.archive_index;
    j jsonb;
    target record;
    names text;
    picked text;
    changes text;
    section jsonb;
    came_down bigint;
BEGIN
    IF p_organization_id IS DISTINCT FROM NULLIF(current_setting('holdfast.organization_id', true), '')::uuid THEN
        RAISE EXCEPTION 'the order is of another organization' USING ERRCODE = '42501';
    END IF;
    SELECT * INTO entry FROM archive.archive_index WHERE organization_id = p_organization_id AND order_id = p_order_id FOR NO KEY UPDATE;
    IF entry.order_id IS NULL OR entry.location = 'restored' THEN
        RETURN false;
    END IF;
    PERFORM 1 FROM orders.orders WHERE organization_id = p_organization_id AND id = p_order_id FOR NO KEY UPDATE;
    IF FOUND THEN
        UPDATE orders.orders SET deleted_at = NULL WHERE organization_id = p_organization_id AND id = p_order_id;
    ELSE
        IF NOT EXISTS (SELECT 1 FROM archive.batch_leaves l WHERE l.organization_id = p_organization_id AND l.order_id = p_order_id
                          AND l.version = entry.version AND l.checksum = sha256(convert_to(p_document, 'UTF8')))
        THEN
            RAISE EXCEPTION 'the document is not the one that was sealed' USING ERRCODE = 'HF003', CONSTRAINT = 'archive_checksum';
        END IF;
        j := p_document::jsonb;
        FOR target IN SELECT * FROM archive.parts WHERE in_document AND j ? part ORDER BY position LOOP
            SELECT jsonb_agg(open.row || COALESCE(NULLIF(sealed.row, 'null'), '{}') ORDER BY open.place) INTO section
              FROM jsonb_array_elements(CASE target.part WHEN 'order' THEN jsonb_build_array(j -> 'order') ELSE j -> target.part END)
                   WITH ORDINALITY AS open (row, place)
              LEFT JOIN jsonb_array_elements(CASE target.part WHEN 'order' THEN jsonb_build_array(p_personal -> 'order')
                                                  ELSE p_personal -> target.part END)
                   WITH ORDINALITY AS sealed (row, place) ON sealed.place = open.place;
            IF target.parent IS NULL AND target.part <> 'order' THEN
                SELECT jsonb_agg(r.row || jsonb_build_object(target.owner_column, p_order_id)) INTO section
                  FROM jsonb_array_elements(section) AS r (row);
                names := format(', %I', target.owner_column);
            ELSE
                names := '';
            END IF;
            IF target.part = 'order' THEN
                section := jsonb_set(section, '{0,status}', j #> '{history,0,to_status}');
                section := jsonb_set(section, '{0,status_sequence}', '1');
                -- Earlier addresses lower the price once more, each by its own projection: the order begins at the first price.
                SELECT (v ->> 'total')::bigint - (j #>> '{order,total}')::bigint INTO came_down
                  FROM jsonb_array_elements(j -> 'address_versions') AS v
                 WHERE v ? 'price' ORDER BY (v ->> 'version')::integer LIMIT 1;
                IF came_down > 0 THEN
                    section := jsonb_set(section, '{0,total}', to_jsonb((j #>> '{order,total}')::bigint + came_down));
                    section := jsonb_set(section, '{0,tax}', to_jsonb((j #>> '{order,tax}')::bigint + came_down));
                END IF;
            END IF;
            -- What must be there and was erased is said to be so.
            SELECT string_agg(quote_ident(c.name), ', ') || names, string_agg(CASE WHEN c.required AND c.is_personal
                                   THEN format('COALESCE(r.%I, %L)', c.name, archive.erased_value(c.name, c.type))
                                   ELSE format('r.%I', c.name) END, ', ') || replace(names, ', ', ', r.')
              INTO names, picked FROM archive.columns_of(target.part) c WHERE c.name <> 'organization_id';
            EXECUTE format('INSERT INTO %s (organization_id, %s) SELECT $1, %s FROM jsonb_populate_recordset(NULL::%s, $2) r',
                           target.table_name, names, picked, target.table_name) USING p_organization_id, section;
        END LOOP;
        SELECT string_agg(format('%1$I = r.%1$I', c.name), ', ') INTO changes FROM archive.columns_of('order') c
         WHERE NOT c.is_personal AND c.name NOT IN ('organization_id', 'id', 'status', 'status_sequence');
        EXECUTE format('UPDATE orders.orders o SET %s FROM jsonb_populate_record(NULL::orders.orders, $2) r '
                       'WHERE o.organization_id = $1 AND o.id = r.id AND o.status = r.status AND o.status_sequence = r.status_sequence', changes)
            USING p_organization_id, j -> 'order';
        IF NOT EXISTS (SELECT 1 FROM orders.orders o WHERE o.organization_id = p_organization_id AND o.id = p_order_id
                          AND o.status = j #>> '{order,status}')
        THEN
            RAISE EXCEPTION 'the history does not lead to the status of the document';
        END IF;
    END IF;
    UPDATE archive.archive_index SET location = 'restored' WHERE organization_id = p_organization_id AND order_id = p_order_id;
    RETURN true;
END
$$;

-- Ends what is known of a customer: the key (and with it all that is sealed in the archive), the personal parts of the
-- orders that are still here, the profile, and what the audit log and the record of calls kept of them. One tombstone
-- stays. Answers {"outcome": "erased" | "erased_before" | "unknown" | "held" | "under_way", ...}.
CREATE FUNCTION archive.erase_customer(
    p_organization_id uuid, p_customer_id uuid, p_now timestamptz, p_tombstone_id uuid, p_reason text, p_requested_by text
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    active uuid[];
    archived_count integer;
    target record;
    changes text;
BEGIN
    IF p_organization_id IS DISTINCT FROM NULLIF(current_setting('holdfast.organization_id', true), '')::uuid THEN
        RAISE EXCEPTION 'the customer is of another organization' USING ERRCODE = '42501';
    END IF;
    PERFORM 1 FROM tenancy.customers WHERE organization_id = p_organization_id AND id = p_customer_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('outcome', 'unknown');
    END IF;
    IF EXISTS (SELECT 1 FROM archive.erasures WHERE organization_id = p_organization_id AND customer_id = p_customer_id) THEN
        RETURN jsonb_build_object('outcome', 'erased_before');
    END IF;
    SELECT array_agg(l.id) INTO active
      FROM (SELECT o.id FROM orders.orders o WHERE o.organization_id = p_organization_id AND o.customer_id = p_customer_id
             ORDER BY o.id FOR UPDATE) AS l;
    IF EXISTS (SELECT 1 FROM archive.archive_index x
                WHERE x.organization_id = p_organization_id AND x.customer_id = p_customer_id AND x.legal_hold) THEN
        RETURN jsonb_build_object('outcome', 'held');
    END IF;
    IF EXISTS (SELECT 1 FROM orders.orders o WHERE o.organization_id = p_organization_id AND o.id = ANY (active)
                AND (o.status NOT IN ('delivered', 'cancelled', 'refunded', 'partially_refunded')
                     OR archive.is_unsettled(p_organization_id, o.id))) THEN
        RETURN jsonb_build_object('outcome', 'under_way');
    END IF;
    FOR target IN SELECT part, table_name, owner_column, parent FROM archive.parts WHERE cardinality(personal) > 0 ORDER BY position LOOP
        SELECT string_agg(format('%I = %s', c.name, CASE WHEN c.required THEN quote_literal(archive.erased_value(c.name, c.type)) ELSE 'NULL' END), ', ')
          INTO changes FROM archive.columns_of(target.part) c WHERE c.is_personal;
        EXECUTE CASE WHEN target.parent IS NULL
            THEN format('UPDATE %s SET %s WHERE organization_id = $1 AND %I = ANY ($2)', target.table_name, changes, target.owner_column)
            ELSE format('UPDATE %s SET %s WHERE organization_id = $1 AND %I IN (SELECT %I.id FROM %s)', target.table_name, changes,
                        target.owner_column, target.parent, archive.rows_of(target.parent)) END
            USING p_organization_id, active;
    END LOOP;
    UPDATE operations.audit_log SET old_values = NULL, changed_values = '{"erased": true}',
           actor = CASE WHEN actor LIKE 'customer:%' THEN 'customer:erased' ELSE actor END
     WHERE organization_id = p_organization_id AND table_name = 'orders.orders' AND record_id = ANY (active);
    DELETE FROM orders.idempotency_keys WHERE organization_id = p_organization_id AND order_id = ANY (active);
    -- The ledger keeps what moved, and that a customer moved it.
    UPDATE inventory.stock_movements m SET performed_by = 'customer:erased'
      FROM (SELECT unnest(active) AS id UNION SELECT x.order_id FROM archive.archive_index x
             WHERE x.organization_id = p_organization_id AND x.customer_id = p_customer_id) AS o
     WHERE m.organization_id = p_organization_id AND m.reference_id = o.id AND m.performed_by LIKE 'customer:%';
    UPDATE operations.api_calls SET request = NULL, response = NULL
     WHERE organization_id = p_organization_id
       AND related_id IN (SELECT p.id FROM payments.payments p WHERE p.organization_id = p_organization_id AND p.order_id = ANY (active));
    -- What was told stays, and to whom does not; what was to be told goes to nobody. Whoever gets no mail any more needs no
    -- suppression.
    UPDATE notifications.messages m
       SET recipient = NULL, next_attempt_at = NULL,
           status = CASE WHEN m.status IN ('pending', 'sending') THEN 'skipped' ELSE m.status END
      FROM (SELECT unnest(active) AS id UNION SELECT x.order_id FROM archive.archive_index x
             WHERE x.organization_id = p_organization_id AND x.customer_id = p_customer_id) AS o
     WHERE m.organization_id = p_organization_id AND m.order_id = o.id
       AND (m.recipient IS NOT NULL OR m.status IN ('pending', 'sending'));
    DELETE FROM notifications.suppressions s USING tenancy.customers c
     WHERE s.organization_id = p_organization_id AND c.organization_id = p_organization_id AND c.id = p_customer_id
       AND lower(s.address) = lower(c.email);
    UPDATE tenancy.customer_addresses SET address = '{}', deleted_at = COALESCE(deleted_at, p_now), is_default = false
     WHERE organization_id = p_organization_id AND customer_id = p_customer_id;
    UPDATE tenancy.payment_methods SET deleted_at = COALESCE(deleted_at, p_now), forget_at = p_now, is_default = false
     WHERE organization_id = p_organization_id AND customer_id = p_customer_id AND deleted_at IS NULL;
    UPDATE tenancy.customers SET auth_subject = NULL, email = NULL, phone = NULL, first_name = NULL, last_name = NULL, timezone = NULL,
           status = 'deleted', deleted_at = p_now, version = version + 1
     WHERE organization_id = p_organization_id AND id = p_customer_id;
    INSERT INTO archive.customer_keys AS k (organization_id, customer_id, wrapped_key, created_at, destroyed_at)
    VALUES (p_organization_id, p_customer_id, NULL, p_now, p_now)
    ON CONFLICT ON CONSTRAINT customer_keys_pkey DO UPDATE SET wrapped_key = NULL, destroyed_at = p_now;
    SELECT count(*) INTO archived_count FROM archive.archive_index x
     WHERE x.organization_id = p_organization_id AND x.customer_id = p_customer_id;
    INSERT INTO archive.erasures (organization_id, id, customer_id, active_orders, archived_orders, reason, requested_by, created_at)
    VALUES (p_organization_id, p_tombstone_id, p_customer_id, COALESCE(cardinality(active), 0), archived_count, p_reason, p_requested_by, p_now);
    RETURN jsonb_build_object('outcome', 'erased');
END
$$;

-- Puts a document from cold storage back among the archived ones, if it is the one that was sealed. Answers whether it
-- was not there.
CREATE FUNCTION archive.refile(p_organization_id uuid, p_order_id uuid, p_version integer, p_document text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    leaf archive.batch_leaves;
    j jsonb := p_document::jsonb;
    written boolean;
BEGIN
    SELECT * INTO leaf FROM archive.batch_leaves
     WHERE organization_id = p_organization_id AND order_id = p_order_id AND version = p_version;
    IF leaf.checksum IS DISTINCT FROM sha256(convert_to(p_document, 'UTF8')) THEN
        RAISE EXCEPTION 'the document is not the one that was sealed' USING ERRCODE = 'HF003', CONSTRAINT = 'archive_checksum';
    END IF;
    INSERT INTO archive.archived_orders (organization_id, order_id, version, batch_id, order_number, customer_id, status, payment_status,
                                         fulfillment_status, ordered_at, currency, total, refunded, items, document)
    SELECT p_organization_id, p_order_id, p_version, leaf.batch_id, o.order_number, o.customer_id, o.status, o.payment_status,
           o.fulfillment_status, o.created_at, o.currency, o.total, o.refunded, COALESCE(jsonb_array_length(j -> 'items'), 0), p_document
      FROM jsonb_populate_record(NULL::orders.orders, j -> 'order') AS o
    ON CONFLICT DO NOTHING;
    written := FOUND;
    UPDATE archive.archive_index SET location = 'archived', cold_path = NULL, cold_row_group = NULL
     WHERE organization_id = p_organization_id AND order_id = p_order_id AND version = p_version AND location = 'cold_storage';
    RETURN written;
END
$$;

-- Drops the partition of a month whose orders all lie in cold storage: whatever is still there keeps it. Of a month that
-- nobody made a partition for, what lies in cold storage goes row by row. Answers whether the month is empty.
CREATE FUNCTION archive.drop_month(p_month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s'
AS $$
DECLARE
    partition_name text := format('archive.%I', 'archived_orders' || to_char(p_month, '_YYYY_MM'));
    lower_bound uuid := tenancy.uuid_v7_floor(date_trunc('month', p_month::timestamp) AT TIME ZONE 'UTC');
    upper_bound uuid := tenancy.uuid_v7_floor((date_trunc('month', p_month::timestamp) + interval '1 month') AT TIME ZONE 'UTC');
    kept boolean;
BEGIN
    IF to_regclass(partition_name) IS NULL THEN
        DELETE FROM archive.archived_orders_default a
         WHERE a.order_id >= lower_bound AND a.order_id < upper_bound
           AND (SELECT x.location FROM archive.archive_index x
                 WHERE x.organization_id = a.organization_id AND x.order_id = a.order_id) = 'cold_storage';
        RETURN NOT EXISTS (SELECT 1 FROM archive.archived_orders_default a WHERE a.order_id >= lower_bound AND a.order_id < upper_bound);
    END IF;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', partition_name);
    -- Order by order, by key (a scalar sub-select): statistics are of before the export, and would have the planner join.
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s a WHERE (SELECT x.location FROM archive.archive_index x '
                   'WHERE x.organization_id = a.organization_id AND x.order_id = a.order_id) IS DISTINCT FROM ''cold_storage'')', partition_name)
        INTO kept;
    IF kept THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %s', partition_name);
    RETURN true;
END
$$;

-- Drops months whole: of the audit log what is past its retention, of the history what the purge has emptied. A month that
-- somebody uses is left to the next run. Answers how many it dropped.
CREATE FUNCTION archive.drop_old_months(p_audit_before date, p_history_before date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s'
AS $$
DECLARE
    month record;
    is_used boolean;
    dropped integer := 0;
BEGIN
    FOR month IN
        SELECT i.inhparent = 'orders.order_status_history'::regclass AS must_be_empty, c.oid::regclass::text AS name
          FROM pg_inherits i
          JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent IN ('operations.audit_log'::regclass, 'orders.order_status_history'::regclass)
           AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'
           AND to_date(right(c.relname, 7), 'YYYY_MM') < CASE i.inhparent WHEN 'operations.audit_log'::regclass
                                                                THEN p_audit_before ELSE p_history_before END
         ORDER BY c.relname
    LOOP
        BEGIN
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', month.name);
            EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s)', month.name) INTO is_used;
            IF NOT (month.must_be_empty AND is_used) THEN
                EXECUTE format('DROP TABLE %s', month.name);
                dropped := dropped + 1;
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;
        END;
    END LOOP;
    RETURN dropped;
END
$$;

GRANT EXECUTE ON FUNCTION archive.leaf_hash(uuid, integer, bytea), archive.merkle_root(bytea[]), archive.merkle_root_of(uuid, uuid),
    archive.batch_root(bytea, bigint, uuid, integer, bytea), archive.break_of(uuid, uuid, bigint, bytea),
    archive.is_unsettled(uuid, uuid), archive.examine(uuid, uuid, uuid[], text[]), archive.bring_back(uuid, uuid, text, jsonb),
    archive.erase_customer(uuid, uuid, timestamptz, uuid, text, text),
    archive.rows_of(text) TO holdfast_app, holdfast_system;
GRANT EXECUTE ON FUNCTION archive.claim_orders(uuid, timestamptz, timestamptz, uuid, integer),
    archive.fill_batch(uuid, timestamptz, jsonb, uuid[], text[]), archive.seal_batch(uuid, uuid, timestamptz),
    archive.purge_batch(uuid, uuid, timestamptz, timestamptz), archive.drop_month(date), archive.drop_old_months(date, date),
    archive.refile(uuid, uuid, integer, text) TO holdfast_system;
