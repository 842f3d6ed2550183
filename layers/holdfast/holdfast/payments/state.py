"""What is known of a payment, and the status that follows from it.

Gateways deliver their news late, twice and in any order. So the state is not a current status that events push around
but a set of facts that only grows: a flag once true stays true, a figure is the highest ever reported, a date is the
latest. Such a join is commutative, associative and idempotent (a semilattice). Hence every order of arrival and every
repetition ends in the same facts, from which the status is derived. An earlier event never undoes a later state. Only
two kinds of news take something back, and both are facts of their own: a refund that fails after it succeeded, and a
capture that fails after it succeeded.

**A capture and its failure.** A capture that failed and was repeated, and one that succeeded and fell through days
later, consist of the same two kinds of event. The gateway's own dates tell them apart, not the order of arrival: the
capture stands unless its failure is dated after the latest success. A capture that never succeeded leaves the payment
as it was, so that an authorization can be captured again.

**Several captures** of one payment are known one by one, by the gateway's id (``payments.captures``). Of a gateway that
captures once, its cumulative figure is all there is. A payment is ``captured`` from the first capture that stands, even
while the rest is still held. Whether more can be captured is not a status but ``remaining_minor``, which is zero once
the final capture stands or the rest was given up or expired. For the same reason a payment whose captured part was
refunded is ``partially_refunded`` while the rest is held. If every capture fell through, the payment is ``failed``, or
``authorized`` again while something is left to be captured; what fell through is not held any more.

One figure is not a fact: a gateway's cumulative refunded amount. It does not tell which refunds it counts, and it falls
when one of them fails. So refunds are known one by one, by the gateway's id.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from holdfast.payments import captures, disputes
from holdfast.payments.captures import Captures
from holdfast.payments.disputes import DISPUTE_NEWS, DisputeFact
from holdfast.payments.model import PaymentStatus, RefundStatus
from holdfast.values.errors import InvalidInput
from holdfast.values.payment_events import DisputeOutcome, EventType

_IN_PROGRESS: Final = frozenset({EventType.AUTHORIZATION_REQUESTED, EventType.PAYMENT_PROCESSING})
_MONEY_HELD: Final = frozenset({EventType.AUTHORIZATION_SUCCEEDED, EventType.CAPTURE_SUCCEEDED})
_HAS_MONEY: Final = frozenset({PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED, PaymentStatus.PARTIALLY_REFUNDED})
_FAILURES: Final = frozenset({EventType.AUTHORIZATION_FAILED, EventType.CAPTURE_FAILED})
_REFUND_STATUS: Final[Mapping[EventType, RefundStatus]] = {
    EventType.REFUND_REQUESTED: RefundStatus.PENDING,
    EventType.REFUND_SUCCEEDED: RefundStatus.SUCCEEDED,
    EventType.REFUND_FAILED: RefundStatus.FAILED,
}
_REFUND_RANK: Final[Mapping[RefundStatus, int]] = {
    RefundStatus.PENDING: 0,
    RefundStatus.SUCCEEDED: 1,
    RefundStatus.FAILED: 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentNews:
    """One event of a payment: the part of a gateway's event that says something about the money.

    All amounts are in minor units of the payment's currency, which the caller has checked.
    """

    event_type: EventType
    occurred_at: datetime
    """When it happened at the gateway (aware UTC), not when the event arrived."""
    amount_minor: int | None = None
    """The amount of what the event is about: for a refund, the refund's."""
    authorized_minor: int | None = None
    captured_minor: int | None = None
    """Cumulative over all captures. Ignored for a gateway that identifies its captures."""
    captures: Captures = ()
    """The captures that the event names."""
    is_capture_final: bool = False
    """Whether the event says that nothing more can be captured."""
    gateway_refund_id: str | None = None
    authorization_expires_at: datetime | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    gateway_dispute_id: str | None = None
    dispute_reason: str | None = None
    dispute_due_at: datetime | None = None
    dispute_outcome: DisputeOutcome | None = None
    dispute_lost_minor: int | None = None


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """Why the gateway said no.

    The latest failure is kept; of two at the same instant the one with the greater code, so that every order of arrival
    ends in the same.
    """

    occurred_at: datetime
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class RefundFact:
    """One refund at the gateway: ``pending``, then ``succeeded``, and possibly ``failed`` after that."""

    gateway_refund_id: str
    status: RefundStatus
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFacts:
    """Everything known of one payment. A new payment is ``PaymentFacts(amount_minor=...)``."""

    amount_minor: int
    processing: bool = False
    requires_action: bool = False
    authorized: bool = False
    authorized_minor: int = 0
    authorization_expires_at: datetime | None = None
    captured_minor: int = 0
    """The highest cumulative figure of a gateway that captures once and does not identify captures.

    It stays when the capture falls through (see ``capture_failed``).
    """
    captured_at: datetime | None = None
    capture_failed_at: datetime | None = None
    captures: Captures = ()
    """The captures that the gateway identifies."""
    released: bool = False
    """Whether the gateway said that nothing more can be captured."""
    failed: bool = False
    cancelled: bool = False
    expired: bool = False
    failure: Failure | None = None
    refunds: tuple[RefundFact, ...] = ()
    """Sorted by the gateway's id, one for each id."""
    disputes: tuple[DisputeFact, ...] = ()
    """Sorted by the gateway's id, one for each id."""

    @property
    def capture_failed(self) -> bool:
        """Whether the latest news of a capture without an id is a failure, by the gateway's dates.

        In a tie the success stands.
        """
        if self.capture_failed_at is None:
            return False
        return self.captured_at is None or self.capture_failed_at > self.captured_at

    @property
    def refunded_minor(self) -> int:
        """What was given back and did not return, in minor units."""
        return sum(refund.amount_minor for refund in self.refunds if refund.status is RefundStatus.SUCCEEDED)

    @property
    def standing_minor(self) -> int:
        """What the captures took that did not fall through, as far as is known, and at most the payment's amount."""
        figure_minor = 0 if self.capture_failed else self.captured_minor
        return min(self.amount_minor, max(figure_minor, captures.standing_minor(self.captures)))

    @property
    def succeeded_minor(self) -> int:
        """What captures took at any time, including what fell through."""
        return min(self.amount_minor, max(self.captured_minor, captures.succeeded_minor(self.captures)))

    @property
    def lost_minor(self) -> int:
        """What was captured and fell through."""
        return self.succeeded_minor - self.standing_minor

    @property
    def overcaptured_minor(self) -> int:
        """What captures took beyond the payment's amount. None of ours does that."""
        return max(0, captures.standing_minor(self.captures) - self.amount_minor)

    @property
    def collected_minor(self) -> int:
        """What the gateway took at any time.

        That is what was captured, or at least what was given back if that news came first.
        """
        return max(self.succeeded_minor, self.refunded_minor)

    @property
    def taken_minor(self) -> int:
        """What was taken and did not fall through: the upper bound of all refunds and lost disputes."""
        return max(self.standing_minor, self.refunded_minor)

    @property
    def is_capture_final(self) -> bool:
        """Whether nothing more can be captured.

        Either the rest was given up or expired, the final capture stands, or the gateway captures only once and did.
        """
        over = self.cancelled or self.expired or self.released or self.captured_minor > 0
        return over or any(capture.is_final and capture.stands for capture in self.captures)

    @property
    def remaining_minor(self) -> int:
        """What is still held: authorized and neither captured nor released. A pending capture is still held."""
        if not self.authorized or self.is_capture_final:
            return 0
        return max(0, min(self.authorized_minor, self.amount_minor) - self.collected_minor)

    @property
    def covers_amount(self) -> bool:
        """Whether the money is the whole amount of the payment.

        If only a refund is known and not its capture, it is not known how much was captured; then this is true.
        """
        known_minor = max(self.authorized_minor, self.succeeded_minor)
        return known_minor == 0 or known_minor >= self.amount_minor

    @property
    def charged_back_minor(self) -> int:
        """What lost disputes took of the money that was not given back before.

        A shop may lose both, the refund and the dispute. What it loses that way is more than it ever held, and no
        refund can be made of it.
        """
        lost_minor = sum(dispute.lost_minor for dispute in self.disputes)
        return min(lost_minor, self.taken_minor - self.refunded_minor)

    @property
    def is_disputed(self) -> bool:
        """Whether a dispute over the payment is undecided."""
        return any(dispute.is_open for dispute in self.disputes)

    @property
    def failure_code(self) -> str | None:
        return (self.failure.code or None) if self.failure else None

    @property
    def failure_message(self) -> str | None:
        return (self.failure.message or None) if self.failure else None


def join(facts: PaymentFacts, news: PaymentNews) -> PaymentFacts:
    """Return the facts with the news merged in. Any order of news and any repetition ends in the same facts.

    Raises InvalidInput for news that cannot be true of this payment (more captured or refunded than its amount, a
    capture or a refund without an amount): no retry cures it, and facts are not built on it.
    """
    _refuse_impossible(facts, news)
    return _merge(facts, _told_by(news, facts.amount_minor))


def is_known(facts: PaymentFacts, news: PaymentNews) -> bool:
    """Return whether the news is of money held or taken, and the facts contain all that it says.

    Facts only grow, so what is known now stays known: such news can be marked as done without any lock.
    """
    if news.event_type not in _MONEY_HELD or derive_status(facts) not in _HAS_MONEY:
        return False
    try:
        return join(facts, news) == facts
    except InvalidInput:
        return False


def derive_status(facts: PaymentFacts) -> PaymentStatus:
    """Derive the payment's status: the strongest fact decides.

    In this order: money given back, money taken, money released, money held, a refusal, then what the payment waits
    for.
    """
    if facts.refunded_minor > 0:
        # While news of the capture is missing, the whole amount is the safe figure, because `refunded` is final.
        known_minor = facts.standing_minor or facts.succeeded_minor or facts.amount_minor
        whole = facts.refunded_minor >= known_minor and facts.remaining_minor == 0
        return PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED
    if facts.standing_minor > 0:
        return PaymentStatus.CAPTURED
    if facts.succeeded_minor > 0:
        return PaymentStatus.AUTHORIZED if facts.remaining_minor > 0 else PaymentStatus.FAILED
    by_precedence = (
        (facts.cancelled or facts.expired, PaymentStatus.CANCELLED),
        (facts.authorized, PaymentStatus.AUTHORIZED),
        (facts.failed or facts.capture_failed, PaymentStatus.FAILED),
        (facts.requires_action, PaymentStatus.REQUIRES_ACTION),
        (facts.processing, PaymentStatus.PROCESSING),
    )
    return next((status for holds, status in by_precedence if holds), PaymentStatus.PENDING)


def _refuse_impossible(facts: PaymentFacts, news: PaymentNews) -> None:
    for capture in news.captures:
        # Too much may have been requested and refused, so only a capture that succeeded is held to the amount.
        if capture.amount_minor <= 0 or (capture.succeeded and capture.amount_minor > facts.amount_minor):
            raise InvalidInput(f"a capture of {capture.amount_minor} of a payment of {facts.amount_minor}")
    is_unnamed = news.event_type is EventType.CAPTURE_SUCCEEDED and not news.captures
    if is_unnamed and not 0 < (news.captured_minor or 0) <= facts.amount_minor:
        raise InvalidInput(f"a capture of {news.captured_minor} of a payment of {facts.amount_minor}")
    if news.event_type in DISPUTE_NEWS and (news.gateway_dispute_id is None or (news.amount_minor or 0) < 0):
        raise InvalidInput("a dispute without the gateway's id, or over less than nothing")
    if news.event_type not in _REFUND_STATUS:
        return
    if news.gateway_refund_id is None and news.event_type is not EventType.REFUND_REQUESTED:
        raise InvalidInput("a refund without the gateway's id: it could not be told from another")
    if news.gateway_refund_id is not None and not 0 < (news.amount_minor or 0) <= facts.amount_minor:
        raise InvalidInput(f"a refund of {news.amount_minor} of a payment of {facts.amount_minor}")


def _told_by(news: PaymentNews, amount_minor: int) -> PaymentFacts:
    """Return the facts that one event states by itself. A request of ours that was not answered states none."""
    kind = news.event_type
    captured = kind is EventType.CAPTURE_SUCCEEDED and not news.captures
    captured_minor = (news.captured_minor or 0) if captured else 0
    held_minor = 0
    holds = kind in _MONEY_HELD or any(capture.succeeded for capture in news.captures)
    if holds:
        # An identified capture may be one of several, so it does not tell how much was held for all of them.
        held_minor = news.authorized_minor or captured_minor or amount_minor
    failed = kind in _FAILURES
    return PaymentFacts(
        amount_minor=amount_minor,
        processing=kind in _IN_PROGRESS,
        requires_action=kind is EventType.ACTION_REQUIRED,
        authorized=holds,
        authorized_minor=max(held_minor, captured_minor),
        authorization_expires_at=news.authorization_expires_at,
        captured_minor=captured_minor,
        captured_at=news.occurred_at if captured else None,
        capture_failed_at=news.occurred_at if kind is EventType.CAPTURE_FAILED and not news.captures else None,
        captures=captures.merge(news.captures, ()),
        released=news.is_capture_final,
        failed=kind is EventType.AUTHORIZATION_FAILED,
        cancelled=kind is EventType.CANCELLATION_SUCCEEDED,
        expired=kind is EventType.AUTHORIZATION_EXPIRED,
        failure=Failure(news.occurred_at, news.failure_code or "", news.failure_message or "") if failed else None,
        refunds=_refunds_told_by(news),
        disputes=_disputes_told_by(news),
    )


def _refunds_told_by(news: PaymentNews) -> tuple[RefundFact, ...]:
    status = _REFUND_STATUS.get(news.event_type)
    if status is None or news.gateway_refund_id is None:
        return ()
    return (RefundFact(news.gateway_refund_id, status, news.amount_minor or 0),)


def _merge(one: PaymentFacts, other: PaymentFacts) -> PaymentFacts:
    """Return the least facts that contain both: field by field, either of two flags and the greater of two values."""
    return PaymentFacts(
        amount_minor=one.amount_minor,
        processing=one.processing or other.processing,
        requires_action=one.requires_action or other.requires_action,
        authorized=one.authorized or other.authorized,
        authorized_minor=max(one.authorized_minor, other.authorized_minor),
        authorization_expires_at=_greater(one.authorization_expires_at, other.authorization_expires_at),
        captured_minor=max(one.captured_minor, other.captured_minor),
        captured_at=_greater(one.captured_at, other.captured_at),
        capture_failed_at=_greater(one.capture_failed_at, other.capture_failed_at),
        captures=captures.merge(one.captures, other.captures),
        released=one.released or other.released,
        failed=one.failed or other.failed,
        cancelled=one.cancelled or other.cancelled,
        expired=one.expired or other.expired,
        failure=_greater(one.failure, other.failure),
        refunds=_merge_refunds(one.refunds, other.refunds),
        disputes=disputes.merge(one.disputes, other.disputes),
    )


def _disputes_told_by(news: PaymentNews) -> tuple[DisputeFact, ...]:
    if news.event_type not in DISPUTE_NEWS or news.gateway_dispute_id is None:
        return ()
    return (
        disputes.told(
            news.event_type,
            news.gateway_dispute_id,
            news.occurred_at,
            amount_minor=news.amount_minor or 0,
            outcome=news.dispute_outcome,
            lost_minor=news.dispute_lost_minor or 0,
            reason=news.dispute_reason,
            due_at=news.dispute_due_at,
        ),
    )


def _merge_refunds(one: tuple[RefundFact, ...], other: tuple[RefundFact, ...]) -> tuple[RefundFact, ...]:
    merged: dict[str, RefundFact] = {}
    for refund in (*one, *other):
        known = merged.get(refund.gateway_refund_id, refund)
        merged[refund.gateway_refund_id] = RefundFact(
            refund.gateway_refund_id,
            max(known.status, refund.status, key=_REFUND_RANK.__getitem__),
            max(known.amount_minor, refund.amount_minor),
        )
    return tuple(merged[gateway_refund_id] for gateway_refund_id in sorted(merged))


_Dated = TypeVar("_Dated", datetime, Failure)


def _greater(one: _Dated | None, other: _Dated | None) -> _Dated | None:
    if one is None or other is None:
        return one or other
    return max(one, other)
