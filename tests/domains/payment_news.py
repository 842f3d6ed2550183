"""Short builders for news about a payment."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import reduce

from holdfast.payments.captures import CaptureFact
from holdfast.payments.model import PaymentStatus
from holdfast.payments.state import PaymentFacts, PaymentNews, derive_status, join
from holdfast.values.payment_events import DisputeOutcome, EventType

NOON = datetime(2025, 11, 20, 12, 0, tzinfo=UTC)
NEW = PaymentFacts(amount_minor=1_000)


def news(kind: str, minutes: int = 0, **fields: object) -> PaymentNews:
    return PaymentNews(event_type=EventType(kind), occurred_at=NOON + timedelta(minutes=minutes), **fields)


def captured(captured_minor: int = 1_000, minutes: int = 0) -> PaymentNews:
    return news("capture_succeeded", minutes, captured_minor=captured_minor)


def named(
    capture_id: str = "cap_1",
    amount_minor: int = 600,
    *,
    succeeded: int | None = None,
    failed: int | None = None,
    is_final: bool = False,
) -> CaptureFact:
    """Return a capture that has a gateway id; ``succeeded`` and ``failed`` are minutes after noon."""
    return CaptureFact(
        gateway_capture_id=capture_id,
        amount_minor=amount_minor,
        is_final=is_final,
        succeeded_at=None if succeeded is None else NOON + timedelta(minutes=succeeded),
        failed_at=None if failed is None else NOON + timedelta(minutes=failed),
    )


def took(
    capture_id: str = "cap_1", amount_minor: int = 600, minutes: int = 0, *, is_final: bool = False
) -> PaymentNews:
    """Return news that a capture with a gateway id succeeded."""
    return news("capture_succeeded", captures=(named(capture_id, amount_minor, succeeded=minutes, is_final=is_final),))


def fell(capture_id: str = "cap_1", amount_minor: int = 600, minutes: int = 90) -> PaymentNews:
    """Return news that a capture with a gateway id failed."""
    return news("capture_failed", captures=(named(capture_id, amount_minor, failed=minutes),))


def asked(capture_id: str = "cap_1", amount_minor: int = 600, *, is_final: bool = False) -> PaymentNews:
    """Return news that the gateway accepted a capture and has not decided on it yet."""
    return news("payment_processing", captures=(named(capture_id, amount_minor, is_final=is_final),))


HELD = news("authorization_succeeded")


def refund(kind: str, amount_minor: int = 1_000, refund_id: str = "re_1") -> PaymentNews:
    return news(f"refund_{kind}", amount_minor=amount_minor, gateway_refund_id=refund_id)


def dispute(word: str, minutes: int = 0, *, lost: bool = False, amount_minor: int = 1_000) -> PaymentNews:
    closed = word == "closed"
    return news(
        f"dispute_{word}",
        minutes,
        gateway_dispute_id="du_1",
        amount_minor=amount_minor,
        dispute_outcome=(DisputeOutcome.LOST if lost else DisputeOutcome.WON) if closed else None,
        dispute_lost_minor=amount_minor if lost else 0,
    )


def facts_of(events: Iterable[PaymentNews]) -> PaymentFacts:
    return reduce(join, events, NEW)


def status_of(*events: PaymentNews) -> PaymentStatus:
    return derive_status(facts_of(events))
