DROP SCHEMA fulfillment;
