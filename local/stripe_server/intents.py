"""The life of a PaymentIntent (https://docs.stripe.com/payments/paymentintents/lifecycle)."""

from typing import Final

from local.gateway_server.model import Json, new_id
from local.stripe_server import customers, forms
from local.stripe_server.amounts import check_charge_amount, check_currency, check_grain
from local.stripe_server.cards import CARDS, Decline, decline_with
from local.stripe_server.errors import StripeError, card_error, invalid_request
from local.stripe_server.forms import Params
from local.stripe_server.ledger import Ledger
from local.stripe_server.model import Charge, Intent
from local.stripe_server.objects import intent_json, list_json, payment_method_json

CAPTURE_WINDOW_SECONDS: Final = 7 * 24 * 3600
DISPUTE_ENDS: Final = ("won", "lost", "warning_closed")

CREATE_PARAMETERS: Final = frozenset(
    (
        "allowed_payment_method_types",
        "amount", "automatic_payment_methods", "capture_method", "confirm", "confirmation_method", "currency",
        "customer", "description", "error_on_requires_action", "expand", "metadata", "off_session", "payment_method",
        "payment_method_options", "receipt_email", "return_url", "setup_future_usage",
        "shipping", "statement_descriptor", "statement_descriptor_suffix", "transfer_group",
    )
)  # fmt: skip
CONFIRM_PARAMETERS: Final = frozenset(
    ("expand", "off_session", "payment_method", "return_url", "error_on_requires_action")
)
CAPTURE_PARAMETERS: Final = frozenset(
    ("amount_to_capture", "expand", "final_capture", "metadata", "statement_descriptor")
)
CANCEL_PARAMETERS: Final = frozenset(("cancellation_reason", "expand"))
_CANCEL_REASONS: Final = frozenset(("duplicate", "fraudulent", "requested_by_customer", "abandoned"))
_CANCELABLE: Final = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action")
_CAPTURE_METHODS: Final = ("automatic", "automatic_async", "manual")


def create(ledger: Ledger, account: str, params: Params) -> Json:
    """``POST /v1/payment_intents``. Raises ``StripeError``, a decline included."""
    if "payment_method_types" in params:
        raise invalid_request(
            "`payment_method_types` is no longer supported; use `allowed_payment_method_types`.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
        )
    forms.refuse_unknown(params, CREATE_PARAMETERS)
    amount = forms.integer(params, "amount", required=True) or 0
    currency = check_currency(forms.text(params, "currency", required=True) or "")
    check_charge_amount(amount, currency)
    capture_method = forms.text(params, "capture_method") or "automatic_async"
    if capture_method not in _CAPTURE_METHODS:
        raise invalid_request(
            f"Invalid capture_method: must be one of {', '.join(_CAPTURE_METHODS)}", param="capture_method"
        )
    confirm = forms.boolean(params, "confirm")
    types = forms.texts(params, "allowed_payment_method_types")
    identifier = new_id("pi")
    intent = Intent(
        id=identifier,
        account=account,
        amount=amount,
        currency=currency,
        created=ledger.now(),
        capture_method=capture_method,
        client_secret=f"{identifier}_secret_{new_id('x')[2:]}",
        payment_method_types=types or ["card"],
        automatic_payment_methods=None if types else _automatic(params),
        customer=customers.check_customer(ledger, account, forms.text(params, "customer")),
        setup_future_usage=customers.future_usage(params),
        description=forms.text(params, "description"),
        receipt_email=forms.text(params, "receipt_email"),
        metadata=forms.metadata(params),
        decline_code=ledger.call.decline_code,
        refund_fate=ledger.call.refund_fate,
    )
    expand = forms.texts(params, "expand")
    _take_method(ledger, intent, params)
    if confirm:
        _check_confirmable(intent, params)
    elif "return_url" in params:
        raise invalid_request(
            "The parameter `return_url` cannot be passed unless `confirm` is true.", param="return_url"
        )
    ledger.intents[intent.id] = intent
    ledger.tell_intent("payment_intent.created", intent)
    if confirm:
        _confirm(ledger, intent)
    return ledger.render_intent(intent, expand)


def confirm(ledger: Ledger, intent: Intent, params: Params) -> Json:
    """``POST /v1/payment_intents/{id}/confirm``. Raises ``StripeError``, a decline included."""
    forms.refuse_unknown(params, CONFIRM_PARAMETERS)
    if intent.status not in {"requires_payment_method", "requires_confirmation", "requires_action"}:
        raise _unexpected_state(
            intent, f"You cannot confirm this PaymentIntent because it has a status of {intent.status}."
        )
    _take_method(ledger, intent, params)
    _check_confirmable(intent, params)
    intent.decline_code = ledger.call.decline_code or intent.decline_code
    _confirm(ledger, intent)
    return ledger.render_intent(intent, forms.texts(params, "expand"))


def capture(ledger: Ledger, intent: Intent, params: Params) -> Json:
    """``POST /v1/payment_intents/{id}/capture``: once, all or a part; the rest is released."""
    forms.refuse_unknown(params, CAPTURE_PARAMETERS)
    charge = ledger.latest_charge(intent)
    if intent.status != "requires_capture" or charge is None:
        raise _unexpected_state(
            intent,
            f"This PaymentIntent could not be captured because it has a status of {intent.status}. "
            "Only a PaymentIntent with one of the following statuses may be captured: requires_capture.",
        )
    amount = forms.integer(params, "amount_to_capture")
    amount = intent.amount_capturable if amount is None else amount
    if amount < 1:
        raise invalid_request("This value must be greater than or equal to 1.", param="amount_to_capture")
    if amount > intent.amount_capturable:
        raise invalid_request(
            f"The amount to capture is greater than the capturable amount ({intent.amount_capturable}).",
            code="amount_too_large",
            param="amount_to_capture",
        )
    check_grain(amount, intent.currency, param="amount_to_capture")
    intent.metadata |= forms.metadata(params)
    ledger.tell_charge("charge.captured", _captured(charge, amount))
    intent.status, intent.amount_received, intent.amount_capturable = "succeeded", amount, 0
    ledger.tell_intent("payment_intent.succeeded", intent)
    return ledger.render_intent(intent, forms.texts(params, "expand"))


def cancel(ledger: Ledger, intent: Intent, params: Params) -> Json:
    """``POST /v1/payment_intents/{id}/cancel``: possible for anything that was not captured."""
    forms.refuse_unknown(params, CANCEL_PARAMETERS)
    reason = forms.text(params, "cancellation_reason")
    if reason is not None and reason not in _CANCEL_REASONS:
        raise invalid_request("Invalid cancellation_reason", param="cancellation_reason")
    if intent.status not in _CANCELABLE:
        raise _unexpected_state(
            intent,
            f"You cannot cancel this PaymentIntent because it has a status of {intent.status}. Only a PaymentIntent "
            f"with one of the following statuses may be canceled: {', '.join(_CANCELABLE)}.",
        )
    give_up(ledger, intent, reason)
    return ledger.render_intent(intent, forms.texts(params, "expand"))


def give_up(ledger: Ledger, intent: Intent, reason: str | None) -> None:
    """End an intent that was not captured. ``expired`` is the reason when its window closed."""
    charge = ledger.latest_charge(intent)
    if charge is not None and reason == "expired":
        ledger.tell_charge("charge.expired", charge)
    intent.status, intent.amount_capturable, intent.next_action = "canceled", 0, None
    intent.canceled_at, intent.cancellation_reason = ledger.now(), reason
    ledger.tell_intent("payment_intent.canceled", intent)


def dispute(ledger: Ledger, charge: Charge, status: str | None) -> None:
    """Let the shopper's bank take the money back or, with a status, let the case go on.

    Money that was won is reinstated last.
    """
    if status is None:
        charge.disputed = True
        ledger.tell_charge("charge.dispute.created", charge)
        ledger.tell_charge("charge.dispute.funds_withdrawn", charge)
        return
    charge.dispute_status = status
    if status not in DISPUTE_ENDS:
        ledger.tell_charge("charge.dispute.updated", charge)
        return
    charge.disputed = status == "lost"
    ledger.tell_charge("charge.dispute.closed", charge)
    if status == "won":
        ledger.tell_charge("charge.dispute.funds_reinstated", charge)


def authenticate(ledger: Ledger, intent: Intent, *, succeed: bool) -> None:
    """Record what the shopper did in the 3-D Secure window.

    A decline by the bank shows in the intent, as no caller is waiting.
    """
    if intent.status != "requires_action":
        raise _unexpected_state(intent, f"This PaymentIntent does not wait for the shopper: it is {intent.status}.")
    intent.next_action = None
    if succeed:
        charge_card(ledger, intent)
        return
    _refuse(
        ledger,
        intent,
        Decline(
            "payment_intent_authentication_failure",
            None,
            "We are unable to authenticate your payment method. Please choose a different one and try again.",
        ),
        None,
    )


def charge_card(ledger: Ledger, intent: Intent) -> None:
    """Ask the bank. Afterwards the intent is captured, held, or requires a payment method again."""
    token = intent.card_token or ""
    card = CARDS[token]
    decline = decline_with(intent.decline_code) if intent.decline_code else card.decline
    charge = Charge(
        id=new_id("ch"),
        account=intent.account,
        intent=intent.id,
        amount=intent.amount,
        currency=intent.currency,
        created=ledger.now(),
        status="failed" if decline else "succeeded",
        card_token=token,
        payment_method=intent.payment_method or "",
        metadata=dict(intent.metadata),
    )
    ledger.charges[charge.id] = charge
    intent.latest_charge = charge.id
    intent.charges.append(charge.id)
    if decline:
        charge.failure_code, charge.decline_code = decline.code, decline.decline_code
        charge.failure_message = decline.message
        ledger.tell_charge("charge.failed", charge)
        _refuse(ledger, intent, decline, charge)
        return
    customers.keep(ledger, intent)
    if intent.capture_method == "manual":
        charge.capture_before = ledger.now() + CAPTURE_WINDOW_SECONDS
        intent.status, intent.amount_capturable = "requires_capture", intent.amount
        ledger.tell_charge("charge.succeeded", charge)
        ledger.tell_intent("payment_intent.amount_capturable_updated", intent)
    else:
        ledger.tell_charge("charge.succeeded", _captured(charge, charge.amount))
        intent.status, intent.amount_received = "succeeded", intent.amount
        ledger.tell_intent("payment_intent.succeeded", intent)
        if card.disputed:
            dispute(ledger, charge, None)


def list_all(ledger: Ledger, account: str, params: Params) -> Json:
    """``GET /v1/payment_intents``, newest first."""
    limit = min(forms.integer(params, "limit") or 10, 100)
    mine = [intent for intent in reversed(ledger.intents.values()) if intent.account == account]
    page = [intent_json(intent) for intent in mine[:limit]]
    return list_json("/v1/payment_intents", page, has_more=len(mine) > limit)


def search(ledger: Ledger, account: str, params: Params) -> Json:
    """``GET /v1/payment_intents/search``, for queries of the form ``metadata["name"]:"value"``."""
    query = forms.text(params, "query", required=True) or ""
    field, _, value = query.partition(":")
    name = field.strip().removeprefix("metadata[").removesuffix("]").strip("\"'")
    if not field.startswith("metadata[") or not value:
        raise invalid_request(f"We were unable to parse your search query: {query}", param="query")
    wanted = value.strip().strip("\"'")
    expand = [path.removeprefix("data.") for path in forms.texts(params, "expand")]
    found = [
        ledger.render_intent(intent, expand)
        for intent in ledger.intents.values()
        if intent.account == account and intent.metadata.get(name) == wanted
    ]
    return {
        "object": "search_result",
        "data": found,
        "has_more": False,
        "next_page": None,
        "url": "/v1/payment_intents/search",
    }


def _automatic(params: Params) -> dict[str, object] | None:
    given = params.get("automatic_payment_methods", {"enabled": "true"})
    if not isinstance(given, dict) or given.get("enabled") != "true":
        return None
    return {"enabled": True, "allow_redirects": given.get("allow_redirects", "always")}


def _take_method(ledger: Ledger, intent: Intent, params: Params) -> None:
    """Use the payment method of the request, if it names one."""
    given = forms.text(params, "payment_method")
    if given is None:
        return
    customers.take(ledger, intent, given)
    intent.status = "requires_confirmation"


def _check_confirmable(intent: Intent, params: Params) -> None:
    intent.return_url = forms.text(params, "return_url")
    if intent.payment_method is None:
        raise invalid_request(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    automatic = intent.automatic_payment_methods
    if automatic and automatic["allow_redirects"] == "always" and not intent.return_url:
        raise invalid_request(
            "This PaymentIntent is configured to accept payment methods that may redirect the customer: provide a "
            "`return_url`, or set `automatic_payment_methods[allow_redirects]` to `never`.",
            param="return_url",
        )


def _confirm(ledger: Ledger, intent: Intent) -> None:
    intent.last_payment_error = None
    if CARDS[intent.card_token or ""].asks_authentication:
        intent.status = "requires_action"
        if intent.return_url:
            url = f"{ledger.call.base_url}/_control/three_d_secure/{intent.id}"
            intent.next_action = {
                "type": "redirect_to_url",
                "redirect_to_url": {"return_url": intent.return_url, "url": url},
            }
        else:
            intent.next_action = {
                "type": "use_stripe_sdk",
                "use_stripe_sdk": {"type": "stripe_3ds2_fingerprint", "source": new_id("src")},
            }
        ledger.tell_intent("payment_intent.requires_action", intent)
        return
    charge_card(ledger, intent)
    if intent.last_payment_error:
        raise card_error(intent.last_payment_error, intent_json(intent))


def _refuse(ledger: Ledger, intent: Intent, decline: Decline, charge: Charge | None) -> None:
    method = payment_method_json(intent.payment_method or "", intent.card_token or "", intent.created)
    error: dict[str, object] = {
        "type": "card_error" if charge else "invalid_request_error",
        "code": decline.code,
        "doc_url": f"https://docs.stripe.com/error-codes#{decline.code.replace('_', '-')}",
        "message": decline.message,
        "payment_method": method,
    }
    if charge:
        error["charge"] = charge.id
    if decline.decline_code:
        error["decline_code"] = decline.decline_code
    intent.last_payment_error = error
    intent.status, intent.payment_method = "requires_payment_method", None
    ledger.tell_intent("payment_intent.payment_failed", intent)


def _captured(charge: Charge, amount: int) -> Charge:
    charge.captured, charge.amount_captured = True, amount
    return charge


def _unexpected_state(intent: Intent, message: str) -> StripeError:
    return invalid_request(
        message, code="payment_intent_unexpected_state", stored=True, payment_intent=intent_json(intent)
    )
