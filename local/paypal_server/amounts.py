"""Amounts as PayPal writes them: decimal strings (https://developer.paypal.com/api/rest/reference/currency-codes/).

Internally they are whole numbers of the smallest unit that PayPal has for the currency.
"""

import re
from typing import Final

from local.gateway_server.model import Json
from local.paypal_server.errors import invalid, unprocessable

WITHOUT_DECIMALS: Final = frozenset("HUF JPY TWD".split())  # noqa: SIM905 -- a list to be read
SUPPORTED: Final = WITHOUT_DECIMALS | frozenset(
    "AUD BRL CAD CNY CZK DKK EUR HKD ILS INR MYR MXN NZD NOK PHP PLN GBP SGD SEK CHF THB USD".split()  # noqa: SIM905 (same)
)
_FIELDS: Final = frozenset(("currency_code", "value", "breakdown"))
_MALFORMED: Final = "The value of a field does not conform to the expected format."
_VALUE: Final = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)


def read_amount(given: object, field: str) -> tuple[int, str]:
    """Return units and currency. Raises ``Refusal``."""
    if not isinstance(given, dict) or given.keys() - _FIELDS:
        raise invalid("MISSING_REQUIRED_PARAMETER", "A required field / parameter is missing.", field)
    currency, value = given.get("currency_code"), given.get("value")
    if not isinstance(currency, str) or not isinstance(value, str):
        raise invalid("INVALID_PARAMETER_SYNTAX", _MALFORMED, field)
    if currency not in SUPPORTED:
        raise unprocessable("CURRENCY_NOT_SUPPORTED", "Currency code is not currently supported.")
    read = _VALUE.fullmatch(value)
    if read is None or len(value) > 32:
        raise invalid("INVALID_PARAMETER_SYNTAX", _MALFORMED, field)
    whole, part = read[1], read[2] or ""
    if currency in WITHOUT_DECIMALS:
        if part:
            raise unprocessable("DECIMALS_NOT_SUPPORTED", "Currency does not support decimals.")
        units = int(whole)
    else:
        if len(part) > 2:
            raise unprocessable("DECIMAL_PRECISION", "Only two decimal place precision is supported.")
        units = int(whole + part.ljust(2, "0"))
    if units <= 0:
        raise unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE", "Must be greater than zero.")
    return units, currency


def amount_json(units: int, currency: str) -> Json:
    """Return an amount as PayPal writes it."""
    value = str(units) if currency in WITHOUT_DECIMALS else f"{units // 100}.{units % 100:02d}"
    return {"currency_code": currency, "value": value}
