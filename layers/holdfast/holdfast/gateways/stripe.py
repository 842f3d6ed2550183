"""Stripe behind the gateway port, called directly over HTTP: form-encoded requests, JSON responses.

Source: https://docs.stripe.com/api (payment_intents, refunds, idempotent_requests), /error-low-level, /error-codes.
"""

import time
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

import urllib3

from holdfast.gateways.calls import Answer, bounded_request, lost_answer
from holdfast.gateways.port import (
    AuthorizeRequest,
    GatewayCredentials,
    GatewayDenied,
    GatewayRefused,
    GatewayUnreachable,
    OutcomeUnknown,
    PaymentSnapshot,
    RefundSnapshot,
)
from holdfast.gateways.stripe_objects import failure_code_of, refund_snapshot_of, snapshot_of_intent, stripe_amount
from holdfast.values.errors import HoldfastError, NotRepresentable
from holdfast.values.money import Money

API_VERSION: Final = "2026-10-28.endive"
"""The ``Stripe-Version`` of every request. A new version is a change of code, checked against its SDK."""
LIVE_BASE_URL: Final = "https://api.stripe.com"
IDEMPOTENCY_KEY_MAX_CHARACTERS: Final = 255
IDEMPOTENCY_KEY_LIFETIME_SECONDS: Final = 24 * 3600
"""After this time Stripe may forget a key, and a repetition would charge again. ``find`` is for younger attempts."""

_REFUND_REASONS: Final = frozenset(("duplicate", "fraudulent", "requested_by_customer"))
_NOT_KEPT: Final = frozenset(("resource_missing", "invalid_request_error"))
"""Stripe's errors for detaching what is not (or no longer) attached."""
_EXPAND_CHARGE: Final = ("expand[]", "latest_charge")

Form = list[tuple[str, str]]


class StripeGateway:
    """One organization's Stripe account. Cheap to create, because connections belong to the pool."""

    name = "stripe"
    multiple_captures = False
    releases_rest = True
    repeatable_seconds = IDEMPOTENCY_KEY_LIFETIME_SECONDS - 3600.0

    def __init__(
        self,
        credentials: GatewayCredentials,
        *,
        pool: urllib3.PoolManager,
        base_url: str = LIVE_BASE_URL,
    ) -> None:
        self._pool = pool
        self._base_url = base_url.rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {credentials.api_key}",
            "Stripe-Version": API_VERSION,
            "User-Agent": "Holdfast",
        }
        if credentials.merchant_account:
            self._headers["Stripe-Account"] = credentials.merchant_account

    def authorize(self, request: AuthorizeRequest, *, deadline_seconds: float) -> PaymentSnapshot:
        """Create and confirm a payment intent. See ``Gateway.authorize``.

        If a method is to be saved for a customer that Stripe does not know, the customer is created first.
        """
        started = time.monotonic()
        if request.save_method and request.gateway_customer_id is None:
            made = self._post("/v1/customers", _customer_form(request), _customer_key(request), deadline_seconds)
            request = replace(request, gateway_customer_id=str(made.get("id")))
        left_seconds = deadline_seconds - (time.monotonic() - started)
        if left_seconds <= 0:
            raise GatewayUnreachable("No time was left for the payment itself.")
        form = _authorize_form(request)
        return _snapshot(self._post("/v1/payment_intents", form, request.idempotency_key, left_seconds))

    def forget_method(
        self, gateway_customer_id: str, token: str, *, idempotency_key: str, deadline_seconds: float
    ) -> None:
        """Detach a payment method from its customer. See ``ForgetsMethods``."""
        try:
            self._post(f"/v1/payment_methods/{quote(token, safe='')}/detach", [], idempotency_key, deadline_seconds)
        except GatewayRefused as refused:
            if refused.failure_code not in _NOT_KEPT or not refused.is_about_attempt:
                raise

    def capture(
        self,
        transaction_id: str,
        amount: Money,
        *,
        idempotency_key: str,
        is_final: bool = True,
        deadline_seconds: float,
    ) -> PaymentSnapshot:
        """Capture a held intent. See ``Gateway.capture``."""
        form = [("amount_to_capture", str(stripe_amount(amount))), _EXPAND_CHARGE]
        return self._change(transaction_id, "capture", form, idempotency_key, deadline_seconds)

    def cancel(self, transaction_id: str, *, idempotency_key: str, deadline_seconds: float) -> PaymentSnapshot:
        """Cancel an intent. See ``Gateway.cancel``."""
        return self._change(transaction_id, "cancel", [_EXPAND_CHARGE], idempotency_key, deadline_seconds)

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
        """Refund captured money. See ``Gateway.refund``. A reason other than Stripe's three is sent as metadata."""
        form = [
            ("payment_intent", transaction_id),
            ("amount", str(stripe_amount(amount))),
            ("metadata[refund_id]", str(refund_id)),
        ]
        if reason:
            form.append(("reason" if reason in _REFUND_REASONS else "metadata[reason]", reason))
        return _refund_snapshot(self._post("/v1/refunds", form, idempotency_key, deadline_seconds))

    def fetch(self, transaction_id: str, *, deadline_seconds: float) -> PaymentSnapshot:
        """Retrieve an intent. See ``Gateway.fetch``."""
        path = f"/v1/payment_intents/{quote(transaction_id, safe='')}"
        return _snapshot(self._get(path, [_EXPAND_CHARGE], deadline_seconds))

    def fetch_refund(self, gateway_refund_id: str, *, deadline_seconds: float) -> RefundSnapshot:
        """Retrieve a refund. See ``Gateway.fetch_refund``."""
        return _refund_snapshot(self._get(f"/v1/refunds/{quote(gateway_refund_id, safe='')}", [], deadline_seconds))

    def find(self, request: AuthorizeRequest, *, deadline_seconds: float) -> PaymentSnapshot | None:
        """Repeat the attempt under its own key: Stripe repeats its first response, or executes the attempt once.

        Stripe also repeats a stored 500, which says nothing about what happened; in that case its search is asked.
        Search lags by about a minute, so finding nothing there proves nothing, and the error stays ``OutcomeUnknown``.
        """
        started = time.monotonic()
        try:
            return self.authorize(request, deadline_seconds=deadline_seconds)
        except OutcomeUnknown:
            left_seconds = deadline_seconds - (time.monotonic() - started)
            found = self._search(request.payment_id, left_seconds) if left_seconds > 0 else None
            if found is None:
                raise
            return found

    def _search(self, payment_id: UUID, deadline_seconds: float) -> PaymentSnapshot | None:
        query = [("query", f'metadata["payment_id"]:"{payment_id}"'), ("expand[]", "data.latest_charge")]
        found = self._get("/v1/payment_intents/search", query, deadline_seconds).get("data")
        return _snapshot(found[0]) if found else None

    def _change(
        self, transaction_id: str, verb: str, form: Form, idempotency_key: str, deadline_seconds: float
    ) -> PaymentSnapshot:
        """Change an intent. If its state does not allow that, return what that state is."""
        started = time.monotonic()
        try:
            path = f"/v1/payment_intents/{quote(transaction_id, safe='')}/{verb}"
            return _snapshot(self._post(path, form, idempotency_key, deadline_seconds))
        except GatewayRefused as refused:
            left_seconds = deadline_seconds - (time.monotonic() - started)
            if refused.failure_code != "payment_intent_unexpected_state" or left_seconds <= 0:
                raise
            return self.fetch(transaction_id, deadline_seconds=left_seconds)

    def _post(self, path: str, form: Form, idempotency_key: str, deadline_seconds: float) -> dict[str, Any]:
        if not 0 < len(idempotency_key) <= IDEMPOTENCY_KEY_MAX_CHARACTERS:
            raise ValueError("an idempotency key has 1 to 255 characters")
        headers = {"Idempotency-Key": idempotency_key, "Content-Type": "application/x-www-form-urlencoded"}
        return self._send("POST", path, urlencode(form), headers, deadline_seconds)

    def _get(self, path: str, query: Form, deadline_seconds: float) -> dict[str, Any]:
        return self._send("GET", f"{path}?{urlencode(query)}" if query else path, None, {}, deadline_seconds)

    def _send(
        self, method: str, path: str, body: str | None, headers: dict[str, str], deadline_seconds: float
    ) -> dict[str, Any]:
        """Send one request, once. Returns the object in the response; for a decline, the declined intent."""
        answer = bounded_request(
            self._pool,
            method,
            self._base_url + path,
            vendor="Stripe",
            headers={**self._headers, **headers},
            body=body,
            deadline_seconds=deadline_seconds,
        )
        said = answer.json_object()
        if answer.status == 200 and said:
            return said
        problem = said.get("error")
        problem = problem if isinstance(problem, dict) else {}
        declined = problem.get("payment_intent")
        if answer.status == 402 and isinstance(declined, dict):
            return declined
        raise _error_for(answer, problem, method)


def _authorize_form(request: AuthorizeRequest) -> Form:
    form = [
        ("amount", str(stripe_amount(request.amount))),
        ("currency", request.amount.currency.lower()),
        ("confirm", "true"),
        ("payment_method", request.token),
        ("capture_method", "automatic" if request.capture_now else "manual"),
        ("metadata[payment_id]", str(request.payment_id)),
        ("metadata[order_id]", str(request.order_id)),
        ("metadata[order_number]", request.order_number),
        ("metadata[organization_id]", str(request.organization_id)),
        _EXPAND_CHARGE,
    ]
    if request.gateway_customer_id:
        form.append(("customer", request.gateway_customer_id))
    if request.save_method:
        form.append(("setup_future_usage", "off_session"))
    # An intent accepts the methods that the account's dashboard enables, and methods that redirect need a return URL.
    if request.return_url:
        form.append(("return_url", request.return_url))
    else:
        form += [
            ("automatic_payment_methods[enabled]", "true"),
            ("automatic_payment_methods[allow_redirects]", "never"),
        ]
    return form


def _customer_form(request: AuthorizeRequest) -> Form:
    return [
        ("metadata[customer_id]", str(request.customer_id)),
        ("metadata[organization_id]", str(request.organization_id)),
    ]


def _customer_key(request: AuthorizeRequest) -> str:
    """Return the idempotency key for creating a customer, so that one attempt creates only one."""
    return f"customer-{request.idempotency_key}"


def _error_for(answer: Answer, problem: dict[str, Any], method: str) -> HoldfastError:
    """Return the port's error for a response that is not a success."""
    status, lost = answer.status, lost_answer(changes=method != "GET")
    code = failure_code_of(problem) or f"http_{status}"
    if status == 409:
        # The first request under this key is still being executed.
        return lost(f"Stripe is still working on this request ({code}).", **answer.retry_hint())
    if not 400 <= status < 500 or status == 424:
        return lost(f"Stripe answered {status} ({code}).", **answer.retry_hint())
    detail = problem.get("message") or f"Stripe answered {status}."
    kind = GatewayDenied if status in (401, 403) else GatewayRefused
    return kind(
        str(detail),
        failure_code=code,
        parameter=problem.get("param"),
        gateway="stripe",
        # That a key was used with other parameters says nothing about an earlier attempt.
        about_attempt=problem.get("type") != "idempotency_error",
    )


def _snapshot(intent: dict[str, Any]) -> PaymentSnapshot:
    try:
        return snapshot_of_intent(intent)
    except (KeyError, TypeError, ValueError, NotRepresentable) as error:
        raise OutcomeUnknown(f"Stripe answered something that is no payment intent we know: {error}.") from error


def _refund_snapshot(refund: dict[str, Any]) -> RefundSnapshot:
    try:
        return refund_snapshot_of(refund)
    except (KeyError, TypeError, ValueError, NotRepresentable) as error:
        raise OutcomeUnknown(f"Stripe answered something that is no refund we know: {error}.") from error
