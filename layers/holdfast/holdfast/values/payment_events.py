"""What can happen to a payment: the closed set of types that every gateway's events are translated into."""

from enum import StrEnum


class EventType(StrEnum):
    """One kind of payment event.

    ``*_requested`` is written by Holdfast; the others are a gateway's answer or webhook.
    """

    PAYMENT_INITIATED = "payment_initiated"
    """The payment row exists; nothing has been sent yet."""

    AUTHORIZATION_REQUESTED = "authorization_requested"
    AUTHORIZATION_SUCCEEDED = "authorization_succeeded"
    """Money is held and waits for its capture."""
    AUTHORIZATION_FAILED = "authorization_failed"
    AUTHORIZATION_EXPIRED = "authorization_expired"
    """The held money was released by itself, because the window for the capture closed."""
    ACTION_REQUIRED = "action_required"
    """The shopper has to do something first, such as 3-D Secure."""
    PAYMENT_PROCESSING = "payment_processing"
    """The gateway is working on it and will report."""

    CAPTURE_REQUESTED = "capture_requested"
    CAPTURE_SUCCEEDED = "capture_succeeded"
    CAPTURE_FAILED = "capture_failed"
    """May follow a success at gateways that capture asynchronously."""

    CANCELLATION_REQUESTED = "cancellation_requested"
    CANCELLATION_SUCCEEDED = "cancellation_succeeded"
    CANCELLATION_FAILED = "cancellation_failed"

    REFUND_REQUESTED = "refund_requested"
    REFUND_SUCCEEDED = "refund_succeeded"
    REFUND_FAILED = "refund_failed"
    """May follow a success, days later, when the shopper's bank sends the money back."""

    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_UPDATED = "dispute_updated"
    DISPUTE_CLOSED = "dispute_closed"


class DisputeOutcome(StrEnum):
    """How a dispute ended, as the shop sees it."""

    WON = "won"
    LOST = "lost"
    WITHDRAWN = "withdrawn"
    """Nobody decided: the shopper or the bank dropped it."""
