"""Which amounts and currencies are accepted (https://docs.stripe.com/currencies).

All amounts in Stripe's smallest units.
"""

from typing import Final

from local.stripe_server.errors import invalid_request

AMOUNT_MAX: Final = 99_999_999


def _words(text: str) -> list[str]:
    return text.split()


ZERO_DECIMAL: Final = frozenset(_words("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"))
THREE_DECIMAL: Final = frozenset(_words("bhd jod kwd omr tnd"))
_HUNDREDS_ONLY: Final = frozenset(("isk", "ugx"))  # the page's special cases: 5 UGX is 500

_SUPPORTED: Final = frozenset(
    _words("""
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp cny
    cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd
    jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad
    ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl
    thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw
    """)
)

_SMALLEST: Final = {
    **dict.fromkeys(_words("usd aud brl cad chf eur inr nzd sgd jpy"), 50),
    "gbp": 30, "aed": 200, "bgn": 100, "czk": 1500, "dkk": 250, "hkd": 400, "huf": 17500, "mxn": 1000, "myr": 200,
    "nok": 300, "pln": 200, "ron": 200, "sek": 300, "thb": 1000,
}  # fmt: skip


def check_currency(currency: str) -> str:
    """Return the currency in lower case. Raises ``StripeError`` if it is not accepted."""
    lower = currency.lower()
    if lower not in _SUPPORTED:
        raise invalid_request(f"Invalid currency: {lower}.", param="currency")
    return lower


def check_charge_amount(amount: int, currency: str, *, param: str = "amount") -> None:
    """Raise ``StripeError`` unless ``amount`` can be charged."""
    if amount < 1:
        raise invalid_request(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param=param
        )
    if amount < _SMALLEST.get(currency, 1):
        smallest = display(_SMALLEST[currency], currency)
        raise invalid_request(f"Amount must be at least {smallest}", code="amount_too_small", param=param)
    if amount > AMOUNT_MAX:
        largest = display(AMOUNT_MAX, currency)
        raise invalid_request(f"Amount must be no more than {largest}", code="amount_too_large", param=param)
    check_grain(amount, currency, param=param)


def check_grain(amount: int, currency: str, *, param: str = "amount") -> None:
    """Raise ``StripeError`` where the last digits have to be zero and are not."""
    if currency in _HUNDREDS_ONLY and amount % 100:
        raise invalid_request(
            f"Invalid amount. Amounts in {currency} must be evenly divisible by 100.",
            code="invalid_charge_amount_no_decimal_compatible",
            param=param,
        )
    if currency in THREE_DECIMAL and amount % 10:
        raise invalid_request(f"Invalid amount. Amounts in {currency} must end in 0.", param=param)


def display(amount: int, currency: str) -> str:
    """Return an amount for messages: ``5.00 usd``."""
    if currency in ZERO_DECIMAL:
        return f"{amount} {currency}"
    decimals = 3 if currency in THREE_DECIMAL else 2
    whole, part = divmod(amount, 10**decimals)
    return f"{whole}.{part:0{decimals}d} {currency}"
