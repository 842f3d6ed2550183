"""What the conformance suite needs of a gateway: the adapter, and a hand on the gateway's other side."""

from abc import ABC, abstractmethod
from uuid import UUID, uuid4

from holdfast.gateways.port import AuthorizeRequest, Gateway, GatewayEvent
from holdfast.values.money import Money


class Stage(ABC):
    """One vendor's adapter against one vendor's server. A new gateway joins the suite by implementing this."""

    gateway: Gateway
    token_ok: str
    token_declined: str
    token_action: str
    declined_code: str
    partial_capture = True

    def request(
        self,
        *,
        token: str | None = None,
        amount_minor: int = 1999,
        currency: str = "USD",
        capture_now: bool = True,
        order_id: UUID | None = None,
        idempotency_key: str | None = None,
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
        )

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
