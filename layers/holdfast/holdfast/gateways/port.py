"""The port every payment gateway is reached through: a few verbs, and a closed set of outcomes.

Amounts are ``Money``: ISO 4217 minor units. An adapter converts to its vendor's units and raises ``NotRepresentable``
where that is not exact. Snapshots say what a payment or refund *is now* at the gateway, with cumulative amounts, so
that applying one twice, or an old one after a new one, does no harm.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar, Final, Protocol, runtime_checkable
from uuid import UUID

from holdfast.values.errors import Rejected, Transient
from holdfast.values.money import Money
from holdfast.values.payment_events import DisputeOutcome, EventType

ANSWER_EVENT_TYPE: Final = "answer"
"""The ``gateway_event_type`` of an event that was made from a gateway's answer instead of from its webhook."""


class GatewayUnreachable(Transient):
    """The request surely was not executed (no connection, or turned away at the door): repeat it as it is."""


class OutcomeUnknown(Transient):
    """The request was sent and its answer lost: it may have been executed.

    Resolve it with ``find`` (or the same call under the same idempotency key) before anything else is tried.
    """


class GatewayRefused(Rejected):
    """The gateway refuses the request as such (unknown token, reused key, bad amount). Facts: ``failure_code``, and
    ``about_attempt`` false where the refusal says nothing of what the request is about (a bad key of ours)."""

    code: ClassVar[str] = "gateway_refused"

    @property
    def failure_code(self) -> str:
        """The vendor's code for its reason."""
        return str(self.facts.get("failure_code", self.code))

    @property
    def is_about_attempt(self) -> bool:
        """Whether the same request would have been refused whenever it was made."""
        return bool(self.facts.get("about_attempt", True))


class GatewayDenied(GatewayRefused):
    """The gateway does not let our account in (401, 403), or the account is incomplete: the request surely was not
    executed, and the refusal says nothing of what it is about. It passes once somebody mends the account."""

    @property
    def is_about_attempt(self) -> bool:
        """Never."""
        return False


def surely_not_executed(error: Exception) -> bool:
    """Whether the gateway surely did nothing of what was asked: the same may be asked again, however late."""
    return isinstance(error, (GatewayUnreachable, GatewayDenied))


class Outcome(StrEnum):
    """What a payment is at the gateway at the moment it answered."""

    SUCCEEDED = "succeeded"
    """Captured, in full or in part; ``captured_minor`` says how much."""
    AUTHORIZED = "authorized"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    """Given up before its capture, by us or because its window closed."""


class RefundOutcome(StrEnum):
    """What a refund is at the gateway. SUCCEEDED can still become FAILED."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class CaptureOutcome(StrEnum):
    """What a capture with a name is at the gateway. SUCCEEDED can still become FAILED."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class GatewayCredentials:
    """One organization's account at a gateway. Any of ``webhook_secrets`` may sign: a rotation has two at a time.

    Beyond the key each vendor needs something else; what it does not need stays ``None``.
    """

    api_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    merchant_account: str | None = None
    """Stripe: a connected account. Adyen: the merchant account. Square: the location."""
    client_id: str | None = None
    """PayPal: the OAuth2 client whose secret is ``api_key``."""
    webhook_id: str | None = None
    """PayPal: the id the webhook was registered under; it is part of what is signed."""
    notification_url: str | None = None
    """Square: the webhook's address exactly as registered; it is part of what is signed."""
    webhook_user: str | None = None
    webhook_password: str | None = field(default=None, repr=False)
    """Adyen: HTTP Basic of the webhook."""
    url_prefix: str | None = None
    """Adyen: what the live address begins with, which is the company's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeRequest:
    """One attempt at one payment. ``idempotency_key`` names the attempt: the same key can charge only once."""

    payment_id: UUID
    order_id: UUID
    order_number: str
    organization_id: UUID
    amount: Money
    token: str
    """The vendor's name for the shopper's payment method; card numbers never come here."""
    idempotency_key: str
    capture_now: bool
    customer_id: UUID | None = None
    """Our id of the shopper: who a method is kept for, at a gateway that wants a name for that."""
    gateway_customer_id: str | None = None
    """The gateway's own, where it knows the shopper: needed with the token of a method that was kept."""
    save_method: bool = False
    """The shopper agreed that the method is kept for later payments."""
    return_url: str | None = None
    """Where the shopper comes back to after an action on another site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedMethod:
    """A method that the gateway keeps: its token for ``AuthorizeRequest``, and what a shopper knows it by."""

    gateway_customer_id: str
    token: str
    brand: str | None = None
    last_four: str | None = None
    expires_on: date | None = None
    """The last day on which it is good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSnapshot:
    """One capture of a payment, at a gateway that names them."""

    gateway_capture_id: str
    status: CaptureOutcome
    amount: Money
    is_final: bool = False
    """Whether nothing is captured after it; False where the gateway does not tell."""
    decided_at: datetime | None = None
    """When it succeeded or failed, by the gateway's clock, and the same whenever it is told; None: as its event is
    dated."""
    failure_code: str | None = None
    failure_message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSnapshot:
    """What a payment is now at the gateway. All ``*_minor`` are cumulative and in minor units of ``amount``."""

    gateway_transaction_id: str
    outcome: Outcome
    amount: Money | None
    """What was asked for; None: the answer does not tell."""
    is_provisional: bool = False
    """Whether the gateway has not given the transaction its id yet (Adyen, while the shopper acts), or never will (a
    refusal at the door). The id is then the adapter's own: good for ``cancel``, and not to be stored."""
    captured_minor: int = 0
    refunded_minor: int = 0
    capturable_minor: int = 0
    """What is held and can still be captured."""
    captures: tuple[CaptureSnapshot, ...] = ()
    """All that the gateway names, oldest first; of an answer that knows but one, that one."""
    capture_id: str | None = None
    """Of the answer to ``capture``: which of ``captures`` it is about. None: the gateway names none, or took none."""
    authorization_expires_at: datetime | None = None
    failure_code: str | None = None
    """The vendor's reason, most specific first (``insufficient_funds`` rather than ``card_declined``)."""
    failure_message: str | None = None
    client_action: Mapping[str, Any] | None = None
    """What the shopper's client needs in order to go on; always has a ``type``. Holds a secret of that one payment."""
    method: str | None = None
    brand: str | None = None
    last_four: str | None = None
    saved_method: SavedMethod | None = None
    """What the gateway keeps of a paid attempt that asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundSnapshot:
    """What a refund is now at the gateway."""

    gateway_refund_id: str
    status: RefundOutcome
    amount: Money | None
    """None: the answer does not tell."""
    failure_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayEvent:
    """One piece of news about a payment: a verified webhook, or an answer in the same form."""

    gateway_event_id: str
    """Unique per gateway: what a repeated delivery is recognized by."""
    gateway_event_type: str
    """The vendor's own word, or ``answer``."""
    event_type: EventType | None
    """None: a type nothing is done about."""
    occurred_at: datetime
    gateway_transaction_id: str | None = None
    payment_id: UUID | None = None
    """Ours, carried by the gateway as metadata; None where it does not come along (find it by transaction)."""
    amount_minor: int | None = None
    """The amount of the thing the event is about: the payment, the refund, the dispute."""
    currency: str | None = None
    authorized_minor: int | None = None
    """All that was ever held for this payment; None where the event does not tell."""
    captured_minor: int | None = None
    """Cumulative; None where the event does not tell."""
    captures: tuple[CaptureSnapshot, ...] = ()
    """The captures that the event names."""
    is_capture_final: bool = False
    """Whether the event says that nothing more can be captured of a payment of which something was."""
    refunded_minor: int | None = None
    """Cumulative over all refunds; None where the event does not tell."""
    gateway_refund_id: str | None = None
    gateway_capture_id: str | None = None
    """Of a refund: the capture that it gives back, where a refund is one of a capture."""
    refund_id: UUID | None = None
    gateway_dispute_id: str | None = None
    dispute_reason: str | None = None
    """The vendor's word for what the shopper complains of."""
    dispute_due_at: datetime | None = None
    """Until when the shop may answer."""
    dispute_outcome: DisputeOutcome | None = None
    dispute_lost_minor: int | None = None
    """What the gateway took back for good by the dispute as such; zero where it tells that as a refund."""
    authorization_expires_at: datetime | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    saved_method: SavedMethod | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    """What the gateway said, as JSON."""


@runtime_checkable
class TakesDetails(Protocol):
    """A gateway that does not learn by itself what the shopper did elsewhere (Adyen): the shopper's client brings it
    back, and it is handed in. The others are asked (``Gateway.fetch``)."""

    def complete_action(
        self, request: AuthorizeRequest, details: Mapping[str, str], *, deadline_seconds: float
    ) -> PaymentSnapshot:
        """Go on with an attempt that waits for its shopper; the same details again get the same answer. It may lead to
        a further action. Raises what ``Gateway`` says of its verbs."""
        ...


class Gateway(Protocol):
    """A vendor, in the domain's words. ``deadline_seconds`` bounds a call as a whole.

    Every verb raises ``GatewayUnreachable`` (not executed), ``OutcomeUnknown`` (sent, answer lost), ``GatewayRefused``
    (our mistake) or ``NotRepresentable`` (amount). A decline is an answer, not an error.
    """

    @property
    def name(self) -> str:
        """The vendor, as in ``gateway_accounts.gateway`` and the webhook's path."""
        ...

    @property
    def repeatable_seconds(self) -> float:
        """How old an attempt may be for ``find``, with a margin: later the vendor may have forgotten its key, and
        asking would charge again. Infinite where asking never charges."""
        ...

    @property
    def multiple_captures(self) -> bool:
        """Whether this adapter takes held money in several captures; else the first one releases the rest."""
        ...

    @property
    def releases_rest(self) -> bool:
        """Whether a final capture lets go of what it leaves; else ``cancel`` does, once the capture stands."""
        ...

    def authorize(self, request: AuthorizeRequest, *, deadline_seconds: float) -> PaymentSnapshot:
        """Create and confirm a payment; take the money at once if ``capture_now``, else hold it."""
        ...

    def capture(
        self,
        transaction_id: str,
        amount: Money,
        *,
        idempotency_key: str,
        is_final: bool = True,
        deadline_seconds: float,
    ) -> PaymentSnapshot:
        """Take ``amount`` (at most what is held). ``is_final``: no other capture follows, and the rest is released;
        without ``multiple_captures`` every capture is. If it is impossible in the payment's present state, nothing is
        changed and the snapshot says what it is instead."""
        ...

    def cancel(self, transaction_id: str, *, idempotency_key: str, deadline_seconds: float) -> PaymentSnapshot:
        """Give the payment up before its capture, or what several captures left of it. What was captured first stays
        so, and the snapshot says it."""
        ...

    def refund(
        self,
        transaction_id: str,
        amount: Money,
        *,
        idempotency_key: str,
        refund_id: UUID,
        gateway_capture_id: str | None = None,
        reason: str | None = None,
        deadline_seconds: float,
    ) -> RefundSnapshot:
        """Give back ``amount`` of what was captured; where a refund is one of a capture, of that capture, or (None) of
        one that has as much."""
        ...

    def fetch(self, transaction_id: str, *, deadline_seconds: float) -> PaymentSnapshot:
        """The truth about a payment. A gateway that cannot be asked (Adyen) answers PROCESSING without an amount: its
        webhooks tell."""
        ...

    def fetch_refund(self, gateway_refund_id: str, *, deadline_seconds: float) -> RefundSnapshot:
        """The truth about a refund; PENDING without an amount where the gateway cannot be asked."""
        ...

    def find(self, request: AuthorizeRequest, *, deadline_seconds: float) -> PaymentSnapshot | None:
        """What became of an attempt whose answer was lost; None: surely nothing, and nothing will.

        At a gateway that resolves by repetition (Stripe, PayPal, Adyen) an attempt that never arrived is executed now;
        at one that resolves by cancellation (Square) one that did arrive may be given up by this.
        """
        ...


@runtime_checkable
class ForgetsMethods(Protocol):
    """A gateway that keeps methods, and can be told to forget one."""

    def forget_method(
        self, gateway_customer_id: str, token: str, *, idempotency_key: str, deadline_seconds: float
    ) -> None:
        """Keep the method no longer. One that is not kept (any more) is fine. Raises what ``Gateway`` says."""
        ...


@runtime_checkable
class RenewsAuthorizations(Protocol):
    """A gateway that can hold money anew before its authorization runs out. Few can; it is asked with isinstance."""

    def reauthorize(
        self, transaction_id: str, amount: Money, *, idempotency_key: str, deadline_seconds: float
    ) -> PaymentSnapshot:
        """Hold ``amount`` anew; the snapshot says until when. Raises what ``Gateway`` says of its verbs, GatewayRefused
        where it is too early, or the shopper's money is gone."""
        ...
