DROP FUNCTION addresses.note_place(uuid, uuid, timestamptz, jsonb);
DROP FUNCTION addresses.swap_in(uuid, timestamptz);
DROP TABLE addresses.geocode_failures;
DROP TABLE addresses.geocode_cache;
DROP TABLE addresses.geocode_import_staging;
DROP TABLE addresses.geocode_reference;
DROP SCHEMA addresses;
