-- The functions stay as they are: they read and write what 0021 made, by the signatures that its code calls.
DROP INDEX archive.archive_index_verified_at;
-- named query: archived orders by verification age
CREATE INDEX archive_index_verified_at ON archive.archive_index (organization_id, last_verified_at);
ALTER TABLE archive.archive_index RESET (fillfactor);
