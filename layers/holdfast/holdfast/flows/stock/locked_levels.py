"""Stock levels whose rows the transaction has locked, in the one agreed order. They change through the ledger only."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.inventory.stock import Level, LevelKey


def lock_levels(transaction: Transaction, keys: Iterable[LevelKey]) -> Mapping[LevelKey, Level]:
    """Lock these levels in the order of (warehouse, variant), creating empty ones where they do not exist yet."""
    ordered = sorted(set(keys))
    warehouses, variants = [key[0] for key in ordered], [key[1] for key in ordered]
    transaction.execute(
        """
        INSERT INTO inventory.stock_levels (organization_id, warehouse_id, variant_id, created_at)
        SELECT :organization_id, u.warehouse_id, u.variant_id, :now
          FROM unnest(CAST(:warehouses AS uuid[]), CAST(:variants AS uuid[])) AS u (warehouse_id, variant_id)
         WHERE NOT EXISTS (SELECT 1 FROM inventory.stock_levels s
                            WHERE s.organization_id = :organization_id AND s.warehouse_id = u.warehouse_id
                              AND s.variant_id = u.variant_id)
         ORDER BY u.warehouse_id, u.variant_id
        ON CONFLICT DO NOTHING
        """,
        organization_id=transaction.tenant,
        warehouses=warehouses,
        variants=variants,
        now=transaction.now,
    )
    rows = transaction.rows(
        """
        SELECT s.warehouse_id, s.variant_id, s.on_hand, s.reserved, s.incoming
          FROM inventory.stock_levels s
          JOIN unnest(CAST(:warehouses AS uuid[]), CAST(:variants AS uuid[])) AS u (warehouse_id, variant_id)
            ON u.warehouse_id = s.warehouse_id AND u.variant_id = s.variant_id
         WHERE s.organization_id = :organization_id
         ORDER BY s.warehouse_id, s.variant_id
           FOR NO KEY UPDATE OF s
        """,
        organization_id=transaction.tenant,
        warehouses=warehouses,
        variants=variants,
    )
    return {(row.warehouse_id, row.variant_id): Level(row.on_hand, row.reserved, row.incoming) for row in rows}


def move_stock(
    transaction: Transaction,
    movement: str,
    quantities: Mapping[LevelKey, int],
    *,
    reference: tuple[str, UUID],
    reason: str | None,
) -> None:
    """Write movements of one type for locked levels. ``reference`` is the kind and the id of what they belong to."""
    keys = sorted(quantities)
    transaction.rows(
        """
        SELECT inventory.move_stock(:organization_id, :now, :movement, CAST(:warehouses AS uuid[]),
                                    CAST(:variants AS uuid[]), CAST(:quantities AS integer[]), :reference_type,
                                    CAST(:reference_id AS uuid), :reason, :performed_by)
        """,
        organization_id=transaction.tenant,
        now=transaction.now,
        movement=movement,
        warehouses=[key[0] for key in keys],
        variants=[key[1] for key in keys],
        quantities=[quantities[key] for key in keys],
        reference_type=reference[0],
        reference_id=reference[1],
        reason=reason,
        performed_by=transaction.actor,
    )
