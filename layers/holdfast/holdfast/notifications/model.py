"""Mails to shoppers: their kinds, and what becomes of them."""

from enum import StrEnum
from typing import Final


class MailKind(StrEnum):
    """What a mail is about."""

    ORDER_CONFIRMED = "order_confirmed"
    PAYMENT_FAILED = "payment_failed"
    SHIPMENT_SHIPPED = "shipment_shipped"
    SHIPMENT_DELIVERED = "shipment_delivered"
    ORDER_REFUNDED = "order_refunded"
    ADDRESS_CHECK = "address_check"
    ADDRESS_REMINDER = "address_reminder"
    ORDER_CANCELLED = "order_cancelled"
    LATE_PAYMENT_RETURNED = "late_payment_returned"


NEEDED: Final = frozenset({MailKind.ADDRESS_CHECK, MailKind.ADDRESS_REMINDER})
"""Without one of these mails the shopper does not know that the order waits for them."""


class MessageStatus(StrEnum):
    """The status of a mail. ``suppressed``: its address takes none. ``skipped``: its content was no longer true."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    SKIPPED = "skipped"


class Feedback(StrEnum):
    """What the mail service reported about a mail that it had accepted."""

    BOUNCED = "bounced"
    BOUNCED_FOR_NOW = "bounced_for_now"
    """A full mailbox or an unreachable server, which says nothing about the address."""
    COMPLAINED = "complained"


class SuppressionReason(StrEnum):
    """Why an address gets no more mail."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
