"""The terms of payments: the values that their columns may have."""

from enum import StrEnum
from typing import Final


class PaymentStatus(StrEnum):
    """Where one attempt to pay is. Derived from what the gateway told (``payments.state``), never set by hand."""

    PENDING = "pending"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN_STATUSES: Final = frozenset({PaymentStatus.PENDING, PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION})
"""The statuses of an attempt whose outcome is not known yet. An order has at most one such attempt."""


class EventState(StrEnum):
    """What became of a stored payment event."""

    PENDING = "pending"
    PROCESSED = "processed"
    RETRY_SCHEDULED = "retry_scheduled"
    DEAD_LETTERED = "dead_lettered"
    IGNORED = "ignored"


class RefundStatus(StrEnum):
    """What became of money we want to give back. A refund that succeeded may still fail later."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RestockReason(StrEnum):
    """What became of the goods of a refunded line. Only what can be sold again goes back to stock."""

    RESELLABLE = "resellable"
    DAMAGED = "damaged"
    CUSTOMER_KEPT = "customer_kept"
    OTHER = "other"


class RefundReason(StrEnum):
    """Why the money goes back."""

    CUSTOMER_REQUEST = "customer_request"
    FRAUD = "fraud"
    DUPLICATE = "duplicate"
    PRODUCT_ISSUE = "product_issue"
    DAMAGED = "damaged"
    LATE_PAYMENT = "late_payment"
    PRICE_DIFFERENCE = "price_difference"
    """The order costs less than was paid for it, because its address was changed. Only the system gives this reason."""
    OTHER = "other"
