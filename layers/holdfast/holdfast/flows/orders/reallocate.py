"""Decide anew where an order's goods ship from: move them to other warehouses, or honour the allocation as it is.

Everything is decided, moved and recorded inside the caller's transaction, under the order's lock (``lock_order``), so
nobody else sees the goods as free in between. Locks are taken in the same order as everywhere, which prevents
deadlocks: the order's row, its live holds, then the stock levels that the goods leave and those that they reach, sorted
by warehouse and variant.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final
from uuid import UUID

from holdfast.database.errors import StaleFacts, translate
from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.planning import allocate_lines, hold_document
from holdfast.flows.orders.locked_order import LockedOrder
from holdfast.flows.shipping.follow_shipments import plan_shipments
from holdfast.inventory.allocation import Line, Plan
from holdfast.inventory.reallocation import SAVING_MIN_PERCENT, Cause, Outcome, Saving
from holdfast.orders.lifecycle import OrderStatus
from holdfast.values.caller import without_shopper
from holdfast.values.coordinates import Coordinates
from holdfast.values.errors import OutOfStock
from holdfast.values.ids import uuid7

DECISIONS_MAX: Final = 3
"""How many times to decide on fresh facts, if others keep taking the stock, before honouring the allocation."""
_HAS_SHIPMENTS: Final = frozenset({OrderStatus.CONFIRMED, OrderStatus.PROCESSING})


@dataclass(frozen=True, slots=True)
class Reallocated:
    """What was decided. ``outcome`` is None if nothing is set aside for the order that could move."""

    outcome: Outcome | None
    reason: str
    old_cost_minor: int | None = None
    new_cost_minor: int | None = None
    from_warehouses: tuple[str, ...] = ()
    to_warehouses: tuple[str, ...] = ()
    """Warehouse codes, sorted. If the allocation is honoured, these are where the goods would have gone."""
    decision: Mapping[str, Any] | None = None
    """Why the new allocation is what it is, as ``inventory.allocation`` explains it."""

    @property
    def saving(self) -> Saving | None:
        """The saving, or None if there was nothing to compare."""
        if self.old_cost_minor is None or self.new_cost_minor is None:
            return None
        return Saving(self.old_cost_minor, self.new_cost_minor)

    def to_json(self) -> dict[str, Any]:
        """Return the representation that the API uses."""
        saving = self.saving
        return {
            "applied": self.outcome is Outcome.APPLIED,
            "reason": self.reason,
            "old_cost_minor": self.old_cost_minor,
            "new_cost_minor": self.new_cost_minor,
            "saving_minor": saving and saving.saving_minor,
            "saving_percent": saving and saving.percent,
            "from_warehouses": list(self.from_warehouses),
            "to_warehouses": list(self.to_warehouses),
        }


@dataclass(frozen=True, slots=True)
class _Goods:
    """The goods set aside for the order: whether they are held or sold, and where."""

    status: str
    expires_at: str
    codes: tuple[str, ...]
    cost_minor: int
    booked_on: Mapping[UUID, date]
    """The date on which each warehouse counts the order towards its daily load."""


def readdress_facts(transaction: Transaction, order: LockedOrder) -> Mapping[str, Any]:
    """Return the facts on which an order's allocation and price are decided anew (``checkout.readdress_facts``)."""
    facts: Mapping[str, Any] = transaction.value(
        "SELECT checkout.readdress_facts(:organization_id, :order_id, :now)",
        organization_id=transaction.tenant,
        order_id=order.id,
        now=transaction.now,
    )
    return facts


def reallocate(
    transaction: Transaction,
    order: LockedOrder,
    facts: Mapping[str, Any],
    destination: Coordinates | None,
    cause: Cause,
) -> Reallocated:
    """Move the order's goods if that saves more than 25 % of the shipping cost, otherwise leave them. Record either.

    ``facts`` are those of ``readdress_facts``, read under the order's lock. Capacity limits do not apply. If others
    take the stock meanwhile, the decision is made again, at most ``DECISIONS_MAX`` times in all.
    """
    goods = _goods(order, facts)
    if goods is None:
        return Reallocated(None, "the goods of the order are not held: they are allocated when it is paid")
    reallocation_id = uuid7(transaction.now)
    for _ in range(DECISIONS_MAX):
        plan, told = _decide(order, facts, goods, destination)
        if plan is None or told.outcome is Outcome.HONOURED:
            return _on_record(transaction, order, cause, told, reallocation_id)
        transaction.execute("SAVEPOINT reallocation")
        try:
            _move(transaction, order, goods, plan, told.reason, reallocation_id)
        except Exception as error:
            if not isinstance(translate(error), StaleFacts):
                raise
            transaction.execute("ROLLBACK TO SAVEPOINT reallocation")
            facts = readdress_facts(transaction, order)
            continue
        if order.status in _HAS_SHIPMENTS:
            plan_shipments(transaction, order.id)
        return _on_record(transaction, order, cause, told, reallocation_id)
    reason = f"others took the stock of {_named(told.to_warehouses)} meanwhile, several times over"
    lost = replace(told, outcome=Outcome.HONOURED, reason=reason)
    return _on_record(transaction, order, cause, lost, reallocation_id)


def record_reallocation(
    transaction: Transaction,
    order_id: UUID,
    cause: Cause,
    outcome: Outcome,
    *,
    reallocation_id: UUID,
    costs_minor: tuple[int, int | None],
    reason: str,
    reasons: Mapping[str, Any],
) -> None:
    """Record the decision under the order's next sequence number, which is unique because the order's lock is held.

    ``costs_minor`` are the old and the new shipping cost, in minor units.
    """
    old_cost, new_cost = costs_minor
    transaction.execute(
        """
        INSERT INTO orders.reallocations (organization_id, id, order_id, sequence, cause, outcome, old_cost, new_cost,
                                          saving, reason, reasons, decided_by, created_at)
        SELECT :organization_id, :id, :order_id, 1 + count(*), :cause, :outcome, :old_cost, CAST(:new_cost AS bigint),
               CAST(:saving AS bigint), :reason, CAST(:reasons AS jsonb), :actor, :now
          FROM orders.reallocations WHERE organization_id = :organization_id AND order_id = :order_id
        """,
        organization_id=transaction.tenant,
        id=reallocation_id,
        order_id=order_id,
        cause=cause,
        outcome=outcome,
        old_cost=old_cost,
        new_cost=new_cost,
        saving=None if new_cost is None else old_cost - new_cost,
        reason=reason,
        reasons=dict(reasons),
        actor=transaction.actor,
        now=transaction.now,
    )


def _goods(order: LockedOrder, facts: Mapping[str, Any]) -> _Goods | None:
    """Return the goods set aside for the order, or None unless they cover exactly what the order wants."""
    rows = facts["goods"]
    there: Counter[UUID] = Counter()
    for row in rows:
        there[UUID(row["variant_id"])] += row["quantity"]
    if there != Counter({item.variant_id: item.quantity for item in order.items}):
        return None
    ids = {row["warehouse_id"] for row in rows}
    theirs = [warehouse for warehouse in facts["warehouses"] if warehouse["id"] in ids]
    return _Goods(
        status=rows[0]["status"],
        expires_at=min(row["expires_at"] for row in rows),
        codes=tuple(sorted(warehouse["code"] for warehouse in theirs)),
        cost_minor=sum(warehouse["shipping_cost_base"] for warehouse in theirs),
        booked_on={UUID(row["warehouse_id"]): date.fromisoformat(row["load_date"]) for row in rows if row["load_date"]},
    )


def _decide(
    order: LockedOrder, facts: Mapping[str, Any], goods: _Goods, destination: Coordinates | None
) -> tuple[Plan | None, Reallocated]:
    """Return the allocation as it would be made now, and whether it replaces the present one."""
    if _some_came_back(order, facts["items"]):
        honoured = Outcome.HONOURED
        return None, Reallocated(honoured, "some of its goods came back already", goods.cost_minor, None, goods.codes)
    active = [warehouse for warehouse in facts["warehouses"] if warehouse["is_active"]]
    try:
        plan = allocate_lines(
            [Line(item.variant_id, item.quantity) for item in order.items],
            destination,
            order.preference,
            {"organization": facts["organization"], "warehouses": active},
            allow_capacity_overflow=True,
            skus={item.variant_id: item.sku for item in order.items},
        )
    except OutOfStock:
        reason = "no choice of the active warehouses has everything"
        return None, Reallocated(Outcome.HONOURED, reason, goods.cost_minor, None, goods.codes)
    to = tuple(sorted(share.code for share in plan.per_warehouse))
    saving = Saving(goods.cost_minor, plan.shipping_cost_minor)
    return plan, Reallocated(
        Outcome.APPLIED if saving.is_worth_moving else Outcome.HONOURED,
        _in_words(saving, goods.codes, to),
        saving.old_cost_minor,
        saving.new_cost_minor,
        goods.codes,
        to,
        plan.reasons,
    )


def _some_came_back(order: LockedOrder, items: Sequence[Mapping[str, Any]]) -> bool:
    """Whether units came back or are about to.

    A refund that counts takes units out of the goods set aside, and units that are not there cannot move.
    """
    is_refunded = any(item.quantity for refund in order.refunds if refund.counts for item in refund.items)
    return is_refunded or any(item["restocked_quantity"] for item in items)


def _in_words(saving: Saving, at: tuple[str, ...], to: tuple[str, ...]) -> str:
    if saving.is_worth_moving:
        return (
            f"shipping from {_named(to)} in place of {_named(at)} saves {saving.saving_minor} of "
            f"{saving.old_cost_minor}: {saving.percent} % of the shipping cost"
        )
    if at == to:
        return f"it ships best from {_named(at)}, where the goods lie"
    if saving.saving_minor <= 0:
        return f"shipping from {_named(to)} would save nothing"
    return (
        f"shipping from {_named(to)} would save {saving.percent} % of the shipping cost: goods move for more than "
        f"{SAVING_MIN_PERCENT} %"
    )


def _named(codes: tuple[str, ...]) -> str:
    return " and ".join(codes)


def _move(
    transaction: Transaction, order: LockedOrder, goods: _Goods, plan: Plan, reason: str, reallocation_id: UUID
) -> None:
    """Move the goods. If the stock was taken meanwhile, raises the database's error that translates to StaleFacts."""
    document = hold_document(
        plan,
        {item.variant_id: item.id for item in order.items},
        order_id=order.id,
        customer_id=order.customer_id,
        now=transaction.now,
        hold_expires_at=transaction.now,
        performed_by=without_shopper(transaction.actor),
        strict_capacity=False,
    )
    for allocation in document["allocations"]:
        # A warehouse that the order stays with keeps counting it on the date on which it was booked.
        booked_on = goods.booked_on.get(UUID(allocation["warehouse_id"]))
        if booked_on is not None:
            allocation["load_date"] = booked_on.isoformat()
    document |= {
        "hold_expires_at": goods.expires_at,
        "reallocation_id": str(reallocation_id),
        "from_status": goods.status,
        "reason": reason,
        "is_split_shipment": plan.is_split,
    }
    transaction.value(
        "SELECT checkout.move_goods(:organization_id, CAST(:move AS jsonb))",
        organization_id=transaction.tenant,
        move=document,
    )


def _on_record(
    transaction: Transaction, order: LockedOrder, cause: Cause, told: Reallocated, reallocation_id: UUID
) -> Reallocated:
    if told.outcome is not None and told.old_cost_minor is not None:
        record_reallocation(
            transaction,
            order.id,
            cause,
            told.outcome,
            reallocation_id=reallocation_id,
            costs_minor=(told.old_cost_minor, told.new_cost_minor),
            reason=told.reason,
            reasons={"from": told.from_warehouses, "to": told.to_warehouses, "decision": told.decision},
        )
    return told
