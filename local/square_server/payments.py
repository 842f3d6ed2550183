"""The life of a payment (https://developer.squareup.com/docs/payments-api/take-payments/card-payments)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from local.gateway_server.model import Json, random_text
from local.square_server.cards import CARDS
from local.square_server.ledger import Ledger
from local.square_server.model import Payment, SquareError, rfc3339
from local.square_server.objects import error_json, payment_json

CREATE_FIELDS: Final = frozenset(
    (
        "source_id", "idempotency_key", "amount_money", "tip_money", "app_fee_money", "delay_duration", "delay_action",
        "autocomplete", "order_id", "customer_id", "location_id", "team_member_id", "reference_id",
        "verification_token", "accept_partial_authorization", "buyer_email_address", "buyer_phone_number",
        "billing_address", "shipping_address", "note", "statement_description_identifier", "customer_details",
    )
)  # fmt: skip
UPDATE_FIELDS: Final = frozenset(("idempotency_key", "payment"))
COMPLETE_FIELDS: Final = frozenset(("version_token",))
_DEFAULT_DURATION: Final = "P7D"
_DURATION: Final = re.compile(r"P(?:(\d{1,3})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?")
_LISTED_MAX: Final = 100


def create(ledger: Ledger, account: str, body: Json, *, decline_code: str | None, refund_fate: str | None) -> Json:
    """``POST /v2/payments``. Raises ``SquareError``, a decline included."""
    refuse_unknown(body, CREATE_FIELDS)
    source_id = text(body, "source_id", 1, 192)
    seller = ledger.seller(account)
    amount = amount_of(body, "amount_money", seller.currency)
    location_id = body.get("location_id", seller.location_id)
    if location_id != seller.location_id:
        raise SquareError("NOT_FOUND", f"Location `{location_id}` was not found.", status=404, field="location_id")
    is_on_file = source_id.startswith("ccof:")
    if is_on_file and not body.get("customer_id"):
        raise SquareError("MISSING_REQUIRED_PARAMETER", "A card on file needs its customer.", field="customer_id")
    source_id = _of_customer(ledger, account, source_id, body.get("customer_id"))
    card = CARDS.get(source_id)
    if card is None:
        raise SquareError("NOT_FOUND", "Card nonce not found", status=404, field="source_id")
    autocomplete = body.get("autocomplete", True)
    if not isinstance(autocomplete, bool):
        raise SquareError("EXPECTED_BOOLEAN", "Expected a boolean value.", field="autocomplete")
    if autocomplete and "delay_duration" in body:
        raise SquareError("BAD_REQUEST", "`delay_duration` is for payments that are not completed at once.")
    duration = body.get("delay_duration", _DEFAULT_DURATION)
    now = datetime.now(UTC)
    metadata = {name: text(body, name, 0, longest) for name, longest in (("reference_id", 40), ("note", 500))
                if name in body}  # fmt: skip
    payment = Payment(
        id=random_text(32),
        account=account,
        location_id=seller.location_id,
        amount=amount,
        currency=seller.currency,
        source_id=source_id,
        created_at=rfc3339(now),
        updated_at=rfc3339(now),
        delay_duration=duration,
        delay_action=body.get("delay_action", "CANCEL"),
        delayed_until=rfc3339(now + seconds_of(duration)),
        status="APPROVED",
        approved=amount,
        reference_id=metadata.get("reference_id"),
        note=metadata.get("note"),
        customer_id=body.get("customer_id"),
        authorized_at=rfc3339(now),
        metadata=metadata,
        refund_fate=refund_fate,
        idempotency_key=body["idempotency_key"],
        is_on_file=is_on_file,
    )
    ledger.payments[payment.id] = payment
    unverified = card.needs_verification and not body.get("verification_token")
    failure = decline_code or card.error or ("CARD_DECLINED_VERIFICATION_REQUIRED" if unverified else None)
    if failure:
        payment.status, payment.failure_code, payment.authorized_at, payment.approved = "FAILED", failure, None, 0
        ledger.tell_payment("payment.created", payment)
        error, shown = error_json(failure), payment_json(payment)
        raise SquareError(failure, error["detail"], category=error["category"], status=402, stored=True, payment=shown)
    ledger.tell_payment("payment.created", payment)
    if autocomplete:
        _complete(ledger, payment)
    return {"payment": payment_json(payment)}


def _of_customer(ledger: Ledger, account: str, source_id: str, customer_id: Any) -> str:
    """Return the sandbox card that a card on file stands for; any other source stands for itself.

    Raises ``SquareError``.
    """
    kept = ledger.on_file.get(source_id)
    if kept is None:
        return source_id
    if (kept.account, kept.customer_id) != (account, customer_id):
        raise SquareError("NOT_FOUND", "Card on file not found for customer", status=404, field="source_id")
    if not kept.enabled:
        raise SquareError("CARD_EXPIRED", "The card is disabled.", category="PAYMENT_METHOD_ERROR", status=400)
    return kept.source_id


def list_all(ledger: Ledger, account: str, query: dict[str, str]) -> Json:
    """``GET /v2/payments``, newest first unless asked otherwise."""
    known = {"begin_time", "end_time", "sort_order", "cursor", "location_id", "limit"}
    if query.keys() - known:
        raise SquareError("UNKNOWN_QUERY_PARAMETER", f"Unknown: {sorted(query.keys() - known)}")
    begin, end = (_time(query.get(name)) for name in ("begin_time", "end_time"))
    mine = [
        payment
        for payment in ledger.payments.values()
        if payment.account == account
        and query.get("location_id") in {None, payment.location_id}
        and (begin is None or datetime.fromisoformat(payment.created_at) >= begin)
        and (end is None or datetime.fromisoformat(payment.created_at) <= end)
    ]
    if query.get("sort_order", "DESC") == "DESC":
        mine.reverse()
    if not all(query.get(name, "0").isdecimal() for name in ("limit", "cursor")):
        raise SquareError("INVALID_CURSOR", "Neither limit nor cursor is anything else than a number here.")
    limit, start = min(int(query.get("limit", _LISTED_MAX)), _LISTED_MAX), int(query.get("cursor", 0))
    page: Json = {"payments": [payment_json(payment) for payment in mine[start : start + limit]]}
    return page | ({"cursor": str(start + limit)} if len(mine) > start + limit else {})


def update(ledger: Ledger, payment: Payment, body: Json) -> Json:
    """``PUT /v2/payments/{id}``: change the amount of a payment that is held."""
    refuse_unknown(body, UPDATE_FIELDS)
    changes = body.get("payment")
    if not isinstance(changes, dict):
        raise SquareError("MISSING_REQUIRED_PARAMETER", "Missing required parameter.", field="payment")
    _check_version(payment, changes)
    if payment.status != "APPROVED":
        raise SquareError("BAD_REQUEST", f"Payment {payment.id} is {payment.status} and cannot be updated.")
    payment.amount = amount_of(changes, "amount_money", payment.currency)
    payment.approved = payment.amount
    ledger.tell_payment("payment.updated", payment)
    return {"payment": payment_json(payment)}


def complete(ledger: Ledger, payment: Payment, body: Json) -> Json:
    """``POST /v2/payments/{id}/complete``: capture all that is held."""
    refuse_unknown(body, COMPLETE_FIELDS)
    _check_version(payment, body)
    if payment.status != "APPROVED":
        raise SquareError("BAD_REQUEST", f"Payment {payment.id} is {payment.status} and cannot be completed.")
    _complete(ledger, payment)
    return {"payment": payment_json(payment)}


def cancel(ledger: Ledger, payment: Payment) -> Json:
    """``POST /v2/payments/{id}/cancel``: release what is held."""
    if payment.status != "APPROVED":
        raise SquareError("BAD_REQUEST", f"Payment {payment.id} is {payment.status} and cannot be canceled.")
    payment.status, payment.voided_at, payment.approved = "CANCELED", rfc3339(), 0
    ledger.tell_payment("payment.updated", payment)
    return {"payment": payment_json(payment)}


def cancel_by_key(ledger: Ledger, account: str, body: Json) -> Json:
    """``POST /v2/payments/cancel``. A key with which no payment was made is no error."""
    refuse_unknown(body, frozenset(("idempotency_key",)))
    key = text(body, "idempotency_key", 1, 45)
    for payment in ledger.payments.values():
        if (payment.account, payment.idempotency_key) == (account, key) and payment.status not in {
            "CANCELED",
            "FAILED",
        }:
            cancel(ledger, payment)
    return {}


def expire(ledger: Ledger, payment: Payment) -> None:
    """Close the window for the capture now."""
    payment.delayed_until = rfc3339()
    cancel(ledger, payment)


def _complete(ledger: Ledger, payment: Payment) -> None:
    payment.status, payment.captured_at = "COMPLETED", rfc3339()
    ledger.tell_payment("payment.updated", payment)


def _check_version(payment: Payment, body: Json) -> None:
    token = body.get("version_token")
    if token is not None and token != f"{payment.id}-{payment.version}":
        raise SquareError("BAD_REQUEST", "The version token is not the payment's latest.", field="version_token")


def refuse_unknown(body: Json, known: frozenset[str]) -> None:
    """Raise ``SquareError`` for a field that Square does not have, as Square does."""
    unknown = sorted(body.keys() - known)
    if unknown:
        raise SquareError("UNKNOWN_BODY_PARAMETER", f"The field named '{unknown[0]}' is unrecognized", field=unknown[0])


def text(body: Json, name: str, shortest: int, longest: int) -> str:
    """Return a string of a bounded length. Raises ``SquareError``."""
    value = body.get(name)
    if value is None:
        raise SquareError("MISSING_REQUIRED_PARAMETER", "Missing required parameter.", field=name)
    if not isinstance(value, str):
        raise SquareError("EXPECTED_STRING", "Expected a string value.", field=name)
    if len(value) < shortest:
        raise SquareError("VALUE_TOO_SHORT", "Field is too short.", field=name)
    if len(value) > longest:
        raise SquareError("VALUE_TOO_LONG", f"Field must not be greater than {longest} in length", field=name)
    return value


def amount_of(body: Json, name: str, currency: str) -> int:
    """Return a positive amount in the seller's currency. Raises ``SquareError``."""
    given: Any = body.get(name)
    if not isinstance(given, dict) or given.keys() != {"amount", "currency"}:
        raise SquareError("MISSING_REQUIRED_PARAMETER", "Missing required parameter.", field=name)
    if given["currency"] != currency:
        detail = f"This merchant can only process payments in {currency}, but {given['currency']} was provided"
        raise SquareError("INVALID_VALUE", detail, field=f"{name}.currency")
    amount = given["amount"]
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise SquareError("EXPECTED_INTEGER", "Expected an integer value.", field=f"{name}.amount")
    if amount < 1:
        raise SquareError("VALUE_TOO_LOW", "`amount_money` must be at least 1.", field=f"{name}.amount")
    if amount > 99_999_999:
        raise SquareError("AMOUNT_TOO_HIGH", "The amount is too high.", field=f"{name}.amount")
    return amount


def seconds_of(duration: Any) -> timedelta:
    """Return an RFC 3339 duration. Raises ``SquareError``."""
    matched = _DURATION.fullmatch(duration) if isinstance(duration, str) else None
    if not matched or not any(matched.groups()):
        raise SquareError("INVALID_VALUE", "Not a duration.", field="delay_duration")
    days, hours, minutes, seconds = (int(part or 0) for part in matched.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _time(value: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if value else None
    except ValueError:
        raise SquareError("INVALID_TIME", "Not a time in RFC 3339.") from None
