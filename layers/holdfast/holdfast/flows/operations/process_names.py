"""Every process that may call a person: the one place where their names are defined.

To add one, add a member, its sentence in ``MEANING``, and a row in docs/operations.md under "What waits for a person",
with its name in lower case as the anchor. ``tests/flows/test_process_names.py`` checks that the three agree.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final


class Process(StrEnum):
    """The process that calls a person."""

    LATE_PAYMENT = "LatePayment"
    PAID_TOO_LITTLE = "PaidTooLittle"
    PAYMENT_UNDECIDED = "PaymentUndecided"
    PAYMENT_FELL_THROUGH = "PaymentFellThrough"
    CAPTURE_FAILED = "CaptureFailed"
    CAPTURED_TOO_MUCH = "CapturedTooMuch"
    RETURN_MONEY = "ReturnMoney"
    REFUND_FAILED = "RefundFailed"
    DISPUTE_OPENED = "DisputeOpened"
    DISPUTE_LOST = "DisputeLost"
    MONEY_DIFFERENCE = "MoneyDifference"
    PAYMENT_METHOD_KEPT = "PaymentMethodKept"
    SHIPMENT_FAILED = "ShipmentFailed"
    DIFFERENCE_BORNE = "DifferenceBorne"
    ADDRESS_NOT_FOUND = "AddressNotFound"
    ADDRESS_REVIEW_DEADLINE = "AddressReviewDeadline"
    ADDRESS_CHECK_BOUNCED = "AddressCheckBounced"
    BUSINESS_CALENDAR = "BusinessCalendar"
    MAIL_NOT_SENT = "MailNotSent"
    MAIL_SERVICE = "MailService"
    STOCK_LEDGER = "StockLedger"
    ARCHIVE_VERIFICATION = "ArchiveVerification"
    COLD_EXPORT = "ColdExport"
    OUTBOX_RELAY = "OutboxRelay"
    MESSAGE_GIVEN_UP = "MessageGivenUp"


MEANING: Final[Mapping[Process, str]] = {
    Process.LATE_PAYMENT: "Money came after the hold had expired and the stock was sold; it is on its way back.",
    Process.PAID_TOO_LITTLE: "An order was paid in part: it is neither confirmed nor is the money returned.",
    Process.PAYMENT_UNDECIDED: "A gateway gives no final answer about a payment.",
    Process.PAYMENT_FELL_THROUGH: "The money of an order fell through after the order was confirmed.",
    Process.CAPTURE_FAILED: "Held money could not be taken.",
    Process.CAPTURED_TOO_MUCH: "Captures at the gateway add up to more than the payment.",
    Process.RETURN_MONEY: "Money that is owed back could not be returned.",
    Process.REFUND_FAILED: "A refund did not arrive.",
    Process.DISPUTE_OPENED: "A shopper's bank asks for the money back, and waits for an answer.",
    Process.DISPUTE_LOST: "A bank kept the money of a dispute.",
    Process.MONEY_DIFFERENCE: "Orders, payments and gateways disagree about the same money.",
    Process.PAYMENT_METHOD_KEPT: "A gateway could not be told to forget a removed payment method.",
    Process.SHIPMENT_FAILED: "A parcel is lost, damaged or came back.",
    Process.DIFFERENCE_BORNE: "A shopper's change of address makes the shop bear much of an order's price.",
    Process.ADDRESS_NOT_FOUND: "The new address of an order that is being made ready was found only approximately.",
    Process.ADDRESS_REVIEW_DEADLINE: "An order could not be cancelled at the deadline of its address review.",
    Process.ADDRESS_CHECK_BOUNCED: "The mail that asks a shopper to check an address came back or was suppressed.",
    Process.BUSINESS_CALENDAR: "The business calendars in a shop's settings make no sense.",
    Process.MAIL_NOT_SENT: "A mail to a shopper was given up.",
    Process.MAIL_SERVICE: "The mail service takes no mail of ours.",
    Process.STOCK_LEDGER: "A stock level is not what its movements add up to.",
    Process.ARCHIVE_VERIFICATION: "An archived order, or the chain, is not what was sealed.",
    Process.COLD_EXPORT: "A file of cold storage could not be proven.",
    Process.OUTBOX_RELAY: "The event bus refused a message for good.",
    Process.MESSAGE_GIVEN_UP: "A message crashed its function every time it was delivered.",
}

Call = tuple[Process, str, Mapping[str, Any]]
"""A call that a settlement carries to the inbox: the process, the details that people read, and the payload."""


def runbook(process: Process) -> str:
    """Return where the documentation says what to do."""
    return f"docs/operations.md#{process.lower()}"
