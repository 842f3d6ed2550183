"""Send one mail: claim it, write it from the order as it is now, hand it over, record the outcome.

The claim commits before anything else, with the number of the attempt and a lease. So two workers never send the same
mail, and a mail that kills its process runs out of attempts too. What is recorded afterwards is checked against that
number. A mail is sent twice only if the process dies, or the answer is lost, after the mail service accepted it and
before our commit.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.addresses.review_links import note_contact
from holdfast.flows.notifications.read_facts import read_facts
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.mail.port import Mail, NotAllowed, Rejected, Sent, TryAgain
from holdfast.notifications.facts import Facts
from holdfast.notifications.letters import letter_of
from holdfast.notifications.model import NEEDED, MailKind, MessageStatus
from holdfast.notifications.occasions import no_longer_true
from holdfast.notifications.rendering import render
from holdfast.notifications.retry_policy import ATTEMPTS_MAX, LEASE_SECONDS, next_delay
from holdfast.runtime import Runtime

ACTOR: Final = "system:notifications"
PROCESS: Final = Process.MAIL_NOT_SENT
SERVICE_PROCESS: Final = Process.MAIL_SERVICE
CHECK_PROCESS: Final = Process.ADDRESS_CHECK_BOUNCED

_NOTED: Final = frozenset({MailKind.ADDRESS_CHECK, MailKind.SHIPMENT_SHIPPED})
"""Mails after which their subject records that they were sent."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mail that this process may send, for the length of its lease."""

    id: UUID
    kind: MailKind
    order_id: UUID
    shipment_id: UUID | None
    refund_id: UUID | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of an attempt."""

    status: MessageStatus
    error: str | None = None
    provider_id: str | None = None
    recipient: str | None = None
    language: str | None = None
    calls_about_service: bool = False

    @property
    def is_refused_for_now(self) -> bool:
        """Whether the mail waits for another attempt."""
        return self.status is MessageStatus.PENDING


def deliver_message(
    runtime: Runtime, organization_id: UUID, message_id: UUID, clock: Callable[[], datetime]
) -> Result | None:
    """Send a mail that is due; return ``None`` if it is not due or somebody else is sending it."""
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        claimed = _claim(transaction, message_id)
    return None if claimed is None else deliver_claimed(runtime, organization_id, claimed, clock)


def deliver_claimed(runtime: Runtime, organization_id: UUID, claimed: Claimed, clock: Callable[[], datetime]) -> Result:
    """Send a mail whose claim is committed, and record the outcome."""
    try:
        result = _attempt(runtime, organization_id, claimed, clock)
    except Exception as error:
        # Recorded like any other failure: the mail is tried again, and a person is called after the last attempt.
        _logger.exception("mail %s could not be written", claimed.id)
        result = _after(claimed, f"it could not be written: {type(error).__name__}")
    now = clock()
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        _record(transaction, claimed, result)
    return result


def _claim(transaction: Transaction, message_id: UUID) -> Claimed | None:
    row = transaction.row(
        """
        UPDATE notifications.messages
           SET status = 'sending', attempts = attempts + 1, next_attempt_at = :lease_until
         WHERE organization_id = :organization_id AND id = :id AND next_attempt_at <= :now
        RETURNING id, kind, order_id, shipment_id, refund_id, attempts
        """,
        organization_id=transaction.tenant,
        id=message_id,
        now=transaction.now,
        lease_until=transaction.now + timedelta(seconds=LEASE_SECONDS),
    )
    if row is None:
        return None
    return Claimed(row.id, MailKind(row.kind), row.order_id, row.shipment_id, row.refund_id, row.attempts)


def _attempt(runtime: Runtime, organization_id: UUID, claimed: Claimed, clock: Callable[[], datetime]) -> Result:
    if claimed.attempts > ATTEMPTS_MAX:
        return Result(MessageStatus.FAILED, "every attempt ended without a word: the sender died over it")
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        facts = read_facts(
            runtime,
            transaction,
            claimed.kind,
            claimed.order_id,
            shipment_id=claimed.shipment_id,
            refund_id=claimed.refund_id,
        )
        if facts is None:
            return Result(MessageStatus.SKIPPED, "the order is no longer here")
        if (reason := no_longer_true(claimed.kind, facts)) is not None:
            return Result(MessageStatus.SKIPPED, reason)
        if facts.is_suppressed:
            return Result(MessageStatus.SUPPRESSED, "the address takes no mail", recipient=facts.recipient)
    return _outcome(claimed, facts, runtime.mail.send(_written(organization_id, claimed, facts, clock())))


def _written(organization_id: UUID, claimed: Claimed, facts: Facts, now: datetime) -> Mail:
    """Return the mail as it is handed to the mail service."""
    letter = letter_of(claimed.kind, facts)
    body = render(letter)
    return Mail(
        organization_id=organization_id,
        message_id=claimed.id,
        sender_name=facts.shop.name,
        recipient=facts.recipient,
        subject=letter.subject,
        text=body.text,
        html=body.html,
        language=letter.language,
        written_at=now,
        reply_to=facts.shop.reply_to,
    )


def _outcome(claimed: Claimed, facts: Facts, outcome: Sent | Rejected | TryAgain | NotAllowed) -> Result:
    match outcome:
        case Sent(provider_id):
            result = Result(MessageStatus.SENT, provider_id=provider_id)
        case Rejected(reason):
            result = Result(MessageStatus.FAILED, reason)
        case TryAgain(reason):
            result = _after(claimed, reason)
        case NotAllowed(reason):
            result = replace(_after(claimed, reason), calls_about_service=True)
    return replace(result, recipient=facts.recipient, language=facts.language)


def _after(claimed: Claimed, reason: str) -> Result:
    is_last = next_delay(claimed.attempts) is None
    return Result(MessageStatus.FAILED if is_last else MessageStatus.PENDING, reason)


def _record(transaction: Transaction, claimed: Claimed, result: Result) -> None:
    delay = next_delay(claimed.attempts) if result.is_refused_for_now else None
    follows = _follows(claimed, result)
    run = transaction.value if follows else transaction.execute_and_commit
    changed = run(
        "SELECT notifications.record_attempt(:organization_id, :id, :attempts, CAST(:result AS jsonb), :now)",
        organization_id=transaction.tenant,
        id=claimed.id,
        attempts=claimed.attempts,
        result={
            "status": str(result.status),
            "error": result.error,
            "next_at": None if delay is None else (transaction.now + delay).isoformat(),
            "provider_id": result.provider_id,
            "recipient": result.recipient,
            "language": result.language,
        },
        now=transaction.now,
    )
    if not changed:
        _logger.warning("mail %s was taken over before attempt %s ended", claimed.id, claimed.attempts)
    elif follows:
        _follow(transaction, claimed, result)


def _follows(claimed: Claimed, result: Result) -> bool:
    """Return whether more than the mail's own row is to be written."""
    is_noted = result.status is MessageStatus.SENT and claimed.kind in _NOTED
    is_missed = result.status is MessageStatus.SUPPRESSED and claimed.kind in NEEDED
    return is_noted or is_missed or result.status is MessageStatus.FAILED or result.calls_about_service


def _follow(transaction: Transaction, claimed: Claimed, result: Result) -> None:
    if result.status is MessageStatus.SENT:
        _note_told(transaction, claimed)
    if result.status is MessageStatus.SUPPRESSED:
        details = f"the mail {claimed.kind} was not sent, its address takes none: the shopper does not know of it"
        call_person(transaction, CHECK_PROCESS, claimed.order_id, details, {"mail_id": str(claimed.id)})
    if result.status is MessageStatus.FAILED:
        details = f"the mail {claimed.kind} was not sent: {result.error}"
        call_person(transaction, PROCESS, claimed.id, details, {"order_id": str(claimed.order_id)})
    if result.calls_about_service:
        details = f"the mail service takes no mail of ours; mails wait and are tried again: {result.error}"
        call_person(transaction, SERVICE_PROCESS, transaction.tenant, details, renews=True)


def _note_told(transaction: Transaction, claimed: Claimed) -> None:
    """Record with the subject of the mail that its customer was told, the first time."""
    if claimed.kind is MailKind.ADDRESS_CHECK:
        note_contact(transaction, claimed.order_id)
    if claimed.kind is not MailKind.SHIPMENT_SHIPPED:
        return
    transaction.execute(
        """
        UPDATE fulfillment.shipments SET notification_sent_at = :now
         WHERE organization_id = :organization_id AND id = :id AND notification_sent_at IS NULL
        """,
        organization_id=transaction.tenant,
        id=claimed.shipment_id,
        now=transaction.now,
    )
