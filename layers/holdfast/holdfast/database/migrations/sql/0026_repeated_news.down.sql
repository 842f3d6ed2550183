CREATE OR REPLACE FUNCTION archive.bring_back(p_organization_id uuid, p_order_id uuid, p_document text, p_personal jsonb) RETURNS boolean
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
