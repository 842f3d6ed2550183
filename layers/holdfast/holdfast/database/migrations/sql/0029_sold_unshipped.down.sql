DROP FUNCTION fulfillment.left_since(uuid, uuid[], uuid[], timestamptz);
DROP FUNCTION fulfillment.sold_unshipped(uuid, uuid[], uuid[]);
DROP INDEX payments.refund_items_of_goods_nobody_told_of;
DROP INDEX fulfillment.shipments_left;
