"""Every gateway by name: takes an account's facts and secrets, and returns a ``Gateway``.

The secret of an account is JSON: ``api_key`` and ``webhook_secrets`` (the current one and, during a rotation, the
previous), and the fields specific to its vendor: ``client_id`` and ``webhook_id`` (PayPal), ``webhook_user``,
``webhook_password`` and ``url_prefix`` (Adyen), ``notification_url`` (Square). ``webhook_id`` and
``notification_url`` of the account's row take precedence over those of the secret.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

from holdfast.gateways.adyen import AdyenGateway
from holdfast.gateways.adyen_objects import adyen_amount
from holdfast.gateways.adyen_webhooks import WEBHOOK_ANSWER as ADYEN_ANSWER
from holdfast.gateways.adyen_webhooks import verify_and_parse_webhook as verify_adyen
from holdfast.gateways.amounts import step_minor
from holdfast.gateways.calls import connection_pool
from holdfast.gateways.paypal import PayPalGateway
from holdfast.gateways.paypal_access import AccessTokens
from holdfast.gateways.paypal_certificates import CertificateSource
from holdfast.gateways.paypal_objects import paypal_amount
from holdfast.gateways.paypal_webhooks import verify_and_parse_webhook as verify_paypal
from holdfast.gateways.port import Gateway, GatewayCredentials, GatewayEvent
from holdfast.gateways.square import REFUND_KEY_LIFETIME_SECONDS, SquareGateway
from holdfast.gateways.square_objects import square_money
from holdfast.gateways.square_webhooks import verify_and_parse_webhook as verify_square
from holdfast.gateways.stripe import StripeGateway
from holdfast.gateways.stripe_objects import stripe_amount
from holdfast.gateways.stripe_webhooks import verify_and_parse_webhook as verify_stripe
from holdfast.values.errors import NotFound, SignatureInvalid
from holdfast.values.money import Money

if TYPE_CHECKING:
    import urllib3

    from holdfast.settings import Settings

Headers = Mapping[str, str]
Verify = Callable[[Headers, bytes, GatewayCredentials, datetime], tuple[GatewayEvent, ...]]


class Secrets(Protocol):
    """The store that an account's keys are read from, by reference."""

    def read(self, reference: str, *, fresh: bool = False) -> Mapping[str, Any]:
        """Return the secret; ``fresh`` asks for the newest version."""
        ...


class Means:
    """The resources that the gateways of a process share: connections, access tokens, verified certificates."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings

    @cached_property
    def pool(self) -> "urllib3.PoolManager":
        """The pool of kept-alive connections."""
        return connection_pool()

    @cached_property
    def paypal_tokens(self) -> AccessTokens:
        """The PayPal access tokens."""
        return AccessTokens(self.pool)

    @cached_property
    def paypal_certificates(self) -> CertificateSource:
        """The certificates with which PayPal signs webhooks."""
        base_url, roots_file = self.settings.paypal_base_url, self.settings.paypal_webhook_roots_file
        return CertificateSource(self.pool, base_url=base_url, roots_file=roots_file)


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    """The response that a gateway expects to a webhook that was accepted."""

    body: str = '{"received": true}'
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Wiring:
    """The parts and properties of one vendor's adapter."""

    connect: Callable[[Means, GatewayCredentials], Gateway]
    verifier: Callable[[Means], Verify]
    write_amount: Callable[[Money], object]
    """Formats an amount as the vendor does. Raises NotRepresentable."""
    refund_repeatable_seconds: float
    """How old a refund may be to be requested again under its key: after that it could be made a second time."""
    webhook_answer: WebhookAnswer = WebhookAnswer()
    can_be_asked: bool = True
    """Whether ``fetch`` tells anything new; if not, only webhooks do, and nothing can be reconciled by asking."""
    multiple_captures: bool = False
    """Whether held money may be captured in several parts (see ``Gateway.multiple_captures``)."""
    releases_rest: bool = True
    """Whether a final capture releases the remainder (see ``Gateway.releases_rest``)."""
    refunds_captures: bool = False
    """Whether a refund belongs to a capture and not to the payment as a whole."""

    def step_minor(self, currency: str) -> int:
        """Return the number of minor units of which all amounts have to be multiples. Raises NotRepresentable."""
        return step_minor(self.write_amount, currency)


def _paypal_verifier(means: Means) -> Verify:
    def verify(
        headers: Headers, raw_body: bytes, credentials: GatewayCredentials, now: datetime
    ) -> tuple[GatewayEvent, ...]:
        return verify_paypal(headers, raw_body, credentials, now, means.paypal_certificates)

    return verify


GATEWAYS: Final[Mapping[str, Wiring]] = {
    "stripe": Wiring(
        lambda means, account: StripeGateway(account, pool=means.pool, base_url=means.settings.stripe_base_url),
        lambda _: verify_stripe,
        stripe_amount,
        refund_repeatable_seconds=StripeGateway.repeatable_seconds,
    ),
    "paypal": Wiring(
        lambda means, account: PayPalGateway(
            account, pool=means.pool, tokens=means.paypal_tokens, base_url=means.settings.paypal_base_url
        ),
        _paypal_verifier,
        paypal_amount,
        refund_repeatable_seconds=PayPalGateway.repeatable_seconds,
        multiple_captures=PayPalGateway.multiple_captures,
        refunds_captures=True,
    ),
    "square": Wiring(
        lambda means, account: SquareGateway(account, pool=means.pool, base_url=means.settings.square_base_url),
        lambda _: verify_square,
        square_money,
        refund_repeatable_seconds=REFUND_KEY_LIFETIME_SECONDS - 3600.0,
    ),
    "adyen": Wiring(
        lambda means, account: AdyenGateway(account, pool=means.pool, base_url=means.settings.adyen_base_url),
        lambda _: verify_adyen,
        adyen_amount,
        refund_repeatable_seconds=AdyenGateway.repeatable_seconds,
        webhook_answer=WebhookAnswer(ADYEN_ANSWER, "text/plain"),
        can_be_asked=False,
        multiple_captures=AdyenGateway.multiple_captures,
        releases_rest=AdyenGateway.releases_rest,
    ),
}
GATEWAY_NAMES: Final = tuple(GATEWAYS)


class GatewayRegistry:
    """Creates gateways for accounts. Connections are pooled, secrets are cached."""

    def __init__(self, settings: "Settings", secrets: Secrets) -> None:
        self._means = Means(settings)
        self._secrets = secrets

    def wiring(self, name: str) -> Wiring:
        """Return the wiring of a vendor. Raises NotFound for a gateway that is not wired."""
        wiring = GATEWAYS.get(name)
        if wiring is None:
            raise NotFound(f"there is no gateway {name}")
        return wiring

    def gateway(
        self,
        name: str,
        secret_reference: str,
        merchant_account: str | None = None,
    ) -> Gateway:
        """Return the gateway ``name``, acting for the account whose secrets are at ``secret_reference``.

        The webhook settings of an account's row are not needed: they serve only to verify webhooks.

        Raises NotFound for a gateway that is not wired, Transient when the secret cannot be read, GatewayRefused when
        the account lacks something that the gateway needs.
        """
        wiring = self.wiring(name)
        account = self._credentials(secret_reference, merchant_account, None, None)
        return wiring.connect(self._means, account)

    def verify_and_parse_webhook(
        self,
        name: str,
        secret_reference: str,
        merchant_account: str | None,
        headers: Headers,
        raw_body: bytes,
        now: datetime,
        *,
        webhook_id: str | None = None,
        notification_url: str | None = None,
    ) -> tuple[GatewayEvent, ...]:
        """Return the events of a webhook.

        A signature that does not verify is tried once more with the secret read afresh, as it may have been rotated.

        Raises SignatureInvalid, InvalidInput or NotFound, and Transient when what is needed to verify it is not
        available now.
        """
        verify = self.wiring(name).verifier(self._means)
        known = self._credentials(secret_reference, merchant_account, webhook_id, notification_url)
        try:
            return verify(headers, raw_body, known, now)
        except SignatureInvalid:
            fresh = self._credentials(secret_reference, merchant_account, webhook_id, notification_url, fresh=True)
            if fresh == known:
                raise
            return verify(headers, raw_body, fresh, now)

    def _credentials(
        self,
        reference: str,
        merchant_account: str | None,
        webhook_id: str | None,
        notification_url: str | None,
        *,
        fresh: bool = False,
    ) -> GatewayCredentials:
        secret = self._secrets.read(reference, fresh=fresh)
        return GatewayCredentials(
            api_key=str(secret["api_key"]),
            webhook_secrets=tuple(str(value) for value in secret.get("webhook_secrets", ())),
            merchant_account=merchant_account,
            client_id=secret.get("client_id"),
            webhook_id=webhook_id or secret.get("webhook_id"),
            notification_url=notification_url or secret.get("notification_url"),
            webhook_user=secret.get("webhook_user"),
            webhook_password=secret.get("webhook_password"),
            url_prefix=secret.get("url_prefix"),
        )
