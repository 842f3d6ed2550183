DROP FUNCTION tenancy.gateway_account_of_endpoint(text, text), tenancy.organization_of_publishable_key(text);
DROP TABLE tenancy.gateway_accounts, tenancy.payment_methods, tenancy.customer_addresses, tenancy.customers;
DROP POLICY tenant ON tenancy.users;
DROP TABLE tenancy.organization_members, tenancy.users, tenancy.organizations;
