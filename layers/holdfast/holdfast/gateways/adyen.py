"""Adyen behind the gateway port: Checkout v72, called directly over HTTP.

Source: https://docs.adyen.com/api-explorer/Checkout/72/overview, /development-resources/api-idempotency,
/development-resources/response-handling, /online-payments/capture, /cancel, /refund.

**Token**: the ``paymentMethod`` of Adyen's client library, as JSON: ``{"type": "scheme", "encryptedCardNumber": ...}``,
or ``{"type": "scheme", "storedPaymentMethodId": ...}`` for a stored card (with ``gateway_customer_id`` as the shopper
reference). A bare id means the latter. In Adyen's test environment and on the local server the ``holderName`` decides
the result: ``APPROVED``, ``DECLINED``, ``NOT_ENOUGH_BALANCE``, ``CARD_EXPIRED`` ...
**Account**: requires ``merchant_account`` and, for the live URL, the company's ``url_prefix``.
**Capture**: each payment states how it is captured: at once (``captureDelayHours`` 0; an AUTHORISATION is then a
capture) or by us (``manualCapture``). A held payment may have several captures, which must be enabled for the merchant
account ("multiple partial captures"); Adyen then holds the remainder until it is cancelled or expires
(``releases_rest``).
**Keys**: up to 64 characters; a longer one is replaced by its SHA-256. Adyen does not compare the request that comes
with a key.

**What Adyen cannot be asked.** There is no way to read a payment back. A repetition under the same key gets the first
response again (``find``). Captures, cancellations and refunds are answered ``received``, and only a webhook tells what
became of them. So ``capture``, ``cancel`` and ``fetch`` answer PROCESSING without an amount, ``refund`` and
``fetch_refund`` answer PENDING (the latter without an amount), and the two fetches make no call at all. That means
"known, but undecided as far as can be asked". Whether a payment is captured is never guessed: ``cancel`` asks for a
cancellation and not for a reversal, which would send captured money back.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

import urllib3

from holdfast.gateways.adyen_objects import (
    PROVISIONAL,
    adyen_amount,
    money_of,
    payment_reference,
    refund_reference,
    snapshot_of_result,
)
from holdfast.gateways.calls import Answer, bounded_request, fitting_key
from holdfast.gateways.fields import UNREADABLE
from holdfast.gateways.port import (
    AuthorizeRequest,
    CaptureOutcome,
    CaptureSnapshot,
    GatewayCredentials,
    GatewayDenied,
    GatewayRefused,
    Outcome,
    OutcomeUnknown,
    PaymentSnapshot,
    RefundOutcome,
    RefundSnapshot,
)
from holdfast.values.errors import HoldfastError
from holdfast.values.money import Money

API_VERSION: Final = "v72"
"""Part of every URL. A new version is a change of code, checked against the SDK of that version."""
LIVE_BASE_URL: Final = "https://{prefix}-checkout-live.adyenpayments.com/checkout"
IDEMPOTENCY_KEY_MAX_CHARACTERS: Final = 64
IDEMPOTENCY_KEY_LIFETIME_SECONDS: Final = 7 * 24 * 3600
"""The minimum that Adyen promises (/development-resources/api-idempotency); ``find`` is only for younger attempts."""

_NOT_KEPT: Final = frozenset(("800", "803"))
"""Contract not found, payment detail not found: Adyen's errors for deleting what it does not (or no longer) store."""
_IN_PROGRESS_CODE: Final = "704"
_REFUND_REASONS: Final = {
    "requested_by_customer": "CUSTOMER REQUEST",
    "customer_request": "CUSTOMER REQUEST",
    "duplicate": "DUPLICATE",
    "fraudulent": "FRAUD",
}

Json = dict[str, Any]


class AdyenGateway:
    """One organization's merchant account. Cheap to create, because connections belong to the pool."""

    name = "adyen"
    multiple_captures = True
    releases_rest = False
    repeatable_seconds = IDEMPOTENCY_KEY_LIFETIME_SECONDS - 3600.0

    def __init__(
        self, credentials: GatewayCredentials, *, pool: urllib3.PoolManager, base_url: str = LIVE_BASE_URL
    ) -> None:
        """Raise ``GatewayDenied`` if the account lacks its merchant account or the prefix of its live URL."""
        if not credentials.merchant_account:
            raise _incomplete("merchant account")
        if "{prefix}" in base_url:
            if not credentials.url_prefix or not credentials.url_prefix.replace("-", "").isalnum():
                raise _incomplete("prefix of the live address")
            base_url = base_url.replace("{prefix}", credentials.url_prefix)
        self._merchant_account = credentials.merchant_account
        self._pool = pool
        self._base_url = f"{base_url.rstrip('/')}/{API_VERSION}"
        self._headers = {
            "X-API-Key": credentials.api_key,
            "Content-Type": "application/json",
            "User-Agent": "Holdfast",
        }

    def authorize(self, request: AuthorizeRequest, *, deadline_seconds: float) -> PaymentSnapshot:
        """Create a payment. See ``Gateway.authorize``."""
        body = self._payment_body(request)
        return self._result(request, "/payments", body, request.idempotency_key, deadline_seconds)

    def complete_action(
        self, request: AuthorizeRequest, details: Mapping[str, str], *, deadline_seconds: float
    ) -> PaymentSnapshot:
        """Hand in what the shopper's client brought back from the action. See ``TakesDetails``.

        That is a ``redirectResult``, or what the client library returned.
        """
        key = f"{request.idempotency_key} {json.dumps(dict(details), sort_keys=True)}"
        return self._result(request, "/payments/details", {"details": dict(details)}, key, deadline_seconds)

    def capture(
        self,
        transaction_id: str,
        amount: Money,
        *,
        idempotency_key: str,
        is_final: bool = True,
        deadline_seconds: float,
    ) -> PaymentSnapshot:
        """Request a capture. See ``Gateway.capture``.

        The CAPTURE webhook reports its result under the reference returned here. Adyen is not told whether a capture is
        the last one.
        """
        path = f"/payments/{quote(transaction_id, safe='')}/captures"
        taken = self._modify(path, {"amount": adyen_amount(amount)}, idempotency_key, deadline_seconds)
        asked_for = CaptureSnapshot(
            gateway_capture_id=_reference_of(taken, "capture"),
            status=CaptureOutcome.PENDING,
            amount=amount,
            is_final=is_final,
        )
        return replace(_undecided(transaction_id), captures=(asked_for,), capture_id=asked_for.gateway_capture_id)

    def cancel(self, transaction_id: str, *, idempotency_key: str, deadline_seconds: float) -> PaymentSnapshot:
        """Request a cancellation. See ``Gateway.cancel``.

        The CANCELLATION webhook reports its result, or TECHNICAL_CANCEL where only our own reference is known.
        """
        path, body = f"/payments/{quote(transaction_id, safe='')}/cancels", {}
        if transaction_id.startswith(PROVISIONAL):
            path, body = "/cancels", {"paymentReference": transaction_id.removeprefix(PROVISIONAL)}
        self._modify(path, body, idempotency_key, deadline_seconds)
        return _undecided(transaction_id)

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
        """Request a refund of the payment, across all its captures. See ``Gateway.refund``.

        The REFUND webhook reports its result.
        """
        reference = refund_reference(refund_id)
        body = {
            "amount": adyen_amount(amount),
            "reference": reference,
            "merchantRefundReason": _REFUND_REASONS.get(reason or "", "OTHER"),
        }
        path = f"/payments/{quote(transaction_id, safe='')}/refunds"
        taken = self._modify(path, body, idempotency_key, deadline_seconds)
        if taken.get("reference", reference) != reference:
            raise _reused(taken["reference"])
        gateway_refund_id = _reference_of(taken, "refund")
        return RefundSnapshot(gateway_refund_id=gateway_refund_id, status=RefundOutcome.PENDING, amount=amount)

    def fetch(self, transaction_id: str, *, deadline_seconds: float) -> PaymentSnapshot:
        """Return only what is already known, as Adyen has no such call. See the module and ``Gateway.fetch``."""
        return _undecided(transaction_id)

    def fetch_refund(self, gateway_refund_id: str, *, deadline_seconds: float) -> RefundSnapshot:
        """Return only what is already known. See the module and ``Gateway.fetch_refund``."""
        return RefundSnapshot(gateway_refund_id=gateway_refund_id, status=RefundOutcome.PENDING, amount=None)

    def find(self, request: AuthorizeRequest, *, deadline_seconds: float) -> PaymentSnapshot | None:
        """Repeat the attempt under its own key: Adyen repeats its first response, or executes the attempt once."""
        return self.authorize(request, deadline_seconds=deadline_seconds)

    def forget_method(
        self, gateway_customer_id: str, token: str, *, idempotency_key: str, deadline_seconds: float
    ) -> None:
        """Delete a stored payment method. See ``ForgetsMethods``.

        This takes no idempotency key, as deleting twice does no harm.
        """
        query = urlencode({"merchantAccount": self._merchant_account, "shopperReference": gateway_customer_id})
        answer = bounded_request(
            self._pool,
            "DELETE",
            f"{self._base_url}/storedPaymentMethods/{quote(token, safe='')}?{query}",
            vendor="Adyen",
            headers=self._headers,
            body=None,
            deadline_seconds=deadline_seconds,
        )
        if answer.status in {200, 204}:
            return
        said = answer.json_object()
        if str(said.get("errorCode")) not in _NOT_KEPT:
            raise _error_for(answer, said)

    def _payment_body(self, request: AuthorizeRequest) -> Json:
        method = _payment_method(request.token)
        body: Json = {
            "merchantAccount": self._merchant_account,
            "amount": adyen_amount(request.amount),
            "reference": payment_reference(request.payment_id, capture_now=request.capture_now),
            "paymentMethod": method,
            "channel": "Web",
            "shopperInteraction": "ContAuth" if "storedPaymentMethodId" in method else "Ecommerce",
            "metadata": {
                "payment_id": str(request.payment_id),
                "order_id": str(request.order_id),
                "order_number": request.order_number,
                "organization_id": str(request.organization_id),
            },
        }
        body |= {"captureDelayHours": 0} if request.capture_now else {"additionalData": {"manualCapture": "true"}}
        shopper = request.gateway_customer_id
        if "storedPaymentMethodId" in method:
            body["recurringProcessingModel"] = "CardOnFile"
        elif request.save_method:
            # Adyen identifies a shopper by a reference that the shop chooses.
            shopper = shopper or str(request.customer_id)
            body |= {"storePaymentMethod": True, "recurringProcessingModel": "CardOnFile"}
        more = {"shopperReference": shopper, "returnUrl": request.return_url}
        return body | {name: value for name, value in more.items() if value}

    def _result(
        self, request: AuthorizeRequest, path: str, body: Json, key: str, deadline_seconds: float
    ) -> PaymentSnapshot:
        """Return Adyen's result for the requested payment. Raises GatewayRefused if the key belongs to another one."""
        reference = payment_reference(request.payment_id, capture_now=request.capture_now)
        result = self._post(path, body, key, deadline_seconds)
        try:
            echoed = result.get("merchantReference", reference)
            if echoed != reference or ("amount" in result and money_of(result["amount"]) != request.amount):
                raise _reused(echoed)
            return snapshot_of_result(
                result, reference=reference, amount=request.amount, capture_now=request.capture_now
            )
        except UNREADABLE as error:
            raise OutcomeUnknown(f"Adyen answered something that is no result we know: {error}.") from error

    def _modify(self, path: str, body: Json, key: str, deadline_seconds: float) -> Json:
        return self._post(path, {"merchantAccount": self._merchant_account, **body}, key, deadline_seconds)

    def _post(self, path: str, body: Json, key: str, deadline_seconds: float) -> Json:
        answer = bounded_request(
            self._pool,
            "POST",
            self._base_url + path,
            vendor="Adyen",
            headers={**self._headers, "Idempotency-Key": fitting_key(key, IDEMPOTENCY_KEY_MAX_CHARACTERS)},
            body=json.dumps(body),
            deadline_seconds=deadline_seconds,
        )
        said = answer.json_object()
        if answer.status in {200, 201} and said:
            return said
        raise _error_for(answer, said)


def _payment_method(token: str) -> Json:
    if not token.startswith("{"):
        return {"type": "scheme", "storedPaymentMethodId": token}
    try:
        method = json.loads(token)
    except ValueError:
        method = None
    if not isinstance(method, dict) or not isinstance(method.get("type"), str):
        raise GatewayRefused(
            "The token is no payment method of Adyen's.", failure_code="invalid_token", gateway="adyen"
        )
    return method


def _reference_of(taken: Json, what: str) -> str:
    """Return the reference of a modification. Raises OutcomeUnknown if Adyen does not give one."""
    psp_reference = taken.get("pspReference")
    if not isinstance(psp_reference, str) or not psp_reference:
        raise OutcomeUnknown(f"Adyen took a {what} and did not say under which reference.")
    return psp_reference


def _undecided(transaction_id: str) -> PaymentSnapshot:
    """Return the snapshot of a payment that Adyen knows; only its webhooks tell more."""
    return PaymentSnapshot(
        gateway_transaction_id=transaction_id,
        is_provisional=transaction_id.startswith(PROVISIONAL),
        outcome=Outcome.PROCESSING,
        amount=None,
    )


def _reused(reference: Any) -> GatewayRefused:
    """Return the error for a reused key. Adyen ignores the new request and repeats the response to the first one."""
    return GatewayRefused(
        f"The idempotency key was used for {reference} before.",
        failure_code="idempotency_key_reused",
        gateway="adyen",
        about_attempt=False,
    )


def _incomplete(what: str) -> GatewayDenied:
    return GatewayDenied(f"The Adyen account has no {what}.", failure_code="account_incomplete", gateway="adyen")


def _error_for(answer: Answer, problem: Json) -> HoldfastError:
    """Return the port's error for a response that is not a success."""
    code = str(problem.get("errorCode") or f"http_{answer.status}")
    detail = str(problem.get("message") or f"Adyen answered {answer.status}.")
    if answer.status < 400:
        return OutcomeUnknown("Adyen answered with nothing.")
    # A header marks temporary errors, among them that the first request under this key is still being executed.
    if answer.headers.get("transient-error") == "true" or code == _IN_PROGRESS_CODE or answer.status in {408, 409}:
        return OutcomeUnknown(f"{detail} ({code})", **answer.retry_hint())
    kind = GatewayDenied if answer.status in {401, 403} else GatewayRefused
    return kind(detail, failure_code=code, gateway="adyen")
