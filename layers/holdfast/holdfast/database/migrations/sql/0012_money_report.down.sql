DROP TABLE payments.money_differences;
DROP TABLE payments.money_sweeps;
DROP TABLE payments.money_report_daily;
