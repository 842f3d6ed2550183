-- What shoppers are told, and which addresses take no more mail.

CREATE SCHEMA notifications;
GRANT USAGE ON SCHEMA notifications TO holdfast_app, holdfast_system;
