-- Who is who: organizations (tenants), their staff, their customers, their accounts at payment gateways.

CREATE TABLE tenancy.organizations (
    id uuid NOT NULL,
    name text NOT NULL,
    slug text NOT NULL,
    publishable_key text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    settings jsonb NOT NULL DEFAULT '{}',
    limits jsonb NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT organizations_pkey PRIMARY KEY (id),
    CONSTRAINT organizations_slug_form CHECK (slug ~ '^[a-z0-9][a-z0-9-]*[a-z0-9]$'),
    CONSTRAINT organizations_publishable_key_form CHECK (publishable_key ~ '^pk_[A-Za-z0-9_]{16,64}$'),
    CONSTRAINT organizations_publishable_key_unique UNIQUE (publishable_key),
    CONSTRAINT organizations_status CHECK (status IN ('active', 'suspended')),
    -- Answers of shoppers reach somebody, and no mail is refused over a mistyped setting.
    CONSTRAINT organizations_mail_reply_to_form CHECK (
        NOT settings ? 'mail_reply_to'
        OR ((settings ->> 'mail_reply_to') COLLATE "C" ~ '^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$') IS TRUE),
    -- As values/return_url.py has it: no shopper is ever sent to what was mistyped.
    CONSTRAINT organizations_return_url_form CHECK (
        NOT settings ? 'storefront_return_url' OR (
            length(settings ->> 'storefront_return_url') <= 1000
            AND (settings ->> 'storefront_return_url') COLLATE "C"
                ~ '^(https://[A-Za-z0-9.-]+(:[0-9]{1,5})?|http://(localhost|127\.0\.0\.1)(:[0-9]{1,5})?)(/([!-z|~]|\{order_id\})*)?$') IS TRUE),
    -- As addresses/review_link.py has it.
    CONSTRAINT organizations_address_review_page_url_form CHECK (
        NOT settings ? 'address_review_page_url' OR (
            length(settings ->> 'address_review_page_url') <= 1000 AND strpos(settings ->> 'address_review_page_url', '{token}') > 0
            AND (settings ->> 'address_review_page_url') COLLATE "C"
                ~ '^(https://[A-Za-z0-9.-]+(:[0-9]{1,5})?|http://(localhost|127\.0\.0\.1)(:[0-9]{1,5})?)(/([!-z|~]|\{token\})*)?$') IS TRUE)
);
-- named query: by slug
CREATE UNIQUE INDEX organizations_slug_unique ON tenancy.organizations (slug) WHERE deleted_at IS NULL;
CREATE TRIGGER touch BEFORE UPDATE ON tenancy.organizations FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON tenancy.organizations FOR EACH ROW EXECUTE FUNCTION operations.audit('id', 'id');
CALL tenancy.isolate('tenancy.organizations', 'id');
CALL tenancy.open_to_system('tenancy.organizations', 'select');
GRANT SELECT ON tenancy.organizations TO holdfast_app, holdfast_system;
GRANT UPDATE (name, settings, version, updated_at) ON tenancy.organizations TO holdfast_app;

CREATE TABLE tenancy.users (
    id uuid NOT NULL,
    auth_subject text NOT NULL,
    email text NOT NULL,
    full_name text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    last_login_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_auth_subject_unique UNIQUE (auth_subject),
    CONSTRAINT users_status CHECK (status IN ('active', 'suspended', 'deleted'))
);
CREATE TRIGGER touch BEFORE UPDATE ON tenancy.users FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();

CREATE TABLE tenancy.organization_members (
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    invited_by uuid,
    invited_at timestamptz,
    accepted_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT organization_members_pkey PRIMARY KEY (organization_id, user_id),
    CONSTRAINT organization_members_organization_fkey FOREIGN KEY (organization_id) REFERENCES tenancy.organizations (id),
    CONSTRAINT organization_members_user_fkey FOREIGN KEY (user_id) REFERENCES tenancy.users (id),
    CONSTRAINT organization_members_role CHECK (role IN ('owner', 'admin', 'manager', 'member', 'viewer')),
    CONSTRAINT organization_members_status CHECK (status IN ('invited', 'active', 'removed'))
);
-- An organization has exactly one owner.
CREATE UNIQUE INDEX organization_members_one_owner ON tenancy.organization_members (organization_id)
    WHERE role = 'owner' AND status <> 'removed';
-- named query: memberships of a user (row-level security of users asks it for every row)
CREATE INDEX organization_members_of_user ON tenancy.organization_members (user_id);
CREATE TRIGGER touch BEFORE UPDATE ON tenancy.organization_members FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON tenancy.organization_members FOR EACH ROW EXECUTE FUNCTION operations.audit('organization_id', 'user_id');
CALL tenancy.isolate('tenancy.organization_members');
GRANT SELECT, INSERT, UPDATE ON tenancy.organization_members TO holdfast_app;

-- A user may belong to several shops: the row shows where a membership does.
ALTER TABLE tenancy.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenancy.users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tenancy.users FOR SELECT TO holdfast_app USING (
    EXISTS (SELECT 1 FROM tenancy.organization_members m
             WHERE m.user_id = users.id
               AND m.organization_id = (SELECT NULLIF(current_setting('holdfast.organization_id', true), '')::uuid)));
CREATE POLICY owner ON tenancy.users TO holdfast_owner USING (true) WITH CHECK (true);
GRANT SELECT ON tenancy.users TO holdfast_app;

CREATE TABLE tenancy.customers (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    auth_subject text, -- NULL: a guest, known by the id in its token
    email text,
    phone text,
    first_name text,
    last_name text,
    timezone text,
    status text NOT NULL DEFAULT 'active',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT customers_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT customers_organization_fkey FOREIGN KEY (organization_id) REFERENCES tenancy.organizations (id),
    CONSTRAINT customers_status CHECK (status IN ('active', 'suspended', 'deleted'))
);
-- named query: the customer of a token
CREATE UNIQUE INDEX customers_auth_subject_unique ON tenancy.customers (organization_id, auth_subject)
    WHERE auth_subject IS NOT NULL AND deleted_at IS NULL;
-- A guest may use the address of a registered customer, or one that other guests used before.
CREATE UNIQUE INDEX customers_email_unique ON tenancy.customers (organization_id, lower(email))
    WHERE auth_subject IS NOT NULL AND deleted_at IS NULL;
CREATE TRIGGER touch BEFORE UPDATE ON tenancy.customers FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('tenancy.customers');
GRANT SELECT, INSERT, UPDATE ON tenancy.customers TO holdfast_app;
GRANT SELECT ON tenancy.customers TO holdfast_system;

CREATE TABLE tenancy.customer_addresses (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    type text NOT NULL,
    is_default boolean NOT NULL DEFAULT false,
    address jsonb NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT customer_addresses_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT customer_addresses_customer_fkey FOREIGN KEY (organization_id, customer_id) REFERENCES tenancy.customers (organization_id, id),
    CONSTRAINT customer_addresses_type CHECK (type IN ('shipping', 'billing', 'both'))
);
-- named query: addresses of a customer
CREATE INDEX customer_addresses_of_customer ON tenancy.customer_addresses (organization_id, customer_id);
-- A customer has one default address of a type.
CREATE UNIQUE INDEX customer_addresses_one_default ON tenancy.customer_addresses (organization_id, customer_id, type)
    WHERE is_default AND deleted_at IS NULL;
CREATE TRIGGER touch BEFORE UPDATE ON tenancy.customer_addresses FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('tenancy.customer_addresses');
GRANT SELECT, INSERT, UPDATE ON tenancy.customer_addresses TO holdfast_app;

-- Saved cards are tokens of a gateway: never a PAN, never a CVV.
CREATE TABLE tenancy.payment_methods (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    gateway text NOT NULL,
    gateway_account_id uuid NOT NULL, -- a token is good for the account that it was made with
    gateway_customer_id text NOT NULL,
    token text NOT NULL,
    brand text,
    last_four text,
    expires_on date,
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    deleted_at timestamptz,
    forget_at timestamptz, -- removed here, and the gateway is to forget it too: when it is asked next
    forget_attempts integer NOT NULL DEFAULT 0,
    CONSTRAINT payment_methods_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT payment_methods_customer_fkey FOREIGN KEY (organization_id, customer_id) REFERENCES tenancy.customers (organization_id, id),
    -- A token is one row, however often the gateway tells of it.
    -- named query: saved cards of a customer
    CONSTRAINT payment_methods_once UNIQUE (organization_id, customer_id, gateway_account_id, token),
    CONSTRAINT payment_methods_forgotten_is_removed CHECK (forget_at IS NULL OR deleted_at IS NOT NULL),
    CONSTRAINT payment_methods_gateway CHECK (gateway IN ('stripe', 'paypal', 'square', 'adyen')),
    CONSTRAINT payment_methods_last_four_form CHECK (last_four ~ '^[0-9]{4}$')
);
-- named query: saved cards that gateways are to forget, over all tenants
CREATE INDEX payment_methods_to_forget ON tenancy.payment_methods (forget_at) WHERE forget_at IS NOT NULL;
-- A customer has one default card.
CREATE UNIQUE INDEX payment_methods_one_default ON tenancy.payment_methods (organization_id, customer_id) WHERE is_default AND deleted_at IS NULL;
CREATE TRIGGER touch BEFORE UPDATE ON tenancy.payment_methods FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
CALL tenancy.isolate('tenancy.payment_methods');
CALL tenancy.open_to_system('tenancy.payment_methods', 'select');
GRANT SELECT, INSERT, UPDATE ON tenancy.payment_methods TO holdfast_app, holdfast_system;

CREATE TABLE tenancy.gateway_accounts (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    gateway text NOT NULL,
    endpoint_key text NOT NULL,
    secret_reference text NOT NULL,
    merchant_account text,
    webhook_id text,
    notification_url text,
    mode text NOT NULL DEFAULT 'test',
    status text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT gateway_accounts_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT gateway_accounts_organization_fkey FOREIGN KEY (organization_id) REFERENCES tenancy.organizations (id),
    CONSTRAINT gateway_accounts_endpoint_key_unique UNIQUE (endpoint_key),
    CONSTRAINT gateway_accounts_endpoint_key_form CHECK (endpoint_key ~ '^[A-Za-z0-9_-]{6,64}$'),
    CONSTRAINT gateway_accounts_gateway CHECK (gateway IN ('stripe', 'paypal', 'square', 'adyen')),
    CONSTRAINT gateway_accounts_mode CHECK (mode IN ('test', 'live')),
    CONSTRAINT gateway_accounts_status CHECK (status IN ('active', 'disabled'))
);
-- named query: the active account of a gateway
CREATE INDEX gateway_accounts_of_gateway ON tenancy.gateway_accounts (organization_id, gateway) WHERE status = 'active';
CREATE TRIGGER touch BEFORE UPDATE ON tenancy.gateway_accounts FOR EACH ROW EXECUTE FUNCTION tenancy.touch_updated_at();
ALTER TABLE tenancy.payment_methods ADD CONSTRAINT payment_methods_gateway_account_fkey
    FOREIGN KEY (organization_id, gateway_account_id) REFERENCES tenancy.gateway_accounts (organization_id, id);
CALL tenancy.isolate('tenancy.gateway_accounts');
GRANT SELECT ON tenancy.gateway_accounts TO holdfast_app, holdfast_system;

-- The two ways in before the tenant is known. Each gives away nothing but what its caller needs to go on.
CREATE FUNCTION tenancy.organization_of_publishable_key(p_key text) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT id FROM tenancy.organizations WHERE publishable_key = p_key AND status = 'active' AND deleted_at IS NULL $$;

CREATE FUNCTION tenancy.gateway_account_of_endpoint(p_gateway text, p_endpoint_key text)
RETURNS TABLE (organization_id uuid, gateway_account_id uuid, secret_reference text, merchant_account text, webhook_id text, notification_url text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.organization_id, a.id, a.secret_reference, a.merchant_account, a.webhook_id, a.notification_url
      FROM tenancy.gateway_accounts a
     WHERE a.endpoint_key = p_endpoint_key AND a.gateway = p_gateway AND a.status = 'active'
$$;
GRANT EXECUTE ON FUNCTION tenancy.organization_of_publishable_key(text), tenancy.gateway_account_of_endpoint(text, text) TO holdfast_app;
