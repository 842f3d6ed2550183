-- One batch of due holds: every row that checkout.release_due_holds() writes, in one statement, and nothing else. It
-- looks at no payment and takes no lock in order. The tenant is set for the session.
WITH due AS (
    SELECT id FROM inventory.reservations
     WHERE organization_id = CAST(:organization AS uuid) AND status = 'active' AND expires_at <= now()
     ORDER BY expires_at LIMIT 1000
       FOR NO KEY UPDATE SKIP LOCKED
), expired AS (
    UPDATE inventory.reservations r SET status = 'expired', released_at = now(), reason = 'hold expired'
      FROM due WHERE r.organization_id = CAST(:organization AS uuid) AND r.id = due.id
    RETURNING r.warehouse_id, r.variant_id, r.quantity, r.load_date
), load_given_back AS (
    INSERT INTO inventory.warehouse_daily_load (organization_id, warehouse_id, load_date, id, orders)
    SELECT CAST(:organization AS uuid), warehouse_id, load_date, uuidv7(), -count(*) FROM expired WHERE load_date IS NOT NULL GROUP BY 2, 3
), moved AS (
    UPDATE inventory.stock_levels s SET reserved = s.reserved - e.quantity, version = s.version + 1
      FROM (SELECT warehouse_id, variant_id, sum(quantity)::integer AS quantity FROM expired GROUP BY 1, 2) e
     WHERE s.organization_id = CAST(:organization AS uuid) AND s.warehouse_id = e.warehouse_id AND s.variant_id = e.variant_id
    RETURNING s.warehouse_id, s.variant_id, s.version, s.on_hand, s.reserved, e.quantity)
INSERT INTO inventory.stock_movements (organization_id, id, warehouse_id, variant_id, level_version, type, quantity, on_hand_before, on_hand_after,
                                       reserved_before, reserved_after, reference_type, reason, performed_by, created_at)
SELECT CAST(:organization AS uuid), uuidv7(), warehouse_id, variant_id, version, 'release', -quantity, on_hand, on_hand,
       reserved + quantity, reserved, 'expiry', 'hold expired', 'system-pgbench', now()
  FROM moved;
