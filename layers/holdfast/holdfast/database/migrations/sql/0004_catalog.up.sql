-- What can be sold: products, and the variants that carry the SKU and the price.

CREATE TABLE catalog.products (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    slug text NOT NULL,
    short_description text,
    description text,
    brand text,
    category text,
    requires_shipping boolean NOT NULL DEFAULT true,
    status text NOT NULL DEFAULT 'draft',
    image_url text,
    attributes jsonb NOT NULL DEFAULT '{}',
    tags text[] NOT NULL DEFAULT '{}',
    seo_title text,
    seo_description text,
    published_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT products_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT products_organization_fkey FOREIGN KEY (organization_id) REFERENCES tenancy.organizations (id),
    CONSTRAINT products_status CHECK (status IN ('draft', 'active', 'archived'))
);
-- named query: by slug
CREATE UNIQUE INDEX products_slug_unique ON catalog.products (organization_id, slug) WHERE deleted_at IS NULL;
-- named query: by category and status
CREATE INDEX products_by_category ON catalog.products (organization_id, category, status) WHERE deleted_at IS NULL;
CREATE TRIGGER touch BEFORE UPDATE ON catalog.products FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON catalog.products FOR EACH ROW EXECUTE FUNCTION operations.audit('organization_id', 'id');
CALL tenancy.isolate('catalog.products');
GRANT SELECT, INSERT, UPDATE ON catalog.products TO holdfast_app;
GRANT SELECT ON catalog.products TO holdfast_system;

CREATE TABLE catalog.variants (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    product_id uuid NOT NULL,
    sku text NOT NULL,
    option_values jsonb NOT NULL DEFAULT '{}',
    price bigint NOT NULL,
    compare_at_price bigint,
    cost bigint,
    currency char(3) NOT NULL,
    weight_grams integer,
    barcode text,
    tax_code text,
    position integer NOT NULL DEFAULT 1,
    status text NOT NULL DEFAULT 'active',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT variants_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT variants_product_fkey FOREIGN KEY (organization_id, product_id) REFERENCES catalog.products (organization_id, id),
    CONSTRAINT variants_price_not_negative CHECK (price >= 0),
    CONSTRAINT variants_compare_at_price_not_negative CHECK (compare_at_price >= 0),
    CONSTRAINT variants_cost_not_negative CHECK (cost >= 0),
    CONSTRAINT variants_weight_not_negative CHECK (weight_grams >= 0),
    CONSTRAINT variants_currency_form CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT variants_status CHECK (status IN ('active', 'archived'))
);
-- named query: by SKU
CREATE UNIQUE INDEX variants_sku_unique ON catalog.variants (organization_id, sku) WHERE deleted_at IS NULL;
-- named query: variants of a product
CREATE INDEX variants_of_product ON catalog.variants (organization_id, product_id);
CREATE TRIGGER touch BEFORE UPDATE ON catalog.variants FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON catalog.variants FOR EACH ROW EXECUTE FUNCTION operations.audit('organization_id', 'id');
CALL tenancy.isolate('catalog.variants');
GRANT SELECT, INSERT, UPDATE ON catalog.variants TO holdfast_app;
GRANT SELECT ON catalog.variants TO holdfast_system;
