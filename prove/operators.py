"""What staff do, and what the schedules do."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from holdfast.flows.dead_letters.change_error_classes import Proposal
from holdfast.flows.dead_letters.work_dead_letters import Step
from holdfast.flows.money.capture_order import CaptureOrder
from holdfast.flows.money.refund_order import RefundOrder
from holdfast.flows.stock.capacity_overrides import Override
from holdfast.flows.stock.change_stock import ChangeStock, StockLine
from holdfast.flows.stock.transfers import Request
from holdfast.inventory.stock import ChangeType
from holdfast.payments.dead_letters import DeadLetterAction
from holdfast.payments.model import RefundReason, RestockReason
from holdfast.payments.refund_plan import Wanted, WantedItem
from holdfast.values.caller import Caller
from prove import shop, steps
from prove.actors import Task
from prove.shoppers import an_order
from prove.stage import Make, Stage

REFUND_REASONS: Final = tuple(reason for reason in RefundReason if reason is not RefundReason.PRICE_DIFFERENCE)
"""The reasons that the API accepts from staff."""
_PAID: Final = ["confirmed", "processing", "partially_shipped", "shipped", "delivered", "partially_refunded"]
_TRANSFERS: Final = """
    SELECT t.id, t.variant_id, t.from_warehouse_id, t.to_warehouse_id,
           t.quantity - t.received_quantity - t.written_off_quantity AS left,
           EXISTS (SELECT 1 FROM inventory.transfers o
                    WHERE o.status = 'pending' AND o.variant_id = t.variant_id
                      AND o.from_warehouse_id = t.to_warehouse_id AND o.to_warehouse_id = t.from_warehouse_id)
               AS has_opposite
      FROM inventory.transfers t WHERE t.status = ANY (CAST(:statuses AS text[])) ORDER BY t.created_at, t.id
"""
_TAKEN: Final = """
    SELECT o.id FROM orders.orders o
     WHERE o.status NOT IN ('cancelled', 'refunded')
       AND EXISTS (SELECT 1 FROM payments.payments p
                    WHERE p.order_id = o.id AND p.captured_amount > p.refunded_amount + p.refunding_amount)
     ORDER BY o.created_at, o.id
"""
_OPEN_LETTERS: Final = """
    SELECT d.id, d.version, d.status, d.fingerprint, e.gateway_event_id FROM payments.dead_letters d
      JOIN payments.payment_events e ON e.organization_id = d.organization_id AND e.id = d.event_id
     WHERE d.resolved_at IS NULL ORDER BY d.created_at, d.id
"""


def clerk(stage: Stage) -> Caller:
    """Choose one of the two members of staff."""
    return stage.dice.choice((shop.MANAGER, shop.CLERK))


def refund(stage: Stage) -> Task | None:
    """Refund all that is left, an amount, the shipping or part of a line, preferably of an order that was captured."""
    if stage.focus.order_id is None and stage.dice.random() < 0.9:
        taken = stage.choose(stage.world.rows(_TAKEN))
        stage.focus.order_id = taken and taken["id"]
    order = an_order(stage, _PAID)
    if order is None:
        return None
    dice = stage.dice
    match dice.randint(1, 7):
        case 1:
            wanted = Wanted()
        case 2:
            wanted = Wanted(amount_minor=dice.choice((100, 500, 2_000)))
        case 3:
            wanted = Wanted(shipping_minor=dice.choice((100, 300)))
        case _:
            item = dice.choice(_lines(stage, order))
            reason = dice.choice((RestockReason.RESELLABLE, RestockReason.RESELLABLE, *RestockReason, None))
            wanted = Wanted(items=(WantedItem(item["id"], dice.randint(1, item["quantity"]), reason),))
    return _give_back(stage, order, wanted)


def refund_all(stage: Stage) -> Task | None:
    """Refund whatever is left of the order."""
    order = an_order(stage, _PAID)
    return None if order is None else _give_back(stage, order, Wanted())


def refund_amount(stage: Stage) -> Task | None:
    """Refund an amount, as compensation to the shopper."""
    order = an_order(stage, _PAID)
    return None if order is None else _give_back(stage, order, Wanted(amount_minor=100))


def return_piece(stage: Stage) -> Task | None:
    """Refund one piece of a line, which comes back and can be sold again."""
    order = an_order(stage, _PAID)
    if order is None:
        return None
    item = WantedItem(_lines(stage, order)[0]["id"], 1, RestockReason.RESELLABLE)
    return _give_back(stage, order, Wanted(items=(item,)))


def _lines(stage: Stage, order: dict[str, Any]) -> list[dict[str, Any]]:
    return stage.world.rows(
        "SELECT id, quantity FROM orders.order_items WHERE order_id = :id ORDER BY position", id=order["id"]
    )


def _give_back(stage: Stage, order: dict[str, Any], wanted: Wanted) -> Task:
    caller = clerk(stage)
    claim = stage.claim(caller, "refund_order", wanted)
    command = RefundOrder(caller, claim, str(order["id"]), wanted, stage.dice.choice(REFUND_REASONS), None)
    return stage.asked(stage.as_app(steps.refund, command), claim)


def capture(stage: Stage) -> Task | None:
    """Capture authorized money, all of it or a part."""
    rows = stage.world.rows(
        "SELECT p.order_id, p.amount FROM payments.payments p WHERE p.status = 'authorized' ORDER BY p.created_at, p.id"
    )
    if stage.move.scene:
        rows = [row for row in rows if row["order_id"] == stage.focus.order_id]
    held = stage.choose(rows, lambda row: bool(row["order_id"] == stage.focus.order_id))
    if held is None:
        return None
    stage.focus.order_id = held["order_id"]
    caller = clerk(stage)
    amount = None if stage.move.scene or stage.dice.random() < 0.8 else max(1, held["amount"] - 100)
    claim = stage.claim(caller, "capture_order", (held["order_id"], amount))
    command = CaptureOrder(caller, claim, str(held["order_id"]), amount)
    return stage.asked(stage.as_app(steps.capture, command), claim)


def _goods(stage: Stage, kind: ChangeType, quantity: int) -> Task:
    dice, caller = stage.dice, clerk(stage)
    sku = stage.focus.sku or dice.choice(shop.SKUS)
    stage.focus.sku = sku
    code = dice.choice(list(shop.WAREHOUSES))
    claim = stage.claim(caller, "change_stock", (kind, code, sku, quantity))
    command = ChangeStock(
        caller, claim, kind, shop.WAREHOUSES[code], (StockLine(quantity, sku=sku),), "as the plan has it"
    )
    return stage.asked(stage.as_app(steps.change_goods, command), claim)


def receive_goods(stage: Stage) -> Task:
    """Receive goods, one of the two with the least available."""
    rows = stage.world.rows(
        "SELECT v.sku FROM catalog.variants v JOIN inventory.stock_levels l ON l.variant_id = v.id"
        " GROUP BY v.sku ORDER BY sum(l.on_hand - l.reserved), v.sku LIMIT 2"
    )
    stage.focus.sku = stage.focus.sku or stage.dice.choice(rows)["sku"]
    return _goods(stage, ChangeType.RECEIVE, stage.dice.randint(2, 5))


def count_goods(stage: Stage) -> Task:
    """Adjust the stock after a count that found more or fewer than the books say."""
    return _goods(stage, ChangeType.ADJUSTMENT, stage.dice.choice((-4, -3, -2, -1, -1, 1, 2)))


def break_goods(stage: Stage) -> Task:
    """Write off goods that were damaged."""
    return _goods(stage, ChangeType.DAMAGE, stage.dice.randint(1, 2))


def request_transfer(stage: Stage) -> Task:
    """Request a transfer between two warehouses. Where another is pending, it often goes in the opposite direction."""
    dice, caller = stage.dice, clerk(stage)
    source, destination = dice.sample(list(shop.WAREHOUSES.values()), 2)
    variant = shop.VARIANTS[stage.focus.sku or dice.choice(shop.SKUS)]
    pending = stage.world.rows(_TRANSFERS, statuses=["pending"])
    known = [other for other in pending if other["id"] == stage.focus.transfer_id]
    if known or (pending and not stage.move.scene and dice.random() < 0.8):
        other = dice.choice(known or pending)
        source, destination, variant = other["to_warehouse_id"], other["from_warehouse_id"], other["variant_id"]
    wanted = {
        "variant_id": variant,
        "from_warehouse_id": source,
        "to_warehouse_id": destination,
        "quantity": dice.randint(1, 3),
        "reason": "as the plan has it",
    }
    claim = stage.claim(caller, "request_transfer", wanted)
    return stage.asked(stage.as_app(steps.request_transfer, Request(caller, claim), wanted), claim)


def _transfer(stage: Stage, statuses: list[str]) -> dict[str, Any] | None:
    """Choose a transfer in one of these statuses.

    Where two moves meet, the first chooses one that has an opposite; the second chooses that opposite, or else the same
    transfer.
    """
    rows = stage.world.rows(_TRANSFERS, statuses=statuses)
    first = stage.focus.transfer
    if first is not None:
        found = stage.choose(rows, lambda row: _is_opposite(row, first)) if first["has_opposite"] else None
        found = found or stage.choose(rows, lambda row: bool(row["id"] == first["id"]))
    elif stage.focus.transfer_id is not None:
        found = next((row for row in rows if row["id"] == stage.focus.transfer_id), None)
    elif stage.move.meanwhile:
        found = stage.choose(rows, lambda row: bool(row["has_opposite"]))
    else:
        found = stage.choose(rows)
    stage.focus.transfer = found
    return found


def _is_opposite(one: dict[str, Any], other: dict[str, Any]) -> bool:
    way, back = ("from_warehouse_id", "to_warehouse_id"), ("to_warehouse_id", "from_warehouse_id")
    is_same_variant = one["variant_id"] == other["variant_id"]
    return is_same_variant and [one[name] for name in way] == [other[name] for name in back]


def ship_transfer(stage: Stage) -> Task | None:
    """Ship the goods of a pending transfer."""
    found = _transfer(stage, ["pending"])
    if found is None:
        return None
    if [other.kind for other in stage.move.meanwhile] == ["ship_transfer"] and not found["has_opposite"]:
        return None
    caller = clerk(stage)
    claim = stage.claim(caller, "ship_transfer", found["id"])
    return stage.asked(stage.as_app(steps.ship_transfer, Request(caller, claim), found["id"]), claim)


def receive_transfer(stage: Stage) -> Task | None:
    """Receive goods of a transfer: some arrive, some are lost for good."""
    found = _transfer(stage, ["in_transit"])
    if found is None:
        return None
    dice, caller = stage.dice, clerk(stage)
    arrived = dice.randint(0, found["left"])
    lost = dice.randint(0, found["left"] - arrived) if dice.random() < 0.3 else 0
    if arrived + lost == 0:
        arrived = found["left"]
    given = {"received_quantity": arrived, "written_off_quantity": lost, "reason": "lost" if lost else None}
    claim = stage.claim(caller, "receive_transfer", (found["id"], given))
    return stage.asked(stage.as_app(steps.receive_transfer, Request(caller, claim), found["id"], given), claim)


def cancel_transfer(stage: Stage) -> Task | None:
    """Cancel a transfer, before it leaves or on its way."""
    found = _transfer(stage, ["pending", "in_transit"])
    if found is None:
        return None
    caller = clerk(stage)
    claim = stage.claim(caller, "cancel_transfer", found["id"])
    return stage.asked(stage.as_app(steps.cancel_transfer, Request(caller, claim), found["id"]), claim)


def override_capacity(stage: Stage) -> Task:
    """Override the capacity of a warehouse for a few days. An override that shares a day with another is refused."""
    dice, caller = stage.dice, clerk(stage)
    code = stage.focus.warehouse or dice.choice(list(shop.WAREHOUSES))
    stage.focus.warehouse = code
    begins: date = stage.world.now.date() + timedelta(days=dice.randint(0, 3))
    limit = dice.choice((None, 3, 30))
    override = Override(
        begins, begins + timedelta(days=dice.randint(0, 2)), Decimal("0.5") if limit is None else None, limit, "a sale"
    )
    claim = stage.claim(caller, "set_override", override)
    return stage.asked(stage.as_app(steps.override_capacity, caller, claim, shop.WAREHOUSES[code], override), claim)


def drop_override(stage: Stage) -> Task | None:
    """Delete an override."""
    rows = stage.world.rows("SELECT id, version FROM inventory.capacity_overrides ORDER BY created_at, id")
    found = stage.choose(rows)
    if found is None:
        return None
    return stage.as_app(steps.drop_override, clerk(stage), found["id"], found["version"])


def _letter(stage: Stage) -> dict[str, Any] | None:
    letters = stage.world.rows(_OPEN_LETTERS)
    if stage.move.scene:
        letters = [row for row in letters if stage.focus.webhook and row["gateway_event_id"] == stage.focus.webhook.id]
    found = stage.choose(letters, lambda row: bool(row["id"] == stage.focus.dead_letter_id))
    if found is not None:
        stage.focus.dead_letter_id = found["id"]
        stage.poison = found["gateway_event_id"] in stage.world.memory.poisoned
    return found


def work_on_dead_letter(stage: Stage) -> Task | None:
    """Assign a dead letter, investigate it or mark it ready."""
    found = _letter(stage)
    if found is None:
        return None
    action = stage.dice.choice(
        (
            DeadLetterAction.ASSIGNED,
            DeadLetterAction.INVESTIGATED,
            DeadLetterAction.MADE_READY,
            DeadLetterAction.MADE_READY,
        )
    )
    return _work_on(stage, found, action)


def make_ready(stage: Stage) -> Task | None:
    """Mark a dead letter ready, as somebody does who thinks that its cause was mended."""
    found = _letter(stage)
    return None if found is None else _work_on(stage, found, DeadLetterAction.MADE_READY)


def _work_on(stage: Stage, found: dict[str, Any], action: DeadLetterAction) -> Task:
    stage.poison = False
    caller = clerk(stage)
    step = Step(
        action,
        found["id"],
        found["version"],
        note="looked into",
        assignee=caller.subject if action is DeadLetterAction.ASSIGNED else None,
    )
    return stage.as_app(steps.work_on_dead_letter, caller, step)


def replay_dead_letter(stage: Stage) -> Task | None:
    """Replay a dead letter by hand."""
    found = _letter(stage)
    return None if found is None else stage.as_app(steps.replay, shop.ORGANIZATION, found["id"])


def replay_group(stage: Stage) -> Task | None:
    """Replay all dead letters of one group, at a bounded rate."""
    found = _letter(stage)
    return None if found is None else stage.as_app(steps.replay_group, clerk(stage), found["fingerprint"])


def write_error_class(stage: Stage) -> Task:
    """Define an error class for one of the troubles that a plan makes."""
    number = stage.move.number
    keywords = stage.dice.choice((("cannot be stored",), ("ledger",), ("ended with its process",)))
    proposal = Proposal(f"class {number}", None, None, None, None, None, keywords, 300, 50.0)
    return stage.as_app(steps.write_class, clerk(stage), proposal)


def let_class_replay(stage: Stage) -> Task | None:
    """Let the dead letters of a class replay by themselves from now on.

    The ten replays that would earn this take longer than a plan, so the class is given a record from elsewhere.
    """
    rows = stage.world.rows(
        "SELECT id, version FROM payments.error_classes WHERE active AND NOT auto_replay_enabled ORDER BY match_order"
    )
    found = stage.choose(rows)
    if found is None:
        return None
    identifier: UUID = found["id"]
    stage.world.sql(
        "UPDATE payments.error_classes SET successful_replays = successful_replays + 10 WHERE id = :id", id=identifier
    )
    stage.world.sql("INSERT INTO prove.merits VALUES (:id, 10)", id=identifier)
    return stage.as_app(steps.let_class_replay, clerk(stage), identifier, found["version"])


SCHEDULES: Final[dict[str, Make]] = {
    "expiry": lambda stage: stage.as_system(steps.expire),
    "watchdog": lambda stage: stage.as_system(steps.watch_everything),
    "dlq_retries": lambda stage: stage.as_system(steps.keep_all_dead_letters),
    "relay": lambda stage: stage.as_system(steps.relay),
    "money_watchdog": lambda stage: stage.as_system(steps.watch_the_books),
    "capacity_watch": lambda stage: stage.as_system(steps.watch_the_warehouses),
    "housekeeping": lambda stage: stage.as_system(steps.keep_the_house),
    "ledger_check": lambda stage: stage.as_system(steps.check_the_ledger),
}
