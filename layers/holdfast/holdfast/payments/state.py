"""What is known of a payment, and the status that follows from it.

Gateways deliver their news late, twice and in any order. So the state is not a current status that events push around
but a set of facts that only grows: a flag once true stays true, a figure is the highest ever reported, a date the
latest. Such a join is commutative, associative and idempotent (a semilattice), hence every order of arrival and every
repetition ends in the same facts, and the status is derived from them. A later state is never undone by an earlier
event; only two kinds of news take something back, and both are facts of their own: a refund that fails after it
succeeded, and a capture that fails after it succeeded.

**A capture and its failure.** A capture that failed and was repeated, and one that succeeded and fell through days
later, are made of the same two kinds of event. The gateway's own dates tell them apart, not the order of arrival: the
capture stands unless its failure is dated after the latest success. A capture that never succeeded leaves the payment
what it was, so that an authorization can be captured again.

**Several captures** of one payment are known one by one, by the gateway's id (``payments.captures``); of a gateway that
captures once, its cumulative figure is all there is. A payment is ``captured`` from the first capture that stands on,
also while the rest is still held: whether more can be captured is no status but ``remaining_minor``, which is nothing
once the last capture was final or the rest was given up or ran out. For the same reason a payment whose captured part
went back is ``partially_refunded`` while the rest is held. Where every capture fell through, it is ``failed``, or
``authorized`` again while something is left to be captured; what fell through is not held any more.

The one figure that is not a fact is the cumulative refunded amount of a gateway: it does not say which refunds it
counts and falls when one fails. Refunds are known one by one, by the gateway's id.
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
    """When it happened at the gateway, not when it arrived (aware UTC)."""
    amount_minor: int | None = None
    """The amount of the thing the event is about: of the refund, for a refund."""
    authorized_minor: int | None = None
    captured_minor: int | None = None
    """Cumulative over all captures. Of a gateway that names its captures it is not looked at."""
    captures: Captures = ()
    """The captures that the event names."""
    is_capture_final: bool = False
    """Whether nothing more can be captured, by what the event says."""
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
    """Why the gateway said no. The latest one is kept; of two at one instant the greater code, so that any order of
    arrival ends in the same."""

    occurred_at: datetime
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class RefundFact:
    """One refund at the gateway: ``pending``, then ``succeeded``, then perhaps still ``failed``."""

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
    """The highest cumulative figure reported of a gateway that captures once and names no captures; it stays when the
    capture falls through (see ``capture_failed``)."""
    captured_at: datetime | None = None
    capture_failed_at: datetime | None = None
    captures: Captures = ()
    """The captures that the gateway names."""
    released: bool = False
    """Whether the gateway said that nothing more can be captured."""
    failed: bool = False
    cancelled: bool = False
    expired: bool = False
    failure: Failure | None = None
    refunds: tuple[RefundFact, ...] = ()
    """Sorted by the gateway's id, one for each."""
    disputes: tuple[DisputeFact, ...] = ()
    """Sorted by the gateway's id, one for each."""

    @property
    def capture_failed(self) -> bool:
        """Whether the last word on a capture without a name is a failure, by the gateway's dates. Of a tie the success
        stands."""
        if self.capture_failed_at is None:
            return False
        return self.captured_at is None or self.capture_failed_at > self.captured_at

    @property
    def refunded_minor(self) -> int:
        """What was given back and did not return."""
        return sum(refund.amount_minor for refund in self.refunds if refund.status is RefundStatus.SUCCEEDED)

    @property
    def standing_minor(self) -> int:
        """What the captures took and did not fall through, as far as they were heard of; the amount at the most."""
        figure_minor = 0 if self.capture_failed else self.captured_minor
        return min(self.amount_minor, max(figure_minor, captures.standing_minor(self.captures)))

    @property
    def succeeded_minor(self) -> int:
        """What captures took at some time, also what fell through."""
        return min(self.amount_minor, max(self.captured_minor, captures.succeeded_minor(self.captures)))

    @property
    def lost_minor(self) -> int:
        """What was taken and fell through."""
        return self.succeeded_minor - self.standing_minor

    @property
    def overcaptured_minor(self) -> int:
        """What captures took beyond the payment's amount. None of ours does."""
        return max(0, captures.standing_minor(self.captures) - self.amount_minor)

    @property
    def collected_minor(self) -> int:
        """What the gateway took at some time: its captures, or at least what was given back if that news came first."""
        return max(self.succeeded_minor, self.refunded_minor)

    @property
    def taken_minor(self) -> int:
        """What was taken and did not fall through: the bound of all refunds and lost disputes."""
        return max(self.standing_minor, self.refunded_minor)

    @property
    def is_capture_final(self) -> bool:
        """Whether nothing more can be captured: the rest was given up or ran out, the last capture was final, or the
        gateway captures once and did."""
        over = self.cancelled or self.expired or self.released or self.captured_minor > 0
        return over or any(capture.is_final and capture.stands for capture in self.captures)

    @property
    def remaining_minor(self) -> int:
        """What is still held: authorized and neither captured nor let go. A capture under way is still held."""
        if not self.authorized or self.is_capture_final:
            return 0
        return max(0, min(self.authorized_minor, self.amount_minor) - self.collected_minor)

    @property
    def covers_amount(self) -> bool:
        """Whether it is the whole amount. A refund whose capture was not heard of yet does not say how much it was
        of."""
        known_minor = max(self.authorized_minor, self.succeeded_minor)
        return known_minor == 0 or known_minor >= self.amount_minor

    @property
    def charged_back_minor(self) -> int:
        """What lost disputes took of what was not given back before. A shop may lose both: that is more than it ever
        held, and no refund can be made of it."""
        lost_minor = sum(dispute.lost_minor for dispute in self.disputes)
        return min(lost_minor, self.taken_minor - self.refunded_minor)

    @property
    def is_disputed(self) -> bool:
        """Whether a dispute over it is undecided."""
        return any(dispute.is_open for dispute in self.disputes)

    @property
    def failure_code(self) -> str | None:
        return (self.failure.code or None) if self.failure else None

    @property
    def failure_message(self) -> str | None:
        return (self.failure.message or None) if self.failure else None


def join(facts: PaymentFacts, news: PaymentNews) -> PaymentFacts:
    """The facts with the news in them. Any order of news and any repetition ends in the same facts.

    Raises InvalidInput for news that cannot be true of this payment (more captured or refunded than it amounts to, a
    capture or a refund that does not say how much): no retry cures it, and facts are not built on it.
    """
    _refuse_impossible(facts, news)
    return _merge(facts, _told_by(news, facts.amount_minor))


def is_known(facts: PaymentFacts, news: PaymentNews) -> bool:
    """Whether the news says that money is held or taken, and the facts have that money and all that is said of it.

    Facts only grow, so what is known now stays known: such news can be put down as done without anybody's lock.
    """
    if news.event_type not in _MONEY_HELD or derive_status(facts) not in _HAS_MONEY:
        return False
    try:
        return join(facts, news) == facts
    except InvalidInput:
        return False


def derive_status(facts: PaymentFacts) -> PaymentStatus:
    """The payment's status: the strongest fact decides. Money given back, money taken, money released, money held,
    a refusal, then what the payment waits for."""
    if facts.refunded_minor > 0:
        # While the capture's own news is missing, the whole amount is the safe figure: `refunded` is final.
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
        # That too much was asked for and refused is true as well.
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
    """The facts one event states by itself. Requests of ours that were not answered state none."""
    kind = news.event_type
    captured = kind is EventType.CAPTURE_SUCCEEDED and not news.captures
    captured_minor = (news.captured_minor or 0) if captured else 0
    held_minor = 0
    holds = kind in _MONEY_HELD or any(capture.succeeded for capture in news.captures)
    if holds:
        # A capture with a name may be one of several: it says nothing of how much was held for all of them.
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
    """The least facts that contain both: field by field either, or the greater."""
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
