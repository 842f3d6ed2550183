"""Square behind the gateway port, called directly over HTTP: JSON requests, JSON responses.

Source: https://developer.squareup.com/reference/square/payments-api, /refunds-api, and
https://developer.squareup.com/docs/payments-api/update-payments, /docs/build-basics/common-api-patterns/idempotency.

**Token**: a ``source_id`` (``cnon:...`` from the Web Payments SDK, ``ccof:...`` for a card on file, which needs
``gateway_customer_id``), followed by a space and the verification token if the shopper's bank was asked. Square asks in
the shopper's browser, before the payment is created, so a payment itself never waits for an action. A card that should
have been verified but was not is declined with ``card_declined_verification_required``.
**Account**: ``merchant_account`` is the location; without one Square uses the seller's main location.
**Keys**: up to 45 characters, in the body. A longer one is replaced by the beginning of its SHA-256.
**Unknown outcome**: the attempt is cancelled under its key and then searched for among the payments (``find``).
"""

import json
import logging
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

import urllib3

from holdfast.gateways.calls import Answer, Deadline, bounded_request, fitting_key, lost_answer
from holdfast.gateways.fields import UNREADABLE
from holdfast.gateways.port import (
    AuthorizeRequest,
    GatewayCredentials,
    GatewayDenied,
    GatewayRefused,
    GatewayUnreachable,
    Outcome,
    OutcomeUnknown,
    PaymentSnapshot,
    RefundSnapshot,
)
from holdfast.gateways.square_objects import (
    note_of,
    reason_of,
    refund_snapshot_of,
    saved_method_of,
    snapshot_of_payment,
    square_money,
)
from holdfast.values.errors import HoldfastError
from holdfast.values.money import Money

API_VERSION: Final = "2026-09-16"
"""The ``Square-Version`` of every request. A new version is a change of code, checked against its SDK."""
LIVE_BASE_URL: Final = "https://connect.squareup.com"
IDEMPOTENCY_KEY_MAX_CHARACTERS: Final = 45
REFUND_KEY_LIFETIME_SECONDS: Final = 24 * 3600
"""How long Square is trusted to remember the key of a refund. It does not publish how long it does."""
HOLD_DURATION: Final = "P7D"
"""How long an authorization is held: Square's maximum for a card that is not present."""
LISTING_LAG_SECONDS: Final = 60
"""Square's lists are eventually consistent: an attempt younger than this that is not listed may still turn up."""
_LISTED_PAGES_MAX: Final = 10
_LISTED_BEFORE_SECONDS: Final = 300
_LISTED_AFTER_SECONDS: Final = 600
"""How far from its id an attempt is looked for: our clock may differ from Square's, and a request may take a while."""
_PAID: Final = frozenset({Outcome.SUCCEEDED, Outcome.AUTHORIZED})
_UNCHANGEABLE: Final = frozenset((400, 404, 422))

Json = dict[str, Any]
_logger = logging.getLogger(__name__)


class SquareGateway:
    """One organization's Square account. Cheap to create, because connections belong to the pool."""

    name = "square"
    multiple_captures = False
    releases_rest = True
    repeatable_seconds = math.inf

    def __init__(
        self, credentials: GatewayCredentials, *, pool: urllib3.PoolManager, base_url: str = LIVE_BASE_URL
    ) -> None:
        self._pool = pool
        self._base_url = base_url.rstrip("/")
        self._location_id = credentials.merchant_account
        self._headers = {
            "Authorization": f"Bearer {credentials.api_key}",
            "Square-Version": API_VERSION,
            "Content-Type": "application/json",
            "User-Agent": "Holdfast",
        }

    def authorize(self, request: AuthorizeRequest, *, deadline_seconds: float) -> PaymentSnapshot:
        """Create a payment, completed at once if ``capture_now``. See ``Gateway.authorize``.

        Saving a card takes one more call afterwards, and one before for a customer that Square does not know.
        """
        deadline = Deadline(deadline_seconds)
        if request.save_method and request.gateway_customer_id is None:
            made = self._object("POST", "/v2/customers", _customer_body(request), "customer", deadline)
            request = replace(request, gateway_customer_id=str(made.get("id")))
        answer = self._send("POST", "/v2/payments", self._authorize_body(request), deadline)
        said = answer.json_object()
        payment = said.get("payment")
        if isinstance(payment, dict) and (answer.status == 200 or payment.get("status") == "FAILED"):
            return self._keeping(request, payment, deadline)
        problem = _problem(said)
        if problem.get("category") == "PAYMENT_METHOD_ERROR":
            # The card was refused before a payment existed.
            return PaymentSnapshot(
                gateway_transaction_id=f"reference:{request.payment_id}",
                is_provisional=True,
                outcome=Outcome.DECLINED,
                amount=request.amount,
                failure_code=str(problem.get("code")).lower(),
                failure_message=problem.get("detail"),
            )
        raise _error_for(answer, lost_answer(changes=True))

    def capture(
        self,
        transaction_id: str,
        amount: Money,
        *,
        idempotency_key: str,
        is_final: bool = True,
        deadline_seconds: float,
    ) -> PaymentSnapshot:
        """Complete a held payment, after lowering its amount if only a part is captured. See ``Gateway.capture``.

        This takes three calls at most. Each may be repeated: the amount is set absolutely, and a payment completes only
        once.
        """
        deadline = Deadline(deadline_seconds)
        payment = self._payment(transaction_id, deadline)
        if payment.get("status") != "APPROVED":
            return _snapshot(payment)
        wanted, held = square_money(amount), payment["amount_money"]
        if wanted["currency"] != held["currency"] or wanted["amount"] > held["amount"]:
            raise GatewayRefused(
                f"{amount} is more than what is held.", failure_code="amount_too_high", gateway=self.name
            )
        if wanted["amount"] < held["amount"]:
            body = {
                "idempotency_key": fitting_key(f"lower-{idempotency_key}", IDEMPOTENCY_KEY_MAX_CHARACTERS),
                "payment": {"amount_money": wanted, "version_token": payment.get("version_token")},
            }
            payment = self._object("PUT", _payment_path(transaction_id), body, "payment", deadline)
        body = {"version_token": payment["version_token"]} if payment.get("version_token") else {}
        return self._change(transaction_id, "complete", body, deadline)

    def cancel(self, transaction_id: str, *, idempotency_key: str, deadline_seconds: float) -> PaymentSnapshot:
        """Cancel a held payment. See ``Gateway.cancel``.

        Square takes no idempotency key for this, as cancelling twice does no harm.
        """
        return self._change(transaction_id, "cancel", {}, Deadline(deadline_seconds))

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
        """Request a refund, which is usually pending at first. See ``Gateway.refund``."""
        body = {
            "idempotency_key": fitting_key(idempotency_key, IDEMPOTENCY_KEY_MAX_CHARACTERS),
            "payment_id": transaction_id,
            "amount_money": square_money(amount),
            "reason": reason_of(reason, refund_id),
        }
        return _refund_snapshot(self._object("POST", "/v2/refunds", body, "refund", Deadline(deadline_seconds)))

    def fetch(self, transaction_id: str, *, deadline_seconds: float) -> PaymentSnapshot:
        """Retrieve a payment. See ``Gateway.fetch``."""
        return _snapshot(self._payment(transaction_id, Deadline(deadline_seconds)))

    def fetch_refund(self, gateway_refund_id: str, *, deadline_seconds: float) -> RefundSnapshot:
        """Retrieve a refund. See ``Gateway.fetch_refund``."""
        path = f"/v2/refunds/{quote(gateway_refund_id, safe='')}"
        return _refund_snapshot(self._object("GET", path, None, "refund", Deadline(deadline_seconds)))

    def find(self, request: AuthorizeRequest, *, deadline_seconds: float) -> PaymentSnapshot | None:
        """Cancel the attempt under its key, then search for it. Money that was not captured yet is given up by this.

        Returns None if Square knows no such payment. While its list may still lag behind, ``OutcomeUnknown`` is raised
        instead.
        """
        deadline = Deadline(deadline_seconds)
        key = fitting_key(request.idempotency_key, IDEMPOTENCY_KEY_MAX_CHARACTERS)
        answer = self._send("POST", "/v2/payments/cancel", {"idempotency_key": key}, deadline)
        # A completed payment can no longer be cancelled, but is found all the same.
        if answer.status != 200 and answer.status not in _UNCHANGEABLE:
            raise _error_for(answer, OutcomeUnknown)
        found = self._look_for(request.payment_id, deadline)
        return None if found is None else self._keeping(request, found, deadline)

    def forget_method(
        self, gateway_customer_id: str, token: str, *, idempotency_key: str, deadline_seconds: float
    ) -> None:
        """Disable a card on file. See ``ForgetsMethods``.

        Square takes no idempotency key for this, as disabling twice is allowed.
        """
        try:
            path = f"/v2/cards/{quote(token, safe='')}/disable"
            self._object("POST", path, {}, "card", Deadline(deadline_seconds))
        except GatewayRefused as refused:
            if refused.failure_code != "not_found":
                raise

    def _keeping(self, request: AuthorizeRequest, payment: Json, deadline: Deadline) -> PaymentSnapshot:
        """Return a payment's snapshot, after saving its card if the shopper wants that and the payment succeeded.

        The payment takes precedence: a card that cannot be saved now is not saved.
        """
        snapshot, customer_id = _snapshot(payment), payment.get("customer_id")
        if not request.save_method or not customer_id or snapshot.outcome not in _PAID:
            return snapshot
        body = {
            "idempotency_key": fitting_key(f"card-{request.idempotency_key}", IDEMPOTENCY_KEY_MAX_CHARACTERS),
            "source_id": snapshot.gateway_transaction_id,
            "card": {"customer_id": customer_id, "reference_id": str(request.customer_id)},
        }
        try:
            card = self._object("POST", "/v2/cards", body, "card", deadline)
            return replace(snapshot, saved_method=saved_method_of(card))
        except (HoldfastError, *UNREADABLE) as error:
            _logger.warning("the card of payment %s is not kept: %s", request.payment_id, error)
            return snapshot

    def _look_for(self, payment_id: UUID, deadline: Deadline) -> Json | None:
        """Return the newest payment with our id, among those made about when the id was made.

        An attempt is charged once, within seconds of its id, and repeated by nobody. So the same few pages tell for
        ever that it never arrived, however much the location has sold since. Payments of all times are searched if the
        id does not tell when it was made. Raises ``OutcomeUnknown`` if the payment may not be listed yet, or if there
        are too many pages.
        """
        query = {"sort_order": "DESC", "limit": "100"}
        begun_at = _begun_at(payment_id)
        if begun_at:
            query["begin_time"] = (begun_at - timedelta(seconds=_LISTED_BEFORE_SECONDS)).isoformat()
            query["end_time"] = (begun_at + timedelta(seconds=_LISTED_AFTER_SECONDS)).isoformat()
        if self._location_id:
            query["location_id"] = self._location_id
        for _ in range(_LISTED_PAGES_MAX):
            answer = self._send("GET", f"/v2/payments?{urlencode(query)}", None, deadline)
            if answer.status != 200:
                raise _error_for(answer, GatewayUnreachable)
            said = answer.json_object()
            for payment in said.get("payments", []):
                if isinstance(payment, dict) and payment.get("reference_id") == str(payment_id):
                    return payment
            if not said.get("cursor"):
                _refuse_to_guess(begun_at, answer)
                return None
            query["cursor"] = said["cursor"]
        raise OutcomeUnknown("Square lists more payments than can be looked through.")

    def _authorize_body(self, request: AuthorizeRequest) -> Json:
        source_id, _, verification_token = request.token.partition(" ")
        body: Json = {
            "idempotency_key": fitting_key(request.idempotency_key, IDEMPOTENCY_KEY_MAX_CHARACTERS),
            "source_id": source_id,
            "amount_money": square_money(request.amount),
            "autocomplete": request.capture_now,
            "reference_id": str(request.payment_id),
            "note": note_of(request.order_number, request.amount),
        }
        if not request.capture_now:
            body |= {"delay_duration": HOLD_DURATION, "delay_action": "CANCEL"}
        more = {
            "location_id": self._location_id,
            "customer_id": request.gateway_customer_id,
            "verification_token": verification_token,
        }
        return body | {name: value for name, value in more.items() if value}

    def _change(self, transaction_id: str, verb: str, body: Json, deadline: Deadline) -> PaymentSnapshot:
        """Change a payment. If its state does not allow that, return what that state is."""
        try:
            return _snapshot(self._object("POST", f"{_payment_path(transaction_id)}/{verb}", body, "payment", deadline))
        except GatewayRefused as refused:
            if not refused.is_about_attempt:
                raise
            payment = self._payment(transaction_id, deadline)
            if payment.get("status") in {"APPROVED", "PENDING"}:
                raise
            return _snapshot(payment)

    def _payment(self, transaction_id: str, deadline: Deadline) -> Json:
        return self._object("GET", _payment_path(transaction_id), None, "payment", deadline)

    def _object(self, method: str, path: str, body: Json | None, name: str, deadline: Deadline) -> Json:
        """Return the object of that name from the response. Raises the port's errors."""
        answer = self._send(method, path, body, deadline)
        thing = answer.json_object().get(name)
        if answer.status == 200 and isinstance(thing, dict):
            return thing
        raise _error_for(answer, lost_answer(changes=method != "GET"))

    def _send(self, method: str, path: str, body: Json | None, deadline: Deadline) -> Answer:
        return bounded_request(
            self._pool,
            method,
            self._base_url + path,
            vendor="Square",
            headers=self._headers,
            body=None if body is None else json.dumps(body),
            deadline_seconds=deadline.left_seconds(),
        )


def _customer_body(request: AuthorizeRequest) -> Json:
    """Return the body that creates a customer.

    Square requires a name or an address, so it gets our id and nothing about the person.
    """
    key = fitting_key(f"customer-{request.idempotency_key}", IDEMPOTENCY_KEY_MAX_CHARACTERS)
    ours = str(request.customer_id)
    return {"idempotency_key": key, "given_name": ours, "reference_id": ours}


def _payment_path(transaction_id: str) -> str:
    return f"/v2/payments/{quote(transaction_id, safe='')}"


def _begun_at(payment_id: UUID) -> datetime | None:
    """Return when a UUID of version 7 was created (RFC 9562); None for any other version."""
    if payment_id.version != 7:
        return None
    return datetime.fromtimestamp((payment_id.int >> 80) / 1000, tz=UTC)


def _refuse_to_guess(begun_at: datetime | None, answer: Answer) -> None:
    """Raise ``OutcomeUnknown`` while a payment that is missing from the list may just not be listed yet."""
    date = answer.headers.get("Date")
    if begun_at and date and parsedate_to_datetime(date) - begun_at < timedelta(seconds=LISTING_LAG_SECONDS):
        raise OutcomeUnknown("Square may not list this payment yet.", retry_after_seconds=LISTING_LAG_SECONDS)


def _problem(said: Json) -> Json:
    errors = said.get("errors")
    return errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}


def _error_for(answer: Answer, lost: type[GatewayUnreachable | OutcomeUnknown]) -> HoldfastError:
    """Return the port's error for a response that is not a success."""
    problem = _problem(answer.json_object())
    code = str(problem.get("code") or f"http_{answer.status}").lower()
    if answer.status < 400:
        return lost(f"Square answered {answer.status} without what was asked for.")
    if answer.status in {408, 409} or problem.get("category") == "API_ERROR":
        # The first request under this key is still being executed, or Square itself does not know.
        return lost(f"Square answered {answer.status} ({code}).", **answer.retry_hint())
    kind = GatewayDenied if answer.status in {401, 403} else GatewayRefused
    return kind(
        str(problem.get("detail") or f"Square answered {answer.status}."),
        failure_code=code,
        parameter=problem.get("field"),
        gateway="square",
        # That a key was used with another request says nothing about an earlier attempt.
        about_attempt=code != "idempotency_key_reused",
    )


def _snapshot(payment: Json) -> PaymentSnapshot:
    try:
        return snapshot_of_payment(payment)
    except UNREADABLE as error:
        raise OutcomeUnknown(f"Square answered something that is no payment we know: {error}.") from error


def _refund_snapshot(refund: Json) -> RefundSnapshot:
    try:
        return refund_snapshot_of(refund)
    except UNREADABLE as error:
        raise OutcomeUnknown(f"Square answered something that is no refund we know: {error}.") from error
