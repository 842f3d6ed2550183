DROP TABLE payments.group_replays;
DROP TABLE payments.dlq_metrics_daily;
DROP TABLE payments.dead_letter_history;
DROP TABLE payments.dead_letters;
DROP TABLE payments.error_classes;
