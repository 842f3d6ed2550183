DELETE FROM operations.partitioned_tables WHERE table_name = 'operations.audit_log'::regclass;
DROP TABLE operations.audit_log, operations.api_calls, operations.process_failure_history, operations.process_failures, operations.outbox;
DROP FUNCTION operations.audit(), operations.note_process_failure();
