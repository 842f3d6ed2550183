"""An order whose row the transaction has locked, with the facts for decisions on it, its payments and its stock."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.orders.lifecycle import OrderStatus
from holdfast.payments.capture_policy import CapturePolicy, policy_of
from holdfast.payments.facts_record import from_json
from holdfast.payments.model import OPEN_STATUSES, PaymentStatus
from holdfast.payments.state import PaymentFacts
from holdfast.values.coordinates import Coordinates
from holdfast.values.errors import NotFound
from holdfast.values.shipping import ShippingPreference

PAYMENT_HOLD_SECONDS_DEFAULT: Final = 1800
HOLD_MAX_SECONDS_DEFAULT: Final = 7200
MONEY_STATUSES: Final = frozenset({PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED, PaymentStatus.PARTIALLY_REFUNDED})
"""The statuses of a payment for which the gateway holds money, or has captured it and not refunded all of it."""


@dataclass(frozen=True, slots=True)
class LockedPayment:
    """One attempt to pay. Amounts are in minor units."""

    id: UUID
    attempt: int
    gateway: str
    gateway_account_id: UUID
    secret_reference: str
    merchant_account: str | None
    gateway_transaction_id: str | None
    token: str | None
    amount: int
    captured_amount: int
    refunded_amount: int
    refunding_amount: int
    charged_back_amount: int
    """How much of the captured amount was lost in disputes. It cannot be refunded."""
    currency: str
    status: PaymentStatus
    facts: PaymentFacts
    capture_now: bool
    gateway_customer_id: str | None
    save_method: bool
    idempotency_key: str
    checks: int
    return_url: str | None
    created_at: datetime
    is_owed_back: bool
    """Whether its return was ever decided. The return may be done, under way or given up."""
    is_being_returned: bool = False
    """Whether its return is under way."""

    @property
    def is_open(self) -> bool:
        """Whether its outcome is still unknown."""
        return self.status in OPEN_STATUSES

    @property
    def has_money(self) -> bool:
        """Whether the gateway holds money for it, or has captured it and not refunded all of it."""
        return self.status in MONEY_STATUSES

    @property
    def is_held(self) -> bool:
        """Whether money is authorized for it that was not captured: all of it, or what captures left."""
        return self.facts.remaining_minor > 0

    @property
    def returnable(self) -> int:
        """The captured amount that is neither refunded, nor being refunded, nor lost in a dispute."""
        return self.captured_amount - self.refunded_amount - self.refunding_amount - self.charged_back_amount


@dataclass(frozen=True, slots=True)
class RefundedItem:
    """What a refund covers of an order line. ``worth`` is in minor units."""

    order_item_id: UUID
    quantity: int
    worth: int
    unshipped: int = 0
    """How many of the units had not left the warehouse when the refund was requested. They no longer ship."""


@dataclass(frozen=True, slots=True)
class LockedRefund:
    """A refund of one of the payments. Amounts are in minor units."""

    id: UUID
    payment_id: UUID
    amount: int
    shipping_amount: int
    status: str
    reason: str
    gateway_refund_id: str | None
    items: tuple[RefundedItem, ...] = ()
    is_given_up: bool = False
    """Whether the gateway is no longer asked for it, because it was handed to a person."""
    gateway_capture_id: str | None = None
    """The capture that it refunds, at gateways where a refund belongs to a capture."""

    @property
    def is_open(self) -> bool:
        """Whether it is requested and its outcome is still unknown."""
        return self.status in ("pending", "processing")

    @property
    def counts(self) -> bool:
        """Whether its amount has been refunded, or may still be."""
        return self.is_open or self.status == "succeeded"


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation of the order, active or ended."""

    warehouse_id: UUID
    variant_id: UUID
    quantity: int
    status: str
    expires_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the order."""

    id: UUID
    variant_id: UUID
    sku: str
    quantity: int
    worth: int
    """The price of the whole line in minor units: subtotal - discount + tax."""
    left: int = 0
    """How many units have left a warehouse, not counting those that failed to arrive and are sent again."""


@dataclass(frozen=True, slots=True)
class LockedOrder:
    """The order with everything that its lock covers. Amounts are in minor units."""

    id: UUID
    order_number: str
    customer_id: UUID
    status: OrderStatus
    status_before: OrderStatus | None
    """The status from which a refund moved the order, or None while no refund has moved it."""
    sequence: int
    currency: str
    total: int
    shipping: int
    preference: ShippingPreference
    destination: Coordinates | None
    needs_address_review: bool
    payment_hold_seconds: int
    """How long a hold lasts from the moment a payment begins; a setting of the organization."""
    hold_max_seconds: int
    """How long goods are held in total, however often a payment is attempted; a setting of the organization."""
    capture_policy: CapturePolicy
    payments: tuple[LockedPayment, ...]
    refunds: tuple[LockedRefund, ...]
    holds: tuple[Hold, ...]
    items: tuple[Item, ...]
    leaving: UUID | None = None
    """The shipment that waits for its money to be captured."""

    def payment(self, payment_id: UUID) -> LockedPayment:
        """Return one of the order's payments. Raises NotFound."""
        for payment in self.payments:
            if payment.id == payment_id:
                return payment
        raise NotFound("the order has no such payment")

    def refund(self, refund_id: UUID | None) -> LockedRefund:
        """Return one of the order's refunds. Raises NotFound."""
        for refund in self.refunds:
            if refund.id == refund_id:
                return refund
        raise NotFound("the order has no such refund")

    @property
    def open_payment(self) -> LockedPayment | None:
        """The attempt under way, if any. There is at most one."""
        return next((payment for payment in self.payments if payment.is_open), None)

    def capturable(self, payment: LockedPayment) -> int:
        """Return how much of a payment's authorized money may be captured: in all, no more than the order's total."""
        owed_minor = self.total - payment.facts.collected_minor
        return max(0, min(payment.facts.remaining_minor, owed_minor))

    @property
    def is_held(self) -> bool:
        """Whether active holds cover every item exactly."""
        wanted: Counter[UUID] = Counter()
        for item in self.items:
            wanted[item.variant_id] += item.quantity
        held: Counter[UUID] = Counter()
        for hold in self.holds:
            if hold.status == "active":
                held[hold.variant_id] += hold.quantity
        return held == wanted

    @property
    def has_live_holds(self) -> bool:
        """Whether any hold is active, expired or not."""
        return any(hold.status == "active" for hold in self.holds)

    def held_until(self, payment_began_at: datetime) -> datetime:
        """Return when the hold for a payment that began at this time ends.

        The time counts from the beginning of the payment, so that a gateway that says "processing" for ever does not
        hold goods for ever. All payments of a hold together are bounded by ``hold_max_seconds``.
        """
        ends_at = payment_began_at + timedelta(seconds=self.payment_hold_seconds)
        begun = [hold.created_at for hold in self.holds if hold.status == "active"]
        return min(ends_at, min(begun) + timedelta(seconds=self.hold_max_seconds)) if begun else ends_at

    def waits_for_money_at(self, now: datetime) -> bool:
        """Whether a hold that has not expired shows that a payment under way is still awaited."""
        return any(hold.status == "active" and hold.expires_at > now for hold in self.holds)


def lock_order(transaction: Transaction, order_id: UUID) -> LockedOrder:
    """Lock the order's row until the transaction ends, and read the order. Raises NotFound."""
    document = transaction.value(
        "SELECT checkout.lock_order(:organization_id, :order_id)",
        organization_id=transaction.tenant,
        order_id=order_id,
    )
    if document is None or document["order"]["deleted"]:
        raise NotFound("there is no such order")
    return _order_from(document)


def _order_from(document: Mapping[str, Any]) -> LockedOrder:
    order = document["order"]
    located = order["latitude"] is not None and order["longitude"] is not None
    return LockedOrder(
        id=UUID(order["id"]),
        order_number=order["order_number"],
        customer_id=UUID(order["customer_id"]),
        status=OrderStatus(order["status"]),
        status_before=OrderStatus(order["status_before"]) if order["status_before"] else None,
        sequence=order["sequence"],
        currency=order["currency"],
        total=order["total"],
        shipping=order["shipping"],
        preference=ShippingPreference(order["shipping_preference"]),
        destination=Coordinates(order["latitude"], order["longitude"]) if located else None,
        needs_address_review=order["needs_address_review"],
        payment_hold_seconds=int(order["payment_hold_seconds"] or PAYMENT_HOLD_SECONDS_DEFAULT),
        hold_max_seconds=int(order["hold_max_seconds"] or HOLD_MAX_SECONDS_DEFAULT),
        capture_policy=policy_of(order["capture_policy"]),
        payments=tuple(_payment_from(row) for row in document["payments"]),
        refunds=tuple(_refunds_from(document["refunds"])),
        holds=tuple(
            Hold(
                UUID(row["warehouse_id"]),
                UUID(row["variant_id"]),
                row["quantity"],
                row["status"],
                datetime.fromisoformat(row["expires_at"]),
                datetime.fromisoformat(row["created_at"]),
            )
            for row in document["holds"]
        ),
        items=tuple(
            Item(UUID(row["id"]), UUID(row["variant_id"]), row["sku"], row["quantity"], row["worth"], row["left"])
            for row in document["items"]
        ),
        leaving=UUID(order["leaving"]) if order["leaving"] else None,
    )


def _refunds_from(rows: Sequence[Mapping[str, Any]]) -> list[LockedRefund]:
    return [
        LockedRefund(
            UUID(row["id"]),
            UUID(row["payment_id"]),
            row["amount"],
            row["shipping_amount"],
            row["status"],
            row["reason"],
            row["gateway_refund_id"],
            tuple(
                RefundedItem(UUID(item["order_item_id"]), item["quantity"], item["worth"], item["unshipped"])
                for item in row["items"]
            ),
            row["is_given_up"],
            row["gateway_capture_id"],
        )
        for row in rows
    ]


def _payment_from(row: Mapping[str, Any]) -> LockedPayment:
    return LockedPayment(
        id=UUID(row["id"]),
        attempt=row["attempt"],
        gateway=row["gateway"],
        gateway_account_id=UUID(row["gateway_account_id"]),
        secret_reference=row["secret_reference"],
        merchant_account=row["merchant_account"],
        gateway_transaction_id=row["gateway_transaction_id"],
        token=row["token"],
        amount=row["amount"],
        captured_amount=row["captured_amount"],
        refunded_amount=row["refunded_amount"],
        refunding_amount=row["refunding_amount"],
        charged_back_amount=row["charged_back_amount"],
        currency=row["currency"],
        status=PaymentStatus(row["status"]),
        facts=from_json(row["facts"]) if row["facts"] else PaymentFacts(amount_minor=row["amount"]),
        capture_now=row["capture_now"],
        gateway_customer_id=row["gateway_customer_id"],
        save_method=row["save_method"],
        idempotency_key=row["idempotency_key"],
        checks=row["checks"],
        return_url=row["return_url"],
        created_at=datetime.fromisoformat(row["created_at"]),
        is_owed_back=row["is_owed_back"],
        is_being_returned=row["is_being_returned"],
    )
