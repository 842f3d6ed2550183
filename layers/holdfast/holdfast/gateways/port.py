"""The port through which every payment gateway is reached: a few verbs and a closed set of outcomes.

Amounts are ``Money``: ISO 4217 minor units. An adapter converts to its vendor's units and raises ``NotRepresentable``
where the conversion is not exact. Snapshots say what a payment or refund *is now* at the gateway, with cumulative
amounts, so applying one twice, or an old one after a newer one, does no harm.
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
"""The ``gateway_event_type`` of an event built from a gateway's response rather than from a webhook."""


class GatewayUnreachable(Transient):
    """The request was certainly not executed (no connection, or rejected up front), so it can be repeated unchanged."""


class OutcomeUnknown(Transient):
    """The request was sent but its response was lost, so it may have been executed: resolve it with ``find``, or by
    repeating the call under the same idempotency key, before trying anything else."""


class GatewayRefused(Rejected):
    """The gateway refuses the request itself (unknown token, reused key, bad amount).

    Facts: ``failure_code``; ``about_attempt``, false where it says nothing about the attempt (a bad idempotency key);
    ``missing``, where the gateway forgets unpaid transactions.
    """

    code: ClassVar[str] = "gateway_refused"

    @property
    def failure_code(self) -> str:
        """The vendor's code for the reason."""
        return str(self.facts.get("failure_code", self.code))

    @property
    def is_about_attempt(self) -> bool:
        """Whether the same request would have been refused at any time."""
        return bool(self.facts.get("about_attempt", True))

    @property
    def is_missing(self) -> bool:
        """Whether the gateway has no such transaction (any more)."""
        return bool(self.facts.get("missing", False))


class GatewayDenied(GatewayRefused):
    """The gateway denies our account access (401, 403), or the account is incomplete: nothing was executed, the refusal
    says nothing about the attempt, and it goes away once somebody fixes the account."""

    @property
    def is_about_attempt(self) -> bool:
        """Always false."""
        return False


def surely_not_executed(error: Exception) -> bool:
    """Return whether the gateway certainly did not execute the request, so that it may be repeated however late."""
    return isinstance(error, (GatewayUnreachable, GatewayDenied))


class Outcome(StrEnum):
    """The state of a payment at the gateway when it answered."""

    SUCCEEDED = "succeeded"
    """Captured in full or in part; ``captured_minor`` says how much."""
    AUTHORIZED = "authorized"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    """Ended before any capture, by us or because the authorization window closed."""


class RefundOutcome(StrEnum):
    """The state of a refund at the gateway. SUCCEEDED can still become FAILED."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class CaptureOutcome(StrEnum):
    """The state of a capture, at a gateway that gives captures ids. SUCCEEDED can still become FAILED."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class GatewayCredentials:
    """One organization's account at a gateway.

    Any of ``webhook_secrets`` may have signed a webhook: during a rotation there are two. Beyond the API key each
    vendor needs something else; fields that it does not need stay ``None``.
    """

    api_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    merchant_account: str | None = None
    """Stripe: a connected account. Adyen: the merchant account. Square: the location."""
    client_id: str | None = None
    """PayPal: the OAuth2 client whose secret is ``api_key``."""
    webhook_id: str | None = None
    """PayPal: the id under which the webhook was registered; it is part of the signed text."""
    notification_url: str | None = None
    """Square: the webhook's URL exactly as registered; it is part of the signed text."""
    webhook_user: str | None = None
    webhook_password: str | None = field(default=None, repr=False)
    """Adyen: with ``webhook_user``, the HTTP Basic credentials of the webhook."""
    url_prefix: str | None = None
    """Adyen: the company-specific prefix of the live URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeRequest:
    """One attempt at one payment. ``idempotency_key`` identifies the attempt: one key can charge only once."""

    payment_id: UUID
    order_id: UUID
    order_number: str
    organization_id: UUID
    amount: Money
    token: str
    """The vendor's token for the shopper's payment method; card numbers never get here."""
    idempotency_key: str
    capture_now: bool
    customer_id: UUID | None = None
    """Our id of the shopper, under which a gateway that needs such a reference saves the method."""
    gateway_customer_id: str | None = None
    """The gateway's own id of the shopper, where it has one; required with the token of a saved method."""
    save_method: bool = False
    """The shopper agreed that the method is saved for later payments."""
    return_url: str | None = None
    """Where the shopper returns after an action on another site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedMethod:
    """A payment method saved at the gateway: its token for ``AuthorizeRequest``, and what a shopper recognizes."""

    gateway_customer_id: str
    token: str
    brand: str | None = None
    last_four: str | None = None
    expires_on: date | None = None
    """The last day on which the method is valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSnapshot:
    """One capture of a payment, at a gateway that gives captures ids."""

    gateway_capture_id: str
    status: CaptureOutcome
    amount: Money
    is_final: bool = False
    """Whether no capture follows; False where the gateway does not say."""
    decided_at: datetime | None = None
    """When it succeeded or failed by the gateway's clock: the same value in every report of it. None means the date of
    the event that reports it."""
    failure_code: str | None = None
    failure_message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSnapshot:
    """The current state of a payment at the gateway. All ``*_minor`` are cumulative, in minor units of ``amount``."""

    gateway_transaction_id: str
    outcome: Outcome
    amount: Money | None
    """The amount requested; None if the response does not say."""
    is_provisional: bool = False
    """Whether the gateway has not assigned a transaction id yet (Adyen, while the shopper acts) or never will (a
    refusal up front). The id is then the adapter's own: valid for ``cancel``, and not to be stored."""
    captured_minor: int = 0
    refunded_minor: int = 0
    capturable_minor: int = 0
    """The amount that is held and can still be captured."""
    captures: tuple[CaptureSnapshot, ...] = ()
    """All captures that the gateway reports, oldest first; just the one, if the response knows only one."""
    capture_id: str | None = None
    """In the answer to ``capture``, the one of ``captures`` that it is about. None if the gateway gives captures no
    ids, or made none."""
    authorization_expires_at: datetime | None = None
    failure_code: str | None = None
    """The vendor's reason, most specific first (``insufficient_funds`` rather than ``card_declined``)."""
    failure_message: str | None = None
    client_action: Mapping[str, Any] | None = None
    """What the shopper's client needs to continue; always has a ``type``. Contains a secret of this one payment."""
    method: str | None = None
    brand: str | None = None
    last_four: str | None = None
    saved_method: SavedMethod | None = None
    """The method that the gateway saved, for a paid attempt that asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundSnapshot:
    """The current state of a refund at the gateway."""

    gateway_refund_id: str
    status: RefundOutcome
    amount: Money | None
    """None if the response does not say."""
    failure_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayEvent:
    """One event about a payment: a verified webhook, or a response in the same form."""

    gateway_event_id: str
    """Unique per gateway; identifies repeated deliveries."""
    gateway_event_type: str
    """The vendor's own event type, or ``answer``."""
    event_type: EventType | None
    """None for a type that is ignored."""
    occurred_at: datetime
    gateway_transaction_id: str | None = None
    payment_id: UUID | None = None
    """Our id, which the gateway carries as metadata; None where it is absent (find the payment by transaction)."""
    amount_minor: int | None = None
    """The amount of what the event is about: the payment, the refund or the dispute."""
    currency: str | None = None
    authorized_minor: int | None = None
    """The total ever held for this payment; None where the event does not say."""
    captured_minor: int | None = None
    """Cumulative; None where the event does not say."""
    captures: tuple[CaptureSnapshot, ...] = ()
    """The captures that the event reports."""
    is_capture_final: bool = False
    """Whether the event says that a partly or fully captured payment can be captured no further."""
    refunded_minor: int | None = None
    """Cumulative over all refunds; None where the event does not say."""
    gateway_refund_id: str | None = None
    gateway_capture_id: str | None = None
    """For a refund, the capture that it refunds, at gateways where a refund belongs to a capture."""
    refund_id: UUID | None = None
    gateway_dispute_id: str | None = None
    dispute_reason: str | None = None
    """The vendor's reason for the dispute."""
    dispute_due_at: datetime | None = None
    """The deadline for the shop's response."""
    dispute_outcome: DisputeOutcome | None = None
    dispute_lost_minor: int | None = None
    """What the gateway took back for good through the dispute itself; zero where it reports that loss as a refund."""
    authorization_expires_at: datetime | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    saved_method: SavedMethod | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    """What the gateway sent, as JSON."""


@runtime_checkable
class TakesDetails(Protocol):
    """A gateway that does not itself learn what the shopper did elsewhere (Adyen).

    The shopper's client brings the result back, and we hand it in. The other gateways are asked (``Gateway.fetch``).
    """

    def complete_action(
        self, request: AuthorizeRequest, details: Mapping[str, str], *, deadline_seconds: float
    ) -> PaymentSnapshot:
        """Continue an attempt that waits for its shopper; a further action may follow. The same details get the same
        answer again. Raises the errors of ``Gateway``."""
        ...


class Gateway(Protocol):
    """A payment vendor, in the domain's terms. ``deadline_seconds`` bounds a call as a whole.

    Every verb raises ``GatewayUnreachable`` (not executed), ``OutcomeUnknown`` (sent, response lost),
    ``GatewayRefused`` (our mistake) or ``NotRepresentable`` (amount). A decline is an answer, not an error.
    """

    @property
    def name(self) -> str:
        """The vendor's name, as in ``gateway_accounts.gateway`` and the webhook's path."""
        ...

    @property
    def repeatable_seconds(self) -> float:
        """The greatest age of an attempt at which ``find`` is safe, with a margin.

        After that the vendor may have forgotten the idempotency key, and ``find`` would charge again. Infinite where
        ``find`` never charges.
        """
        ...

    @property
    def multiple_captures(self) -> bool:
        """Whether this adapter captures held money in several parts; if not, the first capture releases the rest."""
        ...

    @property
    def releases_rest(self) -> bool:
        """Whether a final capture releases the remainder; if not, ``cancel`` does so once the capture has succeeded."""
        ...

    def authorize(self, request: AuthorizeRequest, *, deadline_seconds: float) -> PaymentSnapshot:
        """Create and confirm a payment: capture at once if ``capture_now``, otherwise hold the money."""
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
        """Capture ``amount``, at most what is held.

        ``is_final`` means that no other capture follows and the rest is released; without ``multiple_captures`` every
        capture is final. If the payment's present state does not allow a capture, nothing is changed and the snapshot
        says what that state is.
        """
        ...

    def cancel(self, transaction_id: str, *, idempotency_key: str, deadline_seconds: float) -> PaymentSnapshot:
        """Cancel the payment before its capture, or release what several captures left of it.

        Money captured before that stays captured, and the snapshot says so.
        """
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
        """Refund ``amount`` of the captured money.

        Where a refund belongs to a capture, refund ``gateway_capture_id`` or, if that is None, a capture large enough.
        """
        ...

    def fetch(self, transaction_id: str, *, deadline_seconds: float) -> PaymentSnapshot:
        """Return the current state of a payment.

        For a gateway that cannot be asked (Adyen) that is PROCESSING without an amount; its webhooks tell the rest.
        """
        ...

    def fetch_refund(self, gateway_refund_id: str, *, deadline_seconds: float) -> RefundSnapshot:
        """Return the current state of a refund; PENDING without an amount where the gateway cannot be asked."""
        ...

    def find(self, request: AuthorizeRequest, *, deadline_seconds: float) -> PaymentSnapshot | None:
        """Return what became of an attempt whose response was lost; None if it certainly had no effect and never will.

        At a gateway that resolves by repetition (Stripe, PayPal, Adyen), an attempt that never arrived is executed
        now. At one that resolves by cancellation (Square), this may cancel an attempt that did arrive.
        """
        ...


@runtime_checkable
class ForgetsMethods(Protocol):
    """A gateway that saves payment methods and can be told to forget one."""

    def forget_method(
        self, gateway_customer_id: str, token: str, *, idempotency_key: str, deadline_seconds: float
    ) -> None:
        """Delete a saved method. One that is not (or no longer) saved is no error. Raises the errors of ``Gateway``."""
        ...


@runtime_checkable
class RenewsAuthorizations(Protocol):
    """A gateway that can renew an authorization before it expires. Few can; callers check with ``isinstance``."""

    def reauthorize(
        self, transaction_id: str, amount: Money, *, idempotency_key: str, deadline_seconds: float
    ) -> PaymentSnapshot:
        """Hold ``amount`` anew; the snapshot says until when. Raises the errors of ``Gateway``: GatewayRefused where it
        is too early or the shopper's money is gone."""
        ...
