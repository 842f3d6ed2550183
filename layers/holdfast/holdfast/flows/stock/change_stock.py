"""Goods are received, adjusted after a count, or damaged: each is a recorded movement with its reason and actor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.claims.claimed_change import Render, change_once
from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.flows.stock.locked_levels import lock_levels, move_stock
from holdfast.flows.stock.read_stock import levels_of, warehouse_code
from holdfast.inventory.stock import ChangeType, Refusal, refused
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, InvalidInput, NotFound
from holdfast.values.ids import uuid7

LINES_MAX: Final = 200
_REFERENCE: Final = {
    ChangeType.RECEIVE: "receipt",
    ChangeType.ADJUSTMENT: "adjustment",
    ChangeType.DAMAGE: "adjustment",
}


@dataclass(frozen=True, slots=True)
class StockLine:
    """A variant, by SKU or id, and a quantity in pieces: signed for an adjustment, positive otherwise."""

    quantity: int
    sku: str | None = None
    variant_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ChangeStock:
    """A request to change what one warehouse has on hand."""

    caller: Caller
    claim: Claim
    type: ChangeType
    warehouse_id: UUID
    lines: tuple[StockLine, ...]
    reason: str | None


def change_stock(runtime: Runtime, command: ChangeStock, now: datetime, render: Render) -> Answer:
    """Apply all lines or none.

    Raises NotFound, InvalidInput, or Conflict naming the lines that would take stock below what is reserved.
    """
    operation = Operation.RECEIVE_STOCK if command.type is ChangeType.RECEIVE else Operation.ADJUST_STOCK
    return change_once(
        runtime,
        command.caller,
        command.claim,
        operation,
        now,
        lambda transaction: _change(transaction, command),
        render,
    )


def _change(transaction: Transaction, command: ChangeStock) -> Mapping[str, Any]:
    code = warehouse_code(transaction, command.warehouse_id)
    variants = _variants(transaction, command.lines)
    quantities = {
        (command.warehouse_id, variant_id): line.quantity
        for variant_id, line in zip(variants, command.lines, strict=True)
    }
    sign = -1 if command.type is ChangeType.DAMAGE else 1
    levels = lock_levels(transaction, quantities)
    found = refused(levels, {key: sign * quantity for key, quantity in quantities.items()})
    if found:
        raise Conflict("stock cannot be changed below what is reserved", items=_items(found, variants, command.lines))
    change_id = uuid7(transaction.now)
    move_stock(
        transaction,
        command.type,
        quantities,
        reference=(_REFERENCE[command.type], change_id),
        reason=command.reason,
    )
    return {
        "id": str(change_id),
        "type": str(command.type),
        "warehouse_id": str(command.warehouse_id),
        "warehouse": code,
        "reason": command.reason,
        "levels": levels_of(transaction, command.warehouse_id, variants),
    }


def set_safety_stock(
    runtime: Runtime, caller: Caller, warehouse_id: UUID, variant_id: UUID, safety_stock: int, now: datetime
) -> Mapping[str, Any]:
    """Set the availability below which a level counts as low. No stock moves. Raises Forbidden or NotFound."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.SET_SAFETY_STOCK)
        changed = transaction.execute(
            """
            UPDATE inventory.stock_levels SET safety_stock = :safety_stock
             WHERE organization_id = :organization_id AND warehouse_id = :warehouse_id AND variant_id = :variant_id
            """,
            organization_id=transaction.tenant,
            warehouse_id=warehouse_id,
            variant_id=variant_id,
            safety_stock=safety_stock,
        )
        if not changed:
            raise NotFound("there is no such stock level")
        return levels_of(transaction, warehouse_id, [variant_id])[0]


def _variants(transaction: Transaction, lines: Sequence[StockLine]) -> list[UUID]:
    """Return the variant of each line.

    Raises InvalidInput naming every line whose variant is unknown or was named by an earlier line.
    """
    rows = transaction.rows(
        """
        SELECT v.id, v.sku FROM catalog.variants v
         WHERE v.organization_id = :organization_id AND v.deleted_at IS NULL
           AND (v.sku = ANY (CAST(:skus AS text[])) OR v.id = ANY (CAST(:ids AS uuid[])))
        """,
        organization_id=transaction.tenant,
        skus=[line.sku for line in lines if line.sku is not None],
        ids=[line.variant_id for line in lines if line.variant_id is not None],
    )
    by_sku, known = {row.sku: row.id for row in rows}, {row.id for row in rows}
    found: list[UUID] = []
    errors: list[dict[str, str]] = []
    for number, line in enumerate(lines):
        variant_id = by_sku.get(line.sku) if line.sku is not None else line.variant_id
        if variant_id is None or variant_id not in known:
            errors.append({"field": f"lines[{number}]", "message": "there is no such variant"})
        elif variant_id in found:
            errors.append({"field": f"lines[{number}]", "message": "an earlier line has the same variant"})
        else:
            found.append(variant_id)
    if errors:
        raise InvalidInput("some lines name no variant of their own", errors=errors)
    return found


def _items(found: Sequence[Refusal], variants: Sequence[UUID], lines: Sequence[StockLine]) -> list[dict[str, Any]]:
    line_of = dict(zip(variants, lines, strict=True))
    return [
        {
            "variant_id": str(refusal.key[1]),
            "sku": line_of[refusal.key[1]].sku,
            "quantity": refusal.change,
            "on_hand": refusal.level.on_hand,
            "reserved": refusal.level.reserved,
            "message": refusal.message,
        }
        for refusal in found
    ]
