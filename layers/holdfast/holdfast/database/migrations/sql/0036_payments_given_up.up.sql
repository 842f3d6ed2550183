-- Who ended an attempt to pay by hand, and when. Every other end of a payment is a gateway's word and in the events.
-- What the row holds of the shopper's means to pay is not kept.
CREATE TRIGGER audit AFTER UPDATE OF status ON payments.payments FOR EACH ROW
    WHEN (NEW.failure_code = 'given_up' AND OLD.failure_code IS DISTINCT FROM 'given_up')
    EXECUTE FUNCTION operations.audit('organization_id', 'id', 'method_token,client_action,facts');
