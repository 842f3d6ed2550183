DROP SCHEMA archive CASCADE;
DELETE FROM operations.partitioned_tables WHERE table_name::oid NOT IN (SELECT oid FROM pg_class);
