DELETE FROM fulfillment.shipment_transitions WHERE from_status = 'failed' AND to_status = 'delivered';
