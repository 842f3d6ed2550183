"""What a count is compared with: a level's book quantity, and the goods on the shelf that the book does not include."""

from collections.abc import Collection, Mapping
from datetime import datetime

from holdfast.database.transaction import Transaction
from holdfast.inventory.stock import LevelKey
from holdfast.inventory.stock_count import BesideBook
from holdfast.inventory.stock_file import ImportMode

_NOTHING = BesideBook(0, 0)


def beside_book(
    transaction: Transaction, mode: ImportMode, keys: Collection[LevelKey], begun_at: datetime | None = None
) -> Mapping[LevelKey, BesideBook]:
    """Return for each level how many pieces are sold but have not left, and how many left since the count began.

    The numbers are exact if the levels are locked: a sale or a return locks its levels until it commits, and a shipment
    is always counted in one of the two. If ``begun_at`` is None, the count begins now. An import in another mode than
    LEVELS is not a count; nothing is read for it, and the result is empty.
    """
    if mode is not ImportMode.LEVELS or not keys:
        return {}
    rows = transaction.rows(
        """
        SELECT u.warehouse_id, u.variant_id, COALESCE(s.quantity, 0) AS sold_unshipped,
               COALESCE(l.quantity, 0) AS left_since
          FROM unnest(CAST(:warehouses AS uuid[]), CAST(:variants AS uuid[])) AS u (warehouse_id, variant_id)
          LEFT JOIN fulfillment.sold_unshipped(:organization_id, CAST(:warehouses AS uuid[]), CAST(:variants AS uuid[]))
               AS s ON s.warehouse_id = u.warehouse_id AND s.variant_id = u.variant_id
          LEFT JOIN fulfillment.left_since(:organization_id, CAST(:warehouses AS uuid[]), CAST(:variants AS uuid[]),
                                           COALESCE(CAST(:begun_at AS timestamptz), 'infinity'))
               AS l ON l.warehouse_id = u.warehouse_id AND l.variant_id = u.variant_id
         WHERE s.quantity > 0 OR l.quantity > 0
        """,
        organization_id=transaction.tenant,
        warehouses=[key[0] for key in keys],
        variants=[key[1] for key in keys],
        begun_at=begun_at,
    )
    found = {(row.warehouse_id, row.variant_id): BesideBook(row.sold_unshipped, row.left_since) for row in rows}
    return {key: found.get(key, _NOTHING) for key in keys}


def booked_since(transaction: Transaction, keys: Collection[LevelKey], begun_at: datetime) -> frozenset[LevelKey]:
    """Return those of these levels whose goods were booked in or out since a count began.

    It is unknown whether the count included those goods. Sales, holds and moves between warehouses on paper touch no
    goods. A return does, unless nothing of its order has left.
    """
    rows = transaction.rows(
        """
        SELECT DISTINCT m.warehouse_id, m.variant_id
          FROM inventory.stock_movements m
          JOIN unnest(CAST(:warehouses AS uuid[]), CAST(:variants AS uuid[])) AS u (warehouse_id, variant_id)
            ON u.warehouse_id = m.warehouse_id AND u.variant_id = m.variant_id
         WHERE m.organization_id = :organization_id AND m.id >= tenancy.uuid_v7_floor(:begun_at)
           AND m.created_at > :begun_at
           AND (m.type IN ('receive', 'damage', 'adjustment', 'transfer_in', 'transfer_out')
                OR m.type = 'return' AND m.reference_type = 'order' AND EXISTS (
                   SELECT 1 FROM fulfillment.shipments s
                    WHERE s.organization_id = :organization_id AND s.order_id = m.reference_id
                      AND s.shipped_at IS NOT NULL))
        """,
        organization_id=transaction.tenant,
        warehouses=[key[0] for key in keys],
        variants=[key[1] for key in keys],
        begun_at=begun_at,
    )
    return frozenset((row.warehouse_id, row.variant_id) for row in rows)
