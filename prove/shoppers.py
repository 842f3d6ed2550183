"""What shoppers ask for."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.flows.checkout.complete_payment import CompletePayment
from holdfast.flows.checkout.pay_order import PayOrder
from holdfast.flows.checkout.place_order import PlaceOrder
from holdfast.flows.checkout.planning import CheckoutRequest, RequestedItem
from holdfast.flows.orders.cancel_order import CancelOrder
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.shipping import ShippingPreference
from prove import shop, steps
from prove.actors import Task
from prove.stage import Stage

KEY_LIVES: Final = timedelta(hours=23)
"""How long an idempotency key is certain to be known: it is forgotten after a day."""
CARDS: Final = (
    ("pm_card_visa", 14),
    ("pm_card_chargeDeclined", 3),
    ("pm_card_authenticationRequired", 3),
    ("pm_card_refundFail", 1),
    ("pm_card_pendingRefund", 1),
    ("pm_card_chargeDeclinedExpiredCard", 0.5),
    ("pm_card_that_is_unknown", 0.3),
)
_ORDERS: Final = """
    SELECT o.id, o.status, o.customer_id, c.auth_subject, c.email
      FROM orders.orders o JOIN tenancy.customers c ON c.organization_id = o.organization_id AND c.id = o.customer_id
     WHERE o.status = ANY (CAST(:statuses AS text[])) ORDER BY o.created_at, o.id
"""
_ORDER: Final = _ORDERS.replace("o.status = ANY (CAST(:statuses AS text[]))", "o.id = CAST(:id AS uuid)")
_AVAILABLE: Final = """
    SELECT v.sku, COALESCE(sum(s.available), 0)::integer AS available
      FROM catalog.variants v
     CROSS JOIN LATERAL (SELECT l.on_hand - l.reserved AS available FROM inventory.stock_levels l
                          WHERE l.variant_id = v.id ORDER BY 1 DESC LIMIT 2) s
     GROUP BY v.sku ORDER BY 2, 1
"""
"""The SKUs, the scarcest first, each with what the two warehouses with the most of it have together."""
_UNPAID: Final = ["pending_payment", "payment_processing", "payment_failed"]
_CANCELLABLE: Final = [*_UNPAID, "payment_confirmed", "confirmed", "address_review", "processing"]


def card(stage: Stage) -> str:
    """Choose one of the gateway's test cards; most of them are good."""
    return stage.dice.choices([token for token, _ in CARDS], [weight for _, weight in CARDS])[0]


def customer(stage: Stage) -> Caller:
    """Choose a known customer, or a guest who was never seen before."""
    if stage.dice.random() < 0.7:
        return stage.dice.choice(shop.CUSTOMERS)
    guest_id = UUID(int=stage.dice.getrandbits(128), version=4)
    return Caller(shop.ORGANIZATION, CallerKind.GUEST, f"guest:{guest_id}", guest_id=guest_id)


def owner_of(order: dict[str, Any]) -> Caller:
    """Return the shopper whose order it is."""
    if order["auth_subject"] is None:
        guest_id = order["customer_id"]
        return Caller(shop.ORGANIZATION, CallerKind.GUEST, f"guest:{guest_id}", guest_id=guest_id)
    return Caller(shop.ORGANIZATION, CallerKind.CUSTOMER, order["auth_subject"], order["email"])


def an_order(stage: Stage, statuses: list[str]) -> dict[str, Any] | None:
    """Choose an order in one of these statuses.

    In a scene, return the order that the scene is about, whatever its status.
    """
    if stage.move.scene:
        rows = stage.world.rows(_ORDER, id=stage.focus.order_id)
        return rows[0] if rows else None
    found = stage.choose(
        stage.world.rows(_ORDERS, statuses=statuses), lambda order: bool(order["id"] == stage.focus.order_id)
    )
    if found is not None:
        stage.focus.order_id = found["id"]
    return found


def checkout(stage: Stage) -> Task:
    """Check out one to three SKUs, a few of each.

    Where two checkouts meet, both want the same SKU, and all there is of it.
    """
    items = _everything_of_one(stage) if stage.move.meanwhile or stage.focus.sku else _a_few(stage)
    buyer = customer(stage)
    kept = _kept_method(stage, buyer) if stage.dice.random() < 0.3 else None
    return _place(stage, buyer, items, card(stage), kept, may_wait=stage.dice.random() < 0.8)


def buy(stage: Stage) -> Task:
    """Buy two pieces of what has just come in, with a good card."""
    items = (RequestedItem(2, sku=stage.focus.sku),)
    return _place(stage, stage.dice.choice(shop.CUSTOMERS), items, CARDS[0][0], None, may_wait=True)


def _place(
    stage: Stage, buyer: Caller, items: tuple[RequestedItem, ...], token: str, kept: UUID | None, *, may_wait: bool
) -> Task:
    dice = stage.dice
    address = dice.choice(shop.ADDRESSES)
    claim = stage.claim(buyer, "checkout", (items, token, kept))
    command = PlaceOrder(
        caller=buyer,
        claim=claim,
        request=CheckoutRequest(
            items, address, dice.choice(tuple(ShippingPreference)), allow_capacity_overflow=may_wait
        ),
        billing_address=address,
        email=None if buyer.email else "guest@example.com",
        gateway=None if kept else "stripe",
        token=None if kept else token,
        notes=claim.key,
        save_method=kept is None and buyer.kind is CallerKind.CUSTOMER and dice.random() < 0.3,
        payment_method_id=kept,
    )
    return stage.asked(stage.as_app(steps.place, command), claim)


def _a_few(stage: Stage) -> tuple[RequestedItem, ...]:
    dice = stage.dice
    there = [row["sku"] for row in stage.world.rows(_AVAILABLE) if row["available"] > 0]
    known = there if there and dice.random() < 0.9 else list(shop.SKUS)
    skus = dice.sample(known, min(len(known), dice.choices((1, 2, 3), (5, 3, 1))[0]))
    return tuple(RequestedItem(dice.choices((1, 2, 3), (6, 2, 1))[0], sku=sku) for sku in skus)


def _everything_of_one(stage: Stage) -> tuple[RequestedItem, ...]:
    """Ask for all that two warehouses have of the scarcest SKU, which the other shopper wants as well."""
    rows = [row for row in stage.world.rows(_AVAILABLE) if row["available"] > 0]
    row = next((row for row in rows if row["sku"] == stage.focus.sku), rows[0] if rows else None)
    sku = row["sku"] if row else stage.focus.sku or stage.dice.choice(shop.SKUS)
    stage.focus.sku = sku
    return (RequestedItem(row["available"] if row else 1, sku=sku),)


def _kept_method(stage: Stage, buyer: Caller) -> UUID | None:
    rows = stage.world.rows(
        "SELECT m.id FROM tenancy.payment_methods m JOIN tenancy.customers c"
        " ON c.organization_id = m.organization_id AND c.id = m.customer_id"
        " WHERE c.auth_subject = :subject AND m.deleted_at IS NULL ORDER BY m.created_at, m.id",
        subject=buyer.subject,
    )
    found = stage.choose(rows)
    return found["id"] if found else None


def repeat_a_request(stage: Stage) -> Task | None:
    """Repeat a request exactly, under its key: a client that got no answer, or an impatient one."""
    known = [each for each in stage.world.memory.requests if stage.world.now - each.asked_at < KEY_LIVES]
    request = stage.choose(known)
    if request is None:
        return None
    stage.request = request
    return _again(stage, request.task)


def _again(stage: Stage, task: Task) -> Task:
    move = stage.move
    return replace(task, now=stage.world.now, trap=move.trap, aws=move.aws, dice=move.dice)


def same(stage: Stage) -> Task | None:
    """Do what the paused move is doing once more, at the same time."""
    if stage.focus.task is None:
        return None
    stage.request = stage.focus.request
    return _again(stage, stage.focus.task)


def reuse_a_key(stage: Stage) -> Task | None:
    """Send another checkout under a key that was used. It is refused, whatever became of the first."""
    earlier = stage.choose(
        [
            each
            for each in stage.world.memory.requests
            if each.operation == "checkout" and stage.world.now - each.asked_at < KEY_LIVES
        ]
    )
    if earlier is None:
        return None
    (command,) = earlier.task.arguments
    items = (RequestedItem(command.request.items[0].quantity + 1, sku=command.request.items[0].sku),)
    claim = replace(command.claim, fingerprint="another")
    other = replace(command, claim=claim, request=replace(command.request, items=items), notes=f"{claim.key} abused")
    return stage.as_app(steps.place, other)


def pay_again(stage: Stage) -> Task | None:
    """Pay with another card for an order that is not paid."""
    order = an_order(stage, _UNPAID)
    if order is None:
        return None
    payer, token = owner_of(order), card(stage)
    claim = stage.claim(payer, "pay_order", (order["id"], token))
    save = payer.kind is CallerKind.CUSTOMER and stage.dice.random() < 0.2
    command = PayOrder(payer, claim, str(order["id"]), "stripe", token, save)
    return stage.asked(stage.as_app(steps.pay, command), claim)


def cancel(stage: Stage) -> Task | None:
    """Cancel an order, as its shopper or as staff."""
    order = an_order(stage, _CANCELLABLE if stage.dice.random() < 0.9 else ["cancelled"])
    if order is None:
        return None
    caller = shop.MANAGER if stage.dice.random() < 0.3 else owner_of(order)
    claim = stage.claim(caller, "cancel_order", order["id"])
    return stage.asked(stage.as_app(steps.cancel, CancelOrder(caller, claim, str(order["id"]))), claim)


def complete_payment(stage: Stage) -> Task | None:
    """Come back from the bank and complete a payment."""
    rows = stage.world.rows(
        "SELECT o.id, o.customer_id, c.auth_subject, c.email, p.id AS payment_id FROM payments.payments p"
        " JOIN orders.orders o ON o.organization_id = p.organization_id AND o.id = p.order_id"
        " JOIN tenancy.customers c ON c.organization_id = o.organization_id AND c.id = o.customer_id"
        " WHERE p.status IN ('processing', 'requires_action') ORDER BY p.created_at, p.id"
    )
    order = stage.choose(rows, lambda row: bool(row["id"] == stage.focus.order_id))
    if order is None:
        return None
    stage.focus.order_id = order["id"]
    return stage.as_app(
        steps.complete, CompletePayment(owner_of(order), str(order["id"]), uuid.UUID(str(order["payment_id"])), {})
    )


def choose_default_method(stage: Stage) -> Task | None:
    """Make one of the saved payment methods the default."""
    buyer = stage.dice.choice(shop.CUSTOMERS)
    method = _kept_method(stage, buyer)
    return None if method is None else stage.as_app(steps.choose_default, buyer, method)


def remove_method(stage: Stage) -> Task | None:
    """Remove one of the saved payment methods."""
    buyer = stage.dice.choice(shop.CUSTOMERS)
    method = _kept_method(stage, buyer)
    return None if method is None else stage.as_app(steps.remove_method, buyer, method)
