-- An order that ships from elsewhere than was decided first, and the addresses it had before.

-- Every decision about where an order ships from after the one at its checkout (orders.allocation_reasons): the goods
-- moved, or the allocation was honoured as it was. Costs are what the parcels cost the shop, by the warehouses' figures
-- of that day.
CREATE TABLE orders.reallocations (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    sequence integer NOT NULL, -- 1..n per order, counted under its lock
    cause text NOT NULL,
    outcome text NOT NULL,
    old_cost bigint NOT NULL,
    new_cost bigint, -- NULL: there was no other way to ship it
    saving bigint,
    reason text NOT NULL,
    reasons jsonb NOT NULL,
    decided_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT reallocations_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT reallocations_order_fkey FOREIGN KEY (organization_id, order_id) REFERENCES orders.orders (organization_id, id),
    -- named query: reallocations of an order
    CONSTRAINT reallocations_sequence UNIQUE (organization_id, order_id, sequence),
    CONSTRAINT reallocations_sequence_positive CHECK (sequence >= 1),
    CONSTRAINT reallocations_cause CHECK (cause IN ('late_payment', 'paid_again', 'address_change', 'address_review', 'by_hand')),
    CONSTRAINT reallocations_outcome CHECK (outcome IN ('applied', 'honoured')),
    CONSTRAINT reallocations_costs_not_negative CHECK (old_cost >= 0 AND new_cost >= 0),
    CONSTRAINT reallocations_saving_adds_up CHECK (saving IS NOT DISTINCT FROM old_cost - new_cost),
    CONSTRAINT reallocations_applied_goes_somewhere CHECK (outcome = 'honoured' OR new_cost IS NOT NULL),
    -- An address moves goods for a saving of more than 25 % alone.
    CONSTRAINT reallocations_move_for_a_saving CHECK (
        outcome = 'honoured' OR cause NOT IN ('address_change', 'address_review') OR saving * 4 > old_cost)
);
CALL tenancy.isolate('orders.reallocations');
GRANT SELECT, INSERT ON orders.reallocations TO holdfast_app, holdfast_system;

-- What an order's shipping address was before it was changed: where that was, who changed it, what became of the price.
CREATE TABLE orders.order_address_versions (
    organization_id uuid NOT NULL,
    order_id uuid NOT NULL,
    version integer NOT NULL, -- 1..n per order, counted under its lock: the first is the address of the checkout
    shipping_address jsonb NOT NULL,
    latitude double precision,
    longitude double precision,
    geocode_quality text,
    required_review boolean NOT NULL,
    cause text NOT NULL,
    total bigint NOT NULL,
    total_anew bigint NOT NULL, -- what the next destination would cost by the rules of that day
    total_after bigint NOT NULL,
    price jsonb, -- {tax, shipping, refunded, tax_lines, items: [{id, tax}]}; NULL: it stayed
    replaced_by text NOT NULL,
    created_at timestamptz NOT NULL, -- when it was replaced
    -- named query: earlier addresses of an order
    CONSTRAINT order_address_versions_pkey PRIMARY KEY (organization_id, order_id, version),
    CONSTRAINT order_address_versions_order_fkey FOREIGN KEY (organization_id, order_id) REFERENCES orders.orders (organization_id, id),
    CONSTRAINT order_address_versions_version_positive CHECK (version >= 1),
    CONSTRAINT order_address_versions_cause CHECK (cause IN ('address_change', 'address_review')),
    CONSTRAINT order_address_versions_geocode_quality CHECK (
        geocode_quality IN ('rooftop', 'range_interpolated', 'centroid', 'approximate')),
    CONSTRAINT order_address_versions_total_never_rises CHECK (total_after BETWEEN 0 AND total),
    CONSTRAINT order_address_versions_lower_total_has_price CHECK ((total_after < total) = (price IS NOT NULL))
);
CALL tenancy.isolate('orders.order_address_versions');
GRANT SELECT, INSERT ON orders.order_address_versions TO holdfast_app;
GRANT SELECT ON orders.order_address_versions TO holdfast_system;

-- What a shopper has agreed to pay never rises, whoever writes.
CREATE FUNCTION orders.refuse_higher_total() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'the total of an order does not rise from % to %', OLD.total, NEW.total
        USING ERRCODE = '23514', CONSTRAINT = 'orders_total_never_rises';
END
$$;
CREATE TRIGGER total_never_rises BEFORE UPDATE OF total ON orders.orders FOR EACH ROW WHEN (NEW.total > OLD.total)
    EXECUTE FUNCTION orders.refuse_higher_total();

-- Projects the lower price into the order and its lines. Nobody else may write those columns; and it raises unless exactly
-- one order costs what the version says it cost.
CREATE FUNCTION orders.project_price() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed integer;
BEGIN
    UPDATE orders.order_items i SET tax = t.tax
      FROM jsonb_to_recordset(NEW.price -> 'items') AS t (id uuid, tax bigint)
     WHERE i.organization_id = NEW.organization_id AND i.order_id = NEW.order_id AND i.id = t.id AND i.tax <> t.tax;
    UPDATE orders.orders
       SET tax = (NEW.price ->> 'tax')::bigint, shipping = (NEW.price ->> 'shipping')::bigint, total = NEW.total_after,
           refunded = (NEW.price ->> 'refunded')::bigint, tax_lines = NEW.price -> 'tax_lines'
     WHERE organization_id = NEW.organization_id AND id = NEW.order_id AND total = NEW.total;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> 1 THEN
        RAISE EXCEPTION 'the price of order % changed meanwhile', NEW.order_id
            USING ERRCODE = 'HF001', CONSTRAINT = 'order_price_projection';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER project_price AFTER INSERT ON orders.order_address_versions FOR EACH ROW WHEN (NEW.price IS NOT NULL)
    EXECUTE FUNCTION orders.project_price();

-- A price difference gives back what a payment took beyond the order's price, and no more: however often it is decided,
-- and by whomever at the same instant (all of them write the payment's row). Looked at when the transaction ends, for the
-- news that the money was taken is written with it.
CREATE FUNCTION payments.refuse_difference_beyond_price() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (SELECT sum(r.amount) FROM payments.refunds r
         WHERE r.organization_id = NEW.organization_id AND r.payment_id = NEW.payment_id AND r.reason = 'price_difference'
           AND r.status IN ('pending', 'processing', 'succeeded'))
       > (SELECT p.captured_amount - o.total
            FROM payments.payments p JOIN orders.orders o ON o.organization_id = p.organization_id AND o.id = p.order_id
           WHERE p.organization_id = NEW.organization_id AND p.id = NEW.payment_id)
    THEN
        RAISE EXCEPTION 'payment % did not take so much beyond the price of its order', NEW.payment_id
            USING ERRCODE = '23514', CONSTRAINT = 'refunds_difference_within_excess';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER difference_within_excess AFTER INSERT ON payments.refunds DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.reason = 'price_difference') EXECUTE FUNCTION payments.refuse_difference_beyond_price();

-- What giving an order another address is decided on; the caller holds the order's row. Its own goods, held or sold, count
-- as available where they lie, and its own parcels not as load. A warehouse that is not active is told of only where some
-- of the goods lie there.
CREATE FUNCTION checkout.readdress_facts(p_organization_id uuid, p_order_id uuid, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN (
    WITH items AS (
        SELECT i.* FROM orders.order_items i WHERE i.organization_id = p_organization_id AND i.order_id = p_order_id
    ), goods AS (
        SELECT r.warehouse_id, r.variant_id, r.quantity, r.status, r.expires_at, r.load_date
          FROM inventory.reservations r
         WHERE r.organization_id = p_organization_id AND r.order_id = p_order_id AND r.status IN ('active', 'completed')
    )
    SELECT jsonb_build_object(
        'organization', (SELECT jsonb_build_object('status', g.status, 'settings', g.settings)
                           FROM tenancy.organizations g WHERE g.id = p_organization_id),
        'order', jsonb_build_object(
            'version', o.version, 'shipping_address', o.shipping_address, 'tax', o.tax, 'shipping', o.shipping, 'total', o.total,
            'tax_lines', o.tax_lines),
        'items', (SELECT jsonb_agg(jsonb_build_object(
                      'id', i.id, 'variant_id', i.variant_id, 'sku', i.sku, 'name', i.name, 'unit_price', i.unit_price,
                      'quantity', i.quantity, 'discount', i.discount, 'tax', i.tax, 'restocked_quantity', i.restocked_quantity,
                      'tax_code', v.tax_code, 'requires_shipping', c.requires_shipping) ORDER BY i.position)
                    FROM items i
                    JOIN catalog.variants v ON v.organization_id = i.organization_id AND v.id = i.variant_id
                    JOIN catalog.products c ON c.organization_id = v.organization_id AND c.id = v.product_id),
        'goods', (SELECT COALESCE(jsonb_agg(to_jsonb(goods)), '[]') FROM goods),
        'warehouses', (
            SELECT COALESCE(jsonb_agg(jsonb_build_object(
                       'id', w.id, 'code', w.code, 'latitude', w.latitude, 'longitude', w.longitude, 'priority', w.priority,
                       'is_active', w.status = 'active',
                       'shipping_cost_base', w.shipping_cost_base, 'base_daily_capacity', w.base_daily_capacity,
                       'load_date', d.load_date, 'available', stock.available,
                       'orders_today', (SELECT COALESCE(sum(l.orders), 0) FROM inventory.warehouse_daily_load l
                                         WHERE l.organization_id = p_organization_id AND l.warehouse_id = w.id
                                           AND l.load_date = d.load_date)
                                       - (SELECT count(*) FROM goods WHERE goods.warehouse_id = w.id AND goods.load_date = d.load_date),
                       'override', (SELECT CASE WHEN c.starts_on <= d.load_date THEN
                                               jsonb_build_object('multiplier', c.capacity_multiplier, 'hard_limit', c.hard_capacity_limit) END
                                      FROM inventory.capacity_overrides c
                                     WHERE c.organization_id = p_organization_id AND c.warehouse_id = w.id AND c.ends_on >= d.load_date
                                     ORDER BY c.ends_on LIMIT 1))), '[]')
              FROM inventory.warehouses w
             CROSS JOIN LATERAL (SELECT (p_now AT TIME ZONE w.timezone)::date AS load_date) AS d
              JOIN (SELECT s.warehouse_id, jsonb_object_agg(s.variant_id, s.on_hand - s.reserved + COALESCE(own.quantity, 0)) AS available
                      FROM inventory.stock_levels s
                      LEFT JOIN (SELECT warehouse_id, variant_id, sum(quantity) AS quantity FROM goods GROUP BY 1, 2) own
                        ON own.warehouse_id = s.warehouse_id AND own.variant_id = s.variant_id
                     WHERE s.organization_id = p_organization_id AND s.variant_id = ANY (ARRAY(SELECT variant_id FROM items))
                       AND s.on_hand - s.reserved + COALESCE(own.quantity, 0) > 0
                     GROUP BY s.warehouse_id) AS stock ON stock.warehouse_id = w.id
             WHERE w.organization_id = p_organization_id
               AND (w.status = 'active' OR w.id IN (SELECT warehouse_id FROM goods))))
      FROM orders.orders o
     WHERE o.organization_id = p_organization_id AND o.id = p_order_id);
END
$$;

-- Moves an order's goods to other warehouses in the caller's transaction: nobody else sees them free in between. Held goods
-- are released and reserved; sold ones return, are reserved and sold. The load they booked is given back on the date
-- they booked it. The caller holds the order's row and its live holds; the levels that are left and those that are reached
-- are locked here, all of them in the one global order.
-- p: as checkout.hold takes it, with {reallocation_id, from_status: 'active' | 'completed', reason, is_split_shipment}
-- Raises HF001 when the stock is no longer what the decision was made on.
CREATE FUNCTION checkout.move_goods(p_organization_id uuid, p jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := (p ->> 'now')::timestamptz;
    v_order_id uuid := (p ->> 'order_id')::uuid;
    v_was_sold boolean := p ->> 'from_status' = 'completed';
    v_reason text := p ->> 'reason';
    v_actor text := p ->> 'performed_by';
    warehouses uuid[];
    variants uuid[];
    quantities integer[];
BEGIN
    PERFORM 1
       FROM inventory.stock_levels s
       JOIN (SELECT r.warehouse_id, r.variant_id FROM inventory.reservations r
              WHERE r.organization_id = p_organization_id AND r.order_id = v_order_id AND r.status = p ->> 'from_status'
             UNION
             SELECT a.warehouse_id, a.variant_id FROM jsonb_to_recordset(p -> 'allocations') AS a (warehouse_id uuid, variant_id uuid)) w
         ON s.warehouse_id = w.warehouse_id AND s.variant_id = w.variant_id
      WHERE s.organization_id = p_organization_id
      ORDER BY s.warehouse_id, s.variant_id
        FOR NO KEY UPDATE OF s;

    WITH moved AS (
        UPDATE inventory.reservations r
           SET status = 'reallocated', released_at = v_now, reason = v_reason
         WHERE r.organization_id = p_organization_id AND r.order_id = v_order_id AND r.status = p ->> 'from_status'
        RETURNING r.warehouse_id, r.variant_id, r.quantity, r.load_date
    ), load_given_back AS (
        INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)
        SELECT p_organization_id, warehouse_id, load_date, tenancy.uuid_v7(v_now), -1 FROM moved WHERE load_date IS NOT NULL
    )
    SELECT array_agg(warehouse_id), array_agg(variant_id), array_agg(quantity) INTO warehouses, variants, quantities FROM moved;
    UPDATE orders.order_allocations SET superseded_at = v_now
     WHERE organization_id = p_organization_id AND order_id = v_order_id AND superseded_at IS NULL;
    PERFORM inventory.move_stock(p_organization_id, v_now, CASE WHEN v_was_sold THEN 'return' ELSE 'release' END,
                                 warehouses, variants, quantities, 'reallocation', (p ->> 'reallocation_id')::uuid, v_reason, v_actor);
    PERFORM checkout.hold(p_organization_id, p);
    IF v_was_sold THEN
        PERFORM inventory.resolve_reservations(p_organization_id, v_order_id, v_now, 'completed', v_reason, v_actor);
    END IF;
    UPDATE orders.orders SET is_split_shipment = (p ->> 'is_split_shipment')::boolean
     WHERE organization_id = p_organization_id AND id = v_order_id
       AND is_split_shipment <> (p ->> 'is_split_shipment')::boolean;
END
$$;

-- Gives an order its new address, and keeps the one it had, with the price where that falls; and writes what is known of the
-- place. A failure to locate the address before is settled by the new one. The caller holds the order's row.
-- p: {order_id, now, actor, cause, shipping_address, latitude, longitude, geocode_quality, requires_review, place,
--     total_anew, total_after, price: {tax, shipping, refunded, tax_lines, items: [{id, tax}]} | null}
CREATE FUNCTION checkout.readdress(p_organization_id uuid, p jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := (p ->> 'now')::timestamptz;
    v_order_id uuid := (p ->> 'order_id')::uuid;
    kept integer;
BEGIN
    INSERT INTO orders.order_address_versions (organization_id, order_id, version, shipping_address, latitude, longitude,
                                               geocode_quality, required_review, cause, total, total_anew, total_after,
                                               price, replaced_by, created_at)
    SELECT o.organization_id, o.id, 1 + (SELECT count(*) FROM orders.order_address_versions v
                                          WHERE v.organization_id = o.organization_id AND v.order_id = o.id),
           o.shipping_address, o.shipping_latitude, o.shipping_longitude, o.geocode_quality, o.geocode_requires_review,
           p ->> 'cause', o.total, (p ->> 'total_anew')::bigint, (p ->> 'total_after')::bigint,
           NULLIF(p -> 'price', 'null'), p ->> 'actor', v_now
      FROM orders.orders o
     WHERE o.organization_id = p_organization_id AND o.id = v_order_id
    RETURNING version INTO STRICT kept;

    UPDATE orders.orders
       SET shipping_address = p -> 'shipping_address', shipping_latitude = (p ->> 'latitude')::double precision,
           shipping_longitude = (p ->> 'longitude')::double precision, geocode_quality = p ->> 'geocode_quality',
           geocode_requires_review = (p ->> 'requires_review')::boolean, version = version + 1
     WHERE organization_id = p_organization_id AND id = v_order_id;

    UPDATE addresses.geocode_failures SET resolution_status = 'corrected', resolved_at = v_now
     WHERE organization_id = p_organization_id AND order_id = v_order_id AND resolved_at IS NULL;
    IF p -> 'place' <> 'null'::jsonb THEN
        PERFORM addresses.note_place(p_organization_id, v_order_id, v_now, p -> 'place');
    END IF;
    RETURN kept;
END
$$;
GRANT UPDATE (resolution_status, resolved_at) ON addresses.geocode_failures TO holdfast_app;

GRANT EXECUTE ON FUNCTION checkout.readdress_facts(uuid, uuid, timestamptz), checkout.move_goods(uuid, jsonb),
    checkout.readdress(uuid, jsonb) TO holdfast_app;
