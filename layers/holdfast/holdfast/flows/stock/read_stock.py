"""Read the stock: levels page by page, what runs low, what can be sold, and the ledger of one level."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import InvalidInput, NotFound

PAGE_MAX_ROWS: Final = 200
VARIANTS_MAX: Final = 100
_LOWEST: Final = UUID(int=0)


def list_levels(
    runtime: Runtime,
    caller: Caller,
    *,
    warehouse_id: UUID,
    only_low: bool,
    after: UUID | None,
    limit: int,
    now: datetime,
) -> dict[str, Any]:
    """Return a warehouse's levels by variant, or only those below their safety stock. Raises Forbidden or NotFound.

    ``after`` is the last variant of the page before. Levels are read along their key, low ones too, because every sale
    would have to update an index on quantities.
    """
    limit = min(limit, PAGE_MAX_ROWS)
    operation = Operation.LIST_LOW_STOCK if only_low else Operation.LIST_STOCK_LEVELS
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, operation)
        warehouse_code(transaction, warehouse_id)
        rows = transaction.rows(
            """
            SELECT l.variant_id FROM inventory.stock_levels l
             WHERE l.organization_id = :organization_id AND l.warehouse_id = :warehouse_id AND l.variant_id > :after
               AND (NOT :only_low OR l.on_hand - l.reserved < l.safety_stock)
             ORDER BY l.variant_id LIMIT :limit
            """,
            organization_id=transaction.tenant,
            warehouse_id=warehouse_id,
            after=after or _LOWEST,
            only_low=only_low,
            limit=limit,
        )
        levels = levels_of(transaction, warehouse_id, [row.variant_id for row in rows])
    return {"levels": levels, "next_after": levels[-1]["variant_id"] if len(levels) == limit else None}


def levels_of(transaction: Transaction, warehouse_id: UUID, variant_ids: Sequence[UUID]) -> list[Mapping[str, Any]]:
    """Return levels of one warehouse as the API shows them, in the order of ``variant_ids``."""
    rows = transaction.rows(
        """
        SELECT w.id AS warehouse_id, w.code AS warehouse, s.variant_id, v.sku, s.on_hand, s.reserved,
               s.on_hand - s.reserved AS available, COALESCE(b.quantity, 0) AS sold_unshipped, s.incoming,
               s.safety_stock, s.last_restock_at, s.version
          FROM unnest(CAST(:variants AS uuid[])) WITH ORDINALITY AS u (variant_id, position)
          JOIN inventory.stock_levels s ON s.organization_id = :organization_id AND s.warehouse_id = :warehouse_id
               AND s.variant_id = u.variant_id
          JOIN inventory.warehouses w ON w.organization_id = :organization_id AND w.id = s.warehouse_id
          JOIN catalog.variants v ON v.organization_id = :organization_id AND v.id = s.variant_id
          LEFT JOIN fulfillment.sold_unshipped(
                        :organization_id, array_fill(CAST(:warehouse_id AS uuid), ARRAY[CAST(:number AS integer)]),
                        CAST(:variants AS uuid[])) AS b ON b.variant_id = s.variant_id
         ORDER BY u.position
        """,
        organization_id=transaction.tenant,
        warehouse_id=warehouse_id,
        variants=list(variant_ids),
        number=len(variant_ids),
    )
    return [_level(row) for row in records(rows)]


def show_availability(
    runtime: Runtime,
    caller: Caller,
    *,
    product_id: UUID | None,
    variant_id: UUID | None,
    sku: str | None,
    now: datetime,
) -> dict[str, Any]:
    """Return what can be sold of a variant, or of each variant of a product, over all warehouses.

    Raises Forbidden, InvalidInput or NotFound.
    """
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.SHOW_AVAILABILITY)
        if sum(name is not None for name in (product_id, variant_id, sku)) != 1:
            raise InvalidInput("give one of product_id, variant_id and sku")
        rows = records(
            transaction.rows(
                """
                SELECT v.id AS variant_id, v.sku, w.id AS warehouse_id, w.code AS warehouse, w.status,
                       s.on_hand, s.reserved, s.incoming
                  FROM (SELECT f.id, f.sku FROM catalog.variants f
                         WHERE f.organization_id = :organization_id AND f.deleted_at IS NULL
                           AND (f.product_id = CAST(:product_id AS uuid) OR f.id = CAST(:variant_id AS uuid)
                                OR f.sku = CAST(:sku AS text))
                         ORDER BY f.id LIMIT :limit) AS v
                  LEFT JOIN inventory.stock_levels s ON s.organization_id = :organization_id AND s.variant_id = v.id
                  LEFT JOIN inventory.warehouses w ON w.organization_id = :organization_id AND w.id = s.warehouse_id
                 ORDER BY v.id, w.priority, w.code
                """,
                organization_id=transaction.tenant,
                product_id=product_id,
                variant_id=variant_id,
                sku=sku,
                limit=VARIANTS_MAX,
            )
        )
    if not rows:
        raise NotFound("there is no such variant")
    variants: dict[UUID, dict[str, Any]] = {}
    for row in rows:
        variant = variants.setdefault(row["variant_id"], _nothing_of(row))
        if row["warehouse_id"] is not None:
            _add(variant, row)
    return {"variants": list(variants.values())}


def list_movements(
    runtime: Runtime,
    caller: Caller,
    *,
    warehouse_id: UUID,
    variant_id: UUID,
    before: int | None,
    limit: int,
    now: datetime,
) -> dict[str, Any]:
    """Return the ledger of one level, newest first. ``before`` is the last number of the page before.

    Raises Forbidden, or NotFound if the shop has no such level.
    """
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_STOCK_MOVEMENTS)
        rows = records(
            transaction.rows(
                """
                SELECT m.level_version AS number, m.type, m.quantity, m.on_hand_before, m.on_hand_after,
                       m.reserved_before, m.reserved_after, m.reference_type, m.reference_id, m.reason,
                       m.performed_by, m.created_at
                  FROM inventory.stock_movements m
                 WHERE m.organization_id = :organization_id AND m.warehouse_id = :warehouse_id
                   AND m.variant_id = :variant_id AND m.level_version < :before
                 ORDER BY m.level_version DESC LIMIT :limit
                """,
                organization_id=transaction.tenant,
                warehouse_id=warehouse_id,
                variant_id=variant_id,
                before=before or 2**62,
                limit=limit,
            )
        )
        if not rows:
            _must_be(transaction, warehouse_id, variant_id)
    movements = [
        {
            **row,
            "reference_id": row["reference_id"] and str(row["reference_id"]),
            "created_at": row["created_at"].isoformat(),
        }
        for row in rows
    ]
    return {"movements": movements, "next_before": movements[-1]["number"] if len(movements) == limit else None}


def warehouse_code(transaction: Transaction, warehouse_id: UUID) -> str:
    """Return the code of a warehouse. Raises NotFound."""
    code = transaction.value(
        "SELECT w.code FROM inventory.warehouses w WHERE w.organization_id = :organization_id AND w.id = :id",
        organization_id=transaction.tenant,
        id=warehouse_id,
    )
    if code is None:
        raise NotFound("there is no such warehouse")
    return str(code)


def _must_be(transaction: Transaction, warehouse_id: UUID, variant_id: UUID) -> None:
    level = transaction.value(
        "SELECT 1 FROM inventory.stock_levels s"
        " WHERE s.organization_id = :organization_id AND s.warehouse_id = :warehouse_id AND s.variant_id = :variant_id",
        organization_id=transaction.tenant,
        warehouse_id=warehouse_id,
        variant_id=variant_id,
    )
    if level is None:
        raise NotFound("the warehouse has no such variant")


def _level(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        **row,
        "warehouse_id": str(row["warehouse_id"]),
        "variant_id": str(row["variant_id"]),
        "last_restock_at": row["last_restock_at"] and row["last_restock_at"].isoformat(),
    }


def _nothing_of(row: Mapping[str, Any]) -> dict[str, Any]:
    counts = {"on_hand": 0, "reserved": 0, "incoming": 0, "sellable": 0}
    return {"variant_id": str(row["variant_id"]), "sku": row["sku"], **counts, "warehouses": []}


def _add(variant: dict[str, Any], row: Mapping[str, Any]) -> None:
    """Add a warehouse's level. Only active warehouses sell, but the stock of the others is counted too."""
    available = row["on_hand"] - row["reserved"]
    for name in ("on_hand", "reserved", "incoming"):
        variant[name] += row[name]
    variant["sellable"] += available if row["status"] == "active" else 0
    variant["warehouses"].append(
        {
            "warehouse_id": str(row["warehouse_id"]),
            "warehouse": row["warehouse"],
            "status": row["status"],
            "on_hand": row["on_hand"],
            "reserved": row["reserved"],
            "available": available,
            "incoming": row["incoming"],
        }
    )
