"""The SQL of a shop's file: one statement for each kind of row.

Each takes all rows of its kind as JSON, inserts those that are missing, updates those that differ, and returns one row
for each that it wrote. ``made`` says whether the row was inserted: an inserted row has no ``xmax``.
"""

from typing import Final

ORGANIZATION: Final = """
    INSERT INTO tenancy.organizations AS o (id, name, slug, publishable_key, settings, created_at)
    VALUES (:id, :name, :slug, :new_key, CAST(:settings AS jsonb), :now)
    ON CONFLICT (slug) WHERE deleted_at IS NULL DO UPDATE
       SET name = excluded.name, settings = o.settings || excluded.settings,
           publishable_key = COALESCE(CAST(:key AS text), o.publishable_key), version = o.version + 1
     WHERE (o.name, o.settings, o.publishable_key)
           IS DISTINCT FROM (excluded.name, o.settings || excluded.settings,
                             COALESCE(CAST(:key AS text), o.publishable_key))
    RETURNING (xmax = 0) AS made
"""

OWNER_NOT_NAMED: Final = """
    SELECT u.auth_subject FROM tenancy.organization_members m JOIN tenancy.users u ON u.id = m.user_id
     WHERE m.organization_id = :organization_id AND m.role = 'owner' AND m.status <> 'removed'
       AND u.auth_subject <> ALL(CAST(:named AS text[]))
"""

TAKEN_ENDPOINT_KEYS: Final = """
    SELECT a.endpoint_key
      FROM unnest(CAST(:keys AS text[]), CAST(:gateways AS text[])) AS r (endpoint_key, gateway)
      JOIN tenancy.gateway_accounts a ON a.endpoint_key = r.endpoint_key
     WHERE a.organization_id <> :organization_id OR a.gateway <> r.gateway
     ORDER BY a.endpoint_key
"""

# An owner who steps down does so first, so that the shop has two owners at no moment of the statement.
_STAFF: Final = """
    WITH r AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (
            id uuid, subject text, email text, name text, role text, status text)
    ), written AS (
        INSERT INTO tenancy.users AS u (id, auth_subject, email, full_name, created_at)
        SELECT r.id, r.subject, r.email, r.name, :now FROM r
        ON CONFLICT (auth_subject) DO UPDATE SET email = excluded.email, full_name = excluded.full_name
         WHERE (u.email, u.full_name) IS DISTINCT FROM (excluded.email, excluded.full_name)
        RETURNING u.id, u.auth_subject
    ), people AS (
        SELECT id, auth_subject FROM written
        UNION
        SELECT u.id, u.auth_subject FROM r JOIN tenancy.users u ON u.auth_subject = r.subject
    )
    INSERT INTO tenancy.organization_members AS m (organization_id, user_id, role, status, accepted_at, created_at)
    SELECT :organization_id, people.id, r.role, r.status, :now, :now
      FROM r JOIN people ON people.auth_subject = r.subject
     ORDER BY r.role = 'owner' AND r.status = 'active', people.id
    ON CONFLICT (organization_id, user_id) DO UPDATE SET role = excluded.role, status = excluded.status
     WHERE (m.role, m.status) IS DISTINCT FROM (excluded.role, excluded.status)
    RETURNING (xmax = 0) AS made
"""

_GATEWAYS: Final = """
    INSERT INTO tenancy.gateway_accounts AS a
        (organization_id, id, gateway, endpoint_key, secret_reference, merchant_account, webhook_id, notification_url,
         mode, status, created_at)
    SELECT :organization_id, r.id, r.gateway, r.endpoint_key, r.secret_reference, r.merchant_account, r.webhook_id,
           r.notification_url, r.mode, r.status, :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (
            id uuid, gateway text, endpoint_key text, secret_reference text, merchant_account text, webhook_id text,
            notification_url text, mode text, status text)
    ON CONFLICT (endpoint_key) DO UPDATE
       SET secret_reference = excluded.secret_reference, merchant_account = excluded.merchant_account,
           webhook_id = excluded.webhook_id, notification_url = excluded.notification_url, mode = excluded.mode,
           status = excluded.status
     WHERE (a.secret_reference, a.merchant_account, a.webhook_id, a.notification_url, a.mode, a.status)
           IS DISTINCT FROM (excluded.secret_reference, excluded.merchant_account, excluded.webhook_id,
                             excluded.notification_url, excluded.mode, excluded.status)
    RETURNING (xmax = 0) AS made
"""

_WAREHOUSES: Final = """
    INSERT INTO inventory.warehouses AS w
        (organization_id, id, code, name, address, latitude, longitude, status, priority, base_daily_capacity,
         shipping_cost_base, timezone, created_at)
    SELECT :organization_id, r.id, r.code, r.name, r.address, r.latitude, r.longitude, r.status, r.priority,
           r.base_daily_capacity, r.shipping_cost_base_minor, r.timezone, :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (
            id uuid, code text, name text, address jsonb, latitude double precision, longitude double precision,
            status text, priority integer, base_daily_capacity integer, shipping_cost_base_minor bigint, timezone text)
    ON CONFLICT (organization_id, code) DO UPDATE
       SET name = excluded.name, address = excluded.address, latitude = excluded.latitude,
           longitude = excluded.longitude, status = excluded.status, priority = excluded.priority,
           base_daily_capacity = excluded.base_daily_capacity, shipping_cost_base = excluded.shipping_cost_base,
           timezone = excluded.timezone, version = w.version + 1
     WHERE (w.name, w.address, w.latitude, w.longitude, w.status, w.priority, w.base_daily_capacity,
            w.shipping_cost_base, w.timezone)
           IS DISTINCT FROM (excluded.name, excluded.address, excluded.latitude, excluded.longitude, excluded.status,
                             excluded.priority, excluded.base_daily_capacity, excluded.shipping_cost_base,
                             excluded.timezone)
    RETURNING (xmax = 0) AS made
"""

_PRODUCTS: Final = """
    INSERT INTO catalog.products AS p
        (organization_id, id, name, slug, short_description, description, brand, category, requires_shipping, image_url,
         status, published_at, created_at)
    SELECT :organization_id, r.id, r.name, r.slug, r.short_description, r.description, r.brand, r.category,
           r.requires_shipping, r.image_url, r.status,
           CASE WHEN r.status = 'active' THEN CAST(:now AS timestamptz) END, :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (
            id uuid, name text, slug text, short_description text, description text, brand text, category text,
            requires_shipping boolean, image_url text, status text)
    ON CONFLICT (organization_id, slug) WHERE deleted_at IS NULL DO UPDATE
       SET name = excluded.name, short_description = excluded.short_description, description = excluded.description,
           brand = excluded.brand, category = excluded.category, requires_shipping = excluded.requires_shipping,
           image_url = excluded.image_url, status = excluded.status,
           published_at = COALESCE(p.published_at, excluded.published_at), version = p.version + 1
     WHERE (p.name, p.short_description, p.description, p.brand, p.category, p.requires_shipping, p.image_url, p.status)
           IS DISTINCT FROM (excluded.name, excluded.short_description, excluded.description, excluded.brand,
                             excluded.category, excluded.requires_shipping, excluded.image_url, excluded.status)
    RETURNING (xmax = 0) AS made
"""

_VARIANTS: Final = """
    INSERT INTO catalog.variants AS v
        (organization_id, id, product_id, sku, option_values, price, currency, weight_grams, barcode, tax_code,
         position, status, created_at)
    SELECT :organization_id, r.id, p.id, r.sku, r.option_values, r.price_minor, r.currency, r.weight_grams, r.barcode,
           r.tax_code, r.position, r.status, :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (
            id uuid, product_slug text, sku text, option_values jsonb, price_minor bigint, currency text,
            weight_grams integer, barcode text, tax_code text, position integer, status text)
      JOIN catalog.products p
        ON p.organization_id = :organization_id AND p.slug = r.product_slug AND p.deleted_at IS NULL
    ON CONFLICT (organization_id, sku) WHERE deleted_at IS NULL DO UPDATE
       SET product_id = excluded.product_id, option_values = excluded.option_values, price = excluded.price,
           currency = excluded.currency, weight_grams = excluded.weight_grams, barcode = excluded.barcode,
           tax_code = excluded.tax_code, position = excluded.position, status = excluded.status,
           version = v.version + 1
     WHERE (v.product_id, v.option_values, v.price, v.currency, v.weight_grams, v.barcode, v.tax_code, v.position,
            v.status)
           IS DISTINCT FROM (excluded.product_id, excluded.option_values, excluded.price, excluded.currency,
                             excluded.weight_grams, excluded.barcode, excluded.tax_code, excluded.position,
                             excluded.status)
    RETURNING (xmax = 0) AS made
"""

STATEMENTS: Final = {
    "staff": _STAFF,
    "gateways": _GATEWAYS,
    "warehouses": _WAREHOUSES,
    "products": _PRODUCTS,
    "variants": _VARIANTS,
}

UNKNOWN_STOCK: Final = """
    SELECT r.place, CASE WHEN w.id IS NULL THEN 'warehouse ' || r.warehouse ELSE 'SKU ' || r.sku END AS missing
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (place integer, warehouse text, sku text)
      LEFT JOIN inventory.warehouses w ON w.organization_id = :organization_id AND w.code = r.warehouse
      LEFT JOIN catalog.variants v ON v.organization_id = :organization_id AND v.sku = r.sku AND v.deleted_at IS NULL
     WHERE w.id IS NULL OR v.id IS NULL
     ORDER BY r.place
"""

NEW_LEVELS: Final = """
    WITH said AS (
        SELECT w.id AS warehouse_id, v.id AS variant_id, r.quantity, r.safety_stock
          FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (
                warehouse text, sku text, quantity integer, safety_stock integer)
          JOIN inventory.warehouses w ON w.organization_id = :organization_id AND w.code = r.warehouse
          JOIN catalog.variants v ON v.organization_id = :organization_id AND v.sku = r.sku AND v.deleted_at IS NULL
    ), made AS (
        INSERT INTO inventory.stock_levels (organization_id, warehouse_id, variant_id, safety_stock, created_at)
        SELECT :organization_id, s.warehouse_id, s.variant_id, s.safety_stock, :now FROM said s
        ON CONFLICT DO NOTHING RETURNING warehouse_id, variant_id
    )
    SELECT made.warehouse_id, made.variant_id, s.quantity
      FROM made JOIN said s ON s.warehouse_id = made.warehouse_id AND s.variant_id = made.variant_id
"""
