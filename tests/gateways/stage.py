"""What the conformance suite needs of a gateway: the adapter, and control over what happens at the gateway."""

from abc import ABC, abstractmethod
from enum import StrEnum
from uuid import UUID, uuid4

from holdfast.gateways.port import AuthorizeRequest, Gateway, GatewayEvent, PaymentSnapshot, RefundSnapshot
from holdfast.values.money import Money


class Resolution(StrEnum):
    """How the outcome of an attempt whose answer was lost is resolved at a gateway."""

    REPETITION = "repetition"
    CANCELLATION = "cancellation"


class Asked(StrEnum):
    """What can be asked of a payment after its authorization."""

    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"


class Stage(ABC):
    """One vendor's adapter against one vendor's server. A new gateway joins the suite by implementing this."""

    gateway: Gateway
    token_ok: str
    token_declined: str
    token_action: str | None
    """``None`` where the shopper acts before there is a payment."""
    token_unknown: str
    declined_code: str
    unknown_code: str
    announces_actions = True
    """Whether a webhook says that the shopper has to act; otherwise only the answer does."""
    last_four = "4242"
    resolution = Resolution.REPETITION
    refunds_settle_later = False
    """Whether a refund is pending at first."""
    settles_later = False
    """Whether captures, cancellations and refunds are accepted at once and decided later, as only webhooks tell."""

    def request(
        self,
        *,
        token: str | None = None,
        amount_minor: int = 1999,
        currency: str = "USD",
        capture_now: bool = True,
        order_id: UUID | None = None,
        idempotency_key: str | None = None,
        customer_id: UUID | None = None,
        gateway_customer_id: str | None = None,
        save_method: bool = False,
    ) -> AuthorizeRequest:
        payment_id = uuid4()
        return AuthorizeRequest(
            payment_id=payment_id,
            order_id=order_id or uuid4(),
            order_number="HF-0000-0000-0000-0001",
            organization_id=uuid4(),
            amount=Money(amount_minor, currency),
            token=token or self.token_ok,
            idempotency_key=idempotency_key or f"payment-{payment_id}",
            capture_now=capture_now,
            customer_id=customer_id,
            gateway_customer_id=gateway_customer_id,
            save_method=save_method,
        )

    @property
    def kept_as(self) -> tuple[str | None, str | None]:
        """Return the brand and the last digits of a saved method."""
        return "visa", self.last_four

    def pay_and_keep(self, request: AuthorizeRequest) -> PaymentSnapshot:
        """Pay with a method that the gateway has not saved yet, and return the payment once the money is there."""
        return self.gateway.authorize(request, deadline_seconds=5)

    def truth(self, transaction_id: str) -> PaymentSnapshot:
        """Return the current state of a payment, by whatever means the gateway reports it."""
        return self.gateway.fetch(transaction_id, deadline_seconds=5)

    def truth_of_refund(self, gateway_refund_id: str) -> RefundSnapshot:
        """Return the current state of a refund."""
        return self.gateway.fetch_refund(gateway_refund_id, deadline_seconds=5)

    def await_refusal(self, asked: Asked) -> None:
        """Wait for news that the gateway refused; for gateways that settle later."""
        raise NotImplementedError

    @abstractmethod
    def lose_request(self) -> None:
        """Let the connection of the next call break before the call arrives."""

    @abstractmethod
    def lose_answer(self) -> None:
        """Let the next call be executed but its answer be lost."""

    @abstractmethod
    def answer_late(self, delay_seconds: float) -> None:
        """Delay the execution of the next call."""

    @abstractmethod
    def complete_action(self, transaction_id: str, *, succeed: bool) -> None:
        """Let the shopper do what was asked of them, or fail to."""

    @abstractmethod
    def fail_refund(self, gateway_refund_id: str) -> None:
        """Let a refund that had succeeded fail."""

    @abstractmethod
    def dispute(self, transaction_id: str, *, won: bool | None = None) -> None:
        """Let the shopper's bank open a dispute or, given ``won``, decide it."""

    @abstractmethod
    def expire_authorization(self, transaction_id: str) -> None:
        """Let the capture window close."""

    @abstractmethod
    def send_webhooks_twice_and_backwards(self) -> None:
        """Let the events of the next call arrive in reverse order, each of them twice."""

    @abstractmethod
    def events_until(self, *expected: str) -> list[GatewayEvent]:
        """Return all verified events in order of arrival, once they include `expected`.

        `expected` are our event types, each as often as it is to arrive.
        """

    @abstractmethod
    def charges_of(self, order_id: UUID) -> int:
        """Return how often the gateway took or held money for an order."""

    @abstractmethod
    def captured_of(self, order_id: UUID) -> int:
        """Return how much the gateway took for an order, in the gateway's own units."""
