DROP TABLE orders.order_operations;
DROP TABLE payments.disputes, payments.refund_items, payments.refunds, payments.payment_events, payments.payments;
