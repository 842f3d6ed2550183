"""Stripe's error objects (https://docs.stripe.com/api/errors)."""

from typing import Any

from local.gateway_server.model import Refusal


class StripeError(Refusal):
    """An error answer."""

    def __init__(self, status: int, error: dict[str, Any], *, stored: bool = False) -> None:
        super().__init__(status, {"error": error}, stored=stored)


def invalid_request(
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    status: int = 400,
    stored: bool = False,
    **more: Any,
) -> StripeError:
    """Return the error for the caller's mistake."""
    error = {"type": "invalid_request_error", "message": message, **more}
    if code:
        error |= {"code": code, "doc_url": f"https://docs.stripe.com/error-codes#{code.replace('_', '-')}"}
    if param:
        error["param"] = param
    return StripeError(status, error, stored=stored)


def missing(kind: str, identifier: str, *, param: str = "intent", status: int = 404) -> StripeError:
    """Return the error for an object that does not exist: 404 when the address names it, 400 when a parameter does."""
    return invalid_request(f"No such {kind}: '{identifier}'", code="resource_missing", param=param, status=status)


def card_error(last_payment_error: dict[str, Any], intent: dict[str, Any]) -> StripeError:
    """Return a decline, with the intent as the decline left it."""
    return StripeError(402, {**last_payment_error, "payment_intent": intent}, stored=True)


def api_error(status: int) -> StripeError:
    """Return the error for an internal failure of Stripe's."""
    if status == 429:
        return invalid_request(
            "Request rate limit exceeded. Learn more about rate limits at https://docs.stripe.com/rate-limits.",
            code="rate_limit",
            status=429,
        )
    message = "An unknown error occurred"
    return StripeError(status, {"type": "api_error", "message": message}, stored=True)
