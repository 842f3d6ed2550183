"""PayPal behind the gateway port: Orders v2 and Payments v2, called directly over HTTP with JSON.

Source: https://developer.paypal.com/docs/api/orders/v2/, /docs/api/payments/v2/, /api/rest/reference/idempotency/ and
/api/rest/reference/orders/v2/errors/. ``calls`` decides which outcomes a call leaves unknown.

**Approval.** After the shopper approves an order at PayPal, only we can take the money. ``fetch`` does so: it captures
(or authorizes) an order that it finds APPROVED, which completes what the shopper asked for. Asking twice takes it once.

**Declines.** A capture or an authorization that was refused is DECLINED, with the processor's code. INSTRUMENT_DECLINED
for an order that the shopper approved is REQUIRES_ACTION instead: PayPal keeps the order open, and its link lets the
shopper choose another way to pay within the same attempt. A saved method that is refused before an order exists is
GatewayRefused, since there is no payment to report on; the flows treat that as a failed attempt as well.

**Unknown outcomes.** A repetition under the same PayPal-Request-Id is answered with the result of the first request.
PayPal keeps the ids of orders for six hours. After that, its check for duplicate invoice ids still prevents a second
charge of the same order number, if the merchant's account has that check enabled.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final
from urllib.parse import quote
from uuid import UUID

import urllib3

from holdfast.gateways.calls import Deadline
from holdfast.gateways.paypal_access import AccessTokens
from holdfast.gateways.paypal_calls import PayPalCalls
from holdfast.gateways.paypal_objects import (
    PayPalObject,
    custom_id_of_refund,
    declined,
    ids_in,
    invoice_of_capture,
    is_given_up,
    mark_given_up,
    money_of,
    open_authorization,
    payments_of,
    paypal_amount,
    refund_snapshot_of,
    snapshot_of_order,
    text_in,
    to_approve_again,
    unit_of,
    voidable_authorization,
    with_payment,
)
from holdfast.gateways.paypal_requests import order_body, order_id_in, patch_of_unit, vault_id_in
from holdfast.gateways.port import (
    AuthorizeRequest,
    GatewayCredentials,
    GatewayRefused,
    Outcome,
    OutcomeUnknown,
    PaymentSnapshot,
    RefundSnapshot,
)
from holdfast.values.errors import NotRepresentable
from holdfast.values.money import Money

LIVE_BASE_URL: Final = "https://api-m.paypal.com"
REQUEST_ID_LIFETIME_SECONDS: Final = 6 * 3600
"""After this time PayPal may forget the request id of an order; ``find`` is only for younger attempts."""

_NOT_KEPT: Final = frozenset(("RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"))
_APPROVE_AGAIN: Final = frozenset(
    ("INSTRUMENT_DECLINED", "ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING")
)
_DECLINES: Final = frozenset(
    (
        "CARD_CLOSED", "CARD_EXPIRED", "COMPLIANCE_VIOLATION", "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED",
        "PAYEE_BLOCKED_TRANSACTION", "PAYER_ACCOUNT_LOCKED_OR_CLOSED", "PAYER_ACCOUNT_RESTRICTED", "PAYER_CANNOT_PAY",
        "PAYER_COUNTRY_NOT_SUPPORTED", "TRANSACTION_BLOCKED_BY_PAYEE", "TRANSACTION_LIMIT_EXCEEDED",
        "TRANSACTION_RECEIVING_LIMIT_EXCEEDED", "TRANSACTION_REFUSED",
    )
)  # fmt: skip
_CHANGED_MEANWHILE: Final = frozenset(
    (
        "ORDER_ALREADY_CAPTURED", "ORDER_ALREADY_AUTHORIZED", "ORDER_ALREADY_COMPLETED", "AUTHORIZATION_VOIDED",
        "AUTHORIZATION_ALREADY_CAPTURED", "PREVIOUSLY_CAPTURED", "PREVIOUSLY_VOIDED",
    )
)  # fmt: skip


class PayPalGateway:
    """One organization's PayPal account. Cheap to create, because connections and access tokens are shared."""

    name = "paypal"
    multiple_captures = True
    releases_rest = True
    repeatable_seconds = REQUEST_ID_LIFETIME_SECONDS - 3600.0

    def __init__(
        self,
        credentials: GatewayCredentials,
        *,
        pool: urllib3.PoolManager,
        tokens: AccessTokens,
        base_url: str = LIVE_BASE_URL,
    ) -> None:
        self._calls = PayPalCalls(credentials, pool=pool, tokens=tokens, base_url=base_url)

    def authorize(self, request: AuthorizeRequest, *, deadline_seconds: float) -> PaymentSnapshot:
        """Create an order, or use the one that the token names. See ``Gateway.authorize``.

        ``paypal_requests`` lists the forms of a token.
        """
        deadline = Deadline(deadline_seconds)
        named = order_id_in(request.token)
        if named is not None:
            return self._take_up(named, request, deadline)
        body = order_body(request)
        order = self._calls.post("/v2/checkout/orders", body, request.idempotency_key, deadline)
        with _reading("order"):
            _refuse_other(order, request)
        return self._settled(order, deadline)[1]

    def capture(
        self,
        transaction_id: str,
        amount: Money,
        *,
        idempotency_key: str,
        is_final: bool = True,
        deadline_seconds: float,
    ) -> PaymentSnapshot:
        """Capture from the order's authorization. See ``Gateway.capture``.

        A capture that the order already has, as its invoice id shows, is not requested again, however long ago it was.
        PayPal itself would capture up to 115 % of the authorized amount; the port does not.
        """
        deadline = Deadline(deadline_seconds)
        order = self._order(transaction_id, deadline)
        invoice_id = invoice_of_capture(order, idempotency_key)
        for known in payments_of(unit_of(order), "captures"):
            if known.get("invoice_id") == invoice_id:
                return _captured(order, known)
        held = open_authorization(order)
        if held is None:
            return _snapshot(order)
        if amount.amount_minor > _snapshot(order).capturable_minor:
            raise GatewayRefused(
                f"{amount} is more than is held.", failure_code="amount_exceeds_authorization", gateway="paypal"
            )
        body = {"amount": paypal_amount(amount), "final_capture": is_final, "invoice_id": invoice_id}
        try:
            capture = self._calls.post(_path("authorizations", held["id"], "capture"), body, idempotency_key, deadline)
        except GatewayRefused as refused:
            if refused.failure_code == "AUTHORIZATION_EXPIRED":
                return replace(_snapshot(order), outcome=Outcome.CANCELLED, capturable_minor=0)
            return _snapshot(self._what_it_is_instead(transaction_id, refused, deadline))
        with _reading("capture"):
            after = with_payment(order, "captures", capture)
            refused_again = capture["status"] in ("DECLINED", "FAILED")
            is_last = capture.get("final_capture") is True or _snapshot(after).capturable_minor == 0
            status = held["status"] if refused_again else "CAPTURED" if is_last else "PARTIALLY_CAPTURED"
            return _captured(with_payment(after, "authorizations", {**held, "status": status}), capture)

    def reauthorize(
        self, transaction_id: str, amount: Money, *, idempotency_key: str, deadline_seconds: float
    ) -> PaymentSnapshot:
        """Renew the authorization for another three days of PayPal's honor period. See ``RenewsAuthorizations``.

        An authorization lasts 29 days, but the money is guaranteed only for the first three. PayPal renews from the
        fourth day on; before that, and where the shopper's money is gone, it raises GatewayRefused.
        """
        deadline, body = Deadline(deadline_seconds), {"amount": paypal_amount(amount)}
        order = self._order(transaction_id, deadline)
        held = open_authorization(order)
        if held is None:
            return _snapshot(order)
        renewed = self._calls.post(_path("authorizations", held["id"], "reauthorize"), body, idempotency_key, deadline)
        return _snapshot(with_payment(order, "authorizations", renewed))

    def forget_method(
        self, gateway_customer_id: str, token: str, *, idempotency_key: str, deadline_seconds: float
    ) -> None:
        """Delete a payment token from the vault. See ``ForgetsMethods``."""
        try:
            path = f"/v3/vault/payment-tokens/{quote(vault_id_in(token), safe='')}"
            self._calls.delete(path, Deadline(deadline_seconds))
        except GatewayRefused as refused:
            if refused.failure_code not in _NOT_KEPT:
                raise

    def cancel(self, transaction_id: str, *, idempotency_key: str, deadline_seconds: float) -> PaymentSnapshot:
        """Void the order's authorization, or what captures left of it. See ``Gateway.cancel``.

        An order without an authorization is marked as given up, because PayPal cannot cancel an order that nobody has
        paid. Left alone it ends by itself after some hours, but until then the shopper may still approve it, and
        ``fetch`` would take the money. The mark is in the order itself (``custom_id``), so that every process sees
        CANCELLED and leaves the money alone.
        """
        deadline = Deadline(deadline_seconds)
        order = self._order(transaction_id, deadline)
        held, outcome = voidable_authorization(order), _snapshot(order).outcome
        try:
            if held is not None:
                self._calls.post(_path("authorizations", held["id"], "void"), None, idempotency_key, deadline)
            elif not _is_paid(order) and outcome is not Outcome.CANCELLED:
                mark = mark_given_up(unit_of(order).get("custom_id"))
                self._calls.patch(
                    _order_path(transaction_id), patch_of_unit(unit_of(order), {"custom_id": mark}), deadline
                )
            else:
                return _snapshot(order)
        except GatewayRefused as refused:
            return _snapshot(self._what_it_is_instead(transaction_id, refused, deadline))
        return _snapshot(self._order(transaction_id, deadline))

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
        """Refund a capture of the order. See ``Gateway.refund``.

        A refund that the order already has under ``refund_id`` is not requested again, however long ago it was.
        """
        deadline = Deadline(deadline_seconds)
        order = self._order(transaction_id, deadline)
        for known in payments_of(unit_of(order), "refunds"):
            if ids_in(known.get("custom_id"))[1] == refund_id:
                return _refund_snapshot(known)
        body = {"amount": paypal_amount(amount), "custom_id": custom_id_of_refund(order, refund_id)}
        path = _path("captures", gateway_capture_id or _refundable(order, amount), "refund")
        return _refund_snapshot(self._calls.post(path, body, idempotency_key, deadline))

    def fetch(self, transaction_id: str, *, deadline_seconds: float) -> PaymentSnapshot:
        """Return the state of an order, after taking the money if its shopper approved it. See ``Gateway.fetch``."""
        deadline = Deadline(deadline_seconds)
        return self._settled(self._order(transaction_id, deadline), deadline)[1]

    def fetch_refund(self, gateway_refund_id: str, *, deadline_seconds: float) -> RefundSnapshot:
        """Retrieve a refund. See ``Gateway.fetch_refund``."""
        return _refund_snapshot(self._calls.get(_path("refunds", gateway_refund_id), Deadline(deadline_seconds)))

    def find(self, request: AuthorizeRequest, *, deadline_seconds: float) -> PaymentSnapshot | None:
        """Repeat the attempt under its own request id: PayPal answers with its result, or executes it once."""
        try:
            return self.authorize(request, deadline_seconds=deadline_seconds)
        except GatewayRefused as refused:
            if refused.failure_code != "DUPLICATE_INVOICE_ID":
                raise
            # Something was paid under this order number, perhaps by this very attempt, so it has not provably failed.
            raise GatewayRefused(refused.detail, **{**refused.facts, "about_attempt": False}) from refused

    def _take_up(self, order_id: str, request: AuthorizeRequest, deadline: Deadline) -> PaymentSnapshot:
        """Pay with an order that was created and approved elsewhere, for example with PayPal's buttons.

        The shopper's browser may have created it, so it has to have the same amount and belong to no other payment.
        """
        order = self._order(order_id, deadline)
        with _reading("order"):
            _refuse_mismatch(order, request)
            owner = ids_in(unit_of(order).get("custom_id"))[0]
            if owner != request.payment_id:
                if owner is not None or _is_paid(order):
                    raise _foreign(order_id)
                ours = {"custom_id": str(request.payment_id), "invoice_id": request.order_number}
                self._calls.patch(_order_path(order_id), patch_of_unit(unit_of(order), ours), deadline)
                order = self._order(order_id, deadline)
            taken, found = self._settled(order, deadline)
            if ids_in(unit_of(taken).get("custom_id"))[0] != request.payment_id:
                # Another payment claimed the order at the same time, so it belongs to that one now.
                raise _foreign(order_id)
        return found

    def _settled(self, order: PayPalObject, deadline: Deadline) -> tuple[PayPalObject, PaymentSnapshot]:
        """Capture or authorize the order if its shopper approved it, then return the order and its snapshot."""
        found = _snapshot(order)
        if order.get("status") != "APPROVED" or _is_paid(order) or is_given_up(order):
            return order, found
        order_id, verb = found.gateway_transaction_id, "capture" if order.get("intent") == "CAPTURE" else "authorize"
        # One approval is one request; a shopper who was sent back and approved again has caused a new one.
        request_id = f"{verb}-{order_id}-{order.get('update_time', '')}"
        try:
            done: PayPalObject = self._calls.post(f"{_order_path(order_id)}/{verb}", {}, request_id, deadline)
        except GatewayRefused as refused:
            code = refused.failure_code
            if code in _APPROVE_AGAIN:
                return order, to_approve_again(order, code, refused.detail, refused.facts.get("redirect_url"))
            if code in _DECLINES:
                return order, declined(order, code, refused.detail)
            done = self._what_it_is_instead(order_id, refused, deadline)
        return done, _snapshot(done)

    def _what_it_is_instead(self, order_id: str, refused: GatewayRefused, deadline: Deadline) -> PayPalObject:
        """Return the order, if its state is why a change was refused; raise any other refusal again."""
        if refused.failure_code not in _CHANGED_MEANWHILE:
            raise refused
        return self._order(order_id, deadline)

    def _order(self, order_id: str, deadline: Deadline) -> PayPalObject:
        try:
            order = self._calls.get(_order_path(order_id), deadline)
        except GatewayRefused as refused:
            if refused.failure_code not in _NOT_KEPT:
                raise
            # PayPal forgets an order that nobody approved within hours.
            raise GatewayRefused(refused.detail, **{**refused.facts, "missing": True}) from refused
        with _reading("order"):
            unit_of(order)
        return order


def _order_path(order_id: str) -> str:
    return f"/v2/checkout/orders/{quote(order_id, safe='')}"


def _path(resource: str, identifier: str, *verb: str) -> str:
    return "/".join(("/v2/payments", resource, quote(identifier, safe=""), *verb))


def _is_paid(order: PayPalObject) -> bool:
    """Return whether money moved for the order or was requested, in which case its payments determine its state."""
    return any(payments_of(unit_of(order), kind) for kind in ("captures", "authorizations"))


def _refundable(order: PayPalObject, amount: Money) -> str:
    """Return the capture to refund if none was named: the latest that is large enough, or else the latest."""
    captures = payments_of(unit_of(order), "captures")
    open_ones = [capture for capture in captures if capture["status"] in ("COMPLETED", "PARTIALLY_REFUNDED")]
    large = [capture for capture in open_ones if money_of(capture["amount"]).amount_minor >= amount.amount_minor]
    for capture in reversed(large or open_ones or captures):
        return text_in(capture, "id")
    raise GatewayRefused(f"{amount} cannot be refunded: nothing was captured.", failure_code="nothing_captured")


def _refuse_other(order: PayPalObject, request: AuthorizeRequest) -> None:
    """Raise GatewayRefused if the order belongs to another attempt.

    PayPal answers a request id with the result of its first use, whatever is sent with it the second time.
    """
    unit = unit_of(order)
    if ids_in(unit.get("custom_id"))[0] == request.payment_id and money_of(unit["amount"]) == request.amount:
        return
    raise GatewayRefused(
        "The request id was used for another payment.",
        failure_code="request_id_reused",
        gateway="paypal",
        about_attempt=False,
    )


def _refuse_mismatch(order: PayPalObject, request: AuthorizeRequest) -> None:
    """Raise GatewayRefused if an order that the shopper brings is not of the amount and kind that is to be paid."""
    intent = "CAPTURE" if request.capture_now else "AUTHORIZE"
    if order.get("intent") != intent or money_of(unit_of(order)["amount"]) != request.amount:
        raise GatewayRefused(
            "The PayPal order is not of this amount and kind.", failure_code="order_mismatch", gateway="paypal"
        )


def _foreign(order_id: str) -> GatewayRefused:
    return GatewayRefused(
        f"The PayPal order {order_id} pays for something else.",
        failure_code="order_of_another_payment",
        gateway="paypal",
    )


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn a response that is not as PayPal documents it into ``OutcomeUnknown``."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, NotRepresentable) as error:
        raise OutcomeUnknown(f"PayPal answered something that is no {what} we know: {error}.") from error


def _snapshot(order: PayPalObject) -> PaymentSnapshot:
    with _reading("order"):
        return snapshot_of_order(order)


def _captured(order: PayPalObject, capture: PayPalObject) -> PaymentSnapshot:
    """Return the snapshot of the order as the answer to this capture."""
    return replace(_snapshot(order), capture_id=text_in(capture, "id"))


def _refund_snapshot(refund: PayPalObject) -> RefundSnapshot:
    with _reading("refund"):
        return refund_snapshot_of(refund)
