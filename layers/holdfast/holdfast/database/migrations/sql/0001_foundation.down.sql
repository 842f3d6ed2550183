DROP SCHEMA checkout, payments, orders, inventory, catalog, operations, tenancy CASCADE;
ALTER DEFAULT PRIVILEGES FOR ROLE holdfast_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
