-- Orders that left the active tables: as readable as before, and provably as they were.

CREATE SCHEMA archive;
GRANT USAGE ON SCHEMA archive TO holdfast_app, holdfast_system;
