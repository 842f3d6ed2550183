DROP TRIGGER audit ON payments.payments;
