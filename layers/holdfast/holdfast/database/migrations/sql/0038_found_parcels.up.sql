-- A parcel that was called lost arrives all the same. Not if its goods travel again: shipments_only_failed_ones_travel_again.
INSERT INTO fulfillment.shipment_transitions (from_status, to_status) VALUES ('failed', 'delivered');
