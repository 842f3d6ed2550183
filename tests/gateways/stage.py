"""What the conformance suite needs of a gateway: the adapter, and a hand on the gateway's other side."""

from abc import ABC, abstractmethod
from enum import StrEnum
from uuid import UUID, uuid4

from holdfast.gateways.port import AuthorizeRequest, Gateway, GatewayEvent, PaymentSnapshot, RefundSnapshot
from holdfast.values.money import Money


class Resolution(StrEnum):
    """How a gateway resolves an attempt whose answer was lost."""

    REPETITION = "repetition"
    CANCELLATION = "cancellation"


class Asked(StrEnum):
    """What a payment can be asked to do after its authorization."""

    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"


class Stage(ABC):
    """One vendor's adapter against one vendor's server. A new gateway joins the suite by implementing this."""

    gateway: Gateway
    token_ok: str
    token_declined: str
    token_action: str | None
    """None: the shopper acts before there is a payment."""
    token_unknown: str
    declined_code: str
    unknown_code: str
    announces_actions = True
    """Whether a webhook says that the shopper has to do something; else only the answer does."""
    last_four = "4242"
    resolution = Resolution.REPETITION
    refunds_settle_later = False
    """Whether a refund is pending at first."""
    settles_later = False
    """Whether captures, cancellations and refunds are taken at once and decided later, so that only webhooks tell."""

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
        """Brand and last digits of a method that was kept."""
        return "visa", self.last_four

    def pay_and_keep(self, request: AuthorizeRequest) -> PaymentSnapshot:
        """Pay with a method that the gateway does not keep yet, until the money is there."""
        return self.gateway.authorize(request, deadline_seconds=5)

    def truth(self, transaction_id: str) -> PaymentSnapshot:
        """What a payment is by now, by whatever means the gateway tells."""
        return self.gateway.fetch(transaction_id, deadline_seconds=5)

    def truth_of_refund(self, gateway_refund_id: str) -> RefundSnapshot:
        """What a refund is by now."""
        return self.gateway.fetch_refund(gateway_refund_id, deadline_seconds=5)

    def await_refusal(self, asked: Asked) -> None:
        """Until the gateway has told that it will not; for one that settles later."""
        raise NotImplementedError

    @abstractmethod
    def lose_request(self) -> None:
        """The next call never arrives: its connection breaks."""

    @abstractmethod
    def lose_answer(self) -> None:
        """The next call is executed, and its answer never arrives."""

    @abstractmethod
    def answer_late(self, delay_seconds: float) -> None:
        """The next call is executed after a while."""

    @abstractmethod
    def complete_action(self, transaction_id: str, *, succeed: bool) -> None:
        """The shopper does what was asked of them, or fails to."""

    @abstractmethod
    def fail_refund(self, gateway_refund_id: str) -> None:
        """A refund that had succeeded comes back."""

    @abstractmethod
    def dispute(self, transaction_id: str, *, won: bool | None = None) -> None:
        """The shopper's bank asks for the money back; or decides."""

    @abstractmethod
    def expire_authorization(self, transaction_id: str) -> None:
        """The window for the capture closes."""

    @abstractmethod
    def send_webhooks_twice_and_backwards(self) -> None:
        """The events of the next call arrive in reverse order, each of them twice."""

    @abstractmethod
    def events_until(self, *expected: str) -> list[GatewayEvent]:
        """All verified events in order of arrival, once they hold `expected`: our event types, as often as named."""

    @abstractmethod
    def charges_of(self, order_id: UUID) -> int:
        """How often the gateway took or held money for an order."""

    @abstractmethod
    def captured_of(self, order_id: UUID) -> int:
        """How much it took, in the gateway's own units."""
