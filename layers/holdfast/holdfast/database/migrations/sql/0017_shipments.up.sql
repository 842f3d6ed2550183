-- What leaves which warehouse, and how far it has come.

CREATE SCHEMA fulfillment;
GRANT USAGE ON SCHEMA fulfillment TO holdfast_app, holdfast_system;
