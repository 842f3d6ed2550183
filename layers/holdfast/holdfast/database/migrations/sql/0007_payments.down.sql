DROP TABLE payments.disputes, payments.refund_items, payments.refunds, payments.payment_events, payments.payments;
