-- The canonical document of an order, and everything that has to know which tables an order consists of: one list.

-- The parts of an order, in the order in which they can be written: what a part refers to comes before it. The document,
-- the purge and the restore all read this list, and a test holds it against pg_constraint: a new table that refers to
-- an order has its line here, or says in the test why not.
CREATE TABLE archive.parts (
    position integer NOT NULL,
    part text NOT NULL, -- its key in the document
    table_name regclass NOT NULL,
    owner_column text NOT NULL, -- what leads to the order, or to the part named next
    parent text, -- NULL: the order itself
    sort_by text[] NOT NULL,
    omitted text[] NOT NULL DEFAULT '{}', -- bookkeeping, which is not the order's business
    personal text[] NOT NULL DEFAULT '{}', -- what is sealed with the customer's key
    in_document boolean NOT NULL DEFAULT true, -- false: it is purged with the order and forgotten
    CONSTRAINT parts_pkey PRIMARY KEY (position),
    CONSTRAINT parts_part_unique UNIQUE (part)
);
GRANT SELECT ON archive.parts TO holdfast_app, holdfast_system;

INSERT INTO archive.parts (position, part, table_name, owner_column, parent, sort_by, omitted, personal, in_document) VALUES
    (10, 'order', 'orders.orders', 'id', NULL, '{id}', '{version}',
     '{email,shipping_address,billing_address,shipping_latitude,shipping_longitude,customer_notes,internal_notes,metadata,allocation_reasons}', true),
    (20, 'items', 'orders.order_items', 'order_id', NULL, '{position,id}', '{}', '{}', true),
    (30, 'allocations', 'orders.order_allocations', 'order_id', NULL, '{id}', '{}', '{}', true),
    (40, 'reservations', 'inventory.reservations', 'order_id', NULL, '{id}', '{}', '{}', true),
    (50, 'history', 'orders.order_status_history', 'order_id', NULL, '{sequence}', '{recorded_at}', '{changed_by,notes}', true),
    (60, 'geocode_failures', 'addresses.geocode_failures', 'order_id', NULL, '{id}', '{}', '{address}', true),
    (62, 'reallocations', 'orders.reallocations', 'order_id', NULL, '{sequence}', '{}', '{reasons,decided_by}', true),
    (64, 'address_versions', 'orders.order_address_versions', 'order_id', NULL, '{version}', '{}',
     '{shipping_address,latitude,longitude,replaced_by}', true),
    (66, 'reviews', 'addresses.reviews', 'order_id', NULL, '{id}', '{version}', '{nonce,resolved_by}', true),
    (68, 'review_steps', 'addresses.review_steps', 'review_id', 'reviews', '{review_id,sequence}', '{}', '{taken_by,notes}', true),
    (70, 'shipments', 'fulfillment.shipments', 'order_id', NULL, '{id}', '{version}', '{tracking_number,tracking_url,failure_notes}', true),
    (80, 'shipment_items', 'fulfillment.shipment_items', 'order_id', NULL, '{shipment_id,allocation_id}', '{}', '{}', true),
    (100, 'payments', 'payments.payments', 'order_id', NULL, '{attempt}', '{next_check_at,checks}',
     '{method_token,gateway_customer_id,last_four,client_action,metadata}', true),
    (110, 'operations', 'orders.order_operations', 'order_id', NULL, '{id}', '{}', '{reason,requested_by}', true),
    (120, 'events', 'payments.payment_events', 'payment_id', 'payments', '{id}', '{}', '{payload}', true),
    (130, 'refunds', 'payments.refunds', 'order_id', NULL, '{id}', '{}', '{notes,created_by}', true),
    (140, 'refund_items', 'payments.refund_items', 'refund_id', 'refunds', '{id}', '{}', '{}', true),
    (150, 'disputes', 'payments.disputes', 'payment_id', 'payments', '{id}', '{}', '{}', true),
    (160, 'dead_letters', 'payments.dead_letters', 'event_id', 'events', '{id}', '{version,replay_lease_until}',
     '{payload,failure_reason,resolution_notes,assigned_to}', true),
    (170, 'dead_letter_history', 'payments.dead_letter_history', 'dead_letter_id', 'dead_letters', '{dead_letter_id,sequence}',
     '{recorded_at}', '{changed_by,notes}', true),
    (900, 'idempotency_keys', 'orders.idempotency_keys', 'order_id', NULL, '{key}', '{}', '{}', false);

-- Where a part's rows are, and the orders (w.id) they belong to; $1 is the organization, $2 the orders.
CREATE FUNCTION archive.rows_of(p_part text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target archive.parts;
BEGIN
    SELECT * INTO STRICT target FROM archive.parts WHERE part = p_part;
    IF target.parent IS NULL THEN
        RETURN format('unnest($2) AS w (id) JOIN %1$s %2$I ON %2$I.organization_id = $1 AND %2$I.%3$I = w.id',
                      target.table_name, p_part, target.owner_column);
    END IF;
    RETURN archive.rows_of(target.parent)
        || format(' JOIN %1$s %2$I ON %2$I.organization_id = $1 AND %2$I.%3$I = %4$I.id',
                  target.table_name, p_part, target.owner_column, target.parent);
END
$$;

-- A column as JSON, in its one form: times as ISO 8601 in UTC, fractions with six digits as text, no floats.
CREATE FUNCTION archive.json_of(p_column text, p_type regtype) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN p_type IN ('uuid'::regtype, 'date'::regtype) THEN format('''"'' || %s || ''"''', p_column)
        WHEN p_type IN ('double precision'::regtype, 'real'::regtype) THEN format('''"'' || round(%s::numeric, 6) || ''"''', p_column)
        WHEN p_type IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'boolean'::regtype, 'jsonb'::regtype)
            THEN p_column || '::text'
        WHEN p_type = 'numeric'::regtype THEN format('''"'' || %s || ''"''', p_column)
        WHEN p_type IN ('timestamptz'::regtype, 'text'::regtype, 'bpchar'::regtype, 'varchar'::regtype) THEN format('to_json(%s)::text', p_column)
        ELSE format('to_jsonb(%s)::text', p_column) END
$$;

-- The columns of a part that are its business, in the order of jsonb: shorter names first, then by their bytes. Whose
-- rows they are the order says once.
CREATE FUNCTION archive.columns_of(p_part text) RETURNS TABLE (name text, type regtype, required boolean, is_personal boolean, rank bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.attname::text, a.atttypid::regtype, a.attnotnull, a.attname::text = ANY (p.personal),
           row_number() OVER (ORDER BY octet_length(a.attname::text), a.attname::text COLLATE "C")
      FROM archive.parts p
      JOIN pg_attribute a ON a.attrelid = p.table_name
     WHERE p.part = p_part AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
       AND a.attname::text <> ALL (p.omitted || '{updated_at,deleted_at}'::text[])
       AND (p_part = 'order' OR (a.attname <> 'organization_id' AND (p.parent IS NOT NULL OR a.attname <> p.owner_column)))
$$;

-- What stands where something had to stand and was erased: of the same form, and nobody's.
CREATE FUNCTION archive.erased_value(p_column text, p_type regtype) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN p_type = 'jsonb'::regtype AND p_column IN ('shipping_address', 'billing_address')
                THEN '{"name": "erased", "line1": "erased", "line2": null, "city": "erased", "region": null, "postal_code": "erased", '
                     '"country": "ZZ", "phone": null}'
                WHEN p_type = 'jsonb'::regtype THEN '{}' ELSE 'erased' END
$$;

-- The object of a part's row, as an expression: without what is NULL, so that a column added later and empty in an old
-- order changes no byte of its document.
CREATE FUNCTION archive.object_of(p_part text, p_personal boolean) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '''{'' || substr(concat(' || string_agg(
               format(''', %s: '' || %s', to_json(c.name), archive.json_of(format('%I.%I', p_part, c.name), c.type)), ', ' ORDER BY c.rank)
           || '), 3) || ''}'''
      FROM archive.columns_of(p_part) c
     WHERE c.is_personal = p_personal
$$;

-- A key's place among the keys of the document.
CREATE FUNCTION archive.rank_of(p_key text) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*)::integer
      FROM (SELECT part AS key FROM archive.parts UNION ALL VALUES ('schema'), ('personal')) AS k
     WHERE octet_length(k.key) < octet_length(p_key) OR (octet_length(k.key) = octet_length(p_key) AND k.key COLLATE "C" < p_key)
$$;

-- What a part adds to the documents of the orders: one row for each order that has it.
CREATE FUNCTION archive.section_of(p_part text, p_personal boolean) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(
        CASE WHEN p.part = 'order' THEN 'SELECT w.id, %1$s, ''%2$s: '' || %3$s FROM %4$s'
             ELSE 'SELECT w.id, %1$s, ''%2$s: ['' || string_agg(%3$s, '', '' ORDER BY %5$s) || '']'' FROM %4$s GROUP BY w.id' END,
        archive.rank_of(p.part), to_json(p.part), archive.object_of(p.part, p_personal), archive.rows_of(p.part),
        (SELECT string_agg(format('%I.%I', p.part, s), ', ' ORDER BY i) FROM unnest(p.sort_by) WITH ORDINALITY AS u (s, i)))
      FROM archive.parts p
     WHERE p.part = p_part
$$;

-- Writes the two functions that build documents out of the list above (a batch of a thousand is some 8 MB to sort). The text is that of PostgreSQL's jsonb (keys by
-- length, then by bytes; ", " and ": " between), so that document::jsonb::text is the document again; it is glued and
-- not built as jsonb, which takes longer.
CREATE PROCEDURE archive.define_documents(p_schema integer)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    options CONSTANT text := 'LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = ''UTC'' '
        'SET work_mem = ''64MB'' SET plan_cache_mode = force_generic_plan';
    public_sections text;
    personal_sections text;
BEGIN
    SELECT string_agg(archive.section_of(part, false), E'\n        UNION ALL ' ORDER BY position),
           string_agg(archive.section_of(part, true), E'\n        UNION ALL ' ORDER BY position) FILTER (WHERE cardinality(personal) > 0)
      INTO public_sections, personal_sections
      FROM archive.parts WHERE in_document;
    -- Everything but what is sealed: the document up to the sealed text, and the rest of it.
    EXECUTE format($define$
        CREATE OR REPLACE FUNCTION archive.skeletons(p_organization_id uuid, p_order_ids uuid[])
        RETURNS TABLE (order_id uuid, head text, tail text) %1$s AS $body$
        BEGIN
            RETURN QUERY
            SELECT s.id, '{' || string_agg(s.said, ', ' ORDER BY s.rank) FILTER (WHERE s.rank < %4$s) || ', "personal": "',
                   '"' || COALESCE(', ' || string_agg(s.said, ', ' ORDER BY s.rank) FILTER (WHERE s.rank > %4$s), '') || '}'
              FROM (%2$s
        UNION ALL SELECT o.id, %5$s, '"schema": %3$s' FROM unnest($2) AS w (id) JOIN orders.orders o ON o.organization_id = $1 AND o.id = w.id)
                   AS s (id, rank, said)
             GROUP BY s.id;
        END $body$ $define$,
        options, public_sections, p_schema, archive.rank_of('personal'), archive.rank_of('schema'));
    -- What is sealed, in the same shape.
    EXECUTE format($define$
        CREATE OR REPLACE FUNCTION archive.personal_texts(p_organization_id uuid, p_order_ids uuid[])
        RETURNS TABLE (order_id uuid, personal text) %s AS $body$
        BEGIN
            RETURN QUERY
            SELECT s.id, '{' || string_agg(s.said, ', ' ORDER BY s.rank) || '}'
              FROM (%s) AS s (id, rank, said)
             GROUP BY s.id;
        END $body$ $define$, options, personal_sections);
END
$$;
CALL archive.define_documents(1);
GRANT EXECUTE ON FUNCTION archive.skeletons(uuid, uuid[]), archive.personal_texts(uuid, uuid[]) TO holdfast_app, holdfast_system;
GRANT EXECUTE ON FUNCTION archive.erased_value(text, regtype) TO holdfast_app, holdfast_system;
